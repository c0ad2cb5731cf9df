import asyncio
import sys
import traceback

import pytest
from loopback import LoopbackServer, Reply, error

from pytest_ftgate.data import Example
from pytest_ftgate.errors import ConfigError, ModelError
from pytest_ftgate.models import Completion
from pytest_ftgate.models.protocol import Price

KEY = "sk-live-0123456789abcdef"


# --- what is sent --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [({"role": "user", "content": "hello"},), "hello"])
def test_the_prompt_the_params_and_the_tools_of_a_row_are_sent_and_tools_change_the_key(
    ask, build, server, asked
):
    tools = {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "auto"}
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "hello"}]
    params = {"temperature": 0, "response_format": {"type": "json_object"}}
    model = build(base_url=server.url, system="s", params=params)
    ask(model, asked, **tools, lang="en", parallel_tool_calls=None)
    assert server.bodies == [{"model": "m", "messages": messages, **params, **tools}]
    rows = [Example("1", asked, [], fields=fields) for fields in ({}, {"lang": "en"}, tools)]
    assert (len(set(map(model.key, rows))), len(set(map(model.characters, rows)))) == (2, 2)
    assert model.sent(Example("1", "hello", [], fields={"tools": "hammer, saw"})) == {
        "messages": messages
    }


AMBIENT = {
    "OPENAI_API_KEY": KEY,
    "OPENAI_ADMIN_KEY": KEY,
    "OPENAI_ORG_ID": "org-1",
    "OPENAI_PROJECT_ID": "proj-1",
    "OPENAI_CUSTOM_HEADERS": f"X-Mine: {KEY}\nauthorization: Bearer {KEY}\nContent-Type: text/plain\nno colon",
}


@pytest.mark.parametrize("named", [{}, {"api_key_env": "MY_KEY"}])
def test_an_endpoint_gets_the_key_that_is_named_and_nothing_else_of_the_environment(
    ask, build, server, monkeypatch, tmp_path, backend, named
):
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {KEY}\n")
    (tmp_path / "netrc").chmod(0o600)
    ambient = {
        "NETRC": str(tmp_path / "netrc"),
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "MY_KEY": " sk-mine\n",
    }
    for name, value in {**AMBIENT, **ambient}.items():
        monkeypatch.setenv(name, value)
    assert ask(build(base_url=f"{server.url}/", **named)).text == "hello"
    (headers,) = server.headers
    assert headers.get("authorization") == ("Bearer sk-mine" if named else None)
    assert headers["content-type"] == "application/json"
    assert not [name for name in headers if name.startswith(("x-", "openai"))]
    assert KEY not in str(headers)


def test_without_base_url_the_public_endpoint_is_asked_with_its_own_key(build, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    model = build()
    assert (model.home.base_url, model.home.key_env) == (
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
    )
    assert build(api_key_env="OTHER").home.key_env == "OTHER"
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelError, match=r"^OPENAI_API_KEY is not set"):
        model.ready()
    # a key is needed only where one is named, and never shown
    build(base_url="http://127.0.0.1:9/v1").ready()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    model.ready()
    assert KEY not in repr(model) + repr(model.address())


def test_connections_are_kept_within_a_loop_and_opened_anew_in_another(build, server):
    model = build(base_url=server.url)

    async def three():
        for i in range(3):
            await model.complete(Example("e", f"text {i}", "x"))
        await model.aclose()
        await model.aclose()  # twice, or unused, is fine

    asyncio.run(three())
    assert server.n_connections == 1
    asyncio.run(three())
    assert server.n_connections == 2


# --- the key of the endpoint ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, "  ", "sk-ä"])
def test_a_missing_key_ends_the_run_before_a_call_and_names_the_variable(
    ask, build, server, monkeypatch, value
):
    if value is not None:
        monkeypatch.setenv("MY_KEY", value)
    model = build(base_url=server.url, api_key_env="MY_KEY")
    for attempt in (model.ready, lambda: ask(model)):
        with pytest.raises(ModelError, match=r"^MY_KEY .* \(.* at ftgate.yaml:7\)\n") as caught:
            attempt()
        assert f"127.0.0.1:{server.port}" in caught.value.cure
        assert caught.value.fatal
    assert server.n_connections == 0


