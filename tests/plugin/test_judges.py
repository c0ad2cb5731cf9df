"""Answers that a model judges: Python functions, and judges over HTTP, which are asked once and cost money."""

import shutil
from typing import Any

import pytest
import yaml
from gate_project import (
    block,
    check,
    checks,
    ends,
    mentions,
    passed,
    read_jsonl,
    stopped,
    write_jsonl,
)
from judge_project import (
    HONEST,
    RUBRIC,
    N,
    PythonJudged,
    ServedJudged,
    asked_of,
    good,
    honest,
    poor,
    task,
)
from loopback import LoopbackServer, Reply, error


@pytest.fixture
def judged(pytester: pytest.Pytester) -> PythonJudged:
    return PythonJudged(pytester)


@pytest.fixture
def served(
    pytester: pytest.Pytester, server: LoopbackServer, no_ambient_settings: None
) -> ServedJudged:
    return ServedJudged(pytester, server)


# --- a test set that does not say what is expected -----------------------------------------------------------

RUBRIC_METRIC = {"name": "rubric", "judge": "python:judges:honest", "rubric": RUBRIC}


def unlabeled(judged: PythonJudged) -> None:
    write_jsonl(judged.path / "test.jsonl", [{"id": f"t{i}", "input": task(i)} for i in range(N)])


@pytest.mark.parametrize(("name", "gain"), [("rubric", 1.5), ("preference", 0.25)])
def test_what_is_expected_need_not_be_known(judged: PythonJudged, name: str, gain: float) -> None:
    unlabeled(judged)
    strict = 'assert "known to be right" not in messages[0]["content"] and "expected" not in messages[1]["content"]'
    judged.file(
        "judges.py", f"{HONEST}\ndef strict(messages):\n    {strict}\n    return honest(messages)\n"
    )
    judged.judged_by("python:judges:strict", name=name)
    gate = judged.whole("-v", "--ftgate-report=markdown:r.md", "--ftgate-report=html:r.html")
    assert (gate["verdict"], gate["gain"]) == ("pass", gain), gate["checks"]
    assert gate["diagnosis"] is None or gate["diagnosis"]["labels"] == []
    text = judged.result.stdout.str()
    assert "      'Hello! Your number is 0, gladly.' -> 'number 0'" in text

    # a page shows answers of a red gate
    judged.judged_by("python:judges:strict", name=name, gate={"margin": 1.2 * gain})
    judged.run("--ftgate-report=html:r.html")
    page = (judged.path / "r.html").read_text(encoding="utf-8")
    assert 'data-label="input"' in page
    assert 'data-label="expected"' not in page
    for output in (text, page, (judged.path / "r.md").read_text(encoding="utf-8")):
        assert not [
            fragment
            for fragment in ("expected ''", "known label", "| expected |")
            if fragment in output
        ]


@pytest.mark.parametrize(
    "keys",
    [
        {"metric": [RUBRIC_METRIC, "accuracy"]},
        {"metric": RUBRIC_METRIC, "thresholds": {"token_f1": {"min": 0.1}}},
    ],
)
def test_a_metric_that_compares_needs_what_is_expected(
    judged: PythonJudged, keys: dict[str, Any]
) -> None:
    unlabeled(judged)
    assert stopped(judged.judge(margin=0.3, **keys))["message"].startswith(
        'test.jsonl:1: no field "expected"'
    )


def test_gates_of_one_session_each_hold_the_test_set_to_their_own_metric(
    judged: PythonJudged,
) -> None:
    """A fixture may give inputs alone."""
    rows = f"[{{'id': f't{{i}}', 'input': f'customer question {{i}}'}} for i in range({N})]"
    judged.file(
        "conftest.py", f"import pytest\n@pytest.fixture\ndef ftgate_test_set(): return {rows}\n"
    )
    rubric, same_rubric = (
        judged.mark(metric=RUBRIC_METRIC, margin=0.3, test_set=...),
        judged.mark(test_set=...),
    )
    body = "(ftgate_test_set): assert {one.expected for one in ftgate_test_set} == {''}\n"
    judged.file(
        "test_gate.py",
        f"import pytest\n{rubric}\ndef test_rubric{body}\n{same_rubric}\ndef test_same(): pass\n",
    )
    rubric, same_rubric = judged.report()["gates"]
    assert rubric["verdict"] == "pass"
    mentions(stopped(same_rubric), 'test_set[0]: no field "expected"')


