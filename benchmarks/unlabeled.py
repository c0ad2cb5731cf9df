"""How often a gate with ``unlabeled_set`` is wrong, how many labels it takes, and what that shows.

    nice python benchmarks/unlabeled.py                 all tables (about six minutes)
    nice python benchmarks/unlabeled.py --null          one of them
    nice python benchmarks/unlabeled.py --quick         two repetitions, to see that it runs

    --null      false passes where the true gain is just not enough
    --equal     the gain by the labels that are needed, and by all labels; also as files
    --power     the chance to show a gain, beside that of as many labeled examples
    --cure      what comes of "as unlabeled_set, 354 inputs need only about 60 labels"
    --plan      what comes of the same sentence in --ftgate-plan

The rows of a gate are drawn, a labeler labels those that need a label, and the product's own scores
and comparison decide. ``docs/methods.md`` quotes the tables.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from evidence import Scale, head, row, with_error
from verdicts import sentence, write_rows

from pytest_ftgate import GateResult
from pytest_ftgate.checks.prospects import needed_for
from pytest_ftgate.data import DataSet, Example
from pytest_ftgate.judging import judge
from pytest_ftgate.metrics import Scored
from pytest_ftgate.metrics.text import ExactMatch
from pytest_ftgate.runs.measure import compare_scored, score_known
from pytest_ftgate.statistics.compare import compare_right_wrong
from pytest_ftgate.statistics.evidence import Comparison
from pytest_ftgate.statistics.planning import chances

LABELS = np.array(["refund", "invoice", "shipping", "cancel", "login"])
METRIC = ExactMatch()
RIGHT = 0.75
"""The share of the rows that the candidate has right."""


# --- one gate -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Design:
    """Hold what a gate asks, and how its rows are drawn.

    Attributes:
        gains: the true ones of the candidate over each baseline.
        margin, evidence: what is asked of each.
        differ: the share of the rows that one of the two models alone has right.
        both_wrong: the share on which both are wrong with different answers.
        tested, inputs: the rows of the test set, and of the unlabeled set.
        known: the share of the inputs that have a label beforehand.
        mistaken: the share of the labels that are wrong.
        repeats: of each answer, of which ``slips`` are by chance wrong.
        group: rows of a group, of which each gains more or less; most are in both sets.
        copies: pairs of rows with the same label and answers, in one set or in both.
        shift: by how much more the candidate gains on the inputs than on the test set.
    """

    gains: tuple[float, ...] = (0.0,)
    margin: float = 0.01
    evidence: str = "significant"
    differ: float = 0.16
    both_wrong: float = 0.05
    tested: int = 60
    inputs: int = 240
    known: float = 0.0
    mistaken: float = 0.0
    repeats: int = 1
    slips: float = 0.1
    group: int = 1
    copies: int = 0
    shift: float = 0.0

    @property
    def n(self) -> int:
        return self.tested + self.inputs

    @property
    def standard(self) -> dict[str, Any]:
        return {"margin": self.margin, "evidence": self.evidence, "confidence": 0.95}


@dataclass(frozen=True)
class Rows:
    """Hold the rows of a gate.

    Attributes:
        labels: as a labeler writes them, ``(rows,)``.
        is_known: which of them are there beforehand.
        answers: of each model, ``(repeats, rows)``.
        groups: of the rows; None if each is alone.
    """

    labels: np.ndarray
    is_known: np.ndarray
    answers: dict[str, np.ndarray]
    groups: np.ndarray | None

    @property
    def to_label(self) -> np.ndarray:
        """Return which rows without a label the candidate answers unlike any of the baselines."""
        new = self.answers["candidate"]
        are_different = np.zeros(len(self.labels), dtype=bool)
        for said in self.answers.values():
            are_different |= (said != new).any(axis=0)
        return are_different & ~self.is_known


def other_labels(rng: np.random.Generator, numbers: np.ndarray, *, by: Sequence[int]) -> np.ndarray:
    """Return other labels, each so many places further."""
    return (numbers + rng.choice(by, len(numbers))) % len(LABELS)


def drawn(rng: np.random.Generator, design: Design) -> Rows:
    """Draw the rows of a gate."""
    n = design.n
    gold = rng.integers(len(LABELS), size=n)
    extra = np.zeros(n)
    extra[: design.tested] = -design.shift * design.inputs / n
    extra[design.tested :] = design.shift * design.tested / n
    groups = None
    if design.group > 1:
        groups = rng.permutation(n) // design.group
        extra += rng.choice([-0.12, 0.12], n)[groups]

    is_right = rng.random(n) < RIGHT
    new = np.where(is_right, gold, other_labels(rng, gold, by=[1, 2]))
    usual = {"candidate": new}
    for number, gain in enumerate(design.gains):
        differ = max(design.differ, gain + 0.02)
        chance = rng.random(n)
        fixed = is_right & (chance < (differ + gain + extra) / 2 / RIGHT)
        broken = ~is_right & (chance < (differ - gain - extra) / 2 / (1 - RIGHT))
        otherwise = ~is_right & (chance > 1 - design.both_wrong / (1 - RIGHT))
        old = np.where(fixed, other_labels(rng, gold, by=[1, 2]), new)
        old[broken] = gold[broken]
        old[otherwise] = other_labels(rng, gold, by=[3, 4])[otherwise]
        usual[f"baseline{number}"] = old

    is_mistaken = rng.random(n) < design.mistaken
    labels = np.where(is_mistaken, other_labels(rng, gold, by=[1, 2, 3, 4]), gold)
    if design.copies:
        first, second = rng.permutation(n)[: 2 * design.copies].reshape(2, -1)
        for values in (gold, labels, *usual.values()):
            values[second] = values[first]
        groups = np.arange(n)
        groups[second] = first

    answers = {}
    for role, said in usual.items():
        repeats = np.tile(said, (design.repeats, 1))
        for repeat in repeats[:, None] if design.repeats > 1 else ():
            slips = rng.random(n) < design.slips
            repeat[0, slips] = other_labels(rng, gold, by=[1, 2])[slips]
        answers[role] = LABELS[repeats]
    has_label = rng.random(design.inputs) < design.known
    is_known = np.append(np.ones(design.tested, dtype=bool), has_label)
    return Rows(LABELS[labels], is_known, answers, groups)


def compared(
    rows: Rows, design: Design, *, all_labels: bool = False, bounds: bool = False
) -> dict[str, Comparison]:
    """Return the gain over each baseline by the labels that are needed, or by all labels."""
    has_label = rows.is_known | rows.to_label | all_labels
    expected = np.where(has_label, rows.labels, None).tolist()
    scores = {}
    for role, said in rows.answers.items():
        scores[role] = score_known(METRIC, expected, said.tolist())

    candidate = scores.pop("candidate")
    asked = {**design.standard, "groups": rows.groups, "bounds": bounds}
    return {role: compare_scored(score, candidate, **asked) for role, score in scores.items()}


def status_of(comparisons: dict[str, Comparison]) -> str:
    """Return what a gate says that asks for each gain: the worst counts."""
    statuses = {comparison.status for comparison in comparisons.values()}
    return next(status for status in ("fail", "inconclusive", "pass") if status in statuses)


# --- false passes ---------------------------------------------------------------------------------

PROVEN = {"gains": (0.05,), "margin": 0.05, "evidence": "proven"}
DROP = {"gains": (-0.05,), "margin": -0.05, "evidence": "proven"}
NULLS = {
    "no input is labeled": Design(),
    "25 % of the inputs are": Design(known=0.25),
    "50 %": Design(known=0.5),
    "100 %": Design(known=1.0),
    "the margin of 5 is to be proven": Design(**PROVEN),
    "`max_drop` of 5": Design(**DROP),
    "30 labeled, 60 inputs": Design(tested=30, inputs=60),
    "60 labeled, 1,000 inputs, 6 % differ": Design(inputs=1_000, differ=0.06, both_wrong=0.02),
    "+12 points on the inputs, -12 on the labeled": Design(tested=150, inputs=150, shift=0.24),
    "groups of 5 over both sets": Design(group=5),
    "groups of 5, `max_drop` of 3": Design(
        gains=(-0.03,), margin=-0.03, evidence="proven", group=5
    ),
    "60 pairs of copies within and across": Design(copies=60),
    "60 pairs of copies, 5 to be proven": Design(**PROVEN, copies=60),
    "two equal baselines": Design(gains=(0.0, 0.0)),
    "two baselines, one 20 points worse": Design(gains=(0.0, 0.2)),
    "3 % of the labels are wrong": Design(mistaken=0.03),
    "3 % wrong, 5 to be proven": Design(**PROVEN, mistaken=0.03),
    "3 % wrong, `max_drop` of 5": Design(**DROP, mistaken=0.03),
    "3 repeats": Design(repeats=3),
    "3 repeats, `max_drop` of 4.5": Design(
        gains=(-0.05,), margin=-0.045, evidence="proven", repeats=3
    ),
}
"""Gates whose true gain is just not enough."""


def null_table(scale: Scale) -> None:
    """Print how often gates pass whose true gain is just not enough."""
    repetitions = scale.repetitions(5_000)
    title = "false passes at the boundary, in percent (standard error); 60 labeled, 240 inputs, "
    title += "margin 1, the models differ on 16 %, unless said otherwise; simulated "
    title += f"({repetitions:,} gates a design), and enumerated where rows are independent"
    head(title, "design", "labels needed", "false passes", "enumerated")
    for number, (name, design) in enumerate(NULLS.items()):
        rng = np.random.default_rng([1, number])
        passed = 0
        labels = 0
        for _ in range(repetitions):
            rows = drawn(rng, design)
            labels += int(rows.to_label.sum())
            passed += status_of(compared(rows, design)) == "pass"
        needed = f"{labels / repetitions:.0f} of {design.inputs:,}"
        row(name, needed, with_error(passed / repetitions, repetitions), enumerated(design))


def enumerated(design: Design) -> str:
    """Return the exact share of false passes; "" where rows depend on each other, or repeat."""
    if design.group > 1 or design.copies or design.shift or design.repeats > 1:
        return ""
    if len(design.gains) > 1:
        return ""

    fixed = (design.differ + design.gains[0]) / 2
    broken = (design.differ - design.gains[0]) / 2
    # A wrong label is one of four others, of which one may be the other model's answer.
    moved = design.mistaken / (len(LABELS) - 1)
    kept = 1 - design.mistaken
    seen_fixed = fixed * kept + (broken + design.both_wrong) * moved
    seen_broken = broken * kept + (fixed + design.both_wrong) * moved
    of_truth = {"gain": seen_fixed - seen_broken, "disagreement": seen_fixed + seen_broken}
    return f"{100 * chances(design.n, **design.standard, **of_truth).passed:.1f}"


# --- the same gain as by all labels ---------------------------------------------------------------

GAIN = ("gain", "lower_bound", "upper_bound", "n", "fixed", "broken", "shown", "reached")


def facts_of(comparison: Any) -> list[Any]:
    return [getattr(comparison, name) for name in GAIN]


def equal_table(scale: Scale) -> None:
    """Print in how many gates the gain is that of all labels, to the last digit."""
    repetitions = scale.repetitions(50)
    title = "gates whose gain, bounds, fixed and broken are those by all labels, to the last digit"
    head(title, "design", "by the product's comparison", "by whole gates, from files")
    for name, design in scale.of(NULLS.items()):
        rng = np.random.default_rng(2)
        n_equal = 0
        for _ in range(repetitions):
            rows = drawn(rng, design)
            some = compared(rows, design, bounds=True)
            whole = compared(rows, design, bounds=True, all_labels=True)
            n_equal += all(facts_of(some[role]) == facts_of(whole[role]) for role in some)

        # Near copies are found by their texts there, and not given.
        n_gates = scale.repetitions(3)
        n_same = sum(is_judged_alike(rng, drawn(rng, design), design) for _ in range(n_gates))
        row(name, f"{n_equal} of {repetitions}", f"{n_same} of {n_gates}")


def is_judged_alike(rng: np.random.Generator, rows: Rows, design: Design) -> bool:
    """Return whether a whole gate needs the same labels, and has the same gains."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = written(random.Random(int(rng.integers(1 << 30))), rows, design, folder)
        first = judged(folder, keys)
        needed = {f"r{number}" for number in np.flatnonzero(rows.to_label)}
        if first.unlabeled is None or {example.id for example in first.unlabeled.rows} != needed:
            return False

        todo = []
        for number in np.flatnonzero(rows.to_label).tolist():
            todo.append({"id": f"r{number}", "expected": str(rows.labels[number])})
        write_rows(folder / "todo.jsonl", todo)
        keys["unlabeled_set"] = {"path": "inputs.jsonl", "labels": "todo.jsonl"}
        second = judged(folder, keys)

    expected = compared(rows, design, bounds=True, all_labels=True)
    gains = {role: facts_of(second.gains[role]) for role in expected}
    return gains == {role: facts_of(comparison) for role, comparison in expected.items()}


