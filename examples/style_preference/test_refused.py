"""Red, both of them, to show what a refusal looks like. The gates are in ftgate.yaml."""

import pytest


@pytest.mark.ftgate("curt_replies")
def test_people_do_not_like_curt_answers_better():
    """Refused by what people said."""


@pytest.mark.ftgate("other_answers")
def test_people_read_other_answers():
    """Cannot be judged: the preferences are about answers that this model does not give."""
