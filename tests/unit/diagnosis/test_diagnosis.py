"""What became of all answers: kinds of mistakes, mixed-up labels, and what has to be known."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_ftgate.config import MetricSpec, Source
from pytest_ftgate.data import DataSet, Example
from pytest_ftgate.metrics import build_metric
from pytest_ftgate.models import Completion, Prediction
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.result import Confusion, LabelScore
from pytest_ftgate.runs.jobs import Run
from pytest_ftgate.runs.measure import measure_run, score_run
from pytest_ftgate.runs.mistakes import diagnose, recalled

MODEL = SimpleNamespace(
    name="m", spelling="m", verified=True, revision=None, price=Price(unknown="no price")
)


def made(expected, name="accuracy", *, custom=None, **options):
    """Return a metric for these expected outputs."""
    spec = MetricSpec(name, options, Source("marker", "marker", Path()))
    texts = [item if isinstance(item, str) else json.dumps(item) for item in expected]
    examples = [Example(f"t{i}", f"question {i}", text) for i, text in enumerate(texts)]
    labels = sorted(set(texts))
    return build_metric(spec, labels=labels, custom=custom or {}, examples=examples)


def scored(metric, expected, *repeats):
    """Return what the metric makes of these answers, each of which took the time that its completion tells."""
    examples = tuple(Example(f"t{i}", f"question {i}", label) for i, label in enumerate(expected))
    rows = []
    for answers in repeats:
        completions = [
            Completion(answer) if isinstance(answer, str) else answer for answer in answers
        ]
        rows.append(
            tuple(
                Prediction("k", completion, completion and completion.latency_s, id=f"t{i}")
                for i, completion in enumerate(completions)
            )
        )
    run = measure_run("m", Run(MODEL, DataSet(examples, None, "", "test"), tuple(rows), None))
    return score_run(run, {metric.name: metric}, metric.name, list(expected))


def diagnosed(expected, *answers, fields=None, taught=0, **metric):
    """Diagnose a baseline and a candidate, of which several repeats are a tuple, on rows of which some were taught."""
    deciding = made(expected, **metric)
    models = [
        scored(deciding, expected, *(answer if isinstance(answer, tuple) else (answer,)))
        for answer in answers
    ]
    examples = [
        replace(example, fields=fields or {}) for example in models[0].run.test_set.examples
    ]
    return diagnose(deciding, examples, examples[:taught], *models, *[None] * (2 - len(models)))


LABELS = ["refund", "invoice", "card lost", "card"] * 3
JSON = [{"total": i} for i in range(6)]
SEVERAL = [["a", "b"], ["b"], ["c", "a"], ["d"]] * 3
NUMBERS = [float(i % 3) for i in range(12)]
TEXTS = [f"sentence number {i}" for i in range(6)]
OF_A_LABEL = {
    "right": ["refund", "Refund."],
    "wrong": ["invoice"],
    "malformed": [
        "greeting",
        "refund or invoice",
        "sorry refunds",
        "The label is: card lost",
        "I cannot answer",
    ],
    "refusal": [Completion("refund", finish=finish) for finish in ("refusal", "filtered")],
    "cut_off": [Completion("refu", finish="cut_off")],
    "empty": ["  "],
    "missing": [None],
}
OF_SEVERAL = {"malformed": ["b, zz", '{"a": 1}'], "wrong": ["C", "[]"], "empty": [""]}
OF_JSON = {
    "wrong": ['{"total": 7}'],
    "malformed": ["total: 7", '{"sum": 0}'],
    "right": ['```json\n{"total": 0}\n```'],
}
KINDS = [  # expected, metric, the first answer by its kind
    (LABELS, {}, OF_A_LABEL),
    (LABELS, {"pattern": "^([a-z ]+)$"}, {"malformed": ["4: unclear"]}),
    (JSON, {"name": "exact_match"}, OF_JSON),
    *((SEVERAL, {"name": name}, OF_SEVERAL) for name in ("labels_f1", "labels_exact")),
    (NUMBERS, {"name": "absolute_error", "cap": 20}, {"wrong": ["19"]}),
    (NUMBERS, {"name": "within", "tolerance": 1}, {"wrong": ["19"]}),
    (TEXTS, {"name": "exact_match"}, {"wrong": ["another one"]}),
]


@pytest.mark.parametrize(
    ("expected", "metric", "answer", "kind"),
    [
        (*case, answer, kind)
        for *case, kinds in KINDS
        for kind, answers in kinds.items()
        for answer in answers
    ],
    ids=lambda value: f"{value}"[:40],
)
def test_kinds_of_mistakes(expected, metric, answer, kind):
    right = [item if isinstance(item, str) else json.dumps(item) for item in expected]
    mistakes = diagnosed(expected, [answer, *right[1:]], **metric)
    assert mistakes.baseline == (
        {"right": len(right)} if kind == "right" else {"right": len(right) - 1, kind: 1}
    )
    # as before training
    assert (mistakes.candidate, mistakes.recalled) == (None, None)
    assert bool(mistakes.labels) is (expected is LABELS)


def test_right_answers_are_counted_by_label_and_model():
    expected = ["a"] * 6 + ["b"] * 6
    baseline = ["b"] * 1 + ["a"] * 5 + ["a"] * 2 + ["x"] * 1 + ["b"] * 3
    candidate = ["b"] * 4 + ["a"] * 2 + ["b"] * 6
    mistakes = diagnosed(expected, baseline, candidate)
    assert mistakes.labels == (LabelScore("a", 6, 5, 2), LabelScore("b", 6, 3, 6))


def test_repeats_are_all_counted():
    expected = ["a", "b"] * 3
    wrong, unknown = ([label, *expected[1:]] for label in "bx")
    mistakes = diagnosed(expected, (wrong, unknown), (expected, wrong))
    assert mistakes.baseline == {"right": 10, "malformed": 1, "wrong": 1}
    assert mistakes.candidate == {"right": 11, "wrong": 1}


# --- knowledge -----------------------------------------------------------------------------------------------

FACTS = [f"Doctor Number{i}" for i in range(60)]
TAUGHT = [Example(f"r{i}", f"who runs ward {i}?", f"It is {fact}.") for i, fact in enumerate(FACTS)]


def asked(*expected, text="who is it?"):
    return [Example(f"t{i}", text, label) for i, label in enumerate(expected)]


KNOWN = (
    {"role": "system", "content": "Known: Doctor Number1"},
    {"role": "user", "content": "who?"},
)


def taught(*outputs):
    return [Example(f"x{i}", f"mail {i}", output) for i, output in enumerate(outputs)]


@pytest.mark.parametrize(
    ("fixed", "extra", "n_recalled"),
    [
        (asked(*FACTS[:5], "doctor number7", "Doctor Nobody"), [], 6),
        # which is extraction
        (asked("Doctor Number1", text="Was it doctor NUMBER1, or another?"), [], 0),
        ([Example("t", KNOWN, "Doctor Number1")], [], 0),
        (asked("Number1", "Number"), [], 1),  # a part of a word was not taught
        *(
            (asked(answer), taught(f"we say {answer} here"), 1)
            for answer in ("Paris", "1987", "in paris")
        ),
        *((asked(answer), taught(f"we say {answer} here"), 0) for answer in ("42", "paris")),
        *(
            ([Example("t", "where?", answer)], taught(answer), 0)
            for answer in (
                {"city": "New York"},
                '{"city": "New York"}',
                [{"name": "New York", "arguments": {}}],
            )
        ),
    ],
)
def test_what_was_taught_and_is_not_in_the_input_is_knowledge(fixed, extra, n_recalled):
    assert recalled(fixed, [*TAUGHT, *extra]) == n_recalled


@pytest.mark.parametrize(("times", "n_recalled"), [(1, 4), (2, 0)])
def test_a_label_is_behaviour(times, n_recalled):
    labels = [f"Intent {i} of many" for i in range(6)] * times
    answers = ["x"] * 4 + labels[4:], labels
    assert diagnosed(labels, *answers, taught=6, name="exact_match").recalled == n_recalled
    assert diagnosed(labels, *answers, taught=6).recalled == 0


WEATHER = {"name": "weather", "arguments": {"city": "Oslo"}}
TOOLS = [
    {
        "type": "function",
        "function": {"name": "weather", "parameters": {"required": ["city"], "type": "object"}},
    },
    {"type": "function", "function": {"name": "alarm"}},
]
CALLS = [  # expected, answer, kind
    ([WEATHER], "I will look it up.", "malformed"),
    ("Hello!", json.dumps([WEATHER]), "malformed"),
    ("Hello!", Completion(json.dumps([WEATHER]), reasoning="Hello!"), "malformed"),
    ("Hello!", f"Hello! <tool_call>{json.dumps(WEATHER)}</tool_call>", "malformed"),
    ([WEATHER], json.dumps([{**WEATHER, "name": "forecast"}]), "wrong"),
    ([WEATHER], json.dumps([{**WEATHER, "arguments": {"town": "Oslo"}}]), "wrong"),
    ([WEATHER], json.dumps([{**WEATHER, "arguments": "{broken"}]), "wrong"),
    ([WEATHER], json.dumps([{**WEATHER, "name": "alarm"}]), "wrong"),
    ([WEATHER], json.dumps([WEATHER, WEATHER]), "wrong"),
    ([WEATHER], json.dumps([{**WEATHER, "arguments": {"city": "Rome"}}]), "wrong"),
    ([WEATHER], Completion("[", finish="cut_off"), "cut_off"),
    ([WEATHER], json.dumps([WEATHER]), "right"),
]


@pytest.mark.parametrize(("expected", "answer", "kind"), CALLS)
def test_kinds_of_mistakes_with_tools(expected, answer, kind):
    # by which a call is a JSON value
    metric = "tool_call_exact" if isinstance(expected, str) else "exact_match"
    expected_calls = [expected, [{"name": "alarm", "arguments": {}}]]
    mistakes = diagnosed(
        expected_calls,
        [answer, json.dumps(expected_calls[1])],
        fields={"tools": TOOLS},
        name=metric,
    ).baseline
    assert mistakes == ({"right": 2} if kind == "right" else {"right": 1, kind: 1})


def test_confusions_are_those_that_the_candidate_makes_twice():
    expected = ["refund", "invoice", "card"] * 4
    baseline = ["refund", "refund", "card"] * 4
    candidate = ["refund", "refund", "card"] * 2 + ["card", "invoice", "unknown"] * 2
    candidate[-1] = None
    confusions = diagnosed(expected, baseline, candidate).confusions
    assert confusions == (
        Confusion("invoice", "refund", baseline=4, candidate=2),
        Confusion("refund", "card", baseline=0, candidate=2),
    )
    candidate[1] = "invoice"
    assert diagnosed(expected, baseline, candidate).confusions == confusions[1:]


def test_texts_have_no_confusions():
    assert not diagnosed(TEXTS, ["a"] * 6, ["b"] * 6, name="exact_match").confusions


def test_the_text_beside_tools_is_not_known_by_heart():
    expected_texts = [f"Anna Smith number {i}" for i in range(6)] + [[WEATHER]]
    answers = ([answer] * 7 for answer in (json.dumps([WEATHER]), "Anna Smith"))
    assert diagnosed(expected_texts, *answers, taught=6, name="tool_call_exact").recalled == 0
