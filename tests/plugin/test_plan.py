"""``--ftgate-plan`` and ``--ftgate-preview``: what a gate costs and can show; nothing is judged."""

import json
import re
from dataclasses import asdict
from typing import Any

import pytest
from endpoint_project import EndpointProject, N, answer, index_of
from gate_project import Project, check, mentions, recorded
from judge_project import ServedJudged
from loopback import LoopbackServer, error

from pytest_ftgate.plugin.required_gates import Seen
from pytest_ftgate.plugin.session import GateSession, WorkerReport
from pytest_ftgate.reports.text import Line
from pytest_ftgate.statistics import planning
from pytest_ftgate.statistics.planning import chances
from pytest_ftgate.text import show_usd

PRICED = {
    role: recorded(f"{path}.jsonl", price={"input_per_1m": usd, "output_per_1m": usd})
    for role, path, usd in (("baseline", "base", 9), ("candidate", "ft", 1))
}
# each answer costs 10 x $0.001 + 2 x $0.005
PRICE = {"input_per_1m": 1_000, "output_per_1m": 5_000}


def plan(project: Project, *args: str, status: int = 0) -> list[str]:
    """Plan the project's one gate, and return what the terminal shows."""
    result = project.run(*(args or ("--ftgate-plan",)))
    assert result.ret == status, result.stdout.str()
    result.assert_outcomes(**{"errors" if status else "skipped": 1})
    return result.outlines


def previewed(
    project: Project, *args: str, status: int = 0, n: int = 2, **changes: Any
) -> list[str]:
    """Preview a gate whose test body must not run."""
    project.gate_test("def test_gate():\n    raise SystemExit('the body ran')\n", **changes)
    return plan(project, f"--ftgate-preview={n}", *args, status=status)


MODELS = ("baseline base", "candidate ft")


def row(lines: list[str], name: str) -> list[str]:
    """Return the cells of a model's calls."""
    (found,) = [
        line.removeprefix(f"{name} ").split() for line in lines if line.startswith(f"{name}  ")
    ]
    return found


def needed(lines: list[str]) -> str:
    """Return how many calls the run needs, and what they cost."""
    (call_line,) = [line for line in lines if line.startswith("this run needs ")]
    return call_line.removeprefix("this run needs ").partition(":")[0]


# --- calls, tokens and money -------------------------------------------------------------------------------------


def test_calls_tokens_and_money_before_and_after_answers_are_stored(http: EndpointProject) -> None:
    for role in ("baseline", "candidate"):
        http.keys[role] = {**http.keys[role], "price": PRICE}
    http.gate_test()
    before = plan(http)
    assert [row(before, name) for name in MODELS] == [["60", "538", "105", "$1.06"]] * 2
    assert needed(before) == "120 of 120 calls (about $2.13)"
    assert http.server.requests == []
    plan(http, "--ftgate-preview=6")
    asked = len(http.server.bodies)
    some = plan(http)
    assert needed(some) == "108 of 120 calls ($2.21)"
    assert len(http.server.bodies) == asked
    spent = [http.gate()[role] for role in ("baseline", "candidate")]
    after = plan(http)
    for name, one in zip(MODELS, spent, strict=True):
        tokens = [f"{one[key]:,}" for key in ("input_tokens", "output_tokens")]
        assert row(after, name) == ["60", *tokens, show_usd(one["cost_usd"])]
    assert needed(after) == "0 of 120 calls"


def test_a_preview_is_an_unfinished_run_which_the_next_one_resumes(http: EndpointProject) -> None:
    """At any endpoint nothing that was paid for in a preview is asked again, and the next run says so."""
    http.gate_test(candidate=http.model("ft", revision=...))
    assert needed(plan(http, "--ftgate-preview=2")) == "116 of 120 calls"
    assert needed(plan(http)) == "116 of 120 calls"
    gate = http.gate()
    assert (gate["verdict"], len(http.server.requests)) == ("pass", 120)
    assert gate["candidate"]["n_stored"] == 2
    mentions(check(gate, "models"), "2 answers of ft", "preview")
    # its answers have served their purpose
    http.gate()
    assert len(http.server.requests) == 180


