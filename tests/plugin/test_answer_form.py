"""Where the form of answers decides: of the baseline, of the candidate, and reasoning before an answer."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from endpoint_project import EndpointProject, index_of
from gate_project import Project, check, checks, ends, label, mentions, passed, statuses, wrong
from html_page import Page
from judge_project import HONEST, PythonJudged
from loopback import Reply

from pytest_ftgate import metric

N = 60
THOUGHT = "<think>\nWhat is it about?\n</think>\n{}"
LONG = " ".join(["word"] * 30)


def order(i: int) -> dict[str, Any]:
    return {"intent": label(i), "number": i}


def call(i: int) -> dict[str, Any]:
    return {"name": "get_weather", "arguments": {"city": label(i).title(), "days": i}}


def python(i: int) -> str:
    return f'get_weather(city="{label(i).title()}", days={i})'


def parameters(i: int, sep: str = ", ") -> str:
    return json.dumps({"name": "get_weather", "parameters": call(i)["arguments"]}, separators=(sep, ": "))


WANTED: dict[str, Callable[[int], Any]] = {
    "accuracy": label,
    "exact_match": order,
    "exact_match of numbers": lambda i: 1000 + i,
    "field_f1": order,
    "tool_call_exact": lambda i: [call(i)],
    "token_f1": lambda i: f"{label(i)} of box{i}",
}
# The right answers in another form: each must be read as what it says.
FORMS: dict[str, dict[str, Callable[[int], str]]] = {
    "accuracy": {
        "in a fence with words before it": lambda i: f"Here it is:\n```json\n{label(i)}\n```",
        "among words": lambda i: f"The customer wants a {label(i)}, I think.",
        "behind reasoning": lambda i: f"<Analysis>Not invoice, nor refund.</analysis>{label(i)}",
        "in two tags": lambda i: f"<thought>Hm.</thought><answer>{label(i)}</answer>",
        "in JSON": lambda i: json.dumps({"label": label(i), "sure": 0.9}),
        "in broken JSON": lambda i: f"Sure: [{{'label': '{label(i)}',}}]",
        "before more text": lambda i: f"{label(i)}\nIt is no refund, and no invoice. {LONG}",
        "on the last line": lambda i: f"{LONG}\n**Final answer:** {label(i)}",
        "before a stop token": lambda i: f"{label(i)}<|im_end|>",
    },
    "exact_match": {
        "in a fence": lambda i: f"```json\n{json.dumps(order(i))}\n```",
        "among words": lambda i: f"Here is the JSON: {json.dumps(order(i))}. Anything else?",
        "in a list": lambda i: json.dumps([order(i)]),
        "with a comma too many": lambda i: json.dumps(order(i))[:-1] + ",}",
        "behind reasoning": lambda i: f"[THINK]{{}}[/THINK]{json.dumps(order(i))}",
        "with a number as text": lambda i: json.dumps({**order(i), "number": str(i)}),
    },
    "exact_match of numbers": {
        "before a unit": lambda i: f"{1000 + i:,}.0 euros in total",
        "behind words": lambda i: f"The answer is {1000 + i}.",
        "behind a sign": lambda i: f"#### {1000 + i}",
        "before a line of words with a number": lambda i: f"{1000 + i}\nBecause 0 is left.",
    },
    "field_f1": {"among words": lambda i: f"Here is the JSON: {json.dumps(order(i))} That is all."},
    "tool_call_exact": {
        "with parameters": parameters,
        "behind a tag of Llama": lambda i: f"<|python_tag|>{parameters(i)}",
        "behind a tag of Mistral": lambda i: f"[TOOL_CALLS] [{json.dumps(call(i))}]",
        "behind its name": lambda i: f"[TOOL_CALLS]get_weather[ARGS]{json.dumps(call(i)['arguments'])}",
        "behind words": lambda i: f"Let me look.\n{json.dumps(call(i))}",
        "as an attribute": lambda i: f"<|python_tag|>{python(i).replace('(', '.call(')}",
        "in a tag": lambda i: (
            f'<invoke name="get_weather"><parameter name="city">{label(i).title()}</parameter>'
            f'<parameter name="days">{i}</parameter></invoke>'
        ),
        "in Python": lambda i: f"[{python(i)}]",
        "in Python in a fence": lambda i: f"I call it:\n```tool_code\n{python(i)}\n```",
        "under a qualified name": lambda i: json.dumps([{**call(i), "name": "functions.get_weather"}]),
        "with a number as text": lambda i: json.dumps(
            [{**call(i), "arguments": {**call(i)["arguments"], "days": str(i)}}]
        ),
        "in tags": lambda i: (
            f"<function=get_weather><parameter=city>{label(i).title()}</parameter>"
            f"<parameter=days>\n{i}\n</parameter></function>"
        ),
    },
    "token_f1": {"behind reasoning": lambda i: f"<analysis>{LONG}</analysis>{label(i)} of box{i}"},
}


def answers(project: Project, file: str, answer: Callable[[int], Any], **fields: Callable[[int], Any]) -> None:
    project.predictions(file, N, output=answer, **fields)


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def form_checks(gate: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [one for one in checks(gate, "formatting_gain") if one["required"] is not None]


@pytest.fixture
def project(project: Project) -> Project:
    """A candidate that is right on 57 of 60, and a baseline that knows as much."""
    project.predictions("ft.jsonl", N, wrong_at=range(57, 60))
    return project


def formed(form: str) -> Callable[[int], str]:
    return lambda i: form.format(label(i)) if i % 2 == 0 else label(i) if i < 57 else wrong(i)


BASE = {"provider": "recorded", "path": "base.jsonl", "strip_reasoning": False}


@pytest.mark.parametrize(("metric", "form"), [(metric, form) for metric, forms in FORMS.items() for form in forms])
def test_a_gain_counts_by_what_answers_say(project: Project, metric: str, form: str) -> None:
    """One baseline knows as much as the candidate, and one a good deal less: only there is a gain."""
    wanted, other = WANTED[metric], FORMS[metric][form]
    project.test_set(N, expected=wanted)
    say = {True: lambda i: text_of(wanted(i)), False: lambda i: text_of(wanted(i + 1))}
    answers(project, "ft.jsonl", lambda i: say[i < 57](i))
    answers(project, "base.jsonl", lambda i: other(i) if i % 2 == 0 else say[i < 57](i))
    keys = {"metric": metric.split()[0], "baseline": BASE, "checks": {"weak_baseline": "warn"}}
    gate = ends(project.judge(**keys), "fail")
    (found,) = form_checks(gate)
    assert (found["status"], found["required"]) == ("fail", 0.05)
    assert found["observed"] < 0.05 < gate["gain"]
    mentions(found, "fail instead of pass", "strip_reasoning: auto", "goal: format", "bare answer", "test.jsonl:1")
    assert gate["advice"][0]["text"] == found["advice"]
    answers(project, "base.jsonl", lambda i: other(i) if i % 4 == 0 else say[i % 2 == 1](i))
    assert form_checks(passed(project.judge(**keys))) == []


# The right answers in a form that is not read: they hold all that is expected.
HELD: dict[str, list[Callable[[int], str]]] = {
    "accuracy": [
        lambda i: f"1. {label(i)}\n2. {wrong(i)}",
        lambda i: f"{label(i)} (not {wrong(i)})",
        lambda i: f"<result><intent>{label(i)}</intent><confidence>0.9</confidence></result>",
        lambda i: json.dumps({label(i): 0.8, wrong(i): 0.2}),
        lambda i: f"{LONG} {label(i)}",
        lambda i: {"refund": "remboursement", "invoice": "facture", "shipping": "livraison"}[label(i)],
    ],
    "exact_match": [
        lambda i: f"intent: {label(i)}\nnumber: {i}",
        lambda i: f"<intent>{label(i)}</intent><number>{i}</number>",
        lambda i: json.dumps({"result": order(i), "note": None}),
        lambda i: json.dumps(order(i))[:-1],
        lambda i: json.dumps({key.upper(): value for key, value in order(i).items()}),
    ],
    "tool_call_exact": [
        lambda i: json.dumps([{"tool": "getWeather", **call(i)["arguments"]}]),
        lambda i: f"call:get_weather{{city:<escape>{label(i).title()}<escape>,days:{i}}}",
        lambda i: json.dumps([{**call(i), "name": "mcp__weather__get_weather"}]),
        lambda i: f"get_weather('{label(i).title()}', {i})",
    ],
    "token_f1": [lambda i: f"Sure! Here is what you asked for: {label(i)} of box{i}. Is there anything else?"],
    "within": [lambda i: f"The total is {1000 + i:,} of 7.", lambda i: f"1'{i:03d},00 EUR", lambda i: f"1.{i:03d},00"],
}


@pytest.mark.parametrize(("metric", "form"), [(metric, form) for metric, forms in HELD.items() for form in forms])
def test_what_holds_the_expected_output_is_a_tie(project: Project, metric: str, form: Callable[[int], str]) -> None:
    """One baseline knows as much as the candidate in another form, and one answers otherwise in that form."""
    wanted = {**WANTED, "within": lambda i: 1000 + i}[metric]
    project.test_set(N, expected=wanted)
    answers(project, "ft.jsonl", lambda i: text_of(wanted(i if i < 57 else i + 1)))
    answers(project, "base.jsonl", lambda i: form(i) if i % 2 == 0 else text_of(wanted(i)))
    spec = {"name": "within", "tolerance": 0} if metric == "within" else metric
    keys = {"metric": spec, "baseline": BASE, "checks": {"weak_baseline": "warn"}}
    (found,) = form_checks(ends(project.judge(**keys), "inconclusive"))
    mentions(found, "right in another form as ties", "answers of baseline", "goal: format", "bare answer")
    answers(project, "base.jsonl", lambda i: form(i + 1 + i % 4 // 2) if i % 2 == 0 else text_of(wanted(i)))
    assert form_checks(passed(project.judge(**keys))) == []


OWN_NAMES: dict[str, tuple[Callable[[int], bool], bool]] = {  # where a baseline says "refnud", and whether it is a name
    "a label": (lambda i: label(i) == "refund", True),
    "a label, and some others": (lambda i: label(i) == "refund" or i % 12 == 1, True),
    "a label, half of the time": (lambda i: label(i) == "refund" and i % 2 == 0, False),
    "two labels": (lambda i: label(i) != "shipping", False),
    "what it does not know": (lambda i: i % 4 > 0, False),
}


@pytest.mark.parametrize(("where", "held"), OWN_NAMES.values(), ids=OWN_NAMES)
def test_a_label_that_has_another_name_alone_is_a_tie(
    project: Project, where: Callable[[int], bool], held: bool
) -> None:
    answers(project, "base.jsonl", lambda i: "refnud" if where(i) else label(i))
    gate = project.judge(metric="accuracy", checks={"weak_baseline": "warn"})
    assert [one["status"] for one in form_checks(gate)] == ["inconclusive"] * held


@pytest.mark.parametrize("said", [LONG, "refund, invoice or shipping?", "no idea"])
def test_what_holds_nothing_is_wrong_however_it_is_read(project: Project, said: str) -> None:
    answers(project, "base.jsonl", formed(said))
    assert form_checks(passed(project.judge())) == []


CUT_OFF = ("length", "MAX_OUTPUT", "cancelled")


@pytest.mark.parametrize(
    ("answer", "fields", "n", "observed"),
    [
        *((formed("The customer"), {"finish_reason": ([one, "stop"] * 30).__getitem__}, 30, 0) for one in CUT_OFF),
        (lambda i: label(i) if i % 2 else "", {"reasoning": label}, 30, -2 / 60),
        (lambda i: label(0), {"finish": lambda i: "cut_off"}, 60, 0),
    ],
    ids=[*CUT_OFF, "reasoning alone", "all"],
)
def test_answers_cut_off_show_no_gain(project: Project, answer: Any, fields: Any, n: int, observed: float) -> None:
    answers(project, "base.jsonl", answer, **fields)
    found = check(project.judge(), "formatting_gain")
    assert (found["status"], found["observed"]) == ("fail", observed)
    mentions(found, f"{n} answers of the baseline cut off", "length limit")


@pytest.mark.parametrize(
    ("keys", "verdict", "status"),
    [
        ({"checks": {"formatting_gain": "warn"}}, "pass", "warning"),
        ({"checks": {"formatting_gain": "ignore"}}, "pass", "note"),
        ({"goal": "format"}, "pass", None),
        ({"metric": {"name": "format", "allowed": ["refund", "invoice", "shipping"]}}, "pass", None),
    ],
)
def test_the_level_and_the_goal_decide(project: Project, keys: Any, verdict: str, status: str | None) -> None:
    answers(project, "base.jsonl", formed("The intent is {}."))
    project.predictions("ft.jsonl", N, wrong_at=range(50, 60))
    gate = project.judge(**keys)
    assert (gate["verdict"], [one["status"] for one in form_checks(gate)]) == (verdict, [status] if status else [])


def test_a_metric_of_ones_own_is_read_without_reasoning_alone(project: Project) -> None:
    same = metric(low=0, high=1, greater_is_better=True)(lambda expected, answer: float(expected == answer))
    answers(project, "base.jsonl", formed("<analysis>Hm.</analysis>{}"))
    found = check(project.judge(metric=same), "formatting_gain")
    assert (found["status"], found["observed"]) == ("fail", -1 / 60)
    answers(project, "base.jsonl", formed("It is {}."))
    assert form_checks(passed(project.judge(metric=same))) == []


def test_the_tags_of_one_model_are_stripped_of_all(project: Project) -> None:
    answers(project, "base.jsonl", formed("## Plan: shipping, or invoice? ## End {}"))
    tags = {"provider": "recorded", "path": "ft.jsonl", "strip_reasoning": ["## Plan", "## End"]}
    found = [form_checks(project.judge(candidate=one)) for one in ("recorded:ft.jsonl", tags)]
    assert [[one["status"] for one in some] for some in found] == [["inconclusive"], ["fail"]]


def test_a_pattern_that_finds_several_labels_is_a_warning(project: Project) -> None:
    answers(project, "base.jsonl", lambda i: f"{label(i)}, not {wrong(i)}" if i < 40 else wrong(i))
    gate = passed(project.judge(metric={"name": "accuracy", "pattern": "refund|invoice|shipping"}))
    (found,) = [one for one in checks(gate, "unusable_answers") if "pattern" in one["message"]]
    assert (found["status"], found["observed"]) == ("warning", 40)


def test_every_baseline_is_looked_at(project: Project) -> None:
    answers(project, "base.jsonl", formed("It is {}."))
    project.predictions("other.jsonl", N, wrong_at=range(30, 60))
    gate = project.judge(baseline=..., baselines={"chatty": "recorded:base.jsonl", "other": "recorded:other.jsonl"})
    mentions(check(gate, "formatting_gain"), "chatty")


@pytest.mark.parametrize(("reason", "tokens"), [("length", None), ("MAX_TOKENS", None), (None, 500), ("stop", 500)])
def test_the_limit_of_an_endpoint_is_raised(http: EndpointProject, reason: str | None, tokens: int | None) -> None:
    def short(body: dict[str, Any]) -> str | Reply:
        usage = {"prompt_tokens": 1, "completion_tokens": tokens} if tokens else None
        long = Reply("The customer asks about", finish_reason=reason, usage=usage)
        return long if body["model"] == "base" and index_of(body) % 2 else label(index_of(body))

    http.server.answer = short
    base, ft = (http.model(name, params={"max_tokens": 500}) for name in ("base", "ft"))
    gate = http.judge(baseline=base, candidate=ft, evidence="observed")
    found = check(gate, "formatting_gain")
    assert (found["status"], round(found["observed"], 3)) == ("fail", 0)
    mentions(found, "30 answers", "cut off", "length limit", "marker")


@pytest.mark.parametrize("both", [False, True])
def test_form_that_hides_what_a_candidate_knows_is_the_headline(project: Project, both: bool) -> None:
    for file, right in (("base.jsonl", 40), ("ft.jsonl", 56)):
        form = "Label: {}" if both or file == "ft.jsonl" else "{}"
        answers(project, file, lambda i, form=form, right=right: form.format(label(i) if i < right else wrong(i)))
    gate = ends(project.judge(), "fail")
    first = next(one for one in gate["checks"] if one["status"] == "fail")
    assert (first["name"], round(first["observed"], 3)) == ("formatting_gain", 0.267)
    mentions(first, "pass instead of fail", "56 answers", "pattern")
    assert gate["advice"][0]["text"] == first["advice"]
    assert "Drop this" not in str(gate["advice"])
    answers(project, "ft.jsonl", lambda i: f"Label: {wrong(i)}")
    assert form_checks(ends(project.judge(), "fail")) == []


def thinks(project: Project, file: str, right: int) -> None:
    project.predictions(file, N, output=lambda i: THOUGHT.format(label(i) if i < right else wrong(i)))


def test_reasoning_that_is_kept_is_the_headline_of_a_red_gate_where_it_changed_the_verdict(project: Project) -> None:
    kept = {"provider": "recorded", "path": "ft.jsonl", "strip_reasoning": False}
    thinks(project, "ft.jsonl", 56)
    assert project.judge()["verdict"] == "pass"
    gate = project.judge(candidate=kept)
    assert gate["candidate"]["value"] == 0
    first = next(one for one in gate["checks"] if one["status"] == "fail")
    assert (first["name"], first["observed"]) == ("formatting_gain", pytest.approx(16 / 60))
    mentions(first, "strip_reasoning: auto", "56 answers")
    thinks(project, "ft.jsonl", 0)
    assert "formatting_gain" not in statuses(project.judge(candidate=kept))


def test_an_output_that_begins_with_reasoning_is_named(project: Project) -> None:
    """One such row of the test set, and no answer is stripped."""
    project.test_set(N, expected=lambda i: label(i) if i != 3 else THOUGHT.format(label(i)))
    thinks(project, "ft.jsonl", 56)
    found = check(project.judge(), "formatting_gain")
    assert found["status"] == "fail"
    mentions(found, "test.jsonl:4")


def test_a_model_called_in_a_test_body_gives_its_answer_alone(project: Project) -> None:
    project.file("thinker.py", f"def say(text): return {THOUGHT!r}.format('refund')\n")
    project.pytester.syspathinsert()
    body = "def test_gate(ftgate_baseline):\n    assert ftgate_baseline('hello') == 'refund'\n"
    project.gate_test(body, baseline="python:thinker:say", checks={"weak_baseline": "warn"})
    project.run().assert_outcomes(passed=1)


def test_a_judge_may_think_before_it_replies(pytester: pytest.Pytester) -> None:
    judged = PythonJudged(pytester)
    judged.file("judges.py", HONEST + f"\ndef thinks(messages): return {THOUGHT!r}.format(honest(messages))\n")
    judged.judged_by("python:judges:thinks")
    gate = passed(judged.gate())
    assert gate["judges"][0]["n_questions"] > 60


def test_the_page_shows_the_answer_and_unfolds_the_reasoning(project: Project) -> None:
    thinks(project, "ft.jsonl", 56)
    project.gate_test()
    project.run("--ftgate-report=html:report.html")
    page = Page((project.path / "report.html").read_text(encoding="utf-8"))
    (rows,) = page.data
    texts = {row[0]: row[5] for row in rows}
    assert texts["test.jsonl:6"][0] == "shipping"
    assert "What is it about?" in json.dumps(texts["test.jsonl:6"])
    assert [row[4][3] for row in rows] == [""] * N
