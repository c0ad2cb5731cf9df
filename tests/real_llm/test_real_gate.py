"""The gate on language models that were really trained and really answer over HTTP: green, red, stored, offline."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from typing import Any

import needs
import pytest
from gate_project import read_jsonl, statuses, stopped

needs.the_extra()

from checkpoints import Checkpoints, chats  # noqa: E402
from serve import serving  # noqa: E402
from voice_project import LIMIT, N, VoiceProject  # noqa: E402

pytestmark = pytest.mark.usefixtures("no_ambient_settings")


# --- green ---------------------------------------------------------------------------------------------------


def test_the_trained_model_beats_the_untrained_one(voice: VoiceProject) -> None:
    voice.gates(evidence="proven")
    gate = voice.gate(apart=True)
    voice.result.assert_outcomes(passed=1)
    assert gate["verdict"] == "pass"
    assert gate["baseline"]["metrics"]["accuracy"] < 0.65
    assert gate["candidate"]["metrics"]["accuracy"] >= 0.8
    assert gate["gain"] == pytest.approx(gate["candidate"]["value"] - gate["baseline"]["value"])
    assert 0.2 <= gate["lower_bound"] < gate["gain"] < gate["upper_bound"]
    assert gate["margin_proven"] is True
    assert gate["fixed"] > gate["broken"]
    assert "122 groups" in gate["note"]  # sentences of one template do not count as independent


# --- what the server reports ---------------------------------------------------------------------------------


def test_tokens_are_those_of_the_models_own_tokenizer(
    voice: VoiceProject, checkpoints: Checkpoints
) -> None:
    voice.gates()
    gate = voice.gate("--ftgate-report=recordings:recorded")
    n_prompt = sum(
        len(checkpoints.tokenizer.encode(chat.prompt)) for chat in chats(voice.path / "test.jsonl")
    )
    assert gate["baseline"]["input_tokens"] == gate["candidate"]["input_tokens"] == n_prompt
    (recorded,) = (voice.path / "recorded").glob("*.candidate.jsonl")
    answers = [row["output"] for row in read_jsonl(recorded)]
    assert len(answers) == N
    # and the token that ends it
    n_output = sum(len(checkpoints.tokenizer.encode(text)) + 1 for text in answers)
    assert gate["candidate"]["output_tokens"] == n_output


# --- red -----------------------------------------------------------------------------------------------------


def test_a_candidate_trained_on_shuffled_labels_is_refused(voice: VoiceProject) -> None:
    voice.gates(candidate=voice.model("shuffled"))
    stopped(voice.gate(), "fail", called=True)
    gate = voice.gate()
    assert gate["gain"] < 0
    assert statuses(gate)["margin"] == "fail"
    assert statuses(gate)["thresholds.accuracy"] == "fail"


def test_a_baseline_of_random_weights_is_a_straw_man(voice: VoiceProject) -> None:
    voice.gates(baseline=voice.model("random"))
    stopped(voice.gate(), "fail", called=True)
    gate = voice.gate()
    assert gate["candidate"]["metrics"]["accuracy"] >= 0.8
    # It never ends its answers, so that all of them are cut off.
    assert {name for name, status in statuses(gate).items() if status == "fail"} == {
        "formatting_gain"
    }


def test_two_names_for_one_server_are_found_out(voice: VoiceProject) -> None:
    """llama.cpp answers with the model it has, whatever the name, and says which one that is."""
    voice.gates(baseline={**voice.model("tuned"), "model": "base"})
    assert "'tuned' answered" in stopped(voice.gate(), "error", called=True)["message"]
    voice.gates(baseline={**voice.model("tuned"), "model": "base", "served_as": "tuned"})
    assert f"the same {N} answers" in stopped(voice.gate(), "fail", called=True)["message"]


# --- stored, recorded, offline -------------------------------------------------------------------------------


def facts(gate: dict[str, Any]) -> dict[str, Any]:
    """Return what must not depend on where the answers come from."""
    same_facts = ("verdict", "gain", "lower_bound", "upper_bound", "fixed", "broken")
    of_model = ("value", "input_tokens", "output_tokens")
    models = {role: [gate[role][name] for name in of_model] for role in ("baseline", "candidate")}
    return {**{name: gate[name] for name in same_facts}, **models}


def test_committed_recordings_judge_without_store_and_servers(
    voice: VoiceProject, checkpoints: Checkpoints
) -> None:
    with ExitStack() as stack:
        base, tuned = (
            stack.enter_context(serving(name, checkpoints.files[name], checkpoints.shape.context))
            for name in ("base", "tuned")
        )
        voice.gates(baseline=voice.at(base), candidate=voice.at(tuned))
        first = voice.gate("--ftgate-report=recordings:recorded")
    shutil.rmtree(voice.path / ".ftgate")
    voice.pytester.makeini("[pytest]\nftgate_recordings = recorded\n")
    recorded = voice.gate("--ftgate-offline", apart=True)
    voice.result.assert_outcomes(passed=1)
    assert facts(recorded) == facts(first)
    shutil.rmtree(voice.path / ".ftgate", ignore_errors=True)
    voice.gates(
        baseline=voice.at(base), candidate=voice.at(tuned, params={"max_tokens": LIMIT - 1})
    )
    assert voice.gate("--ftgate-offline")["verdict"] == "error"  # no recording is for that question
