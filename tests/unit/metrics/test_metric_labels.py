"""How a label is read out of an answer, and which label it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.errors import ConfigError
from pytest_ftgate.metrics import check_labels
from pytest_ftgate.metrics.normalization import AS_WRITTEN, FULL, STEPS, Normalization

TEXT = st.text(alphabet=st.characters(codec="utf-8"))
EVERY_STEP = ["case", "punctuation", "whitespace", "unicode"]


def step(name):
    return Normalization(frozenset([name]))


@pytest.mark.parametrize(
    ("name", "text", "normal"),
    [
        ("case", "REFUND Straße", "refund strasse"),
        ("whitespace", "a\n  b\u00a0c", "a b c"),
        ("unicode", "Ｒefund ﬁne", "Refund fine"),
        *(("punctuation", text, "refund") for text in ("“refund.”", " (refund) ! ", "**refund**", "`refund`")),
        *(("punctuation", text, text) for text in ("can't, won't", "C#", "-1", "C++", "?", "")),
        ("punctuation", "5%.", "5%"),
    ],
)
def test_a_step_of_normalization(name, text, normal):
    assert step(name)(text) == normal
    assert AS_WRITTEN(text) == text


def test_the_documented_steps_are_all_there():
    assert sorted(STEPS) == sorted(EVERY_STEP)
    assert FULL.full
    assert not Normalization(frozenset(STEPS[1:])).full


@given(TEXT)
def test_normalization_leaves_something_of_every_text_that_is_not_blank(text):
    assert bool(FULL(text.strip())) == bool(text.strip())


@given(TEXT, st.sampled_from(["", " ", "\n", "."]), st.sampled_from(["", "\t", "!", "”"]))
def test_under_full_normalization_white_space_and_punctuation_around_a_text_do_not_count(text, before, after):
    if any(character.isalnum() for character in text):
        assert FULL(before + text + after) == FULL(text)


def read(metric, *answers):
    return metric.answers_read(answers)


def test_white_space_around_an_answer_never_counts_and_all_else_does(build):
    metric = build("accuracy", ("yes",))
    assert read(metric, " yes\n", "Yes", "yes.", None, " ") == ["yes", "Yes", "yes.", None, None]
    assert metric.score(["yes", " yes"], [["yes\n", "yes "]]).value == 1
    assert metric.score(["yes", "yes"], [["Yes", "yes."]]).value == 0


@pytest.mark.parametrize("normalize", ["case", ["case"], ("case", "case")])
def test_normalize_applies_to_answers_and_to_what_is_expected(build, normalize):
    metric = build("accuracy", ("Yes", "no"), normalize=normalize)
    assert metric.score(["Yes", "no"], [["yEs", "NO"]]).exact == 1
    found = build("accuracy", ("Yes", "No"), pattern="Label:(.*)", normalize=["case", "punctuation"])
    assert found.score(["Yes", "No"], [["Label:  YES. ", "no"]]).per_example.tolist() == [1, 0]
    values = build("accuracy", ("1", "true", "yes"))
    assert values.score([1, True, "yes", "1"], [["1", "true", "yes", "1"]]).exact == 1


BROKEN = ['"yes"', "yes", '```json\n{"label": "yes"}\n```', '{"label": "no", "label": "yes"}', '{"label": NaN}']
BROKEN += ['{"label": 1e999}', '{"label": "yes"} and more', "[" * 200_000, '{"label": ' + "9" * 5000 + "}"]
BROKEN += ['{"label": {"a": 1}}', '{"label": ["yes"]}', '{"other": "yes"}']


@pytest.mark.parametrize(
    ("option", "place", "answer", "label"),
    [
        ("pattern", r"Label: (\w+)", "I think so.\nLabel: yes", "yes"),
        ("pattern", r"yes|no", "well, no", "no"),
        ("pattern", r"^yes$", "  yes ", "yes"),
        ("pattern", r"(?:so )(yes)|(no)", "no", None),
        ("pattern", r"Label: (\w+)", "yes", None),
        ("pattern", r"Label:(.*)", "Label:   ", None),
        ("json_field", "label", '{"label": " yes "}', "yes"),
        ("json_field", "result.label", '{"result": {"label": "yes"}}', "yes"),
        ("json_field", "0.label", '[{"label": "yes"}]', "yes"),
        ("json_field", "label", '{"label": 1}', "1"),
        ("json_field", "label", '{"label": true}', "true"),
        ("json_field", "label.x", '{"label": "yes"}', None),
        *(("json_field", field, '["yes"]', None) for field in ("x", "7")),
        *(("json_field", "label", answer, None) for answer in BROKEN),
    ],
    ids=lambda value: value[:20] if value else "none",
)
def test_pattern_and_json_field_find_the_label_and_forgive_nothing(build, option, place, answer, label):
    assert read(build("accuracy", **{option: place}), answer) == [label]


def test_answers_that_are_no_known_label_are_counted_over_all_repeats(build):
    metric = build("accuracy", known=("d ", "a"))
    scored = metric.score(["a", "b", "c", "a", "b", "c"], [["a", "d", "x", None, "", "b"]])
    assert scored.n_unknown == 2  # "x" and the empty answer; "d" is a label of the training set, None is no answer
    assert scored.per_example.tolist() == [1, 0, 0, 0, 0, 0]
    assert build("accuracy", known=("Delta",), normalize="case").score(["a"], [["DELTA"]]).n_unknown == 0
    assert build("f1_macro").label_set.predicted([["x", "a"], ["y", "x"]])[1] == 3


def test_codes_are_the_places_of_the_labels_and_k_for_anything_else(build):
    assert build("f1_macro", ("no", "yes", "yes ")).label_set.texts == ("no", "yes")
    labels = build("f1_macro", known=("d",)).label_set
    assert labels.gold("f1_macro", ["c", "a ", "b"]).tolist() == [2, 0, 1]
    codes, _ = labels.predicted([["c", "d", None], ["x", "a", "b"]])
    assert codes.tolist() == [[2, 3, 3], [3, 0, 1]]


@pytest.mark.parametrize("value", [{"a": 1}, ["a"]])
@pytest.mark.parametrize("name", ["accuracy", "f1_macro"])
def test_an_object_or_list_is_no_label(build, name, value):
    check_labels(name, ["a", 1, True])
    for check in (lambda: check_labels(name, ["a", value]), lambda: build(name).score(["a", value], [["a", "a"]])):
        with pytest.raises(ConfigError, match=r"test_set\[1\](.|\n)*exact_match"):
            check()


def test_other_labels_than_the_metric_was_made_for_are_an_error(build, failure):
    error = failure(build("accuracy"), ["a", "zebra"], ["a", "zebra"])
    assert "test_set[1]" in error.what
    assert "zebra" in error.what


@pytest.mark.parametrize("name", ["accuracy", "f1_macro"])
def test_there_is_no_lenient_metric_where_it_would_change_nothing_or_confuse_labels(build, name):
    assert build(name, normalize=EVERY_STEP).lenient() is None
    assert build(name, ("C", "c")).lenient() is None
    assert build(name, ("a", "b"), normalize="case").lenient().lenient() is None


@given(st.lists(st.sampled_from(["a", "A", "a.", "b", "B ", "x", "", None]), min_size=4, max_size=4))
def test_lenient_never_scores_lower(build, answers):
    metric = build("accuracy", ("a", "B"))
    expected = ["a", "a", "B", "B"]
    assert metric.lenient().score(expected, [answers]).value >= metric.score(expected, [answers]).value
