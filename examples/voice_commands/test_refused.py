"""Both fail, to show what a failed gate looks like. The gates are in ftgate.yaml."""

import pytest


@pytest.mark.ftgate("intents_refused")
def test_too_few_training_examples():
    """Fail before a model is called: the training set is smaller than ``min_training_examples``."""


@pytest.mark.ftgate("small_gain")
def test_gain_is_below_the_margin():
    """Fail by measurement: trained on a quarter of the rows, it gains less than the margin."""