def judged(folder: Path, keys: dict[str, Any]) -> GateResult:
    config = folder / "ftgate.yaml"
    config.write_text(json.dumps({"version": 1, "gates": {"gate": keys}}), encoding="utf-8")
    return judge("gate", config=str(config))


def written(chance: random.Random, rows: Rows, design: Design, folder: Path) -> dict[str, Any]:
    """Write the files of a gate, and return its keys."""
    examples = []
    for number, label in enumerate(rows.labels.tolist()):
        example = {"id": f"r{number}", "input": sentence(chance)}
        example["expected"] = label if rows.is_known[number] else ""
        if rows.groups is not None:
            example["group"] = f"g{rows.groups[number]}"
        examples.append(example)
    write_rows(folder / "test.jsonl", examples[: design.tested])
    write_rows(folder / "inputs.jsonl", examples[design.tested :])

    training = [{"input": sentence(chance), "expected": chance.choice(LABELS)} for _ in range(200)]
    write_rows(folder / "train.jsonl", training)
    for role, repeats in rows.answers.items():
        answers = []
        for repeat, said in enumerate(repeats.tolist()):
            for number, output in enumerate(said):
                answer = {"id": f"r{number}", "output": output, "repeat": repeat}
                answers.append({**answer, "latency_s": 1.0})
        write_rows(folder / f"{role}.jsonl", answers)

    asked: dict[str, Any] = {"margin": design.margin}
    if design.margin < 0:
        asked = {"max_drop": -design.margin, "faster_by": 2}
    baselines = [role for role in rows.answers if role != "candidate"]
    return {
        "metric": "exact_match",
        "test_set": "test.jsonl",
        "unlabeled_set": "inputs.jsonl",
        "training_set": "train.jsonl",
        "baselines": {role: f"recorded:{role}.jsonl" for role in baselines},
        "candidate": "recorded:candidate.jsonl",
        "evidence": design.evidence,
        "repeats": design.repeats,
        **asked,
    }


