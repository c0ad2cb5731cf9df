"""Read what an endpoint says, as untrusted data: answers, refusals and failures.

Compatible servers differ.
"""

import json
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from os import environ
from socket import gaierror
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

from pytest_ftgate import clock, errors
from pytest_ftgate.data.messages import calls_text
from pytest_ftgate.data.strict_json import object_of
from pytest_ftgate.models.protocol import Completion, finish_of, is_count, unknown_reason
from pytest_ftgate.secrets import redacted
from pytest_ftgate.text import excerpt

_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_FILTER_CODES = frozenset({"content_filter", "content_policy_violation"})
_NOT_BEGUN = frozenset({409, 425, 429, 503})  # refusals that may pass and cost nothing
_CUT_SHORT = frozenset({408, 499})  # a time-out on the way, or a proxy that closed the request
_REASONING = ("reasoning_content", "reasoning")  # of DeepSeek and vLLM, and of OpenRouter
_TAGS = re.compile(r"(?:<[^<>]*>)+")
_SHORTEST_KEY = 8
"""The least length of a key that is a secret, and no placeholder such as EMPTY."""


@dataclass(frozen=True)
class Endpoint:
    """Name the server, model and key of a model's calls."""

    base_url: str  # without a trailing slash
    model: str  # its name there
    # the environment variable that holds the key; None if no key is sent
    key_env: str | None = None
    key: str | None = field(default=None, repr=False)
    served_as: tuple[str, ...] = ()  # other names by which its answers may call the model
    source: str = field(default="", compare=False)  # where the gate names the model

    @property
    def host(self) -> str:
        """Return the host and port. The rest of the URL may contain a secret."""
        return urlsplit(self.base_url).netloc.rpartition("@")[2]

    def check_key(self) -> None:
        """Raise a fatal :class:`ModelError` if the environment holds no usable key."""
        if self.key_env is None or (self.key and self.key.isascii()):
            return
        flaw = "does not hold a key" if self.key else "is not set"
        user = f"{self.model} at {self.source}" if self.source else self.model
        raise errors.MissingKeysError(
            [errors.MissingKey(self.key_env, flaw=flaw, host=self.host, user=user)]
        )

    def quoted(self, text: str, width: int = 300) -> str:
        """Return the beginning of untrusted text, with ``***`` in place of the key and secrets."""
        if self.key:
            text = text.replace(self.key, "***")
        return excerpt(redacted(text), width=width)

    def error(self, message: str, *, answer: object = "", **facts: Any) -> errors.ModelError:
        """Return a :class:`ModelError` that names this endpoint.

        ``answer`` is what came in place of one.
        """
        if not isinstance(answer, str):
            answer = json.dumps(answer, ensure_ascii=False, default=str)
        where = errors.Where(path=self.host)
        return errors.ModelError(
            message, where=where, evidence=self.quoted(answer) or None, **facts
        )


