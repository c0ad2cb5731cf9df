"""Passes: the retrained model beats the prompt by the margin, and is not worse than the model that runs today."""

import pytest


@pytest.mark.ftgate("retrained")
def test_retrained_model_may_replace_the_live_one(): ...
