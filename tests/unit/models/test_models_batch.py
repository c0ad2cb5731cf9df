"""Models that are asked in batches, on a loopback server that has a files and a batches API."""

import asyncio
import json
from collections import deque

import pytest
from batch_server import BatchServer
from loopback import Reply, error

from pytest_ftgate.data import Example
from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Completion, Question, Surroundings, build_model
from pytest_ftgate.models.openai_api.batch import BatchedModel
from pytest_ftgate.models.openai_api.batch_api import Pace
from pytest_ftgate.models.openai_api.batch_lines import Limits
from pytest_ftgate.runs.store import Store

KEY = "sk-live-0123456789abcdef"
PACE = Pace(first_s=0.001, slowest_s=0.002, longest_s=0.002, patience=5)


@pytest.fixture
def server():
    with BatchServer() as running:
        yield running


@pytest.fixture
def notes(tmp_path):
    store = Store(tmp_path / "predictions.sqlite3")
    yield store.notes
    store.close()


@pytest.fixture
def batched(spec, server, notes):
    """Return a model in mode batch with a quick pace; each call makes one that knows nothing but the notes."""

    def make(limits=None, newer_than=None, notes=notes, **options):
        options = {"base_url": server.url, "mode": "batch", **options}
        built = build_model(spec(**options), Surroundings(notes=notes, newer_than=newer_than))
        assert isinstance(built, BatchedModel)
        return BatchedModel(
            built._live, notes, newer_than=newer_than, concurrency=built.concurrency, limits=limits, pace=PACE
        )

    return make


def questions(model, n=4, first=0):
    examples = [Example(f"e{i}", f"text {i}", "x") for i in range(first, first + n)]
    return [Question(model.key(example), example, 0) for example in examples]


def answer(model, asked):
    async def call():
        try:
            return await model.complete_many(asked)
        finally:
            await model.aclose()

    return asyncio.run(call())


def texts(outcomes):
    return [outcome.text if isinstance(outcome, Completion) else type(outcome) for outcome in outcomes]


def created(server):
    return server.tally["POST /batches"]


WORDS = ["text 0", "text 1", "text 2", "text 3"]


# --- what is sent, and what comes back -----------------------------------------------------------------------


def test_all_questions_go_in_one_file_and_come_back_in_their_order(batched, server, backend):
    server.rewritten = lambda lines: reversed(lines)
    model = batched(system="s", params={"temperature": 0})
    asked = questions(model)
    found = answer(model, asked)
    assert found == [Completion(text, input_tokens=10, output_tokens=2, latency_s=None) for text in WORDS]
    (batch,) = server.batches.values()
    assert sorted(batch.ids) == sorted(question.key for question in asked)
    bodies = {line["custom_id"]: line["body"] for line in batch.lines}
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "text 0"}]
    assert bodies[asked[0].key] == {"model": "m", "messages": messages, "temperature": 0}
    assert (batch.input_file_id, list(batch.metadata)) == ("file-0", ["ftgate"])
    assert server.tally == {
        "GET /batches": 1, "POST /files": 1, "POST /batches": 1, "GET /batches/": 2, "GET /files/": 1
    }  # fmt: skip


def test_the_key_of_an_answer_is_that_of_live_mode(build, batched):
    options = {"base_url": "http://127.0.0.1:9/v1", "system": "s", "params": {"temperature": 0}, "revision": "r"}
    example = Example("e", "hello", "x")
    model = batched(**options)
    assert [model.key(example, i) for i in (0, 1)] == [build(**options).key(example, i) for i in (0, 1)]


def test_what_the_gate_says(build, batched):
    model = build(mode="batch", timeout_s=3.0, retries=2, price={"input_per_1m": 1.0})
    assert (model.mode, model.batch_size, model.concurrency, model.timeout_s) == ("batch", 50_000, 1, None)
    assert (model.retries, model.price.input_per_1m, model.endpoint, model.persistent) == (2, 1.0, True, True)
    assert (model.name, model.spelling, model.verified) == ("tuned", "openai:m", None)
    assert build(mode="batch", concurrency=3).concurrency == 3
    assert build(mode="live").batch_size == 1
    # What looks at a candidate's prompt and parameters must see them in either mode.
    asked = {"system": "Answer.", "params": {"max_tokens": 2}}
    assert (build(mode="batch", **asked).prompt, build(mode="batch", **asked).params) == (
        build(**asked).prompt,
        build(**asked).params,
    )


