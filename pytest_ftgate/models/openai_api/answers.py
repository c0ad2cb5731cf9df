"""Read the answers of chat completions as untrusted data: compatible servers differ."""

import json
import re
from collections.abc import Mapping
from typing import Any

from pytest_ftgate.data.tool_calls import calls_text
from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.openai_api.endpoint import (
    Endpoint,
    Refusal,
    count_or_none,
    error_in,
    fields,
    refused,
    text_or_none,
)
from pytest_ftgate.models.protocol import Completion, finish_in, is_count
from pytest_ftgate.text import kind_of

_REASONING = re.compile("reason|think|thought")  # DeepSeek's reasoning_content, OpenRouter's reasoning, and others
_NO_REASONING = ("role", "content", "refusal", "tool_calls", "function_call", "name", "id", "type", "object", "index")
_REASONED = re.compile(r'reasoning_tokens": [1-9]')
_OF_TEXT = ("text", "output_text")


def read_answer(body: object, endpoint: Endpoint) -> Completion:
    """Return the first choice of a chat completion. Raise :class:`ModelError` if it is none, or of another model.

    It is given as JSON data, or as text; only text that is not JSON is worth another try: it may have been truncated.
    """
    data = _decoded(body, endpoint)
    check_served(data, endpoint)
    message, finish = _first_choice(data, endpoint)
    content, thought = _texts(message.get("content"), thinking=False), _texts(message.get("content"), thinking=True)
    if content is None:
        raise _broken(f"the content is {kind_of(message['content'])}, neither text nor parts of text", data, endpoint)
    refusal, calls, usage = message.get("refusal"), message.get("tool_calls"), fields(data.get("usage"))
    calls = [message["function_call"]] if message.get("function_call") else calls  # of an older API
    silent = not content.strip()  # whatever else the message holds is then reasoning
    names = (key for key in message if _REASONING.search(key) or (silent and key not in _NO_REASONING))
    beside = [message[key] for key in names]
    # vLLM gives one text under two names, OpenRouter as text and in parts.
    texts = dict.fromkeys(text for text in (thought, *beside) if text and isinstance(text, str))
    reasoning = [*texts] or [json.dumps(value, ensure_ascii=False) for value in beside if value]
    if isinstance(refusal, str) and refusal:
        finish, content = "refusal", content or refusal
    elif isinstance(calls, list) and calls:
        reasoning += [content] if content else []  # what is said beside the calls
        content = calls_text(calls)
    elif finish == "stop" and silent and _REASONED.search(json.dumps(usage)):
        finish = "cut_off"  # all that it wrote is hidden
    return Completion(
        endpoint.masked(content),
        **_token_counts(usage),
        finish=finish,
        reasoning=endpoint.masked("\n".join(reasoning)) or None,
    )


def _texts(content: object, *, thinking: bool) -> str | None:
    """Return the answer or the reasoning in a message's content, which may come in parts; ``None`` for other parts.

    Reasoning parts are those of Mistral: ``{"type": "thinking", "thinking": [parts of text]}``.
    """
    if content is None or isinstance(content, str):
        return "" if thinking else content or ""
    if not isinstance(content, list):
        return None
    found = list[str | None]()
    for part in map(fields, content):
        if part.get("type") == "thinking":
            found += [_texts(part.get("thinking"), thinking=False)] if thinking else []
        elif part.get("type") not in _OF_TEXT or not isinstance(part.get("text"), str):
            return None
        elif not thinking:
            found.append(part["text"])
    return "".join(text or "" for text in found)


def broken_body(found: str, endpoint: Endpoint) -> ModelError:
    """Return the error for a body that is not JSON."""
    return endpoint.error(
        "the endpoint answered with something that is not JSON" if found.strip() else "the endpoint's answer is empty",
        retryable=True,
        evidence=endpoint.found(found) if found.strip() else None,
        cure="check base_url: this is a web page, and an API usually ends in /v1"
        if found.lstrip().startswith("<")
        else None,
    )


def _decoded(body: object, endpoint: Endpoint) -> Mapping[str, Any]:
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            raise broken_body(str(body), endpoint) from None
    if not isinstance(body, Mapping):
        raise _broken(f"it is {kind_of(body)}, not an object", body, endpoint)
    return body


