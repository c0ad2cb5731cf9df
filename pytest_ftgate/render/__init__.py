"""A result as text, JSON or properties. Rendering is pure and cannot change a verdict."""