def test_one_question_outside_of_a_run_is_asked_live(ask, build, server):
    assert ask(build(base_url=server.url, mode="batch")).text == "hello"
    assert server.tally == {"POST /chat/completions": 1}


def test_a_missing_key_is_said_before_any_call(batched, server):
    model = batched(api_key_env="MY_KEY")
    for attempt in (model.ready, lambda: answer(model, questions(model))):
        with pytest.raises(ModelError, match="MY_KEY"):
            attempt()
    assert server.requests == []


def test_the_environment_has_no_say_in_any_request(batched, server, monkeypatch, backend):
    monkeypatch.setenv("MY_KEY", "sk-mine")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"X-Mine: {KEY}\nContent-Type: text/plain")
    model = batched(api_key_env="MY_KEY")
    assert texts(answer(model, questions(model))) == WORDS
    for headers in server.headers:
        assert headers["authorization"] == "Bearer sk-mine"
        # By this one the client tells itself that a body is to be streamed; it says nothing of anybody.
        assert {name for name in headers if name.startswith("x-")} <= {"x-stainless-raw-response"}
        assert {"openai-organization", "openai-project"}.isdisjoint(headers)
    assert KEY not in str(server.headers)


@pytest.mark.parametrize(("n", "limit", "sizes"), [(4, 4, [4]), (5, 4, [4, 1]), (5, 2, [2, 2, 1])])
def test_more_questions_than_one_file_may_hold_make_several(batched, server, n, limit, sizes):
    model = batched(Limits(questions=limit))
    assert model.batch_size == limit
    assert texts(answer(model, questions(model, n))) == [f"text {i}" for i in range(n)]
    assert [len(batch.lines) for batch in server.batches.values()] == sizes


def test_more_bytes_than_one_file_may_hold_make_several_and_no_question_makes_no_call(batched, server):
    assert answer(batched(), []) == []
    assert "POST /files" not in server.tally
    model = batched(Limits(size=600))
    assert texts(answer(model, questions(model))) == WORDS
    assert len(server.batches) == 2
    assert all(len(server.files[batch.input_file_id]) <= 600 for batch in server.batches.values())


def test_a_question_that_is_too_large_alone_is_its_own_error_and_no_other_ones(batched, server):
    model = batched(Limits(size=300))
    large = Example("large", "x" * 300, "x")
    found = answer(model, [Question(model.key(large), large, 0), *questions(model, 2)])
    assert texts(found) == [ModelError, "text 0", "text 1"]
    assert (found[0].retryable, found[0].fatal) == (False, False)
    assert texts(answer(batched(Limits(size=300)), [Question(model.key(large), large, 0)])) == [ModelError]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_batches_are_open_than_the_gate_allows(batched, server, concurrency):
    most = []
    create = server._create

    def counted(body):
        batch = create(body)
        most.append(sum(other.status in ("validating", "in_progress") for other in server.batches.values()))
        if len(most) == concurrency:
            server.done.set()
        return batch

    server._create = counted
    server.done.clear()
    model = batched(Limits(questions=1), concurrency=concurrency)
    assert texts(answer(model, questions(model, 6))) == [f"text {i}" for i in range(6)]
    assert max(most) == concurrency


# --- lines that are no answers -------------------------------------------------------------------------------


def only(model, server, reply):
    server.answer = lambda body: reply
    (found,) = answer(model, questions(model, 1))
    return found


@pytest.mark.parametrize(
    ("reply", "retryable"),
    [
        *((error(status, message="busy"), True) for status in (429, 503)),
        (error(400, "context_length_exceeded", f"no such: {KEY}"), False),
        (error(404), False),
    ],
)
def test_a_line_without_an_answer_is_worth_another_try_or_refused_as_live(batched, server, reply, retryable):
    found = only(batched(), server, reply)
    assert (found.retryable, found.fatal) == (retryable, not retryable)
    assert KEY not in str(found)


def test_a_line_that_cannot_be_read_fails_alone(batched, server):
    found = only(batched(), server, Reply(body={"choices": []}))
    assert (found.kind, found.retryable, found.fatal) == ("unreadable", False, False)


def test_a_line_that_a_content_filter_refused_is_a_filtered_answer(batched, server):
    found = only(batched(), server, error(400, "content_filter", "The response was filtered"))
    assert found == Completion("", finish="filtered")


