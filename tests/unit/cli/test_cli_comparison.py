"""What moved between two reports, and what of it counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate.cli.compare import GateMoves, compare_reports, comparison_lines
from pytest_ftgate.cli.report_file import ReportFile, read_report
from pytest_ftgate.cli.thresholds import Move
from pytest_ftgate.errors import DataError
from pytest_ftgate.reports.json import report
from pytest_ftgate.result import (
    Check,
    GateResult,
    GuardResult,
    ModelResult,
    Session,
    SliceResult,
    TestSetResult,
    Threshold,
    TrainingResult,
)

GATE = GateResult(
    "intents",
    "test_gate.py::test_gate",
    "pass",
    metric="f1_macro",
    metric_range=(0.0, 1.0),
    margin=0.05,
    evidence="significant",
    confidence=0.95,
    baseline=ModelResult("prompted", "openai:base", 0.676, latency_p50_s=0.030, cost_usd=0.02),
    baselines={"baseline": ModelResult("prompted", "openai:base", 0.676, latency_p50_s=0.030, cost_usd=0.02)},
    candidate=ModelResult("tuned", "openai:ft:1", 0.912, latency_p50_s=0.023),
    gain=0.236,
    lower_bound=0.164,
    upper_bound=0.30,
    n=226,
    training=TrainingResult("train.jsonl", "a" * 64, 832, 832),
    test_set=TestSetResult("test.jsonl", "b" * 64, 226),
    checks=(
        Check("min_test_examples", "pass", "226 test examples, 50 needed", 226, 50),
        Check(
            *("thresholds.accuracy", "pass", "candidate accuracy 91.6 %, asked for at least 85.0 %"),
            *(0.916, 0.85),
            threshold=Threshold("thresholds.accuracy.min", 0.85, "lower"),
        ),
    ),
    models_called=True,
)

Read = Callable[..., ReportFile]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Reports these gates, and reads the file."""
    monkeypatch.chdir(tmp_path)

    def read(
        *gates: GateResult,
        unjudged: Mapping[str, str] | None = None,
        waived_by: str | None = None,
        name: str = "r.json",
    ) -> ReportFile:
        session = Session(unjudged=list((unjudged or {}).items()), waived_by=waived_by or None)
        path = tmp_path / name
        path.write_text(report(gates, session), encoding="utf-8")
        return read_report(path)

    return read


def moved(read: Read, old: GateResult, new: GateResult) -> dict[str, Move]:
    (found,) = compare_reports(read(old), read(new))
    return {move.what: move for move in found.moves}


def with_check(gate: GateResult, check: Check) -> GateResult:
    return replace(gate, checks=tuple(check if one.name == check.name else one for one in gate.checks))


def test_the_same_report_has_no_moves(read: Read) -> None:
    before, after = read(GATE), read(GATE)
    found = compare_reports(before, after)
    assert found == (GateMoves("intents", (), "pass"),)
    assert not found[0].worse
    assert list(comparison_lines(before, after, found))[-3:] == [
        "intents: no change",
        "",
        "no gate got worse (1 gate compared)",
    ]


def test_a_gate_that_is_still_red_is_not_told_like_a_green_one(read: Read) -> None:
    before = read(replace(GATE, verdict="error"))
    assert "intents: no change, still error" in list(comparison_lines(before, before, compare_reports(before, before)))


VERDICTS = ["pass", "inconclusive", "fail", "error"]


@pytest.mark.parametrize("old", VERDICTS)
@pytest.mark.parametrize("new", VERDICTS)
def test_verdicts_have_an_order(read: Read, old: Any, new: Any) -> None:
    found = moved(read, replace(GATE, verdict=old), replace(GATE, verdict=new))
    if old == new:
        assert "verdict" not in found
    else:
        mark = "worse" if VERDICTS.index(new) > VERDICTS.index(old) else "better"
        assert found["verdict"] == Move("verdict", f"{old} -> {new}", mark)


