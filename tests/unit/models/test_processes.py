"""A function in processes, one of which is killed: the calls fail, and may be made again."""

import os
import signal
import time

import pytest

from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.workers import InProcesses

INPUTS = [str(number) for number in range(12)]


class Killing:
    """Answers an input, or every list of them; the process that gets ``5`` first is killed."""

    def __init__(self, folder, batched):
        self.killed = os.path.join(folder, "killed")
        self.batched = batched

    def __call__(self, given):
        time.sleep(0.25)  # joblib puts calls that take less together
        if "5" in given and not os.path.exists(self.killed):
            open(self.killed, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return given


@pytest.mark.skipif(os.name != "posix", reason="signals to one process")
@pytest.mark.parametrize("batched", [False, True])
def test_a_killed_process_is_a_failed_call_that_may_pass(tmp_path, batched):
    function = InProcesses(Killing(tmp_path, batched), 2, batched=batched)
    with pytest.raises(ModelError, match="a process that called the function ended") as caught:
        function(INPUTS)
    assert caught.value.retryable
    answers = [answer.text for answer in function(INPUTS)]
    assert answers == INPUTS
