"""The store: what is kept comes back, and a file that cannot serve says so."""

import json
import sqlite3
import threading
import time
from contextlib import closing
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.errors import StoreError
from pytest_ftgate.models import Completion, Prediction
from pytest_ftgate.runs import store as module
from pytest_ftgate.runs.store import Store


def prediction(key, text="yes", created_at=100.0):
    return Prediction(key, Completion(text), 0.5, created_at)


# --- what is kept comes back -----------------------------------------------------------------------------------

counts = st.none() | st.integers(min_value=0, max_value=2**40)
seconds = st.none() | st.floats(min_value=0, max_value=1e6)
completions = st.builds(
    Completion,
    # lone surrogates too: models do answer with them
    text=st.text(st.characters(exclude_categories=())),
    input_tokens=counts,
    output_tokens=counts,
    cached_input_tokens=counts,
    finish=st.sampled_from(["stop", "refusal", "filtered", "cut_off"]),
    latency_s=seconds,
)


@given(completion=completions, latency_s=seconds, created_at=st.floats(min_value=0, max_value=4e9))
def test_a_prediction_comes_back_as_it_went(completion, latency_s, created_at):
    prediction = Prediction("k", completion, latency_s, created_at)
    with closing(Store(None)) as store:
        store.put([prediction])
        assert store.get(["k"]) == {"k": prediction}


def test_it_outlives_the_process_that_put_it_and_is_plain_json(path):
    with closing(Store(path)) as store:
        store.put([Prediction("k", Completion("yes", 10, finish="cut_off"), 0.25, 7.0)])
    with closing(sqlite3.connect(path)) as raw:
        key, value, created_at = raw.execute(
            "SELECT key, value, created_at FROM predictions"
        ).fetchone()
    assert (key, created_at) == ("k", 7.0)
    facts = {"text": "yes", "input_tokens": 10, "finish": "cut_off", "measured_s": 0.25}
    assert json.loads(value) == facts
    with closing(Store(path)) as store:
        assert store.get(["k"])["k"].completion == Completion("yes", 10, finish="cut_off")


@pytest.fixture
def store(stores):
    return stores.persistent


def test_a_later_prediction_takes_the_place_of_an_older_one_and_only_keys_asked_for_come_back(
    store,
):
    store.put([prediction("k", "old"), prediction("a")])
    store.put([prediction("k", "new", created_at=200.0)])
    assert {
        key: prediction.completion.text for key, prediction in store.get(["k", "c"]).items()
    } == {"k": "new"}
    assert store.get(["k", "a"], newer_than=100.5).keys() == {"k"}
    keys = [f"k{number}" for number in range(2_000)]  # more than a statement has parameters
    store.put([prediction(key) for key in keys[:1_500]])
    assert set(store.get(keys)) == set(keys[:1_500])


def test_all_of_a_batch_or_none_and_any_thread_may_use_it(store):
    with pytest.raises(StoreError):
        store.put([prediction("c"), Prediction("d", Completion("yes"), None, None)])
    store.put([prediction("a")])
    thread = threading.Thread(target=lambda: store.put([prediction("b")]))
    thread.start()
    thread.join()
    assert set(store.get(["a", "b", "c", "d"])) == {"a", "b"}


def test_notes_outlive_the_session(path):
    with closing(Store(path)) as store:
        assert store.note("green a") is None
        for text in ("sent", "done"):
            store.keep_note("green a", text)
    with closing(Store(path)) as second_store:
        assert second_store.note("green a") == "done"


# --- the file --------------------------------------------------------------------------------------------------


def test_nothing_is_made_before_it_is_used_and_a_new_folder_ignores_itself(path):
    with closing(Store(path)) as store:
        assert store.get([]) == {}
        assert not path.parent.exists()
        assert store.get(["k"]) == {}
    assert sorted(path.name for path in path.parent.iterdir()) == [".gitignore", path.name]
    assert (path.parent / ".gitignore").read_text() == "*\n"


def test_a_folder_of_the_user_is_left_alone_and_an_empty_file_is_a_start(path):
    path.parent.mkdir()
    path.touch()
    stored_file(path)
    with closing(Store(path)) as store:
        assert set(store.get(["k"])) == {"k"}
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def stored_file(path, *statements):
    """A file with one prediction, ``k``, changed afterwards."""
    with closing(Store(path)) as store:
        store.put([prediction("k")])
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        for statement in statements:
            raw.execute(statement)


@pytest.mark.parametrize("tables", [False, True])
def test_a_file_of_something_else_is_not_touched(path, tables):
    path.parent.mkdir()
    if tables:
        with closing(sqlite3.connect(path)) as raw:
            raw.execute("CREATE TABLE photos (id)")
    else:
        path.write_bytes(b"a text, and long enough to be looked at " * 100)
    content_before = path.read_bytes()
    assert "move the file away" in refusal(Store(path)).cure
    assert path.read_bytes() == content_before


def refusal(store):
    """Return the error of writing, and of the look that a run takes before it makes a call."""
    with pytest.raises(StoreError) as caught:
        store.put([prediction("k")])
    with pytest.raises(StoreError) as second_error:
        store.check_room()
    assert (str(second_error.value), str(second_error.value.where)) == (
        str(caught.value),
        ".ftgate/predictions.sqlite3",
    )
    return caught.value


