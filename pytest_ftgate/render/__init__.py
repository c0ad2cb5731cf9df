"""A result as text, JSON, properties or a page. Rendering is pure and cannot change a verdict."""