def test_latency_samples_and_guards_are_part_of_the_calls(http: EndpointProject) -> None:
    http.test_set(99, "general.jsonl", prefix="g", input="general question {}".format)
    guards = {"general": {"test_set": "general.jsonl", "max_drop": 0.03}}
    http.gate_test(candidate=http.model("ft", latency_sample=10), guards=guards)
    lines = plan(http)
    assert (row(lines, "baseline base")[0], row(lines, "candidate ft")[0]) == ("159", "169")


@pytest.mark.parametrize("name", ["rubric", "preference"])
def test_a_judge_is_not_asked_and_its_calls_are_counted(
    pytester: pytest.Pytester, server: LoopbackServer, name: str
) -> None:
    judged = ServedJudged(pytester, server)
    judged.judged_by(name=name)
    lines = plan(judged, "--ftgate-preview=2")
    assert (judged.n_asked("judge"), judged.n_asked("base"), judged.n_asked("ft")) == (0, 2, 2)
    assert row(lines, f"judge {name} (judge)")[:3] == ["at", "most", "120"]


# --- chances, and checks that fail already -----------------------------------------------------------------------


def chances_shown(lines: list[str]) -> dict[str, list[str]]:
    """Return the shares of pass, fail and inconclusive by the true gain."""
    table = [
        re.split(r"  +", line.strip())
        for line in lines
        if re.match(r" *[+-]\d+\.\d points  ", line)
    ]
    return {
        gain.removesuffix(" points"): [share.removesuffix(" %") for share in shares]
        for gain, *shares in table
    }


def test_the_chances_are_those_of_the_exact_test(project: Project) -> None:
    """Recorded answers tell how many examples the candidate breaks: 2 of 60."""
    project.gate_test()
    lines = plan(project)
    asked: dict[str, Any] = {"margin": 0.05, "confidence": 0.95, "evidence": "significant"}
    expected = {}
    for gain, shown in ((0.0, "+0.0"), (0.05, "+5.0"), (0.1, "+10.0")):
        found = chances(60, gain=gain, disagreement=gain + 2 * 2 / 60, **asked)
        expected[shown] = [
            f"{100 * one:.0f}" for one in (found.passed, found.failed, found.inconclusive)
        ]
    assert chances_shown(lines) == expected


@pytest.mark.parametrize(
    ("metric", "groups"), [("accuracy", 20), ("f1_macro", 20), ("accuracy", 12)]
)
def test_the_chances_of_groups_are_those_of_the_verdict(
    project: Project, monkeypatch: pytest.MonkeyPatch, metric: str, groups: int
) -> None:
    """Fewer than 15 groups are never enough."""
    monkeypatch.setattr(planning, "_MOST_DRAWN", 50)
    project.test_set(60, group=lambda i: f"g{i % groups}")
    project.gate_test(metric=metric)
    lines = plan(project, status=0 if groups >= 15 else 1)
    shown = chances_shown(lines)
    assert (int(shown["+10.0"][0]) > 50) is (groups >= 15)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"margin": ..., "max_drop": 0.06, "cheaper_by": 2, **PRICED},
            "accuracy, 60 examples, max_drop 6 points, proven at 95 %",
        ),
        (
            {"margin": 0, "baseline": "openai:m"},
            "accuracy, 60 examples, margin 0 points, significant at 95 %",
        ),
        ({"baseline": "openai:m"}, "for a candidate that breaks 3 % of the examples (assumed)"),
    ],
    ids=str,
)
def test_what_the_chances_rest_on_is_said(
    project: Project, keys: dict[str, Any], said: str
) -> None:
    project.gate_test(**keys)
    lines = plan(project)
    assert said in lines
    passed = [int(shares[0]) for shares in chances_shown(lines).values()]
    assert passed == sorted(passed)
    assert passed[0] <= 5


