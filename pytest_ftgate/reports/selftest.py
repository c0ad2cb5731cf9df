"""A self-test as text: a line for each sabotage, and how often the gate passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ftgate.reports.text import Line, check_lines
from pytest_ftgate.text import printable, show_difference, show_value

if TYPE_CHECKING:
    from pytest_ftgate.gate.selftest import PassRate, Sabotage, Selftest


def selftest_title(test: Selftest) -> Line:
    """Return ``ftgate intents: SELF-TEST, blocks``."""
    state = "could not be tested" if not test.sabotages else "passes a sabotage" if test.failed else "blocks"
    return Line(f"ftgate {printable(test.name)}: SELF-TEST, {state}", "red" if test.failed else "green")


def selftest_lines(test: Selftest) -> list[Line]:
    """Return the lines of a self-test. All of them are safe to print."""
    lines = [Line(printable(line.text), line.colour) for check in test.checks for line in check_lines(check, full=True)]
    lines += map(_sabotage, test.sabotages)
    if test.verdict is not None:
        lines.append(Line(f"the stored answers as they are: {test.verdict}"))
        lines.append(Line("share of test sets, resampled from this one, on which the gain passes:"))
    return [*lines, *(_rate(test, rate) for rate in test.rates)]


def _sabotage(one: Sabotage) -> Line:
    if not one.refused:
        return Line(f"  GREEN    {one.name}", "red")
    names = ", ".join(dict.fromkeys(check.name for check in one.checks))
    return Line(printable(f"  refused  {one.name}: {names}"), "green")


def _rate(test: Selftest, rate: PassRate) -> Line:
    gain = "no gain" if not rate.gain else show_difference(rate.gain, share=test.share)
    if rate.passed is None:
        return Line(f"  {gain}: the baseline leaves no room for it")
    return Line(f"  {gain}: {show_value(rate.passed, share=True)}")
