"""What a newcomer writes by mistake, and the cure that the message names. All messages: tests/messages."""

from pathlib import Path

import pytest
from test_config_gate_file import changed
from test_config_resolve import SELF_CONTAINED, layer, marked, refusal

from pytest_ftgate.config.keys import token
from pytest_ftgate.data.lines import missing
from pytest_ftgate.models import unknown_provider


def f1_score(expected, answers):
    """Stand in for scikit-learn's."""


f1_score.__module__ = "sklearn.metrics._classification"


class Forest:
    def predict(self, texts):
        return texts


IN_A_MARKER = [
    ({"candidate": "ft.jsonl"}, "candidate", "write 'recorded:ft.jsonl'"),
    ({"candidate": Path("ft.jsonl")}, "candidate", "write 'recorded:ft.jsonl'"),
    ({"candidate": Path("out/checkpoint")}, "candidate", "got the path 'out/checkpoint'; expected one of openai:NAME"),
    ({"candidate": "openai:"}, "candidate", "expected a model after the colon, got 'openai:'"),
    ({"test_set": {"pth": "t.jsonl"}}, "test_set.pth", "did you mean 'path'?"),
    ({"candidate": "gpt-4"}, "candidate", "expected one of openai:NAME"),
    ({"candidate": Forest}, "candidate", "pass an instance of it: Forest()"),
    ({"candidate": "python:a.predict"}, "candidate.target", "got 'a.predict'; did you mean 'a:predict'?"),
    ({"candidate": "python:models.py:predict"}, "candidate.target", "did you mean 'models:predict'?"),
    ({"candidate": "python:lib/models.py:predict"}, "candidate.target", "did you mean 'lib.models:predict'?"),
    ({"candidate": "python:models"}, "candidate.target", "written as pkg.module:function, got 'models'"),
    ({"checks": {"leaked": False}}, "checks.leaked", "got false; did you mean 'ignore'?"),
    ({"checks": {"leaked": True}}, "checks.leaked", "got true; did you mean 'fail'?"),
    ({"checks": {"leaked": "off"}}, "checks.leaked", "got the text 'off'; did you mean 'ignore'?"),
    ({"checks": {"leaked": "error"}}, "checks.leaked", "got the text 'error'; did you mean 'fail'?"),
    ({"checks": {"leaked": "warning"}}, "checks.leaked", "did you mean 'warn'?"),
    ({"margin": "0,05"}, "margin", "got the text '0,05'; did you mean 0.05?"),
    ({"min_test_examples": "1,000"}, "min_test_examples", "got the text '1,000'; did you mean 1000?"),
    ({"min_test_examples": "1_000"}, "min_test_examples", "did you mean 1000?"),
    ({"thresholds": {"accuracy": 0.8}}, "thresholds.accuracy", "got 0.8: write {min: 0.8}"),
    ({"thresholds": {"latency_p95_s": 3}}, "thresholds.latency_p95_s", "got 3: write {max: 3}"),
    ({"thresholds": {"cost_usd": 0.1}}, "thresholds.cost_usd", "got 0.1: write {max: 0.1}"),
    ({"thresholds": {"accuracy": None}}, "thresholds.accuracy", "got nothing: write {min: ...}"),
    ({"baselines": ["openai:m"]}, "baselines", "write a name and a colon before each item"),
    ({"baselines": {"champion": None}}, "baselines.champion", "write {model: null, max_drop: ...}"),
    ({"guards": ["other.jsonl"]}, "guards", "write a name and a colon before each item"),
    ({"temperature": 0}, "temperature", "write params: {temperature: 0} in a model"),
    ({"few_shot": 3}, "few_shot", "this is a key of a model: write it in baseline or candidate"),
    ({"pattern": "x"}, "pattern", "this is an option of a metric: write metric: {name: ..., pattern: ...}"),
    ({"limit": 9}, "limit", "this is a key of a data set: write test_set: {path: ..., limit: ...}"),
    ({"metric": f1_score}, "metric", "pass the name of this metric of scikit-learn: 'f1_macro'"),
    ({"test_set": {"path": "t.csv", "fields": {"question": "input", "answer": "expected"}}}, "test_set.fields.answer",
     "did you mean {input: question, expected: answer}?"),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "key", "words"), IN_A_MARKER)
