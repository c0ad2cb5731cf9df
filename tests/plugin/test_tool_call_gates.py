"""Gates on models that call tools, on recorded answers."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from gate_project import Project, check, passed, statuses, write_jsonl

N = 60
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    },
    {"type": "function", "function": {"name": "set_alarm", "parameters": {"type": "object"}}},
]


def call(name: str, id_: str = "c1", **arguments: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "type": "function",
        "function": {"name": name, "arguments": json.dumps(arguments)},
    }


def conversation(i: int, place: str, id_: str = "c1") -> list[dict[str, Any]]:
    """A call, an alarm, an answer after a tool's result, or a word of thanks."""
    letters = "".join(chr(97 + byte % 26) for byte in sha256(f"{place}{i}".encode()).digest()[:7])
    town = f"{place}-{letters}"
    if i % 4 == 0:
        return [
            {"role": "user", "content": f"thank you {town} very much"},
            {"role": "assistant", "content": "Gladly!"},
        ]
    if i % 4 == 1:
        calls = [call("set_alarm", hour=i % 24)]
        return [
            {"role": "user", "content": f"wake me at {i} in {town}"},
            {"role": "assistant", "tool_calls": calls},
        ]
    question = {"role": "user", "content": f"weather in {town}?"}
    looked_up = {
        "role": "assistant",
        "content": None,
        "tool_calls": [call("get_weather", id_, city=town)],
    }
    if i % 4 == 2:
        return [question, looked_up]
    result = {"role": "tool", "tool_call_id": id_, "content": "7 degrees"}
    return [
        question,
        {**looked_up, "weight": 0},
        result,
        {"role": "assistant", "content": f"7 degrees in {town}."},
    ]


def right(i: int) -> Any:
    last = conversation(i, "testville")[-1]
    calls = [tool_call["function"] for tool_call in last.get("tool_calls", [])]
    return [{**call, "arguments": json.loads(call["arguments"])} for call in calls] or last[
        "content"
    ]


@pytest.fixture
def project(tmp_path: Any) -> Project:
    project = Project(tmp_path)
    rows = [
        {"id": f"t{i}", "messages": conversation(i, "testville"), "tools": TOOLS} for i in range(N)
    ]
    write_jsonl(project.path / "test.jsonl", rows)
    training = [{"messages": conversation(i, "trainham"), "tools": TOOLS} for i in range(300)]
    write_jsonl(project.path / "train.jsonl", training)
    says(project, "ft.jsonl", lambda i: right(i) if i else "[]")
    says(
        project, "base.jsonl", lambda i: right(i) if i % 3 or i % 4 == 0 else "I would look it up."
    )
    project.keys["metric"] = "tool_call_exact"
    return project


def says(project: Project, file: str, answer: Callable[[int], Any]) -> None:
    write_jsonl(project.path / file, [{"id": f"t{i}", "output": answer(i)} for i in range(N)])


def test_a_better_caller_passes_and_its_training_rows_are_in_order(project: Project) -> None:
    gate = passed(project.judge())
    assert gate["training"]["usable"] == 300
    audited = {
        "chat_format",
        "empty_outputs",
        "labels_missing",
        "imbalance",
        "conflicts",
        "leaked_near",
    }
    assert not audited & {
        name for name, status in statuses(gate).items() if status not in ("pass", "note")
    }
    assert gate["diagnosis"]["baseline"] == {"right": 50, "wrong": 10}


def test_other_ids_of_calls_do_not_hide_a_leak(project: Project) -> None:
    rows = [{"messages": conversation(i, "trainham"), "tools": TOOLS} for i in range(300)]
    rows.append({"messages": conversation(3, "testville", "call_9"), "tools": TOOLS})
    write_jsonl(project.path / "train.jsonl", rows)
    assert check(project.judge(), "leaked")["observed"] == 1


def test_calls_are_shown_by_the_name_of_the_tool(project: Project) -> None:
    says(project, "ft.jsonl", lambda i: [{"name": "set_alarm", "arguments": {"hour": -1}}])
    wrong = next(
        row for row in project.judge()["wrong"] if row["expected"].startswith("get_weather")
    )
    assert wrong["candidate"] == 'set_alarm({"hour":-1})'
    assert wrong["expected"].startswith('get_weather({"city":"testville-')
