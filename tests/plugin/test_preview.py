"""``--ftgate-preview``: a few examples are asked about, shown and stored, and nothing is judged."""

from __future__ import annotations

from typing import Any

import pytest
from endpoint_project import EndpointProject, N, answer, index_of
from gate_project import Project
from judge_project import ServedJudged
from loopback import LoopbackServer, Reply, error

PRICE = {"input_per_1m": 1_000, "output_per_1m": 5_000}  # each answer costs 10 x $0.001 + 2 x $0.005


def shown(project: Project, *args: str, exit_status: int = 0, n: int = 2) -> str:
    """Preview the gate whose test body must not run, and give what the terminal shows."""
    result = project.run(f"--ftgate-preview={n}", *args)
    assert result.ret == exit_status, result.stdout.str()
    result.assert_outcomes(**{"errors" if exit_status else "skipped": 1})
    return result.stdout.str()


def previewed(project: Project, *args: str, exit_status: int = 0, n: int = 2, **changes: Any) -> str:
    project.gate_test("def test_gate():\n    raise SystemExit('the body ran')\n", **changes)
    return shown(project, *args, exit_status=exit_status, n=n)


def row(text: str, name: str, table: int) -> list[str]:
    """The cells of a model's row in the first or second table of costs."""
    rows = [line.removeprefix(f"  {name} ").split() for line in text.splitlines() if line.startswith(f"  {name}  ")]
    return rows[table]


def test_each_model_is_asked_for_the_first_examples_and_the_answers_are_kept(http: EndpointProject) -> None:
    text = previewed(http)
    assert sorted((body["model"], index_of(body)) for body in http.server.bodies) == [
        ("base", 0), ("base", 1), ("ft", 0), ("ft", 1),
    ]  # fmt: skip
    assert "PREVIEW" in text
    assert "PASS" not in text
    http.forget()
    assert "right: refund" in previewed(http, "--ftgate-offline")
    assert http.server.requests == []
    http.gate_test()
    assert http.gate()["verdict"] == "pass"
    assert len(http.server.bodies) == 2 * N - 4


def test_prompt_answer_expected_score_cost_and_projected_total(http: EndpointProject) -> None:
    text = previewed(
        http,
        baseline=http.model("base", system="Answer with\none label.", few_shot=2, price=PRICE),
        candidate=http.model("ft", latency_sample=10, price=PRICE),
    )
    lines = text.splitlines()
    assert lines.count("    one label.") == 1  # the prompt once for each model
    assert [line for line in lines if line.startswith("  user: training question")]
    assert [lines.count(f"  input: customer question {i}") for i in range(3)] == [1, 1, 0]
    assert [line for line in lines if line.startswith("  expected: ")] == ["  expected: refund", "  expected: invoice"]
    assert "  baseline, right: refund" in lines
    assert "  candidate, wrong: invoice" in lines
    assert row(text, "baseline base", 0) == ["2", "0", "0", "20", "4", "$0.0400"]
    assert row(text, "candidate ft", 1)[0] == "70"
    assert row(text, "candidate ft", 1)[2] == "140"
    assert row(text, "all", 0)[0] == "130"


def test_a_cost_that_is_not_known_is_not_projected_as_zero(http: EndpointProject) -> None:
    text = previewed(http, baseline=http.model("base", price=PRICE))
    assert row(text, "candidate ft", 1)[-1] == row(text, "all", 0)[-1] == "unknown"


def test_a_prompt_that_depends_on_the_input_is_shown_for_each_example(http: EndpointProject) -> None:
    text = previewed(http, baseline=http.model("base", retrieval=1))
    assert text.count("assistant:") == 2


def test_tools_of_a_row_are_part_of_what_is_sent(http: EndpointProject) -> None:
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    http.test_set(N, input=lambda i: [{"role": "user", "content": f"customer question {i}"}], tools=[tool])
    assert "get_weather" in previewed(http)


@pytest.mark.parametrize("metric", ["f1_macro", "matthews_corrcoef", "exact_match"])
def test_single_answers_are_right_or_wrong_by_any_metric(project: Project, metric: str) -> None:
    text = previewed(project, metric=metric, n=1)
    assert "baseline, right: refund" in text
    assert "candidate, wrong: invoice" in text
    assert row(text, "all", 0) == ["0", "0", "0", "$0"]  # recorded answers cost nothing


