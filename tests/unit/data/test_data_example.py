"""Examples, their hashes, and when two inputs are the same."""

import hashlib
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.data import (
    Example,
    canonical_json,
    content_id,
    input_sha256,
    is_blank,
    normalized_input,
    without_instructions,
)
from pytest_ftgate.errors import Where

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def user(content):
    return {"role": "user", "content": content}


def system(content):
    return {"role": "system", "content": content}


class TestHashes:
    def test_messages_are_hashed_as_their_canonical_json(self):
        messages = (user("é"),)
        assert (
            input_sha256(messages)
            == hashlib.sha256('[{"content":"é","role":"user"}]'.encode()).hexdigest()
        )

    def test_the_content_id_is_the_start_of_the_hash(self):
        assert content_id("a") == input_sha256("a")[:16] == "ca978112ca1bbdca"
        assert input_sha256("Grüße") == hashlib.sha256("Grüße".encode()).hexdigest()

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
    def test_canonical_json_takes_json_values_only(self, value):
        with pytest.raises((TypeError, ValueError)):
            canonical_json(value)


class TestNormalizedInput:
    @pytest.mark.parametrize(
        "variant",
        [
            "TURN on",
            "  turn\t\non ",
            "ｔｕｒｎ　ｏｎ",
            "turn\u00a0on",
            "𝐭𝐮𝐫𝐧 on",
            "Turn\u2003On\x85",
        ],
    )
    def test_case_width_and_white_space_do_not_count(self, variant):
        assert normalized_input(variant) == "turn on"

    @pytest.mark.parametrize(
        ("first_text", "second_text"),
        [
            ("Straße", "STRASSE"),
            ("e\u0301", "É"),
            ("ﬁne", "FINE"),
            ("ΌΣΟΣ", "όσος"),
            ("ß\u0301", "sś"),
        ],
    )
    def test_folding_is_unicodes(self, first_text, second_text):
        assert normalized_input(first_text) == normalized_input(second_text)

    def test_normalising_is_idempotent_for_every_character_that_folds(self):
        for character in map(chr, range(sys.maxunicode + 1)):
            folded = unicodedata.normalize("NFKC", character.casefold())
            if folded != character and unicodedata.category(character) != "Cs":
                once = normalized_input(f"a{character}\u0345")
                assert normalized_input(once) == once, ascii(character)

    @given(TEXT, st.sampled_from(["", " ", "\n\t", "\u3000"]))
    def test_neither_white_space_around_a_text_nor_a_message_of_the_user_counts(self, text, space):
        assert normalized_input(space + text + space) == normalized_input(text)
        assert normalized_input((user(text),)) == normalized_input(text)
        assert is_blank(text) == (normalized_input(text) == "")

    @given(TEXT, TEXT)
    def test_no_text_is_taken_for_a_conversation(self, first, second):
        messages = (user(first), {"role": "assistant", "content": second})
        assert normalized_input(f"user\t{first}\nassistant\t{second}") != normalized_input(messages)

    def test_roles_and_the_borders_of_messages_count(self):
        pair, reply = (user("a"), user("b")), (user("a"), {"role": "assistant", "content": "b"})
        variants = [
            pair,
            reply,
            (user("a b"),),
            (system("a"), user("b")),
            (system("a b"),),
            "ab",
            "a b.",
            "á b",
        ]
        assert len({normalized_input(variant) for variant in variants}) == 8

    def test_text_parts_are_text_and_other_parts_still_tell_inputs_apart(self):
        text_part = {"type": "text", "text": "What is THIS"}
        images = [{"type": "image_url", "image_url": {"url": url}} for url in ("a.png", "b.png")]
        assert normalized_input((user([text_part]),)) == "what is this"
        assert len({normalized_input((user([text_part, image]),)) for image in images}) == 2

    def test_tool_calls_tell_inputs_apart(self):
        calls = [
            {"role": "assistant", "content": None, "tool_calls": [{"name": name}]}
            for name in ("on", "off")
        ]
        assert len({normalized_input((user("a"), call, user("b"))) for call in calls}) == 2


class TestInstructionsAndBlanks:
    def test_system_and_developer_messages_are_instructions(self):
        developer = {"role": "developer", "content": "d"}
        assert without_instructions((system("s"), user("a"), developer)) == (user("a"),)

    @pytest.mark.parametrize("unchanged", ["text", (user("a"),), (system("s"),)])
    def test_without_instructions_gives_the_input_itself_where_nothing_else_would_remain_or_go(
        self, unchanged
    ):
        assert without_instructions(unchanged) is unchanged

    def test_blank_is_what_asks_nothing(self):
        image = [{"type": "image_url", "image_url": {"url": "a.png"}}]
        answered = (user("a"), {"role": "assistant", "content": "b"}, user(""))
        blank = ["", " \n\u00a0\u3000", (user(" "),), answered, (system("s"), user("\t"))]
        asking = ["a", (user("a"),), (user(image),), (system("s"),)]
        assert [is_blank(text) for text in (*blank, *asking)] == [True] * 5 + [False] * 4


class TestDataSet:
    def test_messages_call_an_example_by_its_place_else_by_its_id(self):
        place = Where("data/a.csv", 7)
        names = [Example(id_, "a", "b", place=place).name for id_ in ("q1", content_id("a"))]
        assert names == ["data/a.csv:7"] * 2
        assert Example("q1", "a", "b").name == "q1"
