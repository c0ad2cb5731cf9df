"""The gate file is checked as a whole when it is loaded; each message names the line of the exact key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ftgate.config import GateFile, load_gate_file
from pytest_ftgate.config.gate_keys import GateKeys
from pytest_ftgate.errors import ConfigError

Load = Callable[[str], GateFile]
Refused = Callable[[str], str]

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
      few_shot: {k: 8}
    candidate: tuned
    metric: f1_macro
    margin: 0.05
    require:
      - {metric: accuracy, min: 0.80}
  orders: {margin: 0}
"""


def changed(old: str, new: str) -> str:
    assert old in WHOLE
    return WHOLE.replace(old, new)


def test_a_file_knows_its_gates_models_and_lines(load: Load, folder: Path) -> None:
    file = load(WHOLE)
    assert file.path == folder / "ftgate.yaml"
    assert file.gate_names == ("intents", "orders")
    assert [(m.name, str(m.source)) for m in file.models.values()] == [("tuned", "ftgate.yaml:5")]
    assert str(file.where(("gates", "intents", "baseline", "few_shot", "k"))) == (
        "ftgate.yaml:14: gates.intents.baseline.few_shot.k"
    )


def test_a_file_may_be_read_as_it_was_at_another_time(load: Load, folder: Path) -> None:
    now = load(WHOLE)
    then = load_gate_file(now.path, changed("margin: 0.05", "margin: 0.1").encode())
    assert (then.path, then.layers("intents")[0].values["margin"]) == (now.path, 0.1)
    with pytest.raises(ConfigError, match=r"^ftgate\.yaml:17: gates\.intents\.margin: must be a number"):
        load_gate_file(folder / "ftgate.yaml", changed("margin: 0.05", "margin: x").encode())


def test_a_relative_path_means_the_folder_of_the_moment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "g.yaml").write_text(WHOLE)
    file = load_gate_file(Path("sub/g.yaml"))
    monkeypatch.chdir(folder / "sub")
    assert file.path == folder / "sub" / "g.yaml"
    assert str(file.layers("intents")[0].source(("margin",))) == "g.yaml:17"


def test_layers_of_a_gate_are_the_gate_and_the_defaults(load: Load, folder: Path) -> None:
    gate, defaults = load(WHOLE).layers("intents")
    assert (gate.values["margin"], defaults.values) == (0.05, {"confidence": 0.9})
    of_gate, of_default = gate.source(("require", 0, "min")), defaults.source(("confidence",))
    assert (of_gate.kind, str(of_gate), of_gate.base_dir) == ("file", "ftgate.yaml:19", folder)
    assert (of_default.kind, str(of_default)) == ("defaults", "ftgate.yaml:3")
    assert str(gate.source(("margin",))) == "ftgate.yaml:17"


