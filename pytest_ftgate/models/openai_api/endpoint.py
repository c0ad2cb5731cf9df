"""Classify the failures of an endpoint: retry the call, fail the example, or end the run."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cached_property
from http import HTTPStatus
from socket import gaierror
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_ftgate import clock
from pytest_ftgate.config import ModelSpec
from pytest_ftgate.errors import SHORTEST_SECRET, ModelError, Where, masked, redacted, secrets
from pytest_ftgate.models.protocol import is_count
from pytest_ftgate.text import excerpt

if TYPE_CHECKING:
    import httpx2

PUBLIC_ENDPOINT = "https://api.openai.com/v1"
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_CONTEXT_WORDS = re.compile(
    r"maximum context length|context (length|window|size) (is )?exceeded|exceeds the (available |model's )?context",
    re.IGNORECASE,
)
_FILTER_CODES = frozenset({"content_filter", "content_policy_violation"})
_TRANSPORTS = frozenset({"httpx", "httpx2", "httpcore", "httpcore2", "aiohttp", "anyio", "h11"})
_TRY_AGAIN = frozenset({408, 409, 425, 429})
_EVIDENCE_CHARACTERS = 120


@dataclass(frozen=True)
class Endpoint:
    """Name the server, model and key of a model's calls."""

    base_url: str  # without a trailing slash
    model: str  # its name there
    key_env: str | None = None  # the environment variable that holds the key; None if no key is sent
    key: str | None = field(default=None, repr=False)
    served_as: tuple[str, ...] = ()  # other names by which its answers may call the model
    source: str = field(default="", compare=False)  # where the gate names the model

    @property
    def where(self) -> Where:
        """Return the host and port. The rest of the URL may contain a secret."""
        return Where(path=urlsplit(self.base_url).netloc.rpartition("@")[2])

    def too_large(self, limit: int) -> ModelError:
        """Return the error for an answer of more bytes than any real one has: the rest of it is not read."""
        what, cure = f"the endpoint's answer is broken: it is larger than {limit // 1_000_000} MB", "limit max_tokens"
        return self.error(what, kind="unreadable", cure=cure)

    def unreadable(self, what: str, data: object, cure: str) -> ModelError:
        """Return the error for JSON that is not an answer: the same call would bring the same again."""
        evidence = self.found(json.dumps(data, ensure_ascii=False, default=str))
        return self.error(f"the endpoint's answer is not {what}", kind="unreadable", evidence=evidence, cure=cure)

    @property
    def origin(self) -> str:
        return f"{urlsplit(self.base_url).scheme}://{self.where}"

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of a request; without a key there is no ``Authorization``."""
        said = {"Accept": "application/json"}
        return {**said, "Authorization": f"Bearer {self.key}"} if self.key else said

    def quoted(self, text: str, width: int = 300) -> str:
        """Return the beginning of untrusted text, with the key and other secrets replaced by ``***``."""
        if self.key:
            text = text.replace(self.key, "***")
        return excerpt(redacted(text), width=width)

    @cached_property
    def _secrets(self) -> list[str]:
        return [*secrets(), *([self.key] if self.key and len(self.key) >= SHORTEST_SECRET else [])]

    def masked(self, text: str) -> str:
        """Return an answer with ``***`` in place of keys of ours: the endpoint may echo the one that it was sent.

        The environment is read once for each client: a key that enters it later was not sent.
        """
        return masked(text, self._secrets)

    def found(self, text: str) -> str:
        """Return an excerpt of an unexpected answer, as evidence."""
        return f"found: {self.quoted(text, _EVIDENCE_CHARACTERS)}"

    def error(self, what: str, **facts: Any) -> ModelError:
        """Return a :class:`ModelError` that names this endpoint."""
        return ModelError(what, where=self.where, **facts)


def fields(value: object) -> Mapping[str, Any]:
    """Return untrusted JSON data as an object; empty if it is not one."""
    return value if isinstance(value, Mapping) else {}


def text_or_none(value: object) -> str | None:
    """Return an untrusted value if it is text and not blank."""
    return value if isinstance(value, str) and value.strip() else None


def count_or_none(value: object) -> int | None:
    """Return an untrusted value if it is a count."""
    return value if is_count(value) else None


def endpoint_of(spec: ModelSpec, model: str) -> Endpoint:
    """Return the endpoint of a model in the gate, with the key from the environment variable that the gate names."""
    base_url, served_as = spec.options.get("base_url"), spec.options.get("served_as") or ()
    key_env = spec.options.get("api_key_env") or ("OPENAI_API_KEY" if base_url is None else None)
    names = (served_as,) if isinstance(served_as, str) else tuple(served_as)
    base_url = (base_url or PUBLIC_ENDPOINT).rstrip("/")
    return Endpoint(base_url, model, key_env, secret(key_env), names, spec.source.at)


def check_key(endpoint: Endpoint) -> None:
    """Raise a fatal :class:`ModelError` if the environment variable for the endpoint's key holds no usable key."""
    if endpoint.key_env is None or (endpoint.key and endpoint.key.isascii()):
        return
    ignored = endpoint.base_url == PUBLIC_ENDPOINT and os.environ.get("OPENAI_BASE_URL")
    raise ModelError(
        f"the environment variable {endpoint.key_env} {'does not hold a key' if endpoint.key else 'is not set'}",
        fatal=True,
        where=Where(path=endpoint.source, key="api_key_env"),
        evidence="OPENAI_BASE_URL is set but ignored: write base_url" if ignored else None,
        cure=f"set {endpoint.key_env} to a key for {endpoint.where}, or name another variable with api_key_env; stored "
        "and recorded answers need no key",
    )


