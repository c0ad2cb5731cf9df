from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.data import Example, canonical_json, examples_from
from pytest_ftgate.errors import ConfigError, DataError
from pytest_ftgate.models.prompt import (
    Prompt,
    build_prompt,
    choose_shots,
    refuse_unsent_media,
    usable_examples,
)

SYSTEM = {"role": "system", "content": "old"}
USER = {"role": "user", "content": "hi"}


def example(given="hi", expected="x", **fields):
    return Example("e1", given, expected, fields=fields)


# --- system message ------------------------------------------------------------------------------------------


NEW = {"role": "system", "content": "new"}
DEVELOPER = {"role": "developer", "content": "old"}
CALLED = (
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]},
    {"role": "tool", "content": "1"},
)


@pytest.mark.parametrize(
    ("system", "given", "sent"),
    [
        (None, "hi", [USER]),
        ("new", "hi", [NEW, USER]),
        *(
            ("new", given, [NEW, USER])
            for given in ((SYSTEM, USER), (USER, SYSTEM), (DEVELOPER, USER))
        ),
        (None, (SYSTEM, USER, *CALLED), [SYSTEM, USER, *CALLED]),
    ],
)
def test_system_replaces_one_in_the_data_wherever_it_stands(system, given, sent):
    assert Prompt(system=system).messages(example(given)) == sent


def test_system_file_is_read_whole(tmp_path, spec):
    (tmp_path / "p.md").write_bytes("\ufeffBe brief.\r\nVery.\n".encode())
    assert build_prompt(spec(system_file=tmp_path / "p.md"), None).system == "Be brief.\nVery.\n"


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"caf\xe9.", r"prompt.md(.|\n)*byte 3"), (b" \n", r"system_file: is blank(.|\n)*prompt.md")],
)
def test_system_file_that_cannot_be_used(tmp_path, spec, content, word):
    (tmp_path / "prompt.md").write_bytes(content)
    with pytest.raises(DataError, match=word):
        build_prompt(spec(system_file=tmp_path / "prompt.md"), None)


# --- template ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "sent"),
    [
        ("Q: {input}", "Q: hi"),
        ("{input} and {input}", "hi and hi"),
        ("{lang}: {input}", "de: hi"),
        ("{n} {flag} {tags} {nothing} {input}", '1 true ["a"] null hi'),
        (
            '{input} {"label": 1} {a, b} {0} {} {{input}} {input!r}',
            'hi {"label": 1} {a, b} {0} {} {hi} {input!r}',
        ),
        ('{"text": "{input}"}', '{"text": "hi"}'),
        ("%s {lang} {input}", "%s de hi"),
        ("{lang}: {whole}", "de: well, hi there"),  # the input by another name
    ],
)
def test_template_replaces_the_input_and_fields_and_nothing_else(template, sent):
    row = example("hi", lang="de", n=1, flag=True, tags=["a"], nothing=None, whole="well, hi there")
    assert Prompt(template=template).messages(row) == [{"role": "user", "content": sent}]


@given(text=st.text(), field=st.text())
def test_what_is_put_in_is_never_expanded_again(text, field):
    (message,) = Prompt(template="<{a}|{input}>").messages(example(text, a=field, input="other"))
    assert message["content"] == f"<{field}|{text}>"


def test_template_stands_for_the_users_last_message():
    turns = (
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {**USER, "name": "ann"},
    )
    sent = Prompt(template="Q: {input}").messages(example(turns))
    assert sent == [*turns[:2], {"role": "user", "content": "Q: hi", "name": "ann"}]
    assert turns[2]["content"] == "hi"


@pytest.mark.parametrize(
    ("template", "given", "words"),
    [
        ("{input}", ({"role": "user", "content": [{"type": "text", "text": "hi"}]},), ["'e1'"]),
        ("{input}", ({"role": "assistant", "content": "hi"},), ["'e1'"]),
        ("Q: {inputs}", "hi", ["{inputs}", "lang, input", "'input'?"]),
        ("{langs} {input}", "hi", ["{langs}", "lang, input", "'lang'?"]),
        ("{{ input }}", "hi", ["{ input }", "'input'?"]),
        ("{input} {expected} {lang}", "hi", ["{expected}", "system"]),
        ("fixed", "hi", ["e1", "{input}"]),  # the same text would be sent for every example
        ("{lang}:", "hi", ["e1", "{input}"]),
    ],
)
def test_template_that_cannot_be_applied(template, given, words):
    with pytest.raises(ConfigError) as caught:
        Prompt("marker", template=template).messages(example(given, lang="de"))
    assert str(caught.value.where) == "marker: template"
    assert all(word in str(caught.value) for word in words)


# --- few-shot ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", [(SYSTEM, USER), (USER, SYSTEM)])
def test_shots_stand_after_the_instructions_of_the_data_and_leave_their_own_out(spec, turns):
    chat = {"messages": [*turns, {"role": "assistant", "content": "answer"}]}
    sent = build_prompt(spec(few_shot=1), examples_from([chat], origin="here")).messages(
        example((SYSTEM, USER))
    )
    assert sent == [SYSTEM, USER, {"role": "assistant", "content": "answer"}, USER]


def chosen(training, k):
    return [shot.expected for shot in choose_shots(usable_examples(training), k)]


