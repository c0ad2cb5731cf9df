"""The command line beside pytest: ``python -m pytest_ftgate``. It judges nothing and calls no model."""
