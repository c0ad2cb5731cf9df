"""Read what an endpoint says, as untrusted data: answers, refusals and failures.

Compatible servers differ.
"""

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from socket import gaierror
from typing import Any
from urllib.parse import urlsplit

from pytest_ftgate import clock, errors
from pytest_ftgate.data.messages import calls_text
from pytest_ftgate.models.protocol import COUNTS, Completion, finish_in, is_count
from pytest_ftgate.text import excerpt

_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_CONTEXT_WORDS = re.compile(
    r"maximum context length|context (length|window|size) (is )?exceeded|exceeds the (available |model's )?context",
    re.IGNORECASE,
)
_FILTER_CODES = frozenset({"content_filter", "content_policy_violation"})
_NOT_BEGUN = frozenset({409, 425, 429, 503})  # refusals that may pass and cost nothing
# DeepSeek's reasoning_content, OpenRouter's reasoning, and others
_REASONING = re.compile("reason|think|thought")
_NO_REASONING = (
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
_REASONED = re.compile(r'reasoning_tokens": [1-9]')
_OF_TEXT = ("text", "output_text")
_SHOWN_BYTES = 60  # of a body that is nested too deeply
_SHORTEST_KEY = 8
"""The least length of a key that is a secret. Servers that need none take a placeholder, such as EMPTY."""


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
        """Raise a fatal :class:`ModelError` if the environment variable for the key holds no usable one."""
        if self.key_env is None or (self.key and self.key.isascii()):
            return
        what = f"the environment variable {self.key_env} {'does not hold a key' if self.key else 'is not set'}"
        cure = f"set {self.key_env} to a key for {self.host}, or name another variable with api_key_env; "
        cure += "stored and recorded answers need no key"
        raise errors.ModelError(
            what, fatal=True, where=errors.Where(path=self.source, key="api_key_env"), cure=cure
        )

    def quoted(self, text: str, width: int = 300) -> str:
        """Return the beginning of untrusted text, with the key and other secrets replaced by ``***``."""
        if self.key:
            text = text.replace(self.key, "***")
        return excerpt(errors.redacted(text), width=width)

    def error(self, what: str, *, found: object = "", **facts: Any) -> errors.ModelError:
        """Return a :class:`ModelError` that names this endpoint; ``found`` is what came in place of an answer."""
        text = (
            found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, default=str)
        )
        return errors.ModelError(
            what, where=errors.Where(path=self.host), evidence=self.quoted(text) or None, **facts
        )


def fields(value: object) -> Mapping[str, Any]:
    """Return untrusted JSON data as an object; empty if it is not one."""
    return value if isinstance(value, Mapping) else {}


def read_body(content: bytes, endpoint: Endpoint) -> Completion:
    """Return the answer in the body of a successful response.

    Raise :class:`ModelError` if it holds none.
    """
    try:
        body = json.loads(content)
        return read_answer(body, endpoint)
    except RecursionError:
        what, cure = (
            "the endpoint's answer is nested too deeply",
            "check base_url: an API ends in /v1",
        )
        shown = content[:_SHOWN_BYTES].decode(errors="replace")
        raise endpoint.error(what, kind="unreadable", found=shown, cure=cure) from None
    except ValueError:  # it may have been truncated
        what, cure = (
            "the endpoint answered with something that is not JSON",
            "check base_url: an API ends in /v1",
        )
        text = content.decode(errors="replace") or "an empty answer"
        raise endpoint.error(what, retryable=True, found=text, cure=cure) from None


