"""What an endpoint's refusals and silences mean: worth another try, the end of the run, or an answer after all."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from socket import gaierror
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_ftgate.errors import ModelError, Where
from pytest_ftgate.models.protocol import is_count
from pytest_ftgate.text import excerpt

if TYPE_CHECKING:
    from openai import APIStatusError

    from pytest_ftgate.config import ModelSpec


PUBLIC_ENDPOINT = "https://api.openai.com/v1"

_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})

_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})

_CONTEXT_WORDS = re.compile(
    r"maximum context length|context (length|window|size) (is )?exceeded|exceeds the (available |model's )?context",
    re.IGNORECASE,
)

_FILTER_CODES = frozenset({"content_filter", "content_policy_violation"})

# What goes wrong on the wire while a body is read comes out of the client as the HTTP library raised it.
_TRANSPORTS = frozenset({"httpx", "httpx2", "httpcore", "httpcore2", "aiohttp", "anyio", "h11"})

_TRY_AGAIN = frozenset({408, 409, 429})

_EVIDENCE_CHARACTERS = 120

_LOOKS_LIKE_A_KEY = re.compile(r"\bsk-[\w*.-]{3,}|(?<=\bBearer )\S+")


@dataclass(frozen=True)
class Endpoint:
    """Whom a model's calls go to.

    Args:
        base_url: without a slash at its end.
        model: the model's name there.
        key_env: the environment variable that the key came from; ``None`` where none is sent.
        key: the key itself.
    """

    base_url: str
    model: str
    key_env: str | None = None
    key: str | None = field(default=None, repr=False)

    @property
    def where(self) -> Where:
        """Return the host, with the port where the URL has one: never more of a URL, which may carry a secret."""
        return Where(path=urlsplit(self.base_url).netloc.rpartition("@")[2])

    def quoted(self, text: str, width: int = 300) -> str:
        """Return the beginning of a stranger's text, without the key and without anything that looks like one."""
        if self.key:
            text = text.replace(self.key, "***")
        return excerpt(_LOOKS_LIKE_A_KEY.sub("***", text), width=width)

    def found(self, text: str) -> str:
        """Return the evidence that something else was answered than what was asked for."""
        return f"found: {self.quoted(text, _EVIDENCE_CHARACTERS)}"

    def error(self, what: str, **facts: Any) -> ModelError:
        """Return a :class:`ModelError` of this endpoint."""
        return ModelError(what, where=self.where, **facts)


def fields(value: object) -> Mapping[str, Any]:
    """Return what a stranger's JSON holds at a place: nothing where it is no object."""
    return value if isinstance(value, Mapping) else {}


def text_or_none(value: object) -> str | None:
    """Return a stranger's value where it is a text that says something."""
    return value if isinstance(value, str) and value.strip() else None


def count_or_none(value: object) -> int | None:
    """Return a stranger's value where it is a count."""
    return value if is_count(value) else None


def endpoint_of(spec: ModelSpec, model: str) -> Endpoint:
    """Return the endpoint that a gate asks for a model, with the key that the gate names."""
    base_url = spec.options.get("base_url")
    key_env = spec.options.get("api_key_env") or ("OPENAI_API_KEY" if base_url is None else None)
    return Endpoint((base_url or PUBLIC_ENDPOINT).rstrip("/"), model, key_env, secret(key_env))


def check_key(endpoint: Endpoint, source: str) -> None:
    """Raise a fatal :class:`ModelError` where there is no key although one is named, at ``source``."""
    if endpoint.key_env is None or (endpoint.key and endpoint.key.isascii()):
        return
    raise ModelError(
        f"the environment variable {endpoint.key_env} {'does not hold a key' if endpoint.key else 'is not set'}",
        fatal=True,
        where=Where(path=source, key="api_key_env"),
        evidence=f"it holds the key for {endpoint.where}",
        cure=f"set {endpoint.key_env}, or judge stored or recorded predictions, which need no key",
    )


def secret(key_env: str | None) -> str | None:
    """Return the key that the environment holds now, empty where it holds none; None where none is named."""
    return os.environ.get(key_env, "").strip() if key_env is not None else None


@dataclass(frozen=True)
class Refusal:
    """A response that is no answer.

    Args:
        status: of HTTP.
        error: what the endpoint says about it, as an object; empty where it says nothing in that form.
        text: the body as it came, for endpoints that say it in another form.
        headers: of the response; names in lower case.
    """

    status: int
    error: Mapping[str, Any]
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def codes(self) -> set[str]:
        """Return what the endpoint calls the error: compatible servers use ``code`` and ``type`` as they like."""
        return {code for code in (self.error.get("code"), self.error.get("type")) if isinstance(code, str)}

    @property
    def filtered(self) -> bool:
        """Return whether a content filter withheld the answer by refusing the request, as Azure's does."""
        return self.status == 400 and bool(self.codes & _FILTER_CODES)

    @property
    def too_long(self) -> bool:
        """Return whether the prompt does not fit into the model's context."""
        if self.status not in (400, 413, 422):
            return False
        return bool(self.codes & _CONTEXT_CODES) or _CONTEXT_WORDS.search(self.message) is not None

    @property
    def message(self) -> str:
        """Return the endpoint's own words; unsafe to print."""
        message = self.error.get("message")
        return message if isinstance(message, str) else self.text


def refusal_in(error: APIStatusError) -> Refusal:
    """Return the response that made the client raise."""
    return Refusal(error.status_code, fields(error.body), error.response.text, error.response.headers)


def error_in(body: object) -> Mapping[str, Any]:
    """Return what the body of a refusal says of the error, as an object; empty where it says nothing in that form."""
    return fields(fields(body).get("error", body))


