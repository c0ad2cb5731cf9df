"""What is said of a baseline before any call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate.checks.baseline_quality import params_checks, prompt_checks, same_model_checks, swapped_checks
from pytest_ftgate.config import GateConfig, Layer, Source, resolve_gate
from pytest_ftgate.data import DataSet, examples_from
from pytest_ftgate.models import Surroundings, build_model

SOURCE = Source("marker", "marker", Path())
PLAIN = examples_from([("hello", "a"), ("bye", "b")], origin="test")
BARE = {"provider": "openai", "model": "mini"}
TUNED = {"provider": "openai", "model": "ft:mini:acme::1"}


def config(baseline: Any = BARE, candidate: Any = TUNED, **keys: Any) -> GateConfig:
    values = {"test_set": "t.jsonl", "training_set": "r.jsonl", "candidate": candidate, "margin": 0.0, **keys}
    values |= {} if "baselines" in keys else {"baseline": baseline}
    return resolve_gate([Layer(values, dict.fromkeys(values, SOURCE))], file=None, gate=None, default_name="x")


# --- a prompt ------------------------------------------------------------------------------------------------


def test_a_base_model_without_a_prompt_is_called_out() -> None:
    (found,) = prompt_checks(config(), PLAIN)
    assert (found.name, found.status, found.source) == ("baseline_prompt", "warning", "marker")
    assert found.message == "baseline mini has no prompt: no system message, no template and no few-shot examples"


@pytest.mark.parametrize(
    "prompt",
    [{"system": "Answer."}, {"system_file": "p.md"}, {"few_shot": {"k": 2}}, {"template": "Label: {input}"}],
)
def test_any_prompt_will_do(prompt: dict[str, Any]) -> None:
    assert prompt_checks(config({**BARE, **prompt}), PLAIN) == []


@pytest.mark.parametrize("role", ["system", "developer"])
def test_so_will_one_in_the_data(role: str) -> None:
    messages = [{"role": role, "content": "Answer."}, {"role": "user", "content": "hello"}]
    assert prompt_checks(config(), examples_from([{"input": messages, "expected": "a"}], origin="test")) == []


def test_messages_of_the_user_are_no_prompt() -> None:
    messages = [{"role": "user", "content": "hello"}]
    assert len(prompt_checks(config(), examples_from([{"input": messages, "expected": "a"}], origin="test"))) == 1


def test_only_endpoints_show_their_prompt() -> None:
    assert prompt_checks(config("recorded:base.jsonl"), PLAIN) == []


def test_each_of_several_baselines_is_looked_at() -> None:
    several = {"bare": BARE, "good": {**BARE, "system": "Answer."}, "nano": {**BARE, "model": "nano"}}
    found = prompt_checks(config(baselines=several), PLAIN)
    assert [check.message.split(" has ")[0] for check in found] == ["baseline bare", "baseline nano"]


# --- parameters ----------------------------------------------------------------------------------------------


def weaker(baseline: dict[str, Any], candidate: dict[str, Any]) -> str | None:
    found = params_checks(config({**BARE, "params": baseline}, {**TUNED, "params": candidate}))
    if not found:
        return None
    assert [(check.name, check.status) for check in found] == [("baseline_params", "warning")]
    head, _, told = found[0].message.partition(" than the candidate: ")
    assert head == "baseline mini has weaker parameters"
    return told


JSON = {"type": "json_object"}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x"}}


@pytest.mark.parametrize(
    ("baseline", "candidate", "told"),
    [
        ({"max_tokens": 5}, {"max_tokens": 50}, "max_tokens: 5 against 50"),
        ({"max_tokens": 5}, {}, "max_tokens: 5 against no limit"),
        ({"max_tokens": 5}, {"max_completion_tokens": 6}, "max_tokens: 5 against 6"),
        ({"max_tokens": 9, "max_completion_tokens": 3}, {"max_tokens": 4}, "max_completion_tokens: 3 against 4"),
        ({}, {"response_format": JSON}, "response_format: not set against json_object"),
        ({"response_format": JSON}, {"response_format": SCHEMA}, "response_format: json_object against json_schema"),
        ({}, {"guided_choice": ["a", "b"]}, "guided_choice: not set against ['a', 'b']"),
        ({"temperature": 0.7}, {"temperature": 0}, "temperature: 0.7 against 0"),
        ({}, {"temperature": 0}, "temperature: not set against 0"),
        ({"temperature": 1.5}, {}, "temperature: 1.5 against not set"),
        ({"reasoning_effort": "low"}, {"reasoning_effort": "high"}, "reasoning_effort: low against high"),
        ({"stop": ["\n"]}, {}, "stop: ['\\n'] against not set"),
        (
            {"max_tokens": 1, "temperature": 2},
            {"max_tokens": 2, "temperature": 1},
            "max_tokens: 1 against 2; temperature: 2 against 1",
        ),
    ],
)
def test_a_weaker_parameter_is_called_out_and_its_opposite_is_not(
    baseline: dict[str, Any], candidate: dict[str, Any], told: str
) -> None:
    assert weaker(baseline, candidate) == told
    assert weaker(candidate, baseline) is None


@pytest.mark.parametrize(
    "params",
    [{}, {"temperature": 0}, {"max_tokens": 5, "response_format": JSON}, {"seed": 1}, {"reasoning_effort": "own"}],
)
def test_equal_parameters_are_fair(params: dict[str, Any]) -> None:
    assert weaker(params, params) is None


def test_parameters_that_are_no_numbers_are_left_to_the_endpoint() -> None:
    assert weaker({"max_tokens": "5", "temperature": True}, {"temperature": None}) is None


def test_only_two_endpoints_can_be_compared() -> None:
    assert params_checks(config("recorded:base.jsonl", {**TUNED, "params": {"temperature": 0}})) == []
    assert params_checks(config({**BARE, "params": {"max_tokens": 1}}, "recorded:ft.jsonl")) == []


# --- one model twice, and the two swapped ---------------------------------------------------------------------


def same(config: GateConfig, data: DataSet = PLAIN) -> list[str]:
    specs = {**config.baselines, "candidate": config.candidate}
    models = {role: build_model(spec, Surroundings(data)) for role, spec in specs.items()}
    found = same_model_checks(config, models, data)
    assert {(check.name, check.status) for check in found} <= {("same_model", "fail")}
    return [check.message for check in found]


def test_one_model_under_two_names() -> None:
    named = {**BARE, "name": "our tuned one", "concurrency": 1, "timeout_s": 5, "price": {"input_per_1m": 1}}
    assert same(config(BARE, named)) == ["baseline and candidate are the same model with the same prompt"]
    assert same(config(baselines={"a": TUNED, "b": BARE}, candidate=named)) == [
        "baseline b and candidate are the same model with the same prompt"
    ]


@pytest.mark.parametrize(
    "candidate",
    [
        TUNED,
        {**BARE, "system": "Answer."},
        {**BARE, "params": {"temperature": 0}},
        {**BARE, "few_shot": {"k": 1}},
        {**BARE, "base_url": "http://localhost:1/v1"},
        {**BARE, "revision": "2"},
    ],
)
def test_whatever_can_change_an_answer_makes_another_model(candidate: dict[str, Any]) -> None:
    assert same(config(BARE, candidate)) == []


def test_one_function_twice() -> None:
    def shout(text: str) -> str:
        return text.upper()

    assert len(same(config(shout, shout))) == 1
    assert same(config(shout, lambda text: text.upper())) == []


def test_a_fine_tuned_baseline_of_a_base_model() -> None:
    (found,) = swapped_checks(config(TUNED, BARE))
    assert (found.name, found.status) == ("swapped", "warning")
    assert found.message == "baseline ft:mini:acme::1 is a fine-tuned model (ft:), and candidate mini is not"


@pytest.mark.parametrize(
    ("baseline", "candidate"),
    [(BARE, TUNED), (TUNED, TUNED), (BARE, BARE), (TUNED, "recorded:ft.jsonl"), ("recorded:ft:.jsonl", BARE)],
)
def test_anything_else_may_be_meant(baseline: Any, candidate: Any) -> None:
    assert swapped_checks(config(baseline, candidate)) == []
