"""Models on this machine: functions that take many inputs at once, and functions in processes of their own."""

import json
import os
from typing import Any

import pytest
from gate_project import Project, check, mentions, passed, stopped

MODULE = """
import os
LABELS = ('refund', 'invoice', 'shipping')

def one(text):
    with open('calls.txt', 'a') as log:
        log.write(f'{os.getpid()} 1\\n')
    return LABELS[int(text.split()[-1]) % 3]

def many(texts):
    with open('calls.txt', 'a') as log:
        log.write(f'{os.getpid()} {len(texts)}\\n')
    return [LABELS[int(text.split()[-1]) % 3] for text in texts]

async def many_async(texts):
    return many(texts)

def picky(texts):
    return [answer if i else None for i, answer in enumerate(many(texts))]

def none(text): pass

def refuses_one(text):
    if text.endswith(' 7'):
        raise ValueError('not seven')
    return one(text)
"""


@pytest.fixture
def local(project: Project) -> Project:
    project.file("local.py", MODULE)
    project.file("pytest.ini", "[pytest]\npythonpath = .\n")
    return project


def candidate(project: Project, function: str, **keys: Any) -> None:
    project.keys["candidate"] = {"provider": "python", "target": f"local:{function}", **keys}
    project.gate_test()


def calls(project: Project) -> list[tuple[int, int]]:
    """Of each call the process and the number of inputs."""
    lines = (project.path / "calls.txt").read_text(encoding="utf-8").splitlines()
    return [(int(pid), int(n)) for pid, n in map(str.split, lines)]


@pytest.mark.parametrize("function", ["many", "many_async"])
def test_a_function_may_take_many_inputs_at_once_and_a_batch_size_changes_no_key(
    local: Project, function: str
) -> None:
    candidate(local, function, batch_size=25, revision="v1")
    gate = passed(local.judge(stored=True))
    assert (gate["candidate"]["value"], [n for _, n in calls(local)]) == (1.0, [25, 25, 10])
    assert gate["candidate"]["latency_p50_s"] > 0
    candidate(local, function, batch_size=7, revision="v1")
    assert local.judge(stored=True)["candidate"]["n_stored"] == 60
    assert len(calls(local)) == 3


@pytest.mark.parametrize(
    ("function", "keys", "fragments"),
    [
        (
            "picky",
            {"batch_size": 30},
            ["returned None", "2 of 60 answers missing (test.jsonl:1, test.jsonl:31)"],
        ),
        ("none", {}, ["None", "str", "60 of 60 answers missing"]),
        (
            "refuses_one",
            {"workers": 2},
            ["ValueError: not seven (local.py:", "1 of 60 answers missing (test.jsonl:8)"],
        ),
        ("many_async", {"workers": 2}, ["workers: a coroutine function"]),
        ("one", {"workers": 2, "concurrency": 2}, ["concurrency and workers are both set"]),
    ],
)
def test_what_a_function_gets_wrong(
    local: Project, function: str, keys: dict[str, Any], fragments: list[str]
) -> None:
    """Of many inputs, or in processes of its own: the answers that are missing are told with the reason."""
    candidate(local, function, **keys)
    gate = local.gate(apart=True) if "workers" in keys else local.judge()
    called = "answers" in "".join(fragments)
    finding = stopped(gate, called=called)
    mentions(finding, *fragments)
    assert (finding["cure"] is not None or not called, "Run again" in str(finding["cure"])) == (
        True,
        False,
    )


# --- processes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "keys"), [("one", {}), ("many", {"batch_size": 10})], ids=["one", "many"]
)
def test_a_function_may_be_called_in_processes(
    local: Project, function: str, keys: dict[str, Any]
) -> None:
    candidate(local, function, workers=2, **keys)
    gate = local.gate(apart=True)
    assert (gate["verdict"], gate["candidate"]["value"]) == ("pass", 1.0)
    n_calls = calls(local)
    assert sum(n for _, n in n_calls) == 60
    assert os.getpid() not in {pid for pid, _ in n_calls}
    assert {n for _, n in n_calls} == ({10} if keys else {1})
    # of the function alone, without the start of the processes
    assert 0 < gate["candidate"]["latency_p50_s"] < 5


def test_the_backend_of_joblib_that_the_user_has_set_is_used(local: Project) -> None:
    """A backend that is entered in a fixture belongs to pytest's thread, and models are called in another."""
    local.file(
        "conftest.py",
        "import joblib, pytest\n"
        "@pytest.fixture(autouse=True)\n"
        "def threads():\n"
        "    with joblib.parallel_config(backend='threading'):\n"
        "        yield\n",
    )
    local.file(
        "local.py", MODULE + "\nimport json\njson.dump(os.getpid(), open('main.txt', 'w'))\n"
    )
    candidate(local, "one", workers=2)
    gate = passed(local.gate(apart=True))
    assert {pid for pid, _ in calls(local)} == {json.loads((local.path / "main.txt").read_text())}
    assert check(gate, "candidate_answers")["status"] == "pass"
