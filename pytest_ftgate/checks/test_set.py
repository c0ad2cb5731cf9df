"""The test set: its size, and what a gain on so many examples or groups could show. Said before any call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ftgate.result import Check
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys


def check_size(gate: Context) -> list[Check]:
    """Check that there are enough test examples, and say where a file is read in part."""
    return [size_check(gate.config, len(gate.test)), *limit_checks(gate.config)]


def check_reach(gate: Context) -> list[Check]:
    """Check that so many examples, or groups of them, can be evidence at all."""
    from pytest_ftgate.statistics import MIN_GROUPS, effective_groups, fewest_wins, group_codes, group_sizes

    config, n = gate.config, len(gate.test)
    groups = group_codes(gate.groups, n)
    if groups is not None and config.evidence != "observed":
        sizes = group_sizes(groups)
        few = groups_check(config, len(sizes), effective_groups(sizes), MIN_GROUPS)
        return [few] if few else []
    if config.objective == "beat" and gate.deciding.kind == "right_wrong" and config.repeats == 1 and n:
        wins = fewest_wins(n, margin=config.asked_gain, confidence=config.confidence, evidence=config.evidence)
        return [reach_check(config, n, wins)]
    return []


def size_check(config: GateKeys, examples: int) -> Check:
    """At least ``min_test_examples`` examples."""
    needed = config.min_test_examples
    held = examples >= needed
    return Check(
        "min_test_examples",
        "pass" if held else "fail",
        f"{plural(examples, 'test example')}, {needed:,} needed",
        observed=examples,
        required=needed,
        source=str(config.sources["min_test_examples"]),
        advice=None if held else f"Label {plural(needed - examples, 'more example')}.",
        action="add_examples",
    )


def limit_checks(config: GateKeys) -> list[Check]:
    """Where a file is read in part: what stands in the rest has no part in the verdict."""
    test, training = (getattr(data, "limit", None) for data in (config.test_set, config.training_set))
    found = []
    if test is not None:
        message = f"of {config.test_set} no more than the first {plural(test, 'row')} count"
        source = str(config.sources["test_set"])
        found.append(Check("test_set_limit", "note", message, observed=test, source=source))
    if training is not None:
        message = f"of {config.training_set} no more than the first {plural(training, 'row')} were looked at"
        source, advice = str(config.sources["training_set"]), "Look at all that the candidate was trained on."
        found.append(Check("training_set_limit", "warning", message, observed=training, source=source, advice=advice))
    return found


def reach_check(config: GateKeys, examples: int, wins: int | None) -> Check:
    """What the evidence asks of this many examples at best: said before any call, for free."""
    if wins is None:
        return Check(
            "reach",
            "inconclusive",
            f"no result on {plural(examples, 'example')} could meet this gate, not even one that fixes every one",
            observed=examples,
            source=str(config.sources["evidence"]),
            advice="Label more test examples.",
            action="add_examples",
        )
    return Check(
        "reach",
        "note",
        f"with {plural(examples, 'example')} this gate needs at least {wins:,} fixed and none broken",
        observed=examples,
        required=wins,
        source=str(config.sources["evidence"]),
    )


def groups_check(config: GateKeys, groups: int, counted: int, needed: int) -> Check | None:
    """Too few groups of examples that belong together say nothing about the next group.

    Args:
        config: for the source.
        groups: how many there are.
        counted: how many of one size they are worth.
        needed: of one size.
    """
    if counted >= needed:
        return None
    alike = counted == groups
    said = "" if alike else f", of such different sizes that they count as {counted}"
    larger = "" if alike else ", or leave out some of those from the largest"
    return Check(
        "groups",
        "inconclusive",
        f"{plural(groups, 'group')} of test examples{said}, {needed} needed to judge a gain",
        observed=counted,
        required=needed,
        source=str(config.sources["test_set"]),
        advice=f"Add test examples from other groups{larger}; more from the same ones do not help.",
        action="add_examples",
    )
