"""A model that takes several questions in one call, in a run."""

import asyncio

import pytest
from fakes import THREE, Fake, errors, questions, run, texts

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Completion
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.runs.budget import Budget


class Many(Fake):
    """Echoes inputs, a batch at a time, unless it is told otherwise; ``given`` makes what a call returns."""

    def __init__(self, batch_size, concurrency=1, found=Completion, given=list, **facts):
        super().__init__(
            name="many", concurrency=concurrency, retries=1, batch_size=batch_size, **facts
        )
        self.found, self.given = found, given
        self.in_flight = self.most = 0

    async def complete_many(self, questions):
        assert [question.key for question in questions] == [
            self.key(q.example, q.repeat) for q in questions
        ]
        inputs = [question.example.input for question in questions]
        self.calls.append(inputs)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        await asyncio.sleep(0)
        self.in_flight -= 1
        return self.given([self.found(text) for text in inputs])


EIGHT = questions(*range(8))


def test_full_calls_as_many_at_once_as_it_may(stores):
    model = Many(3, 2)
    assert texts(run(model, stores, EIGHT)) == list("01234567")
    assert (sorted(map(len, model.calls)), model.most) == ([2, 3, 3], 2)
    once = Many(50)
    run(once, stores, THREE, repeats=2)
    assert once.calls == [["a", "b", "c"] * 2], "repeats are questions of their own"


def test_only_those_without_an_answer_are_asked_again_and_the_others_kept_before_that(stores):
    calls = []

    def busy_at_first(text):
        calls.append(len(stores.persistent.get([f"many/{i}/0" for i in range(4)])))
        return (
            ModelError("busy", retryable=True)
            if text in "12" and len(calls) <= 4
            else Completion(text)
        )

    model = Many(4, found=busy_at_first)
    assert texts(run(model, stores, questions(*range(4)))) == list("0123")
    assert model.calls == [list("0123"), list("12")]
    assert calls == [0] * 4 + [2] * 2


def broken(text):
    raise ModelError("broken as a whole", retryable=True)


@pytest.mark.parametrize(
    ("answer_each", "return_all", "message"),
    [
        (broken, list, "broken as a whole (tried 2 times)"),
        (Completion, lambda answers: None, "did not return a list of 3 answers"),
        (Completion, lambda answers: answers[1:], "did not return a list of 3 answers"),
    ],
)
def test_a_call_that_fails_as_a_whole_fails_for_all_its_questions(
    stores, answer_each, return_all, message
):
    failed = errors(run(Many(3, found=answer_each, given=return_all), stores))
    assert [message in error for error in failed] == [True] * 3


def raises(*_):
    raise ValueError("at once")


@pytest.mark.parametrize("model", [Fake(complete=raises), Many(3, complete_many=raises)])
def test_a_plain_function_in_place_of_a_coroutine_function_may_raise(stores, model):
    assert ["ValueError: at once" in error for error in errors(run(model, stores))] == [True] * 3


@pytest.mark.parametrize("fatal", [False, True])
def test_the_answers_of_a_call_are_kept_and_what_failed_is_asked_again(stores, fatal):
    failure = ModelError("no quota", fatal=fatal)
    results = run(
        Many(8, found=lambda text: failure if text == "3" else Completion(text)), stores, EIGHT
    )
    assert (results.fatal, texts(results).count(None)) == (failure if fatal else None, 1)
    second_model = Many(8)
    assert texts(run(second_model, stores, EIGHT)) == list("01234567")
    assert second_model.calls == [["3"]]


def test_the_latency_is_what_the_model_says_and_busy_time_is_shared(stores):
    results = run(
        Many(4, found=lambda text: Completion(text, latency_s=0.25 if text == "0" else None)),
        stores,
        EIGHT,
    )
    latencies, shares = zip(
        *((prediction.latency_s, prediction.busy_s) for prediction in results.predictions[0]),
        strict=True,
    )
    assert latencies[:2] == (0.25, None)
    assert shares[0] == shares[3] != shares[4]
    assert min(shares) > 0


def test_all_questions_of_a_call_are_paid_for_before_it_is_made_or_it_is_not_made(stores):
    price, budget = Price("here", input_per_1m=100_000.0, output_per_1m=100_000.0), Budget(1.1)
    answered = lambda text: Completion(text, input_tokens=1, output_tokens=1)  # noqa: E731
    results = run(
        Many(4, found=answered, price=price, params={"max_tokens": 1}), stores, EIGHT, budget=budget
    )
    assert (texts(results).count(None), budget.spent_usd) == (4, pytest.approx(0.8))
    assert str(results.fatal).count("$0.8000") == 2
