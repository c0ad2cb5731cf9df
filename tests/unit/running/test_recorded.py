"""Recorded answers: looked up, without an event loop, a socket or a store."""

import json
from contextlib import closing

import pytest
from fakes import Fake, questions, run, texts

from pytest_ftgate.data import input_sha256
from pytest_ftgate.errors import Where
from pytest_ftgate.models import Completion, Prediction
from pytest_ftgate.models.price import written_price
from pytest_ftgate.models.recorded import RecordedModel, Recording, read_rows
from pytest_ftgate.runs import calls
from pytest_ftgate.runs.jobs import Job, Stores
from pytest_ftgate.runs.runner import run_models
from pytest_ftgate.runs.store import Store

SIX = questions(*range(6))
NOTHING = Stores(None, Store(None))


def row(i, **more):
    return {"id": f"id{i}", "output": f"answer {i}", **more}


def recorded(folder, *rows):
    path = folder / "r.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in rows or map(row, range(6))))
    facts = {
        "name": "tuned",
        "spelling": "recorded:r.jsonl",
        "verified": False,
        "price": written_price(None, ""),
    }
    return RecordedModel(**read_rows(path)._asdict(), **facts)


@pytest.mark.parametrize("committed", [False, True])
def test_a_recording_needs_neither_an_event_loop_nor_a_store(tmp_path, monkeypatch, committed):
    monkeypatch.setattr(calls, "run_in_own_loop", None)
    model = Fake() if committed else recorded(tmp_path)
    predictions = [
        Prediction(model.key(example), Completion(f"answer {example.input}"), 0.5, 5.0)
        for example in SIX
    ]
    recordings = {
        prediction.key: Recording(prediction, Where("r.jsonl", 1), set())
        for prediction in predictions
        if committed
    }
    with closing(Store(tmp_path / "x")) as store:
        results = run(model, Stores(store, Store(None), recordings), SIX)
    assert texts(results) == [f"answer {i}" for i in range(6)]
    assert not (tmp_path / "x").exists()
    if committed:
        assert model.calls + model.closed == []
        assert all(
            (prediction.stored, prediction.latency_s, prediction.created_at) == (True, 0.5, 5.0)
            for prediction in results.predictions[0]
        )


def test_a_committed_recording_of_another_input_ends_the_run():
    key = Fake().key(SIX.examples[3])
    recordings = {
        key: Recording(
            Prediction(key, Completion("kept")), Where("r.jsonl", 1), {input_sha256("another")}
        )
    }
    results = run(Fake(), Stores(None, Store(None), recordings), SIX)
    assert ("another input" in results.fatal.what, results.model.calls) == (True, [])


@pytest.mark.parametrize("judged", [False, True])
def test_a_committed_recording_of_a_candidate_serves_candidates_only(judged):
    key = Fake().key(SIX.examples[0])
    recordings = {
        key: Recording(
            Prediction(key, Completion("kept")), Where("r.jsonl", 1), set(), of_candidate=True
        )
    }
    job = Job(Fake(), questions(0), of_candidate=judged)
    (results,) = run_models([job], stores=Stores(None, Store(None), recordings))
    assert texts(results) == ["kept" if judged else key]


def test_a_missing_row_is_a_missing_answer_and_what_a_row_tells_is_what_the_run_tells(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    first_row = row(0, latency_s=0.25, created_at=5, key="of another model")
    results = run(
        recorded(tmp_path, first_row, {"id": "id1", "output": None}, row(3)),
        NOTHING,
        questions(*range(4)),
    )
    first, *missing, last = results.predictions[0]
    completion = Completion("answer 0", latency_s=0.25)
    assert first == Prediction(
        "of another model", completion, 0.25, 5.0, id="id0", stored=True, recorded=True
    )
    assert (last.completion.text, results.fatal) == ("answer 3", None)
    assert ['"id1"' in missing[0].failure.what, '"id2"' in missing[1].failure.what] == [True, True]
    assert [
        (str(prediction.failure.where), prediction.failure.retryable, prediction.failure.fatal)
        for prediction in missing
    ] == [(f"r.jsonl{line}", False, False) for line in (":2", "")]


def test_a_row_for_another_input_ends_the_run_before_anybody_is_paid(tmp_path):
    model = recorded(
        tmp_path, row(0), row(1, input_sha256=input_sha256("another")), *map(row, range(2, 6))
    )
    asked_model = Fake(name="asked")
    first_run, second_run = run_models([Job(model, SIX), Job(asked_model, SIX)], stores=NOTHING)
    assert texts(first_run) == ["answer 0"] + [None] * 5
    assert '"id1"' in first_run.fatal.what
    assert (second_run.fatal, asked_model.calls) == (None, [])
    assert "tuned" in second_run.predictions[0][0].error
