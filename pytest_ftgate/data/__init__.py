"""Read examples from files and iterables, strictly, and identify them by their content."""

from pytest_ftgate.data.example import (
    DataSet,
    Example,
    Input,
    canonical_json,
    content_id,
    expected_text,
    input_sha256,
)
from pytest_ftgate.data.load import FORMATS, SUFFIXES, first_row, load_examples
from pytest_ftgate.data.messages import (
    INSTRUCTIONS,
    is_blank,
    normalized_input,
    texts_in,
    without_instructions,
)
from pytest_ftgate.data.rows import content_of, examples_from

__all__ = [
    "FORMATS",
    "INSTRUCTIONS",
    "SUFFIXES",
    "DataSet",
    "Example",
    "Input",
    "canonical_json",
    "content_id",
    "content_of",
    "examples_from",
    "expected_text",
    "first_row",
    "input_sha256",
    "is_blank",
    "load_examples",
    "normalized_input",
    "texts_in",
    "without_instructions",
]
