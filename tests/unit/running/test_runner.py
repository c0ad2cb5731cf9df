"""Models over test sets: each prediction once, in order, whatever goes wrong on the way."""

import asyncio
import contextlib
import gc
import os
import signal
import threading
import time
from contextlib import closing
from dataclasses import replace

import pytest
from fakes import THREE, Fake, errors, questions, run, texts

from pytest_ftgate import clock
from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Completion, Prediction
from pytest_ftgate.runs import asking, calls
from pytest_ftgate.runs import store as store_module
from pytest_ftgate.runs.jobs import Job, Progress, Stores, TimeLimit
from pytest_ftgate.runs.runner import ask, run_models
from pytest_ftgate.runs.store import Store


def kinds(results):
    return [p.failure and p.failure.kind for row in results.predictions for p in row]


def stored(results):
    return [p.stored for row in results.predictions for p in row]


# --- a run -----------------------------------------------------------------------------------------------------


def test_every_example_is_asked_as_often_as_it_is_repeated_and_told_in_full(stores):
    model = Fake()
    results = run(model, stores, repeats=2)
    assert (results.model, results.test_set, results.fatal) == (model, THREE, None)
    first = results.predictions[0][0]
    times = (first.latency_s, first.created_at, first.busy_s)
    assert first == Prediction("model/a/0", Completion("model/a/0"), *times, id="id0")
    assert None not in times
    assert first.latency_s > 0
    keys = [[f"model/{text}/{repeat}" for text in "abc"] for repeat in (0, 1)]
    assert [[p.key for p in row] for row in results.predictions] == keys
    assert texts(results) == [*keys[0], *keys[1]]
    assert sorted(model.calls) == sorted(texts(results))
    assert run_models([], stores=stores) == ()
    assert run(Fake(), stores, questions()).predictions == ((),)


def test_answers_are_not_older_than_their_session_where_the_clock_is_set_back(stores, monkeypatch):
    """Otherwise --ftgate-cache=refresh would take its own answers for those of an earlier run."""
    monkeypatch.setattr(clock, "wall", lambda: stores.started - 3600)
    results = run(Fake(), stores)
    assert {prediction.created_at for prediction in results.predictions[0]} == {stores.started}


def test_results_keep_the_order_of_the_test_set_whatever_that_of_the_answers(stores):
    second_event = asyncio.Event()

    async def last_first(model, key):
        if key != "model/c/0":
            await second_event.wait()
        second_event.set()
        return key

    assert texts(run(Fake(last_first), stores)) == ["model/a/0", "model/b/0", "model/c/0"]


def test_runs_and_single_questions_work_where_a_loop_is_running(stores):
    model, alone = Fake(), Fake()

    async def within():
        return run(model, stores), ask(alone, "a"), asyncio.get_running_loop()

    results, answer, outer = asyncio.run(within())
    assert (texts(results), answer) == (
        ["model/a/0", "model/b/0", "model/c/0"],
        Completion("model/a/0"),
    )
    assert outer not in model.loops | alone.loops
    assert alone.closed == list(alone.loops)
    with pytest.raises(ModelError, match="ValueError"):
        ask(Fake(failing("model/a/0")), "a")


def test_models_are_closed_once_in_the_loop_that_they_answered_in_and_one_that_cannot_be_has_answered(
    stores,
):
    class Stuck(Fake):
        async def aclose(self):
            await super().aclose()
            raise OSError("already gone")

    n_threads = threading.active_count()
    first_model, two = Fake(name="one"), Stuck(name="two")
    runs = run_models(
        [Job(first_model, THREE), Job(two, THREE), Job(first_model, questions("d"))], stores=stores
    )
    assert None not in [text for run in runs for text in texts(run)]
    assert first_model.closed == list(first_model.loops) == two.closed == list(two.loops)
    assert threading.active_count() == n_threads


