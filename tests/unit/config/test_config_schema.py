"""The JSON Schema that editors use says of a file what the loader says."""

import json
from importlib.resources import files

import jsonschema
import pytest

from pytest_ftgate.config import render_json_schema
from pytest_ftgate.config.gate_keys import GateKeys
from pytest_ftgate.errors import ConfigError

SCHEMA = json.loads(render_json_schema())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

GATE = {
    "hypothesis": "It rises.",
    "test_set": "t.jsonl",
    "training_set": {"path": "t.csv", "format": "csv", "fields": {"input": "q"}, "limit": 5},
    "baseline": {"provider": "openai", "model": "m", "few_shot": {"k": 8}, "params": {"temperature": 0}},
    "candidate": "tuned",
    "metric": {"name": "f1", "pos_label": "x"},
    "margin": 0.05,
    "require": [{"metric": "accuracy", "min": 0.8}],
    "show": ["f1_macro"],
}


def whole(**changes):
    models = {"tuned": "openai:x", "own": {"provider": "echo", "anything": [1]}}
    return {"version": 1, "defaults": {"confidence": 0.9}, "models": models, "gates": {"a": {**GATE, **changes}}}


def test_the_shipped_schema_is_the_one_of_the_models():
    """Regenerate: python -c "from pytest_ftgate.config import render_json_schema as r; print(r(), end='')" """
    shipped = files("pytest_ftgate").joinpath("ftgate.schema.json").read_text(encoding="utf-8")
    assert shipped == render_json_schema()


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert "ftgate.yaml" in SCHEMA["title"]


def properties(schema):
    for name, part in schema["$defs"].items():
        for key, described in part["properties"].items():
            yield f"{name}.{key}", described
    yield from schema["properties"].items()


def test_every_key_is_explained():
    unexplained = [
        name for name, described in properties(SCHEMA) if not ("description" in described or "$ref" in described)
    ]
    assert unexplained == []


def test_defaults_and_enumerations_are_those_of_the_gate():
    gate = SCHEMA["$defs"]["GateKeys"]["properties"]
    assert {key: part["default"] for key, part in gate.items() if "default" in part} == {
        "metric": "accuracy",
        "objective": "beat",
        "evidence": "significant",
        "confidence": 0.95,
        "min_training_examples": 200,
        "min_test_examples": 50,
        "require": [],
        "show": [],
        "errors": "error",
        "repeats": 1,
        "require_hypothesis": False,
        "stage": "accept",
        "guards": {},
        "ablate_prompt": False,
    }
    assert gate["evidence"]["enum"] == ["observed", "significant", "proven"]
    assert list(gate) == list(GateKeys.model_fields)


WAYS = ["prompt", {"few_shot": {"k": 8}}, {"retrieval": {"k": 8}}]

GOOD = [
    {"version": 1},
    whole(),
    whole(baseline="recorded:b.jsonl", margin=0),
    whole(allow_weak_baseline="no prompt fits"),
    whole(goal="knowledge", goal_override="there is no room for context", stage="ready", require_hypothesis=True),
    whole(hypothesis={"from": 0.8, "to": 0.9}),
    whole(hypothesis={"metric": {"name": "f1", "pos_label": "x"}, "from": 0, "to": 1, "because": "labels drift"}),
    whole(guards={"general": {"test_set": "g.jsonl", "max_drop": 0.03}}),
    whole(guards={"general": {"test_set": {"path": "g"}, "metric": "f1_macro", "max_drop": 0, "evidence": "observed"}}),
    whole(slices={"fields": ["lang"]}),
    whole(max_age_days=90, clock={"alias": "fail", "shutdown_within_days": 0}),
    whole(max_age_days=0.5, clock={}),
    whole(slices={"fields": ["lang", "channel"], "max_drop": 0, "evidence": "observed", "min_examples": 1}),
    whole(baseline={"provider": "python", "target": "m:f", "cache_key": "1"}),
    whole(candidate={"provider": "openai", "model": "m", "mode": "batch"}),
    whole(candidate={"provider": "echo", "retries": 2, "more": {"x": None}}),
    whole(candidate={"provider": "echo", "price": {"gpu_hour_usd": 1.5, "training_per_1m": 3}}),
    whole(candidate={"provider": "echo", "price": {"input_per_1m": 1, "output_per_1m": 2}}),
    whole(candidate={"provider": "openai", "model": "m", "retrieval": {"k": 8}, "few_shot": {"k": 2}}),
    {"version": 1, "gates": {"a": {"candidates": {"small": "openai:y", "large": "openai:z"}}}},
    {"version": 1, "gates": {"a": {"baselines": {"base": "openai:y"}}}},
    {"version": 1, "gates": {"a": {"baselines": {"base": "openai:y", "alternatives": WAYS, "more": "openai:z"}}}},
    {"version": 1, "gates": {"a": {"baselines": {"x": "openai:y", "z": {"provider": "recorded", "path": "p"}}}}},
]

