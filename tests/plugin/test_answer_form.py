"""Where the form of answers decides: of the baseline, of the candidate, and reasoning before an answer."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from endpoint_project import EndpointProject, index_of
from gate_project import (
    Project,
    because,
    check,
    checks,
    ends,
    label,
    mentions,
    passed,
    statuses,
    wrong,
)
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


def answers(
    project: Project, file: str, answer: Callable[[int], Any], **fields: Callable[[int], Any]
) -> None:
    project.predictions(file, N, output=answer, **fields)


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def malformed(gate: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the check of the form of answers, if any answer of a baseline is malformed."""
    return [check for check in checks(gate, "formatting_gain") if check["required"] is not None]


def decides(gate: Mapping[str, Any]) -> bool:
    return [check["status"] in ("fail", "inconclusive") for check in malformed(gate)] == [True]


@pytest.fixture
def project(project: Project) -> Project:
    """A candidate that is right on 57 of 60, and a baseline that knows as much."""
    project.predictions("ft.jsonl", N, wrong_at=range(57, 60))
    return project


def formed(form: str) -> Callable[[int], str]:
    return lambda i: form.format(label(i)) if i % 2 == 0 else label(i) if i < 57 else wrong(i)


BASE = {"provider": "recorded", "path": "base.jsonl", "strip_reasoning": False}

# --- the form of each metric --------------------------------------------------------------------------------

WANTED: dict[str, Callable[[int], Any]] = {
    "accuracy": label,
    "exact_match of labels": label,
    "labels_exact": lambda i: [label(i), "urgent"],
    "exact_match of objects": order,
    "exact_match of lists": lambda i: [label(i), i],
    "exact_match of numbers": lambda i: f"{1000 + i}",
    "exact_match of text": lambda i: f"{label(i)} of box {i}",
    "field_f1": order,
    "within": lambda i: 1000 + i,
    "tool_call_exact": lambda i: [call(i)],
    "tool_call_f1": lambda i: [call(i)],
    "tool_call_exact or text": lambda i: [call(i)] if i % 4 < 2 else f"Hello {i}!",
}
OF_LABELS: list[Callable[[int], str]] = [
    lambda i: f"Here it is:\n```json\n{label(i)}\n```",
    lambda i: f"The customer wants a {label(i)}, I think.",
    lambda i: f"This is not a {wrong(i)} message.",
    lambda i: f"<Analysis>Not invoice, nor refund.</analysis>{label(i)}",
    lambda i: json.dumps({"label": label(i), "sure": 0.9}),
    lambda i: f"{label(i)}\nIt is no refund, and no invoice. {LONG}",
    lambda i: f"{LONG}\n**Final answer:** {label(i)}",
    lambda i: f"{label(i)}<|im_end|>",
    lambda i: f"1. {label(i)}\n2. {wrong(i)}",
    lambda i: f"{label(i)}s",
    lambda i: {"refund": "remboursement", "invoice": "facture", "shipping": "livraison"}[label(i)],
    lambda i: {"refund": "A", "invoice": "B", "shipping": "C"}[label(i)],
    lambda i: b64encode(label(i).encode()).decode(),
    lambda i: "unknown",
]
ERRORS = (
    "Error: 429 Too Many Requests", "null", "None", "N/A", "nan", "undefined", '{"error": "overloaded"}',
    "Request timed out.", "Traceback (most recent call last):\n  File 'x.py', line 1", "<html>502 Bad Gateway</html>",
    "Internal Server Error", "I'm sorry, but I can't help with that.", "[object Object]", "?", "-",
)  # fmt: skip


def yaml(value: Mapping[str, Any]) -> str:
    return "\n".join(f"{key}: {item}" for key, item in value.items())


