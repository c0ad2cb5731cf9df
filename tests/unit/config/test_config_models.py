"""Every way to write a model, and what becomes of it."""

import functools
from pathlib import Path

import pytest

from pytest_ftgate.config import Layer, Source, resolve_gate
from pytest_ftgate.errors import ConfigError

GATE = {"test_set": [], "training_set": [], "baseline": str.lower, "margin": 0}


def candidate(value, file=None, folder=Path("/gates")):
    """The model that a marker's ``candidate`` becomes."""
    keys = {**GATE, "candidate": value}
    marker = Source("marker", "marker", folder)
    layer = Layer(keys, dict.fromkeys(keys, marker))
    return resolve_gate([layer], file=file, gate=None, default_name="test").candidate


def refusal(value, file=None):
    with pytest.raises(ConfigError) as caught:
        candidate(value, file)
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "provider", "options", "spelling", "name"),
    [
        ("openai:gpt-4.1-mini", "openai", {"model": "gpt-4.1-mini"}, "openai:gpt-4.1-mini", "gpt-4.1-mini"),
        ("openai:ft:g:a::1", "openai", {"model": "ft:g:a::1"}, "openai:ft:g:a::1", "ft:g:a::1"),
        ({"provider": "openai", "job": "ftjob-1"}, "openai", {"job": "ftjob-1"}, "openai job ftjob-1", "ftjob-1"),
        (
            {"provider": "openai", "job": "ftjob-1", "checkpoint": 100, "name": "tuned"},
            "openai",
            {"job": "ftjob-1", "checkpoint": 100, "name": "tuned"},
            "openai job ftjob-1",
            "tuned",
        ),
        ("python:pkg.mod:fn", "python", {"target": "pkg.mod:fn"}, "python:pkg.mod:fn", "fn"),
        ("recorded:a/ft.jsonl", "recorded", {"path": Path("/gates/a/ft.jsonl")}, "recorded:a/ft.jsonl", "ft.jsonl"),
        ("recorded:/x/../y.jsonl", "recorded", {"path": Path("/y.jsonl")}, "recorded:/x/../y.jsonl", "y.jsonl"),
        ("echo:loud", "echo", {"model": "loud"}, "echo:loud", "loud"),
        ({"provider": "echo"}, "echo", {}, "echo", "echo"),
        (
            {"provider": "echo", "model": "m", "colour": [1, None], "name": "E", "retries": 2, "price": {}},
            "echo",
            {"retries": 2, "price": {}, "name": "E", "model": "m", "colour": [1, None]},
            "echo:m",
            "E",
        ),
        (
            {"provider": "python", "target": "m:C.f", "concurrency": 4, "cache_key": "v1", "timeout_s": 2},
            "python",
            {"target": "m:C.f", "concurrency": 4, "timeout_s": 2.0, "cache_key": "v1"},
            "python:m:C.f",
            "C.f",
        ),
        (
            {"provider": "recorded", "path": "ft.jsonl", "name": "tuned", "price": {"input_per_1m": 0.4}},
            "recorded",
            {"path": Path("/gates/ft.jsonl"), "price": {"input_per_1m": 0.4}, "name": "tuned"},
            "recorded:ft.jsonl",
            "tuned",
        ),
    ],
)
def test_a_spelling_or_mapping_becomes_a_model(written, provider, options, spelling, name):
    spec = candidate(written)
    assert (spec.provider, spec.options, spec.spelling, spec.name) == (provider, options, spelling, name)
    assert spec.source.text == "marker"


def test_every_key_of_an_endpoint_is_kept_as_written():
    written = {
        "provider": "openai",
        "model": "m",
        "base_url": "http://localhost:8000/v1",
        "api_key_env": "MY_KEY",
        "system_file": "prompts/a.md",
        "few_shot": {"k": 8},
        "template": "Q: {input}",
        "params": {"temperature": 0, "stop": None, "max_tokens": 5},
        "concurrency": 2,
        "timeout_s": 1.5,
        "retries": 0,
        "revision": "abc",
        "price": {"input_per_1m": 1, "output_per_1m": 2.5, "cached_input_per_1m": 0, "training_per_1m": 3},
        "name": "mine",
    }
    spec = candidate(written)
    expected = {**written, "system_file": Path("/gates/prompts/a.md")}
    del expected["provider"]
    assert dict(spec.options) == expected
    assert list(spec.options) == list(expected)


