"""Neither passes, to show what that looks like. The gates are in ftgate.yaml."""

import pytest


@pytest.mark.ftgate("curt_replies")
def test_people_do_not_like_curt_answers_better():
    """Fail: raters do not clearly prefer the curt answers."""


@pytest.mark.ftgate("other_answers")
def test_people_read_other_answers():
    """Raise an error: the ratings are about answers that this model does not give."""
