"""The rules for the size and the format of the test set, and for what it can show."""

from collections.abc import Iterator

from pytest_ftgate import result, text
from pytest_ftgate.checks.context import Context
from pytest_ftgate.config import keys_of
from pytest_ftgate.statistics import groups, planning


def check_size(gate: Context) -> Iterator[result.Check]:
    """Check that there are enough test examples, and note where a ``limit`` reads only a part of a file."""
    config, needed, examples = gate.config, gate.config.min_test_examples, len(gate.test)
    message = f"{text.plural(examples, 'test example')} ({needed:,} required)"
    if gate.shown is not None:
        message += f", without {len(gate.shown.test):,} that may be shown"
    fields = gate.requirement("min_test_examples")
    if examples < needed:
        fields |= {"advice": f"Label {text.plural(needed - examples, 'more test example')}."}
    yield result.Check(
        "min_test_examples", "pass" if examples >= needed else "fail", message, examples, **fields
    )
    test, training = (
        keys.limit if keys else None
        for keys in map(keys_of, (config.test_set, config.training_set))
    )
    if test is not None:
        message = f"only the first {text.plural(test, 'row')} of {config.test_set} are used (limit)"
        yield result.Check(
            "min_test_examples", "note", message, observed=test, source=gate.source("test_set")
        )
    if training is not None:
        message = f"only the first {text.plural(training, 'row')} of {config.training_set} were checked (limit)"
        advice = "Remove limit from training_set, so that all rows that the candidate was trained on are checked."
        source = gate.source("training_set")
        yield result.Check(
            "min_training_examples",
            "warning",
            message,
            observed=training,
            source=source,
            advice=advice,
        )


def check_reach(gate: Context) -> Iterator[result.Check]:
    """Check that the test set has enough examples, or groups of them, for the evidence."""
    config, n = gate.config, len(gate.test)
    counts = groups.group_counts(gate.groups, n)
    proves = any(gate.evidence_of(role) != "observed" for role in config.baselines)
    if counts is not None and proves:
        yield from [_few_groups(gate, *counts)] if counts[1] < groups.MIN_GROUPS else []
    elif (
        config.asked_by == "margin"
        and gate.deciding.kind == "right_wrong"
        and config.repeats == 1
        and n
    ):
        standard = max(
            (config.standard_of(role) for role in config.decisive), key=lambda one: one.gain
        )
        wins = planning.fewest_wins(
            n, margin=standard.gain, confidence=config.confidence, evidence=config.evidence
        )
        by_evidence = planning.fewest_wins(
            n, margin=0.0, confidence=config.confidence, evidence=config.evidence
        )
        yield _reach(n, wins, gate.source("evidence" if wins == by_evidence else standard.path))


def _reach(examples: int, wins: int | None, source: str | None) -> result.Check:
    """Return how many examples a candidate must fix to pass, if it breaks none; ``source``: of what decides that."""
    counted = text.plural(examples, "example")
    if wins is not None:
        message = f"to pass with {counted}, fix at least {wins:,} and break none"
        return result.Check(
            "min_wins", "note", message, observed=examples, required=wins, source=source
        )
    message = f"{counted} are too few: even a perfect candidate could not pass"
    advice = "Label more test examples."
    return result.Check("min_wins", "inconclusive", message, examples, None, source, advice)


def _few_groups(gate: Context, n: int, counted: int) -> result.Check:
    """Refuse too few groups of examples: they do not generalise to other groups."""
    worth, larger = (
        f" of unequal sizes, which count as {counted}",
        ", or remove some from the largest group",
    )
    worth, larger = ("", "") if counted == n else (worth, larger)
    message = f"{text.plural(n, 'group')} of test examples{worth} ({groups.MIN_GROUPS} required)"
    numbers = counted, groups.MIN_GROUPS, gate.source("test_set")
    advice = f"Add test examples of new groups{larger}; more of the same groups do not help."
    return result.Check("min_wins", "inconclusive", message, *numbers, advice)


def check_format(gate: Context) -> Iterator[result.Check]:
    """Note the format that was recognised by the keys of the rows, and warn where it leaves test examples out."""
    sets = {"test set": gate.test, "training set": gate.training, **gate.test_sets}
    sets = {name: data for name, data in sets.items() if data.recognised}
    left = {name: f" ({data.told_left_out})" for name, data in sets.items() if data.left_out}
    told = (
        f"{name}: {one.recognised}, {text.plural(len(one), 'row')}{left.get(name, '')}"
        for name, one in sets.items()
    )
    lost = left.keys() - {"training set"}
    cure = (
        "If these rows are test examples, name another format: {path: ..., format: chat}."
        if lost
        else None
    )
    if sets:
        count = sum(data.left_out for data in sets.values())
        yield result.Check(
            "chat_format", "warning" if lost else "note", "; ".join(told), count, advice=cure
        )
