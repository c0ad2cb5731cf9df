"""Detect that a green verdict is out of date: drift, changed or expiring models, and old answers."""