def read_answer(body: object, endpoint: Endpoint) -> Completion:
    """Return the first choice of a chat completion.

    Raise :class:`ModelError` if it is none, or of another model.
    """
    data = fields(body)
    choices = data.get("choices")
    choice = fields(choices[0] if isinstance(choices, list) and choices else None)
    # routers report a provider's failure so, as HTTP 200
    if error := data.get("error") or choice.get("error"):
        code = fields(error).get("code")
        status = code if is_count(code) and code >= 400 else 200
        return read_refusal(status, json.dumps({"error": error}, ensure_ascii=False), endpoint, {})
    message = choice.get("message")
    content = _texts(message.get("content")) if isinstance(message, Mapping) else None
    if content is None:
        what, cure = (
            "the endpoint's answer is not a chat completion",
            "check that base_url is an OpenAI-compatible API",
        )
        raise endpoint.error(
            what, kind="unreadable", found=body, cure=f"{cure}, and that the model is a chat model"
        )
    _check_served(data.get("model"), endpoint)
    finish = finish_in(choice, data, {"finish_reason": data.get("status")})
    if finish == "failed":
        what = "the endpoint ended the answer with an error"
        ending = {name: value for name, value in choice.items() if name not in ("index", "message")}
        if data.get("status") is not None:
            ending["status"] = data["status"]
        raise endpoint.error(what, retryable=True, found=ending)
    answer = _completion(fields(message), *content, finish, fields(data.get("usage")))

    if _holds_key(answer, endpoint):
        what = f"the endpoint repeats the key in {endpoint.key_env} in its answer"
        cure = "find out why the server, or a proxy before it, writes the headers of a request into answers"
        raise endpoint.error(what, kind="unreadable", cure=cure)
    return answer


def _holds_key(answer: Completion, endpoint: Endpoint) -> bool:
    """Return whether the key that was sent is in an answer, which is stored and shown in reports."""
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
    silent = not text.strip()  # whatever else the message holds is then reasoning
    names = (
        key for key in message if _REASONING.search(key) or (silent and key not in _NO_REASONING)
    )
    beside = [message[key] for key in names if message[key]]
    # vLLM gives one text under two names, OpenRouter as text and in parts.
    reasoning = [*dict.fromkeys([*reasoning, *(one for one in beside if isinstance(one, str))])]
    reasoning = reasoning or [json.dumps(value, ensure_ascii=False) for value in beside]
    refusal, older = message.get("refusal"), message.get("function_call")
    calls = [older] if older else message.get("tool_calls")
    if isinstance(refusal, str) and refusal:
        finish, text = "refusal", text or refusal
    elif isinstance(calls, list) and calls:
        reasoning += [text] if text else []  # what is said beside the calls
        text = calls_text(calls)
    elif finish == "stop" and silent and _REASONED.search(json.dumps(usage)):
        finish = "cut_off"  # all that it wrote is hidden
    details = fields(usage.get("prompt_tokens_details"))
    tokens = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    tokens += [details.get(name) for name in ("cached_tokens", "cache_write_tokens")]
    known: dict[str, Any] = {
        name: count for name, count in zip(COUNTS, tokens, strict=True) if is_count(count)
    }
    return Completion(text, **known, finish=finish, reasoning="\n".join(reasoning) or None)


def _texts(content: object) -> tuple[str, list[str]] | None:
    """Return the answer and the reasoning in a message's content, which may come in parts; ``None`` for other parts.

    Reasoning parts are those of Mistral: ``{"type": "thinking", "thinking": [parts of text]}``.
    """
    if content is None or isinstance(content, str):
        return content or "", []
    if not isinstance(content, list):
        return None
    text, thought = "", list[str]()
    for part in map(fields, content):
        if part.get("type") == "thinking":
            inner = _texts(part.get("thinking"))
            thought += [inner[0]] if inner and inner[0] else []
        elif part.get("type") in _OF_TEXT and isinstance(part.get("text"), str):
            text += part["text"]
        else:
            return None
    return text, thought


_MONTH, _DAY = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
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
    """Raise :class:`ModelError` if the answer says that another model gave it than the gate names."""
    if not isinstance(served, str) or not served.strip():
        return
    if any(is_same(name, served) for name in (endpoint.model, *endpoint.served_as)):
        return
    asked, shown = (endpoint.quoted(name, 120) for name in (endpoint.model, served))
    what = f"the answer comes from another model: {asked!r} was asked, {shown!r} answered"
    cure = "find out why the endpoint calls another model (a fallback, a router, an alias); "
    cure += f"if {shown!r} is the model that you mean, add served_as: {shown!r}"
    raise endpoint.error(what, kind="unreadable", cure=cure)


