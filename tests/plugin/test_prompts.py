"""The prompts of a gate before any call: templates that rows cannot fill, and a candidate not asked as in training."""

from random import Random
from typing import Any

import pytest
from endpoint_project import EndpointProject, N, answer
from gate_project import (
    because,
    check,
    ends,
    label,
    mentions,
    passed,
    read_jsonl,
    statuses,
    stopped,
    write_jsonl,
)

SYSTEM = "You route support messages. Answer with one label."
FIRST = ("order", "parcel", "bill", "card", "door", "shoe", "phone")
TOOLS = [{"type": "function", "function": {"name": "route", "parameters": {"type": "object"}}}]
OTHER_TOOLS = [
    {"type": "function", "function": {"name": "refund", "parameters": {"type": "object"}}}
]
WRAP = "### Message\n{}\n### Label:"


# --- templates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "place", "placeholder", "near"),
    [
        ({"template": "{lang}: {imput}"}, "test.jsonl:1", "{imput}", "'input'?"),
        ({"template": "{langg} {input}"}, "test.jsonl:1", "{langg}", "'lang'?"),
        # all but this row have it
        ({"template": "{topic} {input}"}, "test.jsonl:8", "{topic}", "lang"),
        ({"template": "{kind} {input}"}, "guard.jsonl:1", "{kind}", "lang"),
        ({"template": "{lang} {input}", "few_shot": 3}, "train.jsonl:", "{lang}", "input"),
        ({"template": "{lang} {input}", "retrieval": 1}, "train.jsonl:", "{lang}", "input"),
    ],
)
@pytest.mark.parametrize("role", ["baseline", "candidate"])
def test_a_placeholder_without_a_field_stops_the_gate(
    http: EndpointProject, role: str, keys: dict[str, Any], place: str, placeholder: str, near: str
) -> None:
    http.test_set(N, lang="de", kind="k", topic="t")
    rows = read_jsonl(http.path / "test.jsonl")
    rows[7].pop("topic")
    write_jsonl(http.path / "test.jsonl", rows)
    http.test_set(
        N, "guard.jsonl", prefix="g", input="other question {}".format, lang="de", topic="t"
    )
    model = http.model("base" if role == "baseline" else "ft", **keys)
    gate = http.judge(
        **{role: model, "guards": {"other": {"test_set": "guard.jsonl", "max_drop": 0.5}}}
    )
    mentions(stopped(gate), place, "template", placeholder, near)
    assert not http.server.requests


def test_braces_that_name_nothing_are_text(http: EndpointProject) -> None:
    template = '{"label": "..."} {0} {input}'
    passed(
        http.judge(
            baseline=http.model("base", template=template),
            candidate=http.model("ft", template=template),
        )
    )
    assert any(
        body["messages"][-1]["content"].startswith('{"label": "..."} {0} customer')
        for body in http.server.bodies
    )


# --- images, audio, video --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "fields", "description"),
    [
        (None, {"images": ["a.png"]}, "the field images"),
        ("scans/7.png", {}, "the input scans/7.png"),
        (
            [{"type": "image"}, {"type": "text", "text": "customer question 7"}],
            {},
            "type image without content",
        ),
    ],
)
def test_media_that_would_not_be_sent_stop_the_gate(
    http: EndpointProject, content: Any, fields: dict[str, Any], description: str
) -> None:
    rows = read_jsonl(http.path / "test.jsonl")
    messages = (
        [{"role": "user", "content": content}]
        if isinstance(content, list)
        else content or rows[7]["input"]
    )
    rows[7] |= {"input": messages, **fields}
    write_jsonl(http.path / "test.jsonl", rows)
    mentions(stopped(http.judge()), "test.jsonl:8", description, "image_url")
    assert not http.server.requests
    mentions(
        stopped(http.judge(baseline="recorded:base.jsonl", candidate=lambda text: "refund")),
        description,
    )
    passed(http.judge(baseline="recorded:base.jsonl", candidate="recorded:ft.jsonl"))


def test_media_that_are_sent_are_not_refused(http: EndpointProject) -> None:
    """As a part of a message, or by the template."""
    rows, url = read_jsonl(http.path / "test.jsonl"), "data:image/png;base64,iVBOR"
    image = {"type": "image_url", "image_url": {"url": url}}
    messages = [
        {"role": "user", "content": [image, {"type": "text", "text": "customer question 7"}]}
    ]
    http.server.answer = lambda body: label(7) if url in str(body) else answer(body)
    for row, keys in (
        ({"input": messages, "images": ["a.png"]}, {}),
        ({"image": url}, {"template": "{image} {input}"}),
    ):
        records = [{"image": "none", **row} if keys else dict(row) for row in rows]
        records[7] |= row
        write_jsonl(http.path / "test.jsonl", records)
        passed(http.judge(baseline=http.model("base", **keys), candidate=http.model("ft", **keys)))
        assert str(url if keys else image) in str(http.server.bodies)
        http.forget()


# --- asked as in training ------------------------------------------------------------------------------------


def _train(
    project: EndpointProject,
    *,
    system: Any = None,
    wrap: str = "{}",
    tools: Any = (),
    form: Any = str,
) -> None:
    """Write 200 conversations; ``system`` may be a text, or a function of the row's number."""
    rows = []
    for i in range(200):
        system_text = system(i) if callable(system) else system
        turns = [{"role": "system", "content": system_text}] if system_text else []
        turns.append(
            {
                "role": "user",
                "content": form(wrap.format(f"{FIRST[i % 7]} {_letters(i)} question {i}")),
            }
        )
        turns.append({"role": "assistant", "content": label(i)})
        rows.append({"messages": turns, **({"tools": tools} if tools else {})})
    write_jsonl(project.path / "train.jsonl", rows)


