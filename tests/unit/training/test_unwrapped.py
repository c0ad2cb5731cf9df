"""Test examples that stand in the training set within a prompt, a longer conversation, or behind a row's number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pytest_ftgate.data import examples_from
from pytest_ftgate.training import TrainingAudit, audit_training_set, leaked_rows
from pytest_ftgate.training.wrapping import FEWEST, Wrapping

Row = tuple[Any, Any]

ASKED = "where is the parcel that I ordered last week from your shop"
SHORT = "lights on"
PROMPT = 'You sort messages of customers.\nMessage: "{}"\nAnswer with one label:'
NAMES = ["Anna", "Boris", "Clara", "Dmitri", "Emine", "Farid", "Greta", "Hector", "Ingrid", "Jamal"]
THINGS = ["lamp is broken", "bill is wrong", "order is late"]
OTHERS = [f"{name} writes that the {thing}" for name in NAMES for thing in THINGS]


def audit(training: Sequence[Row], test: Sequence[Row]) -> TrainingAudit:
    return audit_training_set(examples_from(training, origin="here"), examples_from(test, origin="there"))


def rows(form: str = "{}", more: Sequence[str] = (), label: str = "x") -> list[Row]:
    return [(form.format(text), label) for text in (*OTHERS, *more)]


def turns(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]


def leaks(found: TrainingAudit) -> tuple[int, int]:
    return found.leaked, len(found.leaked_near_rows)


class TestPrompt:
    @pytest.mark.parametrize("form", [PROMPT, "Message: {}", "{} Label:", '"{}"', "请分类：{}"])
    @pytest.mark.parametrize("asked", [ASKED, SHORT])
    def test_training_inputs_within_a_prompt(self, form: str, asked: str) -> None:
        found = audit(rows(form, [asked]), [("unseen", "x"), (asked, "x")])
        assert (found.leaked_rows, found.unwrapped) == (((1, len(OTHERS)),), 1)

    @pytest.mark.parametrize("asked", [ASKED, SHORT])
    def test_test_inputs_within_a_prompt(self, asked: str) -> None:
        test = [(PROMPT.format(f"question of {name} about {thing}"), "x") for name in NAMES for thing in THINGS]
        assert leaks(audit([("a", "x"), (asked, "x")], [*test, (PROMPT.format(asked), "x")])) == (1, 0)

    def test_a_near_copy_within_a_prompt(self) -> None:
        found = audit(rows(PROMPT, [ASKED.replace("week", "month")]), [(ASKED, "x")])
        assert (leaks(found), found.leaked_near_rows) == ((0, 1), ((0, len(OTHERS)),))

    def test_a_few_rows_without_the_prompt_do_not_hide_it(self) -> None:
        found = audit([*rows(PROMPT, [ASKED]), ("one", "x"), ("another", "y")], [(ASKED, "x")])
        assert leaks(found) == (1, 0)

    def test_words_that_all_questions_begin_with_are_not_lost(self) -> None:
        training = [(PROMPT.format(f"where is {text}"), "x") for text in (*OTHERS, "my lamp")]
        assert leaks(audit(training, [("where is my lamp", "x")])) == (1, 0)

    def test_prompts_of_both_sets_are_seen_through(self) -> None:
        test = [(f"Sort this: {name} asks for {thing}", "x") for name in NAMES for thing in THINGS]
        assert leaks(audit(rows(PROMPT, [ASKED]), [*test, (f"Sort this: {ASKED}", "x")])) == (0, 1)

    def test_in_a_chat(self) -> None:
        training = [([{"role": "user", "content": PROMPT.format(text)}], "x") for text in (*OTHERS, SHORT)]
        assert leaks(audit(training, [(SHORT, "x")])) == (1, 0)

    @pytest.mark.parametrize("answer", ["y", "another answer altogether"])
    def test_the_same_text_asked_of_for_something_else_is_no_leak(self, answer: str) -> None:
        assert leaks(audit(rows("Translate: {}", [ASKED]), [(ASKED, answer)])) == (0, 0)

    def test_other_texts_within_the_same_prompt_are_not_near(self) -> None:
        test = [(PROMPT.format("the invoice has a wrong date and a wrong sum"), "x"), (PROMPT.format("hello"), "x")]
        assert leaks(audit(rows(PROMPT), test)) == (0, 0)

    def test_what_tells_the_sets_apart_is_no_prompt(self) -> None:
        """Each set has its own first words, and the same ones after them: these words may be what is asked for."""
        things = [f"{name} lamp" for name in NAMES for _ in (0, 1)] + [f"{name} radio" for name in NAMES]
        training = [(f"turn on the {thing}", "x") for thing in things]
        assert leaks(audit(training, [(f"turn off the {thing}", "x") for thing in dict.fromkeys(things)])) == (0, 0)

    def test_numbered_questions_of_either_set_are_no_leak(self) -> None:
        training = [(f"training question {number}", "x") for number in range(60)]
        assert leaks(audit(training, [(f"customer question {number}", "x") for number in range(60)])) == (0, 0)

    def test_a_command_within_a_longer_one_is_another_command(self) -> None:
        training = rows(more=[f"turn on the light in the {room}" for room in ("kitchen", "hall")])
        assert leaks(audit(training, [("turn on the light", "x"), ("the light in the hall", "x")])) == (0, 0)

    def test_guards_and_validation_sets_are_seen_through_too(self) -> None:
        training, test = (examples_from(some, origin="here") for some in (rows(PROMPT, [SHORT]), [(SHORT, "x")]))
        assert leaked_rows(training, test) == ((0, len(OTHERS)),)


class TestTurns:
    @pytest.mark.parametrize("asked", [ASKED, SHORT])
    def test_the_first_turn_of_a_conversation(self, asked: str) -> None:
        found = audit([(turns(asked, "x", "and now?"), "y")], [(asked, "x")])
        assert (found.leaked_rows, found.unwrapped) == (((0, 0),), 1)

    @pytest.mark.parametrize(
        ("said", "answer"),
        [(turns("hello", "hi", ASKED, "x", "and now?"), "y"), (turns("hello", "hi", ASKED), "x")],
        ids=["in the middle", "at the end"],
    )
    def test_a_later_turn_that_is_a_question_by_itself(self, said: Any, answer: str) -> None:
        assert leaks(audit([(said, answer)], [(ASKED, "x")])) == (1, 0)

    def test_the_beginning_of_a_longer_conversation(self) -> None:
        said = turns("hello", "hi", "lights", "which?", "all", "done", "thanks")
        assert leaks(audit([(said, "bye")], [(turns("hello", "hi", "lights", "which?", "all"), "done")])) == (1, 0)

    def test_a_near_copy_in_an_earlier_turn(self) -> None:
        said = turns("hello", "hi", ASKED.replace("week", "month"), "x", "and now?")
        assert leaks(audit([(said, "y")], [(ASKED, "x")])) == (0, 1)

    def test_a_prompt_around_each_turn(self) -> None:
        training = [(turns(PROMPT.format(f"{text} again"), "x", PROMPT.format(text)), "y") for text in OTHERS]
        test = [(f"{OTHERS[3]} again", "x"), (OTHERS[5], "y")]
        assert leaks(audit(training, test)) == (2, 0)

    @pytest.mark.parametrize(
        ("said", "asked"),
        [
            (turns("hello", "hi", SHORT, "x", "and now?"), SHORT),
            (turns("hello", "How can I help?", "and now?"), "hello"),
            (turns("hello", "How can I help?", "and now?"), "Hello!!"),
            (turns("hello", "hi", ASKED, "another answer", "and now?"), ASKED),
            (turns(ASKED), SHORT),
        ],
        ids=["short, it lives by its context", "another answer", "and with marks", "long, another answer", "another"],
    )
    def test_what_is_no_example_by_itself(self, said: Any, asked: str) -> None:
        assert leaks(audit([(said, "y")], [(asked, "x")])) == (0, 0)

    def test_a_question_under_instructions_that_decide_the_answer(self) -> None:
        documents = [
            [{"role": "system", "content": text}, *turns("sum up", "?", "the document please now")] for text in "ab"
        ]
        training = [(documents[0], "x"), (documents[1], "y")]
        assert leaks(audit(training, [("the document please now", "x")])) == (0, 0)


class TestNumbers:
    @pytest.mark.parametrize("number", ["1. ", "2) ", "#3 ", "(4) ", "[5] ", "17: "])
    @pytest.mark.parametrize("asked", [ASKED, SHORT])
    def test_a_number_in_front_of_a_training_row(self, number: str, asked: str) -> None:
        found = audit([("other", "x"), (number + asked, "x")], [(asked, "x")])
        assert (found.leaked_rows, found.unwrapped) == (((0, 1),), 1)

    def test_a_number_in_front_of_a_test_row(self) -> None:
        assert leaks(audit([(SHORT, "x")], [(f"3. {SHORT}", "x")])) == (1, 0)

    def test_a_near_copy_behind_a_number(self) -> None:
        assert leaks(audit([(f"3. {ASKED.replace('week', 'month')}", "x")], [(ASKED, "x")])) == (0, 1)

    def test_both_sets_numbered(self) -> None:
        training, test = (
            [(f"{at}. {text}", "x") for at, text in enumerate((*some, SHORT), 1)]
            for some in (OTHERS, [f"question of {name} about {thing}" for name in NAMES for thing in THINGS][2:])
        )
        assert leaks(audit(training, test)) == (1, 0)

    def test_numbers_and_a_prompt(self) -> None:
        for form in ("{}. Message: {}", "Message: {}. {}"):
            training = [(form.format(at, text), "x") for at, text in enumerate((*OTHERS, SHORT))]
            assert leaks(audit(training, [(SHORT, "x")])) == (1, 0)

    @pytest.mark.parametrize(
        ("taught", "asked", "answer"),
        [
            ("2. Bundesliga Ergebnisse von gestern", "1. Bundesliga Ergebnisse von gestern", "x"),
            ("3. lights on", "lights on", "y"),
            ("3 lights on", "lights on", "x"),
            ("2.5 liters of milk", "5 liters of milk", "x"),
            ("#metoo on", "on", "x"),
        ],
    )
    def test_numbers_that_say_something(self, taught: str, asked: str, answer: str) -> None:
        assert leaks(audit([(taught, "x")], [(asked, answer)])) == (0, 0)


class TestWrapping:
    def test_words_are_not_broken(self) -> None:
        found = Wrapping.of([f"please {word}" for word in (f"re{chr(97 + at)}ad it" for at in range(FEWEST))])
        assert found.beginnings == ("please ",)
        assert found.unwrap("please reread it")[0] == "reread"

    def test_of_few_inputs_nothing_is_taken_away(self) -> None:
        assert not Wrapping.of([f"please {chr(97 + at)}" for at in range(FEWEST - 1)])

    def test_repeats_do_not_make_a_habit(self) -> None:
        assert not Wrapping.of([*OTHERS[:2], *["say hello now"] * 500, *NAMES, *THINGS, *"abcdefgh"])

    def test_a_text_that_is_nothing_else_is_kept(self) -> None:
        found = Wrapping.of([f"please {name} now" for name in (*NAMES, *THINGS, *"abcdefgh")])
        kept = {"please a now": "a", "please now": "now", "please": "please", "now": "now", " now": " now", "": ""}
        assert {text: found.unwrap(text)[0] for text in kept} == kept
