"""Does not pass, to show what that looks like. The gate is in ftgate.yaml."""

import pytest


@pytest.mark.ftgate("curt_replies")
def test_people_do_not_like_curt_answers_better():
    """Fail: raters do not clearly prefer the curt answers."""
