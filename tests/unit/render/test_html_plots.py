"""Charts: marks are where their numbers say, and no text becomes markup."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.reports.html.plots import Interval, element, interval_plot
from pytest_ftgate.reports.tables import parts
from pytest_ftgate.result import GateResult, SliceResult


def parsed(drawn):
    return ElementTree.fromstring(drawn)


def line_at(svg, kind):
    (found,) = [one for one in svg.iter("line") if one.get("class") == kind]
    assert found.get("x1") == found.get("x2")
    return across(found, "x1")


def across(node, name):
    """Return a place or a length, in percent of the width."""
    assert node.get(name).endswith("%")
    return float(node.get(name).removesuffix("%"))


def words(svg):
    return [one.text or "" for one in svg.iter("text")]


# --- elements ------------------------------------------------------------------------------------------------


@given(st.text(st.characters()), st.text(st.characters()))
def test_text_stays_text(content, value):
    drawn = element("text", content, class_=value)
    root = ElementTree.fromstring(drawn.encode())  # which a lone surrogate would not survive
    assert not list(root)
    assert root.attrib.keys() == {"class"}


# --- the gain ------------------------------------------------------------------------------------------------


def test_a_bound_that_is_not_known_has_no_end_and_each_of_several_baselines_its_row():
    bounded = parsed(interval_plot([Interval("", 0.1, 0.05, 0.2)], 0.05, "asked", share=True))
    open_ended = parsed(interval_plot([Interval("", 0.1, None, None)], 0.05, "asked", share=True))
    counts = [sum(one.get("class") == "whisker" for one in svg.iter("line")) for svg in (bounded, open_ended)]
    assert counts == [3, 1]
    rows = [Interval("over few_shot", 0.1, 0.0, 0.2), Interval("over retrieval", 0.02, -0.1, 0.1)]
    svg = parsed(interval_plot(rows, 0.05, "asked for", share=True))
    assert [one for one in words(svg) if one.startswith("over")] == ["over few_shot", "over retrieval"]
    assert len(list(svg.iter("circle"))) == 2
    nothing = parsed(interval_plot([Interval("", 0.0, 0.0, 0.0)], 0.0, "asked for", share=False))
    assert line_at(nothing, "zero") == line_at(nothing, "asked")


# --- bars ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "metric_range", "span"),
    [
        ((3.0, 12.0), (0.0, float("inf")), (0.0, 12.0)),
        ((0.3, None), (0.0, 1.0), (0.0, 1.0)),
        ((None, None), None, (0.0, 1.0)),
    ],
)
def test_a_metric_without_an_end_is_drawn_as_far_as_it_goes(values, metric_range, span):
    one = SliceResult("lang", "en", *values, n=4)
    (bars,) = parts(GateResult("a", "b", "pass", metric_range=metric_range, slices=(one,)))[1].bars
    assert bars == (*values, *span)
