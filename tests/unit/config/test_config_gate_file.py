"""The gate file is checked as a whole when it is loaded. What is said of each wrong value: tests/messages."""

import pytest

from pytest_ftgate.config.gate_keys import GateKeys

WHOLE = """# yaml-language-server: $schema=ftgate.schema.json
version: 1
defaults: {confidence: 0.9}
models:
  tuned: openai:ft:gpt-4.1-mini:acme::abc123
gates:
  intents:
    hypothesis: "macro-F1 rises from 0.82 to at least 0.87"
    test_set: data/test.jsonl
    training_set: data/train.jsonl
    baseline:
      provider: openai
      model: gpt-4.1-mini
      few_shot: 8
    candidate: tuned
    metric: f1_macro
    margin: 0.05
    thresholds:
      accuracy: {min: 0.80}
  orders: {margin: 0}
"""


def changed(old, new):
    assert old in WHOLE
    return WHOLE.replace(old, new)


def test_a_file_knows_its_gates_models_and_lines(load, folder):
    file = load(WHOLE)
    assert file.path == folder / "ftgate.yaml"
    assert file.gate_names == ("intents", "orders")
    assert [(m.name, str(m.source)) for m in file.models.values()] == [("tuned", "ftgate.yaml:5")]
    assert str(file.where(("gates", "intents", "baseline", "few_shot"))) == (
        "ftgate.yaml:14: gates.intents.baseline.few_shot"
    )


def test_layers_of_a_gate_are_the_gate_and_the_defaults(load, folder):
    gate, defaults = load(WHOLE).layers("intents")
    assert (gate.values["margin"], defaults.values) == (0.05, {"confidence": 0.9})
    of_gate, of_default = (
        gate.source(("thresholds", "accuracy", "min")),
        defaults.source(("confidence",)),
    )
    assert (of_gate.kind, str(of_gate), of_gate.base_dir) == ("file", "ftgate.yaml:19", folder)
    assert (of_default.kind, str(of_default)) == ("defaults", "ftgate.yaml:3")
    assert str(gate.source(("margin",))) == "ftgate.yaml:17"
    assert [layer.values for layer in load(WHOLE).layers(None)] == [{"confidence": 0.9}]


def test_several_problems_are_listed_in_the_order_of_their_lines(refused):
    text = WHOLE.replace("confidence: 0.9", "confidance: 0.9").replace(
        "few_shot: 8", "few_shot: -1"
    )
    unknown = ", ".join(f"{letter}{letter}: 1" for letter in "abcdefghi")
    text = text.replace("margin: 0.05", "margin: x").replace(
        "orders: {margin: 0}", f"orders: {{{unknown}}}"
    )
    error, place = refused(text)
    assert (place, "'confidence'" in error.what) == ("3: defaults.confidance", True)
    assert len(error.problems) == 11
    *other_lines, last_line = error.evidence.splitlines()
    places = [
        "14: gates.intents.baseline.few_shot",
        "17: gates.intents.margin",
        *(f"20: gates.orders.{letter}{letter}" for letter in "abcdefg"),
    ]
    assert [
        line.startswith(f"ftgate.yaml:{place}: ")
        for line, place in zip(other_lines, places, strict=True)
    ] == [True] * 9
    first, *others = GateKeys.model_fields
    assert f"the known keys are {first}, {', '.join(others[:11])}, " in other_lines[2]
    assert "2" in last_line


def test_a_long_value_is_cut_and_odd_characters_are_escaped(refused):
    error, _ = refused(changed("margin: 0}", f'margin: "\\e[31m{"x" * 500}"}}'))
    assert f"'\\x1b[31m{'x' * 80}" in error.what
    error, _ = refused(changed("margin: 0}", f"{'k' * 500}: 1}}"))
    assert len(str(error)) < 650


SECRETS = [
    "api_key: sk-7",
    "api-key: sk-7",
    "API_KEY: sk-7",
    "openai_api_key: sk-7",
    "password: sk-7",
    "params: {api_key: sk-7}",
    "params: {extra_headers: {Authorization: sk-7}}",
    "params: {x: [{secret: sk-7}]}",
]


@pytest.mark.parametrize("line", SECRETS)
@pytest.mark.parametrize("provider", ["openai", "elsewhere"])
def test_a_secret_in_the_file_is_refused_and_not_shown(refused, line, provider):
    error, place = refused(changed("provider: openai", f"provider: {provider}\n      {line}"))
    assert place.startswith("13: gates.intents.baseline.")
    assert "api_key_env" in error.what
    assert "sk-7" not in str(error)


@pytest.mark.parametrize("place", ["margin: 0", "min: 0.80", "confidence: 0.9"])
@pytest.mark.parametrize(
    "key", ["api_key", "api_key_env", "apikey", "Authorization", "token", "x-api-key"]
)
@pytest.mark.parametrize("value", ["SENTINEL", "[SENTINEL]", "{a: [SENTINEL, .nan]}"])
def test_no_message_shows_what_a_secret_looking_key_holds(refused, place, key, value):
    message = str(refused(WHOLE.replace(f"{place}}}", f"{place}, {key}: {value}}}"))[0])
    assert key in message
    assert "SENTINEL" not in message
