"""field_f1: what counts as right, wrong, missing and invented, and averages by scikit-learn; metrics of tool calls."""

import json
from collections import Counter

import numpy as np
import pytest
from building import build
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from sklearn.preprocessing import MultiLabelBinarizer

from pytest_ftgate.metrics.fields import AVERAGES
from pytest_ftgate.metrics.json_values import JsonRules

KEYS = st.sampled_from(["a", "b", "c", "a.b"])
SCALARS = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2) | st.text("xyX ", max_size=2)
)
NESTED = st.recursive(
    SCALARS, lambda x: st.lists(x, max_size=3) | st.dictionaries(KEYS, x, max_size=3), max_leaves=10
)
OBJECTS = st.dictionaries(KEYS, NESTED, min_size=1, max_size=3)
FLAT = st.dictionaries(
    st.sampled_from("abcdef"), st.sampled_from(["x", "y", 1, 2, True, None]), min_size=1
)
PAIRS = st.lists(st.tuples(FLAT, FLAT | st.just("broken")), min_size=1, max_size=8)
DEEP = "[" * 100_000 + "]" * 100_000


def texts(expected):
    return [value if isinstance(value, str) else json.dumps(value) for value in expected]


def score(name, pairs, **options):
    """Return the scores of one metric: ``score(name, [(expected, answer), ...], **options)``."""
    expected = [pair[0] for pair in pairs]
    answers = [item if isinstance(item, str | None) else json.dumps(item) for _, item in pairs]
    return build(name, texts(expected), **options).score(expected, [answers])


def counts(expected, answer, **options):
    """Return how many values of one answer are right, wrong, missing and invented."""
    scored = score("field_f1", [(expected, answer)], average="micro", **options)
    return tuple(scored.statistic.counts[0].astype(int).tolist())


SETS = {"lists": "set"}
E = {"intent": "light", "slots": {"room": "hall", "level": 3}, "tags": ["a", "b"]}
ITEMS = [{"sku": f"s{i}", "qty": i, "price": 2.5 * i} for i in range(4)]
ORDER = {"items": ITEMS}