def test_a_path_object_is_a_path_too():
    spec = candidate({"provider": "recorded", "path": Path("ft.jsonl")})
    assert spec.options == {"path": Path("/gates/ft.jsonl")}


class Model:
    """What a ready model looks like."""

    name, spelling = "tiny", "lab:tiny"

    def key(self):
        return ""

    def complete(self):
        return ""


class Bare:
    key = complete = None


def answer(text, shout=False):
    return text.upper() if shout else text


@pytest.mark.parametrize(
    ("given", "spelling", "name"),
    [
        (answer, "test_config_models.answer", "answer"),
        (functools.partial(answer, shout=True), "test_config_models.answer", "answer"),
        (Model().complete, "test_config_models.Model.complete", "complete"),
        (Model(), "lab:tiny", "tiny"),
        (Bare(), "test_config_models.Bare", "Bare"),
        (str, "builtins.str", "str"),
    ],
)
def test_python_code_may_give_the_model_itself(given, spelling, name):
    spec = candidate(given)
    assert (spec.provider, spec.options["function"], spec.spelling, spec.name) == ("callable", given, spelling, name)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("gpt-4", "candidate: 'gpt-4' is no known model; a model may be spelled openai:NAME, "),
        ("my model:x", "candidate: 'my model:x' is no known model; a model may be spelled openai:NAME, "),
        ("openai:", "candidate: 'openai:' names no model after the colon (marker)"),
        (
            "callable:f",
            "candidate: a callable cannot be written: give the function itself in a marker or fixture (mark",
        ),
        (
            "python:pkg.mod",
            "candidate.target: must be a function as pkg.module:function, got the text 'pkg.mod' (marker)",
        ),
        ("python:pkg/mod.py:f", "candidate.target: must be a function as pkg.module:function, got the text 'pkg/mo"),
        (3, "candidate: an object of type int is no model: give a callable or a spelling (marker)"),
        (["openai:x"], "candidate: an object of type list is no model: give a callable or a spelling (marker)"),
        (None, "candidate: has no value: give one, or remove the key (marker)"),
        (Model, "candidate: the class Model is no model: give an instance of it (marker)"),
        ({"model": "x"}, "candidate.provider: this key is missing: one of openai, python, recorded, or a provider "),
        ({"openai": "x"}, "candidate.provider: this key is missing: for the short spelling write openai:x, without "),
        ({}, "candidate.provider: this key is missing: one of openai, python, recorded, or a provider that a hook"),
        ({"provider": 5}, "candidate.provider: must be text, got 5: quote it (marker)"),
        ({"provider": "openai"}, "candidate.model: this key is missing (marker)"),
        ({"provider": "openai", 5: "x", "model": "m"}, "candidate.5: a key must be text (marker)"),
        ({"provider": "python"}, "candidate.target: this key is missing (marker)"),
        ({"provider": "recorded"}, "candidate.path: this key is missing (marker)"),
        ({"provider": "recorded", "paht": "x"}, "candidate.paht: unknown key; did you mean 'path'? (marker)"),
        ({"provider": "echo", "retries": -1}, "candidate.retries: must be at least 0, got -1 (marker)"),
        ({"provider": "echo", "x": {"y": float("nan")}}, "candidate.x.y: must be a finite number, got nan (marker)"),
        (
            {"provider": "echo", "price": {"gpu_hour_usd": 2, "output_per_1m": 1}},
            "candidate.price.gpu_hour_usd: the price has gpu_hour_usd, the price of a machine, and output_per_1m, "
            "the price of tokens: keep one (marker)",
        ),
    ],
)
def test_what_is_no_model_is_refused(written, message):
    assert refusal(written).startswith(message)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("system_file", "s.md", "candidate.system_file: system and system_file are both given: keep one (marker)"),
        (
            "api_key_env",
            "sk-1",
            "candidate.api_key_env: must be the name of an environment variable, as OPENAI_API_KEY, ",
        ),
        (
            "base_url",
            "localhost:1/v1?k=2",
            "candidate.base_url: must begin with http:// or https://, got the text 'localhost:1/v1' (m",
        ),
        ("base_url", "https://me:pw@host/v1", "candidate.base_url: must not carry a user or password: name an environ"),
        ("params", [1], "candidate.params: must be a mapping, got a list (marker)"),
        (
            "params",
            {"temperature": float("inf")},
            "candidate.params.temperature: must be a finite number, got inf (mar",
        ),
        ("concurrency", 0, "candidate.concurrency: must be at least 1, got 0 (marker)"),
        ("concurrency", True, "candidate.concurrency: must be a whole number, got true (marker)"),
        ("timeout_s", 0, "candidate.timeout_s: must be above 0, got 0 (marker)"),
        ("timeout_s", 10**400, "candidate.timeout_s: must be a number, got 1000"),
        ("timeout_s", None, "candidate.timeout_s: has no value: give one, or remove the key (marker)"),
        ("price", {"input_per_1m": -1}, "candidate.price.input_per_1m: must be at least 0, got -1 (marker)"),
        ("few_shot", {}, "candidate.few_shot.k: this key is missing (marker)"),
        ("revision", 20260501, "candidate.revision: must be text, got 20260501: quote it (marker)"),
        ("template", object(), "candidate.template: must be text, got a Python object of type object (marker)"),
        ("mode", "bach", "candidate.mode: must be"),
        ("requests_per_minute", 0, "candidate.requests_per_minute: must be above 0, got 0 (marker)"),
        ("tokens_per_minute", True, "candidate.tokens_per_minute: must be a number, got true (marker)"),
        ("latency", 1, "candidate.latency: must be a mapping, got 1 (marker)"),
        ("latency", {"examples": 0}, "candidate.latency.examples: must be at least 1, got 0 (marker)"),
        ("temperature", 0, "candidate.temperature: unknown key"),
    ],
)
def test_a_wrong_key_of_an_endpoint_is_refused(key, value, message):
    text = refusal({"provider": "openai", "model": "m", "system": "s", key: value})
    assert text.startswith(message)
    assert "sk-1" not in text
    assert "pw" not in text