@pytest.mark.parametrize(
    ("k", "counts"),
    [
        (1, {"refund": 1}),
        (3, {"refund": 1, "invoice": 1, "shipping": 1}),
        (6, {"refund": 2, "invoice": 2, "shipping": 2}),
        (9, {"refund": 4, "invoice": 3, "shipping": 2}),
        (17, {"refund": 10, "invoice": 5, "shipping": 2}),
    ],
)
def test_labels_take_turns(training, k, counts):
    assert Counter(chosen(training, k)) == counts
    assert chosen(training, k) == chosen(training, 17)[:k]


@given(st.randoms(use_true_random=False), st.integers(1, 10))
def test_the_order_of_the_rows_does_not_matter(random, k):
    rows = [(f"text {i}", "abc"[i % 3]) for i in range(10)]
    shuffled = random.sample(rows, len(rows))
    one, other = (usable_examples(examples_from(r, origin="here")) for r in (rows, shuffled))
    assert [s.input for s in choose_shots(one, k)] == [s.input for s in choose_shots(other, k)]


def test_shots_of_one_label_each_are_not_taken_in_alphabetical_order():
    data = examples_from([(f"t{i:02}", f"answer {i:02}") for i in range(40)], origin="here")
    assert chosen(data, 5) != [f"answer {i:02}" for i in range(5)]


def test_a_shot_that_calls_tools_is_sent_as_calls(spec):
    """With a result for each, which the API requires; without tools, and for plain text, the answer is text."""
    calls = [{"name": "f", "arguments": {"x": 1}}, {"name": "g", "arguments": {}}]
    rows = [
        {
            "input": [USER],
            "expected": calls,
            "tools": [{"type": "function", "function": {"name": "f"}}],
        },
        {"input": "no tools", "expected": calls},
    ]
    data = examples_from(rows, origin="here")
    (_, called, one, other), (_, text) = map(Prompt().shot, data)
    functions = [(call["type"], call["function"]) for call in called["tool_calls"]]
    assert functions == [
        ("function", {"name": "f", "arguments": '{"x":1}'}),
        ("function", {"name": "g", "arguments": "{}"}),
    ]
    ids = [call["id"] for call in called["tool_calls"]]
    assert len(set(ids)) == 2
    assert [(result["role"], result["tool_call_id"]) for result in (one, other)] == [
        ("tool", id_) for id_ in ids
    ]
    assert text == {"role": "assistant", "content": canonical_json(calls)}


@pytest.mark.parametrize(
    ("options", "rows", "words"),
    [
        (
            {"few_shot": 2},
            [("One", "a"), ("one ", "b"), ("two", " "), ("  ", "a")],
            ["2 usable", "there are 1", "origin"],
        ),
        ({"few_shot": 2}, None, ["2 usable", "there are 0"]),
        ({"template": "{question}", "few_shot": 1}, [("One", "a")], ["{input}"]),  # before any call
    ],
)
def test_shots_that_cannot_be_given(spec, options, rows, words):
    data = None if rows is None else examples_from(rows, origin="origin")
    with pytest.raises(ConfigError) as caught:
        build_prompt(spec(**options), data)
    assert caught.value.where.path == "ftgate.yaml:7"
    assert all(word in str(caught.value) for word in words)


# --- images, audio, video ------------------------------------------------------------------------------------

TEXTS = """<image> <Image> <img> <start_of_image> <|AUDIO|> <video> <ImageHere> [IMG] {image} {{image}} [Photo_1]
<|image_1|> ![scan](a.png) <img/src=x> a[image] <|im_start|> List<Image> [a](b.png) <image>a</image>"""
MEDIA = [
    *({name: "x"} for name in ("image", "images", "audio", "videos")),
    *(
        {"f": name}
        for name in (
            "https://x.y/a.png?size=1",
            "my scan.TIFF",
            "x.pdf",
            "clips/a.mp3",
            "iVBORw0KGgoAAA",
        )
    ),
    *(
        {"f": value}
        for value in (
            {"bytes": "iVBORw=", "path": None},
            [{"url": "https://x.y/a.jpg"}],
            ["a.tiff"],
        )
    ),
    *({"f": value} for value in ("data:audio/wav;base64,UklGR", b"RIFF")),
    {"pixel_values": [[0, 1], [1, 0]]},
]
OTHERS = {
    "photo_id": 7,
    "image_size": [640, 480],
    "spans": [[0, 4]],
    "note": "see a.png for it",
    "file": "a.txt",
}
OTHERS |= {
    "images": [],
    "image_tags": ["cat"],
    "speech": "Four score",
    "embedding": [0.5] * 99,
    "meta": {"bytes": 0},
}


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        *(("hi", one) for one in MEDIA),
        *((text, {}) for text in ("scans/7.png", "data:image/png;base64,iVBOR")),
    ],
)
def test_media_that_would_not_be_sent_are_refused(text, fields):
    with pytest.raises(DataError, match="would not be sent"):
        refuse_unsent_media(Example("a", text, "x", fields=fields))


@pytest.mark.parametrize(
    "text", [*TEXTS.split(), "<img src='a.png'>", "<p><img src=x></p>", "data:image/png,x"]
)
def test_a_tag_of_an_image_in_a_text_is_text(text):
    refuse_unsent_media(Example("a", f"{text} what is it?", "x"))
    turns = ({"role": "user", "content": [{"type": "text", "text": f"what is {text}"}]},)
    refuse_unsent_media(Example("a", turns, "x"))


def test_fields_that_only_look_like_media_are_not_refused():
    refuse_unsent_media(Example("a", "see a.png", "x", fields=OTHERS))
