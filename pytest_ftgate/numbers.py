"""Numbers as people read them: one place, so that every report says the same thing the same way."""

from __future__ import annotations

from collections.abc import Sequence

FARTHEST = 1e12
"""From 0, of the ends of a range of scores: with what is beyond, sums of differences lose their digits or overflow."""


def is_share(metric_range: Sequence[float] | None) -> bool:
    """A metric on [0, 1] is shown in percent and its differences in points."""
    return metric_range is not None and tuple(metric_range) == (0.0, 1.0)


def show_value(value: float | None, *, share: bool) -> str:
    """``0.8125`` as ``81.2 %``, or as ``0.812`` where the metric is no share."""
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if share else f"{value:.3f}"


def show_difference(value: float | None, *, share: bool) -> str:
    """``0.059`` as ``+5.9 points``, or as ``+0.059`` where the metric is no share."""
    if value is None:
        return "unknown"
    value = value or 0.0  # no "-0.0"
    return f"{100 * value:+.1f} points" if share else f"{value:+.3f}"


def show_amount(value: float, *, share: bool) -> str:
    """A margin or a distance, without sign: ``5 points``, ``0.05``."""
    if not share:
        return f"{value:g}"
    return f"{100 * value:.4g} {'point' if 100 * value == 1 else 'points'}"


def sure_of_drop(lower: float, confidence: float, *, share: bool) -> str:
    """The lower bound of the gain in words: ``95 % sure of at most 1.3 points``."""
    sure = f"{100 * confidence:g} % sure"
    if lower > 0:
        return f"{sure} that it is better by at least {show_difference(lower, share=share).removeprefix('+')}"
    return f"{sure} of at most {show_difference(-lower, share=share).removeprefix('+')}"


def show_seconds(value: float | None) -> str:
    """``0.0421`` as ``42 ms``, ``3.2`` as ``3.2 s``."""
    if value is None:
        return "-"
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.1f} s"


def show_usd(value: float | None) -> str:
    """Money with enough digits that little does not look like nothing; unknown is not zero."""
    if value is None:
        return "unknown"
    if round(value, 4) >= 1:
        return f"${value:,.2f}"
    return "$0" if not value else f"${value:.4f}" if value >= 0.001 else f"${value:.2g}"


def show_count(value: int | None) -> str:
    """``12345`` as ``12,345``."""
    return "-" if value is None else f"{value:,}"


def show_number(value: float) -> str:
    """A large number, whole or not: ``200,000``, ``0.5``."""
    return f"{value:,.10g}"


def settled_by(what: str, needed: int, have: int, noun: str) -> str:
    """How many examples in all would settle a question, as advice says it.

    Args:
        what: is taken to be as it was measured: ``gain``, ``difference``.
        needed: for a power of 0.8.
        have: there are now.
        noun: what they are, in the singular.
    """
    return (
        f"If the {what} is really what was seen, about {plural(needed, noun)} in all "
        f"({max(needed - have, 1):,} more) would settle it, 4 times out of 5."
    )


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """``1 example``, ``2 examples``."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def show_age(seconds: float) -> str:
    """How long ago, in one unit: ``3 days``."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            return plural(int(seconds // size), unit)
    return plural(int(seconds), "second")