def test_a_gate_outside_the_file_still_has_the_defaults(load: Load) -> None:
    assert [layer.values for layer in load(WHOLE).layers(None)] == [{"confidence": 0.9}]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("intent", "there is no gate 'intent' in ftgate.yaml; did you mean 'intents'?"),
        ("INTENTS", "there is no gate 'INTENTS' in ftgate.yaml; did you mean 'intents'?"),
        ("x", "there is no gate 'x' in ftgate.yaml; the gates there are: intents, orders"),
    ],
)
def test_an_unknown_gate_names_the_nearest(load: Load, asked: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(WHOLE).layers(asked)
    assert str(caught.value) == message


def test_a_file_may_hold_nothing_but_its_version(load: Load) -> None:
    file = load("version: 1")
    assert (file.gate_names, file.models, [layer.values for layer in file.layers(None)]) == ((), {}, [{}])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version: 1\n", "", "ftgate.yaml:2: version: this key is missing: write version: 1"),
        ("version: 1", "version: 2", "ftgate.yaml:2: version: must be 1, the only version known here, got 2"),
        ("version: 1", "version: true", "ftgate.yaml:2: version: must be 1, the only version known here, got true"),
        (
            "version: 1",
            "version: '1'",
            "ftgate.yaml:2: version: must be 1, the only version known here, got the text '1'",
        ),
        ("gates:", "gate:", "ftgate.yaml:6: gate: unknown key; did you mean 'gates'?"),
        (
            "version: 1",
            "version: 1\nfoo: 2",
            "ftgate.yaml:3: foo: unknown key; known are version, defaults, models, gates",
        ),
        ("margin: 0.05", "margn: 0.05", "ftgate.yaml:17: gates.intents.margn: unknown key; did you mean 'margin'?"),
        ("margin: 0.05", "MARGIN: 0.05", "ftgate.yaml:17: gates.intents.MARGIN: unknown key; did you mean 'margin'?"),
        ("margin: 0}", "margin: -1}", "ftgate.yaml:20: gates.orders.margin: must be at least 0, got -1"),
        (
            "margin: 0.05",
            "margin: '0.05'",
            "ftgate.yaml:17: gates.intents.margin: must be a number, got the text '0.05': remove the quotes",
        ),
        ("margin: 0.05", "margin: 5%", "ftgate.yaml:17: gates.intents.margin: must be a number, got the text '5%'"),
        ("margin: 0.05", "margin: true", "ftgate.yaml:17: gates.intents.margin: must be a number, got true"),
        ("margin: 0.05", "margin: .nan", "ftgate.yaml:17: gates.intents.margin: must be a finite number, got nan"),
        ("margin: 0.05", "margin: 1e999", "ftgate.yaml:17: gates.intents.margin: must be a finite number, got inf"),
        ("margin: 0.05", "margin:", "ftgate.yaml:17: gates.intents.margin: has no value: give one, or remove the key"),
        ("margin: 0.05", "margin: [1]", "ftgate.yaml:17: gates.intents.margin: must be a number, got a list"),
        ("k: 8", "k: 0", "ftgate.yaml:14: gates.intents.baseline.few_shot.k: must be at least 1, got 0"),
        ("k: 8", "k: 2.5", "ftgate.yaml:14: gates.intents.baseline.few_shot.k: must be a whole number, got 2.5"),
        ("{k: 8}", "8", "ftgate.yaml:14: gates.intents.baseline.few_shot: must be a mapping, got 8"),
        (
            "confidence: 0.9",
            "confidence: 95",
            "ftgate.yaml:3: defaults.confidence: must be below 1, got 95; did you mean 0.95?",
        ),
        ("confidence: 0.9", "confidence: 0.5", "ftgate.yaml:3: defaults.confidence: must be above 0.5, got 0.5"),
        ("confidence: 0.9", "confidence: 1", "ftgate.yaml:3: defaults.confidence: must be below 1, got 1"),
        (
            "confidence: 0.9",
            "evidence: significance",
            "ftgate.yaml:3: defaults.evidence: must be one of 'observed', 'significant' or 'proven', "
            "got the text 'significance'; did you mean 'significant'?",
        ),
        (
            "confidence: 0.9",
            "errors: score-zero",
            "ftgate.yaml:3: defaults.errors: must be one of 'error' or 'score_zero', "
            "got the text 'score-zero'; did you mean 'score_zero'?",
        ),
        (
            "confidence: 0.9",
            "min_test_examples: -1",
            "ftgate.yaml:3: defaults.min_test_examples: must be at least 0, got -1",
        ),
        (
            "confidence: 0.9",
            "min_training_examples: 1_000",
            "ftgate.yaml:3: defaults.min_training_examples: must be a whole number, got the text '1_000'",
        ),
        ("confidence: 0.9", "repeats: 0", "ftgate.yaml:3: defaults.repeats: must be at least 1, got 0"),
        ("confidence: 0.9", "name: 5", "ftgate.yaml:3: defaults.name: must be text, got 5: quote it"),
        ("confidence: 0.9", "name: ' '", "ftgate.yaml:3: defaults.name: must not be blank"),
        ("confidence: 0.9", "show: f1", "ftgate.yaml:3: defaults.show: must be a list, got the text 'f1'"),
        (
            "confidence: 0.9",
            "show: [f1, 2]",
            "ftgate.yaml:3: defaults.show[1]: must be a metric's name, or a mapping with a name, got 2",
        ),
        ("confidence: 0.9", "metric: {pos_label: a}", "ftgate.yaml:3: defaults.metric.name: this key is missing"),
        (
            "confidence: 0.9",
            "metric: {name: f1, labels: [a, .nan]}",
            "ftgate.yaml:3: defaults.metric.labels[1]: must be a finite number, got nan",
        ),
        ("min: 0.80", "mim: 0.80", "ftgate.yaml:19: gates.intents.require[0].mim: unknown key; did you mean 'min'?"),
        (", min: 0.80", "", "ftgate.yaml:19: gates.intents.require[0]: needs min or max, or both"),
        (
            "min: 0.80",
            "min: 0.8, max: 0.5",
            "ftgate.yaml:19: gates.intents.require[0]: min 0.8 is above max 0.5: no value can pass",
        ),
        (
            "min: 0.80",
            "min: 0.8, of: base",
            "ftgate.yaml:19: gates.intents.require[0].of: must be one of 'candidate' or 'baseline', "
            "got the text 'base'; did you mean 'baseline'?",
        ),
        (
            "test_set: data/test.jsonl",
            "test_set: 500",
            "ftgate.yaml:9: gates.intents.test_set: must be the data: a path or the examples themselves; "
            "a count proves nothing",
        ),
        (
            "test_set: data/test.jsonl",
            "test_set: [a, b]",
            "ftgate.yaml:9: gates.intents.test_set: must be a path, or a mapping with a path, got a list",
        ),
        ("data/test.jsonl", "{limit: 5}", "ftgate.yaml:9: gates.intents.test_set.path: this key is missing"),
        (
            "data/test.jsonl",
            "{path: a, limit: 0}",
            "ftgate.yaml:9: gates.intents.test_set.limit: must be at least 1, got 0",
        ),
        (
            "data/test.jsonl",
            "{path: a, fields: {input: 3}}",
            "ftgate.yaml:9: gates.intents.test_set.fields.input: must be text, got 3: quote it",
        ),
        ("data/test.jsonl", "''", "ftgate.yaml:9: gates.intents.test_set.path: must not be blank"),
        (
            "data/test.jsonl",
            '"a\\0b"',
            "ftgate.yaml:9: gates.intents.test_set.path: must be a path, which holds no NUL character",
        ),
        ("  orders: {margin: 0}", "  orders:", "ftgate.yaml:20: gates.orders: must be a mapping, got nothing"),
        ("  orders: {margin: 0}", "  ' ': {}", "ftgate.yaml:20: gates. : a name must not be blank"),
        (
            "gates:",
            "  a:b: x:y\ngates:",
            "ftgate.yaml:6: models.a:b: a model's name holds no colon, which would make it a spelling",
        ),
        (
            "candidate: tuned",
            "candidate: tuned\n    baselines: {a: tuned}",
            "ftgate.yaml:16: gates.intents.baselines: baseline and baselines are both given: keep one",
        ),
        (
            "margin: 0}",
            "baselines: tuned}",
            "ftgate.yaml:20: gates.orders.baselines: must be a mapping of names to models; for one model use baseline",
        ),
        ("margin: 0}", "baselines: {}}", "ftgate.yaml:20: gates.orders.baselines: must not be empty, got a mapping"),
        (
            "margin: 0}",
            "baselines: {base: tuned, alternatives: [promt]}}",
            "ftgate.yaml:20: gates.orders.baselines.alternatives[0]: must be one of prompt, {few_shot: {k: 8}}, "
            "{retrieval: {k: 8}}, got the text 'promt'",
        ),
        (
            "candidate: tuned",
            "candidate: tuned\n    candidates: {a: tuned}",
            "ftgate.yaml:16: gates.intents.candidates: candidate and candidates are both given: keep one",
        ),
        (
            "margin: 0}",
            "candidates: tuned}",
            "ftgate.yaml:20: gates.orders.candidates: must be a mapping of names to models; "
            "for one model use candidate",
        ),
        (
            "margin: 0}",
            "hypothesis: {metric: f1, from: 0.8}}",
            "ftgate.yaml:20: gates.orders.hypothesis.to: this key is missing",
        ),
        (
            "margin: 0}",
            "hypothesis: {fron: 0.8, to: 0.9}}",
            "ftgate.yaml:20: gates.orders.hypothesis.fron: unknown key; did you mean 'from'?",
        ),
        (
            "margin: 0}",
            "hypothesis: {from_: 0.8, to: 0.9}}",
            "ftgate.yaml:20: gates.orders.hypothesis.from_: unknown key; did you mean 'from'?",
        ),
        (
            "margin: 0}",
            "hypothesis: {from: 85 %, to: 0.9}}",
            "ftgate.yaml:20: gates.orders.hypothesis.from: must be a number, got the text '85 %'",
        ),
        (
            "margin: 0}",
            "hypothesis: {from: 0.8, to: .nan}}",
            "ftgate.yaml:20: gates.orders.hypothesis.to: must be a finite number, got nan",
        ),
        (
            "margin: 0}",
            "hypothesis: 0.9}",
            "ftgate.yaml:20: gates.orders.hypothesis: must be text or a mapping with from and to, got 0.9: quote it",
        ),
        ("margin: 0}", 'hypothesis: " "}', "ftgate.yaml:20: gates.orders.hypothesis: must not be blank"),
        (
            "margin: 0}",
            'require_hypothesis: "true"}',
            "ftgate.yaml:20: gates.orders.require_hypothesis: must be true or false, got the text 'true'",
        ),
        (
            "margin: 0}",
            "stage: redy}",
            "ftgate.yaml:20: gates.orders.stage: must be one of 'accept' or 'ready', got the text 'redy'; "
            "did you mean 'ready'?",
        ),
    ],
)
def test_what_is_wrong_is_said_with_the_line_of_the_key(refused: Refused, old: str, new: str, message: str) -> None:
    assert refused(changed(old, new)) == message


