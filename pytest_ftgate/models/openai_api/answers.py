"""Read the answers of chat completions as untrusted data: compatible servers differ."""

import json
import re
from collections.abc import Mapping
from typing import Any

from pytest_ftgate.data.tool_calls import calls_text
from pytest_ftgate.models.openai_api.endpoint import Endpoint, fields, read_refusal
from pytest_ftgate.models.protocol import Completion, finish_in, is_count

_REASONING = re.compile("reason|think|thought")  # DeepSeek's reasoning_content, OpenRouter's reasoning, and others
_NO_REASONING = ("role", "content", "refusal", "tool_calls", "name", "id", "type", "object", "index")
_REASONED = re.compile(r'reasoning_tokens": [1-9]')
_OF_TEXT = ("text", "output_text")


def read_answer(body: object, endpoint: Endpoint) -> Completion:
    """Return the first choice of a chat completion. Raise :class:`ModelError` if it is none, or of another model."""
    data = fields(body)
    choices = data.get("choices")
    choice = fields(choices[0] if isinstance(choices, list) and choices else None)
    if error := data.get("error") or choice.get("error"):  # routers report a provider's failure so, as HTTP 200
        code = fields(error).get("code")
        status = code if is_count(code) and code >= 400 else 200
        return read_refusal(status, json.dumps({"error": error}, ensure_ascii=False), endpoint)
    message = choice.get("message")
    content = _texts(message.get("content")) if isinstance(message, Mapping) else None
    if content is None:
        what, cure = "the endpoint's answer is not a chat completion", "check that base_url is an OpenAI-compatible API"
        raise endpoint.error(what, kind="unreadable", found=body, cure=f"{cure}, and that the model is a chat model")
    _check_served(data.get("model"), endpoint)
    finish = finish_in(choice, data, {"finish_reason": data.get("status")})
    return _completion(fields(message), *content, finish, fields(data.get("usage")), endpoint)


def _completion(
    message: Mapping[str, Any], text: str, reasoning: list[str], finish: str, usage: Mapping[str, Any], home: Endpoint
) -> Completion:
    """Return the answer in a message whose content is this text, and this reasoning before it."""
    silent = not text.strip()  # whatever else the message holds is then reasoning
    names = (key for key in message if _REASONING.search(key) or (silent and key not in _NO_REASONING))
    beside = [message[key] for key in names if message[key]]
    # vLLM gives one text under two names, OpenRouter as text and in parts.
    reasoning = [*dict.fromkeys([*reasoning, *(one for one in beside if isinstance(one, str))])]
    reasoning = reasoning or [json.dumps(value, ensure_ascii=False) for value in beside]
    refusal, calls = message.get("refusal"), message.get("tool_calls")
    if isinstance(refusal, str) and refusal:
        finish, text = "refusal", text or refusal
    elif isinstance(calls, list) and calls:
        reasoning += [text] if text else []  # what is said beside the calls
        text = calls_text(calls)
    elif finish == "stop" and silent and _REASONED.search(json.dumps(usage)):
        finish = "cut_off"  # all that it wrote is hidden
    details = fields(usage.get("prompt_tokens_details"))
    counts = {
        "input_tokens": usage.get("prompt_tokens"),
        "output_tokens": usage.get("completion_tokens"),
        "cached_input_tokens": details.get("cached_tokens"),
        "cache_write_tokens": details.get("cache_write_tokens"),
    }
    known: dict[str, Any] = {name: count for name, count in counts.items() if is_count(count)}
    thought = home.masked("\n".join(reasoning)) or None
    return Completion(home.masked(text), **known, finish=finish, reasoning=thought)


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
    # gpt-4.1-2025-04-14, claude-sonnet-4-20250514, gpt-4-0613, mistral-large-2407, gemini-2.0-flash-001
    rf"(.*?)(?:[-@](20\d\d-?{_MONTH}(?:-?{_DAY})?|{_MONTH}-?{_DAY}|2\d{_MONTH}|00\d|latest))?"
    r"(?:[-.](i?q\d\w*|f16|bf16|f32|fp8|fp16|awq|gptq|mlx))?",
    re.DOTALL,
)
"""The parts of a model's name: its stem, the date of a snapshot, and the format of the weights."""
_ENDING = re.compile(
    r"(?:[.-](?:gguf|ggml|bin|safetensors))?"
    r"(?::(?:free|nitro|floor|extended|online|exacto|beta))?"  # of OpenRouter: how a call is routed or billed
    r"(?::latest)?$"
)


def _check_served(served: object, endpoint: Endpoint) -> None:
    """Raise :class:`ModelError` if the answer says that another model gave it than the gate names."""
    if not isinstance(served, str) or not served.strip():
        return
    if any(is_same(asked, served) for asked in (endpoint.model, *endpoint.served_as)):
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
    one, other = _taken_apart(asked), _taken_apart(served)
    tuned = "ft" in (one[0][0], other[0][0])
    if len(one) > len(other) or (tuned and len(one) < len(other)):
        return False
    return all(
        first[0] == second[0] and all(a == b or "" in (a, b) for a, b in zip(first[1:], second[1:], strict=True))
        for first, second in zip(one, other, strict=False)
    )


def _taken_apart(name: str) -> list[tuple[str, str, str]]:
    """Return the stem, the date and the format of each part of a name between colons; ``latest`` is no date."""
    last = re.split(r"[/\\]", name.strip().rstrip("/\\").casefold())[-1]
    found = (_NAME.fullmatch(part) for part in _ENDING.sub("", last).split(":"))
    parts = (one.groups("") for one in found if one is not None)
    return [(stem, date.replace("-", "").removeprefix("latest"), form) for stem, date, form in parts]
