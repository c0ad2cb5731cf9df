"""A gate against itself where this change began, as git knows it."""
