"""Recorded answers: looked up, without an event loop, a socket or a store."""

import json
from contextlib import closing

import pytest
from fakes import run, texts
from test_runner import Model

from pytest_ftgate.data import DataSet, Example, input_sha256
from pytest_ftgate.errors import Where
from pytest_ftgate.models import Completion, Prediction
from pytest_ftgate.models.price import written_price
from pytest_ftgate.models.recorded import RecordedModel, Recording, read_rows
from pytest_ftgate.runs import calls
from pytest_ftgate.runs.jobs import Job, Stores, UselessError
from pytest_ftgate.runs.runner import run_models
from pytest_ftgate.runs.store import Store

EXAMPLES = DataSet(tuple(Example(f"e{i}", f"question {i}", "yes") for i in range(6)), None, "", "test")


def row(i, **more):
    return {"id": f"e{i}", "output": f"answer {i}", **more}


def recorded(folder, *rows):
    path = folder / "r.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows or map(row, range(6))))
    file = read_rows(path)
    return RecordedModel(
        name="tuned",
        spelling="recorded:r.jsonl",
        path=file.path,
        sha256=file.sha256,
        rows=file.rows,
        verified=False,
        price=written_price(None, ""),
    )


def test_a_recording_needs_neither_an_event_loop_nor_a_store(tmp_path, monkeypatch):
    monkeypatch.setattr(calls, "run_in_own_loop", None)
    with closing(Store(tmp_path / "x")) as store:
        found = run(recorded(tmp_path), Stores(store, Store(None)), EXAMPLES)
    assert texts(found) == [f"answer {i}" for i in range(6)]
    assert not (tmp_path / "x").exists()


def test_committed_recordings_need_them_neither(tmp_path):
    model = Model()
    predictions = (Prediction(model.key(one), Completion("kept"), 0.5, 5.0) for one in EXAMPLES)
    kept = {one.key: Recording(one, Where("r.jsonl", 1), set()) for one in predictions}
    with closing(Store(tmp_path / "x")) as store:
        found = run(model, Stores(store, store, kept), EXAMPLES)
    assert texts(found) == ["kept"] * 6
    assert (model.calls, model.closed, (tmp_path / "x").exists()) == ([], [], False)
    assert all((one.stored, one.latency_s, one.created_at) == (True, 0.5, 5.0) for one in found.predictions[0])


def test_a_committed_recording_of_another_input_ends_the_run():
    key = Model().key(EXAMPLES.examples[3])
    kept = {key: Recording(Prediction(key, Completion("kept")), Where("r.jsonl", 1), {input_sha256("another")})}
    found = run(Model(), Stores(None, Store(None), kept), EXAMPLES)
    assert ("another input" in found.fatal.what, found.model.calls) == (True, [])


def test_what_a_row_tells_is_what_the_run_tells(tmp_path):
    model = recorded(tmp_path, row(0, latency_s=0.25, created_at=5, key="of another model"))
    one = DataSet(EXAMPLES.examples[:1], None, "", "test")
    ((found,),) = run(model, nothing(), one).predictions
    completion = Completion("answer 0", latency_s=0.25)
    assert found == Prediction("of another model", completion, 0.25, 5.0, id="e0", stored=True, recorded=True)


def test_a_missing_row_is_a_missing_answer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = recorded(tmp_path, row(0), {"id": "e1", "output": None}, *map(row, range(3, 6)))
    found = run(model, nothing(), EXAMPLES)
    assert texts(found) == ["answer 0", None, None, "answer 3", "answer 4", "answer 5"]
    assert found.fatal is None
    failures = [found.predictions[0][row].failure for row in (1, 2)]
    assert ['"e1"' in failures[0].what, '"e2"' in failures[1].what] == [True, True]
    assert [(str(one.where), one.retryable, one.fatal) for one in failures] == [
        (f"r.jsonl{line}", False, False) for line in (":2", "")
    ]


def test_a_row_for_another_input_ends_the_run_before_anybody_is_paid(tmp_path):
    model = recorded(tmp_path, row(0), row(1, input_sha256=input_sha256("another")), *map(row, range(2, 6)))
    asked = Model(name="asked")
    found, other = run_models([Job(model, EXAMPLES), Job(asked, EXAMPLES)], stores=nothing())
    assert texts(found) == ["answer 0"] + [None] * 5
    assert '"e1"' in found.fatal.what
    assert (other.fatal, asked.calls) == (None, [])
    assert "tuned" in other.predictions[0][0].error


@pytest.mark.parametrize(("usable", "answered"), [((), 5), ((0,), 6), ((4,), 6)])
def test_five_useless_rows_before_any_of_use_end_it_early(tmp_path, usable, answered):
    texts_of_use = [f"answer {i}" for i in usable]
    job = Job(recorded(tmp_path), EXAMPLES, usable=lambda completion: completion.text in texts_of_use)
    (found,) = run_models([job], stores=nothing())
    assert texts(found) == [f"answer {i}" if i < answered else None for i in range(6)]
    assert isinstance(found.fatal, UselessError if answered == 5 else type(None))
    assert ("5 answers" in str(found.fatal)) == (answered == 5)


def nothing():
    return Stores(None, Store(None))
