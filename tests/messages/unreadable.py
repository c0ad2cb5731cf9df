"""Data and gate files that cannot be read, each told with its place in ``test_unreadable.md``."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pytest_ftgate.data import Example, content_id, examples_from, load_examples
from pytest_ftgate.data.yaml_nodes import read_yaml
from pytest_ftgate.errors import FtgateError

GOOD = '{"input": "a", "expected": "b"}\n'
GOODS = GOOD.strip()
Q, A = {"role": "user", "content": "q"}, {"role": "assistant", "content": "good"}
SYSTEM, BAD = {"role": "system", "content": "s"}, {"role": "assistant", "content": "BAD"}
PAIR, PLAIN = {"prompt": "q", "completion": "good"}, {"input": "a", "expected": "b"}
CHAT, ALPACA = {"messages": [Q, A]}, {"instruction": "i", "input": "q", "output": "good"}
DEEP = '{"input": "a", "expected": '
NOT_TEXT = [{"type": "text", "text": "A"}, {"type": "image_url"}]
SQUAD = {"question": "q", "answers": {"text": ["good", "good"], "start": [1, 3]}}
ID_OF_A = {"id": content_id("a"), "input": "other", "expected": "x"}

JSONL: list[str | bytes] = [
    *(b"", b"\n", b" \t\n\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"),  # no rows
    *(GOOD.encode(encoding) for encoding in ("utf-16", "utf-16-le", "utf-16-be")),
    *(b"\x1f\x8b\x08\0 in gzip", (GOOD + '{"input": "café"}\n').encode("latin-1")),
    # the byte is counted from the file's start, with the mark
    *(b"\xef\xbb\xbf\xff", b"\xef\xbb\xbf \r\n\xff"),
    b"abcd\0",  # far into the first line it is no sign of UTF-16
    f"{GOOD}\n{{'input': 'a'}}\n",
    *(GOOD + last for last in (
        *('{"input": "abc', '{"input"', '{"input": tr', "{", '{"input": "a", "x": {"x": 1}', '{"input": "a}'),
        *('{"input": a}', "not json", '{"input": "abc\n', '{"input" 1}'),
        *('{"input": "a", "input": "b", "expected": "c"}', '{"x": [{"input": 1, "input": 1}]}'),
    )),
    *(GOOD.replace("\n", "\r") * 2, "[[1]]", "3", '"text"', "null"),
    *(f"{DEEP}{value}}}" for value in ("NaN", "Infinity", "-Infinity", "1e999", "1" * 5000)),
    *(f"{DEEP}{'[' * depth}{']' * depth}}}" for depth in (100, 5_000, 200_000)),
    *(row.replace("HALF", half) for half in ("\\ud83d", "\\uDE00", "\\uDE00\\ud83d") for row in (
        *('{"input": "HALF", "expected": "b"}', '{"input": "a", "expected": [{"HALF": 1}]}'),
    )),
    # each is named, or counted
    *(GOOD + "oops\n" + '{"input": 3, "expected": "b"}', GOOD + "oops\n" * 7),
]  # fmt: skip
ROWS: list[Sequence[Mapping[str, Any]]] = [  # of JSON Lines
    *([{**PLAIN, "input": value}] for value in (3, None, True, {"a": 1})),
    [{**PLAIN, "expected": None}],
    *([{key: value, **PLAIN}] for key in ("id", "group") for value in (True, 1.5, [], {})),
    *([{"id": value, **PLAIN}] for value in (None, "", " \t")),
    # repeated ids: both lines are named, whether written or made from the content
    *([{"id": "x", **PLAIN}] * 3, [{"id": 1, **PLAIN}, {"id": "1", "input": "b", "expected": "x"}]),
    *([PLAIN, ID_OF_A], [ID_OF_A, PLAIN]),
    [{"data": [{"question": "a", "label": "b"}], "version": 1}],
    # absent fields
    *([{"input": "a"}], [{"id": "x", "expected": "b"}]),
    *([{"question": "a", "label": "b"}, row] for row in ({"text": "a", "label": "b"}, {"question": "a"})),
    *([PLAIN, row] for row in (
        *({"question": "a", "label": "b"}, {"inputs": "a", "Expected": "b"}, {"prompt": "a", "answer": "b"}),
        *({"foo": "a", "output": "b"}, {"foo": "a", "bar": "b"}, {"input": "a", "answer text": "b"}),
        {"input": "a", " expected": "b"},
    )),
    # several forms, or none
    *([CHAT, PAIR], [CHAT, PLAIN], [PLAIN, CHAT]),
    *([{**PAIR, "chosen": "a", "rejected": "b"}], [{**CHAT, "conversations": [Q, A]}]),
    *([{"conversations": [Q], "chosen": A, "rejected": BAD}], [{"foo": "q", "bar": "a"}]),
    *([{"question": "q", "rejected": "a", "kto_tag": True}], [{"text": "q", "question": "p", "label": "a"}]),
    *([{"input": prompt, "preferred_output": [A]}] for prompt in ({"messages": []}, {"prompt": "q"})),
    # recognized, and broken
    *([{"conversations": turns}] for turns in ([{"from": "human"}, A], [Q, {"from": "Q", "value": "x"}])),
    *([{"contents": "q"}], [{"messages": [{"from": "human", "value": "q"}]}], [{**PAIR, "completion": None}]),
    *([{**keys, "chosen": "good", "rejected": "BAD"}] for keys in ({}, {"instruction": "q"})),
    *([{"instruction": "q", "output": ["good", "BAD"]}], [{"input": [{"role": "user"}], "expected": "b"}]),
    *([{"messages": messages}] for messages in (
        *([SYSTEM, Q], [A], "hello", [], ["hello"], [{"content": "a"}, A], [{"role": "user", "tool_calls": []}, A]),
        *([Q, {**A, "content": content, "tool_calls": []}] for content in (None, [], NOT_TEXT)),
        *([Q, {**A, "weight": 2}], [Q, {"role": "assistant"}]),
        *([{"role": "asistant", "content": "a"}], [{"role": 3, "content": "a"}]),
        *([{"role": "user", "content": content}] for content in (None, ["a"], {"type": "text", "text": "a"})),
    )),
    *([{**ALPACA, **keys}] for keys in ({"system": "s"}, {"history": [["q", "good"]]}, {"instruction": None})),
    *([{**ALPACA, "input": value}] for value in (0, [])),
    *([{**PAIR, "completion": value}] for value in ([], ["a", "b"], [{"content": "x"}], [{"from": "gpt"}])),
    [{"prompt": None, "completion": [Q, A]}],
    *([{"messages": [*turns]}] for turns in ([{**BAD, "weight": 0}, Q], [Q, {**A, "tool_calls": "x"}])),
    # no answer to learn
    [{"messages": [Q, {**BAD, "weight": 0}]}] * 2,
    [{**PAIR, "label": False}] * 2,
]  # fmt: skip
OPTIONS: list[tuple[dict[str, Any], list[Mapping[str, Any]]]] = [  # how rows are asked for
    *(({"fields": {ours: "column"}}, [{**PLAIN, "column": "c"}, {**PLAIN, "colum": "c"}])
      for ours in ("input", "id", "group", "lang")),
    ({"fields": {"input": "questions", "expected": "question"}}, [{"quest": "a"}]),
    ({"fields": {"expected": "label"}, "labeled": False}, [{"input": "a"}]),
    ({"fields": {"expected": "label"}}, [{"messages": [Q], "label": "b"}]),
    *(({"fields": {"expected": "answers.text"}}, [SQUAD, row])
      for row in ({**SQUAD, "answers": None}, {**SQUAD, "answers": {"texts": []}}, {"question": "q"})),
    *(({"format": "chat"}, [row]) for row in (PLAIN, {**CHAT, "input": "x"}, {**CHAT, "expected": "x"})),
    ({"format": "plain"}, [CHAT]),
    ({"format": "chat", "fields": {"input": "messages", "expected": "x"}}, [CHAT]),
    ({"format": "josnl"}, [PLAIN]),
]  # fmt: skip
FILES: dict[str, Sequence[str | bytes]] = {
    "data.csv": [
        *(
            "input,expected\n",
            "title,label\na,b\n",
            "input^expected\na^b\n",
            "input;expected\na;b;c\n",
            "input;expected\na,b\nc,d\n",
        ),
        *(
            "input,expected,input\na,b,c\n",
            'input,expected\n"a\nb",c\nd\n',
            "input,expected\na, b,c\n",
        ),
        *(
            'input,expected\n"a" b,c\n',
            'input,expected\na,b\n"c,d\ne,f\n',
            "input,expected\ra,b\r",
            "input,note\na,x",
        ),
        *("id,input,expected\nx,a,b\n,c,d\n", 'id,input,expected\nx,"a\n",b\nx,c,d\n'),
        "input,expected\na\nb,c\nd\n",  # all rows that are wrong
        'input,expected\na\n"b,c\n',  # up to where no more can be read
    ],
    "data.jsonl": JSONL,
    "data.json": [
        *(f"[{GOODS},\n {row}]" for row in ('{"input": "c"}', '{"input": "c",,}')),
        *(f'[{GOODS}\n {{"input": "c"}}]', f"[{GOODS},", f"[{GOODS}] x"),
        *('[\n{"input": "a", "input": "b"}]', '[\n{"input": "a", "expected": NaN}]', "[3]", "[]"),
    ],
    "data.xlsx": [GOOD],
    "data": [GOOD],
}
ABSENT = [
    *(
        "trian.jsonl",
        "zzzzzzzzzz.csv",
        "data/test.jsonl",
        "PolyAI/banking77",
        "folder.jsonl",
        "a\0.jsonl",
    ),
    *(f"{url}//host/a{end}" for url in ("https:", "s3:") for end in ("", ".csv")),
]
ITEMS: list[Any] = [  # what a fixture may give in place of rows
    *("test.jsonl", {"input": "a"}, {("a", "b")}, b"ab", 3, None, Example("x", "a", "b"), [], (), iter([])),
    *([("a", "b"), item] for item in (
        *("ab", 3, ("a",), ("a", "b", "c"), None, object(), {"foo": "a"}, {"title": "a", "label": "b", "class": 3}),
    )),
    *([Example(*example)] for example in (
        *((True, "a", "b"), (" ", "a", "b"), ("x", 3, "b"), ("x", ({"role": "user"},), "b"), ("x", "a", None)),
        *(("x", "a", "b", 1.5), ("x", "a", "b", None, [1])),
    )),
    [Example("x", "a", "b"), ("c", "d"), {"id": "x", "input": "e", "expected": "f"}],
]  # fmt: skip
YAML: list[str | bytes] = [
    *(f"a:\n  b: {word}\n" for word in ("yes", "No", "ON", "oFf")),
    "checks:\n  leaked: off\n",
    *("on: 1", "a:\n- x\n- no\n", '"\\e[1m": yes', "revision: 2026-5-1"),
    *(f"revision: 2026-05-01{time}" for time in ("", " 10:00:00", "T10:00:00Z")),
    *("", "# nothing\n", "---\n", "\n- a\n", "gates", b"a: 1\nb: \xff\n", "a: 1".encode("utf-16")),
    *(
        "a: 1\nb: \x07",
        "a: 1\nb: c: d",
        "a:\n  b: 1\n\tc: 2",
        "a:\n  b:\t1",
        "a:\n\u00a0\u00a0b: 1\n  c: 2",
    ),
    *(
        "a: 'recorded':b\nc: 1",
        "a: @b",
        'a: "C:\\x"',
        'a: "b',
        "a:\n  b: 1\n   c: 2",
        "a:\n  b: 1\n c: 2",
    ),
    *(
        "a:\n  b:1\n  c: 2",
        "a: {b: ${C}}",
        "a: [1, 2",
        "a: 1\n---\nb: 2",
        "a: 1\nb: 2\na: 3",
        "a: {b: 1, 'b': 2}",
    ),
    *(
        "a: !foo 1",
        "a: ! 1",
        "a:\n  b: !!python/object/apply:os.system ['true']",
        "!!str a: 1",
        "a: &x !!str 5",
    ),
    *("1: a", "a: {true: b}", "? [a]\n: b", "a: *x"),
    *(f"a: {'[' * depth}{']' * depth}" for depth in (9_000,)),
    "a: 1\n<<<<<<< HEAD\nb: 2\n=======\nb: 3\n>>>>>>> branch\n",
    "a: &x 1\nb: &x 2",
    'a: {api_key: "sk-secret-1" "sk-secret-2"}\nb: "sk-secret',
]


def unreadable() -> list[str]:
    """Return what is said of each file in the working folder, and of each object."""
    lines: list[str] = []

    def told(title: str, content: Any, read: Callable[[], Any]) -> None:
        lines.extend([f"\n## {title}\n"] * (f"\n## {title}\n" not in lines))
        printable = re.sub("0x[0-9a-f]+", "0x", ascii(content))
        printable = printable if len(printable) < 100 else f"{printable[:60]} ... {printable[-30:]}"
        try:
            read()
        except FtgateError as error:
            # after which Python speaks
            text = re.sub(r"(invalid CSV|embedded null)[^\n]*", r"\1", str(error))
            assert "sk-secret" not in text
            lines.append(f"- {printable}: {text}".replace("\n ", " |"))
        else:
            raise AssertionError(f"{title}: {content!r} was read")

    def file(name: str, content: str | bytes, title: str = "", **options: Any) -> None:
        path = Path(name)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        told(title or name, content, lambda: load_examples(path, **options))

    def jsonl(rows: Iterable[Mapping[str, Any]]) -> str:
        return "".join(json.dumps(row) + "\n" for row in rows)

    Path("train.jsonl").write_text(GOOD, encoding="utf-8")
    Path("folder.jsonl").mkdir()
    for path in ABSENT:
        told("absent", path, partial(load_examples, Path(path)))
    for name, contents in {**FILES, "rows.jsonl": list(map(jsonl, ROWS))}.items():
        for content in contents:
            file(name, content)
    for options, rows in OPTIONS:
        file("rows.jsonl", jsonl(rows), str(options), **options)
    for items in ITEMS:
        told("items", items, partial(examples_from, items, origin="fixture ftgate_test_set"))
    for content in YAML:
        Path("ftgate.yaml").write_bytes(content.encode() if isinstance(content, str) else content)
        told("ftgate.yaml", content, partial(read_yaml, Path("ftgate.yaml")))
    return lines
