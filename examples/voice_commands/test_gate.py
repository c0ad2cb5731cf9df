"""Passes: the fine-tuned model beats the prompt by the margin, with enough training examples."""

import pytest


@pytest.mark.ftgate("intents")
def test_fine_tune_is_worth_it(): ...
