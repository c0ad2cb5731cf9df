"""The rules for the size and the format of the test set, and for what it can show."""

from collections.abc import Iterator

from pytest_ftgate.checks.context import Context
from pytest_ftgate.config import keys_of
from pytest_ftgate.result import Check
from pytest_ftgate.statistics.groups import MIN_GROUPS, group_counts
from pytest_ftgate.statistics.planning import fewest_wins
from pytest_ftgate.text import plural


def check_size(gate: Context) -> Iterator[Check]:
    """Check that there are enough test examples, and note where a ``limit`` reads only a part of a file."""
    config, needed = gate.config, gate.config.min_test_examples
    examples = len(gate.whole)
    enough = examples >= needed
    yield Check(
        "min_test_examples",
        "pass" if enough else "fail",
        f"{plural(examples, 'test example')} ({needed:,} required)",
        observed=examples,
        **gate.requirement("min_test_examples"),
        advice=None if enough else f"Label {plural(needed - examples, 'more test example')}.",
        action="add_examples",
    )
    test, training = (
        None if keys is None else keys.limit for keys in map(keys_of, (config.test_set, config.training_set))
    )
    if test is not None:
        message = f"only the first {plural(test, 'row')} of {config.test_set} are used (limit)"
        yield Check("min_test_examples", "note", message, observed=test, source=gate.source("test_set"))
    if training is not None:
        message = f"only the first {plural(training, 'row')} of {config.training_set} were checked (limit)"
        advice = "Remove limit from training_set, so that all rows that the candidate was trained on are checked."
        source = gate.source("training_set")
        yield Check("min_training_examples", "warning", message, observed=training, source=source, advice=advice)


def check_reach(gate: Context) -> Iterator[Check]:
    """Check that the test set has enough examples, or groups of them, for the evidence."""
    config, n = gate.config, len(gate.test)
    groups = group_counts(gate.groups, n)
    if groups is not None and config.evidence != "observed":
        if groups[1] < MIN_GROUPS:
            yield _few_groups(gate, *groups)
    elif not config.matches and gate.deciding.kind == "right_wrong" and config.repeats == 1 and n:
        standard = max((config.standard_of(role) for role in config.decisive), key=lambda one: one.gain)
        wins = fewest_wins(n, margin=standard.gain, confidence=config.confidence, evidence=config.evidence)
        by_evidence = fewest_wins(n, margin=0.0, confidence=config.confidence, evidence=config.evidence)
        yield _reach(n, wins, gate.source("evidence" if wins == by_evidence else standard.path))


def _reach(examples: int, wins: int | None, source: str | None) -> Check:
    """Return how many examples a candidate must fix to pass, if it breaks none; ``source``: of what decides that."""
    counted = plural(examples, "example")
    if wins is not None:
        message = f"to pass with {counted}, fix at least {wins:,} and break none"
        return Check("min_wins", "note", message, observed=examples, required=wins, source=source)
    message = f"{counted} are too few: even a perfect candidate could not pass"
    advice = "Label more test examples."
    return Check("min_wins", "inconclusive", message, examples, None, source, advice, "add_examples")


def _few_groups(gate: Context, groups: int, counted: int) -> Check:
    """Refuse too few groups of examples: they do not generalise to other groups."""
    alike = counted == groups
    worth = "" if alike else f" of unequal sizes, which count as {counted}"
    larger = "" if alike else ", or remove some from the largest group"
    return Check(
        "min_wins",
        "inconclusive",
        f"{plural(groups, 'group')} of test examples{worth} ({MIN_GROUPS} required)",
        observed=counted,
        required=MIN_GROUPS,
        source=gate.source("test_set"),
        advice=f"Add test examples of new groups{larger}; more of the same groups do not help.",
        action="add_examples",
    )


def check_format(gate: Context) -> Iterator[Check]:
    """Note the format that was recognised by the keys of the rows, and warn where it leaves test examples out."""
    sets = {"test set": gate.test, "training set": gate.training, **gate.test_sets}
    sets = {name: data for name, data in sets.items() if data.recognised}
    if sets:
        told = "; ".join(
            f"{name}: {data.recognised}, {plural(len(data), 'row')}"
            f"{f' ({data.told_left_out})' if data.left_out else ''}"
            for name, data in sets.items()
        )
        left_out = sum(data.left_out for data in sets.values())
        if any(data.left_out for name, data in sets.items() if name != "training set"):
            cure = "If these rows are test examples, name another format: {path: ..., format: chat}."
            yield Check("chat_format", "warning", told, left_out, advice=cure)
        else:
            yield Check("chat_format", "note", told, left_out)
