"""A result as text, Markdown, JSON, HTML, JUnit properties and annotations of GitHub: one file a format."""
