"""Many places may speak about a gate: key by key the nearest wins, and each value remembers its source."""

import functools
import json
from pathlib import Path

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from pytest_ftgate.config import (
    DataKeys,
    Layer,
    Source,
    as_written,
    load_gate_file,
    resolve_gate,
    weakenings,
)
from pytest_ftgate.config.keys import LEFT_OPEN
from pytest_ftgate.errors import ConfigError

SELF_CONTAINED = {
    "test_set": "test.jsonl",
    "training_set": "train.jsonl",
    "baseline": "recorded:base.jsonl",
    "candidate": "recorded:ft.jsonl",
    "margin": 0.05,
}


def layer(values, text="marker", kind="marker"):
    return Layer(values, dict.fromkeys(values, Source(kind, text, Path("/gates"))))


def resolve(*layers, file=None, gate=None):
    return resolve_gate(layers, file=file, gate=gate, default_name="test_a.py::test_it")


def marked(**changes):
    return resolve(layer({**SELF_CONTAINED, **changes}))


def refusal(*layers, file=None, gate=None):
    with pytest.raises(ConfigError) as caught:
        resolve(*layers, file=file, gate=gate)
    return caught.value


def read_as(data):
    assert isinstance(data, DataKeys)
    return data.path, data.format, data.fields, data.limit


def test_keys_are_replaced_whole():
    near = layer({"metric": {"name": "f1"}, "test_set": {"path": "a"}, "thresholds": {}})
    far = layer(
        {
            **SELF_CONTAINED,
            "metric": {"name": "f1", "pos_label": "x"},
            "test_set": {"path": "b", "limit": 3},
            "thresholds": {"f1": {"min": 0}},
        }
    )
    config = resolve(near, far)
    assert (config.decided_by.options, list(config.thresholds)) == ({}, ["f1"])
    assert read_as(config.test_set) == (Path("/gates/a"), None, {}, None)


def test_thresholds_are_merged_by_name():
    near = layer({"thresholds": {"f1": {"max": 1}, "accuracy": {"min": 0.9}}}, "near")
    far = layer(
        {
            **SELF_CONTAINED,
            "thresholds": {"accuracy": {"min": 0.8, "max": 1}, "error_rate": {"max": 0}},
        },
        "far",
    )
    limits = resolve(near, far).thresholds
    assert {name: (limit.min, limit.max, str(limit.source)) for name, limit in limits.items()} == {
        "accuracy": (0.9, None, "near"),
        "error_rate": (None, 0, "far"),
        "f1": (None, 1, "near"),
    }


def test_baseline_and_baselines_are_two_forms_of_one_key():
    first_layer, many = (
        layer({"baseline": "x:one"}, "one"),
        layer({"baselines": {"a": "x:a", "b": "x:b"}}, "many"),
    )
    others_layer = layer({key: value for key, value in SELF_CONTAINED.items() if key != "baseline"})
    assert list(resolve(first_layer, many, others_layer).baselines) == ["baseline"]
    assert list(resolve(many, first_layer, others_layer).baselines) == ["a", "b"]
    for key in ("baseline", "baselines"):
        assert str(resolve(first_layer, many, others_layer).sources[key]) == "one"
        assert str(resolve(many, first_layer, others_layer).sources[key]) == "many"


FILE = """version: 1
defaults: {confidence: 0.9, repeats: 2}
models: {tuned: recorded:ft.jsonl}
gates:
  intents:
    test_set: data/test.jsonl
    training_set: {path: data/train.csv, format: csv, fields: {input: q}, limit: 9}
    baselines:
      prompt: {provider: openai, model: m, system_file: a.md}
      base: tuned
    candidate: tuned
    margin: 0.05
    repeats: 3
    thresholds:
      accuracy: {min: 0.8}
      cost_usd: {max: 1}
  named: {name: Another, margin: 1}
"""


