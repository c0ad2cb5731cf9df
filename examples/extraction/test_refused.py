"""Both fail, to show what a failed gate looks like. The gates are in ftgate.yaml."""

import pytest


@pytest.mark.ftgate("invented_slots")
def test_model_invents_slots():
    """Fail by the fields: the model knows the intents but invents slots, so it gains nothing."""


@pytest.mark.ftgate("every_answer")
def test_some_answers_break_the_schema():
    """Fail by the format: the gain is large, but too many answers violate the schema."""
