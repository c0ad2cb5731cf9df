"""What the headers of an answer say about the next one."""

import pytest

from pytest_ftgate.models.openai_api.endpoint import pause_s


def said(kind, remaining, reset):
    return {f"x-ratelimit-remaining-{kind}": remaining, f"x-ratelimit-reset-{kind}": reset}


WAITS = {"1s": 1.0, "6m0s": 360.0, "88ms": 0.088, "1h2m3.5s": 3723.5, "7.66s": 7.66, "12": 12.0, "0.5": 0.5}
UNREADABLE = ["", "soon", "1x", "s", "1s later", "-5s", "nan", "2026-11-24T00:00:00Z"]


@pytest.mark.parametrize(("reset", "seconds"), [*WAITS.items(), *((reset, 0.0) for reset in UNREADABLE)])
def test_where_nothing_is_left_the_reset_is_waited_for_if_it_can_be_read(reset, seconds):
    assert pause_s(said("requests", "0", reset)) == pytest.approx(seconds)
    assert pause_s(said("tokens", "0", reset)) == pytest.approx(seconds)


def test_the_longer_of_two_waits_counts():
    assert pause_s({**said("requests", "0", "2s"), **said("tokens", "0", "5s")}) == 5.0


@pytest.mark.parametrize("remaining", ["1", "59", "", "none", "-1"])
def test_where_something_is_left_or_nothing_is_said_nobody_waits(remaining):
    assert pause_s(said("requests", remaining, "30s")) == 0.0
    assert pause_s({}) == pause_s({"x-ratelimit-remaining-requests": "0"}) == 0.0