@pytest.mark.parametrize(
    ("statements", "evidence"),
    [
        *(([f"PRAGMA user_version = {version}"], "another program") for version in (0, 1, 2, 4)),
        (["DROP TABLE predictions", "CREATE TABLE predictions (key)"], "no such column: value"),
        *(
            ([f"UPDATE predictions SET value = '{value}'"], "stored answer k")
            for value in ("{", "7", "{}")
        ),
    ],
)
def test_what_another_version_wrote_or_is_damaged_is_not_guessed_at(path, statements, evidence):
    stored_file(path, *statements)
    with closing(Store(path)) as store, pytest.raises(StoreError) as caught:
        store.get(["k"])
    assert evidence in caught.value.evidence


def test_a_damaged_page(path):
    with closing(Store(path)) as store:
        store.put([prediction(f"k{number}") for number in range(500)])
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with closing(Store(path)) as store, pytest.raises(StoreError) as caught:
        store.get(["k1"])
    assert "malformed" in caught.value.evidence


def test_somebody_who_holds_the_file(path, monkeypatch):
    monkeypatch.setattr(module, "_BUSY_S", 0.0)
    stored_file(path)
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as second_connection,
        closing(Store(path)) as store,
    ):
        store.get(["k"])
        second_connection.execute("BEGIN IMMEDIATE")
        assert set(store.get(["k"])) == {"k"}, "many may read while one writes"
        monkeypatch.setattr(module, "PATIENCE_S", 0.01)
        with pytest.raises(StoreError) as caught:
            store.put([prediction("k", "new")])
        assert "database is locked" in caught.value.evidence
        monkeypatch.setattr(module, "PATIENCE_S", 30.0)
        monkeypatch.setattr(time, "sleep", lambda _: second_connection.rollback())
        store.put([prediction("k", "new")])
        assert store.get(["k"])["k"].completion.text == "new"


# --- claims of questions, which no other process asks meanwhile ------------------------------------------------


@pytest.fixture
def pair(path):
    """Yield two stores of one file, as two processes have them."""
    with closing(Store(path)) as store, closing(Store(path)) as second_store:
        yield store, second_store


def test_a_question_is_claimed_by_one_until_it_is_answered_or_given_up(pair):
    store, second_store = pair
    assert store.claim(["a", "b", "c"], "one") == {"a", "b", "c"}
    assert second_store.claim(["b", "c", "d"], "two") == {"d"}
    assert store.claim(["a", "d"], "one") == {"a"}
    store.put([prediction("a")])
    assert second_store.claim(["a", "b", "c"], "two") == {"a"}
    store.release("one")
    assert second_store.claim(["b", "c"], "two") == {"b", "c"}


@pytest.mark.parametrize("restarted", [False, True])
def test_a_claim_that_nobody_renews_ends(pair, monkeypatch, restarted):
    store, second_store = pair
    clock = [1_000_000.0]
    monkeypatch.setattr(module.clock, "monotonic", lambda: clock[0])
    store.claim(["a", "b"], "killed")
    store.claim(["c"], "alive")
    clock[0] += module.CLAIM_S - 1
    store.claim([], "alive")
    assert second_store.claim(["a", "b", "c"], "two") == set()
    clock[0] = 5.0 if restarted else clock[0] + 2  # the clock begins anew
    assert second_store.claim(["a", "b", "c"], "two") == {"a", "b", *(["c"] if restarted else [])}


def test_retired_answers_serve_the_sessions_that_began_before_for_a_day(pair, monkeypatch):
    store, second_store = pair
    now = [1_000.0]
    monkeypatch.setattr(module.clock, "wall", lambda: now[0])
    store.put([prediction("a"), prediction("b")])
    store.retire(["a", "unknown"])
    now[0] += 500
    second_store.retire(["a"])
    for began, keys in ((999.0, {"a", "b"}), (1_000.0, {"b"}), (1_200.0, {"b"}), (inf, {"b"})):
        assert second_store.get(["a", "b"], began=began).keys() == keys
    store.put([prediction("a", "new")])
    assert store.get(["a"])["a"].completion.text == "new"
    store.retire(["a"])
    now[0] += module.DAY_S + 1
    store.retire(["b"])
    assert store.get(["a", "b"], began=0.0).keys() == {"b"}


# --- the disk --------------------------------------------------------------------------------------------------


def test_a_full_disk_is_seen_before_an_answer_is_paid_for(store):
    store.put([prediction("k")])
    store.check_room()
    store.check_room()
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    # nothing is free any more
    store.put([prediction(str(number), "x" * 3000) for number in range(pages)])
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError) as caught:
        store.check_room()
    assert "disk is full" in caught.value.evidence
    assert set(store.get(["k"])) == {"k"}


def test_a_folder_that_a_killed_process_has_left_empty_ignores_itself_too(path):
    path.parent.mkdir()
    stored_file(path)
    assert (path.parent / ".gitignore").read_text() == "*\n"


# --- where nothing may be written ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "word"), [("predictions.sqlite3", "unable to open"), ("", "File exists")]
)
def test_a_folder_in_place_of_the_file_and_a_file_in_place_of_the_folder(path, name, word):
    if name:
        path.mkdir(parents=True)
    else:
        path.parent.write_text("")
    assert word in refusal(Store(path)).evidence