def is_same(asked: str, served: str) -> bool:
    """Return whether two names may be of one model.

    The provider or folder before a name does not count. The date of a snapshot and a file's format
    may be left out on one side. The served name may have a tag that the other lacks. A fine-tune is
    never its base model.
    """
    one, other = _taken_apart(asked), _taken_apart(served)
    tuned = "ft" in (one[0][0], other[0][0])
    if len(one) > len(other) or (tuned and len(one) < len(other)):
        return False
    return all(
        first[0] == second[0]
        and all(a == b or "" in (a, b) for a, b in zip(first[1:], second[1:], strict=True))
        for first, second in zip(one, other, strict=False)
    )


def _taken_apart(name: str) -> list[tuple[str, str, str]]:
    """Return the stem, the date and the format of each part of a name between colons; ``latest`` is no date."""
    last = re.split(r"[/\\]", name.strip().rstrip("/\\").casefold())[-1]
    found = (_NAME.fullmatch(part) for part in _ENDING.sub("", last).split(":"))
    parts = (one.groups("") for one in found if one is not None)
    return [
        (stem, date.replace("-", "").removeprefix("latest"), form) for stem, date, form in parts
    ]


def failure(error: Exception, endpoint: Endpoint, *, timeout_s: float | None) -> errors.ModelError:
    """Return an exception of the HTTP client as a :class:`ModelError`; ``timeout_s`` was the call's limit."""
    root = root_cause(error)  # with aiohttp the client reports lost connections as time-outs, too
    name = type(root).__name__
    if name.endswith(("Timeout", "TimeoutError")):
        limit = f" within {timeout_s:g} s" if timeout_s is not None else ""
        cure = "raise timeout_s, or lower concurrency"
        return endpoint.error(f"no answer{limit}", retryable=True, kind="timeout", cure=cure)

    found = f"{name}: {str(root) or 'the connection was closed'}"
    if "CertVerification" in name or "CertificateError" in name:
        what = "the certificate of the endpoint is not valid for it, or its authority is unknown"
        cure = "name the authority's certificate in the environment variable SSL_CERT_FILE, or correct base_url"
        return endpoint.error(
            what, found=found, kind="unreachable", fatal=True, unpaid=True, cure=cure
        )
    if isinstance(root, zlib.error) or name.endswith(("DecodingError", "ContentEncodingError")):
        what = "the endpoint's answer cannot be decompressed"
        cure = "find out what compresses its answers: the server, or a proxy before it"
        return endpoint.error(what, found=found, retryable=True, kind="unreadable", cure=cure)

    causes = getattr(root, "exceptions", (root,))  # of several addresses of one host
    is_refused = all(isinstance(cause, ConnectionRefusedError) for cause in causes)
    is_unconnected = is_refused or isinstance(root, gaierror) or name == "ConnectError"
    what = (
        "cannot connect to the endpoint"
        if is_unconnected
        else "the endpoint dropped the connection"
    )
    cure = "check base_url, and that the server is running"
    if proxy := _proxy_before(endpoint):
        cure += f"; the environment sends calls to it through the proxy {proxy}, unless NO_PROXY names its host"
    return endpoint.error(
        what, found=found, retryable=True, kind="unreachable", unpaid=is_unconnected, cure=cure
    )