# --- preference ----------------------------------------------------------------------------------------------


def test_the_margin_is_of_the_win_rate_above_a_half(judged: PythonJudged) -> None:
    assert (
        judged.by(name="preference", gate={"margin": 0.25, "evidence": "observed"})["verdict"]
        == "pass"
    )
    assert (
        judged.by(name="preference", gate={"margin": 0.26, "evidence": "observed"})["verdict"]
        == "fail"
    )
    assert "win rate" in stopped(judged.by(name="preference", gate={"margin": 0.5}))["message"]


@pytest.mark.parametrize("judge", ["first", "shy"])
def test_a_preference_in_one_order_alone_is_a_tie(judged: PythonJudged, judge: str) -> None:
    """The judge always prefers the first answer, or the better one only where it comes first."""
    shy = "def shy(messages):\n    return honest(messages).replace('\"B\"', '\"tie\"')\n"
    judged.file("judges.py", f"{HONEST}\n\n{shy}")
    gate = ends(judged.by(f"python:judges:{judge}", name="preference"), "fail")
    assert (gate["gain"], gate["fixed"], gate["broken"]) == (0, 0, 0)


def test_a_callable_in_a_mark_is_a_judge(judged: PythonJudged) -> None:
    passed(judged.judge(metric={**RUBRIC_METRIC, "judge": honest}, margin=0.3))


def test_a_rubric_beside_the_deciding_metric(judged: PythonJudged) -> None:
    gate = judged.judge(
        metric=[{**RUBRIC_METRIC, "name": "preference"}, RUBRIC_METRIC],
        thresholds={"rubric": {"min": 4.5}, "preference": {"min": 0.8}},
        margin=0.05,
    )
    assert gate["candidate"]["metrics"] == {"preference": 0.75, "rubric": 4.5}
    statuses = [check(gate, f"thresholds.{name}")["status"] for name in ("rubric", "preference")]
    assert statuses == ["pass", "fail"]


def test_the_candidate_must_be_preferred_to_every_baseline(judged: PythonJudged) -> None:
    judged.predictions("strong.jsonl", 60, output=lambda i: good(i) if i >= 5 else poor(i))
    baselines = {"weak": "recorded:base.jsonl", "strong": "recorded:strong.jsonl"}
    gate = ends(
        judged.by(name="preference", gate={"baseline": ..., "baselines": baselines}), "fail"
    )
    assert (gate["baseline"]["name"], gate["candidate"]["value"]) == (
        "strong",
        pytest.approx(0.5 - 5 / 120),
    )
    gains = {role: gain["gain"] for role, gain in gate["gains"].items()}
    assert gains == {"weak": 0.25, "strong": pytest.approx(-5 / 120)}
    values = {role: baseline["value"] for role, baseline in gate["baselines"].items()}
    assert values == {"weak": pytest.approx(0.25 - 5 / 120), "strong": 0.5}


def test_a_champion_that_always_says_the_same_is_weak_too(judged: PythonJudged) -> None:
    judged.predictions("same.jsonl", N, output="Hello there.")
    baselines = {
        "prompt": "recorded:base.jsonl",
        "champion": {"model": "recorded:same.jsonl", "max_drop": 1.0},
    }
    finding = stopped(
        judged.by(gate={"baseline": ..., "baselines": baselines}), "fail", called=True
    )
    assert finding["name"] == "weak_baseline"
    mentions(finding, "champion", "'Hello there.'")