def test_a_graded_answer_shows_its_score(project: Project) -> None:
    project.predictions("ft.jsonl", N, output=lambda i: "the refund")
    assert "candidate, 66.7 %: the refund" in previewed(project, metric="rouge_l")


def test_reasoning_is_counted_and_not_shown_as_the_answer(http: EndpointProject) -> None:
    http.server.answer = lambda body: f"<think>12345</think>{answer(body)}"
    assert "  baseline, right, after 5 characters of reasoning: refund" in previewed(http).splitlines()


def test_a_failed_call_fails_the_run_and_shows_the_other_answers(http: EndpointProject) -> None:
    http.server.answer = lambda body: error(500) if index_of(body) == 1 and body["model"] == "ft" else answer(body)
    text = previewed(http, exit_status=1)
    assert "candidate, FAILED: " in text
    assert "baseline, right: invoice" in text
    assert row(text, "candidate ft", 0)[:3] == ["1", "0", "1"]


def test_data_that_cannot_be_read_is_shown_as_in_any_run(http: EndpointProject) -> None:
    http.file("test.jsonl", (http.path / "test.jsonl").read_text().replace('"input"', '"inptu"', 1))
    assert "test.jsonl:1" in previewed(http, exit_status=1)
    assert http.server.requests == []


def test_a_failed_check_of_the_data_is_shown_and_the_examples_are_asked_about(http: EndpointProject) -> None:
    http.training_set(199)
    assert "FAIL    min_training_examples" in previewed(http)
    assert len(http.server.bodies) == 4


def test_at_the_stage_ready_only_the_baseline_is_asked(http: EndpointProject) -> None:
    previewed(http, stage="ready", candidate=...)
    assert {body["model"] for body in http.server.bodies} == {"base"}


def test_an_obligation_is_shown_and_not_met(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.file("pytest.ini", "[pytest]\nftgate_required = support\n")
    text = previewed(project, "--ftgate-report=json:report.json", name="support")
    assert "is not met: support: " in text
    assert not (project.path / "report.json").exists()
    assert "no report is written" in text
    monkeypatch.setenv("CI", "true")
    assert project.run("--ftgate-preview=2").ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize("n", ["0", "-1", "x", "1.5"])
def test_a_number_of_examples_that_is_none_is_refused(project: Project, n: str) -> None:
    assert project.run(f"--ftgate-preview={n}").ret == pytest.ExitCode.USAGE_ERROR


def test_more_examples_than_there_are(http: EndpointProject) -> None:
    previewed(http, n=1_000)
    assert len(http.server.bodies) == 2 * N


def test_under_xdist_each_gate_is_previewed_once(http: EndpointProject) -> None:
    http.server.answer = lambda body: Reply(status=500, body="no") if body["model"] == "bad" else answer(body)
    mark, bad = http.mark(name="one"), http.mark(name="two", candidate=http.model("bad"))
    http.file("test_gate.py", f"import pytest\n\n\n{mark}\ndef test_one(): 1 / 0\n\n\n{bad}\ndef test_two(): 1 / 0\n")
    result = http.run_apart("-n2", "--ftgate-preview=2")
    result.assert_outcomes(skipped=1, errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = result.stdout.str()
    assert text.count("ftgate one: PREVIEW") == 1
    assert "candidate, FAILED: " in text


def test_what_asks_about_whole_test_sets_is_skipped(http: EndpointProject) -> None:
    http.file(
        "conftest.py", "import pytest\n\n\n@pytest.fixture\ndef ftgate_candidate(): return lambda text: 'refund'\n"
    )
    http.file(
        "test_own.py",
        f"def test_own(ftgate_evaluate): ftgate_evaluate({http.model('base')!r}, 'test.jsonl')\n",
    )
    result = http.run("--ftgate-preview=2", "test_own.py")
    result.assert_outcomes(skipped=1)
    assert http.server.requests == []


@pytest.mark.parametrize(("name", "most"), [("rubric", "120"), ("preference", "120")])
def test_a_judge_is_not_asked_and_its_calls_are_projected(
    pytester: pytest.Pytester, server: LoopbackServer, name: str, most: str
) -> None:
    judged = ServedJudged(pytester, server)
    judged.judged_by(name=name)
    text = shown(judged)
    assert (judged.n_asked("judge"), judged.n_asked("base"), judged.n_asked("ft")) == (0, 2, 2)
    assert row(text, f"judge {name} (judge)", 0)[:3] == ["at", "most", most]