def _proxy_before(endpoint: Endpoint) -> str | None:
    """Return the host of the proxy that the environment names for this endpoint; None if there is none."""
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
    """Return the empty answer of a content filter that rejected a request; raise what any other refusal means.

    A refused key, an exhausted quota, an unknown model and a prompt that is too long end the run.
    Another refusal may be about this example alone: the run goes on, unless the model's first
    requests all end so.

    Args:
        body: untrusted; compatible servers mix up ``code`` and ``type`` of its error, and send
            other forms.
        headers: with names in lower case.
    """
    try:
        data = fields(json.loads(body))
    except (ValueError, RecursionError):
        data = {}
    error = fields(data.get("error", data))
    codes = {code for code in (error.get("code"), error.get("type")) if isinstance(code, str)}
    message = error["message"] if isinstance(error.get("message"), str) else body
    message += f" (param {error['param']})" if isinstance(error.get("param"), str) else ""
    if status == 400 and codes & _FILTER_CODES:
        return Completion("", finish="filtered")
    key = f"the key in {endpoint.key_env}" if endpoint.key_env else None
    url = f"{urlsplit(endpoint.base_url).scheme}://{endpoint.host}"
    facts: dict[str, Any] = {"unpaid": True, "fatal": True}
    cure: str | None
    if codes & _QUOTA_CODES or status == 402:
        what = f"the quota of {key or 'this endpoint'} is exhausted"
        cure = "raise the quota or add credit in the provider's console"
    elif status == 401 and key is None:
        what = "the endpoint needs a key, and the gate names none"
        cure = "name the environment variable that holds it: api_key_env: NAME"
    elif status == 401:
        what, cure = (
            f"{key} was refused",
            f"set {endpoint.key_env} to a key that may use {endpoint.model!r}",
        )
    elif status == 404:
        path = urlsplit(endpoint.base_url).path
        what = f"the model {endpoint.model!r} or the path is unknown: {url}{path}/chat/completions"
        cure = (
            f"at {endpoint.source}: check the model's name, and base_url, which usually ends in /v1"
        )
    elif status in (400, 413, 422) and (codes & _CONTEXT_CODES or _CONTEXT_WORDS.search(message)):
        what = f"a prompt is longer than the context of {endpoint.model!r}"
        cure = "shorten the system message, the few-shot examples or the inputs"
    elif 300 <= status < 400:
        what = f"the endpoint redirects to {_host_in(headers, endpoint)}, and redirects are not followed"
        cure = f"at {endpoint.source}: check base_url, and write the URL that answers"
        message = ""  # a page for people
    elif status in _NOT_BEGUN or status == 408 or status >= 500 or status < 400:
        what, cure = "the endpoint failed", None
        if status == 429:
            what, cure = (
                "the endpoint limits the rate of calls",
                "lower concurrency, or set requests_per_minute",
            )
        facts = {
            "retryable": True,
            "kind": "busy" if status in (429, 503) else "other",
            "unpaid": status in _NOT_BEGUN,
        }
        facts["retry_after_s"] = retry_after_s(headers, clock.wall())
    else:
        facts = {"unpaid": True, "kind": "refused"}
        what = "the request was refused"
        cure = f"check params and the prompt, which are sent as written, and that the key may use {endpoint.model!r}"
    raise errors.ModelError(
        f"HTTP {status} from {url}: {what}",
        evidence=endpoint.quoted(message) or None,
        cure=cure,
        **facts,
    )


def _host_in(headers: Mapping[str, str], endpoint: Endpoint) -> str:
    """Return the host that a redirect names; the endpoint's own for a path."""
    try:
        netloc = urlsplit(headers.get("location", "")).netloc
    except ValueError:
        netloc = "an invalid URL"
    return endpoint.quoted(netloc.rpartition("@")[2], 120) or endpoint.host


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a response asks to wait, by its ``Retry-After``; ``None``: it does not say.

    Azure and OpenAI have milliseconds in ``retry-after-ms``, which is more exact.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _SECONDS_WRITTEN.fullmatch(milliseconds):
        return min(float(milliseconds), _MOST_S) / 1000
    text = headers.get("retry-after", "").strip()
    if _SECONDS_WRITTEN.fullmatch(text):
        return min(float(text), _MOST_S)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now) if text else None
    except (ValueError, OverflowError):
        return None


_SECONDS_WRITTEN = re.compile(r"\d+(\.\d+)?", re.ASCII)
_MOST_S = 1e9  # so that a header of a thousand digits is a long wait, and not an infinite one
