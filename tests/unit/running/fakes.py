"""Models for tests of runs, with what every one of them has, test sets, and what a run came to."""

import pytest

from pytest_ftgate.data import DataSet, Example
from pytest_ftgate.models import protocol
from pytest_ftgate.runs import asking
from pytest_ftgate.runs.jobs import Job
from pytest_ftgate.runs.runner import run_models


class Fake(protocol.Model):
    name = "fake"
    spelling = "test:fake"
    verified = None
    price = None
    concurrency = 1
    timeout_s = 60.0
    retries = 1
    persistent = True
    endpoint = False

    def key(self, example, repeat=0):
        return f"{self.name}/{example.input}/{repeat}"

    async def aclose(self):
        """Nothing to close."""


def questions(*inputs):
    examples = tuple(Example(f"id{number}", str(text), "yes") for number, text in enumerate(inputs))
    return DataSet(examples, None, "", "test")


THREE = questions("a", "b", "c")


def run(model, stores, data=THREE, repeats=1, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asking, "FIRST_WAIT_S", 0.0)
        (found,) = run_models([Job(model, data, repeats)], stores=stores, **options)
    return found


def texts(found):
    return [p.completion and p.completion.text for row in found.predictions for p in row]