def secret(key_env: str | None) -> str | None:
    """Return the key in the environment now, empty if it is not set; ``None`` if the gate names no variable."""
    return os.environ.get(key_env, "").strip() if key_env is not None else None


@dataclass(frozen=True)
class Refusal:
    """Hold an HTTP response that is not an answer."""

    status: int
    error: Mapping[str, Any]  # the error object of the body; empty if there is none
    text: str = ""  # the raw body, for endpoints that do not send an error object
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    path: str = ""  # of the URL that was requested; empty if it is not known

    @classmethod
    def of(cls, response: httpx2.Response, text: str) -> Refusal:
        """Return the refusal in a response with this body."""
        try:
            error = error_in(json.loads(text))
        except ValueError:
            error = {}
        return cls(response.status_code, error, text, response.headers, response.request.url.path)

    @property
    def codes(self) -> set[str]:
        """Return the error's ``code`` and ``type``: compatible servers mix them up."""
        return {code for code in (self.error.get("code"), self.error.get("type")) if isinstance(code, str)}

    @property
    def filtered(self) -> bool:
        """Return whether a content filter rejected the request, as Azure's does."""
        return self.status == 400 and bool(self.codes & _FILTER_CODES)

    @property
    def too_long(self) -> bool:
        """Return whether the prompt is longer than the model's context."""
        if self.status not in (400, 413, 422):
            return False
        return bool(self.codes & _CONTEXT_CODES) or _CONTEXT_WORDS.search(self.message) is not None

    @property
    def message(self) -> str:
        """Return the endpoint's own message; not safe to print."""
        message = self.error.get("message")
        return message if isinstance(message, str) else self.text

    @property
    def param(self) -> str | None:
        """Return the request parameter that the endpoint rejects, if it names one; not safe to print."""
        return text_or_none(self.error.get("param"))


def error_in(body: object) -> Mapping[str, Any]:
    """Return the ``error`` object of a body; empty if there is none."""
    return fields(fields(body).get("error", body))


