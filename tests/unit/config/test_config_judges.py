"""How a judged metric is written, and what is said of it where it is written wrong."""

import pytest
import yaml

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
    return caught.value


RUBRIC = {"name": "rubric", "judge": "openai:judge", "rubric": "Is it kind?"}


def test_a_judge_is_a_model_like_any_other(tmp_path):
    (spec,) = resolved(tmp_path, RUBRIC).judges
    assert (spec.provider, spec.spelling, spec.name) == ("openai", "openai:judge", "judge")
    (named,) = resolved(tmp_path, {**RUBRIC, "judge": "referee"}).judges
    assert (named.name, named.options["params"]) == ("referee", {"temperature": 0})
    own = {"provider": "openai", "model": "judge", "base_url": "http://localhost:1/v1"}
    (given,) = resolved(tmp_path, {**RUBRIC, "judge": own}).judges
    assert given.options["base_url"] == "http://localhost:1/v1"


def test_paths_are_relative_to_the_file(tmp_path):
    config = resolved(
        tmp_path,
        [
            {
                "name": "preference",
                "judge": "referee",
                "rubric_file": "kind.md",
                "calibration": {"path": "labels.csv", "min_kappa": 0.6},
            },
            {"name": "human_preference", "path": "prefs.csv"},
        ],
    )
    assert config.metrics[0].options["rubric_file"] == tmp_path / "kind.md"
    assert config.metrics[0].options["calibration"].path == tmp_path / "labels.csv"
    assert config.metrics[1].options["path"] == tmp_path / "prefs.csv"
