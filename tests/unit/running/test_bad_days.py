"""Bad days of an endpoint: what a run makes of calls that fail, and how long it goes on; in virtual time."""

import asyncio
import itertools
from dataclasses import replace

import pytest
from fakes import THREE, Fake, errors, questions, run, run_at_once, texts
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.errors import ModelError, Where
from pytest_ftgate.models import Completion
from pytest_ftgate.runs.asking import wait_s
from pytest_ftgate.runs.calls import BusyTime

YES = Completion("yes")
ONE = questions("a")


def steps(*outcomes):
    """Return an answer that does what it is told at each call; the last step is repeated."""

    async def answer(model, key):
        step = outcomes[min(len(model.calls), len(outcomes)) - 1]
        if isinstance(step, BaseException):
            raise step
        return await step() if callable(step) else step

    return answer


async def for_ever():
    await asyncio.Event().wait()


# --- one question ----------------------------------------------------------------------------------------------

DOWN, LATER = (
    ModelError("down", retryable=True),
    ModelError("down", retryable=True, retry_after_s=7.0),
)
TOO_MANY = ModelError("too many", retryable=True, kind="busy")
REVOKED = ModelError("key revoked", fatal=True)
BUSY = ModelError("busy", retryable=True, where=Where("f.yaml", 3), evidence="503", cure="wait")
PATIENT = ModelError("not today", retryable=True, kind="busy", retry_after_s=3600)
ABSURD = ModelError("not today", retryable=True, kind="busy", retry_after_s=1e9)


def replaced(error, **facts):
    return ModelError(error.what, **error.parts(**facts))


# what happens at each call, the keys of the model; the answer or the error, calls, seconds at most
BAD_DAYS = [
    ([DOWN, DOWN, YES], {"retries": 2}, YES, 3, 1.5),
    ([LATER, LATER, YES], {"retries": 2}, YES, 3, 15),
    ([BUSY], {"retries": 2}, "busy (tried 3 times)", 3, 1.5),
    ([DOWN], {}, "down", 1, 0),  # a single attempt is not counted out loud
    ([ModelError("no"), YES], {"retries": 5}, "no", 1, 0),
    ([ModelError("no", retryable=True, fatal=True), YES], {"retries": 5}, "no", 1, 0),
    ([DOWN, REVOKED], {"retries": 5}, "key revoked (tried 2 times)", 2, 0.5),
    *(
        ([wait, YES], {"retries": 5}, YES, 2, 121)
        for wait in (PATIENT, ABSURD, replaced(ABSURD, kind="other"))
    ),
    *(([wait], {"retries": 5}, "not today", 2, 121) for wait in (PATIENT, ABSURD)),
    *(([TOO_MANY], {"retries": retries}, "too many", 1 + retries, 1.5) for retries in (2, 0)),
    ([for_ever, YES], {"retries": 1}, YES, 2, 60.5),
    ([for_ever], {"retries": 1}, "60 s", 2, 120.5),
    # each further one would block a thread
    ([for_ever], {"retries": 3, "abandons": True}, "60 s", 1, 60),
    ([asyncio.TimeoutError("mine"), YES], {"retries": 5}, "TimeoutError: mine", 1, 0),
    ([asyncio.CancelledError(), YES], {"retries": 5}, "cancelled its own call", 1, 0),
    *(
        ([raised, YES], {"retries": 5, "timeout_s": timeout_s}, text, 1, 0)
        for timeout_s in (None, 60.0)
        for raised, text in (
            (ValueError("no such label"), "ValueError: no such label"),
            (SystemExit(0), "SystemExit: 0"),
            (KeyboardInterrupt("mine"), "KeyboardInterrupt: mine"),
            (pytest.skip.Exception("not today"), "Skipped: not today"),
        )
    ),
    *(
        ([returned], {}, kind, 1, 0)
        for returned, kind in (
            (None, "NoneType"),
            (5, "int"),
            (Completion(7), "int"),
            (Completion("x", finish="length"), "cut_off"),
            (Completion("x", input_tokens=-1), "input_tokens"),
            (Completion("x", input_tokens=10**5000), "input_tokens"),
            (Completion("x", reasoning=["a"]), "reasoning is of type list"),
            (Completion("x", output_tokens=1.5), "output_tokens"),
            (Completion("x", cached_input_tokens=True), "cached_input_tokens"),
            *((Completion("x", latency_s=value), "latency_s") for value in (float("nan"), "1")),
        )
    ),
]


