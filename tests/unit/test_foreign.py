"""Calls into other people's code."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import pytest

from pytest_ftgate.errors import ConfigError, DataError, guarded, shown_path, told

HERE = shown_path(__file__)


def raising(error: BaseException) -> Callable[[], None]:
    def function() -> None:
        raise error

    return function


def caught(function: Callable[..., Any]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError


def test_what_it_returns_is_returned() -> None:
    assert guarded("int", int, "12", base=8) == 10
    assert guarded("dict", dict, function=1, called=2) == {"function": 1, "called": 2}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), DataError("a row is missing"), ConfigError("")])
def test_ctrl_c_and_our_own_errors_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as found:
        guarded("the hook x", raising(error))
    assert found.value is error


def test_the_line_told_is_the_last_one_of_the_file_whose_fault_it_is() -> None:
    def outer() -> Any:
        return inner()

    def inner() -> Any:
        return json.loads("{")

    line = inner.__code__.co_firstlineno + 1
    assert told(caught(outer)).endswith(f"({HERE}:{line})")


def test_the_file_of_a_decorated_function_is_its_own() -> None:
    def decorated(text: str) -> Any:
        return json.loads(text)

    line = decorated.__code__.co_firstlineno + 1
    cached = functools.lru_cache(decorated)
    assert told(caught(lambda: cached("{")), cached).endswith(f"({HERE}:{line})")


def test_code_without_lines_is_told_without_a_place() -> None:
    error = ValueError("no")
    assert told(error) == "ValueError: no"


def test_a_long_text_of_many_lines_is_cut_to_one() -> None:
    text = told(ValueError("first\nsecond\x1b[2J" + "x" * 500))
    assert text.startswith("ValueError: first second")
    assert len(text) < 250
    assert text.isprintable()


SECRET = "Zq9-0123456789abcdefgh"


@pytest.mark.parametrize(
    "text",
    [
        f"401 for url 'https://host/v1/models/m:generate?alt=sse&key={SECRET}&x=1'",
        f"GET https://host/answer?X-Amz-Signature={SECRET}",
        f"https://user:{SECRET}@host/v1 did not answer",
        f"headers {{'Authorization': 'Bearer {SECRET}'}}",
        f"headers {{'x-api-key': '{SECRET}'}}",
        f"Client(api_key={SECRET!r}, retries=2)",
        f"invalid key sk-proj-{SECRET}",
        f"no model for hf_{SECRET.replace('-', '')}",
        f"the environment holds plain-{SECRET}",
    ],
)
def test_no_error_tells_a_secret(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", f"plain-{SECRET}")
    for error in (ConfigError("x", evidence=told(caught(raising(ValueError(text))))), DataError(text)):
        assert "0123456789" not in f"{error} {error.what} {error.evidence}"
        assert "***" in str(error)


@pytest.mark.parametrize("text", ["ftgate.yaml:3: password: must not be set", "risk-free", "the key=value form", "a?b"])
def test_what_is_no_secret_is_told(text: str) -> None:
    assert DataError(text).what == text
