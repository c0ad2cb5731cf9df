"""Providers, and the loopback server that the other tests rely on."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from loopback import LoopbackServer, Reply, error

from pytest_ftgate.data import Example
from pytest_ftgate.errors import ConfigError
from pytest_ftgate.models import Surroundings, build_model
from pytest_ftgate.models.python import FunctionModel


def hook(made):
    return SimpleNamespace(pytest_ftgate_model=lambda spec: made(spec) if callable(made) else made)


def test_other_providers_come_from_the_hook(spec, ask):
    def echo(given):
        return lambda text: f"{given.options['model']} {text}" if given.provider == "echo" else None

    model = build_model(spec("echo", model="greeter"), Surroundings(), hook(echo))
    assert isinstance(model, FunctionModel)
    assert ask(model).text == "greeter hello"
    assert (model.name, model.spelling, model.persistent) == ("tuned", "echo:m", False)


def test_keys_that_every_provider_has_hold_for_the_hooks_callables(spec):
    options = {"concurrency": 4, "timeout_s": 1.5, "retries": 1, "price": {"input_per_1m": 2.0}, "cache_key": "v1"}
    model = build_model(spec("echo", **options), Surroundings(), hook(lambda spec: str.upper))
    assert (model.concurrency, model.timeout_s, model.retries) == (4, 1.5, 1)
    assert (model.price.input_per_1m, model.persistent) == (2.0, True)


def test_a_cache_key_is_one_models_alone(spec):
    """Two models of a provider that differ in a key of its own share no answers; what changes no answer is no part."""

    def key(**options):
        return build_model(spec("echo", **options), Surroundings(), hook(lambda spec: str.upper)).key(
            Example("e1", "hello", "x")
        )

    kept = {key(size=size, cache_key=name) for size in (1, 2) for name in ("v1", "v2")}
    assert len(kept) == 4
    assert key(size=1, cache_key="v1", concurrency=3, price={"input_per_1m": 1.0}, name="x") in kept


def test_what_cannot_be_written_cannot_be_kept(spec):
    with pytest.raises(ConfigError, match="answers of echo:m cannot be kept under a cache_key") as caught:
        build_model(spec("echo", size=object(), cache_key="v1"), Surroundings(), hook(lambda spec: str.upper))
    assert "leave cache_key out" in str(caught.value)


@pytest.mark.parametrize("asked", [None, hook(None)])
def test_a_provider_that_nobody_knows(spec, asked):
    with pytest.raises(ConfigError) as caught:
        build_model(spec("opnai"), Surroundings(), asked)
    assert str(caught.value) == (
        "ftgate.yaml:7: unknown provider 'opnai'\n"
        "  built in are openai, python, recorded\n"
        "  did you mean 'openai'? other providers come from a hook pytest_ftgate_model in conftest.py or a plugin"
    )


def test_the_hook_is_not_asked_for_what_is_built_in(spec):
    def refuse(spec):
        raise AssertionError

    assert build_model(spec(base_url="http://127.0.0.1:9"), Surroundings(), hook(refuse)).spelling == "openai:m"


def test_a_hook_that_gives_no_model(spec):
    with pytest.raises(ConfigError, match="a value of type int is not a model"):
        build_model(spec("echo"), Surroundings(), hook(3))


@pytest.mark.parametrize(
    "module",
    [
        "pytest_ftgate.models",
        "pytest_ftgate.models.openai_api.model",
        "pytest_ftgate.models.python",
    ],
)
def test_nothing_heavy_is_imported_before_a_model_is_called(module):
    heavy = ("openai", "httpx2", "httpx", "aiohttp", "numpy", "sklearn", "yaml")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# --- the loopback server -------------------------------------------------------------------------------------


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def post(connection, body, path="/v1/chat/completions"):
    connection.request("POST", path, json.dumps(body), {"X-Mine": "1"})
    response = connection.getresponse()
    return response.status, response.read()


BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def test_the_server_answers_records_and_keeps_connections():
    with LoopbackServer(lambda body: body["messages"][0]["content"] + "!") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        answers = [json.loads(post(connection, BODY)[1]) for _ in range(3)]
        connection.close()
    assert [answer["choices"][0]["message"]["content"] for answer in answers] == ["hi!"] * 3
    assert server.bodies == [BODY] * 3
    assert server.headers[0]["x-mine"] == "1"
    assert (server.n_connections, server.max_in_flight, server.in_flight) == (1, 1, 0)


def test_the_server_fails_as_it_is_told():
    with LoopbackServer(faults=[error(429, "slow"), None, Reply(drop=True), Reply("hi", cut_at=5)]) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        assert post(connection, BODY)[0] == 429
        assert post(connection, BODY)[0] == 200
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            post(connection, BODY)
        connection.close()
        with pytest.raises(http.client.IncompleteRead):
            post(connection, BODY)
        connection.close()
        assert post(connection, BODY, "/v1/models")[0] == 404
        server.answer = lambda body: body["absent"]
        assert post(connection, BODY)[0] == 500
        connection.close()
    assert server.in_flight == 0


def test_a_server_stops_while_a_request_hangs():
    with LoopbackServer(faults=[Reply(hang=True)]) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("POST", "/v1/chat/completions", json.dumps(BODY))
        wait_until(lambda: server.requests)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        connection.getresponse()
    connection.close()