def test_a_gate_of_the_file_with_its_defaults_and_lines(load, folder):
    file = load(FILE)
    config = resolve(*file.layers("intents"), file=file, gate="intents")
    assert (config.name, config.gate, config.confidence, config.repeats) == (
        "intents",
        "intents",
        0.9,
        3,
    )
    assert read_as(config.test_set) == (folder / "data/test.jsonl", None, {}, None)
    assert read_as(config.training_set) == (folder / "data/train.csv", "csv", {"input": "q"}, 9)
    assert config.baselines["prompt"].options == {"model": "m", "system_file": folder / "a.md"}
    assert [str(model.source) for model in config.baselines.values()] == [
        "ftgate.yaml:9",
        "ftgate.yaml:3",
    ]
    assert (str(config.candidate.source), str(config.sources["candidate"])) == (
        "ftgate.yaml:3",
        "ftgate.yaml:11",
    )
    assert [str(threshold.source) for threshold in config.thresholds.values()] == [
        "ftgate.yaml:15",
        "ftgate.yaml:16",
    ]
    kinds = {key: config.sources[key].kind for key in ("margin", "confidence", "evidence")}
    assert kinds == {"margin": "file", "confidence": "defaults", "evidence": "default"}


def test_of_several_models_each_goes_by_the_name_that_the_gate_gives_it(load):
    file = load(
        "version: 1\nmodels:\n  a: x:a\n  b: {provider: x, model: b, name: big}\ngates: {}\n"
    )
    models = {
        "one": "a",
        "two": "b",
        "three": "x:c",
        "four": {"provider": "x", "model": "d", "name": "own"},
        "f": len,
    }
    names = ["one", "big", "three", "own", "f"]
    several = resolve(layer({**SELF_CONTAINED, "baseline": "x:m"}), file=file)
    assert several.baselines["baseline"].name == "m"
    keys = {key: value for key, value in SELF_CONTAINED.items() if key != "baseline"}
    config = resolve(layer({**keys, "baselines": models}), file=file)
    assert [model.name for model in config.baselines.values()] == names
    alone = resolve(layer({**SELF_CONTAINED, "baseline": "a", "candidate": len}), file=file)
    assert (alone.baselines["baseline"].name, alone.candidate.name) == ("a", "len")


def test_numbers_and_words_are_quoted_plainly():
    config = marked(margin=2)
    assert config.quoted("margin", beside="margin") == "margin 2"
    assert config.quoted("stage", beside="margin") == "stage accept (default)"


def test_a_path_may_be_a_path_object():
    assert read_as(marked(test_set=Path("t.jsonl")).test_set) == (
        Path("/gates/t.jsonl"),
        None,
        {},
        None,
    )
    assert read_as(marked(test_set={"path": Path("/t")}).test_set) == (Path("/t"), None, {}, None)


class OwnMetric:
    name = "politeness"


def test_python_code_may_give_the_metric_itself():
    def politeness(expected, answer):
        return 0.0

    metric_object = OwnMetric()
    for written, options in (
        (politeness, {"function": politeness}),
        ({"name": politeness, "low": 0}, {"low": 0, "function": politeness}),
        (metric_object, {"function": metric_object}),
    ):
        first, second = marked(metric=["accuracy", written]).metrics
        assert (first.name, second.name, second.options) == ("accuracy", "politeness", options)


def test_objects_stand_only_where_python_code_gives_them():
    error = refusal(layer({**SELF_CONTAINED, "candidate": str.upper}, "ftgate.yaml:3", "file"))
    assert str(error.where) == "ftgate.yaml:3: candidate"
    assert "openai:NAME" in error.what


def test_the_source_of_each_key_is_its_own():
    sources = {"test_set": Source("fixture", "fixture ftgate_test_set", Path("/one"))}
    sources["training_set"] = Source("fixture", "fixture ftgate_training_set", Path("/two"))
    fixtures = Layer({"test_set": "a", "training_set": "b"}, sources)
    config = resolve(fixtures, layer(SELF_CONTAINED))
    assert isinstance(config.test_set, DataKeys)
    assert isinstance(config.training_set, DataKeys)
    assert (config.test_set.path, config.training_set.path) == (Path("/one/a"), Path("/two/b"))


