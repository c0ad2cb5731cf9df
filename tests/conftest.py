"""Shared by all tests."""

from __future__ import annotations

import pytest
from gate_project import Project


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    return Project(pytester)
