"""How a label is read out of an answer, and which label it is."""

import pytest
from building import build, refusal
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.data import Example, expected_text
from pytest_ftgate.errors import Where
from pytest_ftgate.metrics.options import AS_WRITTEN, FULL, Normalization

TEXT = st.text(alphabet=st.characters(codec="utf-8"))


@pytest.mark.parametrize(
    ("name", "text", "normal"),
    [
        ("case", "REFUND Straße", "refund strasse"),
        ("whitespace", "a\n  b\u00a0c", "a b c"),
        ("unicode", "Ｒefund ﬁne", "Refund fine"),
        *(
            ("punctuation", text, "refund")
            for text in ("“refund.”", " (refund) ! ", "**refund**", "`refund`")
        ),
        *(("punctuation", text, text) for text in ("can't, won't", "C#", "-1", "C++", "?", "")),
        ("punctuation", "5%.", "5%"),
    ],
)
def test_a_step_of_normalization(name, text, normal):
    assert Normalization(frozenset([name]))(text) == normal
    assert AS_WRITTEN(text) == text


@given(TEXT, st.sampled_from(["", " ", "\n", "."]), st.sampled_from(["", "\t", "!", "”"]))
def test_full_normalization_leaves_something_and_ignores_what_is_around_a_text(
    text, prefix, suffix
):
    assert bool(FULL(text.strip())) == bool(text.strip())
    if any(character.isalnum() for character in text):
        assert FULL(prefix + text + suffix) == FULL(text)


@pytest.mark.parametrize(
    ("labels", "options", "is_equal", "others"),
    [
        (("yes", "no"), {}, [" yes\n", "Yes", "**YES**."], ["yes!no", "ja", " "]),
        (("yes", "no"), {"normalize": []}, [" yes\n"], ["Yes", "yes."]),
        (("yes", "no"), {"normalize": "case"}, ["YES"], ["yes."]),
        (("c", "C"), {}, [" c", "C", "c."], ["d"]),
        (("c", "C"), {"normalize": []}, [" c"], ["C", "c."]),
        (("a", "a."), {}, ["a\n", "A"], ["a."]),  # punctuation may tell labels apart
    ],
)
def test_case_and_punctuation_do_not_count_unless_the_gate_or_the_labels_say_so(
    labels, options, is_equal, others
):
    metric = build("accuracy", labels, **options)
    expected = [labels[0]] * len([*is_equal, *others])
    assert metric.score(expected, [[*is_equal, *others]]).per_example.tolist() == [1] * len(
        is_equal
    ) + [0] * len(others)


BROKEN = [
    '"yes"',
    "yes",
    'So:\n```json\n{"label": "yes"}\n```',
    '{"label": "no", "label": "yes"}',
    '{"label": NaN}',
]
BROKEN += [
    '{"label": 1e999}',
    '{"label": "yes"} and more',
    "[" * 200_000,
    '{"label": ' + "9" * 5000 + "}",
]
BROKEN += ['{"label": {"a": 1}}', '{"label": ["yes"]}', '{"other": "yes"}']


@pytest.mark.parametrize(
    ("option", "place", "labels"),
    [
        ("pattern", r"Label: (\w+)", {"I think so.\nLabel: yes": "yes", "yes": None}),
        ("pattern", r"yes|no", {"well, no": "no"}),
        ("pattern", r"^yes$", {"  yes ": "yes"}),
        ("pattern", r"(?:so )(yes)|(no)", {"no": None}),
        ("pattern", r"Label:(.*)", {"Label:   ": None}),
        (
            "json_field",
            "label",
            {'{"label": " yes "}': "yes", '{"label": 1}': "1", '{"label": true}': "true"},
        ),
        ("json_field", "label", dict.fromkeys(BROKEN)),
        ("json_field", "result.label", {'{"result": {"label": "yes"}}': "yes"}),
        ("json_field", "0.label", {'[{"label": "yes"}]': "yes"}),
        *(
            ("json_field", field, {'{"label": "yes"}': None, '["yes"]': None})
            for field in ("label.x", "x", "7")
        ),
    ],
)
def test_pattern_and_json_field_find_the_label_and_forgive_nothing(option, place, labels):
    metric = build("accuracy", **{option: place})
    assert {answer: metric.answers_read([answer]) for answer in labels} == {
        label: [labels[label]] for label in labels
    }


