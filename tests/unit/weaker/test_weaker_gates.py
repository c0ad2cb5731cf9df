"""Every key of a gate that can ask for less, wherever it is written, and its opposite, which is no finding."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from pytest_ftgate.checks.weaker.gates import weakenings
from pytest_ftgate.config import GateFile, GateKeys, Layer, Source, as_written, load_gate_file, resolve_gate
from pytest_ftgate.config.keys import comparable
from pytest_ftgate.config.requirements import CHANGEABLE

BASE = {"provider": "openai", "model": "mini", "system": "Answer with one label.", "params": {"temperature": 0}}
GATE: dict[str, Any] = {
    "test_set": {"path": "test.jsonl", "limit": 100},
    "training_set": "train.jsonl",
    "baseline": BASE,
    "candidate": "recorded:ft.jsonl",
    "margin": 0.05,
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def gate(**changes: Any) -> GateKeys:
    values = {key: value for key, value in {**GATE, **changes}.items() if value is not ...}
    source = Source("marker", "marker", Path.cwd())
    return resolve_gate([Layer(values, dict.fromkeys(values, source))], file=None, gate=None, default_name="x")


def found(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return list(weakenings(gate(**before), gate(**after)).values())


def file(keys: dict[str, Any], place: str = "gates") -> GateFile:
    """Return a gate file with these keys in the gate or in ``defaults``, and all others in the gate."""
    own = {key: value for key, value in keys.items() if value is not ...}
    elsewhere = {key: value for key, value in GATE.items() if key not in keys}
    tree = {"version": 1, "defaults": own if place == "defaults" else {}}
    written = {**tree, "gates": {"g": {**elsewhere, **(own if place == "gates" else {})}}}
    return load_gate_file(Path("ftgate.yaml"), yaml.safe_dump(written).encode())


def bound(**limits: Any) -> dict[str, Any]:
    return {"thresholds": {"accuracy": limits}}


def limits(**given: Any) -> dict[str, Any]:
    return {"economics": {"calls_per_month": 1000, **given}}


def judged(**keys: Any) -> dict[str, Any]:
    metric = {"name": "rubric", "judge": "python:judges:judge", "rubric": "x"}
    return {"metric": ["accuracy", {**metric, **keys}]}


def calibrated(min_kappa: float, path: str = "held.jsonl") -> dict[str, Any]:
    return judged(calibration={"path": path, "min_kappa": min_kappa})


def spent(**facts: Any) -> dict[str, Any]:
    return limits(max_break_even_days=30, **facts)


def by_tokens(epochs: float) -> dict[str, Any]:
    return spent(training_cost_usd={"usd_per_1m_tokens": 8, "epochs": epochs})


def levels(name: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    default = CHANGEABLE[name].default
    told, less = ("fail above a limit" if default == "limit" else default), "ignore" if default == "warn" else "warn"
    return {}, {"checks": {name: less}}, f"checks.{name}: {told} -> {less}"


MATCH: dict[str, Any] = {"margin": ..., "max_drop": 0.02, "cheaper_by": 6}


def guard(**changes: Any) -> dict[str, Any]:
    return {"guards": {"general": {"test_set": "general.jsonl", "max_drop": 0.03, **changes}}}


TRAINED, PRICED = "economics.training_cost_usd", "economics.candidate_price"
CHEAP = {"input_per_1m": 0.3, "output_per_1m": 0.3}
SPENT = ("training_cost_usd", "data_cost_usd", "hosting_usd_per_month", "retrains_per_year")


def sliced(**changes: Any) -> dict[str, Any]:
    return {"slices": {"fields": ["lang"], **changes}}


def standard(**own: float) -> dict[str, Any]:
    """Return the keys of a gate with a baseline that has a standard of its own, beside the prompt."""
    return {
        "baseline": ...,
        "baselines": {"prompt": "recorded:prompt.jsonl", "live": {"model": BASE, **own} if own else BASE},
    }


ONE_WAY: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"margin": 0.05}, {"margin": 0.049999999}, "margin: 0.05 -> 0.049999999"),
    ({"margin": 1}, {"margin": 0}, "margin: 1 -> 0"),
    ({"confidence": 0.99}, {"confidence": 0.95}, "confidence: 0.99 -> 0.95"),
    ({}, {"min_training_examples": 199}, "min_training_examples: 200 -> 199"),
    ({"min_test_examples": 1234567}, {}, "min_test_examples: 1234567 -> 50"),
    ({}, {"evidence": "observed"}, "evidence: significant -> observed"),
    ({"evidence": "proven"}, {}, "evidence: proven -> significant"),
    ({}, {"missing_answers": "wrong"}, "missing_answers: error -> wrong"),
    ({}, {"stage": "ready"}, "stage: accept -> ready"),
    ({"goal": "knowledge"}, {}, "goal: knowledge -> removed"),
    ({"goal": "knowledge"}, {"goal": "style"}, "goal: knowledge -> style"),
    ({"repeats": 3}, {"repeats": 2}, "repeats: 3 -> 2"),
    ({"max_attempts": 2}, {"max_attempts": 3}, "max_attempts: 2 -> 3"),
    ({"max_attempts": 2}, {}, "max_attempts: 2 -> removed"),
    ({}, {"training_set": {"path": "train.jsonl", "limit": 200}}, "training_set.limit: all rows -> 200"),
    (calibrated(0.8), calibrated(0.2), "rubric.calibration.min_kappa: 0.8 -> 0.2"),
    (calibrated(0.8), judged(), "rubric.calibration: held.jsonl -> removed"),
    (spent(), spent(calls_per_month=9000), "economics.calls_per_month: 1000 -> 9000"),
    *((spent(**{key: 100}), spent(**{key: 1}), f"economics.{key}: 100 -> 1") for key in SPENT),
    (by_tokens(3), by_tokens(2), f"{TRAINED}: 8 per 1M tokens x 3 epochs -> 8 per 1M tokens x 2 epochs"),
    *(
        (spent(candidate_price={**CHEAP, key: 0.5}), spent(candidate_price=CHEAP), f"{PRICED}.{key}: 0.5 -> 0.3")
        for key in CHEAP
    ),
    (spent(iterations=3), spent(), "economics.iterations: 3 -> 1"),
    ({"checks": {"leaked": "warn"}}, {"checks": {"leaked": "ignore"}}, "checks.leaked: warn -> ignore"),
    ({"checks": {"conflicts": "fail"}}, {}, "checks.conflicts: fail -> fail above a limit"),
    ({"checks": {"empty_outputs": "fail"}}, {}, "checks.empty_outputs: fail -> warn"),
    (
        {},
        {"training_set": {"path": "train.jsonl", "max_tokens": 100_000}},
        "training_set.max_tokens: 65536 -> 100000",
    ),
    (bound(min=0.8), {}, "thresholds.accuracy: given -> removed"),
    (bound(min=0.8), bound(min=0.7), "thresholds.accuracy.min: 0.8 -> 0.7"),
    (bound(max=0.8), bound(max=0.9), "thresholds.accuracy.max: 0.8 -> 0.9"),
    (bound(min=0.2, max=0.8), bound(min=0.2), "thresholds.accuracy.max: 0.8 -> removed"),
    ({"test_set": {"path": "test.jsonl"}}, {}, "test_set.limit: all rows -> 100"),
    ({}, {"test_set": {"path": "test.jsonl", "limit": 99}}, "test_set.limit: 100 -> 99"),
    (MATCH, {**MATCH, "max_drop": 0.021}, "max_drop: 0.02 -> 0.021"),
    (MATCH, {**MATCH, "cheaper_by": 5.9}, "cheaper_by: 6 -> 5.9"),
    ({**MATCH, "faster_by": 2}, MATCH, "faster_by: 2 -> removed"),
    ({**MATCH, "faster_by": 2}, {**MATCH, "faster_by": 1.5}, "faster_by: 2 -> 1.5"),
    (limits(max_break_even_days=30), {}, "economics: given -> removed"),
    ({"max_age_days": 90}, {"max_age_days": 90.5}, "max_age_days: 90 -> 90.5"),
    ({"max_age_days": 90}, {}, "max_age_days: 90 -> removed"),
    (limits(max_break_even_days=30), limits(max_break_even_days=31), "economics.max_break_even_days: 30 -> 31"),
    (limits(max_break_even_days=99.5), limits(max_break_even_days=100), "economics.max_break_even_days: 99.5 -> 100"),
    (
        {"baseline": ..., "baselines": {"a": "recorded:a.jsonl", "b": BASE}},
        {"baseline": ..., "baselines": {"b": BASE}},
        "baselines.a: recorded:a.jsonl -> removed",
    ),
    (guard(), {}, "guards.general: given -> removed"),
    (guard(), guard(max_drop=0.04), "guards.general.max_drop: 0.03 -> 0.04"),
    (
        guard(),
        guard(test_set={"path": "general.jsonl", "limit": 99}),
        "guards.general.test_set.limit: all rows -> 99",
    ),
    (sliced(), {}, "slices: given -> removed"),
    (sliced(fields=["lang", "area"]), sliced(), "slices.fields: lang, area -> lang"),
    (sliced(), sliced(max_drop=0.05), "slices.max_drop: 0.03 -> 0.05"),
    *map(levels, CHANGEABLE),
    (standard(margin=0.08), standard(margin=0.06), "baselines.live.margin: 0.08 -> 0.06"),
    (standard(margin=0.08), standard(), "margin: 0.08 -> 0.05"),
    (standard(max_drop=0.02), standard(max_drop=0.04), "baselines.live.max_drop: 0.02 -> 0.04"),
    (standard(margin=0.02), standard(max_drop=0.02), "baselines.live.max_drop: margin 0.02 -> max_drop 0.02"),
]


@pytest.mark.parametrize(("before", "after", "told"), ONE_WAY, ids=[told for *_, told in ONE_WAY])
def test_asking_for_less_is_found_and_asking_for_more_is_not(
    before: dict[str, Any], after: dict[str, Any], told: str
) -> None:
    assert found(before, after) == [told]
    assert found(after, before) == []
    for place in ("gates", "defaults"):
        pair = ({key: one.get(key, GATE.get(key, ...)) for key in {**before, **after}} for one in (before, after))
        old, new = (as_written(file(keys, place), "g") for keys in pair)
        ((key, text),) = weakenings(old, new).items()
        assert text == told
        assert (new.place_of(key) or old.place_of(key)).startswith("ftgate.yaml:")


def with_direction(keys: type[BaseModel] = GateKeys, prefix: str = "") -> Iterator[str]:
    """Yield the paths of all keys with a direction, also those inside of others."""
    yield from (prefix + key for key in comparable(keys))
    for name, info in keys.model_fields.items():
        for part in parts(info.annotation):
            yield from with_direction(part, f"{prefix}{name}.")


def parts(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from parts(inner)


def test_no_key_with_a_direction_is_left_out() -> None:
    declared = list(with_direction())
    assert len(declared) > 20
    told = [one.partition(":")[0].split(".") for *_, one in ONE_WAY]
    for key in declared:
        first, last = key.split(".")[0], key.split(".")[-1]
        assert any((one[0], one[-1]) == (first, last) for one in told), key


def test_every_key_of_a_gate_says_how_it_compares_or_is_known_not_to() -> None:
    """A new key is put here only where two of its values cannot be compared, or it is compared by its parts."""
    others = {"name", "test_set", "training_set", "baseline", "baselines", "candidate"}
    others |= {"metric", "thresholds", "economics", "checks", "guards", "slices", "timeout_s", "hypothesis", "goal"}
    assert set(GateKeys.model_fields) - set(comparable(GateKeys)) == others


def normalized(*steps: str) -> dict[str, Any]:
    metric = {"name": "f1_macro", "normalize": list(steps)}
    return {"metric": ["accuracy", metric], "thresholds": {"f1_macro": {"min": 0.8}}}


def other_set(**keys: Any) -> dict[str, Any]:
    return {"test_set": {"path": "test.jsonl", "limit": 100, **keys}}


PEOPLE = {"name": "human_preference", "path": "prefs.csv"}
WITHOUT_PARAMS = {key: value for key, value in BASE.items() if key != "params"}
OTHER: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"metric": "f1_macro"}, "metric: accuracy -> f1_macro"),
    ({}, {"metric": {"name": "format", "allowed": ["a", "b"]}}, "metric: accuracy -> format"),
    ({}, {"metric": {"name": "accuracy", "normalize": ["case"]}}, "metric.normalize: not given -> ['case']"),
    (normalized("case"), normalized("case", "punctuation"), "f1_macro.normalize: ['case'] -> ['case', 'punctuation']"),
    (judged(), judged(rubric="y"), "rubric.rubric: x -> y"),
    (
        judged(rubric="x" * 100 + "y"),
        judged(rubric="x" * 100 + "z"),
        f"rubric.rubric: ...{'x' * 59}y -> ...{'x' * 59}z",
    ),
    (judged(), judged(judge="openai:other"), "rubric.judge: python:judges:judge -> openai:other"),
    (judged(judge=WITHOUT_PARAMS), judged(judge=BASE), "rubric.judge.params: not given -> {'temperature': 0}"),
    (calibrated(0.8), calibrated(0.8, "easy.jsonl"), "rubric.calibration: held.jsonl -> easy.jsonl"),
    (judged(), judged(scale=[1, 10]), "rubric.scale: not given -> 1, 10"),
    ({"metric": PEOPLE}, {"metric": {**PEOPLE, "path": "others.csv"}}, "metric.path: prefs.csv -> others.csv"),
    ({}, other_set(path="easy.jsonl"), "test_set: test.jsonl -> easy.jsonl"),
    ({}, other_set(fields={"expected": "guess"}), "test_set.fields: not given -> {'expected': 'guess'}"),
    ({}, other_set(format="csv"), "test_set.format: not given -> csv"),
    ({}, {"training_set": {"path": "train.jsonl", "format": "csv"}}, "training_set.format: not given -> csv"),
    ({}, {"baseline": "recorded:weak.jsonl"}, "baseline: openai:mini -> recorded:weak.jsonl"),
    ({}, {"baseline": {**BASE, "system": "?"}}, "baseline.system: Answer with one label. -> ?"),
    ({}, {"baseline": WITHOUT_PARAMS}, "baseline.params: {'temperature': 0} -> removed"),
    ({}, {"baseline": {**BASE, "few_shot": 2}}, "baseline.few_shot: not given -> 2"),
    (guard(), guard(metric="f1_macro"), "guards.general.metric: accuracy -> f1_macro"),
    (guard(), guard(test_set="easy.jsonl"), "guards.general.test_set: general.jsonl -> easy.jsonl"),
]


@pytest.mark.parametrize(("before", "after", "told"), OTHER, ids=[told for *_, told in OTHER])
def test_what_cannot_be_compared_is_found_both_ways(before: dict[str, Any], after: dict[str, Any], told: str) -> None:
    assert found(before, after) == [told]
    assert len(found(after, before)) == 1


@pytest.mark.parametrize(
    "after",
    [
        {},
        {"candidate": "recorded:other.jsonl"},
        {"training_set": "more.jsonl"},
        {"hypothesis": "It rises."},
        {"hypothesis": {"from": 0.8, "to": 0.9}},
        {"goal": "style"},
        {"metric": ["accuracy", "f1_macro"]},
        {"name": "another"},
        {"baseline": {**BASE, "concurrency": 1, "timeout_s": 9, "retries": 0, "name": "m", "api_key_env": "KEY"}},
        {"baseline": {**BASE, "price": {"input_per_1m": 1}}},
        {"baseline": ..., "baselines": {"prompted": BASE, "more": "recorded:more.jsonl"}},
        {"baseline": ..., "baselines": {"base": BASE}},
        {"baseline": ..., "baselines": {"base": BASE, "easy": {"model": BASE, "margin": 0.01}}},
    ],
    ids=str,
)
def test_what_is_judged_may_change_and_a_gate_may_ask_for_more(after: dict[str, Any]) -> None:
    assert found({}, after) == []


def priced(dearer: float = 4, cheaper: float = 1, **changes: Any) -> dict[str, Any]:
    baseline = {**BASE, "price": {"input_per_1m": dearer, "output_per_1m": 8}}
    candidate = {"provider": "openai", "model": "ft", "price": {"input_per_1m": cheaper, "output_per_1m": 2}}
    return {**MATCH, "baseline": baseline, "candidate": candidate, **changes}


FASTER, COSTLY = {"cheaper_by": ..., "faster_by": 2}, {"thresholds": {"cost_usd": {"max": 1}}}
BEAT = {"margin": 0, "max_drop": ..., "cheaper_by": ...}
PROMISED = {**MATCH, **guard(), **sliced(max_drop=0.03)}
KEPT = {**MATCH, **guard(max_drop=0.1), **sliced(max_drop=0.05), "max_drop": 0.01}
AMONG: list[tuple[dict[str, Any], dict[str, Any], list[str], list[str]]] = [  # what is found, and the other way round
    # facts of the economics decide only with a limit, prices only where costs are limited
    (limits(training_cost_usd=100), limits(training_cost_usd=10), [], []),
    (spent(training_cost_usd=100), by_tokens(9), [f"{TRAINED}: 100 ->"], [f"{TRAINED}: 8 per 1M tokens x 9 epochs ->"]),
    (priced(), priced(dearer=5), ["baseline.price: "], ["baseline.price: "]),
    (priced(), priced(cheaper=0.5), ["candidate.price: "], ["candidate.price: "]),
    (priced(**FASTER), priced(dearer=5, **FASTER), [], []),
    (priced(**BEAT, **COSTLY), priced(cheaper=0.5, **BEAT, **COSTLY), ["candidate.price: "], ["candidate.price: "]),
    (priced(), priced(candidate="recorded:ft.jsonl"), [], []),
    # with max_drop guards and slices are promises too; a margin asks for more, and for no lower cost
    (PROMISED, KEPT, ["guards.general.max_drop: 0.03 -> 0.1", "slices.max_drop: 0.03 -> 0.05"], ["max_drop: 0.01 ->"]),
    ({}, MATCH, ["max_drop: margin 0.05 -> max_drop 0.02"], ["cheaper_by: 6 -> removed"]),
    # a goal that fine-tuning does not serve, and one for which form is no flaw
    ({"goal": "style"}, {"goal": "cost"}, [], []),
    ({}, {"goal": "format"}, ["goal: not given -> format"], []),
]


@pytest.mark.parametrize(("before", "after", "told", "backwards"), AMONG, ids=range(len(AMONG)))
def test_keys_that_depend_on_others(
    before: dict[str, Any], after: dict[str, Any], told: list[str], backwards: list[str]
) -> None:
    for parts, lines in ((told, found(before, after)), (backwards, found(after, before))):
        assert [line.startswith(part) for part, line in zip(parts, lines, strict=True)] == [True] * len(parts), lines


def test_what_the_file_leaves_to_the_test_is_no_finding_until_it_does() -> None:
    whole, part = as_written(file({}), "g"), as_written(file({"baseline": ..., "margin": ..., "test_set": ...}), "g")
    assert weakenings(part, whole) == weakenings(part, part) == {}
    assert {*weakenings(whole, part).values()} == {
        "baseline: openai:mini -> removed",
        "margin: 0.05 -> removed",
        "test_set: test.jsonl -> removed",
    }


def test_examples_and_functions_given_as_objects_are_another_set_and_model() -> None:
    objects = {"test_set": iter([("a", "b")]), "baseline": len}
    assert found({}, objects) == ["baseline: openai:mini -> builtins.len", "test_set: test.jsonl -> a Python object"]
    assert found(objects, objects) == []


def test_another_training_set_counts_for_a_marker() -> None:
    other = gate(training_set="other.jsonl")
    assert list(weakenings(gate(), other, of_marker=True)) == ["training_set"]