def _letters(number: int) -> str:
    """Return a word that no other row has: rows that differ in a number alone are copies of each other."""
    return "".join(Random(number).choices("bdfgklmnprst", k=24))


def varied(number: int) -> str:
    return f"{FIRST[number % 7]} customer question {number}"


def most(text: str) -> str:
    """Leave out a start in 15 of 200 rows, and an end in 15 others."""
    left_out = int(text.split()[-1]) % 14
    return f"{'Q: ' if left_out else ''}{text}{'' if left_out == 1 else ' Answer:'}"


@pytest.mark.parametrize(
    ("trained", "keys", "line", "shares"),
    [
        ({"system": SYSTEM}, {}, SYSTEM, (0, 1)),
        ({"system": SYSTEM}, {"system": "Something else."}, SYSTEM, (0, 1)),
        (
            {"system": lambda i: SYSTEM if i % 2 else None},
            {"system": "Else."},
            "'Else.'",
            (1, 0),
        ),
        (
            {"system": lambda i: None if i % 10 else SYSTEM},
            {"system": "Else."},
            "without system",
            (1, 0),
        ),
        (
            {"system": lambda i: None if i % 10 else SYSTEM},
            {"system": SYSTEM},
            "without system",
            (1, 0.1),
        ),
        ({"system": "word " * 200}, {}, "word word", (0, 1)),
        ({"system": lambda i: f"{SYSTEM} The customer is {i}."}, {}, "100 %", (0, 1)),
        (
            {"system": lambda i: f"{SYSTEM} The customer is {i}."},
            {"system": SYSTEM},
            SYSTEM,
            (1, 0),
        ),
        ({}, {"system": SYSTEM}, "without system", (1, 0)),
        ({"wrap": WRAP}, {}, "### Message", (0, 1)),
        ({"wrap": "Q: {}"}, {}, "'Q: '", (0, 1)),
        ({"wrap": "classify {}"}, {}, "'classify '", (0, 1)),
        ({"wrap": "{} Answer:"}, {}, "' Answer:'", (0, 1)),
        ({"form": most}, {}, "'Q: '", (0, 0.925)),
        (
            {"wrap": "Q: {}"},
            {"template": "{input}\nAnswer in French."},
            "'Q: '",
            (0, 1),
        ),
        ({}, {"template": "Classify this message: {input}"}, "without template", (1, 0)),
        ({"tools": TOOLS}, {}, "tools", (0, 1)),
        ({"tools": TOOLS}, {"params": {"tools": OTHER_TOOLS}}, "tools", (0, 1)),
        ({}, {"params": {"tools": TOOLS}}, "without tools", (1, 0)),
    ],
)
def test_a_candidate_that_is_not_asked_as_in_training(
    http: EndpointProject,
    trained: dict[str, Any],
    keys: dict[str, Any],
    line: str,
    shares: tuple[float, float],
) -> None:
    _train(http, **trained)
    http.test_set(N, input=varied)
    gate = http.judge(baseline=http.model("base", **keys), candidate=http.model("ft", **keys))
    finding = check(gate, "prompt_mismatch")
    assert (finding["status"], finding["observed"], finding["required"]) == ("warning", *shares)
    assert gate["verdict"] == "pass"
    mentions(finding, line, "test_gate.py:4" if finding["source"] != "marker" else "marker")


@pytest.mark.parametrize(
    ("trained", "keys", "test"),
    [
        ({"system": SYSTEM}, {"system": SYSTEM}, {}),
        ({"system": f" {SYSTEM}\n"}, {"system": SYSTEM}, {}),
        ({"system": lambda i: SYSTEM if i % 2 else None}, {}, {}),
        (
            {"system": lambda i: f"{SYSTEM} Version {i % 3}."},
            {"system": f"{SYSTEM} Version 1."},
            {},
        ),
        ({"wrap": WRAP}, {"template": WRAP.replace("{}", "{input}")}, {}),
        ({"wrap": WRAP}, {}, {"wrap": WRAP}),
        ({"tools": TOOLS}, {}, {"tools": TOOLS}),
        ({}, {"few_shot": 2}, {}),
        ({}, {}, {}),
        # rows of plain text
        (None, {"system": SYSTEM, "template": "Q: {input}", "few_shot": 1}, {}),
    ],
)
def test_a_candidate_that_is_asked_as_in_training(
    http: EndpointProject,
    trained: dict[str, Any] | None,
    keys: dict[str, Any],
    test: dict[str, Any],
) -> None:
    if trained is not None:
        _train(http, **trained)
        wrap = test.get("wrap", "{}")
        http.test_set(
            N, input=lambda i: [{"role": "user", "content": wrap.format(varied(i))}], **test
        )
    gate = http.judge(
        candidate=http.model("ft", **keys), baseline=http.model("base", system="Be terse.")
    )
    assert "prompt_mismatch" not in statuses(gate)


def test_the_mismatch_is_the_cure_of_a_red_gate(http: EndpointProject) -> None:
    _train(http, system=SYSTEM)
    gate = ends(http.judge(margin=0.9, checks={"near_duplicates": "warn"}), "fail")
    assert "the system of the training rows" in str(check(gate, "margin")["cure"])


def test_the_gate_decides_what_a_mismatch_means(http: EndpointProject) -> None:
    _train(http, system=SYSTEM)
    assert (
        statuses(passed(http.judge(checks={"prompt_mismatch": "ignore"})))["prompt_mismatch"]
        == "note"
    )
    http.forget()
    because(http.judge(checks={"prompt_mismatch": "fail"}), "fail", "prompt_mismatch", SYSTEM)
    assert not http.server.requests