def _first_choice(data: Mapping[str, Any], endpoint: Endpoint) -> tuple[Mapping[str, Any], str]:
    choices = data.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    # Routers report a provider's failure so, as HTTP 200.
    failed = next((part for part in (data, fields(first)) if part.get("error")), None)
    if failed is not None:
        error = error_in(failed)
        code = error.get("code")
        status = code if is_count(code) and code >= 400 else 200
        raise refused(Refusal(status, error, str(failed["error"])), endpoint)
    if first is None:
        raise _broken("it holds no choice", data, endpoint)
    message = fields(first).get("message")
    if not isinstance(message, Mapping):
        raise _broken("its first choice holds no message", data, endpoint)
    return message, finish_in(first, data, {"finish_reason": data.get("status")})


def _token_counts(counts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the token counts of an answer; anything that is not a count is left out."""
    details = fields(counts.get("prompt_tokens_details"))
    return {
        "input_tokens": count_or_none(counts.get("prompt_tokens")),
        "output_tokens": count_or_none(counts.get("completion_tokens")),
        "cached_input_tokens": count_or_none(details.get("cached_tokens")),
        "cache_write_tokens": count_or_none(details.get("cache_write_tokens")),
    }


def _broken(what: str, data: object, endpoint: Endpoint) -> ModelError:
    cure = "check that base_url is an OpenAI-compatible API, and that the model is a chat model"
    return endpoint.unreadable(f"a chat completion: {what}", data, cure)


_MONTH, _DAY = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
# gpt-4.1-2025-04-14, claude-sonnet-4-20250514, gpt-4-0613, mistral-large-2407, gemini-2.0-flash-001.
_DATE = re.compile(rf"[-@](20\d\d-?{_MONTH}(?:-?{_DAY})?|{_MONTH}-?{_DAY}|2\d{_MONTH}|00\d)$|[-@:]latest$")
_FILE = re.compile(r"[.-](gguf|ggml|bin|safetensors)$")
_FORMAT = re.compile(r"[-.](i?q\d\w*|f16|bf16|f32|fp8|fp16|awq|gptq|mlx)$")
# Of OpenRouter: how a call is routed or billed.
_ROUTING = re.compile(r":(free|nitro|floor|extended|online|exacto|beta)$")


def check_served(data: Mapping[str, Any], endpoint: Endpoint) -> None:
    """Raise :class:`ModelError` if the answer says that another model gave it than the gate names."""
    served = text_or_none(data.get("model"))
    if served is None or any(is_same(asked, served) for asked in (endpoint.model, *endpoint.served_as)):
        return
    shown = endpoint.quoted(served, 120)
    raise endpoint.error(
        f"the answer comes from another model: {endpoint.quoted(endpoint.model, 120)!r} was asked, {shown!r} answered",
        kind="unreadable",
        cure=f"find out why the endpoint calls another model (a fallback, a router, an alias); if {shown!r} is the "
        f"model that you mean, add served_as: {shown!r}",
    )


def is_same(asked: str, served: str) -> bool:
    """Return whether two names may be of one model.

    The provider or folder before a name does not count. The date of a snapshot and a file's format may be left out on
    one side. The served name may have a tag that the other lacks. A fine-tune is never its base model.
    """
    one, other = _name_parts(asked), _name_parts(served)
    tuned = "ft" in (one[0], other[0])
    if len(one) > len(other) or (tuned and len(one) < len(other)):
        return False
    return all(_agree(first, second) for first, second in zip(one, other, strict=False))


def _name_parts(name: str) -> list[str]:
    """Return the last part of a path, split at colons."""
    last = re.split(r"[/\\]", name.strip().rstrip("/\\").casefold())[-1]
    return _ROUTING.sub("", _FILE.sub("", last)).removesuffix(":latest").split(":")


def _agree(one: str, other: str) -> bool:
    (stem, *details), (other_stem, *others) = _taken_apart(one), _taken_apart(other)
    same = (a == b or "" in (a, b) for a, b in zip(details, others, strict=True))
    return stem == other_stem and all(same)


def _taken_apart(name: str) -> tuple[str, str, str]:
    """Return a name without its format and date, and these; ``latest`` is no date."""
    form = _FORMAT.search(name)
    name = name[: form.start()] if form else name
    date = _DATE.search(name)
    digits = ((date[1] or "") if date else "").replace("-", "")
    return name[: date.start()] if date else name, form[1] if form else "", digits