COUNTED = [  # expected, answer, options; right, wrong, missing, invented
    (E, E, {}, (5, 0, 0, 0)),
    (E, {"tags": ["a", "b"], "slots": {"level": 3.0, "room": "hall"}, "intent": "light"}, {}, (5, 0, 0, 0)),
    (E, {**E, "intent": "Light"}, {}, (4, 1, 0, 0)),
    (E, {**E, "intent": "light "}, {}, (4, 1, 0, 0)),
    (E, {**E, "slots": {"room": "hall"}}, {}, (4, 0, 1, 0)),
    (E, {**E, "slots": {"room": "hall", "level": 3, "x": 1}}, {}, (5, 0, 0, 1)),
    *((E, {**E, "slots": value}, {}, (3, 0, 2, 1)) for value in ("hall", {})),
    *((E, {**E, "slots": {"room": "hall", "level": value}}, {}, (4, 1, 0, 0)) for value in ("3", True, None)),
    (E, {**E, "tags": ["b", "a"]}, {"lists": "sequence"}, (3, 2, 0, 0)),
    (E, {**E, "tags": ["b", "a"]}, {}, (5, 0, 0, 0)),
    (E, {**E, "tags": ["a"]}, {}, (4, 0, 1, 0)),
    (ORDER, {"items": ITEMS[::-1]}, {}, (12, 0, 0, 0)),
    *((ORDER, {"items": ITEMS[:i] + ITEMS[i + 1 :]}, {}, (9, 0, 3, 0)) for i in range(4)),
    (ORDER, {"items": [{**item, "qty": 9} for item in ITEMS[::-1]]}, {}, (8, 4, 0, 0)),
    (ORDER, {"items": [*ITEMS[1:], {"sku": "z"}]}, {}, (9, 1, 2, 0)),
    (ORDER, {"items": [{"sku": "z"}, *ITEMS]}, {}, (12, 0, 0, 1)),
    (ORDER, {"items": []}, {}, (0, 0, 12, 0)),
    ({"t": [{"n": 1.0}, {"n": 5.0}]}, {"t": [{"n": 5.05}, {"n": 1.05}]}, {"tolerance": 0.1}, (2, 0, 0, 0)),
    ({"o": [{"l": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}, {"l": [{"a": 5}]}]},
     {"o": [{"l": [{"a": 5}]}, {"l": [{"a": 3, "b": 4}, {"a": 1, "b": 0}]}]}, {}, (4, 1, 0, 0)),
    ({"t": [{"n": 1, "x": 1}, {"n": 2, "x": 2}]}, {"t": [{"n": 2, "x": 1}, {"n": 1, "x": 2}]}, {"fields": ["t.n"]},
     (2, 0, 0, 0)),
    (E, {**E, "tags": ["a", "b", "b"]}, {}, (5, 0, 0, 1)),
    *((E, text, {}, (0, 0, 5, 1)) for text in ("{}", "[]", '{"intent": ' + "[" * 90 + "]" * 90 + "}")),
    *((E, text, {}, (0, 0, 5, 0)) for text in (
        *("not json", json.dumps(E) + " done", "So: ```json\n" + json.dumps(E) + "\n```", "", None, DEEP),
        *('{"intent": "light", "intent": "light"}', '{"intent": NaN}'),
    )),
    ({"t": ["a", "b"]}, {"t": ["b", "a"]}, SETS, (2, 0, 0, 0)),
    ({"t": ["a", "b"]}, {"t": ["b", "c"]}, SETS, (1, 0, 1, 1)),
    ({"t": ["a", "a"]}, {"t": ["a"]}, SETS, (1, 0, 1, 0)),
    ({"t": [1, True]}, {"t": [True, 1.0]}, SETS, (2, 0, 0, 0)),
    ({"t": [1, 2]}, {"t": [True, 2]}, SETS, (1, 0, 1, 1)),
    ({"t": [{"n": "x", "k": 1}, {"n": "y"}]}, {"t": [{"n": "y"}, {"k": 1.0, "n": "x"}]}, SETS, (2, 0, 0, 0)),
    ({"t": [{"n": "x", "k": 1}, {"n": "y", "k": 2}]}, {"t": [{"n": "x", "k": 2}, {"n": "y", "k": 1}]}, SETS,
     (0, 0, 2, 2)),
    ({"t": []}, {"t": []}, SETS, (1, 0, 0, 0)),
    ({"t": []}, {"t": ["a"]}, SETS, (0, 0, 0, 1)),
    ({"t": []}, {"t": "a"}, SETS, (0, 1, 0, 0)),
    ({"t": []}, {}, SETS, (0, 0, 1, 1)),
    ({"t": ["a"]}, {"t": "a"}, SETS, (0, 0, 1, 1)),
    ({"t": ["a"]}, {"t": []}, SETS, (0, 0, 1, 0)),
    (["a", "b"], ["b", "a"], SETS, (2, 0, 0, 0)),
    ({"t": ["A", "b"]}, {"t": ["B", "a"]}, {**SETS, "normalize": "case"}, (2, 0, 0, 0)),
    ({"t": [1.0, 2.0]}, {"t": [2.05, 0.95]}, {**SETS, "tolerance": 0.1}, (2, 0, 0, 0)),
    ({"t": [1.0, 1.1, "x"]}, {"t": [1.2, "x", 1.1]}, {**SETS, "tolerance": 0.1}, (3, 0, 0, 0)),
    ({"t": [{"p": 1.0}]}, {"t": [{"p": 1.05}]}, {**SETS, "tolerance": {"t.p": 0.1}}, (1, 0, 0, 0)),
    ({"t": [[1, 2], [3]]}, {"t": [[3], [2, 1]]}, SETS, (2, 0, 0, 0)),
    *(({"t": [item(i) for i in range(n)]}, {"t": [item(i + 0.05) for i in range(n)]}, {**SETS, "tolerance": 0.1},
       (n, 0, 0, 0)) for item, n in ((float, 200), (lambda value: {"n": value}, 60))),
]  # fmt: skip


@pytest.mark.parametrize(("expected", "answer", "options", "four"), COUNTED)
def test_values_are_right_wrong_missing_or_invented(expected, answer, options, four):
    right, wrong, missing, invented = four
    value = 2 * right / (2 * right + 2 * wrong + missing + invented)
    assert counts(expected, answer, **options) == four
    for average in ("micro", "samples"):
        scored = score("field_f1", [(expected, answer)], average=average, **options)
        assert scored.value == pytest.approx(value, abs=1e-15)
        assert (scored.notes[0] is None) is (value == 1)