def read_body(content: bytes, endpoint: Endpoint) -> Completion:
    """Return the answer in the body of a successful response.

    Raise :class:`ModelError` if it holds none.
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):  # it may have been truncated
        message = "the endpoint answered with something that is not JSON"
        text = content.decode(errors="replace") or "an empty answer"
        cure = "check base_url: an API ends in /v1"
        raise endpoint.error(message, retryable=True, answer=text, cure=cure) from None
    return read_answer(body, endpoint)


def read_answer(body: object, endpoint: Endpoint) -> Completion:
    """Return the first choice of a chat completion.

    Raise :class:`ModelError` if it is none, or of another model.
    """
    data = object_of(body)
    choices = data.get("choices")
    choice: Mapping[str, Any] = {}
    if isinstance(choices, list) and choices:
        choice = object_of(choices[0])
    error = data.get("error") or choice.get("error")
    if error:  # routers report a provider's failure so, as HTTP 200
        return read_refusal(200, error, endpoint, {})

    message = choice.get("message")
    content = _texts(message.get("content")) if isinstance(message, Mapping) else None
    if content is None:
        cure = "check that base_url is an OpenAI-compatible API, and that the model is a chat model"
        if "choices" in data:
            cure = "look for the reason in the server's log, and lower concurrency if it is busy"
        problem = "the endpoint's answer is not a chat completion"
        # An overloaded server may give no choice once, but content of another kind stays.
        has_message = isinstance(message, Mapping)
        raise endpoint.error(
            problem, retryable=not has_message, kind="unreadable", answer=body, cure=cure
        )
    # A router may have asked another model than the gate names.
    _check_served(data.get("model"), endpoint)

    finish = finish_of(choice.get("finish_reason"))
    if finish == "failed":
        problem = "the endpoint ended the answer with an error"
        raise endpoint.error(problem, retryable=True, answer=choice["finish_reason"])

    answer = _completion(object_of(message), *content, finish, object_of(data.get("usage")))
    reason = unknown_reason(choice.get("finish_reason"))
    if reason is not None and answer.finish == "cut_off":
        answer = replace(answer, finish_reason=endpoint.quoted(reason, 80))
    if _holds_key(answer, endpoint):
        problem = f"the endpoint repeats the key in {endpoint.key_env} in its answer"
        cure = (
            "find out why the server, or a proxy before it, writes the headers of a request into "
            "answers"
        )
        raise endpoint.error(problem, kind="unreadable", cure=cure)
    return answer


def _holds_key(answer: Completion, endpoint: Endpoint) -> bool:
    """Return whether an answer, which is stored and shown, repeats the key that was sent."""
    key = endpoint.key or ""
    texts = (answer.text, answer.reasoning or "")
    return len(key) >= _SHORTEST_KEY and any(key in text for text in texts)


def _completion(
    message: Mapping[str, Any],
    text: str,
    reasoning: list[str],
    finish: str,
    usage: Mapping[str, Any],
) -> Completion:
    """Return the answer in a message whose content is this text, and this reasoning before it."""
    for key in _REASONING:
        value = message.get(key)
        # vLLM gives one text under two names.
        if isinstance(value, str) and value and value not in reasoning:
            reasoning.append(value)

    refusal = message.get("refusal")
    calls = message.get("tool_calls") or message.get("function_call")
    if isinstance(refusal, str) and refusal:
        finish = "refusal"
        text = text or refusal
    elif isinstance(calls, list | Mapping) and calls:
        if text:  # what is said beside the calls
            reasoning.append(text)
        text = calls_text(calls)

    counts = _counts(usage)
    return Completion(text, **counts, finish=finish, reasoning="\n".join(reasoning) or None)


def _counts(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return the token counts that an endpoint states, by their name in a :class:`Completion`."""
    details = object_of(usage.get("prompt_tokens_details"))
    tokens = {
        "input_tokens": usage.get("prompt_tokens"),
        "output_tokens": usage.get("completion_tokens"),
        "cached_input_tokens": details.get("cached_tokens"),
        "cache_write_tokens": details.get("cache_write_tokens"),
    }
    return {name: count for name, count in tokens.items() if is_count(count)}


def _texts(content: object) -> tuple[str, list[str]] | None:
    """Return the answer and the reasoning in a message's content.

    ``None`` for parts that are neither.

    Reasoning parts are those of Mistral: ``{"type": "thinking", "thinking": [parts of text]}``.
    """
    if content is None or isinstance(content, str):
        return content or "", []
    if not isinstance(content, list):
        return None

    text = ""
    reasoning = []
    for item in map(object_of, content):
        if item.get("type") == "thinking":
            inner = _texts(item.get("thinking"))
            if inner and inner[0]:
                reasoning.append(inner[0])
        elif item.get("type") == "text" and isinstance(item.get("text"), str):
            text += item["text"]
        else:
            return None
    return text, reasoning


