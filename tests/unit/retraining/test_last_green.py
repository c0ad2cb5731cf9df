"""What is kept of a green verdict, and what an endpoint lists: written, read, and refused where it is neither."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
import pytest

from pytest_ftgate.checks.freshness.last_green import (
    KeptModel,
    LastGreen,
    as_kept,
    pack_scores,
    read_last,
    unpack_scores,
)
from pytest_ftgate.checks.freshness.shutdown import Listings
from pytest_ftgate.models.openai_api.endpoint import Endpoint
from pytest_ftgate.models.openai_api.look_up import Listing, read_listing
from pytest_ftgate.runs.store import Store

HUGE = 10**400  # a whole number that no float holds
GREEN = LastGreen(
    judged_at=1_000.0,
    measured_at=900.5,
    test_set="ab",
    examples=3,
    metric="accuracy {}",
    models={"baseline": KeptModel("openai:base", "base", None, "h", 0.5, "bits:x"), "candidate": KeptModel("c")},
    shutdown={"base": "2027-01-14"},
)


def test_a_verdict_survives_its_text() -> None:
    assert LastGreen.from_text(GREEN.to_text()) == GREEN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        GREEN.to_text().replace('"form": 1', '"form": 2'),
        GREEN.to_text().replace('"judged_at": 1000.0', '"judged_at": "x"'),
        GREEN.to_text().replace('"judged_at": 1000.0', '"judged_at": 1e300'),
        GREEN.to_text().replace('"measured_at": 900.5', '"measured_at": -1'),
        GREEN.to_text().replace('"examples"', '"example"'),
        GREEN.to_text().replace('"served_as"', '"served"'),
        GREEN.to_text().replace('"value": 0.5', '"value": "0.5"'),
        GREEN.to_text().replace('"value": 0.5', '"value": NaN'),
        GREEN.to_text().replace('"value": 0.5', f'"value": {HUGE}'),
        GREEN.to_text().replace('"bits:x"', "3"),
        GREEN.to_text().replace('"served_as": "base"', '"served_as": ["base"]'),
        GREEN.to_text().replace('"examples": 3', '"examples": "3"'),
        GREEN.to_text().replace('"2027-01-14"', "5"),
        "[" * 100_000,
    ],
)
def test_what_is_none_is_none(text: str) -> None:
    assert text != GREEN.to_text()
    assert LastGreen.from_text(text) is None


@pytest.mark.parametrize(("committed", "kept"), [(1_000.0, 2_000.0), (2_000.0, 1_000.0)])
def test_the_newer_one_counts(committed: float, kept: float) -> None:
    notes = Store(None).notes
    notes.put("g", replace(GREEN, judged_at=kept).to_text())
    found = read_last("g", {"g": replace(GREEN, judged_at=committed).to_text()}, notes)
    assert found is not None
    assert found.judged_at == 2_000.0
    assert read_last("other", {}, notes) is None


@pytest.mark.parametrize("n", [1, 7, 8, 9, 100_000])
def test_right_and_wrong_take_a_bit_each(n: int) -> None:
    scores = (np.random.default_rng(0).random(n) < 0.8).astype(float)
    text = pack_scores(scores)
    assert len(text) < 20 + 0.2 * n + 30
    found = unpack_scores(text, n)
    assert found is not None
    assert (found == scores).all()


def test_grades_are_kept_in_single_precision() -> None:
    scores = np.array([0.1, 1 / 3, 0.0, 1.0])
    found = unpack_scores(pack_scores(scores), 4)
    assert found is not None
    assert (found == as_kept(scores)).all()
    assert np.allclose(found, scores, atol=1e-7)


@pytest.mark.parametrize(
    ("text", "n"),
    [
        (None, 3),
        ("", 3),
        ("bits:", 3),
        ("bits:!!", 3),
        (pack_scores(np.ones(3)), 9),
        (pack_scores(np.ones(9)), 3),
        (pack_scores(np.array([0.5, 0.1])), 3),
        (pack_scores(np.array([0.5, float("nan")])), 2),
        (pack_scores(np.zeros(10_000_000)), 3),
        ("f8" + pack_scores(np.array([0.5]))[2:], 1),
    ],
)
def test_other_scores_are_none(text: str | None, n: int) -> None:
    assert unpack_scores(text, n) is None


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("2026-10-23", "2026-10-23"),
        (" 2026-10-23 ", "2026-10-23"),
        ("2026-10-23T10:00:00Z", "2026-10-23"),
        ("2026-10-23T23:30:00-02:00", "2026-10-24"),
        ("2026-10-23 10:00:00", "2026-10-23"),
        ("2026-10-23T10:00:00.1234567Z", "2026-10-23"),
        (1_792_713_600, "2026-10-23"),
        (1_792_713_600.5, "2026-10-23"),
    ],
)
def test_dates_as_endpoints_write_them(written: Any, day: str) -> None:
    assert read_listing({"shutdown_date": written}, 5.0) == Listing(5.0, known=True, shutdown=day)


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "2026-10-23",
        {},
        {"shutdown": "2026-10-23"},
        *({"shutdown_date": written} for written in ("", "soon", "2026-13-01", "2026-10-234", True, [], 1e300, {})),
    ],
)
def test_what_is_no_date_is_not_known(body: Any) -> None:
    assert read_listing(body, 5.0) == Listing(5.0, known=False)


def test_none_announced_is_known() -> None:
    assert read_listing({"shutdown_date": None}, 5.0) == Listing(5.0, known=True)


def test_an_endpoint_is_asked_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    answers: dict[str, Listing] = {}

    def ask(endpoint: Endpoint, models: list[str], now: float) -> dict[str, Listing]:
        asked.append(list(models))
        return {model: answers[model] for model in models if model in answers}

    monkeypatch.setattr("pytest_ftgate.checks.freshness.shutdown.ask_listings", ask)
    notes, here, there = Store(None).notes, Endpoint("http://a", "m"), Endpoint("http://b", "m")
    answers |= {"m": Listing(0.0, known=True, shutdown="2027-01-14"), "n": Listing(0.0, known=False)}
    assert Listings(notes, 0.0).asked(here, ["m", "n", "gone"]) == answers
    assert Listings(notes, 86_399.0).asked(here, ["m", "n"]) == answers
    assert asked == [["m", "n", "gone"]]
    assert Listings(notes, 0.0).known(there, ["m"]) == {}
    answers.clear()  # the endpoint does not answer: what it said stays true
    assert Listings(notes, 86_400.0).asked(here, ["m"])["m"].shutdown == "2027-01-14"
    answers["m"] = Listing(90_000.0, known=False)
    assert Listings(notes, 90_000.0).asked(here, ["m"])["m"] == Listing(90_000.0, known=True, shutdown="2027-01-14")
    answers["m"] = Listing(900_000.0, known=True)  # it was withdrawn
    assert Listings(notes, 900_000.0).asked(here, ["m"])["m"].shutdown is None
    assert len(asked) == 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"asked_at": 1}',
        '{"asked_at": 1, "known": true, "shutdown": "x"}',
        f'{{"asked_at": {HUGE}, "known": true}}',
    ],
)
def test_a_note_that_is_no_listing_is_as_none(text: str) -> None:
    notes, endpoint = Store(None).notes, Endpoint("http://a", "m")
    notes.put(_kept_name(endpoint), text)
    assert Listings(notes, 0.0).known(endpoint, ["m"]) == {}
    notes.put(_kept_name(endpoint), json.dumps({"asked_at": 1, "known": True, "shutdown": None}))
    assert Listings(notes, 0.0).known(endpoint, ["m"]) == {"m": Listing(1.0, known=True)}


def _kept_name(endpoint: Endpoint) -> str:
    return f"listing: {sha256(endpoint.base_url.encode()).hexdigest()[:16]} m"
