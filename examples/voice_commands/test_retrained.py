"""Passes: the retrained model beats the prompt, and is not worse than the model of today."""

import pytest


@pytest.mark.ftgate("retrained")
def test_retrained_model_may_replace_the_live_one(): ...