@pytest.mark.parametrize(
    ("expected", "answer", "tolerance", "right"),
    [
        (1.0, 1.1, 0.1, True),
        (1.0, 1.11, 0.1, False),
        *((3, 4, tolerance, True) for tolerance in ({"x.n": 1}, {"x": 1}, {"*": 1})),
        (3, 4, {"*": 0.5, "x": 0}, False),
        (True, 1, 5, False),
        (10**400, 10**400 + 1, 1, True),
        (1, 10**400, 1, False),
    ],
)
def test_tolerance_is_exact_in_decimals(expected, answer, tolerance, right):
    pair = ({"x": {"n": expected}}, {"x": {"n": answer}})
    assert (score("field_f1", [pair], tolerance=tolerance).value == 1) is right


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=6),
    st.lists(st.integers(0, 9), max_size=6),
    st.integers(1, 3),
)
def test_pairing_within_a_tolerance_is_a_largest_matching(expected, answered, tolerance):
    from scipy.optimize import linear_sum_assignment

    near = np.abs(np.subtract.outer(expected, answered or [99])) <= tolerance
    largest = int(near[linear_sum_assignment(near, maximize=True)].sum())
    for item in (int, lambda n: {"p": n}, lambda n: [n]):
        pair = ({"t": [*map(item, expected)]}, {"t": [*map(item, answered)]})
        assert counts(*pair, lists="set", tolerance=tolerance)[0] == largest


def test_each_value_is_read_a_few_times_however_many_pairs_there_are(monkeypatch):
    calls = Counter()
    key = JsonRules.key

    def counted(*args):
        calls["key"] += 1
        return key(*args)

    monkeypatch.setattr(JsonRules, "key", counted)
    expected, answer = (
        [{f"f{f}": start + i for f in range(8)} for i in range(20)] for start in (0, 50)
    )
    assert counts(expected, answer) == (0, 160, 0, 0)
    assert calls["key"] < 5 * 2 * 160


@pytest.mark.parametrize(
    ("normalize", "value"),
    [([], 0), ("case", 1), ({"name": "case"}, 0.5), ({"*": "case", "code": []}, 0.5)],
)
def test_normalize_of_all_texts_or_field_by_field(normalize, value):
    pair = ({"name": "Anna", "code": "AB"}, {"name": "ANNA", "code": "ab"})
    assert score("field_f1", [pair], normalize=normalize).value == value


ITEM = ({"items": [{"p": 1}, {"p": 2}]}, {"items": [{"p": 1}, {"p": 3}, {"p": 4}]})
FEWER = (E, {"intent": "x", "slots": {"room": "hall", "z": 1}, "y": 2})


@pytest.mark.parametrize(
    ("pair", "fields", "counted"),
    [
        (FEWER, ["intent"], (0, 1, 0, 0)),
        (FEWER, ["slots", "intent"], (1, 1, 1, 1)),
        (FEWER, ["slots.room", "slots"], (1, 0, 1, 1)),
        (FEWER, ["slots.room"], (1, 0, 0, 0)),
        (ITEM, ["items.p"], (1, 1, 0, 1)),
        (ITEM, None, (1, 1, 0, 1)),
    ],
)
def test_only_values_of_declared_fields_are_counted(pair, fields, counted):
    assert counts(*pair, **({} if fields is None else {"fields": fields})) == counted


def test_an_example_without_any_field():
    pairs = [({"a": 1}, {"a": 1}), ({"b": 1}, {"b": 2}), ({"b": 1}, "broken"), ({"b": 1}, {"a": 5})]
    scored = score("field_f1", pairs, fields=["a"], average="samples")
    assert scored.per_example.tolist() == [1, 1, 0, 0]
    assert scored.notes[1] is None
    pooled = score("field_f1", pairs, fields=["a"], average="micro").statistic
    assert pooled.counts.tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]]


@given(PAIRS)
def test_f1_is_scikit_learns_of_pairs_of_field_and_value(pairs):
    def flat(value):
        return (
            [] if isinstance(value, str) else [(k, type(v).__name__, v) for k, v in value.items()]
        )

    sets = [[flat(pair[i]) for pair in pairs] for i in (0, 1)]
    binarizer = MultiLabelBinarizer().fit([*sets[0], *sets[1]])

    def theirs(average):
        """Return F1, with two empty columns added: one column alone is no multilabel matrix."""
        matrices = (np.pad(binarizer.transform(labels), ((0, 0), (0, 2))) for labels in sets)
        return f1_score(*matrices, average=average, zero_division=0)

    for average in ("micro", "samples"):
        assert score("field_f1", pairs, average=average).value == pytest.approx(
            theirs(average), abs=1e-12
        )