LATER = ["max_attempts", "ledger", "stop_early"]


@pytest.mark.parametrize("key", LATER)
def test_keys_of_later_work_are_refused_by_name(refused: Refused, key: str) -> None:
    message = refused(changed("margin: 0}", f"{key}: anything}}"))
    assert message == f"ftgate.yaml:20: gates.orders.{key}: {key} is not supported yet"


def test_several_problems_are_listed_in_the_order_of_their_lines(refused: Refused) -> None:
    text = WHOLE.replace("confidence: 0.9", "confidance: 0.9").replace("k: 8", "k: 0")
    text = text.replace("margin: 0.05", "margin: x").replace("orders: {margin: 0}", "orders: {a: 1, b: 2, c: 3, d: 4}")
    known = ", ".join(GateKeys.model_fields)
    assert refused(text).splitlines() == [
        "ftgate.yaml:3: defaults.confidance: unknown key; did you mean 'confidence'?",
        "  ftgate.yaml:14: gates.intents.baseline.few_shot.k: must be at least 1, got 0",
        "  ftgate.yaml:17: gates.intents.margin: must be a number, got the text 'x'",
        f"  ftgate.yaml:20: gates.orders.a: unknown key; known are {known}",
        f"  ftgate.yaml:20: gates.orders.b: unknown key; known are {known}",
        "  and 2 more",
    ]


