"""Every key of a gate that can ask for less, wherever it is written, and its opposite, which is no finding."""

from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from pytest_ftgate.check_names import CHANGEABLE
from pytest_ftgate.config import (
    GateKeys,
    Layer,
    Source,
    as_written,
    load_gate_file,
    model_keys,
    resolve_gate,
    weakenings,
)
from pytest_ftgate.config.keys import comparable
from pytest_ftgate.data import examples_from
from pytest_ftgate.models import Surroundings, build_model

BASE = "{provider: openai, model: mini, system: Answer with one label., params: {temperature: 0}}"
BARE = BASE.replace(", params: {temperature: 0}", "")
GATE = f"""
test_set: {{path: test.jsonl, limit: 100}}
training_set: train.jsonl
baseline: {BASE}
candidate: recorded:ft.jsonl
margin: 0.05
"""
TRAINED, SPEND = (
    "economics.training_cost_usd",
    "economics: {calls_per_month: 1000, max_break_even_days: 30",
)
TOKENS = f"{SPEND}, training_cost_usd: {{usd_per_1m_tokens: 8, epochs: 9}}}}"
CHEAP = f"{SPEND}, candidate_price: {{input_per_1m: 0.3, output_per_1m: 0.3}}}}"
MATCH = "{max_drop: 0.02, cheaper_by: 6}"
GUARD = "{guards: {general: {test_set: general.jsonl, max_drop: 0.03}}}"
JUDGED = "{metric: [accuracy, {name: rubric, judge: 'python:judges:judge', rubric: x}]}"
HELD = JUDGED.replace("x}]", "x, calibration: {path: held.jsonl, min_kappa: 0.8}}]")
OWN = f"{{baselines: {{prompt: 'recorded:prompt.jsonl', live: {BASE}}}}}"
MARGIN = OWN.replace("live: {", "live: {margin: 0.08, model: {").replace("0}}}}", "0}}}}}")
DROP = MARGIN.replace("margin: 0.08", "max_drop: 0.02")
SLICES = "{slices: {fields: [lang]}}"
COPIED = "{baselines: {prompt: 'recorded:base.jsonl', live: {model: 'recorded:live.jsonl', max_drop: 0.02}}}"
AGREEMENT = COPIED.replace("}}}", "}}, agreement: {with: live, min: 0.98}}")
ALONE = "{margin: null, agreement: {with: baseline, min: 0.98}}"
AGREED = AGREEMENT.replace(
    "{model: 'recorded:live.jsonl', max_drop: 0.02}", "'recorded:live.jsonl'"
)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def written(text, place="gates"):
    """Return a gate of a file with these keys in the gate or in ``defaults``, and all others in the gate."""
    keys = yaml.safe_load(text) or {}
    gone = {"margin"} if "max_drop" in keys else {"baseline"} if "baselines" in keys else set()
    unchanged = {
        key: value for key, value in yaml.safe_load(GATE).items() if key not in {*keys, *gone}
    }
    set_keys = {key: value for key, value in keys.items() if value is not None}
    tree = {"version": 1, "defaults": set_keys if place == "defaults" else {}}
    tree["gates"] = {"g": {**unchanged, **(set_keys if place == "gates" else {})}}
    return as_written(load_gate_file(Path("ftgate.yaml"), yaml.safe_dump(tree).encode()), "g")


def found(base_keys, head_keys):
    return [
        f"{key}: {values}"
        for key, values in weakenings(written(base_keys), written(head_keys)).items()
    ]


def levels(name):
    default = CHANGEABLE[name].default
    told, less = (
        ("fail above a limit" if default == "limit" else default),
        "ignore" if default == "warn" else "warn",
    )
    return "", f"checks: {{{name}: {less}}}", f"checks.{name}: {told} -> {less}"


def spent(**facts):
    return f"{SPEND}{''.join(f', {key}: {value}' for key, value in facts.items())}}}"


