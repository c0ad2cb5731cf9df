"""The examples: right labels, no template in both sets, and the parts that their gates do not show.

Offline. The gates are run by test_docs.py and test_readme.py.
"""

import http.client
import importlib
import json
import re
import socket
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from gate_project import read_jsonl, write_jsonl
from loopback import LoopbackServer, Reply

EXAMPLES = Path(__file__).parents[2] / "examples"
HERE = "the room of the speaker"
STYLE = EXAMPLES / "style_preference"


def modules_of(folder: Path, *names: str) -> SimpleNamespace:
    """Return the modules, and leave nothing behind; a module stands behind those that it imports."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        for name in names:
            patch.delitem(sys.modules, name, raising=False)
        loaded: dict[str, ModuleType] = {name: importlib.import_module(name) for name in names}
        for name in names:
            del sys.modules[name]
    assert all(Path(module.__file__ or "").parent == folder for module in loaded.values())
    return SimpleNamespace(**loaded)


@pytest.fixture(scope="module")
def data() -> Any:
    """Return the module that builds the data of both examples of commands to a home."""
    return modules_of(EXAMPLES, "voice_data").voice_data


@pytest.fixture(scope="module", params=["voice_commands", "extraction"])
def home(request, data) -> SimpleNamespace:
    """Return an example of commands to a home: its module of data, and both sets, large enough, as that makes them."""
    folder = EXAMPLES / request.param
    forms = {
        "voice_commands": ("voice commands", data.intent_row),
        "extraction": ("extraction", data.slots_row),
    }
    form = forms[request.param]
    train, test = data.examples(*form)
    assert 600 <= len(train) <= 1000
    assert 200 <= len(test) <= 300
    return SimpleNamespace(folder=folder, data=data, form=form, train=train, test=test)


def intent(row: dict[str, Any]) -> str:
    return row["expected"] if isinstance(row["expected"], str) else row["expected"]["intent"]


def test_no_template_is_in_both_sets(home):
    of_intent = defaultdict(set)
    for row in home.train:
        of_intent[intent(row)].add(row["group"])
    assert not [row for row in home.test if row["group"] in of_intent[intent(row)]]


def test_files_are_those_of_the_script(home, tmp_path):
    home.data.build(tmp_path, *home.form)
    for name in ("train.jsonl", "test.jsonl"):
        assert (tmp_path / name).read_bytes() == (home.folder / "data" / name).read_bytes()


def test_labels_and_slots_are_those_that_hassil_recognizes(home):
    from hassil import recognize_all, recognize_best
    from hassil.intents import Intents, TextSlotList
    from home_assistant_intents import get_intents

    intents = Intents.from_dict(get_intents("en"))
    named = [
        (name, name, {"domain": domain})
        for domain, names in home.data.NAMES.items()
        for name in names.split("|")
    ]
    lists = {slot: home.data.strings(values) for slot, values in home.data.HOME.items()}
    lists = {**intents.slot_lists, **lists, "name": TextSlotList.from_tuples(named)}

    def label(sentence: str) -> list[str]:
        context = {
            "intent_context": {"area": "kitchen"},
            "language": "en",
            "best_slot_name": "name",
        }
        result = recognize_best(sentence, intents, slot_lists=lists, **context)
        return [] if result is None else [result.intent.name]

    def readings(sentence: str) -> list[dict[str, Any]]:
        """With the room of the speaker taken out: the home knows it, and the sentence does not say it."""
        results = list(
            recognize_all(
                sentence, intents, slot_lists=lists, intent_context={"area": HERE}, language="en"
            )
        )
        slot_values = [
            {name: slot.value for name, slot in result.entities.items() if slot.value != HERE}
            for result in results
        ]
        return [
            {"intent": result.intent.name, "slots": slots}
            for result, slots in zip(results, slot_values, strict=True)
        ]

    read = readings if home.folder.name == "extraction" else label
    assert not [row for row in home.test if row["expected"] not in read(row["input"])]


def test_what_is_expected_satisfies_the_schema():
    from jsonschema import Draft202012Validator

    folder = EXAMPLES / "extraction"
    schema = json.loads((folder / "command.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for name in ("train.jsonl", "test.jsonl"):
        assert not [
            row
            for row in read_jsonl(folder / "data" / name)
            if not validator.is_valid(row["expected"])
        ]
    assert not validator.is_valid({"intent": "HassSetVolume", "slots": {"area": "kitchen"}})
    assert not validator.is_valid({"intent": "HassTurnOn", "slots": {"area": "cellar"}})


def test_training_set_of_replies_is_what_its_script_writes():
    assert (STYLE / "train.jsonl").read_text(encoding="utf-8") == modules_of(
        STYLE, "make_train"
    ).make_train.text()


# --- voice_commands ------------------------------------------------------------------------------------------

FOLDER = EXAMPLES / "voice_commands"
PROMPT = (FOLDER / "prompts" / "intents.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def example() -> Iterator[SimpleNamespace]:
    """Return the example's modules, as a run in its folder would import them; wait for the servers at the end."""
    modules = modules_of(FOLDER, "stand_ins", "server", "lease")
    yield modules
    for process in modules.lease._started:
        process.wait(30)


