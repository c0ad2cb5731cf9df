"""What changed between two reports, and what of it counts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_ftgate.cli.compare import Move, compare_reports, comparison_lines, is_worse
from pytest_ftgate.errors import DataError
from pytest_ftgate.reports.json import Report, Session, Unjudged, read_report, report
from pytest_ftgate.result import (
    Check,
    GateResult,
    ModelResult,
    PartResult,
    TestSetResult,
    Threshold,
    TrainingResult,
)

BASELINE = ModelResult("prompted", "openai:base", 0.676, latency_p50_s=0.030, cost_usd=0.02)
GATE = GateResult(
    "intents", "test_gate.py::test_gate", "pass", metric="f1_macro", metric_range=(0.0, 1.0), models_called=True,
    margin=0.05, evidence="significant", confidence=0.95, gain=0.236, lower_bound=0.164, upper_bound=0.30, n=226,
    baseline=BASELINE, baselines={"baseline": BASELINE},
    candidate=ModelResult("tuned", "openai:ft:1", 0.912, latency_p50_s=0.023),
    training=TrainingResult("train.jsonl", "a" * 64, 832, 832),
    test_set=TestSetResult("test.jsonl", "b" * 64, 226),
    checks=(
        Check("min_test_examples", "pass", "", 226, 50, threshold=Threshold("min_test_examples", 50)),
        Check("thresholds.accuracy", "pass", "", 0.916, 0.85, threshold=Threshold("thresholds.accuracy.min", 0.85)),
    ),
)  # fmt: skip


def of(*gates, unjudged=(), **facts):
    return Report(1, gates, tuple(Unjudged(*entry) for entry in dict(unjudged).items()), **facts)


def moved(old, new):
    (moves,) = compare_reports(of(old), of(new)).values()
    return {move.what: move for move in moves}


def lines_of(old_lines, new_lines):
    paths = (Path("before.json"), Path("after.json"))
    return list(
        comparison_lines(paths, (old_lines, new_lines), compare_reports(old_lines, new_lines))
    )


def test_the_same_report_has_no_moves():
    assert compare_reports(of(GATE), of(GATE)) == {"intents": []}
    last = ["intents  no change", "", "no gate got worse (1 gate compared)"]
    assert lines_of(of(GATE), of(GATE))[-3:] == last
    assert "intents  WORSE  pass -> error" in lines_of(of(GATE), of(replace(GATE, verdict="error")))
    lines = lines_of(of(GATE), of(replace(GATE, margin=0.01)))
    assert {"intents  WEAKER", "1 gate got weaker: intents"} <= set(lines)


VERDICTS = ["pass", "inconclusive", "fail", "error"]


@pytest.mark.parametrize("old", VERDICTS)
@pytest.mark.parametrize("new", VERDICTS)
def test_verdicts_have_an_order(old, new):
    moves = moved(replace(GATE, verdict=old), replace(GATE, verdict=new))
    mark = "WORSE" if VERDICTS.index(new) > VERDICTS.index(old) else ""
    expected = None if old == new else Move("verdict", f"{old} -> {new}", mark)
    assert moves.get("verdict") == expected


MATCH = replace(GATE, margin=None, max_drop=0.02)
GUARD = PartResult("general", "accuracy", 0.03, 0.95, verdict="pass", metric_range=(0.0, 1.0))
LOOSE = replace(GUARD, max_drop=0.1)
GUARDED = replace(GATE, guards=(GUARD,))
SLICED = replace(
    GATE,
    slices=(
        PartResult("lang=de", "accuracy", 0.03, field="lang", value="de", n=50, verdict="pass"),
    ),
)


def holding(name, required):
    """Return a gate that was held to one more threshold."""
    return replace(
        GATE,
        checks=(*GATE.checks, Check(name, "pass", "", 1.0, threshold=Threshold(name, required))),
    )


def changed(**facts):
    return GATE, replace(GATE, **facts)


def candidate(**facts):
    return changed(candidate=replace(GATE.candidate, **facts))


SIZE, BOUND = GATE.checks
FEWER = (replace(SIZE, threshold=Threshold("min_test_examples", 20)), BOUND)
LOWER = (SIZE, replace(BOUND, threshold=Threshold("thresholds.accuracy.min", 0.8)))
LIMITS = [
    ("thresholds.cost_usd.max", 1, 1.5),
    ("thresholds.f1.min", 0.9, 0.4),
    ("cheaper_by", 10, 5),
    ("economics.max_break_even_days", 90, 120),
]
THRESHOLDS = [
    ("margin", *changed(margin=0.03), "5 -> 3 points"),
    ("evidence", *changed(evidence="observed"), "significant -> observed"),
    ("confidence", *changed(confidence=0.9), "95 -> 90 %"),
    ("metric", *changed(metric="accuracy"), "f1_macro -> accuracy"),
    ("stage", *changed(stage="ready"), "accept -> ready"),
    ("margin", GATE, MATCH, "5 points -> removed"),
    ("max_drop", MATCH, replace(MATCH, max_drop=0.03), "2 -> 3 points"),
    ("min_test_examples", *changed(checks=FEWER), "50 -> 20"),
    ("thresholds.accuracy.min", *changed(checks=LOWER), "0.85 -> 0.8"),
    ("thresholds.accuracy.min", *changed(checks=GATE.checks[:1]), "0.85 -> removed"),
    *(
        (
            name,
            holding(name, first_status),
            holding(name, second_status),
            f"{first_status} -> {second_status}",
        )
        for name, first_status, second_status in LIMITS
    ),
    (
        "thresholds.f1.max",
        *(holding("thresholds.f1", {"min": 0.4, "max": limit}) for limit in (0.6, 0.7)),
        "0.6 -> 0.7",
    ),
    ("guards.general.max_drop", GUARDED, replace(GATE, guards=(LOOSE,)), "0.03 -> 0.1"),
    ("guards.general.max_drop", GUARDED, GATE, "0.03 -> removed"),
    ("slices by lang", SLICED, GATE, "judged -> removed"),
]


@pytest.mark.parametrize(
    ("key", "old", "new", "is_weaker"),
    THRESHOLDS,
    ids=[f"{threshold[0]}: {threshold[3]}" for threshold in THRESHOLDS],
)
def test_a_weaker_threshold_counts_and_a_stricter_one_does_not(key, old, new, is_weaker):
    weaker, stricter = moved(old, new), moved(new, old)
    assert weaker[key] == Move(key, is_weaker, "WEAKER")
    assert is_worse([*weaker.values()])
    assert is_worse([*stricter.values()]) is (key == "metric")


def test_what_was_not_judged_to_its_end_has_removed_nothing():
    """Its verdict says enough."""
    new = replace(GATE, verdict="error", gain=None, checks=(), guards=())
    assert {move.mark for move in moved(GUARDED, new).values()} == {"WORSE", ""}


def test_a_limit_that_an_agreement_without_a_margin_loses_counts():
    """It has no gain, and is judged all the same."""
    old, new = (
        replace(one, margin=None, gain=None)
        for one in (GATE, replace(GATE, checks=GATE.checks[:1]))
    )
    assert moved(old, new)["thresholds.accuracy.min"] == Move(
        "thresholds.accuracy.min", "0.85 -> removed", "WEAKER"
    )


TWO = {"prompt": ModelResult("p", "m", 0.5), "few_shot": ModelResult("f", "m", 0.6)}
ONE = {"prompt": TWO["prompt"]}
UNKNOWN = replace(
    GATE,
    verdict="error",
    metric_range=None,
    gain=None,
    candidate=replace(GATE.candidate, value=None),
)
B_TO = "226 examples (sha256 bbbbbbbb) -> {} examples (sha256 {}): values cannot be compared"
CHANGES = [
    (*candidate(value=0.88), "candidate", "91.2 -> 88.0 %"),
    (GATE, UNKNOWN, "candidate", "91.2 % -> "),
    (GATE, UNKNOWN, "gain", "+23.6 points -> "),
    (
        *changed(gain=0.204, lower_bound=0.13, upper_bound=0.27),
        "gain",
        "-> +20.4 points f1_macro, may be chance",
    ),
    (*changed(gain=0.10, lower_bound=0.05, upper_bound=0.25), "gain", "beyond chance"),
    # half of it
    (*changed(gain=0.17, lower_bound=0.12, upper_bound=0.23), "gain", "beyond chance"),
    (*changed(gain=0.10, lower_bound=None), "gain", "+10.0 points"),
    *(
        (
            *changed(test_set=TestSetResult("test.jsonl", sha * 64, n)),
            "test set",
            B_TO.format(n, sha * 8),
        )
        for sha, n in (("c", 230), ("b", 200))  # less of the same file
    ),
    (
        *changed(training=TrainingResult("t", "c" * 64, 900, 890)),
        "training set",
        "832 usable rows (sha256 aaaaaaaa) -> 890 usable rows (sha256 cccccccc)",
    ),
    (*candidate(model="ft:2"), "candidate model", "openai:ft:1 -> ft:2"),
    (*candidate(latency_p50_s=0.05), "candidate latency_p50_s", "23 -> 50 ms"),
    (*candidate(latency_p50_s=0.025), "", ""),
    (*changed(test_set=TestSetResult()), "", ""),  # nothing is known of it
    (
        replace(GATE, baselines=TWO),
        replace(GATE, baselines=ONE),
        "baseline few_shot",
        "60.0 % -> absent",
    ),
    (
        replace(GATE, baselines=ONE),
        replace(GATE, baselines=TWO),
        "baseline few_shot",
        "absent -> 60.0 %",
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "change", "sentence"),
    CHANGES,
    ids=[f"{change[2]}: {change[3]}" for change in CHANGES],
)
def test_changes_are_shown(old, new, change, sentence):
    moves = moved(old, new)
    if not change:
        assert moves == {}
        return
    assert sentence in moves[change].text
    assert is_worse([*moves.values()]) is (new.verdict == "error")
    if new.test_set != old.test_set:
        assert "chance" not in moved(old, replace(new, gain=0.2))["gain"].text


OTHER = replace(GATE, name="other", nodeid="test_gate.py::test_other")
TWIN = replace(GATE, nodeid="test_gate.py::test_twin")
OWED = {"absent": "no collected test has this marker"}
LOST = "missing from the later report"
OUTCOMES = [
    (of(GATE, OTHER), of(GATE), {"other": (LOST, "WORSE")}),
    (
        of(GATE),
        of(GATE, replace(OTHER, verdict="fail")),
        {"other": ("new, with the verdict fail", "")},
    ),
    (of(GATE), of(GATE, unjudged=OWED), {"absent": (f"no longer met: {OWED['absent']}", "WORSE")}),
    (
        of(GATE),
        of(GATE, unjudged={"intents": "loosened"}),
        {"intents": ("no longer met: loosened", "WORSE")},
    ),
    (
        of(GATE),
        of(replace(GATE, verdict="fail"), unjudged={"intents": "the verdict is fail"}),
        {"intents": ("pass -> fail", "WORSE")},
    ),
    (of(GATE, unjudged=OWED), of(GATE, unjudged=OWED), {}),
    (of(GATE, unjudged=OWED), of(GATE), {}),
    (
        of(GATE, TWIN),
        of(replace(GATE, verdict="fail"), TWIN),
        {"intents (test_gate.py::test_gate)": ("pass -> fail", "WORSE")},
    ),
    (of(GATE, TWIN), of(GATE), {"intents (test_gate.py::test_twin)": (LOST, "WORSE")}),
]


@pytest.mark.parametrize(("old_gates", "new_gates", "expected"), OUTCOMES)
def test_gates_and_obligations_come_and_go(old_gates, new_gates, expected):
    moved_gates = {
        name: moves for name, moves in compare_reports(old_gates, new_gates).items() if moves
    }
    assert {name: (move.text, move.mark) for name, (move,) in moved_gates.items()} == expected


def test_a_lost_gate_says_why_it_is_missing():
    moves = compare_reports(of(GATE), of(unjudged={"intents": "it was skipped"}))["intents"]
    assert [move.text for move in moves] == [LOST, "no longer met: it was skipped"]


def test_long_names_are_told_apart_by_their_ends():
    cases = "tests/quality of answers/test_finetune.py::test_gate"
    old = [replace(GATE, name=f"{cases}[{case}]") for case in ("prompted", "live")]
    lines = lines_of(of(*old), of(*(replace(gate, verdict="fail") for gate in old)))
    text = " ".join(lines)
    assert text.count("[prompted]") == text.count("[live]") == 2


def test_the_text_fits_a_log_and_commands_nothing():
    hostile = "::error::\x1b[31m" + "x" * 300
    old = replace(GATE, name=hostile)
    new = replace(
        old,
        margin=0.01,
        candidate=replace(GATE.candidate, model=hostile + " ::error::y" * 20),
        checks=(*GATE.checks, Check(hostile, "warning", "a\n::error::b ##[error]c " * 20)),
    )
    lines = lines_of(of(old), of(new, environment={"written": "2026-11-28T16:01:09Z"}))
    assert max(map(len, lines)) <= 80
    assert not any(line.lstrip().startswith("::") or "##[" in line for line in lines)
    assert all(line.isprintable() for line in lines)
    text = " ".join(line.strip() for line in lines)
    assert "before.json (undated) -> after.json (2026-11-28 16:01)" in text
    assert any(
        line.split() == ["margin", "5", "points", "->", "1", "point", "WEAKER"] for line in lines
    )
    assert lines[-1].startswith("  ") or lines[-1].startswith("1 gate got weaker")


PLACES = {"margin": "x", "checks": 3, "candidate": [], "baselines": {"a": 1}, "evidence": 1, "gain": True,
          "metric_range": [0, 10**400]}  # fmt: skip


def gates_of(value):
    return f'{{"version": 1, "gates": {value}}}'


def gate_of(**facts):
    return gates_of(json.dumps([{"name": "a", "nodeid": "b", "verdict": "pass", **facts}]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        *((text, "not a report") for text in ("", "{", "[]", "{}")),
        *(
            (f'{{"version": {version}, "gates": []}}', "version: not a report: must be 1")
            for version in (2, "true", "1.0")
        ),
        (gates_of("{}"), "gates: not a report: must be a list, got a mapping"),
        (gates_of("[1]"), "gates[0]: not a report: must be a mapping, got 1"),
        (
            gates_of('[{"name": "a"}]'),
            "gates[0].nodeid: not a report: this required key is missing",
        ),
        (gates_of('[], "unjudged": [3]'), "unjudged[0]: not a report"),
        (gates_of("[NaN]"), "NaN is not a JSON value"),
        ("[" * 100_000, "nested more than 100 levels deep"),
        (b"\xff\xfe", "invalid UTF-8"),
        *((gate_of(**{name: value}), f"gates[0].{name}") for name, value in PLACES.items()),
    ],
)
def test_what_is_no_report_is_refused(tmp_path, content, message):
    path = tmp_path / "r.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        read_report(path)
    assert message in str(caught.value)


def test_what_a_session_wrote_is_read_and_so_is_a_report_that_knows_less(tmp_path):
    path = tmp_path / "r.json"
    path.write_text(report([GUARDED, SLICED], Session(unjudged=list(OWED.items())), written_at=0.0))
    found = read_report(path)
    assert [gate.to_dict() for gate in found.gates] == [
        gate.to_dict() for gate in (GUARDED, SLICED)
    ]
    assert found.environment["written"] == "1970-01-01T00:00:00Z"
    sizes = {"examples": 10**400, "path": None, "sha256": None}  # beyond all floats
    path.write_text(gate_of(gain=10**400, test_set=sizes))
    assert compare_reports(read_report(path), read_report(path)) == {"a": []}