ONE_WAY = [  # keys before, those after, and what is found
    *(("margin: 0.05", f"margin: {less}", f"margin: 0.05 -> {less}") for less in ("0.049999999", "0")),
    ("confidence: 0.99", "confidence: 0.95", "confidence: 0.99 -> 0.95"),
    ("", "min_training_examples: 199", "min_training_examples: 200 -> 199"),
    ("min_test_examples: 1234567", "", "min_test_examples: 1234567 -> 50"),
    ("", "evidence: observed", "evidence: significant -> observed"),
    ("evidence: proven", "", "evidence: proven -> significant"),
    ("", "missing_answers: wrong", "missing_answers: error -> wrong"),
    ("", "{stage: ready, candidate: null}", "stage: accept -> ready"),
    ("goal: knowledge", "", "goal: knowledge -> removed"),
    ("goal: knowledge", "goal: style", "goal: knowledge -> style"),
    ("", "goal: format", "goal: not given -> format"),  # for which form is no flaw
    ("repeats: 3", "repeats: 2", "repeats: 3 -> 2"),
    ("max_attempts: 2", "max_attempts: 3", "max_attempts: 2 -> 3"),
    ("max_attempts: 2", "", "max_attempts: 2 -> removed"),
    ("max_age_days: 90", "max_age_days: 90.5", "max_age_days: 90 -> 90.5"),
    ("", "training_set: {path: train.jsonl, limit: 200}", "training_set.limit: all rows -> 200"),
    ("", "training_set: {path: train.jsonl, max_tokens: 100000}", "training_set.max_tokens: 65536 -> 100000"),
    ("test_set: test.jsonl", "", "test_set.limit: all rows -> 100"),
    ("", "test_set: {path: test.jsonl, limit: 99}", "test_set.limit: 100 -> 99"),
    ("training_set: {path: train.jsonl, turns: each}", "", "training_set.turns: each -> last"),
    (HELD, HELD.replace("0.8", "0.2"), "rubric.calibration.min_kappa: 0.8 -> 0.2"),
    (HELD, JUDGED, "rubric.calibration: held.jsonl -> removed"),
    (spent(), "", "economics: given -> removed"),
    (spent(), spent().replace("1000", "9000"), "economics.calls_per_month: 1000 -> 9000"),
    (spent(), spent().replace(": 30", ": 31"), "economics.max_break_even_days: 30 -> 31"),
    (spent(iterations=3), spent(), "economics.iterations: 3 -> 1"),
    *((spent(**{key: 100}), spent(**{key: 1}), f"economics.{key}: 100 -> 1") for key in
      ("training_cost_usd", "data_cost_usd", "hosting_usd_per_month", "retrains_per_year")),
    (TOKENS, TOKENS.replace("s: 9", "s: 2"), f"{TRAINED}: 8 per 1M tokens x 9 epochs -> 8 per 1M tokens x 2 epochs"),
    *((CHEAP.replace(f"{key}: 0.3", f"{key}: 0.5"), CHEAP, f"economics.candidate_price.{key}: 0.5 -> 0.3") for key in
      ("input_per_1m", "output_per_1m")),
    ("checks: {leaked: warn}", "checks: {leaked: ignore}", "checks.leaked: warn -> ignore"),
    ("checks: {conflicts: fail}", "", "checks.conflicts: fail -> fail above a limit"),
    ("thresholds: {accuracy: {min: 0.8}}", "", "thresholds.accuracy: given -> removed"),
    *((f"thresholds: {{accuracy: {{{old}}}}}", f"thresholds: {{accuracy: {{{new}}}}}", f"thresholds.accuracy.{change}")
      for old, new, change in (("min: 0.8", "min: 0.7", "min: 0.8 -> 0.7"), ("max: 0.8", "max: 0.9", "max: 0.8 -> 0.9"),
                             ("min: 0.2, max: 0.8", "min: 0.2", "max: 0.8 -> removed"))),
    (MATCH, MATCH.replace("0.02", "0.021"), "max_drop: 0.02 -> 0.021"),
    (MATCH, MATCH.replace("6", "5.9"), "cheaper_by: 6 -> 5.9"),
    *((MATCH.replace("}", ", faster_by: 2}"), MATCH.replace("}", f"{new}}}"), f"faster_by: 2 -> {change}")
      for new, change in (("", "removed"), (", faster_by: 1.5", "1.5"))),
    (OWN, f"baselines: {{live: {BASE}}}", "baselines.prompt: recorded:prompt.jsonl -> removed"),
    (MARGIN, MARGIN.replace("0.08", "0.06"), "baselines.live.margin: 0.08 -> 0.06"),
    (MARGIN, OWN, "margin: 0.08 -> 0.05"),
    (DROP, DROP.replace("0.02", "0.04"), "baselines.live.max_drop: 0.02 -> 0.04"),
    (MARGIN, DROP, "baselines.live.max_drop: margin 0.08 -> max_drop 0.02"),
    (GUARD, "", "guards.general: given -> removed"),
    (GUARD, GUARD.replace("0.03", "0.04"), "guards.general.max_drop: 0.03 -> 0.04"),
    (GUARD, GUARD.replace("general.jsonl", "{path: general.jsonl, limit: 99}"),
     "guards.general.test_set.limit: all rows -> 99"),
    (SLICES, "", "slices: given -> removed"),
    (SLICES.replace("lang", "lang, area"), SLICES, "slices.fields: lang, area -> lang"),
    (SLICES, SLICES.replace("]", "], max_drop: 0.05"), "slices.max_drop: 0.03 -> 0.05"),
    (AGREEMENT, COPIED, "agreement: given -> removed"),
    (AGREEMENT, AGREEMENT.replace("0.98", "0.9"), "agreement.min: 0.98 -> 0.9"),
    *map(levels, CHANGEABLE),
]  # fmt: skip