def of_objects(value: dict[str, Any]) -> list[str]:
    """Return an object in other shapes than the expected one."""
    text = json.dumps(value)
    key, first_value = next(iter(value.items()))
    return [
        f"Here is the JSON: {text}. Anything else?",
        f"{text}\n\nI chose {first_value} because it fits.",
        f"[THINK]{{}}[/THINK]{text}",
        f"{{}}\n{text}",
        json.dumps([value]),
        json.dumps({"result": value, "note": None}),
        json.dumps({"answer": {"data": value}}),
        json.dumps({name.upper(): item for name, item in value.items()}),
        json.dumps({f"the_{name}": item for name, item in value.items()}),
        json.dumps({name: {"value": item, "confidence": 0.9} for name, item in value.items()}),
        json.dumps({name: [item] for name, item in value.items()}),
        json.dumps([{"key": name, "value": item} for name, item in value.items()]),
        json.dumps([list(pair) for pair in value.items()]),
        json.dumps(text),
        text[:-1],
        text[:-1] + ",}",
        text.replace('"', "'"),
        text.replace("{", "{ // the order\n", 1),
        f"json\n{text}",
        f"```json\n{text}\n```\nDone.",
        f"Draft:\n```json\n{text}\n```\nFinal:\n```json\n{text}\n```",
        yaml(value),
        "".join(f"<{name}>{item}</{name}>" for name, item in value.items()),
        f"order({', '.join(f'{name}={item!r}' for name, item in value.items())})",
        f"| key | value |\n|---|---|\n| {key} | {first_value} |",
        ",".join(map(str, value.values())),
        text.replace("{", "{{").replace("}", "}}"),
        text.replace('"', '\\"'),
        f"<answer>{text}</answer>",
        f"{text};",
    ]


def python(i: int) -> str:
    return f'get_weather(city="{label(i).title()}", days={i})'


def parameters(i: int) -> str:
    return json.dumps({"name": "get_weather", "parameters": call(i)["arguments"]})


OF_CALLS: list[Callable[[int], str]] = [
    parameters,
    python,
    lambda i: f"<|python_tag|>{parameters(i)}",
    lambda i: f"[TOOL_CALLS] [{json.dumps(call(i))}]",
    lambda i: f"[TOOL_CALLS]get_weather[ARGS]{json.dumps(call(i)['arguments'])}",
    lambda i: f"Let me look.\n{json.dumps(call(i))}",
    lambda i: (
        f'<invoke name="get_weather"><parameter name="city">{label(i).title()}</parameter></invoke>'
    ),
    lambda i: f"[{python(i)}]",
    lambda i: f"I call it:\n```tool_code\n{python(i)}\n```",
    lambda i: json.dumps([{**call(i), "name": "functions.get_weather"}]),
    lambda i: json.dumps([{**call(i), "name": "mcp__weather__get_weather"}]),
    lambda i: json.dumps([{**call(i), "arguments": {**call(i)["arguments"], "days": str(i)}}]),
    lambda i: json.dumps([{**call(i), "arguments": {"input": call(i)["arguments"]}}]),
    lambda i: json.dumps([{"tool": "get_weather", **call(i)["arguments"]}]),
    lambda i: json.dumps({"get_weather": call(i)["arguments"]}),
    lambda i: json.dumps({"action": "get_weather", "action_input": call(i)["arguments"]}),
    lambda i: f"Action: get_weather\nAction Input: {json.dumps(call(i)['arguments'])}",
    lambda i: f"call:get_weather{{city:<escape>{label(i).title()}<escape>,days:{i}}}",
    lambda i: f"<function=get_weather><parameter=city>{label(i).title()}</parameter></function>",
    lambda i: f"get_weather('{label(i).title()}', {i})",
]
MALFORMED: dict[str, list[Callable[[int], str]]] = {
    "accuracy": [*OF_LABELS, *(lambda i, text=text: text for text in ERRORS)],  # type: ignore[misc]
    "exact_match of labels": [*OF_LABELS, lambda i: f"{label(i)}.", lambda i: label(i).upper()],
    "labels_exact": [
        lambda i: f"Labels: {label(i)}, urgent",
        lambda i: f"- {label(i)}\n- urgent",
        lambda i: f"{label(i)} and urgent",
        lambda i: json.dumps({"labels": [label(i), "urgent"]}),
        lambda i: json.dumps([f"{label(i)}s", "urgent"]),
    ],
    "exact_match of lists": [
        lambda i: json.dumps({"items": [label(i), i]}),
        lambda i: f"{label(i)}, {i}",
        lambda i: f"- {label(i)}\n- {i}",
    ],
    "exact_match of numbers": [
        lambda i: f"The answer is {1000 + i}.",
        lambda i: f"{1000 + i}\nBecause 0 is left.",
        lambda i: f"#### {1000 + i}",
        lambda i: "Error: 429",
    ],
    "exact_match of text": [
        lambda i: f"The answer is {label(i)} of box {i}.",
        lambda i: f"{label(i)} of box {i}\nBecause 0 is left.",
        lambda i: f'"{label(i).upper()} of box {i}"',
    ],
    "within": [
        lambda i: f"The total is {1000 + i:,} of 7.",
        lambda i: f"1'{i:03d},00 EUR",
        lambda i: f"{1000 + i} apples",
        lambda i: f"{1000 + i}-{1002 + i}",
        lambda i: f"{1000 + i}/1",
        lambda i: "NaN",
    ],
    "tool_call_exact": OF_CALLS,
    "tool_call_f1": OF_CALLS,
    "tool_call_exact or text": OF_CALLS,
}
SPECS = {"within": {"name": "within", "tolerance": 0}}


