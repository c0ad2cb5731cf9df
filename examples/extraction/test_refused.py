"""Red, both of them, to show what a refusal looks like. The gates are in ftgate.yaml."""

import pytest


@pytest.mark.ftgate("invented_slots")
def test_model_invents_slots():
    """Refused by the fields: it knows the intents, and gains nothing, since it finds slots that nobody named."""


@pytest.mark.ftgate("every_answer")
def test_some_answers_break_the_schema():
    """Refused by the form: the gain is large, but not every answer is one that the home can carry out."""
