"""Every refused value is told with the form to write: the probable meaning, or the example of its key."""

import json
from contextlib import suppress

import pytest
from pydantic import ValidationError
from test_config_gate_file import changed
from test_config_resolve import SELF_CONTAINED, layer, refusal

from pytest_ftgate.config.forms import form
from pytest_ftgate.config.gate_file import DefaultKeys, FileKeys, PolicyKeys
from pytest_ftgate.config.gate_keys import _COMPARED
from pytest_ftgate.config.keys import Keys, Reading
from pytest_ftgate.config.metrics import JUDGED, MetricKeys
from pytest_ftgate.config.model_keys import CallableKeys, ExtendsKeys, OtherKeys
from pytest_ftgate.config.models import PROVIDERS
from pytest_ftgate.config.requirements import (
    AgreementKeys,
    ChecksKeys,
    HypothesisKeys,
    TrainingCostKeys,
)

THRESHOLDS = '{"accuracy": {"min": 0.8}, "latency_p95_s": {"max": 1.5}}'
GUARDS = '{"old_task": {"test_set": "data/old.jsonl", "max_drop": 0.02}}'
SERVED = {"provider": "openai", "base_url": "http://localhost:8000/v1", "model": "NAME"}
ENDPOINT = {"provider": "openai", "model": "m"}
CLASSES = {
    *(DefaultKeys, FileKeys, PolicyKeys, *_COMPARED, *JUDGED.values(), MetricKeys, *PROVIDERS.values()),
    *(CallableKeys, ExtendsKeys, OtherKeys, AgreementKeys, ChecksKeys, HypothesisKeys, TrainingCostKeys),
}  # fmt: skip


@pytest.mark.parametrize("keys", sorted(CLASSES, key=lambda keys: keys.__name__))
def test_each_key_has_one_example_that_is_valid(keys: type[Keys]) -> None:
    models = {"prompted": "openai:m"}
    for name, info in keys.model_fields.items():
        key = info.alias or name
        assert info.examples is None or len(info.examples) == 1
        assert keys.example_of(key) is not None
        with suppress(ValidationError):
            keys.model_validate({key: keys.example_of(key)}, context=Reading(models))
            continue
        # Other keys are missing.
        with pytest.raises(ValidationError) as refused:
            keys.model_validate({key: keys.example_of(key)}, context=Reading(models))
        assert (key,) not in [line["loc"][:1] for line in refused.value.errors()]


IN_A_MARKER = [  # keys of a marker; the end of the message, which quotes what was found
    ({"margin": "5 %"}, "'5 %': write margin=0.05"),
    ({"margin": "0,05"}, "'0,05': write margin=0.05"),
    ({"margin": True}, "true: for example margin=0.05"),
    ({"margin": ..., "max_drop": -0.05, "cheaper_by": 2}, "-0.05: write max_drop=0.05"),
    ({"margin": ..., "max_drop": 0.1, "cheaper_by": 0.2}, "0.2: write cheaper_by=5"),
    ({"margin": ..., "max_drop": 0.1, "cheaper_by": "5x"}, "'5x': write cheaper_by=5"),
    ({"confidence": 95}, "95: write confidence=0.95"),
    ({"confidence": "95%"}, "'95%': write confidence=0.95"),
    ({"confidence": 0.05}, "0.05: write confidence=0.95"),
    ({"repeats": 3.0}, "3.0: write repeats=3"),
    ({"min_training_examples": "1,000"}, "'1,000': write min_training_examples=1000"),
    ({"timeout_s": "30 min"}, "'30 min': for example timeout_s=1800"),
    ({"max_attempts": 10}, "10: for example max_attempts=3"),
    ({"economics": {"calls_per_month": "10k"}}, "'10k': write \"calls_per_month\": 10000"),
    ({"economics": {"training_cost_usd": "$3"}}, "'$3': write \"training_cost_usd\": 3"),
    ({"thresholds": {"accuracy": 0.8}}, f"0.8: for example thresholds={THRESHOLDS}"),
    ({"slices": "lang"}, "'lang': write slices=[\"lang\"]"),
    ({"guards": {"old": "old.jsonl"}}, f"'old.jsonl': for example guards={GUARDS}"),
    ({"guards": {"old": {"test_set": "old.jsonl"}}}, 'missing: for example "max_drop": 0.02'),
    ({"checks": {"leaked": "off"}}, "'off': write \"leaked\": \"ignore\""),
    ({"checks": {"leaked": False}}, "false: write \"leaked\": \"ignore\""),
    ({"checks": {"leaked": True}}, "true: write \"leaked\": \"fail\""),
    ({"checks": ["leaked"]}, 'a list: for example checks={"imbalance": "ignore", "prompt_mismatch": "fail"}'),
    ({"evidence": "prove"}, "'prove': write evidence=\"proven\""),
    ({"metric": 5}, '5: for example metric="accuracy"'),
    ({"candidate": "ft.jsonl"}, "'ft.jsonl': write candidate=\"recorded:ft.jsonl\""),
    ({"candidate": "file:ft.csv"}, "'file:ft.csv': write candidate=\"recorded:ft.csv\""),
    ({"candidate": "gpt-4"}, "'gpt-4': write candidate=\"openai:gpt-4\""),
    ({"candidate": "openai/gpt-4.1"}, "'openai/gpt-4.1': write candidate=\"openai:gpt-4.1\""),
    ({"candidate": "ft:gpt-4.1:me::a"}, "'ft:gpt-4.1:me::a': write candidate=\"openai:ft:gpt-4.1:me::a\""),
    ({"candidate": "Qwen/Qwen2.5-0.5B"}, "'Qwen/Qwen2.5-0.5B': write candidate=\"transformers:Qwen/Qwen2.5-0.5B\""),
    ({"candidate": "python:models.predict"}, "'models.predict': write candidate=\"python:models:predict\""),
    ({"candidate": "models.predict"}, "'models.predict': write candidate=\"python:models:predict\""),
    ({"candidate": "app/models.py:predict"}, "'app/models.py:predict': write candidate=\"python:app.models:predict\""),
    ({"candidate": "python:predict"}, "'predict': write candidate=\"python:app.models:predict\""),
    ({"candidate": "http://localhost:8000/v1"}, f"write candidate={json.dumps(SERVED)}"),
    ({"candidate": {**ENDPOINT, "base_url": "localhost:8000/v1"}}, "'localhost:8000/v1': write \"base_url\": \"http://localhost:8000/v1\""),
    ({"candidate": {**ENDPOINT, "few_shot": {"k": 8}}}, 'a mapping: write "few_shot": 8'),
    ({"candidate": {**ENDPOINT, "revision": 3}}, '3: write "revision": "3"'),
    ({"candidate": {**ENDPOINT, "strip_reasoning": "off"}}, "'off': write \"strip_reasoning\": False"),
    ({"candidate": {**ENDPOINT, "served_as": {"a": 1}}}, 'for example "served_as": "gpt-4.1-mini-2026-04-14"'),
    ({"candidate": {**ENDPOINT, "api_key_env": ["OPENAI"]}}, 'not shown: for example "api_key_env": "OPENAI_API_KEY"'),
    ({"candidate": {"path": "ft.jsonl"}}, 'write "provider": "recorded"'),
    ({"candidate": {"openai": "gpt-4.1"}}, 'openai is a provider, not a key: write "provider": "openai"'),
    ({"test_set": {"path": "t.csv", "limit": 0.1}}, '0.1: for example "limit": 500'),
    ({"test_set": {"path": "t.csv", "fields": "text"}}, '{"input": "question", "expected": "answers.text"}'),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "end"), IN_A_MARKER, ids=lambda value: str(value)[:50])
