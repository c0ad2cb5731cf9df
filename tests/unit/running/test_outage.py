"""When the run of a model that answers nothing ends: in virtual time, with the waits of a real run."""

import asyncio
from contextlib import closing
from dataclasses import replace

import pytest
import virtual_time
from fakes import Fake

from pytest_ftgate.data import DataSet, Example
from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Completion
from pytest_ftgate.runs.calls import ModelQueue, StoreWriter
from pytest_ftgate.runs.jobs import Job, RunState
from pytest_ftgate.runs.store import Store

REJECTED = ModelError("unsupported parameter", kind="refused")
BROKEN = ModelError("500 Internal Server Error", retryable=True)
LOADING = ModelError("503 Service Unavailable", retryable=True, kind="busy", retry_after_s=20.0)


class Model(Fake):
    """Calls ``answer`` with the number of the question and the seconds since the start of the run."""

    endpoint = True

    def __init__(self, answer, concurrency):
        self.answer = answer
        self.concurrency = concurrency
        self.n_calls = 0

    async def complete(self, example, repeat=0):
        self.n_calls += 1
        await self.answer(int(example.input), asyncio.get_running_loop().time() - 1000.0)
        return Completion("yes")


def run(answer, concurrency, n=300, stored=0, retries=5):
    """Return the model, the failure that ended its run, how many answers there are, and the seconds it took."""
    model = Model(answer, concurrency)
    model.retries = retries
    data = DataSet(tuple(Example(f"id{number}", str(number), "yes") for number in range(n)), None, "", "test")
    job = Job(model, data)
    state = RunState([job])
    with closing(Store(None)) as store:
        if stored:
            earlier = Job(Model(works, 8), replace(data, examples=data.examples[:stored]))
            ask(earlier, RunState([earlier]), store)
        queue, seconds = ask(job, state, store)
    return model, queue.fatal, sum(one.completion is not None for one in state.known([job])), seconds


def ask(job, state, store):
    queue = ModelQueue([job], writer=StoreWriter(store), state=state)
    queue.look_up(offline=False)

    async def work():
        workers = [asyncio.create_task(queue.work()) for _ in range(queue.workers)]
        await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
        seconds = asyncio.get_running_loop().time() - 1000.0
        queue.stopping = True
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        return seconds

    return queue, virtual_time.run(work())


async def works(number, now_s):
    await asyncio.sleep(0.1)


async def fails(number, now_s):
    raise BROKEN


async def hangs(number, now_s):
    await asyncio.sleep(10_000)


async def rejected(number, now_s):
    raise REJECTED


ENDED = [  # how all calls fail, how many at once and their retries: after how many calls and seconds, at most
    *((fails, *row) for row in ((16, 5, 126, 16), (8, 5, 78, 16), (4, 5, 54, 32), (1, 5, 30, 80))),
    *((fails, 1, retries, 5 * (1 + retries), 20) for retries in (1, 0)),
    *((rejected, 1, retries, 5, 1) for retries in (5, 0)),
    *((hangs, n, 5, 2 * n, 122) for n in (16, 8, 5)),  # each is asked once more
    *((hangs, n, 5, calls, 10_000) for n, calls in ((4, 8), (2, 4), (1, 8))),
]


@pytest.mark.parametrize(("failing", "concurrency", "retries", "most_calls", "most_s"), ENDED)
def test_a_model_that_answers_nothing_is_given_up(failing, concurrency, retries, most_calls, most_s):
    model, fatal, answered, seconds = run(failing, concurrency, retries=retries)
    assert (fatal.fatal, fatal.kind, answered) == (True, KINDS[failing], 0)
    assert seconds <= most_s
    assert model.n_calls <= most_calls
    if failing is fails and retries == 5:
        assert seconds > 7  # a slow start is waited for
    else:
        assert model.n_calls == most_calls


KINDS = {fails: "other", rejected: "refused", hangs: "timeout"}


@pytest.mark.parametrize(("error", "up_after_s"), [(LOADING, 90), (BROKEN, 6)])
def test_a_slow_start_is_waited_for(error, up_after_s):
    async def loads(number, now_s):
        if now_s < up_after_s:
            raise error
        await asyncio.sleep(0.1)

    assert run(loads, 8)[1:3] == (None, 300)


def test_a_server_that_never_loads_is_given_up_after_the_waits_it_asked_for():
    async def loads(number, now_s):
        raise LOADING

    _, fatal, _, seconds = run(loads, 8)
    assert fatal.kind == "busy"
    assert 100 <= seconds < 125


@pytest.mark.parametrize("failing", [fails, hangs, rejected])
def test_after_one_answer_no_failure_ends_the_run(failing):
    async def answers_once(number, now_s):
        await (works if number == 0 else failing)(number, now_s)

    assert run(answers_once, 1, n=40)[1:3] == (None, 1)


def test_a_single_question_that_fails_first_does_not_end_the_run():
    async def answers_others(number, now_s):
        await (fails if number == 0 else works)(number, now_s)

    assert run(answers_others, 1, n=20)[1:3] == (None, 19)


@pytest.mark.parametrize(
    ("failing", "stored", "ended"),
    [(fails, 290, False), (hangs, 290, False), (fails, 40, True), (hangs, 40, True), (rejected, 40, False)],
)
def test_a_few_questions_that_fail_again_do_not_end_the_run_but_an_outage_does(stored, ended, failing):
    _, fatal, answered, _ = run(failing, 8, stored=stored)
    assert (fatal is not None, answered) == (ended, stored)