# --- models: every way to write one, and what becomes of it ----------------------------------------------------------


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
        (
            "openai:gpt-4.1-mini",
            "openai",
            {"model": "gpt-4.1-mini"},
            "openai:gpt-4.1-mini",
            "gpt-4.1-mini",
        ),
        ("openai:ft:g:a::1", "openai", {"model": "ft:g:a::1"}, "openai:ft:g:a::1", "ft:g:a::1"),
        ({"provider": "openai", **ASKED}, "openai", ASKED, "openai:m", "m"),
        ("python:pkg.mod:fn", "python", {"target": "pkg.mod:fn"}, "python:pkg.mod:fn", "fn"),
        ({"provider": "python", **TARGET, "timeout_s": 2}, "python", TARGET, "python:m:C.f", "C.f"),
        (
            "recorded:a/ft.jsonl",
            "recorded",
            {"path": Path("/gates/a/ft.jsonl")},
            "recorded:a/ft.jsonl",
            "ft.jsonl",
        ),
        (
            "recorded:/x/../y.jsonl",
            "recorded",
            {"path": Path("/y.jsonl")},
            "recorded:/x/../y.jsonl",
            "y.jsonl",
        ),
        (
            {"provider": "recorded", "path": "ft.jsonl", **RECORDED},
            *(
                "recorded",
                {"path": Path("/gates/ft.jsonl"), **RECORDED},
                "recorded:ft.jsonl",
                "tuned",
            ),
        ),
        ("echo:loud", "echo", {"model": "loud"}, "echo:loud", "loud"),
        ({"provider": "echo"}, "echo", {}, "echo", "echo"),
        ({"provider": "echo", **OWN}, "echo", OWN, "echo:m", "E"),
    ],
)
def test_a_spelling_or_mapping_becomes_a_model(written, provider, options, spelling, name):
    spec = marked(candidate=written).candidate
    assert (spec.provider, spec.options, spec.spelling, spec.name) == (
        provider,
        options,
        spelling,
        name,
    )
    assert spec.source.text == "marker"


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
    ("model", "spelling", "name"),
    [
        (answer, "test_config_resolve.answer", "answer"),
        (functools.partial(answer, shout=True), "test_config_resolve.answer", "answer"),
        (Model().complete, "test_config_resolve.Model.complete", "complete"),
        (Model(), "lab:tiny", "tiny"),
        (Bare(), "test_config_resolve.Bare", "Bare"),
        (str, "builtins.str", "str"),
    ],
)
def test_python_code_may_give_the_model_itself(model, spelling, name):
    spec = marked(candidate=model).candidate
    assert (spec.provider, spec.options["function"], spec.spelling, spec.name) == (
        "callable",
        model,
        spelling,
        name,
    )


def test_a_number_that_is_too_large_for_a_float_is_refused():
    """What else is no model: tests/messages."""
    written = {"provider": "openai", "model": "m", "timeout_s": 10**5000}
    error = refusal(layer({**SELF_CONTAINED, "candidate": written}))
    assert error.where.key == "candidate.timeout_s"
    assert "number" in error.what


def test_how_a_model_is_asked_does_not_make_it_another_one():
    bare = {"provider": "transformers", "model": "m"}
    gate = marked(baseline=bare, candidate={**bare, "dtype": "float32", "max_new_tokens": 9})
    assert gate.candidate.identity == gate.baselines["baseline"].identity


def test_paths_of_judged_metrics_are_relative_to_the_place():
    labels = {"path": "labels.csv", "min_kappa": 0.6}
    by_model = {
        "name": "preference",
        "judge": "openai:m",
        "rubric_file": "kind.md",
        "calibration": labels,
    }
    first, second = marked(
        metric=[by_model, {"name": "human_preference", "path": "prefs.csv"}]
    ).metrics
    assert (first.options["rubric_file"], second.options["path"]) == (
        Path("/gates/kind.md"),
        Path("/gates/prefs.csv"),
    )
    assert first.options["calibration"].path == Path("/gates/labels.csv")


def test_a_wrong_item_of_a_list_is_one_problem():
    """Pydantic also says that a list whose items are all wrong is too short."""
    error = refusal(layer({**SELF_CONTAINED, "slices": [5]}))
    assert [problem.where.key for problem in error.problems] == ["slices.fields[0]"]
    assert refusal(layer({**SELF_CONTAINED, "slices": []})).where.key == "slices.fields"


