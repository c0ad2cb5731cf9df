"""The base model in the name of a fine-tune."""

import pytest

from pytest_ftgate.checks.freshness import base_in_name


@pytest.mark.parametrize(
    ("model", "base"),
    [
        ("ft:gpt-4.1-mini-2025-04-14:acme::abc123", "gpt-4.1-mini-2025-04-14"),
        ("ft:gpt-4.1-mini-2025-04-14:acme:suffix:abc123:ckpt-step-60", "gpt-4.1-mini-2025-04-14"),
        ("ft:gpt-4o", None),
        ("ft::acme::x", None),
        ("gpt-4o:acme::x", None),
        ("llama3:8b", None),
    ],
)
def test_the_base_in_a_fine_tunes_name(model, base):
    assert base_in_name(model) == base
