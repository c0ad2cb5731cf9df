"""Passes: the fine-tuned model gets more fields right, and most answers satisfy the schema."""

import pytest


@pytest.mark.ftgate("commands")
def test_fine_tune_is_worth_it(): ...