def keys_for(metric: str, **changes: Any) -> dict[str, Any]:
    return {"metric": SPECS.get(metric, metric.split()[0]), "baseline": BASE, **changes}


@pytest.mark.parametrize("metric", MALFORMED)
def test_malformed_answers_of_a_baseline_are_ties(project: Project, metric: str) -> None:
    """One baseline knows as much as the candidate, and one a good deal less: only there is a gain."""
    answer = WANTED[metric]
    project.test_set(N, expected=answer)
    project.training_set(
        0, [{"input": f"training question {i}", "expected": answer(i)} for i in range(200)]
    )
    say = {True: lambda i: text_of(answer(i)), False: lambda i: text_of(answer(i + 1))}
    answers(project, "ft.jsonl", lambda i: say[i < 57](i))
    for form in MALFORMED[metric]:
        answers(
            project, "base.jsonl", lambda i, form=form: form(i) if i % 2 == 0 else say[i < 57](i)
        )
        gate = project.judge(**keys_for(metric))
        assert gate["verdict"] == "fail", form(0)
        (finding,) = malformed(gate)
        assert (finding["status"], finding["required"]) == ("fail", 0.05)
        assert finding["observed"] < 0.05 < gate["gain"]
        mentions(finding, "of 60 answers of the baseline", "goal: format", "response_format")
    if metric.endswith("or text"):
        return  # there few rows expect a call
    answers(
        project,
        "base.jsonl",
        lambda i: MALFORMED[metric][0](i) if i % 4 == 0 else say[i % 2 == 1](i),
    )
    assert not decides(passed(project.judge(**keys_for(metric))))


@pytest.mark.parametrize(
    "metric", ["exact_match", "field_f1", {"name": "field_f1", "average": "micro"}], ids=str
)
def test_an_object_in_another_shape_is_a_tie_however_much_of_it_is_right(
    project: Project, metric: Any
) -> None:
    """Both models get the same field of every answer wrong, or none."""
    project.test_set(N, expected=order)
    for exact in (True, False):
        outputs = [order(i) if exact else {**order(i), "number": i + 1} for i in range(N)]
        plain = list(map(json.dumps, outputs))
        answers(project, "ft.jsonl", plain.__getitem__)
        for shape in zip(*map(of_objects, outputs), strict=True):
            mixed = [text for pair in zip(plain[::2], shape[1::2], strict=True) for text in pair]
            answers(project, "base.jsonl", mixed.__getitem__)
            gate = project.judge(metric=metric, baseline=BASE)
            assert gate["verdict"] != "pass", shape[0]
            assert decides(gate) or not gate["gain"], shape[0]


@pytest.mark.parametrize("metric", WANTED)
def test_one_fence_around_an_answer_is_no_part_of_it(project: Project, metric: str) -> None:
    answer = WANTED[metric]
    project.test_set(N, expected=answer)
    answers(project, "ft.jsonl", lambda i: text_of(answer(i)))
    answers(
        project,
        "base.jsonl",
        lambda i: f"```json\n{text_of(answer(i))}\n```" if i % 2 else text_of(answer(i)),
    )
    gate = project.judge(**keys_for(metric))
    assert (gate["baseline"]["value"], gate["candidate"]["value"], malformed(gate)) == (1, 1, [])


