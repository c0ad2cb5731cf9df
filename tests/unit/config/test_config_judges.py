"""How a judged metric is written, and what is said of it where it is written wrong."""

import pytest
import yaml

from pytest_ftgate.checks.weakening.comparison import weakenings
from pytest_ftgate.config import load_gate_file, resolve_gate
from pytest_ftgate.errors import ConfigError

GATE = {
    "test_set": "t.jsonl",
    "training_set": "r.jsonl",
    "baseline": "openai:base",
    "candidate": "openai:ft",
    "margin": 0.1,
}


def resolved(tmp_path, metric, **changes):
    path = tmp_path / "ftgate.yaml"
    document = {
        "version": 1,
        "models": {"referee": {"provider": "openai", "model": "judge", "params": {"temperature": 0}}},
        "gates": {"a": {**GATE, "metric": metric, **changes}},
    }
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    file = load_gate_file(path)
    return resolve_gate(file.layers("a"), file=file, gate="a", default_name="a")


def refusal(tmp_path, metric):
    with pytest.raises(ConfigError) as caught:
        resolved(tmp_path, metric)
    return str(caught.value)


RUBRIC = {"name": "rubric", "judge": "openai:judge", "rubric": "Is it kind?"}


def test_a_judge_is_a_model_like_any_other(tmp_path):
    (spec,) = resolved(tmp_path, RUBRIC).judges
    assert (spec.provider, spec.spelling, spec.name) == ("openai", "openai:judge", "judge")
    (named,) = resolved(tmp_path, {**RUBRIC, "judge": "referee"}).judges
    assert (named.name, named.options["params"]) == ("referee", {"temperature": 0})
    own = {"provider": "openai", "model": "judge", "base_url": "http://localhost:1/v1"}
    (given,) = resolved(tmp_path, {**RUBRIC, "judge": own}).judges
    assert given.options["base_url"] == "http://localhost:1/v1"


def test_rubric_and_scale_may_stand_with_the_judge(tmp_path):
    judge = {"model": "referee", "rubric": "Is it kind?", "scale": [0, 10]}
    config = resolved(tmp_path, {"name": "rubric", "judge": judge})
    assert config.metric.options["scale"] == (0, 10)
    assert config.metric.options["rubric"] == "Is it kind?"
    assert config.judges[0].name == "referee"


def test_paths_are_relative_to_the_file(tmp_path):
    config = resolved(
        tmp_path,
        {
            "name": "preference",
            "judge": "referee",
            "rubric_file": "kind.md",
            "calibration": {"path": "labels.csv", "min_kappa": 0.6},
        },
        show=[{"name": "human_preference", "path": "prefs.csv"}],
    )
    assert config.metric.options["rubric_file"] == tmp_path / "kind.md"
    assert config.metric.options["calibration"].path == tmp_path / "labels.csv"
    assert config.show[0].options["path"] == tmp_path / "prefs.csv"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"judge": ...}, "metric.judge: this key is missing"),
        ({"rubric": ...}, "metric.rubric: this key is missing"),
        ({"rubric_file": "x"}, "metric.rubric_file: rubric and rubric_file are both given: keep one"),
        ({"judge": "refere"}, "'refere' is no known model; did you mean 'referee'?"),
        ({"scale": [5, 1]}, "metric.scale: must be the lowest and the highest score, as [1, 5]"),
        ({"scale": [-1e308, 1e308]}, "metric.scale: must lie within 1e+12 of 0, as [1, 5]"),
        ({"scale": [1, 3, 5]}, "metric.scale: must be the lowest and the highest score, as [1, 5]"),
        ({"scales": [1, 5]}, "metric.scales: unknown key; did you mean 'scale'?"),
        ({"calibration": {"path": "x"}}, "metric.calibration.min_kappa: this key is missing"),
        ({"calibration": {"path": "x", "min_kappa": 0}}, "metric.calibration.min_kappa: must be above 0"),
        ({"calibration": {"path": "x", "min_kappa": 2}}, "metric.calibration.min_kappa: must be at most 1"),
        ({"judge": {"model": "referee", "rubric": "x"}}, "metric.judge.rubric: is given twice: keep one"),
        ({"judge": {"model": "judge", "base_url": "http://x"}}, "metric.judge.base_url: unknown key; beside model"),
        ({"api_key": "sk-1"}, "a secret must not be written here"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(tmp_path, changes, text):
    metric = {key: value for key, value in {**RUBRIC, **changes}.items() if value is not ...}
    message = refusal(tmp_path, metric)
    assert text in message
    assert "sk-1" not in message


def told(tmp_path, before, after):
    return [str(one) for one in weakenings(resolved(tmp_path, before), resolved(tmp_path, after))]


HELD = {**RUBRIC, "calibration": {"path": "labels.csv", "min_kappa": 0.6}}


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (RUBRIC, {**RUBRIC, "rubric": "Is it short?"}, ["metric.rubric: Is it kind? -> Is it short?"]),
        (RUBRIC, {**RUBRIC, "judge": "openai:other"}, ["metric.judge: openai:judge -> openai:other"]),
        (
            {**RUBRIC, "judge": "referee"},
            RUBRIC,
            ["metric.judge: openai:judge (params {'temperature': 0}) -> openai:judge (params not given)"],
        ),
        (HELD, RUBRIC, ["metric.calibration.min_kappa: 0.6 -> removed"]),
        (
            HELD,
            {**HELD, "calibration": {"path": "labels.csv", "min_kappa": 0.4}},
            ["metric.calibration.min_kappa: 0.6 -> 0.4"],
        ),
        (HELD, {**HELD, "calibration": {"path": "labels.csv", "min_kappa": 0.8}}, []),
        (RUBRIC, HELD, []),
        (RUBRIC, {**RUBRIC, "scale": [1, 10]}, ["metric: rubric -> rubric (scale=(1.0, 10.0))"]),
        (
            {**RUBRIC, "rubric": "x" * 100 + "y"},
            {**RUBRIC, "rubric": "x" * 100 + "z"},
            ["metric.rubric: 101 characters -> 101 characters, other ones"],
        ),
    ],
)
def test_what_asks_for_less_is_told(tmp_path, before, after, found):
    assert told(tmp_path, before, after) == found


def test_another_file_of_labels_is_told(tmp_path):
    other = {**HELD, "calibration": {"path": "easy.csv", "min_kappa": 0.6}}
    (found,) = told(tmp_path, HELD, other)
    assert found.startswith("metric.calibration.path: ")
    people = {"name": "human_preference", "path": "prefs.csv"}
    assert len(told(tmp_path, people, {**people, "path": "others.csv"})) == 1
