"""The test set: its size, and what a gain on so many examples or groups could show. Said before any call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_ftgate.result import Check
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context


def check_size(gate: Context) -> Iterator[Check]:
    """Check that there are enough test examples, and say where a file is read in part."""
    config, examples, needed = gate.config, len(gate.test), gate.config.min_test_examples
    enough = examples >= needed
    yield Check(
        "min_test_examples",
        "pass" if enough else "fail",
        f"{plural(examples, 'test example')}, {needed:,} needed",
        observed=examples,
        **gate.requirement("min_test_examples"),
        advice=None if enough else f"Label {plural(needed - examples, 'more example')}.",
        action="add_examples",
    )
    test, training = (getattr(data, "limit", None) for data in (config.test_set, config.training_set))
    if test is not None:
        message = f"of {config.test_set} no more than the first {plural(test, 'row')} count"
        yield Check("test_set_limit", "note", message, observed=test, source=gate.source("test_set"))
    if training is not None:
        message = f"of {config.training_set} no more than the first {plural(training, 'row')} were looked at"
        source, advice = gate.source("training_set"), "Look at all that the candidate was trained on."
        yield Check("training_set_limit", "warning", message, observed=training, source=source, advice=advice)


def check_reach(gate: Context) -> Iterator[Check]:
    """Check that so many examples, or groups of them, can be evidence at all."""
    from pytest_ftgate.statistics import MIN_GROUPS, effective_groups, fewest_wins, group_codes, group_sizes

    config, n = gate.config, len(gate.test)
    groups = group_codes(gate.groups, n)
    if groups is not None and config.evidence != "observed":
        sizes = group_sizes(groups)
        if (counted := effective_groups(sizes)) < MIN_GROUPS:
            yield _few_groups(gate, len(sizes), counted, MIN_GROUPS)
    elif config.objective == "beat" and gate.deciding.kind == "right_wrong" and config.repeats == 1 and n:
        wins = fewest_wins(n, margin=config.asked_gain, confidence=config.confidence, evidence=config.evidence)
        yield _reach(gate, n, wins)


def _reach(gate: Context, examples: int, wins: int | None) -> Check:
    """What the evidence asks of this many examples at best."""
    source, counted = gate.source("evidence"), plural(examples, "example")
    if wins is not None:
        message = f"with {counted} this gate needs at least {wins:,} fixed and none broken"
        return Check("reach", "note", message, observed=examples, required=wins, source=source)
    message = f"no result on {counted} could meet this gate, not even one that fixes every one"
    advice = "Label more test examples."
    return Check("reach", "inconclusive", message, examples, None, source, advice, "add_examples")


def _few_groups(gate: Context, groups: int, counted: int, needed: int) -> Check:
    """Too few groups of examples that belong together say nothing about the next group."""
    alike = counted == groups
    worth = "" if alike else f", of such different sizes that they count as {counted}"
    larger = "" if alike else ", or leave out some of those from the largest"
    return Check(
        "groups",
        "inconclusive",
        f"{plural(groups, 'group')} of test examples{worth}, {needed} needed to judge a gain",
        observed=counted,
        required=needed,
        source=gate.source("test_set"),
        advice=f"Add test examples from other groups{larger}; more from the same ones do not help.",
        action="add_examples",
    )