# --- ten honest and ten unfair baselines ----------------------------------------------------------------------

Answer = Callable[[int], Any]


def mistakes(expected: Answer, mistake: Answer, share: int = 2) -> tuple[Answer, Answer]:
    """Return what is expected, and the answers of a baseline whose every ``share``-th answer is this mistake."""
    return expected, lambda i: text_of(mistake(i) if i % share == 0 else expected(i))


def skills(i: int) -> dict[str, Any]:
    return {"name": f"person {i}", "skills": ["a", f"b{i}"]}


def items(i: int) -> dict[str, Any]:
    return {"items": [{"sku": "x", "qty": i}, {"sku": "y", "qty": i + 3}]}


def query(i: int) -> str:
    return f"SELECT * FROM orders WHERE id = {i}"


def push(i: int) -> list[dict[str, Any]]:
    return [{"name": "push", "arguments": {"remote": f"origin{i}"}}]


FAIR: dict[str, tuple[Any, tuple[Answer, Answer]]] = {
    "one more list item": (
        "exact_match",
        mistakes(skills, lambda i: {**skills(i), "skills": ["a", f"b{i}", "z"]}),
    ),
    "an invented field": (
        "field_f1",
        mistakes(order, lambda i: {**order(i), "urgent": True, "to": "me", "by": 1}),
    ),
    "exchanged quantities": (
        "field_f1",
        mistakes(items, lambda i: {"items": [{"sku": "x", "qty": i + 3}, {"sku": "y", "qty": i}]}),
    ),
    "an invented text where none is expected": (
        "exact_match",
        mistakes(lambda i: {"note": "", "n": i}, lambda i: {"note": "invented text", "n": i}),
    ),
    "a wrong call beside the right one": (
        "tool_call_exact",
        mistakes(push, lambda i: [*push(i), {"name": "delete_all", "arguments": {"n": 1}}]),
    ),
    "an argument too many": (
        "tool_call_exact",
        mistakes(
            push, lambda i: [{"name": "push", "arguments": {"remote": f"origin{i}", "force": True}}]
        ),
    ),
    "wrong numbers": ({"name": "within", "tolerance": 0}, mistakes(lambda i: i, lambda i: i + 7)),
    "another operator": ("exact_match", mistakes(query, lambda i: query(i).replace("=", ">"))),
    "a third of the mistakes are longer commands, and more are others": (
        "exact_match",
        mistakes(
            query,
            lambda i: (
                f"{query(i)} AND deleted = 0" if i % 8 == 0 else f"SELECT id FROM orders # {i}"
            ),
        ),
    ),
    "other labels": ("accuracy", mistakes(label, wrong)),
    "one text that is sometimes right": (
        "token_f1",
        mistakes(lambda i: "No." if i % 7 == 0 else query(i), lambda i: "No."),
    ),
    "one text for fewer than a tenth": ("token_f1", mistakes(query, lambda i: "?", 13)),
    "other labels of several": (
        "labels_exact",
        mistakes(lambda i: [label(i), "urgent"], lambda i: [wrong(i), "urgent"]),
    ),
}
UNFAIR: dict[str, tuple[Any, tuple[Answer, Answer]]] = {
    "an error of the endpoint": (
        "accuracy",
        mistakes(label, lambda i: "Error: 429 Too Many Requests", 3),
    ),
    "a label in a sentence": (
        "f1_macro",
        mistakes(label, lambda i: f"The category is {label(i)}."),
    ),
    "a negation": ("accuracy", mistakes(label, lambda i: f"This is not {wrong(i)}.")),
    "another name": ("accuracy", mistakes(label, lambda i: f"{label(i)} request")),
    "a nested object": ("field_f1", mistakes(order, lambda i: {"result": order(i)})),
    "other keys": ("exact_match", mistakes(order, lambda i: {"Intent": label(i), "Number": i})),
    "a number with words": (
        {"name": "within", "tolerance": 0},
        mistakes(lambda i: i, lambda i: f"It is {i}"),
    ),
    "a call as text": ("tool_call_f1", mistakes(push, lambda i: f"push(remote='origin{i}')")),
    "labels in a sentence": (
        "labels_f1",
        mistakes(lambda i: [label(i), "urgent"], lambda i: f"It is {label(i)}, urgent"),
    ),
    "free text in a sentence": (
        "exact_match",
        mistakes(query, lambda i: f"You can use {query(i)}"),
    ),
    **{
        f"{metric} of {text}": (metric, mistakes(query, lambda i, text=text: text))  # type: ignore[misc]
        for metric in ("token_f1", "rouge_l", "edit_similarity", "exact_match")
        for text in ("Request timed out.", "I'm sorry, but I can't help with that.")
    },
    "an empty answer": ("rouge_l", mistakes(query, lambda i: "")),
}


