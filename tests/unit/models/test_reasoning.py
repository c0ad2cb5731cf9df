"""The answer without the reasoning before it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.models import Completion
from pytest_ftgate.models.protocol import answer_of, stripping_for, without_reasoning

HARMONY = "<|channel|>analysis<|message|>They want money.<|end|><|start|>assistant<|channel|>final<|message|>refund"

READ = [  # text, stripping; the answer, the reasoning, how it ended
    ("refund", "auto", ("refund", None, "stop")),
    ("<think>money</think>refund", "auto", ("refund", "money", "stop")),
    ("\n<think>\nmoney\n</think>\n\nrefund", "auto", ("refund", "money", "stop")),
    ("<thinking>money</thinking> refund", "auto", ("refund", "money", "stop")),
    ("<reasoning>money</reasoning> refund", "auto", ("refund", "money", "stop")),
    ("money</think>refund", "auto", ("refund", "money", "stop")),
    ("<think></think>refund", "auto", ("refund", "", "stop")),
    ("<think>money, or", "auto", ("", "money, or", "cut_off")),
    ("<think>money, or</think> ", "auto", ("", "money, or", "cut_off")),
    *(
        (f"{start}money{end}\nrefund", "auto", ("refund", "money", "stop"))
        for start, end in (
            ("[THINK]", "[/THINK]"),
            ("<thought>", "</thought>"),
            ("<seed:think>", "</seed:think>"),
            ("<Think>", "</THINK>"),
            ("<|START_THINKING|>", "<|END_THINKING|>"),
            ("<|begin_of_thought|>", "<|end_of_thought|>"),
            ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
            ('<think budget="9">', "</think>"),
            ("", "[/THINK]"),
        )
    ),
    ("<b>money</b> refund", "auto", ("<b>money</b> refund", None, "stop")),
    ("use <think> for this", "auto", ("use <think> for this", None, "stop")),
    (HARMONY, "auto", ("refund", "They want money.", "stop")),
    (f"{HARMONY}<|return|>", "auto", ("refund", "They want money.", "stop")),
    (
        HARMONY.replace("final<|", "final <|constrain|>json<|"),
        "auto",
        ("refund", "They want money.", "stop"),
    ),
    (HARMONY.partition("<|end|>")[0], "auto", ("", "They want money.", "cut_off")),
    ("<think>money</think>refund", False, ("<think>money</think>refund", None, "stop")),
]


@pytest.mark.parametrize(("text", "stripping", "found"), READ)
def test_what_is_answer_and_what_is_reasoning(text, stripping, found):
    one = without_reasoning(Completion(text), stripping)
    assert (one.text, one.reasoning, one.finish) == found
    if found[1]:  # that which came apart is kept
        assert (
            without_reasoning(Completion(text, reasoning="a"), stripping).reasoning
            == f"a\n{found[1]}"
        )


@pytest.mark.parametrize(
    ("answer", "finish"),
    [
        (Completion("", reasoning="money"), "cut_off"),
        (Completion("refund", reasoning="money"), "stop"),
        (Completion(""), "stop"),
        (Completion("refund", output_tokens=9), "cut_off"),
        (Completion("refund", output_tokens=8), "stop"),
        (Completion("refund", output_tokens=9, finish="refusal"), "refusal"),
    ],
)
def test_an_answer_that_never_came_or_is_as_long_as_the_limit_is_cut_off(answer, finish):
    assert answer_of(answer, 9, False).finish == finish


def test_an_answer_without_reasoning_is_not_copied():
    answer = Completion('["refund"]')
    assert without_reasoning(answer, "auto") is answer


def test_outputs_that_begin_with_a_tag_are_no_reasoning():
    assert stripping_for("auto", ["<reasoning>because</reasoning><label>x</label>"]) is False
    assert stripping_for("auto", ["refund"]) == "auto"
    assert stripping_for(False, ["<think>"]) is False


@given(
    st.sampled_from([("<think>", "</think>"), ("[THINK]", "[/THINK]")]),
    st.text(),
    st.text().filter(lambda text: not {*"<[\u25c1"} & {*text}),
)
def test_an_answer_after_tags_is_found_whatever_the_reasoning_says(tags, reasoning, answer):
    opening, closing = tags
    one = without_reasoning(
        Completion(f"{opening}{re.sub('[<[]', '', reasoning)}{closing}{answer}"), "auto"
    )
    assert one.text == answer.strip()
    assert without_reasoning(one, "auto").text == one.text
