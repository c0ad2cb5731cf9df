"""Shared by all tests. Everything heavy loads here, before any inner run of pytest: pytester forgets what an inner run
imports, and numpy cannot be imported twice."""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages

import openai  # noqa: F401
import pytest
import scipy.special  # noqa: F401
import sklearn.metrics  # noqa: F401
import yaml  # noqa: F401
from gate_project import Project

import pytest_ftgate

for module in walk_packages(pytest_ftgate.__path__, "pytest_ftgate."):
    import_module(module.name)


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    """A green gate on recorded predictions."""
    return Project(pytester)