@given(
    st.lists(st.tuples(OBJECTS, OBJECTS), min_size=1, max_size=5),
    st.sampled_from(["match", "sequence", "set"]),
)
def test_scores_lie_between_0_and_1_and_pooled_counts_add_up(pairs, lists):
    per_example = score("field_f1", pairs, lists=lists).per_example
    scored = score("field_f1", pairs, average="micro", lists=lists)
    pooled = scored.statistic
    assert 0 <= scored.value <= 1
    assert ((per_example >= 0) & (per_example <= 1)).all()
    assert (pooled.scores == per_example).all()
    assert pooled.statistic(pooled.perfect.sum(axis=0)[None])[0] == 1
    assert pooled.statistic(pooled.lost.sum(axis=0)[None])[0] == 0


@given(OBJECTS, OBJECTS)
def test_f1_is_1_where_all_is_equal_and_nowhere_else(expected, answer):
    for average in ("micro", "samples"):
        value = score("field_f1", [(expected, answer)], lists="sequence", average=average).value
        assert (value == 1) is (score("exact_match", [(expected, answer)]).value == 1)


def reordered(value, lists):
    if isinstance(value, dict):
        return {key: reordered(value[key], lists) for key in reversed(value)}
    if isinstance(value, list):
        return [reordered(item, lists) for item in (reversed(value) if lists else value)]
    return value


@given(OBJECTS, OBJECTS)
def test_paired_items_score_1_in_any_order_and_never_less_than_by_position(expected, answer):
    assert score("field_f1", [(expected, reordered(expected, True))]).value == 1
    by_position = score("field_f1", [(expected, answer)], lists="sequence").value
    assert score("field_f1", [(expected, answer)]).value >= by_position - 1e-12


def test_repeats_are_pooled_or_averaged():
    expected = [{"a": 1}, {"a": 1, "b": 1}]
    answers = [['{"a": 1}', '{"a": 1}'], ['{"a": 2}', '{"a": 1, "b": 1}']]
    pooled, mean = (
        build("field_f1", texts(expected), average=average).score(expected, answers)
        for average in AVERAGES[::-1]
    )
    assert pooled.value == 2 * 4 / (2 * 4 + 2 * 1 + 1)
    for per_example in (pooled.statistic.scores, mean.per_example):
        assert per_example.tolist() == pytest.approx([0.5, (2 / 3 + 1) / 2])
    assert len(mean.notes) == 2


@pytest.mark.parametrize(
    ("answer", "options", "places"),
    [
        ({**E, "intent": "lite"}, {}, ["$.intent", "'lite'", "'light'"]),
        ({**E, "tags": ["a", "c", "d"]}, {}, ["$.tags[1]", "'c'", "'b'", "$.tags[2]"]),
        ({**E, "tags": ["b"]}, {"lists": "set"}, ["$.tags[0]: missing"]),
        ({"intent": "light"}, {}, ["$.slots.room", "$.slots.level", "$.tags[0]", "1 more"]),
        ("{", {}, ["line 1 column 2"]),
        ({**E, "intent": "::error::\x1b[2J" + "x" * 10_000, "\x07" * 500: 1}, {}, ["$.intent"]),
    ],
)
def test_a_note_names_the_places_that_are_not_right_and_is_harmless(answer, options, places):
    note = score("field_f1", [(E, answer)], **options).notes[0]
    assert all(place in note for place in places)
    assert note.isprintable()
    assert len(note) <= 200


def test_megabytes_are_judged():
    assert score("field_f1", [(E, {**E, "intent": "x" * 10_000_000})]).value == pytest.approx(
        8 / 10
    )
    assert score("field_f1", [(E, {**E, "tags": list(range(200_000))})]).value < 0.001
    fewer = {**E, "tags": list(range(20_000))}
    assert score("field_f1", [(E, fewer)], lists="set", tolerance=0.1).value < 0.001
    assert score("field_f1", [(E, {f"k{i}": i for i in range(20_000)})]).value == 0


@pytest.mark.parametrize(
    "options", [{"fields": ["intent"]}, {"lists": "set", "normalize": {"tags": "case"}}]
)
def test_a_name_of_many_parts_is_not_taken_apart(options):
    long = "a." * 1_000_000
    assert (
        score("field_f1", [(E, {**E, long: 1, "tags": ["b", "a", {long: "x"}]})], **options).value
        > 0.7
    )


# --- tool calls: whole calls, and the F1 of calls -------------------------------------------------------------

OSLO = {"name": "weather", "arguments": {"city": "Oslo", "unit": "C"}}
ROME = {"name": "weather", "arguments": {"city": "Rome", "unit": "C"}}
LOUD = [{"name": "weather", "arguments": {"city": "OSLO"}}]
MAIL = {"name": "mail", "arguments": {"to": "a@b.c"}}
CALLS = st.lists(st.sampled_from([OSLO, ROME, MAIL, {"name": "none", "arguments": {}}]), max_size=5)


