"""Models that use one object are called in turn."""

import threading
import time

import pytest

from pytest_ftgate.config import ModelSpec, Source
from pytest_ftgate.data import examples_from
from pytest_ftgate.models import Surroundings, build_model
from pytest_ftgate.runs.runner import Job, Stores, run_models
from pytest_ftgate.runs.store import Store


class Switched:
    """A model whose adapter is switched before each answer, as peft does it."""

    def __init__(self):
        self.adapter = ""
        self.most = self.at_once = 0
        self.lock = threading.Lock()

    def say(self, adapter):
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.adapter = adapter
        time.sleep(0.002)
        answer = self.adapter
        with self.lock:
            self.at_once -= 1
        return answer

    def base(self, text):
        return self.say("base")

    def tuned(self, text):
        return self.say("tuned")


@pytest.mark.parametrize(
    ("options", "in_turn"), [({}, True), ({"concurrency": 1}, False)], ids=["as it is", "by its own word"]
)
def test_two_functions_of_one_object_are_not_called_at_the_same_time(options, in_turn):
    one = Switched()
    test = examples_from([(f"question {i}", "x") for i in range(20)], origin="fixture ftgate_test_set")
    functions = {"base": one.base, "tuned": lambda text: one.tuned(text)}
    jobs = []
    for name, function in functions.items():
        source = Source("fixture", "conftest.py:1", None)
        spec = ModelSpec("callable", {"function": function, **options}, name, name, source)
        jobs.append(Job(build_model(spec, Surroundings()), test))
    runs = run_models(jobs, stores=Stores(None, Store(None)))
    answers = {run.model.name: {one.completion.text for one in run.all_predictions} for run in runs}
    assert one.most == (1 if in_turn else 2)
    if in_turn:
        assert answers == {"base": {"base"}, "tuned": {"tuned"}}
