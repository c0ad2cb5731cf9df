"""The gate on language models that were really trained and really answer over HTTP: green, red, stored, offline."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import needs
import pytest
from gate_project import check, refused, statuses

needs.the_extra()

from checkpoints import Checkpoints, chats  # noqa: E402
from serve import serving  # noqa: E402
from voice_project import LIMIT, N, VoiceProject  # noqa: E402

if TYPE_CHECKING:
    from serve import Served

pytestmark = pytest.mark.usefixtures("no_ambient_settings")


@pytest.fixture
def mortal(checkpoints: Checkpoints) -> Iterator[tuple[dict[str, Served], Callable[[], None]]]:
    """Servers of ``base`` and ``tuned`` for one test alone, and a function that ends them."""
    with ExitStack() as stack:
        yield (
            {
                name: stack.enter_context(serving(name, checkpoints.files[name], checkpoints.shape.context))
                for name in ("base", "tuned")
            },
            stack.close,
        )


def made(served: Callable[[str], Served], *names: str) -> list[int]:
    return [served(name).tokens_made for name in names]


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
    assert gate["wins"] > gate["losses"]
    assert "122 groups" in gate["note"]  # sentences of one template do not count as independent


def test_the_free_checks_hold_for_real(voice: VoiceProject) -> None:
    voice.gates()
    gate = voice.gate()
    assert (gate["n"], gate["test_set"]["examples"]) == (N, N)
    assert (gate["training"]["usable"], gate["training"]["leaked"], gate["training"]["conflicts"]) == (823, 0, 0)
    found = statuses(gate)
    assert {name: found[name] for name in ("min_training_examples", "leaked", "min_test_examples")} == {
        "min_training_examples": "pass",
        "leaked": "pass",
        "min_test_examples": "pass",
    }
    weak = check(gate, "weak_baseline")
    assert weak["status"] == "pass"
    assert weak["observed"] > 5 * weak["required"]  # it has learned something: the gain is none over nothing
    assert {name for name, status in found.items() if status == "warning"} <= {"unusable_answers"}


def test_a_test_body_can_ask_both_models(voice: VoiceProject) -> None:
    voice.gates()
    voice.file(
        "test_gate.py",
        """
        import pytest

        @pytest.mark.ftgate("intents")
        def test_gate(ftgate, ftgate_candidate, ftgate_baseline, ftgate_test_set):
            right = [ftgate_candidate(example.input) == example.expected for example in ftgate_test_set[:20]]
            assert sum(right) > 10
            assert ftgate_candidate("cancel the timer") == "HassCancelTimer"
            assert ftgate_baseline("cancel the timer").startswith("Hass")
        """.replace("\n        ", "\n"),
    )
    voice.run().assert_outcomes(passed=1)


# --- what the server reports ---------------------------------------------------------------------------------


def test_tokens_are_those_of_the_models_own_tokenizer(voice: VoiceProject, checkpoints: Checkpoints) -> None:
    voice.gates()
    gate = voice.gate("--ftgate-report=recordings:recorded")
    asked = sum(len(checkpoints.tokenizer.encode(chat.prompt)) for chat in chats(voice.path / "test.jsonl"))
    assert gate["baseline"]["input_tokens"] == gate["candidate"]["input_tokens"] == asked
    (recorded,) = (voice.path / "recorded").glob("*.candidate.jsonl")
    answers = [json.loads(line)["output"] for line in recorded.read_text().splitlines()]
    assert len(answers) == N
    given = sum(len(checkpoints.tokenizer.encode(text)) + 1 for text in answers)  # and the token that ends it
    assert gate["candidate"]["output_tokens"] == given


def test_time_and_money_are_measured(voice: VoiceProject) -> None:
    price = {"input_per_1m": 1_000_000.0, "cached_input_per_1m": 0.0, "output_per_1m": 0.0}
    limits = {"latency_p95_s": {"max": 60}, "cost_usd": {"max": 1_000_000}}
    voice.gates(candidate=voice.model("tuned", price=price), thresholds=limits)
    candidate = voice.gate()["candidate"]
    assert 0 < candidate["latency_p50_s"] <= candidate["latency_p95_s"]
    # One dollar for each input token that the server did not have in its cache: most begin with the same words.
    assert 0 < candidate["cost_usd"] < candidate["input_tokens"]


# --- red -----------------------------------------------------------------------------------------------------


def test_a_candidate_trained_on_shuffled_labels_is_refused(voice: VoiceProject) -> None:
    voice.gates(candidate=voice.model("shuffled"))
    refused(voice, "fail", called=True)
    gate = voice.gate()
    assert gate["gain"] < 0
    assert statuses(gate)["margin"] == "fail"
    assert statuses(gate)["thresholds.accuracy"] == "fail"


def test_swapped_models_are_refused(voice: VoiceProject) -> None:
    voice.gates(baseline=voice.model("tuned"), candidate=voice.model("base"))
    assert "gain -" in refused(voice, "fail", called=True)
    assert voice.gate()["gain"] < -0.2


def test_a_baseline_of_random_weights_is_a_straw_man(voice: VoiceProject) -> None:
    voice.gates(baseline=voice.model("random"))
    refused(voice, "fail", called=True)
    gate = voice.gate()
    assert gate["candidate"]["metrics"]["accuracy"] >= 0.8
    # It never ends its answers, so that all of them are cut off.
    assert {name for name, status in statuses(gate).items() if status == "fail"} == {"weak_baseline", "formatting_gain"}


def test_two_names_for_one_server_are_found_out(voice: VoiceProject) -> None:
    """llama.cpp answers with the model it has, whatever the name, and says which one that is."""
    voice.gates(baseline={**voice.model("tuned"), "model": "base"})
    assert "'tuned' answered" in refused(voice, "error", called=True)
    voice.gates(baseline={**voice.model("tuned"), "model": "base", "served_as": "tuned"})
    assert f"the same {N} answers" in refused(voice, "fail", called=True)


# --- stored, recorded, offline -------------------------------------------------------------------------------


def facts(gate: dict[str, Any]) -> dict[str, Any]:
    """Return what must not depend on where the answers come from."""
    same = ("verdict", "gain", "lower_bound", "upper_bound", "wins", "losses", "p_value")
    models = {role: (gate[role]["value"], gate[role]["input_tokens"], gate[role]["output_tokens"]) for role in ROLES}
    return {**{name: gate[name] for name in same}, **models}


ROLES = ("baseline", "candidate")


def test_nothing_is_asked_twice(voice: VoiceProject, served: Callable[[str], Served]) -> None:
    voice.gates(baseline=voice.model("base", revision="1"), candidate=voice.model("tuned", revision="1"))
    start = made(served, "base", "tuned")
    first = voice.gate(apart=True)
    after = made(served, "base", "tuned")
    assert [b - a for a, b in zip(start, after, strict=True)] == [first[role]["output_tokens"] for role in ROLES]
    again = voice.gate(apart=True)
    assert made(served, "base", "tuned") == after
    assert [first[role]["n_stored"] for role in ROLES] == [0, 0]
    assert [again[role]["n_stored"] for role in ROLES] == [N, N]
    assert facts(again) == facts(first)


def test_committed_recordings_judge_without_store_and_servers(
    voice: VoiceProject, mortal: tuple[dict[str, Served], Callable[[], None]]
) -> None:
    servers, end = mortal
    voice.gates(baseline=voice.at(servers["base"]), candidate=voice.at(servers["tuned"]))
    first = voice.gate("--ftgate-report=recordings:recorded")
    end()
    shutil.rmtree(voice.path / ".ftgate")
    voice.pytester.makeini("[pytest]\nftgate_recordings = recorded\n")
    recorded = voice.gate("--ftgate-offline", apart=True)
    voice.result.assert_outcomes(passed=1)
    assert facts(recorded) == facts(first)
    shutil.rmtree(voice.path / ".ftgate", ignore_errors=True)
    voice.gates(
        baseline=voice.at(servers["base"]), candidate=voice.at(servers["tuned"], params={"max_tokens": LIMIT - 1})
    )
    assert voice.gate("--ftgate-offline")["verdict"] == "error"  # no recording is for that question