@pytest.mark.parametrize(("option", "asked"), [("--ftgate-plan", 0), ("--ftgate-preview=2", 4)])
def test_what_fails_already_is_said_and_exits_with_1(
    http: EndpointProject, option: str, asked: int
) -> None:
    http.gate_test(margin=3)
    lines = plan(http, option, status=1)
    assert lines.count("no model was called") == 1
    assert "\n".join(lines).count(", a check already fails") == 1
    right = (http.path / "test.jsonl").read_text()
    http.file("test.jsonl", right.replace('"input"', '"inptu"', 1))
    http.training_set(199)
    http.gate_test()
    assert [line for line in plan(http, option, status=1) if "test.jsonl:1" in line]
    assert http.server.requests == []
    http.file("test.jsonl", right)
    lines = plan(http, option, status=1)
    assert [line for line in lines if "FAIL  min_training_examples: " in line]
    assert [line for line in lines if line.startswith("ERROR test_gate.py") and " - 199 " in line]
    assert len(http.server.bodies) == asked


# --- prompts and answers -----------------------------------------------------------------------------------------


def test_the_first_prompt_of_each_model_is_shown_in_short_and_with_v_whole(
    http: EndpointProject,
) -> None:
    base = http.model("base", system="Answer with\none label. " + "x" * 99, few_shot=4)
    http.gate_test(baseline=base)
    lines = plan(http)
    short = [
        line
        for line in lines
        if line.startswith(("  system: ", "  user: ", "  assistant: ", "  ..."))
    ]
    assert [line.partition(":")[0].strip() for line in short] == [
        "system",
        "user",
        "...",
        "user",
        "user",
    ]
    assert short[0].startswith("  system: Answer with one label. xxx")
    assert max(map(len, short)) < 80
    assert [
        line
        for line in lines
        if line.startswith("first prompt of baseline base (about ") and "-v" in line
    ]
    whole = plan(http, "--ftgate-plan", "-v")
    assert f"    one label. {'x' * 99}" in whole
    assert len([line for line in whole if line.startswith("  user: ")]) == 6
    assert http.server.requests == []


def test_each_model_is_asked_for_the_first_examples_and_the_answers_are_kept(
    http: EndpointProject,
) -> None:
    lines = previewed(http)
    assert sorted((body["model"], index_of(body)) for body in http.server.bodies) == [
        ("base", 0), ("base", 1), ("ft", 0), ("ft", 1),
    ]  # fmt: skip
    assert [lines.count(f"  input: customer question {i}") for i in range(3)] == [1, 1, 0]
    assert [line for line in lines if line.startswith("  expected: ")] == [
        "  expected: refund",
        "  expected: invoice",
    ]
    assert {"  baseline, right: refund", "  candidate, wrong: invoice"} <= set(lines)
    assert not [line for line in lines if "PASS" in line]
    answer = lines.index("  baseline, right: refund")
    assert answer < next(i for i, line in enumerate(lines) if line.endswith("cost"))
    http.forget()
    assert "  baseline, right: refund" in previewed(http, "--ftgate-offline")
    assert http.server.requests == []
    http.gate_test()
    assert http.gate()["verdict"] == "pass"
    assert len(http.server.bodies) == 2 * N - 4


def test_all_that_is_sent_and_answered_is_shown_and_no_unknown_cost_is_zero(
    http: EndpointProject,
) -> None:
    tool = {
        "type": "function",
        "function": {"name": "get_weather", "parameters": {"type": "object"}},
    }
    http.test_set(N, tools=[tool])
    http.server.answer = lambda body: f"<think>12345</think>{answer(body)}"
    lines = previewed(http, "-v", baseline=http.model("base", retrieval=1, price=PRICE))
    assert len([line for line in lines if "assistant:" in line]) == 2, (
        "a prompt that depends on the input"
    )
    assert [line for line in lines if "get_weather" in line]
    assert "  baseline, right: refund" in lines
    assert row(lines, "candidate ft")[-1] == "unknown"