def of_calls(name, expected, answer, **options):
    expected_texts = [*texts([expected]), json.dumps([OSLO])]
    answer = answer if isinstance(answer, str | None) else json.dumps(answer)
    return build(name, expected_texts, **options).score([expected], [[answer]]).value


def openai(call):
    arguments = json.dumps(call["arguments"])
    return {
        "id": "c1",
        "type": "function",
        "function": {"name": call["name"], "arguments": arguments},
    }


SCORED = [  # expected, answer, options; tool_call_exact, tool_call_f1
    ([OSLO], [OSLO], {}, (1, 1)),
    ([OSLO], OSLO, {}, (1, 1)),
    ([OSLO], [openai(OSLO)], {}, (1, 1)),
    ([openai(OSLO)], [OSLO], {}, (1, 1)),
    ([OSLO], f"<tool_call>\n{json.dumps(OSLO)}\n</tool_call>", {}, (1, 1)),
    ([OSLO], [ROME], {}, (0, 0)),
    ([OSLO], [MAIL], {}, (0, 0)),
    ([OSLO], [{"name": "weather", "arguments": {"city": "Oslo"}}], {}, (0, 0)),
    ([OSLO], LOUD, {"ignore_arguments": ["unit"]}, (0, 0)),  # arguments have the rules of fields
    ([OSLO], LOUD, {"arguments": {"normalize": "case"}}, (0, 0)),
    ([OSLO], LOUD, {"ignore_arguments": ["unit"], "arguments": {"normalize": "case"}}, (1, 1)),
    ([OSLO], "It is cold in Oslo.", {}, (0, 0)),
    ([OSLO], None, {}, (0, 0)),
    ([OSLO], "", {}, (0, 0)),
    ([OSLO], '[{"name": "weather", "arguments": "{broken"}]', {}, (0, 0)),
    ([OSLO, MAIL], [MAIL, OSLO], {}, (1, 1)),
    ([OSLO, MAIL], [MAIL, OSLO], {"order": True}, (0, 0.5)),
    ([OSLO, MAIL], [OSLO], {}, (0, 2 / 3)),
    ([OSLO], [OSLO, MAIL], {}, (0, 2 / 3)),
    ([OSLO], [OSLO, MAIL], {"extra": "ignore"}, (1, 1)),
    ([OSLO], [OSLO, OSLO], {}, (0, 2 / 3)),
    ([], "Hello!", {}, (1, 1)),
    ([], [MAIL], {}, (0, 0)),
    ([], '[{"function": {"name": "mail", "arguments": "{broken"}}]', {}, (0, 0)),
    ([], "<tool_call>{broken</tool_call>", {}, (0, 0)),
    ([], "<tool_call>{broken", {"extra": "ignore"}, (1, 1)),
    ("Hello!", "Good day!", {}, (1, 1)),
    ("Hello!", [MAIL], {}, (0, 0)),
    ("42", "It is 42.", {}, (1, 1)),
    ("true", [MAIL], {}, (0, 0)),
]


@pytest.mark.parametrize(("expected", "answer", "options", "scores"), SCORED)
def test_calls_are_right_as_a_whole_or_in_part(expected, answer, options, scores):
    names = ("tool_call_exact", "tool_call_f1")
    assert [of_calls(name, expected, answer, **options) for name in names] == pytest.approx(scores)


@given(CALLS, CALLS)
def test_f1_of_calls_is_that_of_multisets(expected, answer_calls):
    def count(call):
        return min(expected.count(call), answer_calls.count(call))

    distinct = {json.dumps(call): call for call in expected}.values()
    total = len(expected) + len(answer_calls)
    f1 = 2 * sum(map(count, distinct)) / total if total else 1
    assert of_calls("tool_call_f1", expected, answer_calls) == pytest.approx(f1)
    assert of_calls("tool_call_f1", answer_calls, expected) == pytest.approx(f1)
    assert of_calls("tool_call_exact", expected, answer_calls) == (f1 == 1)
    assert (
        of_calls("tool_call_f1", expected, answer_calls, order=True)
        <= of_calls("tool_call_f1", expected, answer_calls) + 1e-12
    )


@pytest.mark.parametrize("order", [False, True])
def test_calls_in_another_order_are_another_answer_only_where_the_order_counts(order):
    metric = build("tool_call_exact", [json.dumps([OSLO])], order=order)
    assert (
        len({*metric.answers_read([json.dumps([OSLO, MAIL]), json.dumps([MAIL, OSLO])])})
        == 1 + order
    )