_MONTH = r"(?:0[1-9]|1[0-2])"
_DAY = r"(?:0[1-9]|[12]\d|3[01])"
_VERSION = re.compile(
    # gpt-4.1-2025-04-14, claude-sonnet-4-20250514, gpt-4-0613, mistral-large-2407,
    # gemini-2.0-flash-001
    rf"[-@](?:20\d\d-?{_MONTH}(?:-?{_DAY})?|{_MONTH}-?{_DAY}|2\d{_MONTH}|00\d)(?=:|$)"
    r"|[-.](?:i?q\d\w*|f16|bf16|f32|fp8|fp16|awq|gptq|mlx)$"
)
"""The date of a snapshot, which may stand before the name of a fine-tune, or a quantization."""
_ENDING = re.compile(
    # of OpenRouter: how a call is routed or billed
    r"(?:[.-](?:gguf|ggml|bin|safetensors))?(?::(?:free|nitro|floor|extended|online|exacto|beta))?"
    r"(?:[:-]latest)?$"
)


def _check_served(served: object, endpoint: Endpoint) -> None:
    """Raise :class:`ModelError` if an answer says that another model gave it."""
    if not isinstance(served, str) or not served.strip():
        return
    if any(is_same(name, served) for name in (endpoint.model, *endpoint.served_as)):
        return

    model = endpoint.quoted(endpoint.model, 120)
    served = endpoint.quoted(served, 120)
    message = f"the answer comes from another model: {model!r} was asked, {served!r} answered"
    cure = (
        "find out why the endpoint calls another model (a fallback, a router, an alias); "
        f"if {served!r} is the model that you mean, add served_as: {served!r}"
    )
    raise endpoint.error(message, kind="unreadable", cure=cure)


def is_same(asked: str, served: str) -> bool:
    """Return whether two names may be of one model.

    The provider or folder before a name, and a file's ending, do not count. The date of a snapshot
    and a quantization may be left out on one side.
    """
    asked = _plain_name(asked)
    served = _plain_name(served)
    return asked in (served, _VERSION.sub("", served)) or served == _VERSION.sub("", asked)


def _plain_name(name: str) -> str:
    last = re.split(r"[/\\]", name.strip().rstrip("/\\").casefold())[-1]
    return _ENDING.sub("", last)


def failure(error: Exception, endpoint: Endpoint, *, timeout_s: float | None) -> errors.ModelError:
    """Return an exception of the HTTP client as a :class:`ModelError`.

    ``timeout_s`` limited the call.
    """
    root = root_cause(error)  # with aiohttp the client reports lost connections as time-outs, too
    name = type(root).__name__
    if name.endswith(("Timeout", "TimeoutError")):
        message = "no answer"
        if timeout_s is not None:
            message += f" within {timeout_s:g} s"
        cure = "raise timeout_s, or lower concurrency"
        return endpoint.error(message, retryable=True, kind="timeout", cure=cure)

    # A call that was never sent cannot have cost anything.
    is_unconnected = isinstance(root, ConnectionRefusedError | gaierror)
    is_unconnected = is_unconnected or type(error).__name__ == "ConnectError"
    message = "the endpoint dropped the connection"
    if is_unconnected:
        message = "cannot connect to the endpoint"
    cure = "check base_url, and that the server is running"
    proxy = _proxy(endpoint)
    if proxy is not None:
        message += f" through the proxy of {proxy}"
        cure = "check that the proxy is running, or name the endpoint's host in NO_PROXY"
    return endpoint.error(
        message,
        answer=f"{name}: {str(root) or 'the connection was closed'}",
        retryable=True,
        kind="unreachable",
        unpaid=is_unconnected,
        cure=cure,
    )