@pytest.mark.parametrize(("outcomes", "keys", "outcome", "calls", "most_s"), BAD_DAYS)
def test_a_bad_day_of_one_question(stores, outcomes, keys, outcome, calls, most_s):
    model = Fake(steps(*outcomes), **keys)
    results, seconds = run_at_once(model, stores, ONE)
    ((prediction,),) = results.predictions
    if outcome is YES:
        assert (prediction.completion, prediction.retries) == (YES, calls - 1)
    else:
        assert outcome in prediction.failure.what
        if outcomes == [BUSY]:
            assert (
                prediction.failure.where,
                prediction.failure.evidence,
                prediction.failure.cure,
            ) == (
                BUSY.where,
                "503",
                "wait",
            )
        assert (prediction.failure.attempts, results.fatal is prediction.failure) == (
            calls,
            prediction.failure.fatal,
        )
    assert len(model.calls) == calls
    assert seconds <= most_s


def test_one_call_too_many_is_no_failure_while_others_are_answered(stores):
    """The endpoint refuses one question twenty times, but answers the others: it is a matter of patience."""
    refused = itertools.count()

    async def answer(model, key):
        await asyncio.sleep(0.4)
        if key == "model/a/0" and next(refused) < 20:
            raise TOO_MANY
        return key

    results, _ = run_at_once(
        Fake(answer, retries=2, concurrency=2), stores, questions("a", *range(200))
    )
    assert (None in texts(results), next(refused)) == (False, 21)


@given(failures=st.integers(1, 5000), retry_after_s=st.floats(-10, 1e6))
def test_waits_double_up_to_half_a_minute_and_half_of_each_is_jitter_and_an_endpoint_is_heeded(
    failures, retry_after_s
):
    longest = min(30.0, 0.5 * 2.0 ** min(failures - 1, 30))
    assert longest / 2 <= wait_s(failures, None) <= longest
    granted_s = min(max(0.0, retry_after_s), 120.0)
    assert granted_s <= wait_s(failures, retry_after_s) <= granted_s + 0.5


def test_each_attempt_counts_as_a_request(stores):
    begun = []

    async def answer(model, key):
        begun.append(asyncio.get_running_loop().time() - 1000.0)
        return await steps(DOWN, DOWN, YES)(model, key)

    run_at_once(Fake(answer, retries=5, requests_per_minute=30), stores, ONE)
    assert begun == pytest.approx([0, 2, 4])


# --- a model that answers nothing ------------------------------------------------------------------------------

REJECTED = ModelError("unsupported parameter", kind="refused")
BROKEN = ModelError("500 Internal Server Error", retryable=True)
LOADING = ModelError("503 Service Unavailable", retryable=True, kind="busy", retry_after_s=20.0)

fails, loads, rejected, hangs = (steps(step) for step in (BROKEN, LOADING, REJECTED, for_ever))


async def works(model, key):
    await asyncio.sleep(0.1)
    return key


HUNDREDS = questions(*range(300))

# how all calls fail, how many at once and their retries: after how many calls and seconds, at most
ENDED = [
    *((fails, *row) for row in ((16, 5, 126, 16), (8, 5, 78, 16), (4, 5, 54, 32), (1, 5, 30, 80))),
    *((fails, 1, retries, 5 * (1 + retries), 20) for retries in (1, 0)),
    *((rejected, 1, retries, 5, 1) for retries in (5, 0)),
    *((hangs, n, 5, 2 * n, 122) for n in (16, 8, 5)),  # each is asked once more
    *((hangs, n, 5, calls, 10_000) for n, calls in ((4, 32), (2, 28), (1, 26))),
    (loads, 8, 5, 48, 125),  # the waits that it asked for
]
KINDS = {fails: "other", rejected: "refused", hangs: "timeout", loads: "busy"}


@pytest.mark.parametrize(("failing", "concurrency", "retries", "most_calls", "most_s"), ENDED)
def test_a_model_that_answers_nothing_is_given_up(
    stores, failing, concurrency, retries, most_calls, most_s
):
    model = Fake(failing, concurrency=concurrency, retries=retries)
    results, seconds = run_at_once(model, stores, HUNDREDS)
    assert (results.fatal.fatal, results.fatal.kind, set(texts(results))) == (
        True,
        KINDS[failing],
        {None},
    )
    assert seconds <= most_s
    assert len(model.calls) <= most_calls
    if failing in (fails, loads) and retries == 5:
        assert seconds > 7  # a slow start is waited for
    else:
        assert len(model.calls) == most_calls