def test_a_missing_answer_is_not_judged_and_loses(judged: PythonJudged) -> None:
    judged.predictions("ft.jsonl", 60, output=lambda i: judged.answer_of("ft", i) if i else "  ")
    gate = judged.by(name="preference")
    assert (gate["fixed"], gate["broken"]) == (40, 10)
    assert judged.by()["candidate"]["value"] == pytest.approx((50 * 5 + 9 * 2 + 1) / 60)


def test_repeats_are_paired_one_by_one(judged: PythonJudged) -> None:
    rows = [
        {"id": f"t{i}", "output": output, "repeat": n}
        for i in range(N)
        for n, output in enumerate((good(i), poor(i)))
    ]
    write_jsonl(judged.path / "ft.jsonl", rows)
    judged.predictions("base.jsonl", N, output=poor, repeats=2)
    gate = judged.by(name="preference", gate={"repeats": 2})
    assert gate["candidate"]["value"] == 0.75
    assert gate["method"].startswith("Gaffke")  # the means of two pairs each


def test_slices_are_judged_by_preference_too(judged: PythonJudged) -> None:
    rows = [
        {"id": f"t{i}", "input": task(i), "expected": "", "lang": "de" if i < 30 else "en"}
        for i in range(N)
    ]
    write_jsonl(judged.path / "test.jsonl", rows)
    gate = judged.by(name="preference", gate={"slices": ["lang"]})
    slices = {
        slice_result["value"]: (slice_result["gain"], slice_result["verdict"])
        for slice_result in gate["slices"]
    }
    assert slices == {"de": (0.0, "pass"), "en": (0.5, "pass")}


def at(url: str) -> dict[str, str]:
    return {"provider": "openai", "model": "m", "base_url": url}


def test_a_judge_that_fails_is_named_and_not_those_that_it_stopped(judged: PythonJudged) -> None:
    absent = {**at("http://127.0.0.1:9/v1"), "api_key_env": "THE_KEY"}
    gate = judged.judge(
        metric=[RUBRIC_METRIC, {**RUBRIC_METRIC, "name": "preference", "judge": absent}], margin=0.3
    )
    (finding,) = (one for one in ends(gate, "error")["checks"] if one["status"] == "error")
    mentions(finding, "THE_KEY is not set")


FUNCTION, WORKERS = (
    "python:judges:honest",
    {"provider": "python", "target": "judges:honest", "workers": 2},
)
OTHER_KEYS = {"params": {"temperature": 0}, "revision": "2", "name": "impartial"}


@pytest.mark.parametrize(
    ("judge", "role", "same_model", "spelling"),
    [
        *(
            (FUNCTION, *model, FUNCTION)
            for model in (("candidate", WORKERS), ("baseline", FUNCTION))
        ),
        ("recorded:ft.jsonl", "candidate", "recorded:ft.jsonl", "recorded:ft.jsonl"),
        ({**at("http://h/v1"), **OTHER_KEYS}, "candidate", at("http://h/v1"), "openai:m"),
    ],
    ids=str,
)
def test_the_judge_is_neither_of_the_two_models_however_they_are_written(
    judged: PythonJudged, judge: Any, role: str, same_model: Any, spelling: str
) -> None:
    mentions(
        stopped(judged.by(judge, gate={role: same_model})),
        f"the judge of rubric is the {role} itself ({spelling})",
    )


def test_what_asks_no_judge_refuses_judged_metrics(judged: PythonJudged) -> None:
    guards = {"general": {"test_set": "test.jsonl", "metric": RUBRIC_METRIC, "max_drop": 0.1}}
    mentions(
        stopped(judged.judge(guards=guards)),
        "guard general: rubric cannot be the metric of a guard",
    )
    ready = judged.by(name="preference", gate={"stage": "ready", "candidate": ...})
    mentions(stopped(ready), "preference compares two models")
    match = {"max_drop": 0.05, "cheaper_by": 2.0, "margin": ...}
    mentions(stopped(judged.by(name="preference", gate=match)), "max_drop needs a metric")
    body = f"ftgate_evaluate('recorded:ft.jsonl', 'test.jsonl', metric={RUBRIC_METRIC!r})"
    judged.file("test_evaluate.py", f"def test_it(ftgate_evaluate): {body}\n")
    result = judged.run("test_evaluate.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*rubric cannot be measured by ftgate_evaluate*"])


