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
from pytest_ftgate.models.protocol import RetryPolicy
from pytest_ftgate.runs.asking import Asker, BusyTime
from pytest_ftgate.runs.throttle import Throttle

EXAMPLE = Example("e", "question", "answer")
ONE = Question("k", EXAMPLE, 0)
YES = Completion("yes")


class Model(protocol.Model):
    """Does what it is told at each call; the last step is repeated."""

    name = "model"

    def __init__(self, *steps, retries=0, timeout_s=60.0):
        self.steps = list(steps)
        self.retries = retries
        self.timeout_s = timeout_s
        self.calls = 0

    async def complete(self, example, repeat=0):
        step = self.steps[min(self.calls, len(self.steps) - 1)]
        self.calls += 1
        if isinstance(step, BaseException):
            raise step
        return await step() if callable(step) else step


class Waits(RetryPolicy):
    """Never waits, but remembers for what it would have."""

    __slots__ = ("asked",)

    def __init__(self):
        object.__setattr__(self, "asked", [])

    def wait_s(self, failures, retry_after_s):
        self.asked.append((failures, retry_after_s))
        return 0.0


def answer(model, policy=None):
    return asyncio.run(Asker(model, policy or Waits()).ask(ONE))


def error(model, policy=None):
    with pytest.raises(ModelError) as caught:
        answer(model, policy)
    return caught.value


def busy(retry_after_s=None):
    return ModelError("busy", retryable=True, retry_after_s=retry_after_s)


def too_many():
    return ModelError("too many", retryable=True, kind="busy")


async def for_ever():
    await asyncio.Event().wait()


# --- attempts --------------------------------------------------------------------------------------------------


def test_what_may_succeed_later_is_tried_again():
    model, waits = Model(busy(), busy(7.0), YES, retries=2), Waits()
    assert answer(model, waits) == Prediction("k", YES, ANY, ANY, ANY, retries=2)
    assert waits.asked == [(1, None), (2, 7.0)]


def test_but_only_so_often_and_the_text_says_how_often():
    where = Where("f.yaml", 3)
    model = Model(ModelError("busy", retryable=True, where=where, evidence="503", cure="wait"), retries=2)
    found = error(model)
    assert (found.where, found.evidence, found.cure, found.attempts, model.calls) == (where, "503", "wait", 3, 3)
    assert "3" in found.what
    assert error(Model(busy())).what == "busy"  # a single attempt is not counted out loud


@pytest.mark.parametrize("final", [ModelError("no"), ModelError("no", retryable=True, fatal=True)])
def test_what_cannot_succeed_later_is_not_tried_again(final):
    model = Model(final, YES, retries=5)
    assert error(model) is final
    assert model.calls == 1


def test_an_error_that_turns_fatal_stays_fatal():
    model = Model(busy(), ModelError("key revoked", fatal=True), retries=5)
    found = error(model)
    assert ("key revoked" in found.what, found.fatal) == (True, True)


def test_one_call_too_many_is_no_failure_while_others_are_answered():
    """The endpoint refuses this question twenty times, but answers the others: it is a matter of patience."""
    model = Model(*[too_many()] * 20, YES, retries=2)
    asker = Asker(model, Waits())
    complete = model.complete

    async def after_another(example, repeat=0):
        asker._answers += 1  # to another question, in the meantime
        return await complete(example, repeat)

    model.complete = after_another
    assert asyncio.run(asker.ask(ONE)).completion is YES
    assert model.calls == 21


@pytest.mark.parametrize("retries", [2, 0])
def test_where_nobody_is_answered_each_refusal_counts_and_without_retries_it_is_the_end(retries):
    model = Model(too_many(), retries=retries)
    assert "too many" in error(model).what
    assert model.calls == 1 + retries


def test_each_kind_of_trouble_is_counted_apart():
    gone = ModelError("gone", retryable=True, kind="unreachable")
    model = Model(too_many(), busy(), gone, too_many(), busy(), gone, YES, retries=2)
    assert answer(model).completion is YES