@pytest.mark.parametrize("case", [*FAIR, *UNFAIR])
def test_real_mistakes_are_mistakes_and_form_is_form(project: Project, case: str) -> None:
    metric, (expected, baseline) = {**FAIR, **UNFAIR}[case]
    project.test_set(N, expected=expected)
    answers(project, "ft.jsonl", lambda i: text_of(expected(i) if i < 57 else expected(i + 1)))
    answers(project, "base.jsonl", baseline)
    gate = project.judge(metric=metric, margin=0.03)
    assert (gate["verdict"] == "pass", decides(gate)) == (case in FAIR, case in UNFAIR), gate[
        "checks"
    ]


def test_the_message_counts_malformed_answers_and_shows_the_most_frequent(project: Project) -> None:
    outputs_by_row = {0: "Error: 429", 1: "The label is refund"}
    answers(project, "base.jsonl", lambda i: outputs_by_row.get(i % 3, label(i)))
    finding = check(ends(project.judge(), "fail"), "formatting_gain")
    mentions(
        finding,
        "40 of 60 answers of the baseline",
        "as ties",
        "20 x 'Error: 429', 20 x 'The label is refund'",
    )
    mentions(
        finding,
        "-1.7 points" if finding["observed"] < 0 else "+0.0 points",
        "as written: gain +61.7",
        "a label alone",
    )


def test_a_form_is_not_called_a_weak_prompt(project: Project) -> None:
    """Every answer of the baseline is malformed, so that it is no better than a constant answer, too."""
    answers(project, "base.jsonl", lambda i: f"The answer is: {label(i)}.")
    gate = ends(project.judge(), "fail")
    assert decides(gate)
    assert "weak_baseline" not in statuses(gate)
    mentions(check(gate, "formatting_gain"), "60 of 60 answers")
    gate = project.judge(checks={"formatting_gain": "warn"})
    assert statuses(gate)["weak_baseline"] == "fail"
    answers(project, "ft.jsonl", lambda i: f"The answer is: {label(i if i < 56 else i + 1)}.")
    gate = ends(project.judge(), "fail")
    assert decides(gate)
    assert "weak_baseline" not in statuses(gate)


def test_labels_that_no_row_expects_can_be_answers(project: Project) -> None:
    """A label of the training set, or of the option ``labels``, is a wrong answer in the right form."""
    answers(project, "base.jsonl", lambda i: label(i) if i % 3 else "unknown")
    assert decides(project.judge())
    assert not malformed(passed(project.judge(metric={"name": "accuracy", "labels": ["unknown"]})))
    project.training_set(200, [{"input": "what?", "expected": "unknown"}])
    assert not malformed(passed(project.judge()))


def test_malformed_answers_that_do_not_decide_are_a_note(project: Project) -> None:
    answers(project, "base.jsonl", lambda i: "none" if i < 3 else label(i) if i < 40 else wrong(i))
    (finding,) = malformed(passed(project.judge()))
    assert (finding["status"], finding["observed"], finding["cure"]) == (
        "note",
        pytest.approx(17 / 60),
        None,
    )


