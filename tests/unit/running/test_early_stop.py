"""When the first answers of a model tell that no other is worth asking for."""

from pytest_ftgate.models import Completion, Prediction
from pytest_ftgate.runs.run_state import ENOUGH, EarlyStop

GOOD, BAD = Prediction("a", Completion("4")), Prediction("b", Completion("I would say 4 of 5."))


def early_stop():
    return EarlyStop(lambda completion: completion.text == "4")


def test_a_few_useless_answers_at_the_start_are_enough_one_by_one_or_together():
    one = early_stop()
    assert [one.check([BAD]) for _ in range(ENOUGH - 1)] == [None] * (ENOUGH - 1)
    error = one.check([BAD])
    assert error.fatal
    assert str(ENOUGH) in error.what
    assert early_stop().check([BAD] * ENOUGH) is not None


def test_one_answer_of_use_is_enough_to_go_on_and_nothing_is_useless_where_nobody_says_so():
    one = early_stop()
    assert one.check([BAD] * (ENOUGH - 1) + [GOOD]) is None
    assert one.check([BAD] * 100) is None
    assert early_stop().check([BAD] * 100 + [GOOD]) is None
    assert EarlyStop(None).check([BAD] * 100) is None