def test_before_training_a_rubric_judges_the_baseline(judged: PythonJudged) -> None:
    gate = passed(judged.by(gate={"stage": "ready", "candidate": ...}))
    assert gate["baseline"]["value"] == 3.0


# --- the calibration -----------------------------------------------------------------------------------------


def items(judged: PythonJudged, n: int = 20, wrong: int = 0, name: str = "rubric") -> None:
    """Items on which people say what the honest judge says, but for the first ``wrong`` ones."""
    rows: list[dict[str, Any]] = []
    for i in range(n):
        texts, agreed = (
            (good(i), poor(i)) if i % 2 == 0 else (poor(i), good(i)),
            (i % 2 == 0) != (i < wrong),
        )
        if name == "rubric":
            rows.append({"input": task(i), "output": texts[0], "score": 5 if agreed else 2})
        else:
            rows.append(
                {
                    "input": task(i),
                    "a": texts[0],
                    "b": texts[1],
                    "preferred": "a" if agreed else "b",
                }
            )
    write_jsonl(judged.path / "labelled.jsonl", rows)


CALIBRATION = {"path": "labelled.jsonl", "min_kappa": 0.6}


@pytest.mark.parametrize("name", ["rubric", "preference"])
def test_a_judge_that_agrees_with_people_may_judge(judged: PythonJudged, name: str) -> None:
    items(judged, name=name)
    calibration = CALIBRATION
    if name == "rubric":  # the items may be a table
        rows = [
            ",".join(f'"{value}"' for value in row.values())
            for row in read_jsonl(judged.path / "labelled.jsonl")
        ]
        judged.file("labelled.csv", "\n".join(["input,output,score", *rows]))
        calibration = {**CALIBRATION, "path": "labelled.csv"}
    gate = passed(judged.by(name=name, calibration=calibration))
    agreement = next(check for check in checks(gate, "models") if check["required"] is not None)
    assert (agreement["status"], agreement["observed"], agreement["required"]) == ("pass", 1.0, 0.6)
    mentions(
        agreement,
        "honest",
        "20 human-labelled items",
        "Cohen, quadratic weights" if name == "rubric" else "Cohen",
    )


@pytest.mark.parametrize("name", ["rubric", "preference"])
def test_a_judge_that_does_not_is_an_error_before_any_model_is_asked(
    judged: PythonJudged, name: str
) -> None:
    items(judged, wrong=8, name=name)
    gate = ends(judged.by(name=name, calibration=CALIBRATION), "error")
    finding = check(gate, "models")
    assert (finding["status"], finding["required"]) == ("error", 0.6)
    assert finding["observed"] == pytest.approx(0.2)
    assert gate["candidate"]["n_scored"] is None  # it was not asked
    items(judged, name=name)
    rows = read_jsonl(judged.path / "labelled.jsonl")[::2] * 2
    write_jsonl(
        judged.path / "labelled.jsonl", [{**row, "input": task(i)} for i, row in enumerate(rows)]
    )
    gate = ends(judged.by(name=name, calibration=CALIBRATION), "error")
    mentions(check(gate, "models"), "undefined")  # labels that are all alike hold no judge


ITEM = {"input": "x", "output": "y", "score": 3}


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([{**ITEM, "input": f"x{i}"} for i in range(19)], "at least 20 distinct items, got 19"),
        (
            [{**ITEM, "output": f"y{i % 2}", "score": 3 + i % 2} for i in range(40)],
            "got 2 in 40 rows",
        ),
        *(
            (
                [{**ITEM, "score": score}],
                "labelled.jsonl:1: score: must be a score from 1 to 5, got ",
            )
            for score in (10**400, 6, True, "good")
        ),
        ([{"input": "x", "output": "y"}], 'labelled.jsonl:1: no field "score"'),
        ([{**ITEM, "output": 5}], "labelled.jsonl:1: output: must be text, got 5"),
    ],
)
def test_items_that_cannot_be_used(
    judged: PythonJudged, rows: list[dict[str, Any]], text: str
) -> None:
    write_jsonl(judged.path / "labelled.jsonl", rows)
    assert text in stopped(judged.by(calibration=CALIBRATION))["message"]


