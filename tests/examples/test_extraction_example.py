"""examples/extraction: its data. Its gates are run for its page, in test_docs.py. Offline."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from example_copies import ROOT, modules_of

FOLDER = ROOT / "examples" / "extraction"
HERE = "the room of the speaker"


@pytest.fixture(scope="module")
def example() -> SimpleNamespace:
    """Return the example's modules, as a run in its folder would import them, and nothing left behind."""
    return modules_of(FOLDER, "data")


@pytest.fixture(scope="module")
def rows(example) -> SimpleNamespace:
    train, test = example.data.examples()
    return SimpleNamespace(train=train, test=test)


# data.py


def test_sets_are_large_enough(rows):
    assert 600 <= len(rows.train) <= 1000
    assert 200 <= len(rows.test) <= 300
    assert min(Counter(row["about"] for row in rows.test).values()) >= 30  # as many as a slice needs to be judged


def test_no_template_is_in_both_sets(rows):
    of_intent = defaultdict(set)
    for row in rows.train:
        of_intent[row["expected"]["intent"]].add(row["group"])
    assert not [row for row in rows.test if row["group"] in of_intent[row["expected"]["intent"]]]


def test_slots_are_those_that_hassil_recognises(example, rows):
    from hassil import recognize_all
    from hassil.intents import Intents, TextSlotList
    from home_assistant_intents import get_intents

    intents = Intents.from_dict(get_intents("en"))
    named = [
        (name, name, {"domain": domain}) for domain, names in example.data.NAMES.items() for name in names.split("|")
    ]
    home = {slot: example.data.strings(values) for slot, values in example.data.HOME.items()}
    lists = {**intents.slot_lists, **home, "name": TextSlotList.from_tuples(named)}

    def readings(sentence: str) -> list[dict[str, Any]]:
        """With the room of the speaker taken out: the home knows it, and the sentence does not say it."""
        found = list(recognize_all(sentence, intents, slot_lists=lists, intent_context={"area": HERE}, language="en"))
        said = [{name: slot.value for name, slot in one.entities.items() if slot.value != HERE} for one in found]
        return [{"intent": one.intent.name, "slots": slots} for one, slots in zip(found, said, strict=True)]

    wrong = [row for row in rows.test if row["expected"] not in readings(row["input"])]
    assert not wrong


def test_files_are_those_of_the_script(example, tmp_path):
    example.data.build(tmp_path)
    for name in ("train.jsonl", "test.jsonl"):
        assert (tmp_path / name).read_bytes() == (FOLDER / "data" / name).read_bytes()


def test_what_is_expected_holds_to_the_schema(rows):
    from jsonschema import Draft202012Validator

    schema = json.loads((FOLDER / "command.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert not [row for row in rows.train + rows.test if not validator.is_valid(row["expected"])]
    assert not validator.is_valid({"intent": "HassSetVolume", "slots": {"area": "kitchen"}})
    assert not validator.is_valid({"intent": "HassTurnOn", "slots": {"area": "cellar"}})
