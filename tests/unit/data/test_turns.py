"""``turns: each``: every turn of the assistant in a conversation is an example."""

import json
from hashlib import sha256

import pytest
from gate_project import Project, block, check, mentions, passed, statuses, stopped, write_jsonl

from pytest_ftgate.data import DataSet, examples_from, load_examples
from pytest_ftgate.errors import DataError

CALL = {"id": "1", "type": "function", "function": {"name": "find", "arguments": '{"order": 7}'}}
TALK = [
    {"role": "system", "content": "s"},
    {"role": "user", "content": "where is order 7"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "1", "content": "in Oslo"},
    {"role": "assistant", "content": "in Oslo"},
    {"role": "user", "content": "thanks"},
    {"role": "assistant", "content": "bye"},
]
CALLED = [{"name": "find", "arguments": {"order": 7}}]
OTHERS = {
    "sharegpt": {
        "system": "s",
        "conversations": [
            {"from": "human", "value": "where is order 7"},
            {"from": "function_call", "value": '{"name": "find", "arguments": {"order": 7}}'},
            {"from": "observation", "value": "in Oslo"},
            {"from": "gpt", "value": "in Oslo"},
            {"from": "human", "value": "thanks"},
            {"from": "gpt", "value": "bye"},
        ],
    },
    "gemini": {
        "systemInstruction": {"parts": [{"text": "s"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "where is order 7"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "find", "args": {"order": 7}}}]},
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": "find", "response": "in Oslo"}}],
            },
            {"role": "model", "parts": [{"text": "in Oslo"}]},
            {"role": "user", "parts": [{"text": "thanks"}]},
            {"role": "model", "parts": [{"text": "bye"}]},
        ],
    },
    "bedrock": {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": "s"}],
        "messages": [
            {"role": "user", "content": [{"text": "where is order 7"}]},
            {
                "role": "assistant",
                "content": [{"toolUse": {"toolUseId": "1", "name": "find", "input": {"order": 7}}}],
            },
            {
                "role": "user",
                "content": [{"toolResult": {"toolUseId": "1", "content": "in Oslo"}}],
            },
            {"role": "assistant", "content": [{"text": "in Oslo"}]},
            {"role": "user", "content": [{"text": "thanks"}]},
            {"role": "assistant", "content": [{"text": "bye"}]},
        ],
    },
}


def by_turn(*rows: object, **options: object) -> DataSet:
    return examples_from(rows, origin="here", by_turn=True, **options)


@pytest.mark.parametrize(
    "row", [{"messages": TALK}, {"messages": json.dumps(TALK)}, *OTHERS.values()]
)
def test_each_turn_is_an_example_with_all_before_it(row: dict[str, object]) -> None:
    data = by_turn({"id": "c7", **row}, {"id": 8, "group": "g", **row})
    roles = [[message["role"][0] for message in example.input] for example in data]
    assert data.expected == [CALLED, "in Oslo", "bye"] * 2
    assert roles == [list(turns) for turns in ("su", "suat", "suatau")] * 2
    assert [example.id for example in data] == ["c7:1", "c7:2", "c7:3", "8:1", "8:2", "8:3"]
    assert data.groups == ["c7"] * 3 + ["g"] * 3
    assert str(data.where(4)) == "test_set[1]: turn 2"