@pytest.mark.parametrize(
    ("metric", "said"), [("matthews_corrcoef", "wrong: invoice"), ("rouge_l", "66.7 %: the refund")]
)
def test_single_answers_are_right_or_wrong_or_have_a_score(
    project: Project, metric: str, said: str
) -> None:
    if metric == "rouge_l":
        project.predictions("ft.jsonl", N, output=lambda i: "the refund")
    lines = previewed(project, metric=metric, n=1)
    assert f"  candidate, {said}" in lines
    assert metric == "rouge_l" or "  baseline, right: refund" in lines
    assert "no calls are needed: all answers are recorded in files" in lines
    assert "the first 1 of 60 examples" in lines
    assert not [line for line in lines if "models were asked" in line]


def test_at_the_stage_ready_only_the_baseline_is_asked_and_for_no_more_than_there_is(
    http: EndpointProject,
) -> None:
    previewed(http, "--ftgate-plan", n=1_000, stage="ready", candidate=...)
    assert [body["model"] for body in http.server.bodies] == ["base"] * N, (
        "both options are a preview"
    )


# --- options, obligations, workers -------------------------------------------------------------------------------


@pytest.mark.parametrize("n", ["0", "x", "1.5", ""])
def test_a_number_of_examples_that_is_none_is_refused(project: Project, n: str) -> None:
    result = project.run(f"--ftgate-preview={n}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "a number of examples, at least 1" in result.stderr.str()


@pytest.mark.parametrize("option", ["--ftgate-plan", "--ftgate-preview=2"])
def test_a_plan_meets_no_obligation(
    project: Project, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    project.gate_test(name="support")
    project.file("pytest.ini", "[pytest]\nftgate_required = support\n")
    lines = plan(project, option, "--ftgate-report=json:report.json")
    assert not [line for line in lines if "not met" in line], "a plan has no verdict to require"
    assert not (project.path / "report.json").exists()
    assert [line for line in lines if line.startswith("no report is written (json)")]
    monkeypatch.setenv("CI", "true")
    assert project.run(option).ret == pytest.ExitCode.USAGE_ERROR


def test_under_xdist_each_gate_is_previewed_once_and_a_failed_call_fails_the_run(
    http: EndpointProject,
) -> None:
    mark, bad = http.mark(name="one"), http.mark(name="two", candidate=http.model("told"))
    http.server.answer = lambda body: (
        answer({**body, "model": body["model"].replace("told", "ft")})
        if body["model"] != "told" or not index_of(body)
        else error(500)
    )
    http.file(
        "test_gate.py",
        f"import pytest\n\n\n{mark}\ndef test_one(): 1 / 0\n\n\n{bad}\ndef test_two(): 1 / 0\n",
    )
    result = http.run_apart("-n1", "--ftgate-preview=2")
    result.assert_outcomes(skipped=1, errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = result.stdout.str()
    assert text.count("ftgate one: PREVIEW") == 1
    assert "  candidate, FAILED: " in text
    assert text.count("  baseline, right: invoice") == 2, "the other answers"


def test_of_the_plans_of_two_workers_one_that_failed_counts(project: Project) -> None:
    for failed in (("why", ""), ("", "why")):
        session = GateSession(project.pytester.parseconfig())
        for one in failed:
            plans = {"test_gate.py::test_gate": ([Line("ftgate one: PLAN")], one)}
            report = WorkerReport([], Seen(), [], plans, {})
            session.hear_worker(json.dumps(asdict(report)))
        assert session.held(0) == pytest.ExitCode.TESTS_FAILED


def test_what_asks_about_whole_test_sets_is_skipped(http: EndpointProject) -> None:
    body = f"ftgate_evaluate({http.model('base')!r}, 'test.jsonl')"
    http.file("test_own.py", f"def test_own(ftgate_evaluate): {body}\n")
    http.run("--ftgate-preview=2", "test_own.py").assert_outcomes(skipped=1)
    assert http.server.requests == []