# --- what labels show -----------------------------------------------------------------------------


def power_table(scale: Scale) -> None:
    """Print the chance to show a gain, beside that of as many labeled examples."""
    repetitions = scale.repetitions(1_000)
    title = "chance to pass margin 1 in percent; 60 labeled examples, and inputs of which those "
    title += "with different answers are labeled (simulated, standard error at most 1.6); then 60 "
    title += "and as many labels at random, or all (enumerated)"
    columns = ("inputs", "true gain", "differ", "labels", "unlabeled_set", "as many", "all")
    head(title, *columns)
    cases = ((140, 0.08, 0.12), (280, 0.05, 0.09), (500, 0.03, 0.06), (1_000, 0.03, 0.06))
    for inputs, gain, differ in scale.of(cases):
        design = Design(gains=(gain,), differ=differ, both_wrong=0.03, inputs=inputs)
        rng = np.random.default_rng(3)
        passed = 0
        labels = 0
        for _ in range(repetitions):
            rows = drawn(rng, design)
            labels += int(rows.to_label.sum())
            passed += status_of(compared(rows, design)) == "pass"
        needed = round(labels / repetitions)
        of_truth = {**design.standard, "gain": gain, "disagreement": differ}
        cells = []
        for n in (60 + needed, 60 + inputs):
            cells.append(f"{100 * chances(n, **of_truth).passed:.0f}")
        simulated = f"{100 * passed / repetitions:.0f}"
        row(inputs, f"+{100 * gain:.0f}", f"{100 * differ:.0f} %", needed, simulated, *cells)


