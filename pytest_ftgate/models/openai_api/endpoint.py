"""Read what an endpoint says, as untrusted data: answers, refusals and failures.

Compatible servers differ.
"""

import json
import re
import zlib
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from socket import gaierror
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pytest_ftgate import clock, errors
from pytest_ftgate.data.messages import calls_text
from pytest_ftgate.data.strict_json import object_of
from pytest_ftgate.models.protocol import Completion, finish_in, is_count
from pytest_ftgate.secrets import redacted
from pytest_ftgate.text import excerpt

_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_CONTEXT_WORDS = re.compile(
    r"maximum context length|context (length|window|size) (is )?exceeded"
    r"|exceeds the (available |model's )?context",
    re.IGNORECASE,
)
_FILTER_CODES = frozenset({"content_filter", "content_policy_violation"})
_NOT_BEGUN = frozenset({409, 425, 429, 503})  # refusals that may pass and cost nothing
# DeepSeek's reasoning_content, OpenRouter's reasoning, and others
_REASONING = re.compile("reason|think|thought")
_NO_REASONING = frozenset(
    (
        "role",
        "content",
        "refusal",
        "tool_calls",
        "function_call",
        "name",
        "id",
        "type",
        "object",
        "index",
    )
)
_REASONED = re.compile(r'reasoning_tokens": [1-9]')
_OF_TEXT = ("text", "output_text")
_SHOWN_BYTES = 60  # of a body that is nested too deeply
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
        advice = (
            f"set {self.key_env} to a key for {self.host}, or name another variable with "
            "api_key_env; stored and recorded answers need no key"
        )
        raise errors.ModelError(
            f"the environment variable {self.key_env} {flaw}",
            fatal=True,
            where=errors.Where(path=self.source, key="api_key_env"),
            cure=advice,
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
    advice = "check base_url: an API ends in /v1"
    try:
        body = json.loads(content)
        return read_answer(body, endpoint)
    except RecursionError:
        message = "the endpoint's answer is nested too deeply"
        start = content[:_SHOWN_BYTES].decode(errors="replace")
        raise endpoint.error(message, kind="unreadable", answer=start, cure=advice) from None
    except ValueError:  # it may have been truncated
        message = "the endpoint answered with something that is not JSON"
        text = content.decode(errors="replace") or "an empty answer"
        raise endpoint.error(message, retryable=True, answer=text, cure=advice) from None


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
        code = object_of(error).get("code")
        status = code if is_count(code) and code >= 400 else 200
        return read_refusal(status, json.dumps({"error": error}, ensure_ascii=False), endpoint, {})

    message = choice.get("message")
    content = _texts(message.get("content")) if isinstance(message, Mapping) else None
    if content is None:
        advice = (
            "check that base_url is an OpenAI-compatible API, and that the model is a chat model"
        )
        problem = "the endpoint's answer is not a chat completion"
        raise endpoint.error(problem, kind="unreadable", answer=body, cure=advice)
    # A router may have asked another model than the gate names.
    _check_served(data.get("model"), endpoint)

    finish = finish_in(choice, data, {"finish_reason": data.get("status")})
    if finish == "failed":
        ending = {name: value for name, value in choice.items() if name not in ("index", "message")}
        if data.get("status") is not None:
            ending["status"] = data["status"]
        problem = "the endpoint ended the answer with an error"
        raise endpoint.error(problem, retryable=True, answer=ending)

    answer = _completion(object_of(message), *content, finish, object_of(data.get("usage")))
    if _holds_key(answer, endpoint):
        problem = f"the endpoint repeats the key in {endpoint.key_env} in its answer"
        advice = (
            "find out why the server, or a proxy before it, writes the headers of a request into "
            "answers"
        )
        raise endpoint.error(problem, kind="unreadable", cure=advice)
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
    is_silent = not text.strip()
    reasoning = _reasoning_in(message, reasoning, is_silent=is_silent)

    refusal = message.get("refusal")
    function_call = message.get("function_call")  # as older models call
    calls = [function_call] if function_call else message.get("tool_calls")
    if isinstance(refusal, str) and refusal:
        finish = "refusal"
        text = text or refusal
    elif isinstance(calls, list) and calls:
        if text:  # what is said beside the calls
            reasoning.append(text)
        text = calls_text(calls)
    elif finish == "stop" and is_silent and _REASONED.search(json.dumps(usage)):
        finish = "cut_off"  # all that it wrote is hidden

    counts = _counts(usage)
    return Completion(text, **counts, finish=finish, reasoning="\n".join(reasoning) or None)


def _reasoning_in(
    message: Mapping[str, Any], reasoning: list[str], *, is_silent: bool
) -> list[str]:
    """Return the reasoning in the content and in the other keys of a message.

    In a message without an answer, whatever else it holds is reasoning.
    """
    values = []
    for key, value in message.items():
        is_reasoning = _REASONING.search(key) or (is_silent and key not in _NO_REASONING)
        if is_reasoning and value:
            values.append(value)
    # vLLM gives one text under two names, OpenRouter as text and in parts.
    texts = [*reasoning, *(value for value in values if isinstance(value, str))]
    if texts:
        return list(dict.fromkeys(texts))
    return [json.dumps(value, ensure_ascii=False) for value in values]


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
        elif item.get("type") in _OF_TEXT and isinstance(item.get("text"), str):
            text += item["text"]
        else:
            return None
    return text, reasoning


_MONTH = r"(?:0[1-9]|1[0-2])"
_DAY = r"(?:0[1-9]|[12]\d|3[01])"
_NAME = re.compile(
    # gpt-4.1-2025-04-14, claude-sonnet-4-20250514, gpt-4-0613, mistral-large-2407,
    # gemini-2.0-flash-001
    rf"(.*?)(?:[-@](20\d\d-?{_MONTH}(?:-?{_DAY})?|{_MONTH}-?{_DAY}|2\d{_MONTH}|00\d|latest))?"
    r"(?:[-.](i?q\d\w*|f16|bf16|f32|fp8|fp16|awq|gptq|mlx))?",
    re.DOTALL,
)
"""The parts of a model's name: its stem, the date of a snapshot, and the format of the weights."""
_ENDING = re.compile(
    r"(?:[.-](?:gguf|ggml|bin|safetensors))?"
    # of OpenRouter: how a call is routed or billed
    r"(?::(?:free|nitro|floor|extended|online|exacto|beta))?"
    r"(?::latest)?$"
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
    advice = (
        "find out why the endpoint calls another model (a fallback, a router, an alias); "
        f"if {served!r} is the model that you mean, add served_as: {served!r}"
    )
    raise endpoint.error(message, kind="unreadable", cure=advice)


class _ModelName(NamedTuple):
    """A model's name, or the text between two colons of it."""

    stem: str
    date: str  # of a snapshot; empty where there is none, or ``latest``
    format: str  # of the weights

    def may_be(self, name: "_ModelName") -> bool:
        """Return whether two names have the same stem, and no other date or format."""
        if self.stem != name.stem:
            return False
        return _agree(self.date, name.date) and _agree(self.format, name.format)


def _agree(first: str, second: str) -> bool:
    return first == second or not first or not second


def is_same(asked: str, served: str) -> bool:
    """Return whether two names may be of one model.

    The provider or folder before a name does not count. The date of a snapshot and a file's format
    may be left out on one side. The served name may have a tag that the other lacks. A fine-tune is
    never its base model.
    """
    asked_names = _names_in(asked)
    served_names = _names_in(served)
    if len(asked_names) > len(served_names):
        return False
    is_tuned = "ft" in (asked_names[0].stem, served_names[0].stem)
    if is_tuned and len(asked_names) < len(served_names):
        return False
    pairs = zip(asked_names, served_names, strict=False)
    return all(name.may_be(served_name) for name, served_name in pairs)


def _names_in(name: str) -> list[_ModelName]:
    """Return what a name has between its colons, each taken apart."""
    last = re.split(r"[/\\]", name.strip().rstrip("/\\").casefold())[-1]
    names = []
    for text in _ENDING.sub("", last).split(":"):
        match = _NAME.fullmatch(text)
        assert match is not None  # the pattern matches every text
        stem, date, form = match.groups("")
        names.append(_ModelName(stem, date.replace("-", "").removeprefix("latest"), form))
    return names


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
        advice = "raise timeout_s, or lower concurrency"
        return endpoint.error(message, retryable=True, kind="timeout", cure=advice)

    report = partial(endpoint.error, answer=f"{name}: {str(root) or 'the connection was closed'}")
    if "CertVerification" in name or "CertificateError" in name:
        message = "the certificate of the endpoint is not valid for it, or its authority is unknown"
        advice = (
            "name the authority's certificate in the environment variable SSL_CERT_FILE, or "
            "correct base_url"
        )
        return report(message, kind="unreachable", fatal=True, unpaid=True, cure=advice)
    if isinstance(root, zlib.error) or name.endswith(("DecodingError", "ContentEncodingError")):
        message = "the endpoint's answer cannot be decompressed"
        advice = "find out what compresses its answers: the server, or a proxy before it"
        return report(message, retryable=True, kind="unreadable", cure=advice)

    causes = getattr(root, "exceptions", (root,))  # of several addresses of one host
    is_refused = all(isinstance(cause, ConnectionRefusedError) for cause in causes)
    # A call that was never sent cannot have cost anything.
    is_unconnected = is_refused or isinstance(root, gaierror) or name == "ConnectError"
    message = "the endpoint dropped the connection"
    if is_unconnected:
        message = "cannot connect to the endpoint"
    advice = "check base_url, and that the server is running"
    proxy = _proxy_before(endpoint)
    if proxy:
        advice += (
            f"; the environment sends calls to it through the proxy {proxy}, unless NO_PROXY names "
            "its host"
        )
    return report(message, retryable=True, kind="unreachable", unpaid=is_unconnected, cure=advice)


def _proxy_before(endpoint: Endpoint) -> str | None:
    """Return the host of the proxy that the environment names for this endpoint.

    Return None if there is none.
    """
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    proxy = proxies.get(urlsplit(endpoint.base_url).scheme) or proxies.get("all")
    if proxy is None or proxy_bypass(endpoint.host):
        return None
    return urlsplit(proxy).netloc.rpartition("@")[2] or "that it names"


def root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def read_refusal(
    status: int, body: str, endpoint: Endpoint, headers: Mapping[str, str]
) -> Completion:
    """Return the empty answer of a content filter that rejected a request.

    Raise what any other refusal means.

    A refused key, an exhausted quota, an unknown model and a prompt that is too long end the run.
    Another refusal may be about this example alone: the run goes on, unless the model's first
    requests all end so.

    Args:
        body: untrusted; compatible servers mix up ``code`` and ``type`` of its error, and send
            other forms.
        headers: with names in lower case.
    """
    try:
        data = object_of(json.loads(body))
    except (ValueError, RecursionError):
        data = {}
    error = object_of(data.get("error", data))
    codes = {code for code in (error.get("code"), error.get("type")) if isinstance(code, str)}
    if status == 400 and codes & _FILTER_CODES:
        return Completion("", finish="filtered")

    message = body
    if isinstance(error.get("message"), str):
        message = error["message"]
    if isinstance(error.get("param"), str):
        message += f" (param {error['param']})"
    refusal = _refusal(status, codes, message, endpoint, headers)
    url = f"{urlsplit(endpoint.base_url).scheme}://{endpoint.host}"
    if refusal.is_page:
        message = ""
    raise errors.ModelError(
        f"HTTP {status} from {url}: {refusal.problem}",
        evidence=endpoint.quoted(message) or None,
        cure=refusal.advice,
        **refusal.facts,
    )


class _Refusal(NamedTuple):
    """What a refusal means, what to do, and the facts of its :class:`ModelError`."""

    problem: str
    advice: str | None
    facts: Mapping[str, Any] = {"unpaid": True, "fatal": True}
    is_page: bool = False  # its body is for people


def _refusal(
    status: int,
    codes: Set[str],
    message: str,
    endpoint: Endpoint,
    headers: Mapping[str, str],
) -> _Refusal:
    """Return what a response without an answer means: its status, error codes and message."""
    model = endpoint.model
    if codes & _QUOTA_CODES or status == 402:
        payer = f"the key in {endpoint.key_env}" if endpoint.key_env else "this endpoint"
        advice = "raise the quota or add credit in the provider's console"
        return _Refusal(f"the quota of {payer} is exhausted", advice)

    if status == 401 and not endpoint.key_env:
        advice = "name the environment variable that holds it: api_key_env: NAME"
        return _Refusal("the endpoint needs a key, and the gate names none", advice)
    if status == 401:
        advice = f"set {endpoint.key_env} to a key that may use {model!r}"
        return _Refusal(f"the key in {endpoint.key_env} was refused", advice)

    if status == 404:
        url = urlsplit(endpoint.base_url)
        path = f"{url.scheme}://{endpoint.host}{url.path}/chat/completions"
        advice = (
            f"at {endpoint.source}: check the model's name, and base_url, which usually ends in /v1"
        )
        return _Refusal(f"the model {model!r} or the path is unknown: {path}", advice)

    if status in (400, 413, 422) and (codes & _CONTEXT_CODES or _CONTEXT_WORDS.search(message)):
        advice = "shorten the system message, the few-shot examples or the inputs"
        return _Refusal(f"a prompt is longer than the context of {model!r}", advice)

    # A redirect to another host would take the key and the prompts there.
    if 300 <= status < 400:
        host = _host_in(headers, endpoint)
        problem = f"the endpoint redirects to {host}, and redirects are not followed"
        advice = f"at {endpoint.source}: check base_url, and write the URL that answers"
        return _Refusal(problem, advice, is_page=True)

    if status in _NOT_BEGUN or status == 408 or status >= 500 or status < 400:
        return _passing(status, headers)

    advice = (
        "check params and the prompt, which are sent as written, and that the key may use "
        f"{model!r}"
    )
    return _Refusal("the request was refused", advice, {"unpaid": True, "kind": "refused"})


def _passing(status: int, headers: Mapping[str, str]) -> _Refusal:
    """Return a refusal after which the same request may succeed."""
    facts = {
        "retryable": True,
        "kind": "busy" if status in (429, 503) else "other",
        "unpaid": status in _NOT_BEGUN,
        "retry_after_s": retry_after_s(headers, clock.wall()),
    }
    if status == 429:
        advice = "lower concurrency, or set requests_per_minute"
        return _Refusal("the endpoint limits the rate of calls", advice, facts)
    return _Refusal("the endpoint failed", None, facts)


def _host_in(headers: Mapping[str, str], endpoint: Endpoint) -> str:
    """Return the host that a redirect names; the endpoint's own for a path."""
    try:
        netloc = urlsplit(headers.get("location", "")).netloc
    except ValueError:
        netloc = "an invalid URL"
    return endpoint.quoted(netloc.rpartition("@")[2], 120) or endpoint.host


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a response asks to wait, by its ``Retry-After``.

    ``None``: it does not say.

    Azure and OpenAI have milliseconds in ``retry-after-ms``, which is more exact.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _SECONDS_WRITTEN.fullmatch(milliseconds):
        return min(float(milliseconds), _MOST_S) / 1000
    text = headers.get("retry-after", "").strip()
    if _SECONDS_WRITTEN.fullmatch(text):
        return min(float(text), _MOST_S)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return None


_SECONDS_WRITTEN = re.compile(r"\d+(\.\d+)?", re.ASCII)
_MOST_S = 1e9  # so that a header of a thousand digits is a long wait, and not an infinite one