def _proxy(endpoint: Endpoint) -> str | None:
    """Return the variable that sends calls through a proxy, and its value without credentials."""
    if proxy_bypass(endpoint.host):
        return None

    scheme = urlsplit(endpoint.base_url).scheme
    for name in (f"{scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            address = environ.get(variable, "").rpartition("@")[2]
            if address:
                return f"{variable} ({endpoint.quoted(address, 80)})"
    return None


def root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def read_refusal(
    status: int, error: object, endpoint: Endpoint, headers: Mapping[str, str]
) -> Completion:
    """Return the empty answer of a content filter that rejected a request.

    Raise what any other refusal means.

    A refused key, an exhausted quota and an unknown model end the run. Another refusal may be about
    this example alone: the run goes on, unless the model's first requests all end so.

    Args:
        error: untrusted; compatible servers mix up ``code`` and ``type`` of it, and send other
            forms.
        headers: with names in lower case.
    """
    facts = object_of(error)
    codes = {code for code in (facts.get("code"), facts.get("type")) if isinstance(code, str)}
    if status == 400 and codes & _FILTER_CODES:
        return Completion("", finish="filtered")

    message = facts.get("message", error)
    if isinstance(facts.get("param"), str):
        message = f"{message} (param {facts['param']})"
    if isinstance(message, str) and message.startswith("<"):
        message = _TAGS.sub(" ", message).strip()  # a page for people
    refusal = _refusal(status, codes, endpoint, headers)
    raise endpoint.error(
        f"HTTP {status}: {refusal.problem}",
        answer=message,
        cure=refusal.cure,
        **refusal.facts,
    )


class _Refusal(NamedTuple):
    """What a refusal means, what to do, and the facts of its :class:`ModelError`."""

    problem: str
    cure: str | None
    facts: Mapping[str, Any] = {"unpaid": True, "fatal": True}


def _refusal(
    status: int, codes: Set[str], endpoint: Endpoint, headers: Mapping[str, str]
) -> _Refusal:
    """Return what a response without an answer means: its status and error codes."""
    if codes & _QUOTA_CODES or status == 402:
        cure = "raise the quota or add credit in the provider's console"
        return _Refusal("the quota is exhausted", cure)

    if status == 401:
        cure = "name the environment variable that holds the key: api_key_env: NAME"
        if endpoint.key_env:
            cure = f"set {endpoint.key_env} to a key that may use {endpoint.model!r}"
        return _Refusal("the endpoint needs a valid key", cure)

    if status == 404:
        cure = (
            f"at {endpoint.source}: check the model's name, and base_url, which usually ends in /v1"
        )
        return _Refusal(f"the model {endpoint.model!r} or the path is unknown", cure)

    # A redirect to another host would take the key and the prompts there.
    if 300 <= status < 400:
        location = endpoint.quoted(headers.get("location", "another URL"))
        problem = f"redirects are not followed, and this one is to {location}"
        cure = f"at {endpoint.source}: check base_url, and write the URL that answers"
        return _Refusal(problem, cure)

    # After these the same request may succeed.
    if status in _NOT_BEGUN or status in _CUT_SHORT or status >= 500 or status < 400:
        facts = {
            "retryable": True,
            "kind": "busy" if status in (429, 503) else "other",
            "unpaid": status in _NOT_BEGUN,
            "retry_after_s": retry_after_s(headers, clock.wall()),
        }
        if status == 429:
            cure = "lower concurrency, or set requests_per_minute"
            return _Refusal("the endpoint limits the rate of calls", cure, facts)
        return _Refusal("the endpoint failed", None, facts)

    cure = (
        "check params and the prompt, which are sent as written, and that the key may use "
        f"{endpoint.model!r}"
    )
    return _Refusal("the request was refused", cure, {"unpaid": True, "kind": "refused"})


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a response asks to wait, by its ``Retry-After``.

    ``None``: it does not say.
    """
    text = headers.get("retry-after", "").strip()
    if _SECONDS_WRITTEN.fullmatch(text):
        return min(float(text), _MOST_S)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return None


_SECONDS_WRITTEN = re.compile(r"\d+(\.\d+)?", re.ASCII)
_MOST_S = 1e9  # so that a header of a thousand digits is a long wait, and not an infinite one