# --- how many at a time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", [30, 20])
def test_as_many_calls_as_allowed_and_no_more_also_of_two_jobs_of_one_model(stores, split):
    """A call ends when as many are in flight as there may be, or none can follow."""
    busy, busiest, tasks = [], [], []

    async def counted(model, key):
        busy.append(key)
        busiest.append(len(busy))
        tasks.append(len(asyncio.all_tasks()))
        while len(busy) < 5 and len(model.calls) < 30:
            await asyncio.sleep(0)
        busy.remove(key)
        return key

    model = Fake(counted, concurrency=5)
    run_models(
        [Job(model, questions(*some)) for some in (range(split), range(split, 30))], stores=stores
    )
    assert (max(busiest), len(model.calls)) == (5, 30)
    assert max(tasks) <= 15, "an example is never a task"


@pytest.mark.parametrize("common", [True, False])
def test_models_that_use_one_object_are_called_in_turn(stores, common):
    """As two adapters of one model in memory, which are switched before each answer."""
    busy, busiest = [], []

    async def counted(model, key):
        busy.append(key)
        busiest.append(len(busy))
        await asyncio.sleep(0.001)
        busy.remove(key)
        return key

    models = [
        Fake(
            counted,
            name=name,
            concurrency=2,
            exclusive=frozenset(["adapters"] if common else [name]),
        )
        for name in ("base", "tuned")
    ]
    run_models([Job(model, questions(*range(8))) for model in models], stores=stores)
    assert max(busiest) == (1 if common else 4)


# --- each once -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("persistent", [True, False])
def test_without_a_persistent_store_and_for_what_may_not_outlive_it_the_sessions_serves(
    stores, path, persistent
):
    volatile = Stores(None, stores.session) if persistent else stores
    run(Fake(persistent=persistent), volatile)
    model = Fake(persistent=persistent)
    assert stored(run(model, volatile)) == [True] * 3
    assert (model.calls, path.exists()) == ([], False)


def test_one_key_is_asked_once_however_often_it_is_wanted(stores):
    model, same_model = Fake(), Fake()
    first_result, two = run_models(
        [Job(model, questions("a", "a", "b")), Job(same_model, questions("b", "a"))], stores=stores
    )
    assert sorted(model.calls + same_model.calls) == ["model/a/0", "model/b/0"]
    assert texts(first_result) == ["model/a/0", "model/a/0", "model/b/0"]
    assert texts(two) == ["model/b/0", "model/a/0"]
    assert stored(first_result) + stored(two) == [False] * 5


def test_what_another_process_stores_meanwhile_is_not_asked(stores, path):
    with closing(Store(path)) as second_store:

        async def other_s_answer(model, key):
            second_store.put([Prediction("model/c/0", Completion("the other's"), 1.0, 5.0)])
            return key

        model = Fake(other_s_answer, concurrency=1)
        results = run(model, stores)
    assert texts(results) == ["model/a/0", "model/b/0", "the other's"]
    assert (stored(results), model.calls) == ([False, False, True], ["model/a/0", "model/b/0"])


