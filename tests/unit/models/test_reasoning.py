"""The answer without the reasoning before it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.models import Completion
from pytest_ftgate.models.reasoning import TAGS, stripping_for, without_reasoning

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
    ("use <think> for this", "auto", ("use <think> for this", None, "stop")),
    (HARMONY, "auto", ("refund", "They want money.", "stop")),
    (f"{HARMONY}<|return|>", "auto", ("refund", "They want money.", "stop")),
    (HARMONY.replace("final<|", "final <|constrain|>json<|"), "auto", ("refund", "They want money.", "stop")),
    (HARMONY.partition("<|end|>")[0], "auto", ("", "They want money.", "cut_off")),
    ("<think>money</think>refund", False, ("<think>money</think>refund", None, "stop")),
    ("[a]money[/a]refund", ("[a]", "[/a]"), ("refund", "money", "stop")),
    ("<think>money</think>refund", ("[a]", "[/a]"), ("<think>money</think>refund", None, "stop")),
]


@pytest.mark.parametrize(("text", "stripping", "found"), READ)
def test_what_is_answer_and_what_is_reasoning(text, stripping, found):
    one = without_reasoning(Completion(text), stripping)
    assert (one.text, one.reasoning, one.finish) == found


def test_reasoning_that_came_apart_is_kept():
    one = without_reasoning(Completion("<think>b</think>c", reasoning="a"), "auto")
    assert (one.text, one.reasoning) == ("c", "a\nb")


def test_outputs_that_begin_with_a_tag_are_no_reasoning():
    assert stripping_for("auto", ["<reasoning>because</reasoning><label>x</label>"]) is False
    assert stripping_for("auto", ["refund"]) == "auto"
    assert stripping_for(("<think>", "</think>"), ["<think>"]) == ("<think>", "</think>")


@given(st.sampled_from(TAGS), st.text(), st.text().filter(lambda text: "<" not in text))
def test_an_answer_after_tags_is_found_whatever_the_reasoning_says(tags, reasoning, answer):
    opening, closing = tags
    one = without_reasoning(Completion(f"{opening}{reasoning.replace('<', '')}{closing}{answer}"), "auto")
    assert one.text == answer.strip()
    assert without_reasoning(one, "auto").text == one.text
