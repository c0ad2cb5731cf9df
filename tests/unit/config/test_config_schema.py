"""The JSON Schema that editors use says of a file what the loader says."""

import json
from importlib.resources import files

import jsonschema
import pydantic
import pytest

from pytest_ftgate.config import render_json_schema
from pytest_ftgate.errors import ConfigError

SHIPPED = files("pytest_ftgate").joinpath("ftgate.schema.json").read_text(encoding="utf-8")
SCHEMA = json.loads(SHIPPED)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

GATE = {
    "hypothesis": "It rises.",
    "test_set": "t.jsonl",
    "training_set": {"path": "t.csv", "format": "csv", "fields": {"input": "q"}, "limit": 5},
    "baseline": {"provider": "openai", "model": "m", "few_shot": 8, "params": {"temperature": 0}},
    "candidate": "tuned",
    "metric": [{"name": "f1", "pos_label": "x"}, "f1_macro"],
    "margin": 0.05,
    "thresholds": {"accuracy": {"min": 0.8}},
}


def whole(**changes):
    models = {"tuned": "openai:x", "own": {"provider": "echo", "anything": [1]}}
    return {
        "version": 1,
        "defaults": {"confidence": 0.9},
        "models": models,
        "gates": {"a": {**GATE, **changes}},
    }


@pytest.mark.skipif(
    pydantic.VERSION < "2.12", reason="pydantic wrote bounds of such types in words of its own"
)
def test_the_shipped_schema_is_the_one_of_the_models():
    """If this fails, run: python tools/reference.py"""
    assert render_json_schema() == SHIPPED


def properties(schema):
    for name, definition in schema["$defs"].items():
        for key, described in definition["properties"].items():
            yield f"{name}.{key}", described
    yield from schema["properties"].items()


def test_every_key_is_explained():
    unexplained = [
        name
        for name, described in properties(SCHEMA)
        if not ("description" in described or "$ref" in described)
    ]
    assert unexplained == []


GUARD = {"test_set": "g.jsonl", "max_drop": 0.03}
GOOD = [
    {"version": 1},
    whole(),
    whole(baseline="recorded:b.jsonl", margin=0),
    whole(checks={"weak_baseline": "warn", "imbalance": "ignore"}),
    whole(goal="knowledge", checks={"goal": "warn"}, stage="ready"),
    whole(hypothesis={"from": 0.8, "to": 0.9}, max_age_days=90, guards={"general": GUARD}),
    whole(hypothesis={"from": 0, "to": 1, "because": "labels drift"}),
    whole(guards={"general": {"test_set": {"path": "g"}, "metric": "f1_macro", "max_drop": 1e-9}}),
    whole(slices={"fields": ["lang"]}, max_age_days=0.5),
    whole(slices={"fields": ["lang", "channel"], "max_drop": 0}),
    whole(slices=["lang", "channel"]),
    whole(baseline={"provider": "python", "target": "m:f", "revision": "1"}),
    whole(candidate={"provider": "echo", "retries": 2, "more": {"x": None}}),
    whole(candidate={"provider": "echo", "price": {"gpu_hour_usd": 1.5}}),
    whole(candidate={"provider": "echo", "price": {"input_per_1m": 1, "output_per_1m": 2}}),
    whole(candidate={"provider": "openai", "model": "m", "retrieval": 8, "few_shot": 2}),
    {"version": 1, "gates": {"a": {"baselines": {"base": "openai:y"}}}},
    whole(candidate={"extends": "tuned", "few_shot": 0}),
    {
        "version": 1,
        "models": {
            "a": {"provider": "openai", "model": "m", "system": "Answer."},
            "b": {"extends": "a", "system": None},
        },
        "gates": {"a": {"baseline": "b"}},
    },
    {
        "version": 1,
        "gates": {
            "a": {"baselines": {"x": "openai:y", "z": {"provider": "recorded", "path": "p"}}}
        },
    },
]

ENDPOINT = {"provider": "openai", "model": "m"}
ECHO = {"provider": "echo"}
WRONG = {  # values of a gate's keys
    "margn": [1],
    "margin": [-1, "0.05", None, True],
    "test_set": [500, {"limit": 3}],
    "baselines": [{"a": "openai:x"}],
    "candidates": [{"a": "openai:x"}],
    "candidate": [
        {"model": "m"},
        {"provider": "callable"},
        {"provider": "python", "target": "m.f"},
        {"provider": "recorded", "path": "p", "paht": "q"},
        *(
            {**ENDPOINT, key: value}
            for key, value in (("retrieval", {}), ("api_key", "k"), ("api_key_env", "sk-1"))
        ),
        *(
            {**ENDPOINT, key: value}
            for key, value in (("base_url", "localhost"), ("timeout_s", 0), ("mode", "bach"))
        ),
        *({**ENDPOINT, **keys} for keys in ({"system": "a", "system_file": "b"}, {"few_shot": {}})),
        {**ECHO, "concurrency": 0},
        *(
            {**ECHO, "price": price}
            for price in ({"gpu_hour_usd": 1, "cached_input_per_1m": 1}, {"gpu_hour_usd": -1})
        ),
    ],
    "thresholds": [["f1"], {"f1": {}}, {"f1": {"min": 0, "of": "both"}}],
    "checks": ["fail", {"goal": "error"}, {"margin": "warn"}, {"leak": "warn"}],
    "hypothesis": [
        {"from": 0.8, "to": 0.9, "metric": "f1"},
        {"from": "0.8", "to": 0.9},
        True,
        {"from": 0.8},
    ],
    "guards": [
        ["general"],
        *({"general": guard} for guard in ({"max_drop": 0.03}, {"test_set": "g.jsonl"})),
        *({"general": {**GUARD, **keys}} for keys in ({"max_drop": 0}, {"evidence": "proven"})),
    ],
    "slices": [
        {"max_drop": 0.03},
        {"fields": []},
        {"fields": "lang"},
        [],
        "lang",
        {"fields": ["lang"], "min_examples": 30},
    ],
    "max_age_days": [0, "90"],
}
BAD = [
    *({}, {"version": 2}, {"version": 1, "gate": {}}),
    *(whole(**{key: value}) for key, values in WRONG.items() for value in values),
    {"version": 1, "gates": {"a": {"baselines": {}}}},
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