# --- judges behind an endpoint ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rubric", "preference"])
def test_an_honest_judge_lets_a_better_candidate_pass_and_is_asked_once(
    served: ServedJudged, name: str
) -> None:
    gate = passed(served.by(name=name))
    n_needed = {"rubric": 110, "preference": 100}[name]
    assert (served.n_asked("judge"), served.n_asked("base"), served.n_asked("ft")) == (
        n_needed,
        60,
        60,
    )
    assert gate["candidate"]["input_tokens"] == 10 * 60  # the judge's are not the candidate's
    served.forget()
    passed(served.by(name=name))
    assert served.server.requests == []


def test_what_a_judge_said_ages_too(served: ServedJudged) -> None:
    assert check(served.by(gate={"max_age_days": 30}), "max_age_days")["status"] == "pass"
    served.store("UPDATE predictions SET created_at = created_at - 100 * 86400")
    served.forget()
    asked_anew = {
        role: served.model(name, revision="2")
        for role, name in (("baseline", "base"), ("candidate", "ft"))
    }
    gate = served.by(gate={"max_age_days": 30, **asked_anew})
    assert (served.n_asked("judge"), served.n_asked("base"), served.n_asked("ft")) == (0, 60, 60)
    assert check(gate, "max_age_days")["observed"] > 99
    assert gate["verdict"] == "fail"


def test_a_judge_named_under_models(served: ServedJudged) -> None:
    gate = {**served.keys, **served.asking("referee", "rubric", {})}
    for options, passes in (({}, True), ({"system": "Be kind."}, False)):
        referee = {**served.model("judge"), **options}
        served.gate_file(
            yaml.safe_dump(
                {"version": 1, "models": {"referee": referee}, "gates": {"support": gate}}
            )
        )
        served_gate = served.judge("support")
        if passes:
            passed(served_gate)
        else:
            assert (
                "the judge referee has its own prompt (system)" in stopped(served_gate)["message"]
            )


def test_garbage_is_an_error_and_is_not_asked_again(served: ServedJudged) -> None:
    tie = '{"better": "tie"}'
    served.judge_says = lambda body: (
        "Both are fine!" if "question 7" in asked_of(body)["input"] else tie
    )
    gate = ends(served.by(name="preference"), "error")
    fragments = (
        "judge judge",
        "2 of 100",
        "test.jsonl:8",
        "Both are fine!",
        "--ftgate-cache=refresh",
    )
    mentions(check(gate, "models"), *fragments)
    assert [check["name"] for check in gate["checks"] if check["status"] == "error"] == ["models"]
    assert (gate["candidate"]["value"], gate["candidate"]["n_scored"]) == (None, 60)
    served.forget()
    served.judge_says = lambda body: tie
    ends(served.by(name="preference"), "error")
    assert served.server.requests == []
    ends(served.by(name="preference", gate={"refresh": True}), "fail")


@pytest.mark.parametrize(
    ("reply", "fragments", "n_asked_again"),
    [
        (
            Reply("5", message={"refusal": "I would rather not"}),
            ["110 of 110", "about test.jsonl:1 (refusal)"],
            0,
        ),
        (Reply("five"), ["cannot read 110 of 110", "five"], 0),
        (error(500), ["110 of 110 answers missing"], 110),
    ],
    ids=["refusal", "unreadable", "down"],
)
def test_a_judge_that_does_not_answer_is_an_error(
    served: ServedJudged, reply: Any, fragments: list[str], n_asked_again: int
) -> None:
    """Replies that cannot be read are stored, and are not asked for again."""
    one_by_one = served.model("judge", concurrency=1)
    served.judge_says = lambda body: reply
    mentions(check(ends(served.by(one_by_one), "error"), "models"), *fragments)
    served.forget()
    served.judge_says = honest
    ends(served.by(one_by_one), "pass" if n_asked_again else "error")
    assert (served.n_asked("judge"), served.n_asked("base"), served.n_asked("ft")) == (
        n_asked_again,
        0,
        0,
    )


