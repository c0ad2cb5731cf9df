"""When the run of a model that answers nothing ends: in virtual time, with the waits of a real run."""

import asyncio
from contextlib import closing

import pytest
import virtual_time
from fakes import Fake

from pytest_ftgate.data import DataSet, Example
from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Completion
from pytest_ftgate.models.protocol import RetryPolicy
from pytest_ftgate.runs.calls import ModelQueue, StoreWriter
from pytest_ftgate.runs.run_state import RunState
from pytest_ftgate.runs.runner import Job
from pytest_ftgate.runs.store import Store

BROKEN = ModelError("500 Internal Server Error", retryable=True)
LOADING = ModelError("503 Service Unavailable", retryable=True, kind="busy", retry_after_s=20.0)


class Model(Fake):
    """Calls ``answer`` with the number of the question and the seconds since the start of the run."""

    retries = 5
    endpoint = True

    def __init__(self, answer, concurrency):
        self.answer = answer
        self.concurrency = concurrency
        self.n_calls = 0

    async def complete(self, example, repeat=0):
        self.n_calls += 1
        await self.answer(int(example.input), asyncio.get_running_loop().time() - 1000.0)
        return Completion("yes")


def run(answer, concurrency, n=300, stored=0):
    """Return the model, the failure that ended its run, how many answers there are, and the seconds it took."""
    model = Model(answer, concurrency)
    data = DataSet(tuple(Example(f"id{number}", str(number), "yes") for number in range(n)), None, "", "test")
    keys = [[model.key(example) for example in data.examples]]
    state = RunState([keys], [model])
    with closing(Store(None)) as store:
        if stored:
            ask(Model(works, 8), data, [keys[0][:stored]], RunState([keys], [model]), store)
        queue, seconds = ask(model, data, keys, state, store)
    return model, queue.fatal, sum(one.completion is not None for one in state.known(keys)), seconds


def ask(model, data, keys, state, store):
    job = Job(model, DataSet(data.examples[: len(keys[0])], None, "", "test"))
    queue = ModelQueue([(job, keys)], writer=StoreWriter(store), state=state, retry=RetryPolicy())
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


@pytest.mark.parametrize(("concurrency", "at_most_s"), [(16, 16), (8, 16), (4, 32), (1, 80)])
def test_a_model_that_fails_every_call_is_given_up_after_the_retries_of_a_few_questions(concurrency, at_most_s):
    model, fatal, answered, seconds = run(fails, concurrency)
    assert (fatal.fatal, fatal.what.startswith(BROKEN.what), answered) == (True, True, 0)
    assert 7 < seconds < at_most_s
    assert model.n_calls <= 6 * (concurrency + 5)


@pytest.mark.parametrize("concurrency", [16, 8, 5])
def test_a_model_that_hangs_is_given_up_after_one_retry(concurrency):
    model, fatal, _, seconds = run(hangs, concurrency)
    assert (fatal.fatal, fatal.kind) == (True, "timeout")
    assert 120 < seconds < 122
    assert model.n_calls == 2 * concurrency


@pytest.mark.parametrize(("concurrency", "calls"), [(4, 8), (2, 4), (1, 8)])
def test_a_model_with_few_calls_at_a_time_that_hangs_is_given_up_after_a_few_questions(concurrency, calls):
    model, fatal, _, _ = run(hangs, concurrency)
    assert (fatal.kind, model.n_calls) == ("timeout", calls)


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


@pytest.mark.parametrize("failing", [fails, hangs])
def test_after_one_answer_no_failure_ends_the_run(failing):
    async def answers_once(number, now_s):
        await (works if number == 0 else failing)(number, now_s)

    assert run(answers_once, 4, n=40)[1:3] == (None, 1)


def test_a_single_question_that_fails_first_does_not_end_the_run():
    async def answers_others(number, now_s):
        await (fails if number == 0 else works)(number, now_s)

    assert run(answers_others, 1, n=20)[1:3] == (None, 19)


@pytest.mark.parametrize(("stored", "ended"), [(290, False), (40, True)])
@pytest.mark.parametrize("failing", [fails, hangs])
def test_a_few_questions_that_fail_again_do_not_end_the_run_but_an_outage_does(stored, ended, failing):
    _, fatal, answered, _ = run(failing, 8, stored=stored)
    assert (fatal is not None, answered) == (ended, stored)
