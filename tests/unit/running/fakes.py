"""Models for tests of runs, test sets, and runs of one model: beside others or in no time at all."""

import asyncio

import pytest
import virtual_time

from pytest_ftgate.data import DataSet, Example
from pytest_ftgate.models import Completion, protocol
from pytest_ftgate.runs import asking, calls
from pytest_ftgate.runs.jobs import Job
from pytest_ftgate.runs.runner import run_models


class Fake(protocol.Model):
    """Answers as ``answer`` does, a coroutine function of the model and the key; echoes the key without one."""

    spelling = "test:fake"
    timeout_s = 60.0

    def __init__(
        self, answer=None, *, name="model", concurrency=4, retries=0, persistent=True, **facts
    ):
        self.answer = answer
        self.name = name
        self.concurrency = concurrency
        self.retries = retries
        self.persistent = persistent
        self.calls = []
        self.closed = []
        self.loops = set()
        vars(self).update(facts)

    def key(self, example, repeat=0):
        return f"{self.name}/{example.input}/{repeat}"

    async def complete(self, example, repeat=0):
        key = self.key(example, repeat)
        self.calls.append(key)
        self.loops.add(asyncio.get_running_loop())
        completion = key if self.answer is None else await self.answer(self, key)
        return Completion(completion) if isinstance(completion, str) else completion

    async def aclose(self):
        self.closed.append(asyncio.get_running_loop())


def questions(*inputs):
    examples = tuple(Example(f"id{number}", str(text), "yes") for number, text in enumerate(inputs))
    return DataSet(examples, None, "", "test")


THREE = questions("a", "b", "c")


def run(model, stores, data=THREE, repeats=1, **options):
    """Return the run of a model without waits before retries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asking, "FIRST_WAIT_S", 0.0)
        (predictions,) = run_models([Job(model, data, repeats)], stores=stores, **options)
    return predictions


def run_at_once(model, stores, data=THREE, **options):
    """Return the run of a model, and the seconds that it would have taken, with all its waits."""

    async def timed(work):
        await work
        return asyncio.get_running_loop().time() - 1000.0

    seconds = []
    with pytest.MonkeyPatch.context() as patch:
        own_loop = lambda work, tick: seconds.append(virtual_time.run(timed(work)))  # noqa: E731
        patch.setattr(calls, "run_in_own_loop", own_loop)
        (predictions,) = run_models([Job(model, data)], stores=stores, **options)
    return predictions, *seconds


def texts(results):
    return [p.completion and p.completion.text for row in results.predictions for p in row]


def errors(results):
    return [p.error for row in results.predictions for p in row]