MATCH = replace(GATE, margin=None, max_drop=0.02)
GUARD = GuardResult("general", "accuracy", 0.03, 0.95, verdict="pass", metric_range=(0.0, 1.0))
LOOSE = replace(GUARD, max_drop=0.1)
GUARDED = replace(GATE, guards=(GUARD,))
SLICED = replace(GATE, slices=(SliceResult("lang", "de", n=50, verdict="pass"),))


def asked(name: str, required: float, threshold: Threshold | None = None, observed: float = 1.0) -> GateResult:
    check = Check(name, "pass", "", observed, required, threshold=threshold)
    return replace(GATE, checks=(*GATE.checks, check))


BOUND = GATE.checks[1]
THRESHOLDS: list[tuple[str, GateResult, GateResult, str]] = [
    ("margin", GATE, replace(GATE, margin=0.03), "5 points -> 3 points"),
    ("evidence", GATE, replace(GATE, evidence="observed"), "significant -> observed"),
    ("confidence", GATE, replace(GATE, confidence=0.9), "95 % -> 90 %"),
    ("metric", GATE, replace(GATE, metric="accuracy"), "f1_macro -> accuracy"),
    ("stage", GATE, replace(GATE, stage="ready"), "accept -> ready"),
    ("margin", GATE, MATCH, "5 points -> removed"),
    ("max_drop", MATCH, replace(MATCH, max_drop=0.03), "2 points -> 3 points"),
    (
        "min_test_examples",
        GATE,
        with_check(GATE, replace(GATE.checks[0], required=20)),
        "50 -> 20",
    ),
    (
        "thresholds.accuracy.min",
        GATE,
        with_check(GATE, replace(BOUND, threshold=Threshold("thresholds.accuracy.min", 0.8, "lower"))),
        "0.85 -> 0.8",
    ),
    ("thresholds.accuracy.min", GATE, replace(GATE, checks=GATE.checks[:1]), "0.85 -> removed"),
    (
        "thresholds.cost_usd.max",
        asked("thresholds.cost_usd", 1, Threshold("thresholds.cost_usd.max", 1)),
        asked("thresholds.cost_usd", 1.5, Threshold("thresholds.cost_usd.max", 1.5)),
        "1 -> 1.5",
    ),
    (
        "thresholds.f1.min",
        asked("thresholds.f1", 0.9, Threshold("thresholds.f1.min", 0.9)),
        asked("thresholds.f1", 0.4, Threshold("thresholds.f1.min", 0.4)),
        "0.9 -> 0.4",
    ),
    ("cheaper_by", asked("cheaper_by", 10), asked("cheaper_by", 5), "10 -> 5"),
    (
        "economics.max_break_even_days",
        asked("economics.max_break_even_days", 90),
        asked("economics.max_break_even_days", 120),
        "90 -> 120",
    ),
    ("guards.general.max_drop", GUARDED, replace(GATE, guards=(LOOSE,)), "3 points -> 10 points"),
    ("guards.general.max_drop", GUARDED, GATE, "3 points -> removed"),
    ("slices by lang", SLICED, GATE, "judged -> removed"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "old", "new", "said"), THRESHOLDS, ids=[f"{one[0]}: {one[3]}" for one in THRESHOLDS])
def test_a_threshold_that_asks_for_less_counts_as_worse(
    read: Read, key: str, old: GateResult, new: GateResult, said: str
) -> None:
    (found,) = compare_reports(read(old), read(new))
    assert Move(key, said, "loosened") in found.moves
    assert found.worse


@pytest.mark.parametrize(
    ("key", "old", "new", "said"),
    [one for one in THRESHOLDS if one[0] != "metric"],
    ids=[f"{one[0]}: {one[3]}" for one in THRESHOLDS if one[0] != "metric"],
)
def test_a_threshold_that_asks_for_more_does_not(
    read: Read, key: str, old: GateResult, new: GateResult, said: str
) -> None:
    (found,) = compare_reports(read(new), read(old))
    (move,) = [one for one in found.moves if one.what == key]
    assert move.mark == "stricter"
    assert not found.worse