@pytest.mark.parametrize(
    "fault",
    [
        error(500, None, f"header Authorization: Bearer {KEY} made us fail"),
        error(400, None, "x" * 290 + KEY),
        Reply(body={"echo": "x" * 100 + KEY}),
        Reply(body='{"echo": "' + KEY),
    ],
)
@pytest.mark.parametrize("key", [KEY, "plain-secret-value"])
def test_no_error_tells_the_key(failing, monkeypatch, fault, key):
    monkeypatch.setenv("MY_KEY", key)
    body = fault.payload("m").decode().replace(KEY, key)
    found = failing(
        Reply(status=fault.status, body=body, headers=fault.headers), api_key_env="MY_KEY"
    )
    shown = "".join(traceback.format_exception(type(found), found, found.__traceback__))
    assert found.what in shown
    assert key[:9] not in shown


def test_an_answer_comes_as_the_endpoint_gave_it(ask, build, server, monkeypatch):
    for name in ("SORT_KEY", "BASIC_TOKEN", "MY_KEY"):
        monkeypatch.setenv(name, "shipping")
    server.answer = lambda body: Reply("shipping", message={"reasoning": "by its shipping"})
    answer = ask(build(base_url=server.url))
    assert (answer.text, answer.reasoning) == ("shipping", "by its shipping")


CALLS = [{"function": {"name": "f", "arguments": {"key": KEY}}}]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(f"Your key is {KEY}."),
        Reply("hi", message={"reasoning": KEY}),
        Reply("", message={"tool_calls": CALLS}),
    ],
)
def test_an_answer_that_repeats_the_key_it_was_sent_is_an_error(failing, monkeypatch, reply):
    monkeypatch.setenv("MY_KEY", KEY)
    error = failing(reply, api_key_env="MY_KEY")
    assert ("key" in error.what, error.kind, error.retryable) == (True, "unreadable", False)
    assert "MY_KEY" in error.what
    assert KEY not in str(error)


def test_a_placeholder_of_a_key_may_be_in_an_answer(ask, build, server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "EMPTY")
    assert ask(build(base_url=server.url, api_key_env="MY_KEY"), "EMPTY").text == "EMPTY"


# --- what fails ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [Reply(drop=True), Reply("hello", cut_at=20)])
def test_a_dropped_connection_and_an_answer_that_breaks_off(failing, server, backend, reply):
    found = failing(reply)
    assert len(server.requests) == 1
    assert (found.retryable, found.fatal, found.kind) == (True, False, "unreachable")
    assert str(found.where) == f"127.0.0.1:{server.port}"
    assert not found.unpaid  # the server may have begun to answer


def test_a_refused_connection(ask, build, backend):
    with LoopbackServer() as gone:
        url, port = gone.url, gone.port
    with pytest.raises(ModelError) as caught:
        ask(build(base_url=url))
    assert str(caught.value.where) == f"127.0.0.1:{port}"
    assert caught.value.evidence.startswith(("ConnectionRefusedError: ", "ConnectError: "))
    assert "base_url" in caught.value.cure
    assert (caught.value.retryable, caught.value.unpaid) == (True, True)


PROXIES = [
    ("HTTP_PROXY", "http://ana:pw@{}", "", "HTTP_PROXY ({})"),
    ("all_proxy", "http://{}", "", "all_proxy (http://{})"),
    ("HTTPS_PROXY", "http://{}", "", None),
    ("HTTP_PROXY", "http://{}", "127.0.0.1", None),
]


@pytest.mark.parametrize(("variable", "value", "without", "words"), PROXIES)
def test_a_dead_proxy_is_named(ask, build, monkeypatch, backend, variable, value, without, words):
    with LoopbackServer() as gone, LoopbackServer() as endpoint:
        proxy = f"127.0.0.1:{gone.port}"
        url = endpoint.url
    monkeypatch.setenv(variable, value.format(proxy))
    monkeypatch.setenv("NO_PROXY", without)
    with pytest.raises(ModelError) as caught:
        ask(build(base_url=url))
    assert (words is not None) == ("NO_PROXY" in caught.value.cure)
    assert (words or "the endpoint").format(proxy) in caught.value.what
    assert "ana" not in str(caught.value)
    assert caught.value.unpaid


def test_no_answer_in_time(failing, server, backend):
    found = failing(Reply(hang=True), timeout_s=0.05)
    assert (str(found.where), "0.05 s" in found.what) == (f"127.0.0.1:{server.port}", True)
    assert found.retryable


def test_a_content_filter_that_refuses_the_request_gives_a_filtered_answer(ask, build, server):
    server.faults.append(error(400, "content_filter", "The response was filtered"))
    assert ask(build(base_url=server.url)) == Completion("", finish="filtered")