def test_a_misspelled_key_does_not_hide_wrong_values_beside_it(refused: Refused) -> None:
    assert refused(changed("margin: 0}", "margn: 1, repeats: 0}")).splitlines() == [
        "ftgate.yaml:20: gates.orders.margn: unknown key; did you mean 'margin'?",
        "  ftgate.yaml:20: gates.orders.repeats: must be at least 1, got 0",
    ]


def test_a_misspelled_required_key_is_not_called_missing_too(refused: Refused) -> None:
    assert refused(changed("model: gpt-4.1-mini", "modl: gpt-4.1-mini")) == (
        "ftgate.yaml:13: gates.intents.baseline.modl: unknown key; did you mean 'model'?"
    )


@pytest.mark.parametrize(
    ("orders", "message"),
    [
        ("{name: intents}", "ftgate.yaml:20: gates.orders.name: two gates are called 'intents': intents and orders"),
        (
            "{}\n  again: {name: orders}",
            "ftgate.yaml:21: gates.again.name: two gates are called 'orders': orders and again",
        ),
    ],
)
def test_two_gates_cannot_go_by_one_name(refused: Refused, orders: str, message: str) -> None:
    assert refused(changed("{margin: 0}", orders)) == message


def test_a_name_for_all_gates_is_a_name_too_many(refused: Refused) -> None:
    assert refused(changed("confidence: 0.9", "name: all")) == (
        "ftgate.yaml:20: gates.orders: two gates are called 'all': intents and orders"
    )


def test_a_long_value_is_cut_and_odd_characters_are_escaped(refused: Refused) -> None:
    message = refused(changed("margin: 0}", f'margin: "\\e[31m{"x" * 500}"}}'))
    assert message == (f"ftgate.yaml:20: gates.orders.margin: must be a number, got the text '\\x1b[31m{'x' * 95}…'")
    assert len(refused(changed("margin: 0}", f"{'k' * 500}: 1}}"))) < 600


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
def test_a_secret_in_the_file_is_refused_and_not_shown(refused: Refused, line: str, provider: str) -> None:
    message = refused(changed("provider: openai", f"provider: {provider}\n      {line}"))
    assert message.startswith("ftgate.yaml:13: gates.intents.baseline.")
    assert message.endswith(": a secret must not be written here: name an environment variable with api_key_env")
    assert "sk-7" not in message


@pytest.mark.parametrize("value", ["sk-7-abc", "[sk-7-abc]", "{a: sk-7-abc}"])
def test_a_key_in_place_of_its_variables_name_is_not_shown(refused: Refused, value: str) -> None:
    message = refused(changed("few_shot: {k: 8}", f"api_key_env: {value}"))
    assert "gates.intents.baseline.api_key_env: must be" in message
    assert "sk-7" not in message


@pytest.mark.parametrize("place", ["k: 8", "margin: 0", "min: 0.80", "confidence: 0.9"])
@pytest.mark.parametrize(
    "key", ["api_key", "api_key_env", "cache_key", "apikey", "Authorization", "token", "x-api-key"]
)
@pytest.mark.parametrize("value", ["SENTINEL", "[SENTINEL]", "{a: [SENTINEL, .nan]}"])
def test_no_message_shows_what_a_secret_looking_key_holds(refused: Refused, place: str, key: str, value: str) -> None:
    message = refused(WHOLE.replace(f"{place}}}", f"{place}, {key}: {value}}}"))
    assert key in message
    assert "SENTINEL" not in message