@pytest.mark.parametrize("key", ["few_shot", "retrieval"])
def test_a_count_of_zero_is_as_if_it_were_not_written(key):
    model = {"provider": "openai", "model": "m"}
    assert key not in marked(candidate={**model, key: 0}).candidate.options
    assert marked(candidate={**model, key: 1}).candidate.options[key] == 1


@pytest.mark.parametrize(
    ("extra_keys", "keys", "is_left_open"),
    [({}, {"cheaper_by": 5}, False), ({"prompt": "recorded:live.jsonl"}, {}, True)],
)
def test_a_gate_of_the_file_leaves_its_margin_to_markers_if_a_baseline_needs_it(
    folder, extra_keys, keys, is_left_open
):
    champion = {"model": "recorded:base.jsonl", "max_drop": 0.02}
    gate = {"baselines": {"champion": champion, **extra_keys}, **keys}
    path = folder / "ftgate.yaml"
    path.write_text(json.dumps({"version": 1, "gates": {"intents": gate}}), encoding="utf-8")
    config = as_written(load_gate_file(path), "intents")
    assert (config.sources.get("margin") == LEFT_OPEN) is is_left_open


class Forest:
    """What scikit-learn's models look like."""

    name = "forest"

    def predict(self, texts):
        return texts


def test_a_model_keeps_its_own_name_and_an_object_goes_by_that_of_the_gate():
    keys = {key: value for key, value in SELF_CONTAINED.items() if key != "baseline"}
    config = resolve(
        layer({**keys, "baselines": {"own": Model(), "trees": Forest()}, "candidate": Forest()})
    )
    assert [model.name for model in config.baselines.values()] == ["tiny", "trees"]
    assert config.candidate.name == "forest"


def test_a_pipeline_goes_by_its_last_step():
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression())
    assert resolve(layer({**SELF_CONTAINED, "candidate": pipeline})).candidate.name == (
        "LogisticRegression"
    )


def test_rows_may_be_given_with_their_keys_but_without_a_format():
    rows = [{"q": "a", "expected": "b"}]
    config = marked(test_set={"path": rows, "fields": {"input": "q"}, "limit": 1})
    assert (config.test_set.rows, config.test_set.limit, str(config.test_set)) == (
        rows,
        1,
        "an iterable",
    )
    error = refusal(layer({**SELF_CONTAINED, "test_set": {"path": rows, "format": "csv"}}))
    assert error.where.key == "test_set.format"


def test_a_gate_that_is_not_in_the_file_is_told_those_that_are(load):
    with pytest.raises(ConfigError, match="its gates are: orders, refunds"):
        load("version: 1\ngates: {orders: {margin: 0}, refunds: {margin: 0}}").layers("intents")
    with pytest.raises(ConfigError, match="did you mean 'orders'"):
        load("version: 1\ngates: {orders: {margin: 0}}").layers("order")
    with pytest.raises(ConfigError, match="its gates are: none"):
        load("version: 1\n").layers("intents")


def test_the_place_of_a_key_is_its_own_line_or_that_of_the_value_around_it(load):
    file = load(FILE)
    config = resolve(*file.layers("intents"), file=file, gate="intents")
    places = {
        "margin": "ftgate.yaml:12",
        "thresholds.accuracy.min": "ftgate.yaml:15",
        "training_set.limit": "ftgate.yaml:7",
        "evidence": "",
        "f1_macro.judge": "",
    }
    assert {key: config.place_of(key) for key in places} == places


def test_a_gate_of_agreement_alone_requires_no_gain_over_a_baseline_of_another_name():
    keys = {
        key: value for key, value in SELF_CONTAINED.items() if key not in ("baseline", "margin")
    }
    copied = {
        "baselines": {"live": "recorded:live.jsonl"},
        "agreement": {"with": "live", "min": 0.98},
    }
    agreement = resolve(layer({**keys, **copied}))
    assert weakenings(marked(), agreement)["agreement"] == "margin 0.05 -> agreement"
    assert "margin" not in weakenings(agreement, marked())


