"""The rules for the size and the format of the test set, and for what it can show."""

from collections.abc import Iterator

from pytest_ftgate.checks.context import Context
from pytest_ftgate.result import Check, Status
from pytest_ftgate.statistics.groups import MIN_GROUPS, group_counts
from pytest_ftgate.statistics.planning import fewest_wins
from pytest_ftgate.text import plural


def check_size(gate: Context) -> Iterator[Check]:
    """Check that there are enough test examples, and that no ``limit`` hides training rows."""
    n = len(gate.test)
    needed = gate.config.min_test_examples
    message = f"{plural(n, 'test example')} ({needed:,} required)"
    if gate.shown is not None:
        message += f", without {len(gate.shown.test):,} that may be shown"
    fields = gate.requirement("min_test_examples")
    if n >= needed:
        yield Check("min_test_examples", "pass", message, observed=n, **fields)
    else:
        cure = f"Label {plural(needed - n, 'more test example')}."
        yield Check("min_test_examples", "fail", message, observed=n, **fields, cure=cure)

    training = gate.config.training_set
    if training.limit is not None:
        message = f"only the first {plural(training.limit, 'row')} of {training} were checked "
        message += "(limit)"
        source = gate.source("training_set")
        cure = "Remove limit from training_set, so that all rows that the candidate was trained "
        cure += "on are checked."
        yield Check(
            "min_training_examples",
            "warning",
            message,
            observed=training.limit,
            source=source,
            cure=cure,
        )


def check_reach(gate: Context) -> Iterator[Check]:
    """Check that the test set has enough examples, or groups of them, for the evidence."""
    config = gate.config
    n = len(gate.gain_set)
    counts = group_counts(gate.gain_set.groups, n)
    proves = any(gate.evidence_of(role) != "observed" for role in config.baselines)
    if counts is not None and proves:
        n_groups, counted = counts
        if counted < MIN_GROUPS:
            yield _few_groups(gate, n_groups, counted)
        return

    is_counted = gate.deciding.kind == "right_wrong" and config.repeats == 1
    if is_counted and config.asked_by == "margin" and n:
        yield _few_examples(gate, n)


def _few_examples(gate: Context, n: int) -> Check:
    """Return how many examples a candidate must fix to pass, if it breaks none."""
    config = gate.config
    standards = map(config.standard_of, config.decisive)
    strictest = max(standards, key=lambda standard: standard.gain)
    wins = fewest_wins(
        n,
        margin=strictest.gain,
        confidence=config.confidence,
        evidence=config.evidence,
    )
    source = gate.source(strictest.path)

    examples = plural(n, "example")
    if wins is not None:
        message = f"to pass with {examples}, fix at least {wins:,} and break none"
        return Check("min_fixed", "note", message, observed=n, required=wins, source=source)
    message = f"{examples} are too few: even a perfect candidate could not pass"
    cure = "Label more test examples."
    return Check("min_fixed", "inconclusive", message, observed=n, source=source, cure=cure)


def _few_groups(gate: Context, n_groups: int, counted: int) -> Check:
    """Refuse too few groups of examples: they do not generalise to other groups."""
    message = f"{plural(n_groups, 'group')} of test examples"
    cure = "Add test examples of new groups; more of the same groups do not help."
    if counted != n_groups:
        message += f" of unequal sizes, which count as {counted}"
    message += f" ({MIN_GROUPS} required)"
    if gate.audit.test_near_rows:
        message += "; near duplicates count as one group"
    source = gate.source("test_set")
    return Check(
        "min_fixed",
        "inconclusive",
        message,
        observed=counted,
        required=MIN_GROUPS,
        source=source,
        cure=cure,
    )


def check_format(gate: Context) -> Iterator[Check]:
    """Report the formats that were recognized; warn of test examples that one leaves out."""
    formats = []
    left_out = 0
    status: Status = "note"
    cure = None
    sets = {"test set": gate.test, "training set": gate.training, **gate.test_sets}
    if gate.unlabeled is not None:
        sets["unlabeled set"] = gate.unlabeled.data
    for name, data in sets.items():
        if not data.recognized:
            continue
        unit = "turn" if data.by_turn else "row"
        message = f"{name}: {data.recognized}, {plural(len(data), unit)}"
        if data.left_out:
            message += f" ({data.told_left_out})"
            left_out += data.left_out
            # what a training format leaves out is meant to be left out
            if data is not gate.training:
                status = "warning"
                cure = "If these rows are test examples, name another format: "
                cure += "{path: ..., format: chat}."
        formats.append(message)
    if formats:
        yield Check("chat_format", status, "; ".join(formats), observed=left_out, cure=cure)