def test_files(tmp_path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    rows = [{"id": "a", "messages": json.dumps(TALK)}, {"id": "b", "messages": json.dumps(TALK)}]
    table = pytest.importorskip("pyarrow").Table.from_pylist(rows)
    pq.write_table(table, tmp_path / "t.parquet")
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tables = [load_examples(tmp_path / f"t.{kind}", by_turn=True) for kind in ("parquet", "jsonl")]
    assert tables[0].examples == tables[1].examples
    assert tables[1].examples[4].name.endswith("t.jsonl:2: turn 2")
    assert len(load_examples(tmp_path / "t.jsonl", by_turn=True, limit=2)) == 2


def test_ids_without_ids_are_distinct_and_do_not_move() -> None:
    one = {"messages": TALK}
    other = {"messages": [*TALK[:-1], {"role": "assistant", "content": "goodbye"}]}
    ids = [example.id for example in by_turn(one, other, one)]
    assert len(set(ids)) == 9
    assert [example.id for example in by_turn(other)] == ids[3:6]


def test_turns_that_are_not_trained_on_are_context() -> None:
    greeting = {"role": "assistant", "content": "Hello!"}
    unlearned = {"role": "assistant", "content": "x", "weight": 0}
    row = {"messages": [greeting, TALK[1], unlearned, TALK[5], {**TALK[6], "weight": 1}]}
    (example,) = by_turn(row)
    assert (example.expected, example.id[-2:]) == ("bye", ":3")
    assert example.input == (greeting, TALK[1], {"role": "assistant", "content": "x"}, TALK[5])


NO_TEXT = {
    "messages": [TALK[1], {"role": "assistant", "content": [{"type": "image_url"}]}, *TALK[-2:]]
}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"input": "q", "expected": "a"}, ["turns", "input/expected"]),
        ({"prompt": TALK[:2], "completion": TALK[4:5]}, ["turns", "prompt/completion"]),
        (("q", "a"), ["turns", "[1]"]),
        (NO_TEXT, ["turn 1", "[1]"]),
    ],
)
def test_what_cannot_be_divided_is_an_error(row: object, words: list[str]) -> None:
    with pytest.raises(DataError) as error:
        by_turn({"messages": TALK}, row)
    assert all(word in str(error.value) for word in words)


# --- the gate -------------------------------------------------------------------------------------


LETTERS = str.maketrans("0123456789", "ghijklmnop")


def talk(number: int) -> dict[str, object]:
    """Return a conversation of two turns, of which one in 20 begins as others do."""
    letters = sha256(str(number).encode()).hexdigest().translate(LETTERS)
    name, *words = (letters[start : start + 6] for start in range(0, 60, 6))
    first = "hi" if number % 20 == 0 else f"hi, {name} here"
    question = " ".join(words)
    said = [first, f"Hello {name}!", question, ["refund", "invoice"][number % 2]]
    messages = []
    for place, text in enumerate(said):
        messages.append({"role": ["user", "assistant"][place % 2], "content": text})
    return {"id": f"c{number}", "messages": messages}


def answers(project: Project, path: str, wrong_at: range) -> None:
    rows = []
    for number in range(60):
        for turn, message in enumerate(talk(number)["messages"][1::2], 1):
            output = message["content"]
            if turn == 2 and number in wrong_at:
                output = "invoice" if output == "refund" else "refund"
            rows.append({"id": f"c{number}:{turn}", "output": output})
    write_jsonl(project.path / path, rows)


EACH = {
    "test_set": {"path": "test.jsonl", "turns": "each"},
    "training_set": {"path": "train.jsonl", "turns": "each"},
    "metric": "exact_match",
}


def rows_of(numbers: range) -> list[dict[str, object]]:
    return [talk(number) for number in numbers]


@pytest.fixture
def talks(project: Project) -> Project:
    write_jsonl(project.path / "test.jsonl", rows_of(range(60)))
    write_jsonl(project.path / "train.jsonl", rows_of(range(500, 800)))
    answers(project, "base.jsonl", wrong_at=range(30))
    answers(project, "ft.jsonl", wrong_at=range(0))
    return project


def test_turns_are_judged_by_conversation(talks: Project) -> None:
    gate = passed(talks.judge(**EACH))
    assert (gate["n"], gate["gain"]) == (120, 0.25)
    assert "(60 groups)" in "".join(block(gate))
    # 300 conversations, of which 15 begin with the same words.
    assert gate["training"]["usable"] == 600 - 14
    assert "leaked" not in {name for name, status in statuses(gate).items() if status != "pass"}


def test_a_long_turn_leaks_and_a_greeting_does_not(talks: Project) -> None:
    write_jsonl(talks.path / "train.jsonl", [*rows_of(range(500, 800)), talk(20)])
    finding = check(talks.judge(**EACH), "leaked")
    assert (finding["status"], finding["observed"]) == ("fail", 1)
    mentions(finding, "test.jsonl:21: turn 2 = train.jsonl:301: turn 2")


def test_greetings_that_are_answered_differently_are_no_conflicts(talks: Project) -> None:
    assert "conflicts" not in statuses(talks.judge(**EACH))


def test_rows_that_are_no_conversations_stop_the_gate(project: Project) -> None:
    finding = stopped(project.judge(test_set={"path": "test.jsonl", "turns": "each"}))
    mentions(finding, "test.jsonl:1", "turns")
