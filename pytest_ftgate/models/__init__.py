"""Provide models, which complete examples; these are the names for other packages.

Modules in this package import from each other, not from here.
"""

from __future__ import annotations

from pytest_ftgate.models.protocol import (
    FINISHES,
    Completion,
    LatencySample,
    Model,
    Notes,
    Prediction,
    Question,
    Surroundings,
    key_of,
)
from pytest_ftgate.models.registry import build_model, is_built_in, unknown_provider

__all__ = [
    "FINISHES",
    "Completion",
    "LatencySample",
    "Model",
    "Notes",
    "Prediction",
    "Question",
    "Surroundings",
    "build_model",
    "is_built_in",
    "key_of",
    "unknown_provider",
]