def test_two_limits_of_one_value_are_two_thresholds(read: Read) -> None:
    old = asked("thresholds.f1", 0.4, Threshold("thresholds.f1", {"min": 0.4, "max": 0.6}))
    new = asked("thresholds.f1", 0.4, Threshold("thresholds.f1", {"min": 0.4, "max": 0.7}))
    found = moved(read, old, new)
    assert found["thresholds.f1.max"] == Move("thresholds.f1.max", "0.6 -> 0.7", "loosened")
    assert "thresholds.f1.min" not in found


def test_what_was_not_judged_to_its_end_has_removed_nothing(read: Read) -> None:
    """Its verdict says enough."""
    new = replace(GATE, verdict="error", gain=None, checks=(), guards=())
    assert {move.mark for move in moved(read, GUARDED, new).values()} == {"worse", ""}


def test_a_mark_that_asks_for_less_than_the_file(read: Read) -> None:
    found = moved(read, GATE, replace(GATE, loosened=("margin: 0.05 -> 0.01",)))
    assert found["marker weaker than the file"].mark == "loosened"


def test_a_word_that_is_not_known_counts_as_loosened(read: Read) -> None:
    assert moved(read, GATE, replace(GATE, evidence="guessed"))["evidence"].mark == "loosened"


# --- data and values -----------------------------------------------------------------------------------------


def test_values_are_shown_and_do_not_count(read: Read) -> None:
    new = replace(GATE, candidate=replace(GATE.candidate, value=0.88), gain=0.204, lower_bound=0.13, upper_bound=0.27)
    found = moved(read, GATE, new)
    assert found["candidate"] == Move("candidate", "91.2 % -> 88.0 % f1_macro")
    assert found["gain"] == Move("gain", "+23.6 points -> +20.4 points (within noise)")
    assert found["bounds of the gain"] == Move(
        "bounds of the gain", "+16.4 points to +30.0 points -> +13.0 points to +27.0 points"
    )
    assert {move.mark for move in found.values()} == {""}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gain": 0.10, "lower_bound": 0.05, "upper_bound": 0.25}, "(more than noise)"),
        ({"gain": 0.17, "lower_bound": 0.12, "upper_bound": 0.23}, "(more than noise)"),  # half of it alone
        ({"gain": 0.10, "lower_bound": None}, "points"),
        ({"gain": 0.20, "test_set": TestSetResult("test.jsonl", "c" * 64, 230)}, "points"),
    ],
)
def test_noise_is_told_where_all_bounds_are_known(read: Read, change: dict[str, Any], said: str) -> None:
    assert moved(read, GATE, replace(GATE, **change))["gain"].text.endswith(said)


def test_less_of_the_same_file_is_another_test_set(read: Read) -> None:
    found = moved(read, GATE, replace(GATE, gain=0.2, test_set=TestSetResult("test.jsonl", "b" * 64, 200)))
    assert found["test set"].text == "changed (226 -> 200 examples): values cannot be compared"
    assert "noise" not in found["gain"].text


def test_values_keep_their_unit_where_the_later_gate_was_not_judged(read: Read) -> None:
    unknown = replace(
        GATE, verdict="error", metric_range=None, gain=None, candidate=replace(GATE.candidate, value=None)
    )
    found = moved(read, GATE, unknown)
    assert "%" in found["candidate"].text
    assert "points" in found["gain"].text


def test_another_test_set_makes_values_incomparable(read: Read) -> None:
    found = moved(read, GATE, replace(GATE, test_set=TestSetResult("test.jsonl", "c" * 64, 230)))
    assert found["test set"] == Move("test set", "changed (226 -> 230 examples): values cannot be compared")


def test_another_training_set_is_told(read: Read) -> None:
    found = moved(read, GATE, replace(GATE, training=TrainingResult("train.jsonl", "c" * 64, 900, 890)))
    assert found["training set"] == Move("training set", "changed (832 -> 890 usable)")


def test_models_times_and_costs(read: Read) -> None:
    model = replace(GATE.baselines["baseline"], latency_p50_s=0.031, cost_usd=0.03)
    new = replace(
        GATE, baselines={"baseline": model}, candidate=replace(GATE.candidate, model="ft:2", latency_p50_s=0.05)
    )
    assert moved(read, GATE, new) == {
        "baseline cost": Move("baseline cost", "$0.0200 -> $0.0300"),
        "candidate model": Move("candidate model", "openai:ft:1 -> ft:2"),
        "candidate p50": Move("candidate p50", "23 ms -> 50 ms"),
    }  # fmt: skip


