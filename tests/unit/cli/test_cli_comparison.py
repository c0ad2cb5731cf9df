"""What moved between two reports, and what of it counts."""

import json
from dataclasses import replace

import pytest

from pytest_ftgate.cli.compare import GateMoves, Move, compare_reports, comparison_lines
from pytest_ftgate.cli.report_file import read_report
from pytest_ftgate.errors import DataError
from pytest_ftgate.reports.json import report
from pytest_ftgate.result import (
    CandidateResult,
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
            *("require.candidate.accuracy", "pass", "candidate accuracy 91.6 %, asked for at least 85.0 %"),
            *(0.916, 0.85),
            threshold=Threshold("require[0].min", 0.85, "lower"),
        ),
    ),
    models_called=True,
)


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Reports these gates, and reads the file."""
    monkeypatch.chdir(tmp_path)

    def read(*gates, unjudged=None, partial=False, name="r.json"):
        session = Session(unjudged=list((unjudged or {}).items()), partial=partial)
        path = tmp_path / name
        path.write_text(report(gates, session), encoding="utf-8")
        return read_report(path)

    return read


def moved(read, old, new):
    (found,) = compare_reports(read(old), read(new))
    return {move.what: move for move in found.moves}


def with_check(gate, check):
    return replace(gate, checks=tuple(check if one.name == check.name else one for one in gate.checks))


@pytest.mark.parametrize("verdict", ["pass", "error"])
def test_the_same_report_has_no_moves(read, verdict):
    before = read(replace(GATE, verdict=verdict))
    found = compare_reports(before, before)
    assert found == (GateMoves("intents", (), verdict),)
    assert not found[0].worse
    (line,) = [line for line in comparison_lines(before, before, found) if line.startswith("intents: ")]
    assert ("error" in line) is (verdict == "error")  # one that is still red is not told like a green one


VERDICTS = ["pass", "inconclusive", "fail", "error"]


@pytest.mark.parametrize("old", VERDICTS)
def test_verdicts_have_an_order(read, old):
    for new in VERDICTS:
        found = moved(read, replace(GATE, verdict=old), replace(GATE, verdict=new))
        mark = "worse" if VERDICTS.index(new) > VERDICTS.index(old) else "better"
        assert found.get("verdict") == (None if old == new else Move("verdict", f"{old} -> {new}", mark))


MATCH = replace(GATE, objective="match", margin=None, max_drop=0.02)
GUARD = GuardResult("general", "accuracy", 0.03, "proven", 0.95, verdict="pass", metric_range=(0.0, 1.0))
LOOSE = replace(GUARD, max_drop=0.1)
GUARDED = replace(GATE, guards=(GUARD,))
SLICED = replace(GATE, slices=(SliceResult("lang", "de", n=50, verdict="pass"),))


def asked(name, required, threshold=None, observed=1.0):
    check = Check(name, "pass", "", observed, required, threshold=threshold)
    return replace(GATE, checks=(*GATE.checks, check))


BOUND = GATE.checks[1]
THRESHOLDS = [
    ("margin", GATE, replace(GATE, margin=0.03), "5 points -> 3 points"),
    ("evidence", GATE, replace(GATE, evidence="observed"), "significant -> observed"),
    ("confidence", GATE, replace(GATE, confidence=0.9), "95 % -> 90 %"),
    ("metric", GATE, replace(GATE, metric="accuracy"), "f1_macro -> accuracy"),
    ("stage", GATE, replace(GATE, stage="ready"), "accept -> ready"),
    ("objective", GATE, MATCH, "beat -> match"),
    ("max_drop", MATCH, replace(MATCH, max_drop=0.03), "2 points -> 3 points"),
    (
        "min_test_examples",
        GATE,
        with_check(GATE, replace(GATE.checks[0], required=20)),
        "50 -> 20",
    ),
    (
        "require.candidate.accuracy at least",
        GATE,
        with_check(GATE, replace(BOUND, threshold=Threshold("require[0].min", 0.8, "lower"))),
        "0.85 -> 0.8",
    ),
    ("require.candidate.accuracy at least", GATE, replace(GATE, checks=GATE.checks[:1]), "0.85 -> removed"),
    (
        "require.candidate.cost_usd at most",
        asked("require.candidate.cost_usd", 1, Threshold("require[1].max", 1)),
        asked("require.candidate.cost_usd", 1.5, Threshold("require[1].max", 1.5)),
        "1 -> 1.5",
    ),
    (
        "require.candidate.cost_usd at most",
        asked("require.candidate.cost_usd", 1),  # an earlier report says no key
        asked("require.candidate.cost_usd", 1.5),
        "1 -> 1.5",
    ),
    (
        "require.candidate.brevity at most",
        asked("require.candidate.brevity", 1.2),
        asked("require.candidate.brevity", 1.5),
        "1.2 -> 1.5",
    ),
    (
        "require.candidate.f1 at least",
        asked("require.candidate.f1", 0.9),
        asked("require.candidate.f1", 0.4, Threshold("require[1].min", 0.4)),
        "0.9 -> 0.4",
    ),
    ("cheaper_by", asked("cheaper_by", 10), asked("cheaper_by", 5), "10 -> 5"),
    (
        "economics.max_break_even_days",
        asked("economics.max_break_even_days", 90),
        asked("economics.max_break_even_days", 120),
        "90 -> 120",
    ),
    (
        "economics.max_break_even_days",
        asked("room", 90, Threshold("economics.max_break_even_days", 90, "higher")),
        asked("room", 120, Threshold("economics.max_break_even_days", 120, "higher")),
        "90 -> 120",
    ),
    (
        "max_age_days",
        asked("max_age_days", 90, Threshold("max_age_days", 90, "higher")),
        asked("max_age_days", 180, Threshold("max_age_days", 180, "higher")),
        "90 -> 180",
    ),
    ("guards.general.max_drop", GUARDED, replace(GATE, guards=(LOOSE,)), "3 points -> 10 points"),
    ("guards.general.max_drop", GUARDED, GATE, "3 points -> removed"),
    ("slices by lang", SLICED, GATE, "judged -> removed"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "old", "new", "said"), THRESHOLDS, ids=[f"{one[0]}: {one[3]}" for one in THRESHOLDS])
def test_a_threshold_that_asks_for_less_counts_as_worse_and_one_that_asks_for_more_does_not(read, key, old, new, said):
    (found,) = compare_reports(read(old), read(new))
    assert Move(key, said, "loosened") in found.moves
    assert found.worse
    if key != "metric":
        (found,) = compare_reports(read(new), read(old))
        assert [one.mark for one in found.moves if one.what == key] == ["stricter"]
        assert not found.worse


def test_two_limits_of_one_bound_are_two_thresholds(read):
    old = asked("require.candidate.f1", 0.4, Threshold("require[1]", {"min": 0.4, "max": 0.6}))
    new = asked("require.candidate.f1", 0.4, Threshold("require[1]", {"min": 0.4, "max": 0.7}))
    found = moved(read, old, new)
    assert found["require.candidate.f1 at most"] == Move("require.candidate.f1 at most", "0.6 -> 0.7", "loosened")
    assert "require.candidate.f1 at least" not in found


def test_of_several_limits_on_one_value_the_tightest_counts(read):
    strict = Check("require.candidate.accuracy", "pass", "", 0.916, 0.9, threshold=Threshold("require[1].min", 0.9))
    old, new = replace(GATE, checks=(*GATE.checks, strict)), replace(GATE, checks=(strict, *GATE.checks))
    assert "require.candidate.accuracy at least" not in moved(read, old, new)
    assert moved(read, old, GATE)["require.candidate.accuracy at least"].said == "0.9 -> 0.85"


def test_what_was_not_judged_to_its_end_has_removed_nothing(read):
    """Its verdict says enough."""
    new = replace(GATE, verdict="error", gain=None, checks=(), guards=())
    assert {move.mark for move in moved(read, GUARDED, new).values()} == {"worse", ""}


def test_the_correction_for_several_candidates_is_no_looser_threshold(read):
    two = (CandidateResult("a", "m", "fail"), CandidateResult("b", "m", "pass"))
    several = replace(GATE, candidates=two, confidence=0.975)
    assert "confidence" not in moved(read, several, GATE)
    assert moved(read, several, replace(GATE, confidence=0.9))["confidence"].said == "95 % -> 90 %"


def test_a_mark_that_asks_for_less_than_the_file_and_an_unknown_word_count_as_loosened(read):
    assert "loosened" in {move.mark for move in moved(read, GATE, replace(GATE, loosened=("margin: 1 -> 2",))).values()}
    assert moved(read, GATE, replace(GATE, evidence="guessed"))["evidence"].mark == "loosened"


# --- data and values -----------------------------------------------------------------------------------------


def test_values_are_shown_and_do_not_count(read):
    new = replace(GATE, candidate=replace(GATE.candidate, value=0.88), gain=0.204, lower_bound=0.13, upper_bound=0.27)
    found = moved(read, GATE, new)
    assert {move.mark for move in found.values()} == {""}
    for what, words in (
        ("candidate", ["91.2 %", "88.0 %", "f1_macro"]),
        ("gain", ["+23.6", "+20.4", "within noise"]),
        ("bounds of the gain", ["+16.4", "+30.0", "+13.0", "+27.0"]),
    ):
        assert all(word in found[what].said for word in words)


@pytest.mark.parametrize(
    ("change", "noise"),
    [
        ({"gain": 0.10, "lower_bound": 0.05, "upper_bound": 0.25}, True),
        ({"gain": 0.17, "lower_bound": 0.12, "upper_bound": 0.23}, True),  # half of it alone
        ({"gain": 0.10, "lower_bound": None}, False),
        ({"gain": 0.20, "test_set": TestSetResult("test.jsonl", "c" * 64, 230)}, False),
        ({"gain": 0.20, "test_set": TestSetResult("test.jsonl", "b" * 64, 200)}, False),  # less of the same file
    ],
)
def test_noise_is_told_where_all_bounds_are_known_of_one_test_set(read, change, noise):
    found = moved(read, GATE, replace(GATE, **change))
    assert ("more than noise" in found["gain"].said, "noise" in found["gain"].said) == (noise, noise)
    if "test_set" in change:
        assert f"226 -> {change['test_set'].examples}" in found["test set"].said


def test_values_keep_their_unit_where_the_later_gate_was_not_judged(read):
    unknown = replace(
        GATE, verdict="error", metric_range=None, gain=None, candidate=replace(GATE.candidate, value=None)
    )
    found = moved(read, GATE, unknown)
    assert "%" in found["candidate"].said
    assert "points" in found["gain"].said


def test_another_training_set_is_told(read):
    found = moved(read, GATE, replace(GATE, training=TrainingResult("train.jsonl", "c" * 64, 900, 890)))
    assert "832 -> 890" in found["training set"].said


def test_models_times_and_costs(read):
    model = replace(GATE.baselines["baseline"], latency_p50_s=0.031, cost_usd=0.03)
    new = replace(
        GATE, baselines={"baseline": model}, candidate=replace(GATE.candidate, model="ft:2", latency_p50_s=0.05)
    )
    assert moved(read, GATE, new) == {
        "baseline cost": Move("baseline cost", "$0.0200 -> $0.0300"),
        "candidate model": Move("candidate model", "openai:ft:1 -> ft:2"),
        "candidate p50": Move("candidate p50", "23 ms -> 50 ms"),
    }  # fmt: skip


def test_baselines_come_and_go(read):
    two = {"prompt": ModelResult("p", "m", 0.5), "few_shot": ModelResult("f", "m", 0.6)}
    old, new = replace(GATE, baselines=two), replace(GATE, baselines={"prompt": two["prompt"]})
    assert list(moved(read, old, new)) == list(moved(read, new, old)) == ["baseline few_shot"]


def test_guards_slices_and_candidates(read):
    one = CandidateResult("small", "m", "pass")
    old = replace(GUARDED, slices=SLICED.slices, candidates=(one,))
    new = replace(
        old,
        guards=(replace(GUARD, verdict="fail", test_set=TestSetResult("g", "1" * 64, 3)),),
        slices=(replace(SLICED.slices[0], verdict=None),),
        candidates=(replace(one, verdict="fail"),),
    )
    found = moved(read, replace(old, guards=(replace(GUARD, test_set=TestSetResult("g", "0" * 64, 3)),)), new)
    assert found["slice lang de"].said.startswith("pass -> ")
    assert found["candidate small"].said == "pass -> fail"
    assert found["guard general"].said == "pass -> fail"


def test_checks_that_call_something_out(read):
    new = replace(GATE, checks=(*GATE.checks, Check("weak", "warning", "the prompt is bare"), Check("x", "note", "y")))
    for old, later in ((GATE, new), (new, GATE)):
        ((name, move),) = moved(read, old, later).items()
        assert (name, "warning" in move.said) == ("check weak", True)


# --- gates that come and go ----------------------------------------------------------------------------------

OTHER = replace(GATE, name="other", nodeid="test_gate.py::test_other")


def outcome(read, before, after, **more):
    return {one.name: one for one in compare_reports(read(*before), read(*after, **more))}


@pytest.mark.parametrize("unjudged", [{}, {"other": "its test was skipped: slow"}])
def test_a_lost_gate_is_worse_and_says_why(read, unjudged):
    found = outcome(read, [GATE, OTHER], [GATE], unjudged=unjudged)
    (move,) = found["other"].moves
    assert (move.what, move.mark) == ("gate", "worse")
    assert all(why in move.said for why in unjudged.values())
    assert not found["intents"].worse


def test_a_new_gate_is_not_worse_whatever_its_verdict(read):
    found = outcome(read, [GATE], [GATE, replace(OTHER, verdict="fail")])
    (move,) = found["other"].moves
    assert (move.what, move.mark, "fail" in move.said) == ("gate", "", True)
    assert not found["other"].worse


def test_an_obligation_that_is_no_longer_met_is_worse(read):
    found = outcome(read, [GATE], [GATE], unjudged={"absent": "no test", "intents": "loosened"})
    (move,) = found["absent"].moves
    assert (move.what, move.mark, "no test" in move.said) == ("required", "worse", True)
    assert found["intents"].worse


def test_one_that_was_not_met_before_is_not_worse(read):
    owed = {"absent": "no test of this run carries it"}
    assert not any(one.worse for one in compare_reports(read(GATE, unjudged=owed), read(GATE, unjudged=owed)))
    (gate, absent) = compare_reports(read(GATE, unjudged=owed), read(GATE))
    assert [move.mark for move in absent.moves] == ["better"]
    assert gate.moves == ()


def test_gates_of_one_name_are_told_apart_by_their_tests(read):
    twin = replace(GATE, nodeid="test_gate.py::test_twin")
    found = outcome(read, [GATE, twin], [replace(GATE, verdict="fail"), twin])
    assert found["intents (test_gate.py::test_gate)"].worse
    assert not found["intents (test_gate.py::test_twin)"].worse
    found = outcome(read, [GATE, twin], [GATE])
    assert found["intents (test_gate.py::test_twin)"].worse


# --- text ----------------------------------------------------------------------------------------------------


def test_the_text_fits_a_log_and_commands_nothing(read):
    hostile = "::error::\x1b[31m" + "x" * 300
    old = replace(GATE, name=hostile)
    new = replace(
        old,
        margin=0.01,
        candidate=replace(GATE.candidate, model=hostile + " ::error::y" * 20),
        checks=(*GATE.checks, Check(hostile, "warning", "a\n::error::b ##[error]c " * 20)),
    )
    before, after = read(old), read(new, partial=True, name="after.json")
    lines = list(comparison_lines(before, after, compare_reports(before, after)))
    assert max(map(len, lines)) <= 80
    assert not any(line.lstrip().startswith("::") or "##[" in line for line in lines)
    assert all(line.isprintable() for line in lines)
    assert ("after.json" in lines[1], "partial" in lines[1]) == (True, True)
    assert any("loosened" in line and "5 points -> 1 point" in line for line in lines)


def test_other_versions_are_told(read):
    before = replace(read(GATE), environment={"scipy": "1.11", "python": "3.11"})
    lines = list(comparison_lines(before, replace(before, environment={"scipy": "1.14", "python": "3.11"}), ()))
    assert "scipy 1.11 -> 1.14" in lines[2]
    assert "3.11" not in lines[2].replace("1.11 ", "")


# --- files ---------------------------------------------------------------------------------------------------

WHOLE = {"version": 1, "gates": [{"name": "a", "nodeid": "b", "verdict": "pass"}]}


@pytest.mark.parametrize(
    ("content", "key"),
    [
        *((text, None) for text in ("", "{", "[]", "{}", '{"version": true, "gates": []}', "[" * 100_000, b"\xff\xfe")),
        *((f'{{"version": {version}, "gates": []}}', "version") for version in (0, 2)),
        ('{"version": 1, "gates": {}}', "gates"),
        ('{"version": 1, "gates": [1]}', "gates[0]"),
        ('{"version": 1, "gates": [{"name": "a"}]}', "gates[0].nodeid"),
        ('{"version": 1, "gates": [], "unjudged": [3]}', "unjudged[0]"),
        ('{"version": 1, "gates": [NaN]}', None),
    ],
)
def test_what_is_no_report_is_refused(tmp_path, content, key):
    path = tmp_path / "r.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        read_report(path)
    assert caught.value.where.path.endswith("r.json")
    assert caught.value.where.key == key


WRONG = {
    "margin": ["x"],
    "checks": [3],
    "candidate": [[]],
    "baselines": [{"a": 1}],
    "evidence": [1],
    "gain": [True, 10**400],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_type_is_said_with_its_place(tmp_path, name, value):
    path = tmp_path / "r.json"
    path.write_text(json.dumps({**WHOLE, "gates": [{**WHOLE["gates"][0], name: value}]}))
    odd = read_report(path)
    with pytest.raises(DataError, match=rf"gates\[0\]\.{name}"):
        compare_reports(odd, odd)


@pytest.mark.parametrize("more", [{}, {"metric_range": [0, 10**400]}])
def test_a_report_of_an_earlier_version_that_knew_less_is_read(tmp_path, more):
    path = tmp_path / "r.json"
    path.write_text(json.dumps({**WHOLE, "gates": [{**WHOLE["gates"][0], **more}]}))
    read = read_report(path)
    assert compare_reports(read, read) == (GateMoves("a", (), "pass"),)