# --- the key of an answer ------------------------------------------------------------------------------------


E1 = Example("e1", "hello", "x", fields={"lang": "de"})
SAME = [
    {"base_url": "http://127.0.0.1:9/v1/"},
    {"api_key_env": "OTHER"},
    {"concurrency": 3},
    {"timeout_s": 5},
]
SAME += [{"retries": 0}, {"price": {"input_per_1m": 1.0}}, {"template": "{input}"}]
SAME += [{"example": Example("e2", "hello", "y", group="g", fields={"lang": "fr"})}]
SAME += [{"example": Example("e1", ({"role": "user", "content": "hello"},), "x")}]
OTHER = [
    {"model": "m2"},
    {"base_url": "http://127.0.0.1:8/v1"},
    {"revision": "r2"},
    {"params": {"temperature": 1}},
]
OTHER += [
    {"params": {}},
    {"system": "s"},
    {"template": "{input}!"},
    {"template": "{lang}{input}"},
    {"repeat": 1},
]
OTHER += [{"example": Example("e1", "hullo", "x")}]
OTHER += [{"example": Example("e1", ({"role": "assistant", "content": "hello"},), "x")}]


@pytest.mark.parametrize("params", [{"model": "x"}, {"messages": []}, {"stream": True}, {"n": 2}])
def test_params_that_cannot_be_sent(build, params):
    assert build(params={"n": 1}).params == {"n": 1}
    with pytest.raises(ConfigError) as caught:
        build(params=params)
    assert str(caught.value.where) == f"ftgate.yaml:7: params.{''.join(params)}"
    with pytest.raises(ConfigError, match=r"params(.|\n)*object is not JSON"):
        build(params={"t": object()})


def test_what_can_change_an_answer_changes_its_key_and_nothing_else_does(build):
    def key(example=E1, repeat=0, **changes):
        return build(
            **{"base_url": "http://127.0.0.1:9/v1", "params": {"temperature": 0}, **changes}
        ).key(example, repeat)

    # committed recordings are found by it: it is the same in every version
    assert key() == "b13ba91c71ea60689aa6617805386c04ae34e96f6b12e06d844900f0e06b749d"
    assert [change for change in SAME if key(**change) != key()] == []
    assert [change for change in OTHER if key(**change) == key()] == []
    assert key(params={"a": 1, "b": 2}) == key(params={"b": 2, "a": 1})


# --- what the gate says --------------------------------------------------------------------------------------


def test_defaults_and_what_is_written(build):
    model = build()
    assert (model.concurrency, model.timeout_s, model.retries) == (16, 60.0, 5)
    assert (model.persistent, model.verified, model.endpoint, model.price.known) == (
        True,
        None,
        True,
        False,
    )
    assert (model.name, model.spelling) == ("tuned", "openai:m")
    limits = {"concurrency": 2, "timeout_s": 3.0, "retries": 0, "requests_per_minute": 60}
    model = build(**limits, price={"input_per_1m": 1.0, "output_per_1m": 0})
    assert {name: getattr(model, name) for name in limits} == limits
    assert model.price == Price("ftgate.yaml:7", input_per_1m=1.0, output_per_1m=0)


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_cancellation_that_comes_as_a_lost_connection_is_one(
    build, server, monkeypatch, cancelled
):
    """aiohttp tells of it so under load: a time limit then stays a time limit, and Ctrl-C ends the run."""
    model = build(base_url=server.url)

    async def ask_it():
        await model.complete(E1)
        (client,) = model._clients.values()

        async def lost(request, **_):
            try:
                await asyncio.Event().wait() if cancelled else 1 / 0
            except (asyncio.CancelledError, ZeroDivisionError):
                raise ConnectionError("the connection was closed") from asyncio.CancelledError()

        monkeypatch.setattr(client._idle[0], "send", lost)
        task = asyncio.create_task(model.complete(Example("e", "hello", "x")))
        await asyncio.sleep(0)
        if cancelled:
            task.cancel()
        found = await asyncio.gather(task, return_exceptions=True)
        await model.aclose()
        return found

    (found,) = asyncio.run(ask_it())
    # before that a task does not say whether somebody cancels it
    told_apart = sys.version_info >= (3, 11)
    assert isinstance(found, asyncio.CancelledError if cancelled or not told_apart else ModelError)