@pytest.mark.parametrize(("error", "up_after_s"), [(LOADING, 90), (BROKEN, 6)])
def test_a_slow_start_is_waited_for(stores, error, up_after_s):
    async def answer(model, key):
        if asyncio.get_running_loop().time() < 1000 + up_after_s:
            raise error
        return await works(model, key)

    results, _ = run_at_once(Fake(answer, concurrency=8, retries=5), stores, HUNDREDS)
    assert (results.fatal, None in texts(results)) == (None, False)


@pytest.mark.parametrize(
    ("fine", "n", "failing"),
    [
        *((range(1), 40, failing) for failing in (fails, hangs, rejected)),
        (range(1, 300), 300, fails),
    ],
)
def test_after_one_answer_no_failure_ends_the_run_nor_does_a_single_question_that_fails_first(
    stores, fine, n, failing
):
    right = [f"model/{i}/0" for i in fine]

    async def answer(model, key):
        return await (works if key in right else failing)(model, key)

    results, _ = run_at_once(Fake(answer, concurrency=1, retries=5), stores, questions(*range(n)))
    assert (results.fatal, texts(results).count(None)) == (None, n - len(fine))


@pytest.mark.parametrize(
    ("failing", "stored", "ended"),
    [
        (fails, 290, False),
        (hangs, 290, False),
        (fails, 40, True),
        (hangs, 40, True),
        (rejected, 40, False),
    ],
)
def test_a_few_questions_that_fail_again_do_not_end_the_run_but_an_outage_does(
    stores, failing, stored, ended
):
    run(Fake(), stores, replace(HUNDREDS, examples=HUNDREDS.examples[:stored]))
    results, _ = run_at_once(Fake(failing, concurrency=8, retries=5), stores, HUNDREDS)
    assert (results.fatal is not None, texts(results).count(None)) == (ended, 300 - stored)


@pytest.mark.parametrize(
    ("fifth", "n_calls"), [(hangs, 5), (steps(ModelError("no idea")), 6), (works, 20)]
)
def test_a_function_that_hangs_at_first_is_given_up(stores, fifth, n_calls):
    async def answer(model, key):
        return await (hangs if len(model.calls) % 5 else fifth)(model, key)

    model = Fake(answer, concurrency=1, abandons=True)
    results, _ = run_at_once(model, stores, questions(*range(20)))
    assert (len(model.calls), results.fatal is not None) == (n_calls, n_calls < 20)
    assert texts(results).count(None) == (16 if fifth is works else 20)
    assert all("60 s" in error for error in errors(results)[:4])


# --- time ------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """One second passes between any two looks."""
    ticks = itertools.count()
    monkeypatch.setattr("pytest_ftgate.clock.perf_counter", lambda: float(next(ticks)))
    return lambda: float(next(ticks))


def test_only_the_attempt_that_succeeded_is_timed_and_a_model_that_knows_better_is_believed(
    stores, clock
):
    async def slow():
        clock()
        return YES

    ((prediction,),) = run(Fake(steps(DOWN, DOWN, slow), retries=2), stores, ONE).predictions
    assert (prediction.completion, prediction.latency_s) == (YES, 2.0)
    completion = Completion("yes", latency_s=0.125)
    ((prediction, *_),) = run(Fake(steps(completion), name="other"), stores, THREE).predictions
    assert prediction.latency_s == 0.125


def test_the_shares_add_up_to_the_time_in_which_a_call_was_under_way():
    clock = [0.0]
    busy = BusyTime(lambda: clock[0])
    waits = []
    for at_s, does in (
        (0, busy.begin),
        (0, busy.begin),
        (3, busy.end),
        (4, busy.end),
        (100, busy.begin),
    ):
        clock[0] = at_s
        waits.append(does(1) if does == busy.end else does())
    clock[0] = 102
    waits.append(busy.end(0))  # failed: its two seconds were spent all the same
    clock[0] = 200
    busy.begin()
    clock[0] = 201
    assert [*waits, busy.end(2)] == [None, None, 3, 1, None, None, 1.5]