def test_a_number_too_long_to_be_written_out_is_refused_like_any():
    message = refusal({"provider": "openai", "model": "m", "timeout_s": 10**5000})
    assert message == "candidate.timeout_s: must be a number, got a very large number (marker)"


NAMED = """version: 1
models:
  tuned: openai:ft:x
  base: {provider: recorded, path: base.jsonl}
  called: {provider: openai, model: m, name: The model}
"""


def test_a_named_model_goes_by_its_name_and_knows_its_own_line(load, folder):
    file = load(NAMED)
    assert [candidate(name, file).name for name in file.models] == ["tuned", "base", "The model"]
    spec = candidate("base", file)
    assert (str(spec.source), spec.options) == ("ftgate.yaml:4", {"path": folder / "base.jsonl"})


def test_a_name_that_is_not_there_names_the_nearest(load):
    file = load(NAMED)
    assert refusal("tunde", file) == "candidate: 'tunde' is no known model; did you mean 'tuned'? (marker)"
    assert "; under models are base, called, tuned; a model may be spelled" in refusal("other", file)


def test_a_named_model_is_no_other_name(refused):
    assert refused("version: 1\nmodels:\n  a: b\n  b: a\n") == (
        "ftgate.yaml:3: models.a: a named model cannot be another name: write its spelling here\n"
        "  ftgate.yaml:4: models.b: a named model cannot be another name: write its spelling here"
    )


def test_a_file_holds_no_python_objects(refused):
    assert refused("version: 1\nmodels: {a: 5}\n") == (
        "ftgate.yaml:2: models.a: must be a model: a name under models, openai:NAME, python:pkg.module:function, "
        "recorded:PATH, or a mapping with a provider"
    )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "candidate.model: this key is missing (marker)"),
        ({"model": "m", "job": "j"}, "candidate.job: model and job are both given: keep one (marker)"),
        (
            {"model": "m", "checkpoint": "last"},
            "candidate.checkpoint: only a job has checkpoints: name it in place of model (marker)",
        ),
        (
            {"job": "../files"},
            "candidate.job: must be the id of a fine-tuning job, as ftjob-abc123, got the text '../files' (marker)",
        ),
        (
            {"job": "j", "checkpoint": "worst"},
            "candidate.checkpoint: must be best, last, or the number of a step, got the text 'worst' (marker)",
        ),
        (
            {"job": "j", "checkpoint": True},
            "candidate.checkpoint: must be best, last, or the number of a step, got true (marker)",
        ),
        (
            {"job": "j", "checkpoint": -1},
            "candidate.checkpoint: must be best, last, or the number of a step, got -1 (marker)",
        ),
    ],
)
def test_a_job_takes_the_place_of_a_model(keys, message):
    assert refusal({"provider": "openai", **keys}) == message