def test_a_mistake_in_a_marker_is_told_with_its_cure(keys, key, words):
    rest = {
        name: value
        for name, value in SELF_CONTAINED.items()
        if "baselines" not in keys or name != "baseline"
    }
    error = refusal(layer({**rest, **keys}))
    assert [problem.where.key for problem in error.problems] == [key]
    assert words in error.what


# What may mean two numbers, or no number at all, is told without a guess.
WITHOUT_A_GUESS = [
    ({"timeout_s": "1,500"}, "must be a number, got the text '1,500'"),
    ({"min_test_examples": "0,05"}, "must be a whole number, got the text '0,05'"),
    ({"thresholds": {"accuracy": True}}, "must be a mapping, got true"),
]


@pytest.mark.parametrize(("keys", "message"), WITHOUT_A_GUESS)
def test_nothing_is_suggested_where_the_meaning_is_not_clear(keys, message):
    assert refusal(layer({**SELF_CONTAINED, **keys})).what == f"{message} (marker)"


IN_A_FILE = [
    (
        "candidate: tuned",
        "candidate: ft.jsonl",
        "15: gates.intents.candidate",
        "write 'recorded:ft.jsonl'",
    ),
    (
        "candidate: tuned",
        "candidate: tunned",
        "15: gates.intents.candidate",
        "did you mean 'tuned'?",
    ),
    (
        "candidate: tuned",
        "candidate: gpt-4",
        "15: gates.intents.candidate",
        "or a name under models: tuned",
    ),
    (
        "candidate: tuned",
        "candidate: {extends: base}",
        "15: gates.intents.candidate.extends",
        "under models are: ",
    ),
    ("margin: 0.05", "margin: 0,05", "17: gates.intents.margin", "did you mean 0.05?"),
    ("margin: 0.05", "margin: 5%", "17: gates.intents.margin", "did you mean 0.05?"),
    (
        "accuracy: {min: 0.80}",
        "accuracy: 0.8",
        "19: gates.intents.thresholds.accuracy",
        "write {min: 0.8}",
    ),
    (
        "accuracy: {min: 0.80}",
        "accuracy:",
        "19: gates.intents.thresholds.accuracy",
        "write {min: ...}",
    ),
    ("orders: {margin: 0}", "orders:", "20: gates.orders", "has no value"),
    (
        "orders: {margin: 0}",
        "orders: {checks: {leaked: off}}",
        "20: gates.orders.checks.leaked",
        "'ignore'",
    ),
    (
        "orders: {margin: 0}",
        "orders: {checks: {leaked: no}}",
        "20: gates.orders.checks.leaked",
        "'ignore'",
    ),
    (
        "orders: {margin: 0}",
        "orders: {checks: {leaked: on}}",
        "20: gates.orders.checks.leaked",
        "'fail'",
    ),
    (
        "version: 1",
        "version: 1\nmargin: 0",
        "3: margin",
        "write it under gates.NAME, or under defaults",
    ),
    (
        "confidence: 0.9",
        "temperature: 0.2",
        "3: defaults.temperature",
        "params: {temperature: 0.2}",
    ),
]


@pytest.mark.parametrize(("old", "new", "place", "words"), IN_A_FILE)
def test_a_mistake_in_the_file_is_told_with_its_cure(refused, old, new, place, words):
    error, where = refused(changed(old, new))
    assert where == place
    assert words in error.what


CONFLICT = "<<<<<<< HEAD\n    margin: 0.05\n=======\n    margin: 0.06\n>>>>>>> branch"


@pytest.mark.parametrize(("marks", "line"), [(CONFLICT, 17), (CONFLICT.partition("\n")[2], 18)])
def test_the_marks_of_a_merge_conflict_are_named(refused, marks, line):
    error, where = refused(changed("    margin: 0.05", marks))
    assert where == str(line)
    assert "merge conflict" in error.what


