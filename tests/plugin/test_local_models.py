"""Models on this machine: functions that take many inputs at once, and functions in processes of their own."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from gate_project import Project, check, refused

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

def short(texts):
    return many(texts)[1:]

def text(texts):
    return many(texts)[0]

def picky(texts):
    return [answer if i else None for i, answer in enumerate(many(texts))]

def broken(text):
    raise ValueError('no weights')

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
    project.gate_test(candidate={"provider": "python", "target": f"local:{function}", **keys})


def calls(project: Project) -> list[tuple[int, int]]:
    """Of each call the process and the number of inputs."""
    lines = (project.path / "calls.txt").read_text(encoding="utf-8").splitlines()
    return [(int(pid), int(n)) for pid, n in map(str.split, lines)]


@pytest.mark.parametrize("function", ["many", "many_async"])
def test_a_function_may_take_many_inputs_at_once(local: Project, function: str) -> None:
    candidate(local, function, batch_size=25)
    gate = local.gate(apart=True)
    assert (gate["verdict"], gate["candidate"]["value"]) == ("pass", 1.0)
    assert [n for _, n in calls(local)] == [25, 25, 10]
    assert gate["candidate"]["latency_p50_s"] > 0


def test_what_is_stored_is_not_asked_for_again_whatever_the_batch_size(local: Project) -> None:
    candidate(local, "many", batch_size=25, cache_key="v1")
    local.gate(apart=True)
    candidate(local, "many", batch_size=7, cache_key="v1")
    assert local.gate(apart=True)["candidate"]["n_stored"] == 60
    assert len(calls(local)) == 3


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("short", "short returned 59 answers for 60 inputs"),
        ("text", "text returned a value of type str"),
    ],
)
def test_a_list_of_another_length_is_no_answer_to_any(local: Project, function: str, reason: str) -> None:
    candidate(local, function, batch_size=100)
    message = refused(local, called=True, apart=True)
    assert "60 of 60" in message
    assert reason in message


def test_one_broken_answer_is_one_missing_answer(local: Project) -> None:
    candidate(local, "picky", batch_size=30)
    message = refused(local, called=True, apart=True)
    assert message.startswith("candidate picky: picky returned None")
    assert "2 of 60 answers missing (test.jsonl:1, test.jsonl:31)" in message


def test_the_fixture_gives_such_a_model_one_input(local: Project) -> None:
    local.file(
        "test_gate.py",
        "import pytest\n"
        + local.mark(candidate={"provider": "python", "target": "local:many", "batch_size": 9})
        + "\ndef test_gate(ftgate_candidate): assert ftgate_candidate('question 4') == 'invoice'\n",
    )
    local.run_apart().assert_outcomes(passed=1)


# --- processes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("function", "keys"), [("one", {}), ("many", {"batch_size": 10})], ids=["one", "many"])
def test_a_function_may_be_called_in_processes(local: Project, function: str, keys: dict[str, Any]) -> None:
    candidate(local, function, workers=2, **keys)
    gate = local.gate(apart=True)
    assert (gate["verdict"], gate["candidate"]["value"]) == ("pass", 1.0)
    found = calls(local)
    assert sum(n for _, n in found) == 60
    assert os.getpid() not in {pid for pid, _ in found}
    assert {n for _, n in found} == ({10} if keys else {1})
    assert 0 < gate["candidate"]["latency_p50_s"] < 5  # of the function alone, without the start of the processes


def test_what_it_raises_in_a_process_is_told_with_its_line(local: Project) -> None:
    candidate(local, "broken", workers=2)
    message = refused(local, called=True, apart=True)
    assert "60 of 60" in message
    assert "ValueError: no weights (local.py:" in message


def test_one_failure_in_a_process_takes_no_other_answer_away(local: Project) -> None:
    candidate(local, "refuses_one", workers=2)
    message = refused(local, called=True, apart=True)
    assert "ValueError" in message
    assert "1 of 60 answers missing (test.jsonl:8)" in message


def test_a_coroutine_function_needs_no_processes(local: Project) -> None:
    candidate(local, "many_async", workers=2)
    assert "a coroutine function cannot be called in processes" in refused(local, apart=True)


def test_workers_and_concurrency_exclude_each_other(local: Project) -> None:
    candidate(local, "one", workers=2, concurrency=2)
    assert "concurrency and workers are both set" in refused(local, apart=True)


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
    local.file("local.py", MODULE + "\nimport json\njson.dump(os.getpid(), open('main.txt', 'w'))\n")
    candidate(local, "one", workers=2)
    gate = local.gate(apart=True)
    assert gate["verdict"] == "pass"
    assert {pid for pid, _ in calls(local)} == {json.loads((local.path / "main.txt").read_text())}
    assert check(gate, "candidate_predictions")["status"] == "pass"
