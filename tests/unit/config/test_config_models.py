"""Every way to write a model, and what becomes of it."""

import functools
from pathlib import Path

import pytest

from pytest_ftgate.config import Layer, Source, resolve_gate
from pytest_ftgate.errors import ConfigError

GATE = {"test_set": [], "training_set": [], "baseline": str.lower, "margin": 0}


def candidate(value, file=None, folder=Path("/gates")):
    """Return the model that a marker's ``candidate`` becomes."""
    keys = {**GATE, "candidate": value}
    marker = Source("marker", "marker", folder)
    layer = Layer(keys, dict.fromkeys(keys, marker))
    return resolve_gate([layer], file=file, gate=None, default_name="test").candidate


def refusal(value, file=None):
    with pytest.raises(ConfigError) as caught:
        candidate(value, file)
    return caught.value


OWN = {"model": "m", "colour": [1, None], "name": "E", "retries": 2, "price": {}}
ASKED = {
    "model": "m",
    "params": {"temperature": 0, "stop": None},
    "few_shot": 8,
    "price": {"output_per_1m": 2.5},
}
TARGET = {"target": "m:C.f", "concurrency": 4, "revision": "v1", "timeout_s": 2.0}
RECORDED = {"name": "tuned", "price": {"input_per_1m": 0.4}}


@pytest.mark.parametrize(
    ("written", "provider", "options", "spelling", "name"),
    [
        ("openai:gpt-4.1-mini", "openai", {"model": "gpt-4.1-mini"}, "openai:gpt-4.1-mini", "gpt-4.1-mini"),
        ("openai:ft:g:a::1", "openai", {"model": "ft:g:a::1"}, "openai:ft:g:a::1", "ft:g:a::1"),
        ({"provider": "openai", **ASKED}, "openai", ASKED, "openai:m", "m"),
        ("python:pkg.mod:fn", "python", {"target": "pkg.mod:fn"}, "python:pkg.mod:fn", "fn"),
        ({"provider": "python", **TARGET, "timeout_s": 2}, "python", TARGET, "python:m:C.f", "C.f"),
        ("recorded:a/ft.jsonl", "recorded", {"path": Path("/gates/a/ft.jsonl")}, "recorded:a/ft.jsonl", "ft.jsonl"),
        ("recorded:/x/../y.jsonl", "recorded", {"path": Path("/y.jsonl")}, "recorded:/x/../y.jsonl", "y.jsonl"),
        (
            {"provider": "recorded", "path": "ft.jsonl", **RECORDED},
            *("recorded", {"path": Path("/gates/ft.jsonl"), **RECORDED}, "recorded:ft.jsonl", "tuned"),
        ),
        ("echo:loud", "echo", {"model": "loud"}, "echo:loud", "loud"),
        ({"provider": "echo"}, "echo", {}, "echo", "echo"),
        ({"provider": "echo", **OWN}, "echo", OWN, "echo:m", "E"),
    ],
)
def test_a_spelling_or_mapping_becomes_a_model(written, provider, options, spelling, name):
    spec = candidate(written)
    assert (spec.provider, spec.options, spec.spelling, spec.name) == (provider, options, spelling, name)
    assert spec.source.text == "marker"


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
    ("written", "key", "word"),
    [
        (Model, None, "instance"),
        ({"provider": "openai", "model": "m", "timeout_s": 10**5000}, "timeout_s", "number"),
    ],
)
def test_what_is_no_model_is_refused(written, key, word):
    """What else is none: tests/messages."""
    error = refusal(written)
    assert error.where.key == (f"candidate.{key}" if key else "candidate")
    assert word in error.what
    assert "(marker)" in error.what


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
    assert "'tuned'" in refusal("tunde", file).what
    assert "base, called, tuned" in refusal("other", file).what


def test_a_named_model_is_no_other_name_and_no_object(refused):
    error, place = refused("version: 1\nmodels:\n  a: b\n  b: a\n")
    assert place == "3: models.a"
    assert error.evidence.startswith("ftgate.yaml:4: models.b: ")
    error, place = refused("version: 1\nmodels: {a: 5}\n")
    assert place == "2: models.a"
    assert "openai:NAME" in error.what