def failure(error: Exception, endpoint: Endpoint, *, timeout_s: float | None) -> ModelError:
    """Return what the ``openai`` client raised after ``timeout_s`` at most, in this package's terms."""
    from openai import APIConnectionError, APIStatusError, APITimeoutError

    root = _root(error)
    library = type(error).__module__.partition(".")[0]
    transport = isinstance(error, APIConnectionError | OSError) or library in _TRANSPORTS
    if (isinstance(error, APITimeoutError) or transport) and _is_timeout(root):
        limit = f" within {timeout_s:g} s" if timeout_s is not None else ""
        return endpoint.error(f"no answer{limit}", retryable=True)
    if transport:
        return _unreachable(root, endpoint)
    if isinstance(error, APIStatusError):
        return refused(refusal_in(error), endpoint)
    found = endpoint.quoted(f"{type(error).__name__}: {error}")
    return endpoint.error("the call failed", retryable=True, evidence=found)


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a response asks to wait: by ``retry-after-ms``, or ``Retry-After`` in seconds or as a date."""
    seconds = _number(headers.get("retry-after-ms"))
    if seconds is not None:
        return max(0.0, seconds / 1000)
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is None and text is not None:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return None if seconds is None else max(0.0, seconds)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def is_cancelled(error: BaseException) -> bool:
    """Return whether at the bottom of it somebody cancelled the call."""
    from asyncio import CancelledError

    return isinstance(_root(error), CancelledError)


def _is_timeout(root: BaseException) -> bool:
    """With aiohttp the client takes a refused or dropped connection for a time-out, too: the root tells."""
    from asyncio import TimeoutError as LoopTimeoutError  # Python 3.10 has two of them

    return isinstance(root, TimeoutError | LoopTimeoutError) or type(root).__name__.endswith("Timeout")


def _unreachable(cause: BaseException, endpoint: Endpoint) -> ModelError:
    text = str(cause) or "the connection was closed"
    return endpoint.error(
        "the endpoint cannot be reached, or dropped the connection",
        retryable=True,
        trouble="unreachable",
        unpaid=isinstance(cause, ConnectionRefusedError | gaierror) or type(cause).__name__ == "ConnectError",
        evidence=endpoint.quoted(f"{type(cause).__name__}: {text}"),
        cure="check base_url, and that the server is running",
    )


def refused(refusal: Refusal, endpoint: Endpoint) -> ModelError:
    """Return what a response that is no answer means: see :func:`failure`."""
    status = refusal.status
    key = f"the key named by {endpoint.key_env}" if endpoint.key_env else "this endpoint"
    if refusal.codes & _QUOTA_CODES or status == 402:
        what, cure = f"the quota of {key} is exhausted", "raise the quota, or name another key"
    elif status in (401, 403) and endpoint.key_env is None:
        what, cure = "the endpoint asks for a key, and the gate names none", "name its variable: api_key_env: NAME"
    elif status in (401, 403):
        what, cure = f"the endpoint refused {key}", f"set {endpoint.key_env} to a key that may use {endpoint.model!r}"
    elif status == 404:
        what = f"the endpoint does not know the model {endpoint.model!r}, or base_url is wrong"
        cure = f"asked was {endpoint.where}{urlsplit(endpoint.base_url).path}/chat/completions"
    elif refusal.too_long:
        what = f"a prompt is longer than the context of {endpoint.model!r}"
        cure = "shorten the system message, the few-shot examples or the inputs"
    elif status in _TRY_AGAIN or status >= 500:
        return _for_now(refusal, endpoint)
    else:
        what, cure = "the endpoint refused the request", "check params: they are sent as they are written"
    return endpoint.error(what, fatal=True, unpaid=True, evidence=said(refusal, endpoint), cure=cure)


def _for_now(refusal: Refusal, endpoint: Endpoint) -> ModelError:
    busy = refusal.status == 429
    return endpoint.error(
        "the endpoint asked to slow down" if busy else "the endpoint failed",
        retryable=True,
        trouble="busy" if busy or refusal.status == 503 else "other",
        unpaid=refusal.status in (409, 429, 503),
        retry_after_s=retry_after_s(refusal.headers, time.time()),
        evidence=said(refusal, endpoint),
        cure="lower concurrency" if busy else None,
    )


def said(refusal: Refusal, endpoint: Endpoint) -> str:
    """Return the status with the endpoint's own words, safe to print."""
    text = endpoint.quoted(refusal.message)
    return f"HTTP {refusal.status}: {text}" if text else f"HTTP {refusal.status}"


_KINDS = ("requests", "tokens")

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def pause_s(headers: Mapping[str, str]) -> float:
    """Return the seconds until the endpoint takes another request; 0 where it does now, or does not say.

    Read are ``x-ratelimit-remaining-requests`` and ``x-ratelimit-reset-requests``, likewise of ``tokens``, as OpenAI
    and servers after its example send them.
    """
    waits_s = (_reset_s(headers.get(f"x-ratelimit-reset-{kind}")) for kind in _KINDS if _is_used_up(headers, kind))
    return max(waits_s, default=0.0)


def _is_used_up(headers: Mapping[str, str], kind: str) -> bool:
    remaining = headers.get(f"x-ratelimit-remaining-{kind}")
    return remaining is not None and remaining.strip().isdecimal() and int(remaining) == 0


def _reset_s(text: str | None) -> float:
    """Return the seconds of a duration written as ``1s``, ``6m0s``, ``88ms``, or a bare number of seconds."""
    if text is None:
        return 0.0
    parts = _DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text.strip():
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return float(text) if re.fullmatch(r"\s*\d+(\.\d+)?\s*", text) else 0.0
