"""The parts of examples/voice_commands: its script, its two models, its server and the lease of it. Offline."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import openai
import pytest
from example_copies import ROOT, modules_of
from gate_project import write_jsonl
from loopback import LoopbackServer, Reply

FOLDER = ROOT / "examples" / "voice_commands"
PROMPT = (FOLDER / "prompts" / "intents.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def example() -> Iterator[SimpleNamespace]:
    """Return the example's modules, as a run in its folder would import them; wait for the servers at the end."""
    modules = modules_of(FOLDER, "stand_ins", "server", "lease", "data")
    yield modules
    for process in modules.lease._started:
        process.wait(30)


@pytest.fixture(scope="module")
def rows(example) -> SimpleNamespace:
    train, test = example.data.examples()
    return SimpleNamespace(train=train, test=test)


@pytest.fixture(scope="module")
def train_file(tmp_path_factory) -> Path:
    """Return a few rows, which are learned at once."""
    pairs = 2 * [("lights on", "On"), ("timer off", "Off"), ("all lights on", "On"), ("stop the timer", "Off")]
    return write_jsonl(
        tmp_path_factory.mktemp("data") / "train.jsonl", ({"input": text, "expected": name} for text, name in pairs)
    )


# data.py


def test_doubtful_sentences_are_dropped_from_both_sets(example):
    train = [{"input": "Stop  it"}, {"input": "go"}, {"input": "run"}, {"input": "run"}]
    test = [{"input": "stop it"}, {"input": "wait"}]
    assert example.data.without_doubtful(train, test) == ([{"input": "go"}], [{"input": "wait"}])


def test_a_slot_without_values_is_an_error(example):
    from hassil.intents import WildcardSlotList
    from hassil.parse_expression import parse_sentence

    template = example.data.Template("Any", "any", parse_sentence("say {it}"), {"it": WildcardSlotList("it")}, {})
    with pytest.raises(TypeError, match="add them to HOME"):
        example.data.say(template, example.data.random.Random(0))


# prompts/intents.md


def test_prompt_names_each_intent_once_and_no_other(rows):
    named = re.findall(r"^- (\w+):", PROMPT, re.MULTILINE)
    assert sorted(named) == sorted({row["expected"] for row in rows.test})


def test_prompt_shows_no_sentence_of_the_test_set(example, rows):
    phrases = {example.data.normalized(phrase) for phrase in re.findall(r'"([^"]+)"', PROMPT)}
    assert len(phrases) >= 26
    assert phrases.isdisjoint(example.data.normalized(row["input"]) for row in rows.test)


# stand_ins.py


def turns(*contents: str) -> tuple[tuple[str, str], ...]:
    """Return user and assistant in turn."""
    return tuple((("user", "assistant")[index % 2], content) for index, content in enumerate(contents))


def test_base_model_reads_descriptions_and_phrases_of_the_system_message(example):
    system = 'Sort.\n- Warm: asks for the heating. "it is so cold"\n- Sing: plays a tune. "hum something"'
    shown = example.stand_ins.shown_examples((("system", system), ("user", "x"), ("assistant", "y")))
    assert ("it is so cold", "Warm") in shown
    assert ("x", "y") in shown
    assert len(shown) == 5
    assert example.stand_ins.base_answer((("system", system), ("user", "play a tune"))) == "Sing"
    assert example.stand_ins.base_answer(turns("hello")) == "The prompt shows no example."


def test_fine_tuned_model_knows_what_it_was_trained_on(example, train_file):
    answer = example.stand_ins.fine_tuned(train_file)
    assert answer((("system", "- Off: all"), ("user", "the lights on"))) == "On"
    assert answer(turns("my timer off")) == "Off"


# server.py


@pytest.fixture(scope="module")
def port(example, train_file) -> Iterator[int]:
    server = example.server.Assistant(0)
    server.load(train_file)
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()


@pytest.fixture
def client(port) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="none", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0) as client:
        yield client


def send(port: int, method: str, path: str, body: str | None = None) -> tuple[int, dict]:
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def test_server_lists_its_models_and_answers_with_usage_in_words(client):
    tuned = [f"ft:assistant-base:voice-commands{end}" for end in ("", "-1")]
    assert [model.id for model in client.models.list()] == ["assistant-base", *tuned]
    contents = ("lights on", "HassTurnOn", "lights on now")
    messages = [{"role": role, "content": text} for role, text in turns(*contents)]
    completion = client.chat.completions.create(model="assistant-base", messages=messages)
    (choice,), usage = completion.choices, completion.usage
    assert (choice.message.content, choice.finish_reason, completion.model) == ("HassTurnOn", "stop", "assistant-base")
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (6, 1, 7)


def test_unknown_model_is_a_404_with_the_known_ones(client):
    with pytest.raises(openai.NotFoundError, match="'gpt-9' does not exist; this server has assistant-base, ft:"):
        client.chat.completions.create(model="gpt-9", messages=[{"role": "user", "content": "hello"}])


TO_A_MODEL = '{{"model": "assistant-base", "messages": {}}}'.format
MESSAGES = ["[]", '["hello"]', '[{"role": "user", "content": ["a"]}]', '[{"role": "system", "content": "a"}]']


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{", "invalid_json"),
        *((body, "invalid_messages") for body in ("[]", '{"model": "assistant-base"}', *map(TO_A_MODEL, MESSAGES))),
        (TO_A_MODEL('[{"role": "user", "content": "a"}], "stream": true'), "unsupported_value"),
    ],
)
def test_a_request_that_cannot_be_answered_is_a_400_in_the_form_of_openai(port, body, code):
    status, answer = send(port, "POST", "/v1/chat/completions", body)
    found = answer["error"]
    assert (status, found["code"], found["type"]) == (400, code, "invalid_request_error")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unknown_address_is_a_404(port, method):
    status, answer = send(port, method, "/v1/nothing", "{}")
    assert (status, answer["error"]["message"]) == (404, f"Unknown address: {method} /v1/nothing")


# lease.py


def test_server_that_ends_grants_no_lease(example, train_file):
    server = example.server.Assistant(0, while_leased=True)
    with closing(server.socket):
        server._ending = True
        server.shutdown = lambda: None
        with server.lease() as granted:
            assert not granted


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_lease_starts_a_server_shares_it_and_leaves_none_behind(example, train_file):
    port = free_port()
    with example.lease.held(port, train_file):
        with example.lease.held(port, train_file):
            assert send(port, "GET", "/v1/models")[0] == 200
        assert send(port, "GET", "/v1/models")[0] == 200
    assert example.lease.ask(port, train_file) is None


def test_a_port_in_use_and_a_server_that_fails_to_start_are_told(example, port, tmp_path, server: LoopbackServer):
    server.replies["GET /lease"] = Reply(body="<html>hello</html>")
    other = tmp_path / "train.jsonl"
    other.write_text("no json\n")
    for used, message in (
        (port, f"port {port} is in use by this example's server, trained on other data: stop it"),
        (server.port, f"port {server.port} is in use by another program: stop it, or change PORT"),
        (free_port(), r"does not start on port \d+:\n(.|\n)*JSONDecodeError"),
    ):
        with pytest.raises(RuntimeError, match=message), example.lease.held(used, other):
            pass


def test_a_taken_port_ends_the_server_with_a_code_of_its_own(example, port, train_file, tmp_path):
    with (tmp_path / "output").open("wb") as output:
        exit_code = example.lease.start(port, train_file, output).wait()
    assert exit_code == example.server.PORT_TAKEN
    assert f"cannot listen on 127.0.0.1:{port}: " in (tmp_path / "output").read_text()