def test_a_gate_of_agreement_may_leave_its_baseline_to_a_fixture(load):
    file = load("version: 1\ngates: {intents: {agreement: {with: baseline, min: 0.98}}}")
    config = as_written(file, "intents")
    assert (config.asked_by, config.sources["baseline"]) == ("agreement", LEFT_OPEN)
    needed = as_written(load("version: 1\ngates: {intents: {metric: accuracy}}"), "intents")
    assert needed.sources["margin"] == LEFT_OPEN


def test_a_gate_of_agreement_may_leave_the_baseline_that_it_names_to_a_marker(load):
    file = load("version: 1\ngates: {intents: {agreement: {with: prompt, min: 0.98}}}")
    in_file = as_written(file, "intents")
    keys = {**SELF_CONTAINED, "baselines": {"prompt": SELF_CONTAINED["baseline"]}}
    marker = layer({key: value for key, value in keys.items() if key not in ("baseline", "margin")})
    config = resolve_gate(
        [marker, *file.layers("intents")], file=file, gate="intents", default_name="intents"
    )
    assert config.asked_by == "agreement"
    assert weakenings(in_file, config, of_marker=True) == {}


CHAMPION = {"champion": {"model": "recorded:live.jsonl", "max_drop": 0.02}}
NO_MODEL = {"champion": {"model": None, "max_drop": 0.02}}


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        ({"max_drop": 0.02}, "margin", "is set, too"),
        ({"margin": ..., "max_drop": 0.02}, "max_drop", "needs cheaper_by or faster_by"),
        ({"faster_by": 2}, "faster_by", "needs max_drop, and this gate has margin"),
        (
            {"margin": ..., "max_drop": 0.02, "cheaper_by": 2, "evidence": "observed"},
            "evidence",
            "needs evidence: proven",
        ),
        ({"stage": "ready"}, "candidate", "judges no candidate, and this gate names one"),
        ({"baseline": ..., "baselines": CHAMPION}, "margin", "applies to no baseline"),
        ({"baseline": ..., "baselines": NO_MODEL}, "baselines", "no baseline has a model yet"),
        (
            {"agreement": {"with": "live", "min": 0.9}},
            "agreement.with",
            "is no baseline with a model",
        ),
        (
            {
                "baselines": {"p": "x:p", **NO_MODEL},
                "baseline": ...,
                "agreement": {"with": "champion", "min": 0.9},
            },
            "agreement.with",
            "is no baseline with a model",
        ),
        (
            {
                "margin": ...,
                "agreement": {"with": "baseline", "min": 0.9},
                "stage": "ready",
                "candidate": ...,
            },
            "stage",
            "asks for agreement alone",
        ),
    ],
)
def test_keys_that_contradict_each_other(changes, key, words):
    keys = {
        name: value for name, value in {**SELF_CONTAINED, **changes}.items() if value is not ...
    }
    error = refusal(layer(keys))
    assert error.where.key == key
    assert words in error.what
    assert error.cure


@pytest.mark.parametrize(
    ("changes", "evidence", "standard"),
    [
        ({"evidence": "observed"}, "observed", ("margin", 0.05)),
        ({"margin": ..., "max_drop": 0.02, "cheaper_by": 2}, "proven", ("max_drop", -0.02)),
        (
            {"margin": ..., "max_drop": 0.02, "faster_by": 2, "evidence": "proven"},
            "proven",
            ("max_drop", -0.02),
        ),
        (
            {"baseline": ..., "margin": ..., "baselines": CHAMPION, "cheaper_by": 2},
            "proven",
            ("max_drop", -0.02),
        ),
        (
            {"agreement": {"with": "baseline", "min": 0.9}, "margin": ...},
            "significant",
            ("agreement", 0.0),
        ),
    ],
)
def test_what_the_candidate_must_reach(changes, evidence, standard):
    keys = {
        name: value for name, value in {**SELF_CONTAINED, **changes}.items() if value is not ...
    }
    config = resolve(layer(keys))
    required = config.standard_of(next(iter(config.baselines)))
    assert (config.evidence, required.key, required.gain) == (evidence, *standard)
