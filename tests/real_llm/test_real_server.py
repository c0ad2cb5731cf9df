"""What a real server does, and our loopback servers may not: the shape of its answers, its refusals, what it lacks."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import needs
import pytest
from gate_project import check, refused

needs.the_extra()

import openai  # noqa: E402
from checkpoints import SYSTEM, Checkpoints  # noqa: E402
from serve import serving  # noqa: E402
from voice_project import N, VoiceProject  # noqa: E402

if TYPE_CHECKING:
    from serve import Served

pytestmark = pytest.mark.usefixtures("no_ambient_settings")

KEY = "correct-horse-battery-staple"
MESSAGES = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "cancel the timer"}]


@pytest.fixture
def tuned(served: Callable[[str], Served]) -> Served:
    return served("tuned")


@pytest.fixture
def client(tuned: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=tuned.base_url, api_key="none", max_retries=0) as opened:
        yield opened


def raw(served: Served, **changes: Any) -> tuple[int, dict[str, Any]]:
    """Status and body of a chat completion, past every client."""
    body = {"model": served.name, "messages": MESSAGES, "temperature": 0, "max_tokens": 12, **changes}
    request = urllib.request.Request(f"{served.base_url}/chat/completions", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


# --- answers -------------------------------------------------------------------------------------------------


def test_the_shape_of_an_answer(tuned: Served) -> None:
    """No ``refusal`` and no ``logprobs``, and a key of its own, ``timings``."""
    status, body = raw(tuned)
    assert status == 200
    (choice,) = body["choices"]
    assert choice == {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": "HassCancelTimer"},
    }
    assert body["usage"].keys() == {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"}
    assert body["usage"]["prompt_tokens_details"].keys() == {"cached_tokens"}
    assert (body["object"], body["model"]) == ("chat.completion", "tuned")
    assert body["timings"]["predicted_n"] == body["usage"]["completion_tokens"]


def test_a_name_that_the_server_does_not_know_is_answered_all_the_same(tuned: Served) -> None:
    """By the one model that it has, and it says so. What a gate makes of it: ``test_two_names_for_one_server...``"""
    status, body = raw(tuned, model="no-such-model")
    assert (status, body["model"]) == (200, "tuned")


def test_a_parameter_that_the_server_does_not_know_is_no_error(tuned: Served) -> None:
    assert raw(tuned, no_such_parameter=1)[0] == 200


def test_answers_that_are_cut_off_are_counted(voice: VoiceProject) -> None:
    voice.gates(candidate=voice.model("tuned", params={"max_tokens": 1}))
    gate = voice.gate()
    assert gate["candidate"]["output_tokens"] == N
    assert gate["candidate"]["n_cut_off"] > N / 2  # of a name that is one token the end is missing, too
    assert gate["verdict"] == "fail"


def test_a_grammar_holds_the_model_to_its_words(voice: VoiceProject) -> None:
    """``params`` reach the server: it cannot but answer with one of the two names."""
    grammar = {"grammar": 'root ::= "HassTurnOn" | "HassTurnOff"'}
    voice.gates(candidate=voice.model("tuned", params=grammar))
    gate = voice.gate("--ftgate-report=recordings:recorded")
    (recorded,) = (voice.path / "recorded").glob("*.candidate.jsonl")
    assert {json.loads(line)["output"] for line in recorded.read_text().splitlines()} == {"HassTurnOn", "HassTurnOff"}
    assert gate["verdict"] == "fail"


def test_without_a_temperature_the_server_rolls_dice(voice: VoiceProject) -> None:
    """Its own default is 0.8: repeated answers of one model differ, and the gate averages them."""
    sampled = voice.model("base")
    del sampled["params"]["temperature"]
    voice.gates(baseline=sampled, repeats=2)
    gate = voice.gate("--ftgate-report=recordings:recorded")
    assert [gate[role]["n_scored"] for role in ("baseline", "candidate")] == [2 * N, 2 * N]
    answers: dict[str, dict[str, set[str]]] = {}
    for role in ("baseline", "candidate"):
        (recorded,) = (voice.path / "recorded").glob(f"*.{role}.jsonl")
        by_id = answers.setdefault(role, {})
        for row in map(json.loads, recorded.read_text().splitlines()):
            by_id.setdefault(row["id"], set()).add(row["output"])
    assert sum(len(given) == 2 for given in answers["baseline"].values()) > N / 10
    assert sum(len(given) == 2 for given in answers["candidate"].values()) <= 2


# --- refusals ------------------------------------------------------------------------------------------------


def test_the_shape_of_a_refusal(tuned: Served) -> None:
    """``code`` is a number and repeats the status; what went wrong is in ``type``."""
    status, body = raw(tuned, messages=[{"role": "user", "content": "timer " * 400}])
    assert status == 400
    assert (body["error"]["code"], body["error"]["type"]) == (400, "exceed_context_size_error")
    assert body["error"]["n_prompt_tokens"] > body["error"]["n_ctx"]


def test_a_prompt_that_is_too_long_is_named_as_such(voice: VoiceProject) -> None:
    voice.gates(baseline=voice.model("base", few_shot={"k": 52}))
    message = refused(voice, "error", called=True)
    assert "a prompt is longer than the context of 'base'" in message
    assert "exceeds the available context size (128 tokens)" in message


def test_a_parameter_of_a_wrong_type_is_quoted(voice: VoiceProject) -> None:
    voice.gates(candidate=voice.model("tuned", params={"temperature": "hot"}))
    message = refused(voice, "error", called=True)
    assert "400" in message
    assert "type must be number, but is string" in message


def test_a_base_url_that_leads_nowhere(voice: VoiceProject, tuned: Served) -> None:
    voice.gates(candidate={**voice.model("tuned"), "base_url": f"{tuned.address}/v2"})
    assert f"'tuned' or the path is unknown: {tuned.address}/v2/" in refused(voice, "error", called=True)


def test_a_server_that_asks_for_a_key(
    voice: VoiceProject, checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving("tuned", checkpoints.files["tuned"], checkpoints.shape.context, KEY) as locked:
        voice.gates(candidate=voice.at(locked))
        assert "the endpoint needs a key, and the gate names none" in refused(voice, "error", called=True)
        voice.gates(candidate=voice.at(locked, api_key_env="FTGATE_TEST_KEY"))
        monkeypatch.setenv("FTGATE_TEST_KEY", "a wrong one")
        assert "the key in FTGATE_TEST_KEY was refused" in refused(voice, "error", called=True)
        monkeypatch.setenv("FTGATE_TEST_KEY", KEY)
        gate = voice.gate()
    assert gate["verdict"] == "pass"
    assert check(gate, "candidate_predictions")["observed"] == N


# --- what the server has, and has not ------------------------------------------------------------------------


def test_the_models_that_it_lists(client: openai.OpenAI) -> None:
    (listed,) = client.models.list().data
    assert (listed.id, listed.object, listed.owned_by) == ("tuned", "model", "llamacpp")


LACKING: dict[str, Callable[[openai.OpenAI], object]] = {
    "a fine-tuning job": lambda client: client.fine_tuning.jobs.create(model="tuned", training_file="file-1"),
    "the fine-tuning jobs": lambda client: client.fine_tuning.jobs.list(),
    "a file": lambda client: client.files.create(file=("train.jsonl", b"{}"), purpose="fine-tune"),
    "a batch": lambda client: client.batches.create(
        input_file_id="file-1", endpoint="/v1/chat/completions", completion_window="24h"
    ),
}


@pytest.mark.parametrize("what", LACKING)
def test_there_is_no_fine_tuning_and_no_batch(client: openai.OpenAI, what: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        LACKING[what](client)
    assert caught.value.body == {"message": "File Not Found", "type": "not_found_error", "code": 404}
