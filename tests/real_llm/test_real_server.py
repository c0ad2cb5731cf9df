"""Gates on what a real server answers and refuses, and our loopback servers may not."""

from __future__ import annotations

from collections.abc import Callable

import needs
import pytest
from gate_project import check, read_jsonl, stopped

needs.the_extra()

from checkpoints import Checkpoints  # noqa: E402
from serve import Served, serving  # noqa: E402
from voice_project import N, VoiceProject  # noqa: E402

pytestmark = pytest.mark.usefixtures("no_ambient_settings")

KEY = "correct-horse-battery-staple"


# --- answers -------------------------------------------------------------------------------------------------


def test_answers_that_are_cut_off_are_counted(voice: VoiceProject) -> None:
    voice.gates(candidate=voice.model("tuned", params={"max_tokens": 1}))
    gate = voice.whole()
    assert gate["candidate"]["output_tokens"] == N
    # of a label that is one token the end is missing, too
    assert gate["diagnosis"]["candidate"]["cut_off"] > N / 2
    assert gate["verdict"] == "fail"


def test_a_grammar_holds_the_model_to_its_words(voice: VoiceProject) -> None:
    """``params`` reach the server: it cannot but answer with one of the two names."""
    grammar = {"grammar": 'root ::= "HassTurnOn" | "HassTurnOff"'}
    voice.gates(candidate=voice.model("tuned", params=grammar), checks={"baseline_prompt": "warn"})
    gate = voice.gate("--ftgate-report=recordings:recorded")
    (recorded,) = (voice.path / "recorded").glob("*.candidate.jsonl")
    assert {row["output"] for row in read_jsonl(recorded)} == {"HassTurnOn", "HassTurnOff"}
    assert gate["verdict"] == "fail"


def test_without_a_temperature_the_server_rolls_dice(voice: VoiceProject) -> None:
    """Its own default is 0.8: repeated answers of one model differ, and the gate averages them."""
    sampled = voice.model("base")
    del sampled["params"]["temperature"]
    voice.gates(baseline=sampled, repeats=2, checks={"baseline_prompt": "warn"})
    gate = voice.gate("--ftgate-report=recordings:recorded")
    assert [gate[role]["n_scored"] for role in ("baseline", "candidate")] == [2 * N, 2 * N]

    def answers(role: str) -> set[tuple[str, str]]:
        (recorded,) = (voice.path / "recorded").glob(f"*.{role}.jsonl")
        return {(row["id"], row["output"]) for row in read_jsonl(recorded)}

    assert len(answers("baseline")) > N + N / 10
    assert len(answers("candidate")) <= N + 2


# --- refusals ------------------------------------------------------------------------------------------------


def test_what_the_server_refuses_is_quoted(
    voice: VoiceProject, served: Callable[[str], Served]
) -> None:
    nowhere = f"{served('tuned').address}/v2"
    for keys, fragments in (
        (
            {"baseline": voice.model("base", few_shot=52)},
            (
                "the request was refused",
                "exceeds the available context size (128 tokens)",
            ),
        ),
        (
            {"candidate": voice.model("tuned", params={"temperature": "hot"})},
            ("400", "type must be number, but is string"),
        ),
        (
            {"candidate": {**voice.model("tuned"), "base_url": nowhere}},
            ("'tuned' or the path is unknown",),
        ),
    ):
        voice.gates(**keys, checks={"baseline_prompt": "warn"})
        message = stopped(voice.gate(), "error", called=True)["message"]
        assert [fragment for fragment in fragments if fragment not in message] == []


def test_a_server_that_asks_for_a_key(
    voice: VoiceProject, checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving("tuned", checkpoints.files["tuned"], checkpoints.shape.context, KEY) as locked:
        voice.gates(candidate=voice.at(locked))
        assert (
            "the endpoint needs a valid key"
            in stopped(voice.gate(), "error", called=True)["message"]
        )
        voice.gates(candidate=voice.at(locked, api_key_env="FTGATE_TEST_KEY"))
        monkeypatch.setenv("FTGATE_TEST_KEY", "a wrong one")
        assert (
            "the endpoint needs a valid key"
            in stopped(voice.gate(), "error", called=True)["message"]
        )
        monkeypatch.setenv("FTGATE_TEST_KEY", KEY)
        gate = voice.gate()
    assert gate["verdict"] == "pass"
    assert check(gate, "candidate_answers")["observed"] == N