BAD = [
    {},
    {"version": 2},
    {"version": 1, "gate": {}},
    whole(margn=1),
    whole(margin=-1),
    whole(margin="0.05"),
    whole(margin=None),
    whole(margin=True),
    whole(confidence=95),
    whole(confidence=0.5),
    whole(evidence="sure"),
    whole(errors="ignore"),
    whole(repeats=0),
    whole(min_test_examples=-1),
    whole(min_test_examples=1.5),
    whole(test_set=500),
    whole(test_set={"limit": 3}),
    whole(baselines={"a": "openai:x"}),
    whole(candidates={"a": "openai:x"}),
    {"version": 1, "gates": {"a": {"candidates": {}}}},
    {"version": 1, "gates": {"a": {"baselines": {}}}},
    {"version": 1, "gates": {"a": {"baselines": {"base": "openai:y", "alternatives": []}}}},
    {"version": 1, "gates": {"a": {"baselines": {"base": "openai:y", "alternatives": ["few_shot"]}}}},
    {"version": 1, "gates": {"a": {"baselines": {"base": "openai:y", "alternatives": [{}]}}}},
    {"version": 1, "gates": {"a": {"baselines": {"alternatives": ["prompt"]}}}},
    whole(candidate={"provider": "openai", "model": "m", "retrieval": {}}),
    whole(candidate={"model": "m"}),
    whole(candidate={"provider": "openai", "model": "m", "api_key": "k"}),
    whole(candidate={"provider": "openai", "model": "m", "api_key_env": "sk-1"}),
    whole(candidate={"provider": "openai", "model": "m", "base_url": "localhost"}),
    whole(candidate={"provider": "openai", "model": "m", "system": "a", "system_file": "b"}),
    whole(candidate={"provider": "openai", "model": "m", "timeout_s": 0}),
    whole(candidate={"provider": "openai", "model": "m", "mode": "bach"}),
    whole(candidate={"provider": "openai", "model": "m", "few_shot": {"k": 0}}),
    whole(candidate={"provider": "python", "target": "m.f"}),
    whole(candidate={"provider": "recorded", "path": "p", "paht": "q"}),
    whole(candidate={"provider": "callable"}),
    whole(candidate={"provider": "echo", "concurrency": 0}),
    whole(candidate={"provider": "echo", "price": {"gpu_hour_usd": 1, "cached_input_per_1m": 1}}),
    whole(candidate={"provider": "echo", "price": {"gpu_hour_usd": -1}}),
    whole(require=[{"metric": "f1"}]),
    whole(require=[{"metric": "f1", "min": 0, "of": "both"}]),
    whole(goal="stile"),
    whole(goal_override=" "),
    whole(stage="begin"),
    whole(require_hypothesis="yes"),
    whole(hypothesis={"from": 0.8, "to": 0.9, "by": 0.1}),
    whole(hypothesis={"from": "0.8", "to": 0.9}),
    whole(hypothesis=True),
    whole(guards=["general"]),
    whole(guards={"general": {"max_drop": 0.03}}),
    whole(guards={"general": {"test_set": "g.jsonl"}}),
    whole(guards={"general": {"test_set": "g.jsonl", "max_drop": -0.03}}),
    whole(guards={"general": {"test_set": "g.jsonl", "max_drop": 0.03, "evidence": "sure"}}),
    whole(slices={"max_drop": 0.03}),
    whole(max_age_days=0),
    whole(max_age_days="90"),
    whole(clock="fail"),
    whole(clock={"alias": "error"}),
    whole(clock={"max_age_days": 90}),
    whole(clock={"shutdown_within_days": -1}),
    whole(clock={"shutdown_within_days": 1.5}),
    whole(slices={"fields": []}),
    whole(slices={"fields": "lang"}),
    whole(slices={"fields": ["lang"], "min_examples": 0}),
    whole(allow_weak_baseline="  "),
    whole(allow_weak_baseline=True),
    whole(hypothesis={"metric": "f1"}),
]


@pytest.mark.parametrize("data", GOOD)
def test_a_good_file_pleases_editor_and_loader(load, data):
    VALIDATOR.validate(data)
    load("# yaml-language-server: $schema=ftgate.schema.json\n" + json.dumps(data))


@pytest.mark.parametrize("data", BAD)
def test_a_bad_file_is_marked_by_the_editor_and_refused_by_the_loader(load, data):
    assert not VALIDATOR.is_valid(data)
    with pytest.raises(ConfigError):
        load(json.dumps(data))
