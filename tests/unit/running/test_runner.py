"""Models over test sets: each prediction once, in order, whatever goes wrong on the way."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_ftgate.data import DataSet, Example
from pytest_ftgate.errors import ModelError, StoreError
from pytest_ftgate.models import Completion, Prediction, event_loop, protocol
from pytest_ftgate.models.protocol import RetryPolicy
from pytest_ftgate.runs import asking, calls, store_writer
from pytest_ftgate.runs.run_state import Progress
from pytest_ftgate.runs.runner import Job, Run, Stores, run_models
from pytest_ftgate.runs.store import Store
from pytest_ftgate.runs.store_writer import StoreWriter
from pytest_ftgate.text import OFFLINE

AT_ONCE = RetryPolicy(base_s=0.0)
Answer = Callable[["Model", str], Awaitable[str]]


class Model(protocol.Model):
    """Answers as ``answer`` does, a coroutine function of the model and the key; echoes the key without one."""

    spelling = "test:model"
    verified = None
    price = None

    def __init__(
        self,
        answer: Answer | None = None,
        *,
        name: str = "model",
        concurrency: int = 4,
        retries: int = 0,
        persistent: bool = True,
        endpoint: bool = False,
    ) -> None:
        self.answer = answer
        self.name = name
        self.concurrency = concurrency
        self.retries = retries
        self.timeout_s: float | None = 60.0
        self.persistent = persistent
        self.endpoint = endpoint
        self.calls: list[str] = []
        self.closed: list[asyncio.AbstractEventLoop] = []
        self.loops: set[asyncio.AbstractEventLoop] = set()

    def key(self, example: Example, repeat: int = 0) -> str:
        return f"{self.name}/{example.input}/{repeat}"

    async def complete(self, example: Example, repeat: int = 0) -> Completion:
        key = self.key(example, repeat)
        self.calls.append(key)
        self.loops.add(asyncio.get_running_loop())
        return Completion(key if self.answer is None else await self.answer(self, key))

    async def aclose(self) -> None:
        self.closed.append(asyncio.get_running_loop())


def test_set(*inputs: str | int) -> DataSet:
    examples = tuple(Example(f"id{number}", str(text), "yes") for number, text in enumerate(inputs))
    return DataSet(examples, None, "", None, "test")


test_set.__test__ = False  # type: ignore[attr-defined]
THREE = test_set("a", "b", "c")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".ftgate" / "predictions.sqlite3"


@pytest.fixture
def stores(path: Path) -> Iterator[Stores]:
    with closing(Store(path)) as persistent, closing(Store(None)) as session:
        yield Stores(persistent, session)


def run(model: Model, stores: Stores, data: DataSet = THREE, **options: object) -> Run:
    (found,) = run_models([Job(model, data)], stores=stores, retry=AT_ONCE, **options)  # type: ignore[arg-type]
    return found


def texts(found: Run) -> list[str | None]:
    return [p.completion and p.completion.text for row in found.predictions for p in row]


def errors(found: Run) -> list[str | None]:
    return [p.error for row in found.predictions for p in row]


def stored(found: Run) -> list[bool]:
    return [p.stored for row in found.predictions for p in row]


def leases(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as raw:
        return raw.execute("SELECT key, owner FROM leases").fetchall()


# --- a run -----------------------------------------------------------------------------------------------------


def test_every_example_is_asked_and_told_in_full(stores: Stores) -> None:
    model = Model()
    found = run(model, stores)
    assert (found.model, found.test_set, found.fatal) == (model, THREE, None)
    (row,) = found.predictions
    first = row[0]
    times = (first.latency_s, first.created_at, first.busy_s)
    assert first == Prediction("model/a/0", Completion("model/a/0"), *times, id="id0")
    assert first.latency_s is not None
    assert first.latency_s > 0
    assert first.created_at is not None
    assert sorted(model.calls) == ["model/a/0", "model/b/0", "model/c/0"]


def test_nothing_to_do(stores: Stores) -> None:
    assert run_models([], stores=stores) == ()
    assert run(Model(), stores, test_set()).predictions == ((),)


def test_repeats_are_rows(stores: Stores) -> None:
    (found,) = run_models([Job(Model(), THREE, repeats=2)], stores=stores)
    assert [[p.key for p in row] for row in found.predictions] == [
        ["model/a/0", "model/b/0", "model/c/0"],
        ["model/a/1", "model/b/1", "model/c/1"],
    ]
    assert texts(found) == [p.key for row in found.predictions for p in row]


@settings(deadline=None, max_examples=40)
@given(order=st.permutations(range(6)), concurrency=st.integers(1, 8))
def test_results_keep_the_order_of_the_test_set(order: Sequence[int], concurrency: int) -> None:
    """Whoever waits is let through in a drawn order: that of completion, whatever the order of the calls."""
    gates = {f"model/{number}/0": asyncio.Event() for number in order}

    async def in_turn(model: Model, key: str) -> str:
        if len(model.calls) == min(concurrency, len(order)):
            for number in order:
                gates[f"model/{number}/0"].set()
                await asyncio.sleep(0)
        await gates[key].wait()
        return key

    data = test_set(*range(6))
    with closing(Store(None)) as session:
        (found,) = run_models([Job(Model(in_turn, concurrency=concurrency), data)], stores=Stores(None, session))
    assert texts(found) == [f"model/{number}/0" for number in range(6)]
    assert [p.id for p in found.predictions[0]] == [example.id for example in data]


def test_it_works_where_a_loop_is_running(stores: Stores) -> None:
    model = Model()

    async def within() -> tuple[Run, asyncio.AbstractEventLoop]:
        return run(model, stores), asyncio.get_running_loop()

    found, outer = asyncio.run(within())
    assert texts(found) == ["model/a/0", "model/b/0", "model/c/0"]
    assert outer not in model.loops


def test_models_are_closed_once_in_the_loop_that_they_answered_in(stores: Stores) -> None:
    one, two = Model(name="one"), Model(name="two")
    run_models([Job(one, THREE), Job(two, THREE), Job(one, test_set("d"))], stores=stores)
    assert one.closed == list(one.loops) == two.closed == list(two.loops)


def test_a_model_that_cannot_be_closed_has_answered_all_the_same(stores: Stores) -> None:
    class Stuck(Model):
        async def aclose(self) -> None:
            raise OSError("already gone")

    assert None not in texts(run(Stuck(), stores))


def test_no_thread_is_left_behind(stores: Stores) -> None:
    before = threading.active_count()
    run(Model(), stores)
    assert threading.active_count() == before


# --- how many at a time ----------------------------------------------------------------------------------------


class Busy(Model):
    """Counts its calls in flight; a call ends when as many are in flight as there may be, or none can follow."""

    def __init__(self, n: int, concurrency: int) -> None:
        super().__init__(concurrency=concurrency)
        self.n = n
        self.now = self.most = self.tasks = 0

    async def complete(self, example: Example, repeat: int = 0) -> Completion:
        self.now += 1
        self.most = max(self.most, self.now)
        self.tasks = max(self.tasks, len(asyncio.all_tasks()))
        self.calls.append(self.key(example))
        while self.now < self.concurrency and len(self.calls) < self.n:
            await asyncio.sleep(0)
        self.now -= 1
        return Completion("yes")


def test_as_many_calls_as_allowed_and_no_more(stores: Stores) -> None:
    model = Busy(30, concurrency=5)
    run(model, stores, test_set(*range(30)))
    assert (model.most, len(model.calls)) == (5, 30)


def test_two_jobs_of_one_model_share_its_limit(stores: Stores) -> None:
    model = Busy(30, concurrency=5)
    run_models([Job(model, test_set(*range(20))), Job(model, test_set(*range(20, 30)))], stores=stores)
    assert (model.most, len(model.calls)) == (5, 30)


def test_an_example_is_never_a_task(stores: Stores) -> None:
    model = Busy(1000, concurrency=3)
    run(model, stores, test_set(*range(1000)))
    assert model.tasks <= 12


def test_no_more_workers_than_there_is_work(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    create_task = asyncio.create_task

    def noted(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        names.append(work.__qualname__)
        return create_task(work)

    monkeypatch.setattr(asyncio, "create_task", noted)
    run(Model(concurrency=1000), stores)
    assert names.count("ModelQueue.work") == 3


def test_all_models_work_at_the_same_time(stores: Stores) -> None:
    met = asyncio.Event()
    waiting: set[str] = set()

    async def meet(model: Model, key: str) -> str:
        waiting.add(model.name)
        if len(waiting) == 2:
            met.set()
        await met.wait()
        return key

    jobs = [Job(Model(meet, name=name, concurrency=1), THREE) for name in ("one", "two")]
    assert all(None not in texts(found) for found in run_models(jobs, stores=stores))


# --- each once -------------------------------------------------------------------------------------------------


def test_what_is_stored_is_not_asked_again(stores: Stores) -> None:
    first = run(Model(), stores)
    model = Model()
    second = run(model, stores)
    assert (model.calls, stored(first), stored(second)) == ([], [False] * 3, [True] * 3)
    for before, after in zip(first.predictions[0], second.predictions[0], strict=True):
        assert (before.completion, before.latency_s, before.created_at) == (
            after.completion,
            after.latency_s,
            after.created_at,
        )


def test_only_what_is_missing_is_asked(stores: Stores) -> None:
    run(Model(), stores, test_set("b"))
    model = Model()
    assert stored(run(model, stores)) == [False, True, False]
    assert sorted(model.calls) == ["model/a/0", "model/c/0"]


def test_what_may_not_outlive_the_session_is_kept_within_it(stores: Stores, path: Path) -> None:
    run(Model(persistent=False), stores)
    model = Model(persistent=False)
    assert stored(run(model, stores)) == [True] * 3
    assert model.calls == []
    assert not path.exists()


def test_without_a_persistent_store_the_session_s_serves(stores: Stores) -> None:
    volatile = Stores(None, stores.session)
    run(Model(), volatile)
    assert stored(run(Model(), volatile)) == [True] * 3


def test_recordings_come_before_all_else(stores: Stores, path: Path) -> None:
    kept = {f"model/{text}/0": Prediction(f"model/{text}/0", Completion("recorded"), None, 5.0) for text in "abc"}
    model = Model()
    found = run(model, Stores(stores.persistent, stores.session, kept))
    assert (texts(found), stored(found), model.calls) == (["recorded"] * 3, [True] * 3, [])
    assert found.predictions[0][0].created_at == 5.0
    assert not path.exists()


def test_what_is_too_old_is_asked_again_once(stores: Stores) -> None:
    assert stores.persistent is not None
    stores.persistent.put([Prediction(f"model/{text}/0", Completion("old"), None, 5.0) for text in "abc"])
    fresh = Stores(stores.persistent, stores.session, newer_than=100.0)
    assert stored(run(Model(), fresh)) == [False] * 3
    again = run(Model(), fresh)
    assert (stored(again), texts(again)) == ([True] * 3, ["model/a/0", "model/b/0", "model/c/0"])


def test_one_key_is_asked_once_however_often_it_is_wanted(stores: Stores) -> None:
    model, same = Model(), Model()
    one, two = run_models([Job(model, test_set("a", "a", "b")), Job(same, test_set("b", "a"))], stores=stores)
    assert sorted(model.calls + same.calls) == ["model/a/0", "model/b/0"]
    assert texts(one) == ["model/a/0", "model/a/0", "model/b/0"]
    assert texts(two) == ["model/b/0", "model/a/0"]
    assert stored(one) + stored(two) == [False] * 5


def test_what_another_process_is_asking_for_is_waited_for(stores: Stores, path: Path) -> None:
    with closing(Store(path)) as other:
        other.claim(["model/b/0"], "another", 30)

        async def other_s_answer(model: Model, key: str) -> str:
            other.put([Prediction("model/b/0", Completion("the other's"), 1.0, 5.0)])
            return key

        model = Model(other_s_answer)
        found = run(model, stores)
    assert texts(found) == ["model/a/0", "the other's", "model/c/0"]
    assert stored(found) == [False, True, False]
    assert "model/b/0" not in model.calls


def test_what_another_process_gives_up_is_taken_over(stores: Stores, path: Path) -> None:
    with closing(Store(path)) as other:
        other.claim(["model/a/0", "model/b/0"], "another", 30)

        async def other_gives_up(model: Model, key: str) -> str:
            other.release("another")
            return key

        model = Model(other_gives_up)
        found = run(model, stores)
    assert (stored(found), model.calls[0]) == ([False] * 3, "model/c/0")
    assert sorted(model.calls) == ["model/a/0", "model/b/0", "model/c/0"]


def test_keys_are_claimed_a_few_at_a_time(stores: Stores, path: Path) -> None:
    held: list[int] = []

    async def count(model: Model, key: str) -> str:
        held.append(len(leases(path)))
        return key

    run(Model(count, concurrency=2), stores, test_set(*range(40)))
    assert max(held) <= 6
    assert leases(path) == []


def test_leases_are_renewed_as_long_as_the_work_takes(
    stores: Stores, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_writer, "RENEW_EVERY_S", 0.0)

    def expires_at() -> float:
        with closing(sqlite3.connect(path)) as raw:
            return float(raw.execute("SELECT expires_at FROM leases").fetchone()[0])

    async def slow(model: Model, key: str) -> str:
        before = expires_at()
        while expires_at() <= before:
            await asyncio.sleep(0)
        return key

    assert texts(run(Model(slow), stores, test_set("a"))) == ["model/a/0"]


def test_each_answer_is_stored_before_its_worker_goes_on(stores: Stores, path: Path) -> None:
    seen: list[int] = []

    async def look(model: Model, key: str) -> str:
        with closing(sqlite3.connect(path)) as raw:
            seen.extend(raw.execute("SELECT count(*) FROM predictions").fetchone())
        return key

    run(Model(look, concurrency=1), stores, test_set(*range(4)))
    assert seen == [0, 1, 2, 3]


def test_answers_that_come_together_are_written_together(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    put = Store.put

    def counted(self: Store, predictions: Sequence[Prediction]) -> None:
        batches.append(len(predictions))
        put(self, predictions)

    monkeypatch.setattr(Store, "put", counted)
    run(Model(concurrency=8), stores, test_set(*range(80)))
    assert sum(batches) == 80
    assert len(batches) <= 12


def test_a_single_question_is_answered_anywhere() -> None:
    model = Model()

    async def within() -> Completion:
        return calls.ask(model, THREE.examples[0])

    assert asyncio.run(within()) == Completion("model/a/0")
    assert model.closed == list(model.loops)
    with pytest.raises(ModelError, match="ValueError: no"):
        calls.ask(Model(failing("model/a/0")), THREE.examples[0])


# --- what fails ------------------------------------------------------------------------------------------------


def failing(*failures: str, error: Exception | None = None) -> Answer:
    async def answer(model: Model, key: str) -> str:
        if key in failures:
            raise error or ValueError("no")
        return key

    return answer


def test_a_failure_is_missing_and_says_why(stores: Stores) -> None:
    found = run(Model(failing("model/b/0")), stores)
    assert texts(found) == ["model/a/0", None, "model/c/0"]
    assert found.predictions[0][1] == Prediction("model/b/0", id="id1", error="ValueError: no")
    assert found.fatal is None


def test_a_failure_is_not_stored_and_its_lease_ends_at_once(stores: Stores, path: Path) -> None:
    held: list[list[str]] = []

    async def answer(model: Model, key: str) -> str:
        held.append([lease for lease, _ in leases(path)])
        return await failing("model/a/0")(model, key)

    run(Model(answer, concurrency=1), stores)
    assert held[0] == ["model/a/0", "model/b/0"]
    assert held[1] == ["model/b/0"]
    again = Model()
    assert texts(run(again, stores))[0] == "model/a/0"
    assert again.calls == ["model/a/0"]


def test_a_failure_is_tried_again_as_often_as_the_model_says(stores: Stores) -> None:
    busy = ModelError("busy", retryable=True)
    model = Model(failing("model/b/0", error=busy), retries=3)
    assert errors(run(model, stores)) == [None, "busy (tried 4 times)", None]
    assert model.calls.count("model/b/0") == 4


def test_a_call_cancelled_by_the_model_itself_is_a_failure(stores: Stores) -> None:
    async def cancelled(model: Model, key: str) -> str:
        if key == "model/b/0":
            raise asyncio.CancelledError
        return key

    assert errors(run(Model(cancelled), stores)) == [None, "the call was cancelled from within the model", None]


REVOKED = ModelError("the key is not valid", fatal=True, cure="set OPENAI_API_KEY")


def test_a_fatal_error_ends_all_asking(stores: Stores) -> None:
    model = Model(failing("model/b/0", error=REVOKED), concurrency=1)
    found = run(model, stores, test_set(*"abcdefgh"))
    assert (found.fatal, texts(found)) == (REVOKED, ["model/a/0"] + [None] * 7)
    assert model.calls == ["model/a/0", "model/b/0"]
    assert errors(found)[1:] == ["the key is not valid\n  set OPENAI_API_KEY"] * 7
    assert len({id(error) for error in errors(found)[1:]}) == 1


def test_a_fatal_error_of_one_model_stops_the_other(stores: Stores, path: Path) -> None:
    heard: list[str] = []
    begun = asyncio.Event()

    async def slow(model: Model, key: str) -> str:
        if key == "slow/a/0":
            return key
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append(key)
            raise
        return key

    async def revoked(model: Model, key: str) -> str:
        await begun.wait()
        raise REVOKED

    patient = Model(slow, name="slow", concurrency=1)
    one, two = run_models([Job(patient, THREE), Job(Model(revoked, name="ft"), THREE)], stores=stores)
    assert (one.fatal, two.fatal, heard) == (None, REVOKED, ["slow/b/0"])
    assert texts(one) == ["slow/a/0", None, None]
    assert errors(one)[1:] == ["the run was stopped: ft: the key is not valid"] * 2
    assert leases(path) == []
    assert stored(run(Model(name="slow"), stores)) == [True, False, False]


class Locked(Model):
    """A model that cannot be asked, and says so before a call."""

    def ready(self) -> None:
        raise REVOKED


def test_where_one_model_cannot_be_asked_no_model_is(stores: Stores) -> None:
    fine, locked = Model(name="fine"), Locked(name="ft")
    one, two = run_models([Job(fine, THREE), Job(locked, THREE)], stores=stores)
    assert (one.fatal, two.fatal, fine.calls, locked.calls) == (None, REVOKED, [], [])
    assert errors(one) == ["the run was stopped: ft: the key is not valid"] * 3
    assert errors(two) == [str(REVOKED)] * 3


def test_a_model_that_need_not_be_asked_need_not_be_ready(stores: Stores) -> None:
    run(Model(), stores)
    again = Locked()
    assert (texts(run(again, stores)), again.calls) == ([f"model/{letter}/0" for letter in "abc"], [])


async def hangs(model: Model, key: str) -> str:
    await asyncio.Event().wait()
    return key


def hanging(answer: Answer) -> Model:
    """A model whose calls go on in a thread where they are given up, as those of plain functions do."""
    model = Model(answer, name="ft", concurrency=1)
    model.abandons = True  # type: ignore[attr-defined]
    model.timeout_s = 0.001
    return model


def test_a_model_that_hangs_call_after_call_is_given_up(stores: Stores) -> None:
    model = hanging(hangs)
    found = run(model, stores, test_set(*range(20)))
    assert len(model.calls) == 5
    text = "no answer within 0.001 s; the call was abandoned"
    assert str(found.fatal) == f"{text}, as were the 4 before it"
    assert errors(found) == [text] * 4 + [str(found.fatal)] * 16


def test_a_model_that_answers_now_and_then_is_asked_on(stores: Stores) -> None:
    async def answers_each_fifth(model: Model, key: str) -> str:
        return key if len(model.calls) % 5 == 0 else await hangs(model, key)

    found = run(hanging(answers_each_fifth), stores, test_set(*range(20)))
    assert found.fatal is None
    assert [text is not None for text in texts(found)] == [False, False, False, False, True] * 4


def test_a_model_whose_failures_are_of_another_kind_is_asked_on(stores: Stores) -> None:
    async def fails_each_fifth(model: Model, key: str) -> str:
        if len(model.calls) % 5 == 0:
            raise ModelError("no idea")
        return await hangs(model, key)

    found = run(hanging(fails_each_fifth), stores, test_set(*range(20)))
    assert (found.fatal, len(found.model.calls)) == (None, 20)  # type: ignore[attr-defined]


def test_a_call_that_holds_up_the_loop_ends_the_run(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_loop, "TICK_S", 0.001)
    monkeypatch.setattr(event_loop, "OWN_WORK_S", 0.01)
    monkeypatch.setattr(event_loop, "PATIENCE_S", 0.01)
    go_on = threading.Event()

    async def blocks(model: Model, key: str) -> str:
        go_on.wait()
        return key

    model = Model(blocks, name="ft")
    model.timeout_s = 0.02
    with pytest.raises(ModelError) as caught:
        run(model, stores)
    assert caught.value.what == "ft holds up the event loop: nothing else could run for 0.03 s"
    assert caught.value.fatal
    go_on.set()
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "pytest-ftgate"]
    thread.join()


def test_calls_that_hold_up_the_loop_one_after_the_other_are_no_standstill(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_loop, "TICK_S", 0.001)
    monkeypatch.setattr(event_loop, "OWN_WORK_S", 0.0)
    ticks: list[int] = []
    beaten: list[int] = []

    def noted(caller: str) -> None:
        beaten.append(len(ticks))
        event_loop.note_call(caller)

    def counted(work: Coroutine[Any, Any, None], tick: Callable[[], None], **options: Any) -> None:
        event_loop.run_in_own_loop(work, lambda: ticks.append(0), **options)

    async def blocks(model: Model, key: str) -> str:
        until = len(ticks) + 30
        while len(ticks) < until:
            threading.Event().wait(0.0005)
        return key

    monkeypatch.setattr(asking, "note_call", noted)
    monkeypatch.setattr(calls, "run_in_own_loop", counted)
    model = Model(blocks)
    model.timeout_s = 0.05
    assert texts(run(model, stores)) == [f"model/{letter}/0" for letter in "abc"]
    assert beaten[-1] - beaten[0] > 50, "the three calls together took longer than one may"


def test_an_answer_that_comes_when_all_stops_is_kept(stores: Stores) -> None:
    begun = asyncio.Event()

    async def last_words(model: Model, key: str) -> str:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return key

    async def revoked(model: Model, key: str) -> str:
        await begun.wait()
        raise REVOKED

    deaf = Model(last_words, name="deaf", concurrency=1)
    deaf.timeout_s = None
    one, _ = run_models([Job(deaf, THREE), Job(Model(revoked, name="ft"), THREE)], stores=stores)
    assert (texts(one), deaf.calls) == (["deaf/a/0", None, None], ["deaf/a/0"])
    assert stored(run(Model(name="deaf"), stores)) == [True, False, False]


def test_a_worker_cancelled_while_its_answer_is_written_takes_nothing_with_it(stores: Stores) -> None:
    assert stores.persistent is not None
    kept = StoreWriter(stores.persistent, "me", None)
    complaints: list[object] = []

    async def cancelled() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        task = asyncio.create_task(kept.keep(Prediction("k", Completion("yes"), None, 5.0)))
        asyncio.get_running_loop().call_soon(task.cancel)
        await asyncio.wait([task])

    asyncio.run(cancelled())
    assert complaints == []
    assert set(stores.persistent.get(["k"])) == {"k"}


def test_a_store_that_fails_ends_the_run(stores: Stores, path: Path) -> None:
    async def sabotage(model: Model, key: str) -> str:
        with closing(sqlite3.connect(path)) as raw:
            raw.execute("DROP TABLE IF EXISTS predictions")
        return key

    model = Model(sabotage)
    with pytest.raises(StoreError, match="predictions cannot be stored or read"):
        run(model, stores)
    assert len(model.closed) == 1


def test_a_store_that_only_can_be_read_is_noticed_before_a_call(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StoreError("predictions cannot be stored here")

    monkeypatch.setattr(Store, "claim", refuse)
    model = Model()
    with pytest.raises(StoreError, match="predictions cannot be stored here"):
        run(model, stores)
    assert model.calls == []


# --- offline ---------------------------------------------------------------------------------------------------


def test_offline_an_endpoint_is_not_asked(stores: Stores) -> None:
    run(Model(), stores, test_set("b"))
    model = Model(endpoint=True)
    found = run(model, stores, offline=True)
    assert errors(found) == [OFFLINE, None, OFFLINE]
    assert (model.calls, found.fatal) == ([], None)


def test_offline_everything_else_is(stores: Stores) -> None:
    assert texts(run(Model(), stores, offline=True)) == ["model/a/0", "model/b/0", "model/c/0"]


# --- progress --------------------------------------------------------------------------------------------------


def test_the_last_word_on_progress_is_complete(stores: Stores) -> None:
    run(Model(), stores, test_set("a"))
    told: list[Progress] = []
    jobs = [Job(Model(failing("model/b/0")), THREE, repeats=2), Job(Model(name="two"), test_set("a", "a"))]
    run_models(jobs, stores=stores, progress=told.append)
    assert [p for p in told if p.model == "model"][-1] == Progress("model", 6, 6, stored=1, errors=1)
    assert [p for p in told if p.model == "two"][-1] == Progress("two", 2, 2, stored=0, errors=0)
    assert len(told) == len(set(map(str, told)))


def test_progress_is_told_while_models_are_called_and_in_the_caller_s_thread(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_loop, "TICK_S", 0.001)
    ticks: list[int] = []

    def counted(work: Coroutine[Any, Any, None], tick: Callable[[], None], **options: Any) -> None:
        def ticking() -> None:
            tick()
            ticks.append(threading.get_ident())

        event_loop.run_in_own_loop(work, ticking, **options)

    monkeypatch.setattr(calls, "run_in_own_loop", counted)
    told: list[Progress] = []

    async def wait(model: Model, key: str) -> str:
        until = len(ticks) + 3
        while len(ticks) < until:
            await asyncio.sleep(0)
        return key

    run(Model(wait, concurrency=1), stores, progress=told.append)
    assert [progress.done for progress in told] == [0, 1, 2, 3], "nothing is told twice"
    assert set(ticks) == {threading.get_ident()}


def test_a_broken_display_takes_no_answer_away(stores: Stores) -> None:
    def broken(progress: Progress) -> None:
        raise OSError("no terminal")

    assert None not in texts(run(Model(), stores, progress=broken))


# --- interruption ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="signals to oneself")
def test_ctrl_c_keeps_what_has_arrived_and_gives_the_rest_back(stores: Stores, path: Path) -> None:
    heard: list[str] = []

    async def interrupted(model: Model, key: str) -> str:
        if key == "model/a/0":
            return key
        try:
            if len(model.calls) == 3:
                os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append(key)
            raise
        return key

    class Closing(Model):
        async def aclose(self) -> None:
            heard.append("closed")

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run(Closing(interrupted, concurrency=2), stores, test_set(*"abcdefgh"))
    assert sorted(heard[:2]) == ["model/b/0", "model/c/0"]
    assert heard[2:] == ["closed"]
    assert leases(path) == []
    assert threading.active_count() == before
    assert stored(run(Model(), stores)) == [True, False, False]


def test_a_call_that_cannot_be_cancelled_does_not_hold_ctrl_c_up(
    stores: Stores, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_loop, "PATIENCE_S", 0.2)
    monkeypatch.setattr(calls, "_CANCEL_S", 0.01)
    begun = threading.Event()

    async def stubborn(model: Model, key: str) -> str:
        begun.set()
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    def interrupt(progress: Progress) -> None:
        if begun.is_set():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Model(stubborn), stores, test_set("a"), progress=interrupt)
    assert leases(path) == []
    gc.collect()  # asyncio complains of the abandoned task when it is collected: here, not in a later test
