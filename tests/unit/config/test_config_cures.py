"""What a newcomer writes by mistake, and the cure that the message names. All messages: tests/messages."""

import pytest
from test_config_gate_file import changed
from test_config_resolve import SELF_CONTAINED, layer, marked, refusal

from pytest_ftgate.config.keys import token
from pytest_ftgate.data.lines import missing
from pytest_ftgate.models import unknown_provider


class Forest:
    def predict(self, texts):
        return texts


IN_A_MARKER = [
    ({"candidate": "openai:"}, "candidate", "after the colon, got the text 'openai:'"),
    ({"test_set": {"pth": "t.jsonl"}}, "test_set.pth", "did you mean 'path'?"),
    ({"candidate": "no model"}, "candidate", "expected one of openai:NAME"),
    ({"checks": {"leaked": "warning"}}, "checks.leaked", 'write "leaked": "warn"'),
    ({"temperature": 0}, "temperature", "write params: {temperature: 0} in a model"),
    ({"few_shot": 3}, "few_shot", "this is a key of a model: write it in baseline or candidate"),
    ({"pattern": "x"}, "pattern", "this is an option of a metric: write metric: {name: ..., pattern: ...}"),
    ({"limit": 9}, "limit", "this is a key of a data set: write test_set: {path: ..., limit: ...}"),
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


IN_A_FILE = [
    (
        "candidate: tuned",
        "candidate: tunned",
        "15: gates.intents.candidate",
        "did you mean 'tuned'?",
    ),
    (
        "candidate: tuned",
        "candidate: no model",
        "15: gates.intents.candidate",
        "or a name under models: tuned",
    ),
    (
        "candidate: tuned",
        "candidate: {extends: base}",
        "15: gates.intents.candidate.extends",
        "under models are: ",
    ),
    ("orders: {margin: 0}", "orders:", "20: gates.orders", "has no value"),
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


def test_where_no_key_is_near_all_keys_are_listed(refused):
    error, _ = refused(changed("margin: 0.05", "quality: 0.05"))
    assert "the known keys are name, test_set, training_set, unlabeled_set" in error.what
    assert error.what.endswith("max_age_days, max_attempts")


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
    assert marked(test_set=table).test_set.rows is table


def test_another_set_is_not_suggested_for_a_missing_file(folder):
    (folder / "test.jsonl").touch()
    assert "test.jsonl" in missing(folder / "tset.jsonl").cure
    assert "test.jsonl" in missing(folder / "test.json").cure
    cure = missing(folder / "other.jsonl").cure
    assert ("did you mean" in cure, "that folder has" in cure, "test.jsonl" in cure) == (
        False,
        True,
        True,
    )


@pytest.mark.parametrize("provider", ["vllm", "anthropic"])
def test_another_endpoint_is_a_provider_openai_with_base_url(provider):
    model = marked(candidate={"provider": provider, "model": "m"}).candidate
    assert "{provider: openai, base_url: http" in unknown_provider(model).cure
    spec = marked(candidate={"provider": "HuggingFace", "model": "m"}).candidate
    assert "write provider: transformers" in unknown_provider(spec).cure


def test_the_drive_of_a_path_is_no_package(refused):
    error, _ = refused("version: 1\ndefaults: {extends: 'c:policy.yaml'}\n")
    assert "relative to the folder of the gate file" in error.cure


def test_what_is_wrong_with_a_model_is_told_where_it_is_written(refused):
    models = "version: 1\nmodels:\n  a: {provider: recorded, paht: x}\n  b: {extends: a, price: 1}\n  c: {extends: a}\n"
    error, _ = refused(models)
    places = {str(problem.where): problem.what for problem in error.problems}
    assert list(places) == [
        "ftgate.yaml:3: models.a.paht",
        "ftgate.yaml:4: models.b.paht",
        "ftgate.yaml:4: models.b.price",
        "ftgate.yaml:5: models.c.paht",
    ]


def test_an_object_keeps_its_name_as_long_as_it_lives():
    first, second = Forest(), Forest()
    assert token(first) == token(first) != token(second)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            {"candidate": {"provider": "openai", "model": "m", "system": "p/prompt.md"}},
            "write system_file: p/prompt.md",
        ),
        ({"test_set": {"file": "t.jsonl"}}, "did you mean 'path'?"),
        ({"test_set": {"path": "t.jsonl", "input": "question"}}, "write fields: {input: ...}"),
        ({"checks": {"leaked": "error"}}, 'write "leaked": "fail"'),
        ({"checks": {"leaked": "skip"}}, 'write "leaked": "ignore"'),
        ({"thresholds": {"accuracy": {}}}, 'for example thresholds={"accuracy": {"min": 0.8}'),
        ({"metric": []}, 'for example metric="accuracy"'),
    ],
)  # fmt: skip
def test_a_value_that_stands_in_the_wrong_place_is_told_the_right_one(keys, words):
    assert words in refusal(layer({**SELF_CONTAINED, **keys})).what


def test_missing_keys_are_told_with_their_forms():
    rest = {key: value for key, value in SELF_CONTAINED.items() if key != "margin"}
    assert "margin: 0.05" in refusal(layer(rest)).cure
