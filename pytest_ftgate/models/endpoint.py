"""What an endpoint's refusals and silences mean: worth another try, the end of the run, or an answer after all."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_ftgate.data.wording import excerpt
from pytest_ftgate.errors import ModelError, Where

if TYPE_CHECKING:
    from openai import APIStatusError

_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_CONTEXT_WORDS = re.compile(
    r"maximum context length|context (length|window|size) (is )?exceeded|exceeds the (available |model's )?context",
    re.IGNORECASE,
)
_FILTER_CODES = frozenset({"content_filter", "content_policy_violation"})
# What goes wrong on the wire while a body is read comes out of the client as the HTTP library raised it.
_TRANSPORTS = frozenset({"httpx", "httpx2", "httpcore", "httpcore2", "aiohttp", "anyio", "h11"})
_TIMEOUTS = (TimeoutError, asyncio.TimeoutError)
_TRY_AGAIN = frozenset({408, 409, 429})

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
        """The host, with the port where the URL has one: never more of a URL, which may carry a secret."""
        return Where(path=urlsplit(self.base_url).netloc.rpartition("@")[2])

    def quoted(self, text: str, width: int = 300) -> str:
        """The beginning of a stranger's text, without the key and without anything that looks like one."""
        if self.key:
            text = text.replace(self.key, "***")
        return excerpt(_LOOKS_LIKE_A_KEY.sub("***", text), width=width)


def is_filtered(error: Exception) -> bool:
    """Whether a content filter withheld the answer by refusing the request, as Azure's does."""
    return getattr(error, "status_code", None) == 400 and bool(_codes(error) & _FILTER_CODES)


def failure(error: Exception, endpoint: Endpoint, *, timeout_s: float | None, now: float) -> ModelError:
    """What the client raised, in this package's terms.

    Args:
        error: raised by the ``openai`` client.
        endpoint: whom was asked.
        timeout_s: how long the client waited at most.
        now: seconds since the epoch, for a ``Retry-After`` that is a date.
    """
    from openai import APIConnectionError, APIStatusError, APITimeoutError

    root = _root(error)
    transport = isinstance(error, APIConnectionError | OSError) or _library(error) in _TRANSPORTS
    if (isinstance(error, APITimeoutError) or transport) and _is_timeout(root):
        limit = f" within {timeout_s:g} s" if timeout_s is not None else ""
        return ModelError(f"no answer{limit}", where=endpoint.where, retryable=True)
    if transport:
        return _unreachable(root, endpoint)
    if isinstance(error, APIStatusError):
        return _refused(error, endpoint, now)
    found = endpoint.quoted(f"{type(error).__name__}: {error}")
    return ModelError("the call failed", where=endpoint.where, retryable=True, evidence=found)


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


def _library(error: Exception) -> str:
    return type(error).__module__.partition(".")[0]


def _is_timeout(root: BaseException) -> bool:
    """With aiohttp the client takes a refused or dropped connection for a time-out, too: the root tells."""
    return isinstance(root, _TIMEOUTS) or type(root).__name__.endswith("Timeout")


def _unreachable(cause: BaseException, endpoint: Endpoint) -> ModelError:
    text = str(cause) or "the connection was closed"
    found = endpoint.quoted(f"{type(cause).__name__}: {text}")
    return ModelError(
        "the endpoint cannot be reached, or dropped the connection",
        where=endpoint.where,
        retryable=True,
        evidence=found,
        cure="check base_url, and that the server is running",
    )


def _refused(error: APIStatusError, endpoint: Endpoint, now: float) -> ModelError:
    status = error.status_code
    if _codes(error) & _QUOTA_CODES or status == 402:
        what, cure = f"the quota of {_key_name(endpoint)} is exhausted", "raise the quota, or name another key"
    elif status in (401, 403):
        what, cure = _no_entrance(endpoint)
    elif status == 404:
        what = f"the endpoint does not know the model {endpoint.model!r}, or base_url is wrong"
        cure = f"asked was {endpoint.where}{urlsplit(endpoint.base_url).path}/chat/completions"
    elif _is_too_long(error):
        what = f"a prompt is longer than the context of {endpoint.model!r}"
        cure = "shorten the system message, the few-shot examples or the inputs"
    elif status in _TRY_AGAIN or status >= 500:
        return _for_now(error, endpoint, now)
    else:
        what, cure = "the endpoint refused the request", "check params: they are sent as they are written"
    return ModelError(what, where=endpoint.where, fatal=True, evidence=said(error, endpoint), cure=cure)


def _for_now(error: APIStatusError, endpoint: Endpoint, now: float) -> ModelError:
    busy = error.status_code == 429
    return ModelError(
        "the endpoint asked to slow down" if busy else "the endpoint failed",
        where=endpoint.where,
        retryable=True,
        busy=busy or error.status_code == 503,
        retry_after_s=retry_after_s(error.response.headers, now),
        evidence=said(error, endpoint),
        cure="lower concurrency" if busy else None,
    )


def _no_entrance(endpoint: Endpoint) -> tuple[str, str]:
    if endpoint.key_env is None:
        return "the endpoint asks for a key, and the gate names none", "name its variable: api_key_env: NAME"
    return (
        f"the endpoint refused {_key_name(endpoint)}",
        f"set {endpoint.key_env} to a key that may use {endpoint.model!r}",
    )


def _key_name(endpoint: Endpoint) -> str:
    return f"the key named by {endpoint.key_env}" if endpoint.key_env else "this endpoint"


def _is_too_long(error: APIStatusError) -> bool:
    if error.status_code not in (400, 413, 422):
        return False
    return bool(_codes(error) & _CONTEXT_CODES) or _CONTEXT_WORDS.search(_text(error)) is not None


def _codes(error: Exception) -> set[str]:
    """What the endpoint calls the error: compatible servers use ``code`` and ``type`` as they like."""
    body = _body(error)
    return {code for code in (body.get("code"), body.get("type")) if isinstance(code, str)}


def _body(error: Exception) -> Mapping[str, Any]:
    body = getattr(error, "body", None)
    return body if isinstance(body, Mapping) else {}


def _text(error: APIStatusError) -> str:
    message = _body(error).get("message")
    return message if isinstance(message, str) else error.response.text


def said(error: APIStatusError, endpoint: Endpoint) -> str:
    """The endpoint's own words for a refusal, after the status."""
    text = endpoint.quoted(_text(error))
    return f"HTTP {error.status_code}: {text}" if text else f"HTTP {error.status_code}"