# --- waits -----------------------------------------------------------------------------------------------------

policies = st.builds(RetryPolicy, *[st.floats(0, 1000)] * 3)


@given(policy=policies, failures=st.integers(1, 5000))
def test_waits_double_up_to_the_cap_and_half_of_each_is_jitter(policy, failures):
    longest = min(policy.cap_s, policy.base_s * 2.0 ** min(failures - 1, 60)) if policy.base_s else 0.0
    if failures <= 31:
        assert longest / 2 <= policy.wait_s(failures, None) <= longest
    assert policy.wait_s(failures, None) <= policy.cap_s


@given(policy=policies, failures=st.integers(1, 100), retry_after_s=st.floats(-10, 1e6))
def test_an_endpoint_is_heeded_up_to_a_cap(policy, failures, retry_after_s):
    heeded = max(0.0, min(retry_after_s, policy.retry_after_cap_s))
    assert heeded <= policy.wait_s(failures, retry_after_s) <= heeded + policy.base_s


def test_the_waits_without_a_word_from_the_endpoint():
    policy = RetryPolicy()
    assert (policy.base_s, policy.cap_s, policy.retry_after_cap_s) == (0.5, 30.0, 120.0)
    assert policy.wait_s(9, None) >= 15.0
    assert 120.0 <= policy.wait_s(1, 3600.0) <= 120.5


# --- the time limit --------------------------------------------------------------------------------------------


def test_a_late_answer_is_no_answer_and_tried_again():
    model = Model(for_ever, YES, retries=1, timeout_s=0.001)
    assert answer(model).completion is YES
    model = Model(for_ever, retries=1, timeout_s=0.001)
    assert "0.001 s" in error(model).what
    assert model.calls == 2


def test_a_call_that_goes_on_in_the_background_is_called_abandoned():
    model = Model(for_ever, retries=3, timeout_s=0.001)
    model.abandons = True
    assert "0.001 s" in error(model).what
    assert model.calls == 1  # each further one would block a thread more


def test_a_time_out_of_the_model_s_own_is_not_ours():
    model = Model(asyncio.TimeoutError("mine"), YES, retries=5)
    assert "TimeoutError: mine" in error(model).what
    assert model.calls == 1


# --- what counts as an answer ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        (ValueError("no such label"), "ValueError: no such label"),
        (KeyError("label"), "KeyError: 'label'"),
        (SystemExit(0), "SystemExit: 0"),
        (KeyboardInterrupt("mine"), "KeyboardInterrupt: mine"),
        (pytest.skip.Exception("not today"), "Skipped: not today"),
    ],
)
@pytest.mark.parametrize("timeout_s", [None, 60.0])
def test_an_exception_is_a_failure_and_not_tried_again(raised, text, timeout_s):
    model = Model(raised, YES, retries=5, timeout_s=timeout_s)
    found = error(model)
    assert text in found.what
    assert (found.retryable, found.fatal) == (False, False)
    assert model.calls == 1


@pytest.mark.parametrize(
    ("returned", "kind"),
    [
        (None, "NoneType"),
        ("yes", "str"),
        (Completion(7), "int"),
        (Completion(None), "text"),
        (Completion("x", finish="length"), "cut_off"),
        (Completion("x", input_tokens=-1), "input_tokens"),
        (Completion("x", output_tokens=1.5), "output_tokens"),
        (Completion("x", cached_input_tokens=True), "cached_input_tokens"),
        *((Completion("x", latency_s=value), "latency_s") for value in (float("nan"), "1")),
    ],
)
def test_only_a_text_with_valid_facts_is_an_answer(returned, kind):
    assert kind in error(Model(returned)).what


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

    found = answer(Model(busy(), busy(), slow, retries=2))
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

    asker = Asker(Timed(busy(), busy(), YES, retries=5), Waits(), Throttle(4, requests_per_minute=30))
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