def test_of_odd_lines_the_first_readable_one_of_a_question_counts(batched, server):
    model = batched()
    asked = questions(model, 3)

    def odd(lines):
        by_key = {json.loads(line)["custom_id"]: line for line in lines}
        first, second = by_key[asked[0].key], by_key[asked[1].key]
        stranger = first.replace(asked[0].key.encode(), b"stranger")
        return [b"", b"[]", b"{", b"\xff\xfe", b'{"custom_id": 3}', stranger, first,
                first.replace(b"text 0", b"another"), second.replace(b'{"', b"", 1), b"[" * 100_000]  # fmt: skip

    server.rewritten = odd
    found = answer(model, asked)
    assert texts(found) == ["text 0", ModelError, ModelError]
    assert all(lost.retryable for lost in found[1:])


def test_a_line_separator_within_an_answer_ends_no_line(batched, server):
    server.answer = lambda body: "a\u2028b\u0085c"
    server.rewritten = lambda lines: [json.dumps(json.loads(line), ensure_ascii=False).encode() for line in lines]
    model = batched()
    assert texts(answer(model, questions(model, 1))) == ["a\u2028b\u0085c"]


# --- how a batch ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["expired", "cancelled", "completed"])
def test_what_a_batch_did_not_come_to_is_sent_again_and_nothing_else(batched, server, end):
    server.ends.append(end)
    server.left_out = lambda batch, index: batch.id == "batch_0" and index >= 2
    model = batched()
    asked = questions(model)
    first = dict(zip((q.key for q in asked), answer(model, asked), strict=True))
    left = sorted(first)[2:]
    assert {key for key, outcome in first.items() if isinstance(outcome, ModelError)} == set(left)
    assert all(first[key].retryable for key in left)
    again = [question for question in asked if question.key in left]
    assert texts(answer(model, again)) == [question.example.input for question in again]
    assert [sorted(batch.ids) for batch in server.batches.values()] == [sorted(first), left]


def test_a_batch_that_is_refused_ends_the_run_in_the_endpoints_words(batched, server, notes):
    server.ends.append("failed")
    server.errors = [
        {"code": "invalid_json_line", "message": f"not parseable, {KEY}", "line": 3},
        {"code": None, "message": "too bad", "line": None},
    ]
    model = batched()
    with pytest.raises(ModelError) as caught:
        answer(model, questions(model))
    assert str(caught.value.where) == f"127.0.0.1:{server.port}"
    assert all(word in caught.value.evidence for word in ("line 3", "not parseable, ***", "too bad"))
    assert caught.value.fatal
    assert notes.named("batch ") == {}
    assert texts(answer(batched(), questions(model))) == WORDS


def test_a_batch_above_the_accounts_limit_is_worth_another_try(batched, server):
    server.ends.append("failed")
    server.errors = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}]
    model = batched()
    found = answer(model, questions(model))
    assert {(e.retryable, e.fatal) for e in found} == {(True, False)}
    assert all("token_limit_exceeded" in e.evidence for e in found)
    assert texts(answer(model, questions(model))) == WORDS


def test_no_further_batch_is_sent_once_one_was_refused(batched, server):
    server.ends.append("failed")
    model = batched(Limits(questions=1))
    with pytest.raises(ModelError, match="batch"):
        answer(model, questions(model, 3))
    assert created(server) == 1


def test_a_state_that_nobody_knows_is_an_error(batched, server):
    server.refusals["GET /batches/"] = deque([Reply(body={"id": "batch_0", "status": "sleeping"})])
    model = batched()
    with pytest.raises(ModelError, match="'sleeping'"):
        answer(model, questions(model))


# --- an endpoint in trouble ----------------------------------------------------------------------------------

PASSING = [error(429, retry_after="0"), error(503), Reply(drop=True), Reply(body="<html>"), Reply(body={})]


@pytest.mark.parametrize(
    ("route", "replies"),
    [
        ("GET /batches/", PASSING),
        ("GET /files/", [error(500), Reply(drop=True), Reply(body=b'{"custom_id": "x"}\n' * 50, cut_at=90)]),
    ],
)
def test_what_passes_while_a_batch_is_awaited_or_read_is_waited_for(batched, server, route, replies):
    server.refusals[route] = deque(replies)
    model = batched()
    assert texts(answer(model, questions(model))) == WORDS
    assert created(server) == 1
    assert server.tally[route] > len(replies)


def test_patience_has_an_end_and_the_batch_is_not_lost(batched, server):
    server.refusals["GET /batches/"] = deque([error(503)] * (PACE.patience + 1))
    model = batched()
    found = answer(model, questions(model))
    assert {e.retryable for e in found} == {True}
    assert all(word in model.unfinished for word in ("tuned", "batch_0", f"127.0.0.1:{server.port}"))
    assert texts(answer(model, questions(model))) == WORDS
    assert (created(server), model.unfinished) == (1, None)


