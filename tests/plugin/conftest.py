"""Loaded before any inner run: pytester forgets what an inner run imports, and numpy cannot be imported twice."""

from importlib import import_module
from pkgutil import walk_packages

import openai  # noqa: F401
import scipy.special  # noqa: F401
import sklearn.metrics  # noqa: F401
import yaml  # noqa: F401

import pytest_ftgate

for module in walk_packages(pytest_ftgate.__path__, "pytest_ftgate."):
    import_module(module.name)