def test_a_label_that_no_row_expects_is_wrong():
    metric = build("accuracy", known=("d ", "a"))
    scored = metric.score(["a", "b", "c", "a", "b", "c"], [["d", "b", "x", None, "", "b"]])
    assert scored.per_example.tolist() == [0, 1, 0, 0, 0, 0]
    assert build("f1_macro").label_set.predicted([["x", "a"], ["y", None]]).tolist() == [
        [3, 0],
        [3, 3],
    ]


@pytest.mark.parametrize("value", [{"a": 1}, ["a"]])
@pytest.mark.parametrize("name", ["accuracy", "f1_macro"])
def test_an_object_or_list_is_no_label(name, value):
    examples = [
        Example(f"t{i}", f"input {i}", label, place=Where(line=i))
        for i, label in enumerate(["a", 1, value])
    ]
    error = refusal(name, ("a", "1"), examples=examples)
    assert (error.where.line, "exact_match" in error.cure) == (2, True)


@pytest.mark.parametrize(
    ("option", "expected", "answers", "scores"),
    [
        (
            {"pattern": r"#### (\S+)"},
            ["2 + 2 = 4 #### 4", "#### 7"],
            ["so #### 4", "#### 8"],
            [1, 0],
        ),
        (
            {"json_field": "label"},
            [{"label": "a", "why": "x"}, {"label": "b"}],
            ['{"label": "A"}', "b"],
            [1, 0],
        ),
        # labels alone need no pattern
        ({"pattern": r"Label: (\w+)"}, ["a", "b"], ["Label: a", "b"], [1, 0]),
        ({"pattern": "a|b"}, ["a", "b"], ["a or b", "b"], [1, 1]),
        *(
            ({"normalize": level}, ["Yes", "no"], ["yEs", "NO"], [1, 1])
            for level in ("case", ["case"], ("case", "case"))
        ),
        (
            {"pattern": "So:(.*)", "normalize": ["case", "punctuation"]},
            ["Yes", "No"],
            ["So:  YES. ", "no"],
            [1, 0],
        ),
        ({}, [1, True, "yes", "1"], ["1", "true", "yes", "1"], [1, 1, 1, 1]),
    ],
)
def test_expected_outputs_are_read_as_answers_are(option, expected, answers, scores):
    metric = build("accuracy", tuple(map(expected_text, expected)), **option)
    assert metric.score(expected, [answers]).per_example.tolist() == scores
    assert (
        metric.bare().score(expected, [[metric.right_answer(label) for label in expected]]).value
        == 1
    )


@pytest.mark.parametrize("labels", ["18", "no number", "refund"])
def test_expected_outputs_of_which_only_some_hold_more_than_a_label_are_refused(labels):
    error = refusal("accuracy", ("2 + 2 = 4 #### 4", labels), pattern=r"#### (\S+)|refund")
    assert (error.where.key, "2 + 2" in error.what, labels in error.what) == ("pattern", True, True)


@pytest.mark.parametrize(
    ("options", "well_formed", "malformed"),
    [
        (
            {},
            ["a", " B.", "d", "```\nc\n```", "~~~text\nc\n~~~"],
            ["x", "unknown", "", " ", None, "a or b", "Label: a"],
        ),
        ({"labels": ["unknown"]}, ["unknown", "a"], ["x"]),
        ({"labels": ["a", "b", "c", "none"]}, ["none"], ["unknown"]),
        ({"pattern": "Label: (.*)"}, ["So:\nLabel: a"], ["a", "Label: x", "Label: a b"]),
        (
            {"json_field": "label"},
            ['{"label": "a"}', '```json\n{"label": "a"}\n```'],
            ["a", '{"label": "x"}'],
        ),
        ({"normalize": []}, ["a"], ["A", "a."]),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["accuracy", "f1_macro"])
def test_an_answer_that_is_no_label_is_malformed(name, options, well_formed, malformed):
    """A label of the training set, or of the option ``labels``, is one."""
    metric = build(name, known=("d",), **options)
    assert [
        answer for answer in (*well_formed, *malformed) if metric.malformed(answer)
    ] == malformed


def test_labels_that_no_row_expects_are_not_averaged_over_and_a_misspelt_one_is_refused():
    answers = ["a", "unknown", "c"]
    plain = build("f1_macro").score(["a", "b", "c"], [answers])
    assert (
        build("f1_macro", labels=["unknown"]).score(["a", "b", "c"], [answers]).value == plain.value
    )
    assert "refudn" in refusal("f1_macro", ["card", "refund"], labels=["refudn"]).what
