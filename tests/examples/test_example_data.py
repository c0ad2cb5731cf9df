"""The data of the examples: right labels, and no template in both sets. Offline; test_docs.py runs their gates."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from example_copies import ROOT, modules_of

EXAMPLES = ROOT / "examples"
HERE = "the room of the speaker"
STYLE = EXAMPLES / "style_preference"


def rows_of(path: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module", params=["voice_commands", "extraction"])
def home(request) -> SimpleNamespace:
    """Return an example of commands to a home: its module of data, and both sets as that makes them."""
    folder = EXAMPLES / request.param
    data = modules_of(folder, "data").data
    train, test = data.examples()
    return SimpleNamespace(folder=folder, data=data, train=train, test=test)


def intent(row: dict[str, Any]) -> str:
    return row["expected"] if isinstance(row["expected"], str) else row["expected"]["intent"]


def test_sets_are_large_enough(home):
    assert 600 <= len(home.train) <= 1000
    assert 200 <= len(home.test) <= 300
    if home.folder.name == "extraction":
        assert min(Counter(row["about"] for row in home.test).values()) >= 30  # as many as a slice needs to be judged
        return
    trained, tested = (Counter(map(intent, some)) for some in (home.train, home.test))
    assert trained.keys() == tested.keys()
    assert 20 <= len(tested) <= 30
    assert min(trained.values()) * 2 >= max(trained.values())
    assert min(tested.values()) * 3 >= max(tested.values())


def test_no_template_is_in_both_sets(home):
    of_intent = defaultdict(set)
    for row in home.train:
        of_intent[intent(row)].add(row["group"])
    assert not [row for row in home.test if row["group"] in of_intent[intent(row)]]


def test_files_are_those_of_the_script(home, tmp_path):
    home.data.build(tmp_path)
    for name in ("train.jsonl", "test.jsonl"):
        assert (tmp_path / name).read_bytes() == (home.folder / "data" / name).read_bytes()


def test_labels_and_slots_are_those_that_hassil_recognises(home):
    from hassil import recognize_all, recognize_best
    from hassil.intents import Intents, TextSlotList
    from home_assistant_intents import get_intents

    intents = Intents.from_dict(get_intents("en"))
    named = [(name, name, {"domain": domain}) for domain, names in home.data.NAMES.items() for name in names.split("|")]
    lists = {slot: home.data.strings(values) for slot, values in home.data.HOME.items()}
    lists = {**intents.slot_lists, **lists, "name": TextSlotList.from_tuples(named)}

    def label(sentence: str) -> list[str]:
        asked = {"intent_context": {"area": "kitchen"}, "language": "en", "best_slot_name": "name"}
        found = recognize_best(sentence, intents, slot_lists=lists, **asked)
        return [] if found is None else [found.intent.name]

    def readings(sentence: str) -> list[dict[str, Any]]:
        """With the room of the speaker taken out: the home knows it, and the sentence does not say it."""
        found = list(recognize_all(sentence, intents, slot_lists=lists, intent_context={"area": HERE}, language="en"))
        said = [{name: slot.value for name, slot in one.entities.items() if slot.value != HERE} for one in found]
        return [{"intent": one.intent.name, "slots": slots} for one, slots in zip(found, said, strict=True)]

    read = readings if home.folder.name == "extraction" else label
    assert not [row for row in home.test if row["expected"] not in read(row["input"])]


def test_what_is_expected_satisfies_the_schema():
    from jsonschema import Draft202012Validator

    folder = EXAMPLES / "extraction"
    schema = json.loads((folder / "command.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for name in ("train.jsonl", "test.jsonl"):
        assert not [row for row in rows_of(folder / "data" / name) if not validator.is_valid(row["expected"])]
    assert not validator.is_valid({"intent": "HassSetVolume", "slots": {"area": "kitchen"}})
    assert not validator.is_valid({"intent": "HassTurnOn", "slots": {"area": "cellar"}})


@pytest.mark.parametrize("name", ["terse", "curt"])
def test_three_people_rate_every_question_and_do_not_always_agree(name):
    with (STYLE / "preferences" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    raters = ("anna", "boris", "chiara")
    assert Counter(row["rater"] for row in found) == dict.fromkeys(raters, 60)
    said = {(row["id"], row["rater"]): row["preferred"] for row in found}
    asked = [row["id"] for row in rows_of(STYLE / "test.jsonl")]
    assert 10 <= sum(len({said[one, rater] for rater in raters}) > 1 for one in asked) <= 40


def test_training_set_of_replies_is_what_its_script_writes():
    assert (STYLE / "train.jsonl").read_text(encoding="utf-8") == modules_of(STYLE, "make_train").make_train.text()
