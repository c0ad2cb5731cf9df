"""Commands outside pytest: ``python -m pytest_ftgate``. None of them calls a model."""