def test_a_value_of_a_wrong_form_in_a_marker(keys, end):
    values = {name: value for name, value in {**SELF_CONTAINED, **keys}.items() if value is not ...}
    error = refusal(layer(values))
    assert error.what.endswith(end), error.what
    assert len(error.problems) == 1


IN_A_FILE = [
    ("margin: 0.05", "margin: 5 %", "17: gates.intents.margin", "'5 %': write margin: 0.05"),
    ("version: 1\n", "", "2: version", "missing: for example version: 1"),
    ("version: 1", "version: '1'", "2: version", "'1': write version: 1"),
    (
        "accuracy: {min: 0.80}",
        "accuracy: 0.8",
        "19: gates.intents.thresholds.accuracy",
        "0.8: for example thresholds: {accuracy: {min: 0.8}, latency_p95_s: {max: 1.5}}",
    ),
    (
        "candidate: tuned",
        "candidate: out/ft.jsonl",
        "15: gates.intents.candidate",
        "'out/ft.jsonl': write candidate: recorded:out/ft.jsonl",
    ),
]


@pytest.mark.parametrize(("old", "new", "place", "end"), IN_A_FILE)
def test_a_value_of_a_wrong_form_in_the_file(refused, old, new, place, end):
    error, where = refused(changed(old, new))
    assert where == place
    assert error.what.endswith(end)


def test_a_file_that_is_there_is_a_recording_whatever_its_name(refused, folder):
    (folder / "answers").touch()
    (folder / "merged").mkdir()
    for path, provider in (("answers", "recorded"), ("merged", "transformers")):
        error, _ = refused(changed("candidate: tuned", f"candidate: {path}"))
        assert error.what.endswith(f"write candidate: {provider}:{path}")


def test_a_secret_is_no_example(refused):
    address = "https://me:sk-1@host/v1"
    error, _ = refused(
        f"version: 1\nmodels:\n  a: {{provider: openai, model: m, base_url: '{address}'}}\n"
    )
    assert "sk-1" not in str(error)
    assert error.what.endswith("for example base_url: http://localhost:8000/v1")


@pytest.mark.parametrize(
    ("value", "yaml", "python"),
    [
        ({"a": [1, 0.5, True]}, "k: {a: [1, 0.5, true]}", '"k": {"a": [1, 0.5, True]}'),
        ("3", 'k: "3"', '"k": "3"'),
        ("off", 'k: "off"', '"k": "off"'),
        ("recorded:a/b.jsonl", "k: recorded:a/b.jsonl", '"k": "recorded:a/b.jsonl"'),
        ("Say: {input}", 'k: "Say: {input}"', '"k": "Say: {input}"'),
    ],
)
def test_a_form_can_be_pasted(value, yaml, python):
    assert form("k", value, in_python=False, is_keyword=False) == yaml
    assert form("k", value, in_python=True, is_keyword=False) == python
    assert form("k", value, in_python=True, is_keyword=True) == f"k={python.partition(': ')[2]}"