@pytest.fixture(scope="module")
def train_file(tmp_path_factory) -> Path:
    """Return a few rows, which are learned at once."""
    pairs = 2 * [
        ("lights on", "On"),
        ("timer off", "Off"),
        ("all lights on", "On"),
        ("stop the timer", "Off"),
    ]
    return write_jsonl(
        tmp_path_factory.mktemp("data") / "train.jsonl",
        ({"input": text, "expected": name} for text, name in pairs),
    )


def test_doubtful_sentences_are_dropped_from_both_sets(data):
    train = [{"input": "Stop  it"}, {"input": "go"}, {"input": "run"}, {"input": "run"}]
    test = [{"input": "stop it"}, {"input": "wait"}]
    assert data.without_doubtful(train, test) == ([{"input": "go"}], [{"input": "wait"}])


def test_prompt_names_each_intent_once_and_shows_no_sentence_of_the_test_set(data):
    _, test = data.examples("voice commands", data.intent_row)
    named = re.findall(r"^- (\w+):", PROMPT, re.MULTILINE)
    assert sorted(named) == sorted({row["expected"] for row in test})
    phrases = {data.normalized(phrase) for phrase in re.findall(r'"([^"]+)"', PROMPT)}
    assert len(phrases) >= 26
    assert phrases.isdisjoint(data.normalized(row["input"]) for row in test)


def test_the_base_model_reads_the_system_message_and_the_fine_tuned_one_its_training_set(
    example, train_file
):
    system = 'Sort.\n- Warm: asks for the heating. "it is so cold"\n- Sing: plays a tune. "hum something"'
    assert example.stand_ins.base_answer((("system", system), ("user", "play a tune"))) == "Sing"
    assert example.stand_ins.base_answer((("user", "hello"),)) == "The prompt shows no example."
    answer = example.stand_ins.fine_tuned(train_file)
    assert answer((("system", "- Off: all"), ("user", "the lights on"))) == "On"


# --- server.py and lease.py ----------------------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def send(port: int, method: str, path: str, body: str | None = None) -> tuple[int, dict]:
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def test_lease_starts_a_server_shares_it_and_leaves_none_behind(example, train_file):
    port = free_port()
    with example.lease.held(port, train_file):
        with example.lease.held(port, train_file):
            assert send(port, "GET", "/v1/models")[0] == 200
        _, listing = send(port, "GET", "/v1/models")
        tuned = [f"ft:assistant-base:voice-commands{end}" for end in ("", "-1")]
        assert [model["id"] for model in listing["data"]] == ["assistant-base", *tuned]
        for body, status, code in (
            ("{", 400, "invalid_json"),
            (
                '{"model": "assistant-base", "messages": [{"role": "system", "content": "a"}]}',
                400,
                "invalid_messages",
            ),
            (
                '{"model": "gpt-9", "messages": [{"role": "user", "content": "a"}]}',
                404,
                "model_not_found",
            ),
        ):
            answered, answer = send(port, "POST", "/v1/chat/completions", body)
            assert (answered, answer["error"]["code"]) == (status, code)
        with pytest.raises(
            RuntimeError, match="is in use by this example's server, trained on other data: stop it"
        ):
            example.lease.ask(port, FOLDER / "prompts" / "intents.md")
    assert example.lease.ask(port, train_file) is None


def test_a_port_in_use_and_a_server_that_fails_to_start_are_told(
    example, tmp_path, server: LoopbackServer
):
    server.replies["GET /lease"] = Reply(body="<html>hello</html>")
    other_file = tmp_path / "train.jsonl"
    other_file.write_text("no json\n")
    for used, message in (
        (server.port, f"port {server.port} is in use by another program: stop it, or change PORT"),
        (free_port(), r"does not start on port \d+:\n(.|\n)*JSONDecodeError"),
    ):
        with pytest.raises(RuntimeError, match=message), example.lease.held(used, other_file):
            pass