def test_malformed_answers_of_a_candidate_are_wrong(project: Project) -> None:
    answers(project, "base.jsonl", lambda i: label(i) if i < 40 else wrong(i))
    answers(project, "ft.jsonl", lambda i: f"Label: {label(i)}")
    gate = ends(project.judge(), "fail")
    assert (gate["candidate"]["value"], malformed(gate)) == (0, [])
    assert gate["diagnosis"]["candidate"] == {"right": 0, "malformed": 60}


CUT_OFF = ("length", "MAX_OUTPUT")


@pytest.mark.parametrize(
    ("answer", "fields", "n", "observed"),
    [
        *(
            (formed("The customer"), {"finish_reason": ([reason, "stop"] * 30).__getitem__}, 30, 0)
            for reason in CUT_OFF
        ),
        (lambda i: label(i) if i % 2 else "", {"reasoning": label}, 30, -2 / 60),
        (lambda i: label(0), {"finish": lambda i: "cut_off"}, 60, 0),
    ],
    ids=[*CUT_OFF, "reasoning alone", "all"],
)
def test_answers_cut_off_show_no_gain(
    project: Project, answer: Any, fields: Any, n: int, observed: float
) -> None:
    answers(project, "base.jsonl", answer, **fields)
    finding = check(project.judge(), "formatting_gain")
    assert (finding["status"], finding["observed"]) == ("fail", observed)
    mentions(finding, f"{n} of 60 answers of the baseline", "cut off", "length limit")


@pytest.mark.parametrize(
    ("keys", "verdict", "status"),
    [
        ({"checks": {"formatting_gain": "warn"}}, "pass", "warning"),
        ({"checks": {"formatting_gain": "ignore"}}, "pass", "note"),
        ({"goal": "format"}, "pass", None),
        (
            {"metric": {"name": "format", "allowed": ["refund", "invoice", "shipping"]}},
            "pass",
            None,
        ),
    ],
)
def test_the_level_and_the_goal_decide(
    project: Project, keys: Any, verdict: str, status: str | None
) -> None:
    answers(project, "base.jsonl", formed("The intent is {}."))
    project.predictions("ft.jsonl", N, wrong_at=range(50, 60))
    gate = project.judge(**keys)
    assert (gate["verdict"], [check["status"] for check in malformed(gate)]) == (
        verdict,
        [status] if status else [],
    )


def test_a_metric_of_ones_own_knows_of_no_form_but_an_answer(project: Project) -> None:
    metric_function = metric(low=0, high=1, greater_is_better=True)(
        lambda expected, answer: float(expected == answer)
    )
    answers(project, "base.jsonl", formed("It is {}."))
    assert not malformed(passed(project.judge(metric=metric_function)))
    answers(project, "base.jsonl", formed(" "))
    assert decides(project.judge(metric=metric_function))


@pytest.mark.parametrize("n_malformed", [60, 59])
def test_malformed_answers_of_a_further_baseline_decide(project: Project, n_malformed: int) -> None:
    answers(project, "base.jsonl", lambda i: "It is so." if i < n_malformed else label(i))
    project.predictions("other.jsonl", N, wrong_at=range(30, 60))
    gate = project.judge(
        baseline=..., baselines={"chatty": "recorded:base.jsonl", "other": "recorded:other.jsonl"}
    )
    because(gate, "fail", "formatting_gain", "chatty")


def sentence(i: int) -> str:
    return f"It is {label(i)}."