# --- what a cure promises -------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """Hold how often a row is fixed, broken, or answered wrong by both with different answers."""

    fixed: float
    broken: float
    both_wrong: float

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Return numbers of fixed, broken, wrong and equal answers to ``n`` rows."""
        shares = [self.fixed, self.broken, self.both_wrong]
        return rng.multinomial(n, [*shares, 1 - sum(shares)])


def decided(counts: np.ndarray, standard: dict[str, Any], **asked: Any) -> Comparison:
    """Compare two models by numbers of fixed, broken, wrong and equal answers."""
    old = np.repeat([False, True, False, True], counts)
    new = np.repeat([True, False, False, True], counts)
    return compare_right_wrong(old, new, **standard, **asked)


MOST_MORE = 3_000
"""The most inputs of a cure that anybody follows."""


def cure_table(scale: Scale) -> None:
    """Print what comes of the inputs and labels that the cure of an inconclusive gain names."""
    repetitions = scale.repetitions(500)
    title = "an inconclusive gain on labeled examples, whose cure (up to "
    title += f"{MOST_MORE:,} more inputs) is followed: how often the gate passes, in percent, if "
    title += "the true gain is the measured one (all rows new; the old and the new ones), and if "
    title += f"it is what it is; simulated ({repetitions} cures, standard error at most 2.2)"
    columns = ("examples", "true gain", "differ", "inputs said", "labels said", "labels needed")
    columns += ("within a quarter", "measured, new", "and old", "in truth: pass", "fail", "open")
    head(title, *columns)
    cases = (
        (100, Truth(0.12, 0.04, 0.03)),
        (100, Truth(0.09, 0.04, 0.03)),
        (200, Truth(0.08, 0.04, 0.03)),
        (200, Truth(0.05, 0.02, 0.02)),
        (200, Truth(0.14, 0.09, 0.06)),
        (100, Truth(0.06, 0.06, 0.04)),
    )
    for n, truth in scale.of(cases):
        row(n, *followed(n, truth, repetitions))


def followed(n: int, truth: Truth, repetitions: int) -> list[str]:
    """Follow cures, and return what they said and what came of it as cells of a table."""
    standard = Design().standard
    rng = np.random.default_rng(4)
    said = []
    verdicts: dict[str, Counter[str]] = {name: Counter() for name in ("new", "and old", "truth")}
    while len(said) < repetitions:
        first = truth.draw(rng, n)
        comparison = decided(first, standard)
        needed = comparison.examples_needed
        if comparison.status != "inconclusive" or needed is None or needed - n > MOST_MORE:
            continue

        # As checks.unlabeled.as_inputs says it.
        more = max(needed - n, 1)
        labels = ceil(more * float(first[:3].sum() / n))
        measured = Truth(*(first[:3] / n))
        added = truth.draw(rng, more)
        said.append((more, labels, int(added[:3].sum())))
        counts = {
            "new": measured.draw(rng, needed),
            "and old": first + measured.draw(rng, more),
            "truth": first + added,
        }
        for name, count in counts.items():
            verdicts[name][decided(count, standard, bounds=False).status] += 1

    more, labels, needed = np.array(said).T
    error = np.abs(needed / labels - 1)
    shares = []
    for name, status in (
        ("new", "pass"),
        ("and old", "pass"),
        ("truth", "pass"),
        ("truth", "fail"),
        ("truth", "inconclusive"),
    ):
        shares.append(f"{100 * verdicts[name][status] / repetitions:.0f}")
    differ = truth.fixed + truth.broken
    return [
        f"+{100 * (truth.fixed - truth.broken):.0f}",
        f"{100 * differ:.0f} %",
        f"{np.median(more):.0f}",
        f"{np.median(labels):.0f}",
        f"{np.median(needed):.0f}",
        f"{100 * (error <= 0.25).mean():.0f}",
        *shares,
    ]


def plan_table(scale: Scale) -> None:
    """Print what comes of the inputs and labels that a plan names."""
    repetitions = scale.repetitions(1_000)
    title = "a plan at twice the margin, whose candidate breaks 3 % (0 % for stage ready), and the "
    title += "gate with so many inputs more, if the true gain is that; simulated "
    title += f"({repetitions:,} gates, standard error at most 1.4)"
    columns = ("baseline", "examples", "margin", "broken", "inputs said", "labels said")
    columns += ("labels needed", "passes (80 promised)")
    head(title, *columns)
    cases = (
        (0.7, 60, 0.03, 0.03),
        (0.7, 60, 0.02, 0.03),
        (0.7, 100, 0.02, 0.0),
        (0.8, 60, 0.03, 0.03),
        (0.8, 100, 0.02, 0.0),
        (0.9, 100, 0.02, 0.03),
        (0.5, 60, 0.03, 0.03),
    )
    for value, n, margin, broken in scale.of(cases):
        right = (np.arange(n) * 7 % n < round(value * n)).astype(float)
        baseline = Scored(METRIC, value, per_example=right)
        gate: Any = SimpleNamespace(
            config=SimpleNamespace(
                standard_of=lambda _, margin=margin: SimpleNamespace(gain=margin), confidence=0.95
            ),
            evidence_of=lambda _: "significant",
            gain_set=DataSet(tuple(Example(str(i), str(i), "") for i in range(n)), None, "", ""),
        )
        needed = needed_for(gate, "baseline", 2 * margin, baseline, broken=broken)
        assert needed is not None
        fixed = 2 * margin + broken
        truth = Truth(fixed, broken, (1 - value - fixed) / 4)
        rng = np.random.default_rng(5)
        passed = 0
        labels = 0
        for _ in range(repetitions):
            added = truth.draw(rng, needed.more)
            labels += int(added[:3].sum())
            count = truth.draw(rng, n) + added
            passed += decided(count, Design(margin=margin).standard, bounds=False).status == "pass"
        row(
            f"{100 * value:.0f} %",
            n,
            f"{100 * margin:.0f}",
            f"{100 * broken:.0f} %",
            needed.more,
            f"{needed.fewest} to {needed.most}",
            f"{labels / repetitions:.0f}",
            f"{100 * passed / repetitions:.0f}",
        )


TABLES = {
    "null": null_table,
    "equal": equal_table,
    "power": power_table,
    "cure": cure_table,
    "plan": plan_table,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in (*TABLES, "quick"):
        parser.add_argument(f"--{name}", action="store_true")
    chosen = parser.parse_args(arguments)
    tables = [table for name, table in TABLES.items() if getattr(chosen, name)]
    for table in tables or TABLES.values():
        table(Scale(quick=chosen.quick))


if __name__ == "__main__":
    main()