@pytest.mark.parametrize("route", ["POST /files", "POST /batches", "GET /batches"])
def test_what_passes_while_a_batch_is_sent_is_left_to_the_runner(batched, server, route):
    server.refusals[route] = deque([error(503)])
    model = batched()
    assert {(e.retryable, e.fatal) for e in answer(model, questions(model))} == {(True, False)}
    assert texts(answer(model, questions(model))) == WORDS
    assert created(server) == (2 if route == "POST /batches" else 1)


def test_what_was_answered_counts_though_a_later_part_cannot_be_sent(batched, server):
    server.refusals["POST /files"] = deque([None, error(503)])
    model = batched(Limits(questions=2))
    found = answer(model, questions(model))
    assert sum(isinstance(outcome, Completion) for outcome in found) == 2
    assert sum(getattr(outcome, "retryable", False) for outcome in found) == 2


@pytest.mark.parametrize("status", [404, 501])
@pytest.mark.parametrize("api", ["files", "batches"])
def test_an_endpoint_without_the_api_is_told_apart(batched, server, status, api):
    server.refusals["GET /batches"] = deque([error(status)])
    server.refusals[f"POST /{api}"] = deque([error(status, message="no such page")])
    model = batched()
    with pytest.raises(ModelError) as caught:
        answer(model, questions(model))
    assert str(caught.value.where) == f"127.0.0.1:{server.port}"
    assert f"{api} API" in caught.value.what
    assert f"{status} " in caught.value.evidence
    assert caught.value.fatal


@pytest.mark.parametrize(
    ("route", "status", "word"),
    [("GET /batches/", 401, "key"), ("GET /batches/", 404, "batch_0"), ("GET /files/", 404, "file-1")],
)
def test_a_refused_key_and_a_batch_that_vanishes_end_the_run(batched, server, route, status, word):
    server.refusals[route] = deque([error(status)])
    model = batched()
    with pytest.raises(ModelError, match=word) as caught:
        answer(model, questions(model))
    assert caught.value.fatal
    assert created(server) == 1


@pytest.mark.parametrize("key", [KEY, "plain-secret-value"])
def test_no_error_tells_the_key(batched, server, monkeypatch, key):
    monkeypatch.setenv("MY_KEY", key)
    server.refusals["POST /files"] = deque([error(500, message=f"Bearer {key}")])
    model = batched(api_key_env="MY_KEY")
    assert key[:9] not in str(answer(model, questions(model))[0])
    server.ends.append("failed")
    server.errors = [{"message": f"the key {key}"}]
    with pytest.raises(ModelError) as caught:
        answer(model, questions(model))
    assert key[:9] not in str(caught.value)


# --- remembering ---------------------------------------------------------------------------------------------


def interrupted(model, asked, server):
    """Call, and cancel as Ctrl-C does, once a batch is in progress."""

    async def call():
        task = asyncio.create_task(model.complete_many(asked))
        while "GET /batches/" not in server.tally:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await model.aclose()

    server.done.clear()
    asyncio.run(call())
    server.done.set()


def left(batched, server):
    model = batched()
    interrupted(model, questions(model), server)
    return model


@pytest.mark.parametrize("lost", ["nothing", "notes", "notes kept by nobody", "labels"])
def test_a_batch_that_was_left_is_picked_up(batched, server, notes, lost):
    keep = None if lost == "notes kept by nobody" else notes
    model = batched(notes=keep)
    asked = questions(model)
    interrupted(model, asked, server)
    assert "batch_0" in model.unfinished
    assert model.in_batch == (0, 4)
    if lost == "notes":
        notes.drop("batch batch_0")
    server.labels = lost != "labels"
    assert texts(answer(batched(notes=keep), list(reversed(asked)))) == WORDS[::-1]
    assert created(server) == 1


def test_without_notes_and_without_a_list_it_is_sent_anew(batched, server, notes):
    model = left(batched, server)
    notes.drop("batch batch_0")
    server.refusals["GET /batches"] = deque([error(404)])
    assert texts(answer(batched(), questions(model))) == WORDS
    assert created(server) == 2


def test_a_crash_between_download_and_store_loses_nothing_and_the_note_goes_once_all_are_stored(batched, server, notes):
    model = batched()
    asked = questions(model)
    assert texts(answer(model, asked)) == WORDS
    server.labels = False
    assert texts(answer(batched(), asked)) == WORDS
    assert created(server) == 1
    (note,) = notes.named("batch ").values()
    facts = json.loads(note)
    assert facts["endpoint"] == server.url
    assert sorted(facts["keys"]) == sorted(question.key for question in asked)
    model.stored([question.key for question in asked[:3]])
    assert len(notes.named("batch ")) == 1
    model.stored([asked[3].key])
    assert notes.named("batch ") == {}