@pytest.mark.parametrize(
    ("champion", "candidate", "verdict", "observed"),
    [
        # malformed, and right
        (lambda i: sentence(i) if i < 80 else label(i), lambda i: label(i + (i < 20)), "fail", -20),
        (sentence, lambda i: label(i + (i < 20)), "fail", -20),
        (lambda i: sentence(i) if i < 80 else label(i), label, "pass", 0),
        # an identical copy
        (*2 * (lambda i: "" if i < 16 else label(i),), "pass", 0),
        (lambda i: "" if i < 16 else label(i), lambda i: "" if i < 8 else label(i), "pass", 0),
    ],
)
@pytest.mark.parametrize("metric", ["accuracy", "f1_macro"])
def test_malformed_answers_of_a_champion_are_right(
    project: Project, metric: str, champion: Any, candidate: Any, verdict: str, observed: int
) -> None:
    """They are ties where the candidate's answer is malformed, too."""
    project.test_set(240, expected=label)
    project.predictions("base.jsonl", 240, output=champion)
    project.predictions("ft.jsonl", 240, output=candidate)
    project.predictions("prompt.jsonl", 240, wrong_at=range(120, 240))
    baselines = {
        "prompt": "recorded:prompt.jsonl",
        "champion": {"model": "recorded:base.jsonl", "max_drop": 0.05},
    }
    gate = ends(project.judge(metric=metric, baseline=..., baselines=baselines), verdict)
    finding = check(gate, "formatting_gain")
    assert finding["observed"] == pytest.approx(observed / 240, abs=0.01)
    mentions(finding, "counted as right")


FIELDS = {"name": "field_f1", "average": "micro"}


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "exact_match", FIELDS])
def test_a_malformed_answer_is_right_in_its_own_repeat(project: Project, metric: Any) -> None:
    """A champion is malformed on 39 of 240 examples, and in the other repeat wrong or right."""

    def written(name: str) -> str:
        return json.dumps({"label": name}) if metric is FIELDS else name

    project.test_set(240, expected=lambda i: written(label(i)))
    for name in ("base.jsonl", "ft.jsonl"):
        lost = 39 if name == "base.jsonl" else 0
        malformed_first = {"output": lambda i, n=lost: "" if i < n else written(label(i))}
        wrong_next = {"output": lambda i, n=lost: written(label(i + (i < n)))}
        project.predictions(name, 240, latency_s=1 + lost, repeat=0, **malformed_first)
        project.predictions(name, 240, latency_s=1 + lost, repeat=1, add=True, **wrong_next)
    keys = {"margin": ..., "max_drop": 0.05, "faster_by": 2, "repeats": 2}
    gate = passed(project.judge(metric=metric, **keys))
    assert check(gate, "formatting_gain")["observed"] == pytest.approx(39 / 480)


@pytest.mark.parametrize(
    ("reason", "tokens"), [("length", None), ("MAX_TOKENS", None), (None, 500), ("stop", 500)]
)
def test_the_limit_of_an_endpoint_is_raised(
    http: EndpointProject, reason: str | None, tokens: int | None
) -> None:
    def short(body: dict[str, Any]) -> str | Reply:
        usage = {"prompt_tokens": 1, "completion_tokens": tokens} if tokens else None
        long = Reply("The customer asks about", finish_reason=reason, usage=usage)
        return long if body["model"] == "base" and index_of(body) % 2 else label(index_of(body))

    http.server.answer = short
    base, ft = (http.model(name, params={"max_tokens": 500}) for name in ("base", "ft"))
    gate = http.judge(baseline=base, candidate=ft, evidence="observed")
    finding = check(gate, "formatting_gain")
    assert (finding["status"], round(finding["observed"], 3)) == ("fail", 0)
    mentions(finding, "30 of 60 answers", "cut off", "length limit", "marker")


def thinks(project: Project, file: str, right: int) -> None:
    project.predictions(
        file, N, output=lambda i: THOUGHT.format(label(i) if i < right else wrong(i))
    )


def test_a_model_called_in_a_test_body_gives_its_answer_alone(project: Project) -> None:
    project.file("thinker.py", f"def say(text): return {THOUGHT!r}.format('refund')\n")
    project.pytester.syspathinsert()
    body = "def test_gate(ftgate_baseline):\n    assert ftgate_baseline('hello') == 'refund'\n"
    project.gate_test(body, baseline="python:thinker:say", checks={"weak_baseline": "warn"})
    project.run().assert_outcomes(passed=1)


def test_a_judge_may_think_before_it_replies(pytester: pytest.Pytester) -> None:
    judged = PythonJudged(pytester)
    judged.file(
        "judges.py",
        HONEST + f"\ndef thinks(messages): return {THOUGHT!r}.format(honest(messages))\n",
    )
    judged.judged_by("python:judges:thinks")
    passed(judged.gate())