def test_two_processes_ask_each_question_once_also_with_models_in_opposite_order(stores, path):
    """Each run has a store of its own on the file, as another process has; none waits for the other for ever."""
    keys_asked = []

    async def slow(model, key):
        keys_asked.append(key)
        await asyncio.sleep(0.005)
        return key

    def judge(names, answers):
        with closing(Store(path)) as persistent:
            jobs = [
                Job(Fake(slow, name=name, concurrency=2), questions(*range(30))) for name in names
            ]
            answers += run_models(jobs, stores=Stores(persistent, stores.session))

    runs = []
    threads = [
        threading.Thread(target=judge, args=(names, runs))
        for names in (("a", "b"), ("b", "a"), ("b", "a"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(keys_asked) == sorted(
        f"{name}/{number}/0" for name in "ab" for number in range(30)
    )
    assert [None in texts(run) for run in runs] == [False] * 6


@pytest.mark.parametrize("end", ["answered", "given up", "killed"])
def test_a_question_that_another_process_asks_is_waited_for_or_taken_over(
    stores, path, monkeypatch, end
):
    with closing(Store(path)) as second_store:
        second_store.claim(["model/b/0"], "another process")
        if end == "killed":
            monkeypatch.setattr(store_module, "CLAIM_S", 0.2)

        def progress(models, seconds):
            if models[0].done == 2 and end == "answered":
                second_store.put([Prediction("model/b/0", Completion("the other's"), 1.0, 5.0)])
            if models[0].done == 2 and end == "given up":
                second_store.release("another process")

        model = Fake(concurrency=1)
        results = run(model, stores, progress=progress)
    taken_over = end != "answered"
    assert texts(results) == [
        "model/a/0",
        "model/b/0" if taken_over else "the other's",
        "model/c/0",
    ]
    assert model.calls == ["model/a/0", "model/c/0", *(["model/b/0"] if taken_over else [])]


def test_what_a_run_gave_up_is_free_for_others(stores, path):
    run(Fake(failing("model/b/0")), stores)
    with closing(Store(path)) as second_store:
        assert second_store.claim(["model/a/0", "model/b/0"], "another process") == {
            "model/a/0",
            "model/b/0",
        }


def test_a_gate_s_time_limit_ends_the_wait_for_another_process(stores, path):
    with closing(Store(path)) as second_store:
        second_store.claim(["model/b/0"], "another process")
        limit = TimeLimit(0.3, "here", time.monotonic() + 0.3)
        results = run(Fake(), stores, limit=limit)
    assert texts(results) == ["model/a/0", None, "model/c/0"]
    assert "timeout_s" in results.fatal.what


# --- what fails ------------------------------------------------------------------------------------------------


def failing(*failures):
    async def answer(model, key):
        if key in failures:
            raise ValueError("no")
        return key

    return answer


REVOKED = ModelError("the key is not valid", fatal=True, cure="set OPENAI_API_KEY")


@pytest.mark.parametrize("deaf", [False, True])
def test_a_fatal_error_of_one_model_stops_the_other_and_keeps_what_it_has_answered(stores, deaf):
    heard = []
    begun = asyncio.Event()

    async def slow(model, key):
        if key == "slow/a/0":
            return key
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append(key)
            if not deaf:
                raise
        return key

    async def revoked(model, key):
        await begun.wait()
        raise REVOKED

    patient = Fake(slow, name="slow", concurrency=1, timeout_s=None if deaf else 60.0)
    first_result, two = run_models(
        [Job(patient, THREE), Job(Fake(revoked, name="ft"), THREE)], stores=stores
    )
    assert (first_result.fatal, two.fatal, heard) == (None, REVOKED, ["slow/b/0"])
    assert texts(first_result) == ["slow/a/0", "slow/b/0" if deaf else None, None]
    assert kinds(first_result)[2] == "stopped"
    assert stored(run(Fake(name="slow"), stores)) == [True, deaf, False]


def test_where_one_model_cannot_be_asked_no_model_is(stores):
    def ready():
        raise REVOKED

    fine, locked = Fake(name="fine"), Fake(name="ft", ready=ready)
    first_result, two = run_models([Job(fine, THREE), Job(locked, THREE)], stores=stores)
    assert (first_result.fatal, two.fatal, fine.calls, locked.calls) == (None, REVOKED, [], [])
    assert (kinds(first_result), errors(two)) == (["stopped"] * 3, [str(REVOKED)] * 3)
    run(Fake(name="ft"), stores)
    assert None not in texts(run(locked, stores)), "what need not be asked need not be ready"


@pytest.fixture
def ticks(monkeypatch):
    """Return the threads of all ticks beside the loop of a run, a millisecond apart."""
    monkeypatch.setattr(asking, "TICK_S", 0.001)
    threads = []

    def counted(work, tick):
        asking.run_in_own_loop(work, lambda: (tick(), threads.append(threading.get_ident())))

    monkeypatch.setattr(calls, "run_in_own_loop", counted)
    return threads


def test_an_answer_that_cannot_be_stored_is_an_error_and_those_beside_it_are_kept(stores):
    async def answer(model, key):
        return Completion(key, input_tokens=10**5000 if key == "model/b/0" else None)

    results = run(Fake(answer), stores)
    assert texts(results) == ["model/a/0", None, "model/c/0"]
    assert stores.persistent.get(["model/a/0", "model/c/0"]).keys() == {"model/a/0", "model/c/0"}


def test_whatever_the_store_raises_ends_the_run_and_holds_it_up_no_longer(stores, monkeypatch):
    def broken(predictions):
        raise RuntimeError("broken")

    monkeypatch.setattr(stores.persistent, "put", broken)
    with pytest.raises(RuntimeError, match="broken"):
        run(Fake(), stores)


def test_offline_an_endpoint_is_not_asked_and_everything_else_is(stores):
    run(Fake(), stores, questions("b"))
    model = Fake(endpoint=True)
    results = run(model, stores, offline=True)
    assert kinds(results) == ["offline", None, "offline"]
    assert (model.calls, results.fatal) == ([], None)
    assert texts(run(Fake(), stores, offline=True)) == ["model/a/0", "model/b/0", "model/c/0"]


# --- progress --------------------------------------------------------------------------------------------------


def test_the_last_word_on_progress_is_complete(stores):
    run(Fake(), stores, questions("a"))
    events = []
    failing_model = Fake(failing("model/b/0"))
    jobs = [
        Job(failing_model, THREE),
        Job(failing_model, THREE, repeats=2),
        Job(Fake(name="two"), questions("a", "a")),
    ]
    run_models(jobs, stores=stores, progress=lambda models, seconds: events.append(models))
    model, two = events[-1]
    assert replace(model, problem=None) == Progress("model", 6, 6, stored=1, errors=1)
    assert two == Progress("two", 1, 1)


def test_progress_says_what_is_tried_again_until_a_call_is_answered_in_the_caller_s_thread(
    stores, ticks
):
    events = []

    async def refused(model, key):
        until = len(ticks) + 3
        while len(ticks) < until:
            await asyncio.sleep(0)
        if len(model.calls) == 1:
            raise ModelError("connection refused", retryable=True)
        return key

    def progress(models, seconds):
        event = (models[0].done, models[0].problem)
        if event not in events:
            events.append(event)

    run(Fake(refused, concurrency=1, retries=1), stores, questions("a"), progress=progress)
    assert events == [(0, None), (0, "connection refused"), (1, None)]
    assert set(ticks) == {threading.get_ident()}


@pytest.mark.parametrize("broken", [False, True])
def test_a_display_that_fails_takes_no_answer_away(stores, broken):
    events = []

    def progress(models, seconds):
        events.append(models[0].done)
        assert not broken

    (results,) = run_models([Job(Fake(), THREE)], stores=stores, progress=progress)
    assert (events[-1], None in texts(results)) == (3, False)


# --- interruption ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="signals to oneself")
def test_ctrl_c_keeps_what_has_arrived_and_gives_the_rest_back(stores):
    heard = []
    signalled = []

    async def interrupted(model, key):
        if key == "model/a/0":
            return key
        try:
            if len(model.calls) == 3:
                signalled.append(time.monotonic())
                os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append(key)
            raise

    n_threads = threading.active_count()
    model = Fake(interrupted, concurrency=2, abandons=True)  # its calls would go on in threads
    with pytest.raises(KeyboardInterrupt):
        run(model, stores, questions(*"abcdefgh"))
    assert time.monotonic() - signalled[0] < 1
    assert (sorted(heard), len(model.closed)) == (["model/b/0", "model/c/0"], 1)
    assert threading.active_count() == n_threads
    assert stored(run(Fake(), stores)) == [True, False, False]


# Python 3.12.1 says more than asyncio does of a task that is collected in the middle of a call.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <coroutine object Caller.work:pytest.PytestUnraisableExceptionWarning"
)
def test_a_call_that_cannot_be_cancelled_does_not_hold_ctrl_c_up(stores, monkeypatch):
    monkeypatch.setattr(asking, "PATIENCE_S", 0.2)
    monkeypatch.setattr(calls, "_CANCEL_S", 0.01)
    begun = threading.Event()

    async def stubborn(model, key):
        begun.set()
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    def interrupt(models, seconds):
        if begun.is_set():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Fake(stubborn), stores, questions("a"), progress=interrupt)
    # asyncio complains of the abandoned task when it is collected: here, not in a later test
    gc.collect()