def test_baselines_come_and_go(read: Read) -> None:
    two = {"prompt": ModelResult("p", "m", 0.5), "few_shot": ModelResult("f", "m", 0.6)}
    old, new = replace(GATE, baselines=two), replace(GATE, baselines={"prompt": two["prompt"]})
    assert moved(read, old, new)["baseline few_shot"].text == "was removed"
    assert moved(read, new, old)["baseline few_shot"].text == "is new"


def test_guards_and_slices(read: Read) -> None:
    old = replace(GUARDED, slices=SLICED.slices)
    new = replace(
        old,
        guards=(replace(GUARD, verdict="fail", test_set=TestSetResult("g", "1" * 64, 3)),),
        slices=(replace(SLICED.slices[0], verdict=None),),
    )
    found = moved(read, replace(old, guards=(replace(GUARD, test_set=TestSetResult("g", "0" * 64, 3)),)), new)
    assert found["slice lang de"].text == "pass -> not judged"
    assert found["guard general"].text == "pass -> fail"


def test_checks_that_call_something_out(read: Read) -> None:
    new = replace(GATE, checks=(*GATE.checks, Check("weak", "warning", "the prompt is bare"), Check("x", "note", "y")))
    assert moved(read, GATE, new) == {"check weak": Move("check weak", "absent -> warning: the prompt is bare")}
    assert moved(read, new, GATE) == {"check weak": Move("check weak", "warning -> absent")}


# --- gates that come and go ----------------------------------------------------------------------------------

OTHER = replace(GATE, name="other", nodeid="test_gate.py::test_other")


def outcome(read: Read, before: Sequence[GateResult], after: Sequence[GateResult], **more: Any) -> dict[str, GateMoves]:
    return {one.name: one for one in compare_reports(read(*before), read(*after, **more))}


def test_a_lost_gate_is_worse(read: Read) -> None:
    found = outcome(read, [GATE, OTHER], [GATE])
    assert found["other"].moves == (Move("gate", "missing from the later report", "worse"),)
    assert not found["intents"].worse


def test_a_lost_gate_says_why(read: Read) -> None:
    found = outcome(read, [GATE], [], unjudged={"intents": "its test was skipped: slow"})
    (move,) = found["intents"].moves
    assert move.text == "missing from the later report: its test was skipped: slow"


def test_a_new_gate_is_not_worse_whatever_its_verdict(read: Read) -> None:
    found = outcome(read, [GATE], [GATE, replace(OTHER, verdict="fail")])
    assert found["other"].moves == (Move("gate", "new, with the verdict fail"),)
    assert not found["other"].worse


def test_an_obligation_that_is_no_longer_met_is_worse(read: Read) -> None:
    found = outcome(
        read, [GATE], [GATE], unjudged={"absent": "no collected test has this marker", "intents": "loosened"}
    )
    assert found["absent"].moves == (Move("required", "no longer met: no collected test has this marker", "worse"),)
    assert found["intents"].worse


def test_one_that_was_not_met_before_is_not_worse(read: Read) -> None:
    owed = {"absent": "no collected test has this marker"}
    assert not any(one.worse for one in compare_reports(read(GATE, unjudged=owed), read(GATE, unjudged=owed)))
    (gate, absent) = compare_reports(read(GATE, unjudged=owed), read(GATE))
    assert [move.mark for move in absent.moves] == ["better"]
    assert gate.moves == ()


def test_gates_of_one_name_are_told_apart_by_their_tests(read: Read) -> None:
    twin = replace(GATE, nodeid="test_gate.py::test_twin")
    found = outcome(read, [GATE, twin], [replace(GATE, verdict="fail"), twin])
    assert found["intents (test_gate.py::test_gate)"].worse
    assert not found["intents (test_gate.py::test_twin)"].worse
    found = outcome(read, [GATE, twin], [GATE])
    assert found["intents (test_gate.py::test_twin)"].worse


