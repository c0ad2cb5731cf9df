"""A model is anything that completes an example. These are the names that the rest of the house knows.

Modules in here import from each other, and not from this one.
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
    sample_of,
)
from pytest_ftgate.models.registry import Builder, build_model

__all__ = [
    "FINISHES",
    "Builder",
    "Completion",
    "LatencySample",
    "Model",
    "Notes",
    "Prediction",
    "Question",
    "Surroundings",
    "build_model",
    "key_of",
    "sample_of",
]
