"""A result as text, Markdown, JSON, HTML and JUnit properties: one file a format."""