# --- text ----------------------------------------------------------------------------------------------------


def test_the_text_fits_a_log_and_commands_nothing(read: Read) -> None:
    hostile = "::error::\x1b[31m" + "x" * 300
    old = replace(GATE, name=hostile)
    new = replace(
        old,
        margin=0.01,
        candidate=replace(GATE.candidate, model=hostile + " ::error::y" * 20),
        checks=(*GATE.checks, Check(hostile, "warning", "a\n::error::b ##[error]c " * 20)),
    )
    before, after = read(old), read(new, waived_by="--ftgate-allow-missing", name="after.json")
    lines = list(comparison_lines(before, after, compare_reports(before, after)))
    assert max(map(len, lines)) <= 80
    assert not any(line.lstrip().startswith("::") or "##[" in line for line in lines)
    assert all(line.isprintable() for line in lines)
    assert lines[1] == "after:  after.json (1 gate, written with --ftgate-allow-missing)"
    assert any(line.startswith("  loosened  margin: 5 points -> 1 point") for line in lines)
    assert lines[-1].startswith("  ") or lines[-1].startswith("1 of 1 gate got worse")


def test_other_versions_are_told(read: Read) -> None:
    before = replace(read(GATE), environment={"scipy": "1.11", "python": "3.11"})
    lines = list(comparison_lines(before, replace(before, environment={"scipy": "1.14", "python": "3.11"}), ()))
    assert lines[2] == "versions: scipy 1.11 -> 1.14"


# --- files ---------------------------------------------------------------------------------------------------

WHOLE: dict[str, Any] = {"version": 1, "gates": [{"name": "a", "nodeid": "b", "verdict": "pass"}]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a report: it is not JSON"),
        ("{", "not a report"),
        ("[]", "not a report: it is a list"),
        ("{}", "not a report of pytest-ftgate"),
        ('{"version": true, "gates": []}', "not a report of pytest-ftgate"),
        ('{"version": 2, "gates": []}', "version: must be 1"),
        ('{"version": 0, "gates": []}', "version: must be 1"),
        ('{"version": 1, "gates": {}}', "gates: not a report: must be a list, got a mapping"),
        ('{"version": 1, "gates": [1]}', "gates[0]: not a report: must be a mapping, got 1"),
        ('{"version": 1, "gates": [{"name": "a"}]}', "gates[0].nodeid: not a report: this required key is missing"),
        ('{"version": 1, "gates": [], "unjudged": [3]}', "unjudged[0]: not a report"),
        ('{"version": 1, "gates": [NaN]}', "NaN is not a JSON value"),
        ("[" * 100_000, "nested too deep"),
        (b"\xff\xfe", "is UTF-16"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        read_report(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("margin", "x"),
        ("checks", 3),
        ("candidate", []),
        ("baselines", {"a": 1}),
        ("evidence", 1),
        ("gain", True),
        ("metric_range", [0, 10**400]),
    ],
)
def test_a_wrong_type_is_said_with_its_place(tmp_path: Path, name: str, value: Any) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps({**WHOLE, "gates": [{**WHOLE["gates"][0], name: value}]}))
    with pytest.raises(DataError, match=rf"gates\[0\]\.{name}"):
        read_report(path)


def test_numbers_beyond_all_floats_break_nothing(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    sizes = {"examples": 10**400, "path": None, "sha256": None}
    gate = {**WHOLE["gates"][0], "gain": 10**400, "confidence": 10**400, "test_set": sizes}
    path.write_text(json.dumps({**WHOLE, "gates": [gate]}))
    odd, other = read_report(path), ReportFile(path="r.json", version=1, gates=(GATE,))
    assert compare_reports(odd, odd) == (GateMoves("a", (), "pass"),)
    assert compare_reports(odd, replace(other, gates=(replace(GATE, name="a"),)))[0].worse


def test_a_report_of_an_earlier_version_that_knew_less_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(WHOLE))
    assert compare_reports(read_report(path), read_report(path)) == (GateMoves("a", (), "pass"),)
