"""One question to one model: attempts, waits, time limits, and what counts as an answer."""

import asyncio
import itertools
from unittest.mock import ANY

import pytest
import virtual_time
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.data import Example
from pytest_ftgate.errors import ModelError, Where
from pytest_ftgate.models import Completion, Prediction, Question, protocol
from pytest_ftgate.runs import asking
from pytest_ftgate.runs.asking import Asker, BusyTime, wait_s
from pytest_ftgate.runs.throttle import Throttle

EXAMPLE = Example("e", "question", "answer")
ONE = Question("k", EXAMPLE, 0)
YES = Completion("yes")


class Model(protocol.Model):
    """Does what it is told at each call; the last step is repeated."""

    name = "model"

    def __init__(self, *steps, **keys):
        self.steps = list(steps)
        vars(self).update({"retries": 0, "timeout_s": 60.0, "calls": 0, **keys})

    async def complete(self, example, repeat=0):
        step = self.steps[min(self.calls, len(self.steps) - 1)]
        self.calls += 1
        if isinstance(step, BaseException):
            raise step
        return await step() if callable(step) else step


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Wait for nothing, but remember for what."""
    asked = []
    monkeypatch.setattr(asking, "wait_s", lambda *wait: asked.append(wait) or 0.0)
    return asked


def answer(model):
    return asyncio.run(Asker(model).ask(ONE))


async def for_ever():
    await asyncio.Event().wait()


# --- attempts --------------------------------------------------------------------------------------------------

BUSY, LATER = ModelError("busy", retryable=True), ModelError("busy", retryable=True, retry_after_s=7.0)
TOO_MANY = ModelError("too many", retryable=True, kind="busy")
GONE = ModelError("gone", retryable=True, kind="unreachable")
REVOKED = ModelError("key revoked", fatal=True)
SOON = {"timeout_s": 0.001}

BAD_DAYS = [  # what happens at each call, the keys of the model; the answer or the error, how many calls there are
    ([BUSY, LATER, YES], {"retries": 2}, YES, 3),
    ([BUSY], {"retries": 2}, "busy (tried 3 times)", 3),
    ([BUSY], {}, "busy", 1),  # a single attempt is not counted out loud
    ([ModelError("no"), YES], {"retries": 5}, "no", 1),
    ([ModelError("no", retryable=True, fatal=True), YES], {"retries": 5}, "no", 1),
    ([BUSY, REVOKED], {"retries": 5}, "key revoked (tried 2 times)", 2),
    *(([TOO_MANY], {"retries": retries}, "too many", 1 + retries) for retries in (2, 0)),
    ([TOO_MANY, BUSY, GONE, TOO_MANY, BUSY, GONE, YES], {"retries": 2}, YES, 7),  # each kind is counted apart
    ([for_ever, YES], {"retries": 1, **SOON}, YES, 2),
    ([for_ever], {"retries": 1, **SOON}, "0.001 s", 2),
    ([for_ever], {"retries": 3, "abandons": True, **SOON}, "0.001 s", 1),  # each further one would block a thread
    ([asyncio.TimeoutError("mine"), YES], {"retries": 5}, "TimeoutError: mine", 1),
    *(
        ([raised, YES], {"retries": 5, "timeout_s": timeout_s}, text, 1)
        for timeout_s in (None, 60.0)
        for raised, text in (
            (ValueError("no such label"), "ValueError: no such label"),
            (SystemExit(0), "SystemExit: 0"),
            (KeyboardInterrupt("mine"), "KeyboardInterrupt: mine"),
            (pytest.skip.Exception("not today"), "Skipped: not today"),
        )
    ),
    *(
        ([returned], {}, kind, 1)
        for returned, kind in (
            (None, "NoneType"),
            ("yes", "str"),
            (Completion(7), "int"),
            (Completion("x", finish="length"), "cut_off"),
            (Completion("x", input_tokens=-1), "input_tokens"),
            (Completion("x", output_tokens=1.5), "output_tokens"),
            (Completion("x", cached_input_tokens=True), "cached_input_tokens"),
            *((Completion("x", latency_s=value), "latency_s") for value in (float("nan"), "1")),
        )
    ),
]


@pytest.mark.parametrize(("steps", "keys", "found", "calls"), BAD_DAYS)
def test_a_bad_day_of_one_question(steps, keys, found, calls):
    model = Model(*steps, **keys)
    if found is YES:
        assert answer(model).completion is YES
    else:
        with pytest.raises(ModelError) as caught:
            answer(model)
        assert found in caught.value.what
        assert caught.value.fatal is any(getattr(step, "fatal", False) for step in steps)
    assert model.calls == calls


def test_waits_grow_or_are_those_asked_for_and_an_error_keeps_its_parts(waits):
    assert answer(Model(BUSY, LATER, YES, retries=2)) == Prediction("k", YES, ANY, ANY, ANY, retries=2)
    assert waits == [(1, None), (2, 7.0)]
    where = Where("f.yaml", 3)
    with pytest.raises(ModelError) as caught:
        answer(Model(ModelError("busy", retryable=True, where=where, evidence="503", cure="wait"), retries=2))
    assert (caught.value.where, caught.value.evidence, caught.value.cure) == (where, "503", "wait")


def test_one_call_too_many_is_no_failure_while_others_are_answered():
    """The endpoint refuses this question twenty times, but answers the others: it is a matter of patience."""
    model = Model(*[TOO_MANY] * 20, YES, retries=2)
    asker = Asker(model)
    complete = model.complete

    async def after_another(example, repeat=0):
        asker._answers += 1  # to another question, in the meantime
        return await complete(example, repeat)

    model.complete = after_another
    assert asyncio.run(asker.ask(ONE)).completion is YES
    assert model.calls == 21


# --- waits -----------------------------------------------------------------------------------------------------


@given(failures=st.integers(1, 5000))
def test_waits_double_up_to_half_a_minute_and_half_of_each_is_jitter(failures):
    longest = min(30.0, 0.5 * 2.0 ** min(failures - 1, 30))
    assert longest / 2 <= wait_s(failures, None) <= longest


@given(failures=st.integers(1, 100), retry_after_s=st.floats(-10, 1e6))
def test_an_endpoint_is_heeded(failures, retry_after_s):
    assert max(0.0, retry_after_s) <= wait_s(failures, retry_after_s) <= max(0.0, retry_after_s) + 0.5


# --- time ------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """One second passes between any two looks."""
    ticks = itertools.count()
    monkeypatch.setattr("pytest_ftgate.clock.perf_counter", lambda: float(next(ticks)))
    return lambda: float(next(ticks))


def test_only_the_attempt_that_succeeded_is_timed(clock):
    async def slow():
        clock()
        return YES

    found = answer(Model(BUSY, BUSY, slow, retries=2))
    assert (found.completion, found.latency_s) == (YES, 2.0)


def test_a_model_that_knows_its_time_better_is_believed(clock):
    assert answer(Model(Completion("yes", latency_s=0.125))).latency_s == 0.125


# --- limits on requests ----------------------------------------------------------------------------------------


def test_each_attempt_counts_as_a_request():
    begun = []

    class Timed(Model):
        async def complete(self, example, repeat=0):
            begun.append(asyncio.get_running_loop().time() - 1000.0)
            return await super().complete(example, repeat)

    asker = Asker(Timed(BUSY, BUSY, YES, retries=5), Throttle(4, requests_per_minute=30))
    virtual_time.run(asker.ask(ONE))
    assert begun == pytest.approx([0, 2, 4])


# --- how long a model was busy, spread over its answers --------------------------------------------------------


def test_the_shares_add_up_to_the_time_in_which_a_call_was_under_way():
    now = [0.0]
    busy = BusyTime(lambda: now[0])
    busy.begin()
    busy.begin()
    now[0] = 3
    first = busy.share_s()
    busy.end()
    now[0] = 4
    second = busy.share_s()
    busy.end()
    now[0] = 100  # idle
    busy.begin()
    now[0] = 102
    busy.end()  # failed: its two seconds were spent all the same
    now[0] = 200
    busy.begin()
    now[0] = 201
    third = busy.share_s()
    busy.end()
    assert (first, second, third) == pytest.approx((3, 1, 3))
