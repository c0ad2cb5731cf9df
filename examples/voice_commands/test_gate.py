"""Passes: the fine-tuned model beats the prompt by more than the margin, and the training set is large enough."""

import pytest


@pytest.mark.ftgate("intents")
def test_fine_tune_is_worth_it(): ...