def test_a_line_of_equals_signs_is_no_conflict_where_the_file_is_valid(load):
    load(
        changed(
            'hypothesis: "macro-F1 rises from 0.82 to at least 0.87"',
            "hypothesis: |\n      A\n      =======\n",
        )
    )


def test_of_many_known_keys_twelve_are_listed(refused):
    error, _ = refused(changed("margin: 0.05", "quality: 0.05"))
    assert "the known keys are name, test_set, training_set, baseline" in error.what
    assert error.what.endswith("and 17 more")


def test_a_missing_candidate_may_not_be_trained_yet(folder):
    rest = {key: value for key, value in SELF_CONTAINED.items() if key != "candidate"}
    assert "stage: ready" in refusal(layer(rest)).cure
    rest = {key: value for key, value in SELF_CONTAINED.items() if key != "margin"}
    assert "stage: ready" not in refusal(layer(rest)).cure


def test_a_policy_that_cannot_be_read_is_told_with_its_cure(refused):
    error, where = refused("version: 1\ndefaults: {extends: polic.yaml}\n")
    assert (where, "no such file" in error.what.lower()) == ("2: defaults.extends", True)
    assert "relative to the folder of the gate file" in error.cure
    error, _ = refused("version: 1\ndefaults: {extends: 'pytest_ftgate:policy.yaml'}\n")
    assert "package data" in error.cure


def test_a_table_of_arrow_is_data():
    pyarrow = pytest.importorskip("pyarrow")

    table = pyarrow.table({"input": ["a"], "expected": ["b"]})
    assert marked(test_set=table).test_set is table


def test_another_set_is_not_suggested_for_a_missing_file(folder):
    (folder / "test.jsonl").touch()
    assert "test.jsonl" in missing(folder / "tset.jsonl").cure
    assert "test.jsonl" in missing(folder / "test.json").cure
    assert "test.jsonl" not in missing(folder / "other.jsonl").cure


@pytest.mark.parametrize("provider", ["vllm", "anthropic"])
def test_another_endpoint_is_a_provider_openai_with_base_url(provider):
    model = marked(candidate={"provider": provider, "model": "m"}).candidate
    assert "provider: openai with base_url" in unknown_provider(model).cure


def test_a_function_of_a_module_here_lacks_its_provider(folder):
    (folder / "models.py").touch()
    error = unknown_provider(marked(candidate="models:base").candidate)
    assert error.what == "unknown provider 'models'; did you mean 'python:models:base'?"
    assert "did you mean" not in unknown_provider(marked(candidate="other:base").candidate).what


def test_all_four_parts_may_be_written_the_wrong_way_round():
    fields = {"key": "id", "question": "input", "answer": "expected", "topic": "group"}
    error = refusal(layer({**SELF_CONTAINED, "test_set": {"path": "t.csv", "fields": fields}}))
    assert "did you mean {id: key, input: question, expected: answer, group: topic}?" in error.what


def test_a_row_in_place_of_all_rows_is_told_where_data_are_read():
    row = {"input": "a", "expected": "b"}
    assert marked(test_set=row).test_set is row


def test_the_drive_of_a_path_is_no_package(refused):
    error, _ = refused("version: 1\ndefaults: {extends: 'c:policy.yaml'}\n")
    assert "relative to the folder of the gate file" in error.cure


def test_what_is_wrong_with_a_model_is_told_where_it_is_written(refused):
    models = "version: 1\nmodels:\n  a: {provider: recorded, paht: x}\n  b: {extends: a, price: 1}\n  c: {extends: a}\n"
    error, _ = refused(models)
    places = {str(problem.where): problem.what for problem in error.problems}
    assert list(places) == [
        "ftgate.yaml:3: models.a.paht",
        "ftgate.yaml:4: models.b.price",
        "ftgate.yaml:5: models.c.extends",
    ]
    assert places["ftgate.yaml:5: models.c.extends"] == "the model 'a' is not valid"


def test_an_object_keeps_its_name_as_long_as_it_lives():
    first, second = Forest(), Forest()
    assert token(first) == token(first) != token(second)
