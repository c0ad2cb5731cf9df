"""Names of models: snapshots, aliases, fine-tunes; nothing is said of a name that says nothing."""

from __future__ import annotations

import pytest

from pytest_ftgate.checks.freshness.alias import is_alias
from pytest_ftgate.checks.freshness.last_green import base_in_name


@pytest.mark.parametrize(
    "model",
    ["gpt-4.1-mini", "gpt-4o", "gpt-4", "gpt-3.5-turbo", "gpt-3.5-turbo-16k", "o3-mini", "o1", "gpt-5-chat-latest"],
)
def test_aliases_at_openai(model: str) -> None:
    assert is_alias(model, revision=None, public=True)
    assert is_alias(model, revision="today", public=True)  # what a gate says moves nothing at OpenAI


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4.1-mini-2025-04-14",
        "gpt-4-0613",
        "gpt-3.5-turbo-0125",
        "gpt-4-1106-preview",
        "gpt-3.5-turbo-16k-0613",
        "o1-2024-12-17",
        "ft:gpt-4.1-mini-2025-04-14:acme::abc123",
        "ft:gpt-4o-mini:acme::latest",
        "babbage-002",
        "gpt-6-luna",
        "gpt-oss-20b",
        "omni-moderation",
        "my-gpt-4o",
        "gpt-4o-acme",
    ],
)
def test_snapshots_and_names_that_say_nothing(model: str) -> None:
    assert not is_alias(model, revision=None, public=True)


@pytest.mark.parametrize("model", ["gpt-4.1-mini", "llama3", "meta-llama/Llama-3.1-8B", "latest", "latest-and-best"])
def test_nothing_is_known_of_names_elsewhere(model: str) -> None:
    assert not is_alias(model, revision=None, public=False)


@pytest.mark.parametrize("model", ["llama3:latest", "mistral-small-latest", "gpt-5-chat-latest"])
def test_latest_moves_anywhere_unless_a_revision_pins_it(model: str) -> None:
    assert is_alias(model, revision=None, public=False)
    assert not is_alias(model, revision="7f3a", public=False)


@pytest.mark.parametrize(
    ("model", "base"),
    [
        ("ft:gpt-4.1-mini-2025-04-14:acme::abc123", "gpt-4.1-mini-2025-04-14"),
        ("ft:gpt-4.1-mini-2025-04-14:acme:suffix:abc123:ckpt-step-60", "gpt-4.1-mini-2025-04-14"),
        ("ft:gpt-4o", None),
        ("ft::acme::x", None),
        ("gpt-4o:acme::x", None),
        ("llama3:8b", None),
    ],
)
def test_the_base_in_a_fine_tunes_name(model: str, base: str | None) -> None:
    assert base_in_name(model) == base