def failure(error: Exception, endpoint: Endpoint, *, timeout_s: float | None) -> ModelError:
    """Return an exception of the HTTP client as a :class:`ModelError`; ``timeout_s`` was the call's limit."""
    root = root_cause(error)
    library = type(error).__module__.partition(".")[0]
    transport = isinstance(error, OSError) or library in _TRANSPORTS
    if transport and _is_timeout(root):
        limit = f" within {timeout_s:g} s" if timeout_s is not None else ""
        cure = "raise timeout_s, or lower concurrency"
        return endpoint.error(f"no answer{limit}", retryable=True, kind="timeout", cure=cure)
    if transport:
        return _unreachable(root, endpoint)
    found = endpoint.quoted(f"{type(error).__name__}: {error}")
    return endpoint.error("the call failed", retryable=True, evidence=found)


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return the wait that a response asks for in seconds, from ``retry-after-ms`` or ``Retry-After``."""
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


def root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _is_timeout(root: BaseException) -> bool:
    """Return whether the root cause is a time-out: with aiohttp the client reports lost connections as one, too."""
    from asyncio import TimeoutError as LoopTimeoutError  # Python 3.10 has two of them

    return isinstance(root, TimeoutError | LoopTimeoutError) or type(root).__name__.endswith("Timeout")


def _unreachable(cause: BaseException, endpoint: Endpoint) -> ModelError:
    text = str(cause) or "the connection was closed"
    causes = getattr(cause, "exceptions", (cause,))  # of several addresses of one host
    is_refused = all(isinstance(one, ConnectionRefusedError) for one in causes)
    return endpoint.error(
        "connection refused" if is_refused else "the endpoint cannot be reached, or dropped the connection",
        retryable=True,
        kind="unreachable",
        unpaid=is_refused or isinstance(cause, gaierror) or type(cause).__name__ == "ConnectError",
        evidence=endpoint.quoted(f"{type(cause).__name__}: {text}"),
        cure="check base_url, and that the server is running",
    )


def refused(refusal: Refusal, endpoint: Endpoint) -> ModelError:
    """Return what a response that is not an answer means: see :func:`failure`.

    A refused key, an exhausted quota, an unknown model and a prompt that is too long end the run. Another refusal may
    be about this example alone: the run goes on, unless the model's first requests all end so.
    """
    status, key = refusal.status, f"the key in {endpoint.key_env}" if endpoint.key_env else None
    facts: dict[str, Any] = {"unpaid": True, "fatal": True}
    cure: str | None
    if refusal.codes & _QUOTA_CODES or status == 402:
        what = f"the quota of {key or 'this endpoint'} is exhausted"
        cure = "raise the quota or add credit in the provider's console"
        cure += ", or name another key with api_key_env" if key else ""
    elif status == 401 and key is None:
        what = "the endpoint needs a key, and the gate names none"
        cure = "name the environment variable that holds it: api_key_env: NAME"
    elif status == 401:
        what = f"{key} was refused"
        cure = f"set {endpoint.key_env} to a key that may use {endpoint.model!r}"
    elif status == 404:
        url = f"{endpoint.origin}{refusal.path or urlsplit(endpoint.base_url).path}"
        what = f"the model {endpoint.model!r} or the path is unknown: {url}"
        cure = f"at {endpoint.source}: " if endpoint.source else ""
        cure += "check the model's name, and base_url, which usually ends in /v1"
    elif refusal.too_long:
        what = f"a prompt is longer than the context of {endpoint.model!r}"
        cure = "shorten the system message, the few-shot examples or the inputs"
    elif status in _TRY_AGAIN or status >= 500 or status < 400:
        what = "the endpoint limits the rate of calls" if status == 429 else "the endpoint failed"
        cure = "lower concurrency, or set requests_per_minute" if status == 429 else None
        facts = {"retryable": True, "kind": "busy" if status in (429, 503) else "other"}
        facts |= {
            "unpaid": status in (409, 425, 429, 503),
            "retry_after_s": retry_after_s(refusal.headers, clock.wall()),
        }
    else:
        what, cure = _refused_request(refusal, endpoint, key)
        facts = {"unpaid": True, "kind": "refused"}
    evidence = endpoint.quoted(refusal.message) or None
    return ModelError(f"{_status(status)} from {endpoint.origin}: {what}", evidence=evidence, cure=cure, **facts)


def _refused_request(refusal: Refusal, endpoint: Endpoint, key: str | None) -> tuple[str, str]:
    if refusal.status == 403:
        what = f"{key or 'a call without a key'} may not make this request"
        return what, f"use a key that may use {endpoint.model!r}, and read what the endpoint says about the input"
    if refusal.param is not None:
        param, why = endpoint.quoted(refusal.param, 60), "params are sent as written, messages are made of the prompt"
        return f"the parameter {param!r} was refused", f"change or remove {param!r}: {why} and the input"
    return "the request was refused", "check params and the prompt, which are sent as written"


def _status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def pause_s(headers: Mapping[str, str]) -> float:
    """Return the seconds until the endpoint accepts another request, by OpenAI's headers; 0 if they do not say."""
    waits_s = [0.0]
    for kind in ("requests", "tokens"):
        remaining = headers.get(f"x-ratelimit-remaining-{kind}", "").strip()
        if remaining.isdecimal() and int(remaining) == 0:
            waits_s.append(_duration_s(headers.get(f"x-ratelimit-reset-{kind}", "")))
    return max(waits_s)


def _duration_s(text: str) -> float:
    """Return the seconds of a duration written as ``1s``, ``6m0s``, ``88ms``, or a bare number of seconds."""
    parts = _DURATION.findall(text)
    if "".join(number + unit for number, unit in parts) == text.strip():
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return float(text) if re.fullmatch(r"\s*\d+(\.\d+)?\s*", text) else 0.0
