"""When the first answers of a model tell that no other is worth asking for."""

from __future__ import annotations

from pytest_ftgate.models import Completion
from pytest_ftgate.runs.model_queue import ENOUGH, Opening

GOOD, BAD = Completion("4"), Completion("I would say 4 of 5.")


def opening() -> Opening:
    return Opening(lambda completion: completion.text == "4")


def test_a_few_useless_answers_at_the_start_are_enough() -> None:
    one = opening()
    assert [one.hear([BAD]) for _ in range(ENOUGH - 1)] == [None] * (ENOUGH - 1)
    error = one.hear([BAD])
    assert error is not None
    assert error.fatal
    assert str(error) == "none of the first 5 answers is of any use"


def test_answers_that_come_together_count_each() -> None:
    assert opening().hear([BAD] * ENOUGH) is not None


def test_one_answer_of_use_is_enough_to_go_on() -> None:
    one = opening()
    assert one.hear([BAD] * (ENOUGH - 1) + [GOOD]) is None
    assert one.hear([BAD] * 100) is None
    assert opening().hear([BAD] * 100 + [GOOD]) is None


def test_nothing_is_useless_where_nobody_says_what_is() -> None:
    assert Opening(None).hear([BAD] * 100) is None
