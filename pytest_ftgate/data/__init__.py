"""Examples: read from files or iterables, checked strictly, identified by their content."""

from __future__ import annotations

from pytest_ftgate.data.dataset import DataSet
from pytest_ftgate.data.example import (
    NO_FIELDS,
    Example,
    Input,
    Messages,
    canonical_json,
    content_id,
    expected_text,
    input_sha256,
)
from pytest_ftgate.data.iterables import examples_from
from pytest_ftgate.data.load import FORMATS, load_examples
from pytest_ftgate.data.normalize import is_blank, normalized_input, visible, without_instructions

__all__ = [
    "FORMATS",
    "NO_FIELDS",
    "DataSet",
    "Example",
    "Input",
    "Messages",
    "canonical_json",
    "content_id",
    "examples_from",
    "expected_text",
    "input_sha256",
    "is_blank",
    "load_examples",
    "normalized_input",
    "visible",
    "without_instructions",
]
