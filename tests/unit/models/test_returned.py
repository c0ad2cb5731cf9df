"""What classifiers of common libraries return: a label, or an error with the value and the way to unpack it."""

from enum import Enum
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gate_project import Project, mentions, stopped

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.workers import InProcesses, label_of, one_each, predicted, unreadable

PAIR = [{"label": "spam", "score": 0.2}, {"label": "ham", "score": 0.8}]


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("ham", "ham"),
        (np.str_("ham"), "ham"),
        ("__label__ham", "ham"),
        (Enum("E", {"a": "ham"}, type=str).a, "ham"),
        *((value, "3") for value in (3, np.int64(3), np.array(3))),
        *((value, "1.5") for value in (1.5, np.float32(1.5))),
        pytest.param(10**400, f"{10**400}", id="too large for a float"),
        *((value, "true") for value in (True, np.bool_(True))),
        (PAIR[1], "ham"),
        (PAIR, "ham"),
        (PAIR[:1], "spam"),
        ([PAIR], "ham"),
        ((("__label__ham", "__label__spam"), np.array([0.9, 0.1])), "ham"),
        (SimpleNamespace(cats={"spam": 0.1, "ham": 0.9}), "ham"),
        *(
            (value, None)
            for value in (
                None,
                b"x",
                [],
                {},
                {"label": "ham"},
                [0.1, 0.9],
                np.array([0.1, 0.9]),
                float("nan"),
            )
        ),
        *(
            (value, None)
            for value in (
                SimpleNamespace(cats={}),
                [*PAIR, 1],
                [{"label": 1, "score": 1}],
                object(),
            )
        ),
    ],
)
def test_a_label_is_read_where_there_is_one(answer: Any, label: str | None) -> None:
    found = label_of(answer)
    assert (found, type(found)) == (label, type(label))  # plain text


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (None, ["None"]),
        *(
            (value, ["2 numbers", "0.25", "argmax"])
            for value in ([0.25, 0.75], np.array([[0.25, 0.75]]))
        ),
        ({"logits": [1]}, ["dict", "{'logits': [1]}"]),
        (["x", "y"], ["['x', 'y']", "return one text"]),
        ([{"generated_text": "ham"}], ["return its text: answer[0]['generated_text']"]),
        (np.array([[0.3]]), ["returned 1 number for", "LABELS[int(score > 0.5)]"]),
        (SimpleNamespace(cats={}), ["SimpleNamespace", "return text"]),
    ],
)
def test_what_holds_no_label_is_shown_with_the_way_to_unpack_it(
    answer: Any, named: list[str]
) -> None:
    text = str(unreadable("mine", answer))
    assert all(part in text for part in ("mine", *named))
    assert "None; None" not in text


@pytest.mark.parametrize(
    ("found", "answers"),
    [
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array([[0.25, 0.75], [1.0, 0.0]]), [[0.25, 0.75], [1.0, 0.0]]),
        (([["__label__a"], []], [np.array([0.9]), np.array([])]), ["__label__a", None]),
    ],
)
def test_predictions_are_one_for_each_input(found: Any, answers: list[Any]) -> None:
    assert predicted(SimpleNamespace(predict=lambda _: found), ["x", "y"]) == answers


@pytest.mark.parametrize(
    ("found", "told"),
    [(["a"], "1 answer for 2 inputs"), ("ab", "a value of type str"), (None, "None")],
)
def test_a_list_of_inputs_has_as_many_answers(found: Any, told: str) -> None:
    assert one_each("mine", ("a", "b"), 2) == ("a", "b")
    with pytest.raises(ModelError, match=f"mine returned {told}"):
        one_each("mine", found, 2)
    # each process answers for its own inputs
    answers = InProcesses(lambda _: found, 1, batched=True)(["a", "b"])
    assert [f"returned {told}" in answer.what for answer in answers] == [True, True]


LIBRARIES = """
class Encoded:
    def predict(self, texts): return [LABELS.index(good(text)) for text in texts]
class Keras:
    def predict(self, texts): return [[0.1, 0.9, 0.0] for text in texts]
def numbered(text): return {"label": f"LABEL_{LABELS.index(good(text))}", "score": 0.9}
encoded, keras = Encoded(), Keras()
"""


@pytest.mark.parametrize(
    ("name", "named"),
    [("encoded", "label encoder"), ("numbered", "label encoder"), ("keras", "argmax")],
)
def test_a_gate_refuses_numbers_in_place_of_labels(project: Project, name: str, named: str) -> None:
    project.own(LIBRARIES)
    mentions(stopped(project.judge(candidate=f"python:own:{name}"), called=True), named)
