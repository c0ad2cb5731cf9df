"""Charts: marks are where their numbers say, and no text becomes markup."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.reports.html.plots import element, interval_plot
from pytest_ftgate.reports.tables import parts
from pytest_ftgate.result import GateResult, PartResult
from pytest_ftgate.statistics.evidence import Comparison


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


def gained(gain, lower, upper):
    return Comparison(gain=gain, lower_bound=lower, upper_bound=upper)


def test_a_bound_that_is_not_known_has_no_end_and_each_of_several_baselines_its_row():
    bounded = parsed(interval_plot({"": gained(0.1, 0.05, 0.2)}, 0.05, "asked", share=True))
    open_ended = parsed(interval_plot({"": gained(0.1, None, None)}, 0.05, "asked", share=True))
    counts = [sum(one.get("class") == "whisker" for one in svg.iter("line")) for svg in (bounded, open_ended)]
    assert counts == [3, 1]
    rows = {"over few_shot": gained(0.1, 0.0, 0.2), "over retrieval": gained(0.02, -0.1, 0.1)}
    svg = parsed(interval_plot(rows, 0.05, "asked for", share=True))
    assert [one for one in words(svg) if one.startswith("over")] == ["over few_shot", "over retrieval"]
    assert len(list(svg.iter("circle"))) == 2
    nothing = parsed(interval_plot({"": gained(0.0, 0.0, 0.0)}, 0.0, "asked for", share=False))
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
    one = PartResult("lang=en", "accuracy", 0.03, None, "lang", "en", *values, metric_range=metric_range)
    (bars,) = parts(GateResult("a", "b", "pass", slices=(one,)))[1].bars
    assert bars == (*values, *span)