def test_no_judge_is_paid_where_an_answer_is_missing(served: ServedJudged) -> None:
    answered = served.server.answer
    served.server.answer = lambda body: error(500) if body["model"] == "base" else answered(body)
    ends(served.by(), "error")
    assert served.n_asked("judge") == 0


@pytest.mark.parametrize("name", ["rubric", "preference"])
def test_recordings_hold_the_judges_answers_so_that_ci_needs_no_key(
    served: ServedJudged, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("THE_KEY", "sk-secret")
    rows = [
        {"input": f"x{i}", "output": good(i) if i % 2 else poor(i), "score": 2 + 3 * (i % 2)}
        for i in range(20)
    ]
    write_jsonl(served.path / "gates/labelled.jsonl", rows)
    options = (
        {"calibration": {"path": "labelled.jsonl", "min_kappa": 0.5}} if name == "rubric" else {}
    )
    served.judged_by(served.model("judge", api_key_env="THE_KEY"), name=name, **options)
    served.file(
        "tox.ini", "[pytest]\nftgate_config = gates/ftgate.yaml\nftgate_recordings = kept\n"
    )
    (served.path / "kept").mkdir()
    gate = passed(served.gate("--ftgate-report=recordings:kept"))
    names = {path.name for path in (served.path / "kept").iterdir()}
    assert f"support.judge_{name}.jsonl" in names
    assert (f"support.judge_{name}_calibration.jsonl" in names) is (name == "rubric")
    monkeypatch.delenv("THE_KEY")
    served.forget()
    shutil.rmtree(served.path / ".ftgate")
    second_gate = passed(served.gate("--ftgate-offline"))
    assert served.server.requests == []
    assert second_gate["gain"] == gate["gain"]


def test_offline_a_judge_that_is_not_recorded_is_an_error(served: ServedJudged) -> None:
    passed(served.by())
    gate = ends(served.by(scale=[1, 7], gate={"offline": True}), "error")
    mentions(
        check(gate, "models"), "--ftgate-report=recordings:recordings", "110 of 110 answers missing"
    )


def test_the_judge_is_stopped_by_max_cost_and_paid_for_apart(served: ServedJudged) -> None:
    price = {"input_per_1m": 1000.0, "output_per_1m": 1000.0}
    free = {"input_per_1m": 0.0, "output_per_1m": 0.0}
    served.keys |= {
        "baseline": served.model("base", price=free),
        "candidate": served.model("ft", price=free),
    }
    served.judged_by(served.model("judge", price=price, concurrency=1))
    gate = ends(served.gate("--ftgate-max-cost=1.25"), "error")
    assert "--ftgate-max-cost" in check(gate, "models")["message"]
    assert 0 < served.n_asked("judge") < 110
    assert passed(served.gate())["candidate"]["cost_usd"] == 0


# --- length --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rubric", "preference"])
def test_the_length_of_judged_answers_is_told(judged: PythonJudged, name: str) -> None:
    gate = passed(judged.by(name=name))
    warning = check(gate, "answer_length")
    assert (warning["status"], warning["observed"], warning["required"]) == ("warning", 50, 50)
    mentions(warning, "50 of 50 pairs", "candidate", "40")
    lengths = [
        sum(len(judged.answer_of(model, i)) for i in range(N)) / N for model in ("base", "ft")
    ]
    assert [gate[role]["mean_length"] for role in ("baseline", "candidate")] == lengths
    (row,) = [line for line in block(gate) if line.startswith("candidate")]
    assert f"{lengths[1]:.0f} chars" in row
    assert judged.judge(metric="exact_match")["candidate"]["mean_length"] is None
