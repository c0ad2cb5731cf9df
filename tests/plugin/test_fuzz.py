"""Any input ends in a verdict or in an error of ours, and no verdict is greener than the rule in its plainest form."""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_ftgate.config import DataKeys, Layer, Source, load_gate_file
from pytest_ftgate.data import DataSet, load_examples
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gate.run import judge_gate
from pytest_ftgate.gate.state import Services
from pytest_ftgate.plugin.layers import Layers
from pytest_ftgate.plugin.markers import Level
from pytest_ftgate.result import GateResult
from pytest_ftgate.runs.jobs import Stores
from pytest_ftgate.runs.store import Store

TIMES = int(os.environ.get("FUZZ_TIMES", "1"))
"""How many times the usual number of inputs is tried."""

LABELS = ("refund", "invoice", "shipping")
GATE = """version: 1
defaults: {confidence: 0.9}
gates:
  support:
    test_set: test.jsonl
    training_set: train.jsonl
    baseline: recorded:base.jsonl
    candidate: recorded:ft.jsonl
    margin: 0.05
    evidence: observed
    min_test_examples: 8
    min_training_examples: 6
    checks: {weak_baseline: warn}
"""
outcomes: Counter[str] = Counter()


def fuzzed(examples: int) -> Callable[[Any], Any]:
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=examples * TIMES, deadline=None, suppress_health_check=slow)


# --- a project as bytes, and what becomes of it --------------------------------------------------------------