def test_only_what_no_batch_holds_is_sent(batched, server):
    model = left(batched, server)
    assert texts(answer(batched(), questions(model, 6))) == [f"text {i}" for i in range(6)]
    _, second = server.batches.values()
    assert sorted(second.ids) == sorted(question.key for question in questions(model, 2, first=4))


def test_a_part_of_a_batch_that_is_wanted_is_read_and_the_rest_stays_noted(batched, server, notes):
    model = left(batched, server)
    later = batched()
    assert texts(answer(later, questions(model, 2))) == WORDS[:2]
    later.stored([question.key for question in questions(model, 2)])
    assert len(notes.named("batch ")) == 1
    assert texts(answer(batched(), questions(model))) == WORDS
    assert created(server) == 1


def test_a_batch_of_which_no_note_is_left_and_that_expired_is_read_and_completed(batched, server, notes):
    server.ends.append("expired")
    server.left_out = lambda batch, index: batch.id == "batch_0" and index >= 2
    model = batched()
    answer(model, questions(model))
    notes.drop("batch batch_0")
    for _ in range(2):  # a second CI job without a folder finds both
        assert texts(answer(batched(), questions(model))) == WORDS
        assert [len(batch.lines) for batch in server.batches.values()] == [4, 2]
        for name in notes.named("batch "):
            notes.drop(name)


def test_a_noted_batch_that_the_endpoint_does_not_know_is_sent_again_and_stays_noted(batched, server, notes):
    model = left(batched, server)
    server.refusals["GET /batches/"] = deque([error(404)])
    server.refusals["GET /batches"] = deque([error(404)])
    again = batched()
    assert texts(answer(again, questions(model))) == WORDS
    assert created(server) == 2
    assert set(notes.named("batch ")) == {"batch batch_0", "batch batch_1"}


def test_a_noted_batch_that_failed_is_forgotten_and_sent_again(batched, server, notes):
    server.ends.append("failed")
    model = left(batched, server)
    assert texts(answer(batched(), questions(model))) == WORDS
    assert list(notes.named("batch ")) == ["batch batch_1"]


def test_where_earlier_answers_are_not_wanted_no_batch_is_picked_up(batched, server, notes):
    model = left(batched, server)
    tomorrow = server.batches["batch_0"].created_at + 24 * 3600
    assert texts(answer(batched(newer_than=tomorrow), questions(model))) == WORDS
    assert created(server) == 2
    assert texts(answer(batched(newer_than=1.0), questions(model))) == WORDS
    assert created(server) == 2


def test_a_batch_of_long_ago_is_not_picked_up_and_its_note_goes(batched, server, notes):
    model = left(batched, server)
    facts = json.loads(notes.get("batch batch_0"))
    notes.put("batch batch_0", json.dumps({**facts, "created_at": facts["created_at"] - 31 * 24 * 3600}))
    server.batches["batch_0"].created_at -= 8 * 24 * 3600
    assert texts(answer(batched(), questions(model))) == WORDS
    assert created(server) == 2
    assert list(notes.named("batch ")) == ["batch batch_1"]


OTHERS = '{"endpoint": "http://elsewhere/v1", "created_at": 9e99, "input_file": "f", "keys": %k}'
NOTES = ["", "[]", "{}", '{"endpoint": "%s"}', '{"endpoint": "%s", "created_at": 9e99, "keys": 3}', OTHERS]


@pytest.mark.parametrize("note", NOTES)
def test_a_note_that_cannot_be_read_or_is_of_another_endpoint_hinders_nothing(batched, server, notes, note):
    model = batched()
    keys = json.dumps([question.key for question in questions(model)])
    notes.put("batch odd", note.replace("%s", server.url).replace("%k", keys))
    assert texts(answer(model, questions(model))) == WORDS
    assert created(server) == 1


def test_how_far_the_batch_is_can_be_asked_at_any_time(batched, server):
    model, seen = batched(), []
    assert (model.in_batch, model.unfinished) == (None, None)
    look = server._look

    def looked(batch):
        seen.append(model.in_batch)
        return look(batch)

    server._look = looked
    answer(model, questions(model))
    assert seen == [(0, 4), (0, 4)]
    assert (model.in_batch, model.unfinished) == (None, None)
