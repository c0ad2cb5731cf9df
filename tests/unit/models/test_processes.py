"""A function in processes, one of which is killed: its own call is lost, and no other."""

import os
import signal
import time

import pytest

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.workers import InProcesses

INPUTS = [str(number) for number in range(12)]


class Killing:
    """Answers an input, or every list of them; the process that gets ``5`` is killed, at first or each time."""

    def __init__(self, folder, times, batched):
        self.folder = str(folder)
        self.times = times
        self.batched = batched

    def __call__(self, given):
        inputs = given if self.batched else [given]
        time.sleep(0.25)  # joblib puts calls that take less together
        with open(os.path.join(self.folder, "calls"), "a") as file:
            file.write("".join(f"{text}\n" for text in inputs))
        if "5" in inputs:
            with open(os.path.join(self.folder, "kills"), "a+") as file:
                file.seek(0)
                kill = len(file.read()) < self.times
                file.write("x")
            if kill:
                os.kill(os.getpid(), signal.SIGKILL)
        return given


@pytest.mark.skipif(os.name != "posix", reason="signals to one process")
@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize(("times", "lost"), [(1, False), (10, True)])
def test_a_killed_process_costs_its_own_call(tmp_path, times, lost, batched):
    found = InProcesses(Killing(tmp_path, times, batched), 2, batched=batched)(INPUTS)
    missing = {
        text for text, answer in zip(INPUTS, found, strict=True) if isinstance(answer, ModelError)
    }
    part = set(INPUTS[:6]) if batched else {"5"}
    assert missing == (part if lost else set())
    assert all(answer.retryable for answer in found if isinstance(answer, ModelError))
    calls = (tmp_path / "calls").read_text().split()
    again = len(calls) - len(INPUTS)
    assert again <= (2 * 6 if batched else 4), "what was finished is not called again"