def lines(rows: list[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def project(n: int = 12) -> dict[str, bytes]:
    """Return files of a green gate: the baseline has the last third wrong, the candidate one example."""
    label = [LABELS[i % 3] for i in range(n)]
    base = [label[i] if 3 * i < 2 * n else LABELS[(i + 1) % 3] for i in range(n)]
    lessons = [{"input": f"lesson {i}", "expected": LABELS[i % 3]} for i in range(9)]
    files = recorded(label, base=base, ft=["none", *label[1:]])
    return {"ftgate.yaml": GATE.encode(), **files, "train.jsonl": lines(lessons)}


def recorded(gold: list[str], **models: list[str]) -> dict[str, bytes]:
    """Return a test set with these outputs, and what the models answer."""
    tests = [
        {"id": f"t{i}", "input": f"question {i}", "expected": label} for i, label in enumerate(gold)
    ]
    recordings = (
        (name, [{"id": f"t{i}", "output": text} for i, text in enumerate(texts)])
        for name, texts in models.items()
    )
    return {
        "test.jsonl": lines(tests),
        **{f"{name}.jsonl": lines(rows) for name, rows in recordings},
    }


def judged(
    files: Mapping[str, bytes],
    marked: Mapping[str, Any] | None = None,
    fixtures: Mapping[str, str] | None = None,
) -> GateResult | FtgateError:
    """Return the result of the gate ``support``, or our own error; any other exception goes its way.

    Args:
        files: the project.
        marked: keys of the marker.
        fixtures: by role, the file of recorded answers that a callable from a fixture gives.
    """
    with tempfile.TemporaryDirectory() as name, closing(Store(None)) as store:
        folder = Path(name)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        models = {role: _answering(files, file) for role, file in (fixtures or {}).items()}
        source = Source("fixture", "fixture", folder, place="test_gate.py:4")
        level = Level(folder / "test_gate.py", pytest.mark.ftgate("support", **(marked or {})).mark)
        fixtures_layer = [Layer(models, dict.fromkeys(models, source))] if models else []
        try:
            layers = Layers(
                [level], folder, fixtures_layer, load_gate_file(folder / "ftgate.yaml"), "fuzz"
            )
            gate = judge_gate(
                layers.config, Services(Stores(None, store), _load), nodeid="fuzz"
            ).result
        except FtgateError as error:
            assert str(error).strip()  # noqa: PT017
            outcomes["refused"] += 1
            return error
    assert gate.passed is (gate.verdict == "pass")
    outcomes[gate.verdict] += 1
    json.dumps(gate.to_dict(), allow_nan=False)
    return replace(gate, loosened=tuple(map(str, layers.loosened)))


def _load(source: Any, origin: str, name: str = "", **options: Any) -> DataSet:
    assert isinstance(source, DataKeys)
    return load_examples(
        source.path, format=source.format, fields=source.fields, limit=source.limit, **options
    )


def _answering(files: Mapping[str, bytes], name: str) -> Callable[[str], str]:
    """Return a callable with the recorded answers of a file."""
    answer_of = answers(files[name])
    by_input = {row["input"]: answer_of[row["id"]] for row in rows(files["test.jsonl"])}
    return lambda prompt: by_input[prompt]


# --- the rule in its plainest form ---------------------------------------------------------------------------


class Plain(yaml.SafeLoader):
    """YAML whose ``<<`` and ``=`` are text where they are values: a reason may be written so."""


for tag in ("merge", "value"):
    Plain.add_constructor(f"tag:yaml.org,2002:{tag}", Plain.construct_scalar)


def may_pass(files: Mapping[str, bytes]) -> bool:
    """Return whether the gate could pass at all: counts, leakage, exact accuracy, margin. Knows no more than that."""
    gate = yaml.load(files["ftgate.yaml"].decode("utf-8-sig"), Plain)
    keys = {**gate.get("defaults", {}), **gate["gates"]["support"]}
    margin = Fraction(str(keys["margin"]))
    test, training = rows(files["test.jsonl"]), rows(files["train.jsonl"])
    base, ft = answers(files["base.jsonl"]), answers(files["ft.jsonl"])
    lessons = {
        same(row["input"]) for row in training if row["input"].strip() and text(row["expected"])
    }
    if len(test) < keys.get("min_test_examples", 50) or len(lessons) < keys.get(
        "min_training_examples", 200
    ):
        return False
    if {same(row["input"]) for row in test} & {same(row["input"]) for row in training}:
        return False
    if any(row["id"] not in base or row["id"] not in ft for row in test):
        return False
    triples = [(base[row["id"]], ft[row["id"]], text(row["expected"])) for row in test]
    gain = Fraction(sum((f == gold) - (b == gold) for b, f, gold in triples), len(triples))
    return (gain > 0 if margin == 0 else gain >= margin) and any(b != f for b, f, _ in triples)


def with_ties(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the project with the candidate's answer in place of each answer of the baseline that is no label."""
    labels = {
        text(row["expected"]) for name in ("test.jsonl", "train.jsonl") for row in rows(files[name])
    }
    ft = answers(files["ft.jsonl"])
    base = [row if text(row["output"]) in labels else {**row, "output": ft[row["id"]]}
            for row in rows(files["base.jsonl"])]  # fmt: skip
    return {**files, "base.jsonl": lines(base)}


def rows(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.decode("utf-8-sig").split("\n") if line.strip()]


def answers(content: bytes) -> dict[str, str]:
    return {str(row["id"]): text(row["output"]) for row in rows(content)}


def text(value: Any) -> str:
    written = (
        value
        if isinstance(value, str)
        else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    )
    return written.strip()


def same(text: str) -> str:
    return " ".join(text.casefold().split())


def beats_a_constant(files: Mapping[str, bytes]) -> bool:
    """Return whether the candidate says more than one thing, and is right more often than the most frequent label.

    Where one output is expected everywhere, saying it is perfect, and there is nothing to beat: the weak baseline
    that these gates allow is the one thing wrong there, and the block shows the reason that was given for it.
    """
    gold, ft = (
        {row["id"]: text(row["expected"]) for row in rows(files["test.jsonl"])},
        answers(files["ft.jsonl"]),
    )
    if len(set(gold.values())) == 1:
        return True
    right = sum(ft.get(id_) == label for id_, label in gold.items())
    return len(set(ft.values())) > 1 and right > Counter(gold.values()).most_common(1)[0][1]


def contradicts_itself(files: Mapping[str, bytes]) -> bool:
    """Return whether a lesson stands there with two outputs: of so few rows one is more than a hundredth."""
    taught: dict[str, str] = {}
    lessons = [(same(row["input"]), text(row["expected"])) for row in rows(files["train.jsonl"])]
    return any(
        taught.setdefault(question, answer) != answer
        for question, answer in lessons
        if question and answer
    )


def test_the_unchanged_project_is_green() -> None:
    gate = judged(project())
    assert isinstance(gate, GateResult)
    assert gate.verdict == "pass"
    assert may_pass(project())


# --- the gate file -------------------------------------------------------------------------------------------

ANY_TEXT = st.text(max_size=60)
ANY_BYTES = st.binary(max_size=60)
words = str.split
SCRAPS = st.sampled_from(
    [
        *words(
            "0 1 -1 0.05 1e-2 .nan .inf 3 1e400 010 0x1 999999999999999999999 true yes no ~ null '' [] {} &a *a !x"
        ),
        "<<",
        *(
            '"0.05"',
            "[a, b]",
            "{a: 1}",
            "!!str",
            "- ",
            ": ",
            "# ",
            "? ",
            "| ",
            "> ",
            "---",
            "...",
            "%YAML 1.2",
        ),
        *("\t", "\n", "\r", "\0", "\ufeff", "\ud7ff", "{name: accuracy, normalize: case}"),
        *words(
            "observed significant proven accuracy f1_macro exact_match test.jsonl recorded:ft.jsonl"
        ),
        *words("python:os:getcwd openai:x mine:x"),
        "{path: test.jsonl, limit: 9}",
    ]
)
NAMES = st.sampled_from(
    words(
        "version defaults models gates support test_set training_set baseline baselines candidate metric margin "
        "evidence confidence min_training_examples min_test_examples require show errors repeats hypothesis name goal "
        "margn api_key provider"
    )
)


def nested(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Return any JSON values, or others as leaves."""
    leaves |= st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT
    return st.recursive(
        leaves,
        lambda children: (
            st.lists(children, max_size=3) | st.dictionaries(keys, children, max_size=3)
        ),
        max_leaves=5,
    )


LITERALS, JSON_VALUES = nested(SCRAPS, NAMES | ANY_TEXT), nested(st.none(), ANY_TEXT)


@st.composite
def changed(
    draw: st.DrawFn, content: Any, pieces: Callable[[Any], st.SearchStrategy[Any]], longest: int
) -> Any:
    """Return the content with up to three places replaced by pieces, which are given what stood there."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + longest)))
        content = content[:start] + draw(pieces(content[start:end])) + content[end:]
    return content


@st.composite
def changed_gate(draw: st.DrawFn) -> str:
    """Return the gate with other values under some keys, as a YAML library writes them."""
    gate = yaml.safe_load(GATE)
    places = [gate, gate["defaults"], gate["gates"]["support"]]
    for name, value in draw(st.dictionaries(NAMES, LITERALS, min_size=1, max_size=3)).items():
        draw(st.sampled_from(places))[name] = value
    return yaml.safe_dump(gate, allow_unicode=draw(st.booleans()))


@st.composite
def changed_line(draw: st.DrawFn) -> str:
    """Return the gate with another scrap after one of its colons."""
    written = GATE.split("\n")
    number = draw(st.integers(0, len(written) - 2))
    written[number] = written[number].partition(":")[0] + ": " + draw(SCRAPS)
    return "\n".join(written)


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@fuzzed(200)
@given(ANY_BYTES | ANY_TEXT.map(encoded))
def test_any_bytes_as_gate_file(content: bytes) -> None:
    gate = judged({**project(), "ftgate.yaml": content})
    assert isinstance(gate, FtgateError)


@fuzzed(300)
@given(changed(GATE, lambda _: SCRAPS | ANY_TEXT | NAMES, 20) | changed_gate() | changed_line())
def test_any_change_of_the_gate_file(text: str) -> None:
    files = {**project(), "ftgate.yaml": encoded(text)}
    gate = judged(files)
    if isinstance(gate, GateResult) and gate.passed and "accuracy" in (gate.metric or ""):
        assert may_pass(files)


# --- data files and recordings -------------------------------------------------------------------------------

ROW_KEYS = st.sampled_from(
    ["id", "input", "expected", "output", "group", "messages", "usage", "repeat", "latency_s"]
)
FILES = st.sampled_from(["test.jsonl", "train.jsonl", "base.jsonl", "ft.jsonl"])


@st.composite
def changed_rows(draw: st.DrawFn, content: bytes) -> bytes:
    """Return the file with other values in some rows, rows doubled, left out, or moved."""
    data_rows = rows(content)
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, len(data_rows) - 1))
        data_rows[position] = {
            **data_rows[position],
            draw(ROW_KEYS | ANY_TEXT): draw(JSON_VALUES | st.sampled_from([*LABELS, "question 3"])),
        }
    chosen = draw(st.permutations(data_rows) if draw(st.booleans()) else st.just(data_rows))
    chosen += draw(st.lists(st.sampled_from(data_rows), max_size=2))
    return lines(chosen[draw(st.integers(0, 2)) :])


def change(content: bytes) -> st.SearchStrategy[bytes]:
    """Return the file with places replaced, doubled or removed, or with other rows."""
    return changed(
        content, lambda chunk: ANY_BYTES | st.just(chunk * 2) | st.just(b""), 60
    ) | changed_rows(content)


@fuzzed(150)
@given(FILES, ANY_BYTES | ANY_TEXT.map(encoded) | st.lists(JSON_VALUES, max_size=4).map(
    lambda values: "\n".join(map(json.dumps, values)).encode()
))  # fmt: skip
def test_any_bytes_as_a_data_file(name: str, content: bytes) -> None:
    gate = judged({**project(), name: content})
    assert isinstance(gate, GateResult)
    assert gate.verdict in ("error", "fail")


@fuzzed(250)
@given(st.data())
def test_any_change_of_the_data_files(data: st.DataObject) -> None:
    files = project()
    for name in data.draw(st.sets(FILES, min_size=1, max_size=2)):
        files[name] = data.draw(change(files[name]))
    gate = judged(files)
    assert isinstance(gate, GateResult)
    if gate.passed:
        assert may_pass(files)


# --- sound files: the rule decides alone ---------------------------------------------------------------------


@st.composite
def sound_project(draw: st.DrawFn) -> dict[str, bytes]:
    """Return files without a fault: any number of right and wrong answers, of lessons, and any thresholds."""
    n = draw(st.integers(4, 14))
    gold = draw(st.lists(st.sampled_from(LABELS), min_size=n, max_size=n))
    guesses = st.lists(st.sampled_from((*LABELS, "none")), min_size=n, max_size=n)
    good = st.lists(st.booleans(), min_size=n, max_size=n)
    base, ft = (
        [
            right if is_right else guess
            for right, is_right, guess in zip(gold, draw(good), draw(guesses), strict=True)
        ]
        for _ in range(2)
    )
    lessons = draw(
        st.lists(
            st.tuples(st.integers(0, 9), st.sampled_from((*LABELS, ""))), min_size=1, max_size=12
        )
    )
    lessons[0] = (lessons[0][0], gold[0])  # else the two sets have no label in common
    leak = draw(st.integers(0, 9)) == 0
    keys = {
        "margin": draw(st.sampled_from([0, 0.05, 0.1, 0.25, 0.3, 0.5, 0.0001]) | st.floats(0, 0.9)),
        "min_test_examples": draw(st.integers(0, 14)),
        "min_training_examples": draw(st.integers(0, 8)),
    }
    gate = yaml.safe_load(GATE)
    gate["gates"]["support"] |= keys
    taught = [{"input": f"lesson {i}", "expected": label} for i, label in lessons]
    taught += [{"input": "Question  0", "expected": "refund"}] if leak else []
    return {
        "ftgate.yaml": yaml.safe_dump(gate).encode(),
        **recorded(gold, base=base, ft=ft),
        "train.jsonl": lines(taught),
    }


@fuzzed(200)
@given(sound_project())
def test_of_sound_files_the_verdict_is_that_of_the_rule(files: dict[str, bytes]) -> None:
    gate = judged(files)
    assert isinstance(gate, GateResult)
    holds = may_pass(files) and beats_a_constant(files) and not contradicts_itself(files)
    reference = "pass" if holds and may_pass(with_ties(files)) else "fail"
    expected_verdict = (
        gate.verdict if gate.models_called or gate.verdict != "inconclusive" else reference
    )
    assert expected_verdict == reference, [
        (check.name, check.message) for check in gate.checks if check.status == "fail"
    ]


# --- markers, fixtures and the file together -----------------------------------------------------------------

ORDERED: dict[str, tuple[Any, ...]] = {
    "margin": (0, 0.05, 0.25, 0.5),
    "evidence": ("observed", "significant", "proven"),
    "confidence": (0.6, 0.8, 0.95),
    "min_test_examples": (2, 8, 13),
    "min_training_examples": (1, 5, 9),
}
"""Keys with a direction, and values from the weakest to the strictest."""

THRESHOLDS = st.fixed_dictionaries(
    {}, optional={key: st.sampled_from(values) for key, values in ORDERED.items()}
)
MODELS = st.fixed_dictionaries(
    {},
    optional={
        role: st.sampled_from(["base.jsonl", "ft.jsonl"]) for role in ("baseline", "candidate")
    },
)


@st.composite
def any_places(
    draw: st.DrawFn,
) -> tuple[dict[str, bytes], dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return sound files with their gate in the file, keys of the marker, of fixtures, and all keys, nearest first."""
    files = draw(sound_project())
    written = yaml.safe_load(files["ftgate.yaml"])
    gate = {key: value for key, value in written["gates"]["support"].items() if key not in ORDERED}
    defaults, marked, fixtures = draw(THRESHOLDS), draw(THRESHOLDS), draw(MODELS)
    gate |= draw(THRESHOLDS)
    named = {role: f"recorded:{name}" for role, name in draw(MODELS).items()}
    models = {role: f"recorded:{name}" for role, name in fixtures.items()}
    files["ftgate.yaml"] = yaml.safe_dump(
        {"version": 1, "defaults": defaults, "gates": {"support": gate}}
    ).encode()
    return files, {**marked, **named}, fixtures, {**defaults, **gate, **models, **marked, **named}


@fuzzed(40)
@given(any_places())
def test_the_nearest_place_wins_and_none_loosens_silently(
    drawn: tuple[dict[str, bytes], dict[str, Any], dict[str, Any], dict[str, Any]],
) -> None:
    files, marked, fixtures, merged = drawn
    flat = {
        **files,
        "ftgate.yaml": yaml.safe_dump({"version": 1, "gates": {"support": merged}}).encode(),
    }
    alone, result = judged(flat), judged(files, marked, fixtures)
    if isinstance(alone, FtgateError) or isinstance(result, FtgateError):
        assert type(alone) is type(result), (alone, result)
        return
    assert result.verdict == alone.verdict, [
        (check.name, check.message) for check in (*result.checks, *alone.checks)
    ]
    assert [getattr(result, key) for key in ORDERED if hasattr(result, key)] == [
        getattr(alone, key) for key in ORDERED if hasattr(alone, key)
    ]
    written = yaml.safe_load(files["ftgate.yaml"])
    promised = {**written["defaults"], **written["gates"]["support"]}
    weaker = {
        key
        for key, values in ORDERED.items()
        if key in promised
        and key in marked
        and values.index(marked[key]) < values.index(promised[key])
    }
    if "observed" in (promised.get("evidence"), merged.get("evidence")):
        weaker.discard("confidence")  # it decides nothing there
    loosened = " ".join(result.loosened)
    assert not [key for key in weaker if key not in loosened], (weaker, loosened)
    if not marked and not fixtures:
        assert result.loosened == ()


METRICS = st.sampled_from(
    [
        "accuracy",
        "exact_match",
        "balanced_accuracy",
        "f1_macro",
        "f1_weighted",
        "recall_macro",
        "matthews_corrcoef",
    ]
)


@st.composite
def any_standard(draw: st.DrawFn) -> dict[str, bytes]:
    """Sound files under any metric and standard of evidence, with groups or without, from one example on."""
    files = draw(sound_project())
    gate = yaml.safe_load(files["ftgate.yaml"])
    gate["gates"]["support"] |= {
        "metric": draw(METRICS),
        "evidence": draw(st.sampled_from(["observed", "significant", "proven"])),
        "confidence": draw(st.sampled_from([0.51, 0.6, 0.8, 0.95, 0.9999])),
        "thresholds": draw(
            st.dictionaries(METRICS, st.fixed_dictionaries({"min": st.floats(0, 1)}), max_size=2)
        ),
        "min_test_examples": 1,
    }
    test = rows(files["test.jsonl"])[: draw(st.integers(1, 14))]
    if draw(st.booleans()):
        test = [{**row, "group": draw(st.sampled_from([None, *range(12)]))} for row in test]
    return {**files, "ftgate.yaml": yaml.safe_dump(gate).encode(), "test.jsonl": lines(test)}


@fuzzed(150)
@given(any_standard())
def test_no_metric_and_no_standard_passes_a_gain_below_the_margin(files: dict[str, bytes]) -> None:
    result = judged(files)
    assert isinstance(result, GateResult)
    if not result.passed:
        return
    assert result.gain is not None
    assert result.margin is not None
    assert round(result.gain, 12) >= result.margin
    assert result.gain > 0
    if result.evidence != "observed":
        target = result.margin if result.evidence == "proven" else 0
        assert result.lower_bound is not None
        assert target <= result.lower_bound <= result.gain
    gate = yaml.safe_load(files["ftgate.yaml"])["gates"]["support"]
    limits = gate["thresholds"].items()
    assert all(
        (result.candidate.metrics[name] or 0) >= limit["min"] - 1e-12 for name, limit in limits
    )


def test_the_inputs_were_of_all_kinds() -> None:
    """What was tried was refused, in error, red and green: otherwise the above shows nothing."""
    print(f"inputs by outcome: {dict(outcomes)}")
    if outcomes.total() > 1000:
        assert {"refused", "error", "fail", "pass"} <= outcomes.keys()
        assert outcomes["pass"] > 20