@pytest.mark.parametrize(
    ("base_keys", "head_keys", "change"), ONE_WAY, ids=[told for *_, told in ONE_WAY]
)
def test_asking_for_less_is_found_and_asking_for_more_is_not(base_keys, head_keys, change):
    assert found(head_keys, base_keys) == []
    for place in ("gates", "defaults"):
        old, new = written(base_keys, place), written(head_keys, place)
        ((key, values),) = weakenings(old, new).items()
        assert f"{key}: {values}" == change
        assert (new.place_of(key) or old.place_of(key)).startswith("ftgate.yaml:")


def with_direction(keys=GateKeys, prefix=""):
    """Yield the paths of all keys with a direction, also those inside of others."""
    yield from (prefix + key for key in comparable(keys))
    for name, info in keys.model_fields.items():
        for part in parts(info.annotation):
            yield from with_direction(part, f"{prefix}{name}.")


def parts(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from parts(inner)


def test_no_key_is_left_out():
    """A new key is put here only where two of its values cannot be compared, or it is compared by its parts."""
    declared = list(with_direction())
    assert len(declared) > 20
    changes = [one.partition(":")[0].split(".") for *_, one in ONE_WAY]
    for key in declared:
        first, last = key.split(".")[0], key.split(".")[-1]
        assert any((one[0], one[-1]) == (first, last) for one in changes), key
    others = {"name", "test_set", "training_set", "baseline", "baselines", "candidate"}
    others |= {
        "candidate_half",
        "unlabeled_set",
        "metric",
        "thresholds",
        "economics",
        "checks",
        "guards",
        "slices",
        "agreement",
        "timeout_s",
        "hypothesis",
        "goal",
    }
    assert set(GateKeys.model_fields) - set(comparable(GateKeys)) == others


STEPS = (
    "{metric: [accuracy, {name: f1_macro, normalize: [case]}], thresholds: {f1_macro: {min: 0.8}}}"
)
PEOPLE = "{metric: {name: human_preference, path: prefs.csv}}"
JUDGE = JUDGED.replace("'python:judges:judge'", BASE)
OTHER = [
    ("", "metric: f1_macro", "metric: accuracy -> f1_macro"),
    ("", "metric: {name: format, allowed: [a, b]}", "metric: accuracy -> format"),
    ("", "metric: {name: accuracy, normalize: [case]}", "metric.normalize: not given -> ['case']"),
    (STEPS, STEPS.replace("case", "case, trim"), "f1_macro.normalize: ['case'] -> ['case', 'trim']"),
    (JUDGED, JUDGED.replace(": x", ": y"), "rubric.rubric: x -> y"),
    (JUDGED, JUDGED.replace("python:", "openai:"), "rubric.judge: python:judges:judge -> openai:judges:judge"),
    (JUDGE.replace(BASE, BARE), JUDGE, "rubric.judge.params: not given -> {'temperature': 0}"),
    (HELD, HELD.replace("held", "easy"), "rubric.calibration: held.jsonl -> easy.jsonl"),
    (JUDGED, JUDGED.replace(": x", ": x, scale: [1, 10]"), "rubric.scale: not given -> 1, 10"),
    (PEOPLE, PEOPLE.replace("prefs", "others"), "metric.path: prefs.csv -> others.csv"),
    ("", "test_set: {path: easy.jsonl, limit: 100}", "test_set: test.jsonl -> easy.jsonl"),
    ("", "test_set: {path: test.jsonl, limit: 100, fields: {expected: guess}}",
     "test_set.fields: not given -> {'expected': 'guess'}"),
    ("", "test_set: {path: test.jsonl, limit: 100, format: csv}", "test_set.format: not given -> csv"),
    ("", "training_set: {path: train.jsonl, format: csv}", "training_set.format: not given -> csv"),
    ("", "baseline: recorded:weak.jsonl", "baseline: openai:mini -> recorded:weak.jsonl"),
    ("", f"baseline: {BASE.replace('Answer with one label.', 'x')}", "baseline.system: Answer with one label. -> x"),
    ("", f"baseline: {BARE}", "baseline.params: {'temperature': 0} -> removed"),
    ("", f"baseline: {BASE.replace('params', 'few_shot: 2, params')}", "baseline.few_shot: not given -> 2"),
    (GUARD, GUARD.replace("0.03", "0.03, metric: f1_macro"), "guards.general.metric: accuracy -> f1_macro"),
    (GUARD, GUARD.replace("general.j", "easy.j"), "guards.general.test_set: general.jsonl -> easy.jsonl"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("base_keys", "head_keys", "changes"), OTHER, ids=[told for *_, told in OTHER]
)
def test_what_cannot_be_compared_is_found_both_ways(base_keys, head_keys, changes):
    assert found(base_keys, head_keys) == [changes]
    assert len(found(head_keys, base_keys)) == 1


KEPT = f"{{max_drop: 0.02, cheaper_by: 6, {GUARD[1:-1]}, {SLICES[1:-1]}}}"
AMONG = [  # what is found, and the other way round
    # what is judged may change, and a gate may ask for more
    *(("", after, [], []) for after in (
        "", "candidate: recorded:other.jsonl", "training_set: more.jsonl", "hypothesis: It rises.", "name: another",
        "hypothesis: {from: 0.8, to: 0.9}", "goal: style", "metric: [accuracy, f1_macro]",
        f"baseline: {BASE[:-1]}, concurrency: 1, timeout_s: 9, retries: 0, name: m, api_key_env: KEY, "
        "requests_per_minute: 9, latency_sample: 5}",
        f"baseline: {BASE[:-1]}, price: {{input_per_1m: 1}}}}", f"baselines: {{base: {BASE}}}",
        f"baselines: {{prompted: {BASE}, more: 'recorded:more.jsonl'}}",
        f"baselines: {{base: {BASE}, easy: {{model: {BASE}, margin: 0.01}}}}",
    )),
    (f"baseline: {BARE}", f"baselines: {{base: {BARE[:-1]}, params: {{}}}}}}", [], []),
    # facts of the economics decide only with a limit
    (*(f"economics: {{calls_per_month: 9, training_cost_usd: {cost}}}" for cost in (100, 10)), [], []),
    (spent(training_cost_usd=100), TOKENS, [f"{TRAINED}: 100 ->"], [f"{TRAINED}: 8 per 1M tokens x 9 epochs ->"]),
    # with max_drop guards and slices are promises too; a margin asks for more, and for no lower cost
    (KEPT, KEPT.replace("0.03", "0.1").replace("0.02", "0.01"), ["guards.general.max_drop: 0.03 ->"], ["max_drop: 0."]),
    ("", MATCH, ["max_drop: margin 0.05 -> max_drop 0.02"], ["cheaper_by: 6 -> removed"]),
    ("goal: style", "goal: cost", [], []),
    # what the file leaves to the test is no finding until it does
    ("", "{baseline: null, margin: null, test_set: null}",
     ["baseline: openai:mini -> removed", "margin: 0.05 -> removed", "test_set: test.jsonl -> removed"], []),
    ("margin: 0", "{margin: null}", ["margin: 0 -> removed"], []),
    # an agreement limits no loss of its baseline
    ("margin: 0", ALONE, ["agreement: margin 0 -> agreement"], ["agreement: given -> removed"]),
    (COPIED, AGREED, ["agreement: max_drop 0.02 -> agreement"], ["agreement: given -> removed"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("base_keys", "head_keys", "changes", "backwards"), AMONG, ids=range(len(AMONG))
)
def test_keys_that_depend_on_others(base_keys, head_keys, changes, backwards):
    for begins, lines in (
        (changes, found(base_keys, head_keys)),
        (backwards, found(head_keys, base_keys) if changes else []),
    ):
        assert [line.startswith(begin) for begin, line in zip(begins, lines, strict=True)] == [
            True
        ] * len(begins), lines


def marked(**changes):
    values = {**yaml.safe_load(GATE), **changes}
    source = Source("marker", "marker", Path.cwd())
    return resolve_gate(
        [Layer(values, dict.fromkeys(values, source))], file=None, gate=None, default_name="x"
    )


def test_what_only_a_marker_can_give():
    """Examples and functions are another set and model, and so is another training set."""
    changes = {"test_set": iter([("a", "b")]), "baseline": len}
    told = ["baseline: openai:mini -> builtins.len", "test_set: test.jsonl -> a Python object"]
    assert [
        f"{key}: {values}" for key, values in weakenings(marked(), marked(**changes)).items()
    ] == told
    assert weakenings(marked(**changes), marked(**changes)) == {}
    assert list(weakenings(marked(), marked(training_set="other.jsonl"), of_marker=True)) == [
        "training_set"
    ]


VALUES = {  # of each key of a model at an endpoint, another one than the usual
    "model": "other", "base_url": "https://example.org/v1", "api_key_env": "KEY", "system": "x", "few_shot": 1,
    "retrieval": 1, "template": "Say {input}", "params": {"seed": 1}, "concurrency": 2, "timeout_s": 1.0, "retries": 1,
    "requests_per_minute": 1.0, "latency_sample": 1, "revision": "2", "served_as": "x",
    "price": {"input_per_1m": 1.0}, "strip_reasoning": False, "name": "x",
}  # fmt: skip


def test_a_key_that_does_not_count_is_in_no_key_of_stored_answers():
    """What may change an answer counts; two further keys say which answers are taken, and how they are read."""
    assert {*VALUES, "provider", "system_file"} == set(model_keys.OpenAIKeys.model_fields)
    training = examples_from(
        [{"input": f"question {i}", "expected": "a"} for i in range(3)], origin="x"
    )
    example = training.examples[0]

    def key(**changes):
        baseline = yaml.safe_dump({"baseline": {"provider": "openai", "model": "m", **changes}})
        return build_model(written(baseline).baselines["baseline"], Surroundings(training)).key(
            example
        )

    unchanged = {name for name, value in VALUES.items() if key(**{name: value}) == key()}
    counted = {"served_as", "strip_reasoning"}
    assert unchanged == counted | set(model_keys.UNCOUNTED) & set(VALUES)
