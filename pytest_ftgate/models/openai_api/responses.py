"""The Responses API: what is sent to ``/responses``, and what comes back, read without trust."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pytest_ftgate.data.tool_calls import calls_text
from pytest_ftgate.models.openai_api.chat_answer import token_counts
from pytest_ftgate.models.openai_api.endpoint import Endpoint, fields
from pytest_ftgate.models.openai_api.served import check_served
from pytest_ftgate.models.protocol import Completion
from pytest_ftgate.text import kind_of

_INCOMPLETE = {"max_output_tokens": "cut_off", "content_filter": "filtered"}


def request_body(messages: Sequence[Mapping[str, Any]], tools: Mapping[str, Any]) -> dict[str, Any]:
    """Return a conversation and its tools, which are in the shape of chat completions, as this API takes them."""
    body: dict[str, Any] = {"input": [*_items(messages)], **tools}
    if isinstance(tools.get("tools"), list):
        body["tools"] = [_flat(tool) for tool in tools["tools"]]
    choice = tools.get("tool_choice")
    if isinstance(choice, Mapping):
        body["tool_choice"] = _flat(choice)
    return body


def _items(messages: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield messages, calls and their results; a ``function_call`` of the old API gets the id that it lacks."""
    n = 0
    for message in messages:
        if message["role"] in ("tool", "function"):
            call_id = message.get("tool_call_id") or f"call_{n}"
            yield {"type": "function_call_output", "call_id": call_id, "output": message["content"]}
            continue
        if message.get("content"):
            yield {key: value for key, value in message.items() if key in ("role", "content")}
        for call in message.get("tool_calls") or ():
            yield {"type": "function_call", "call_id": call.get("id"), **fields(call.get("function"))}
        if message.get("function_call"):
            n += 1
            yield {"type": "function_call", "call_id": f"call_{n}", **fields(message["function_call"])}


def _flat(tool: Any) -> Any:
    """Return a function tool without the level ``function``, which this API does not have."""
    inner = tool.get("function") if isinstance(tool, Mapping) else None
    return {"type": "function", **inner} if isinstance(inner, Mapping) else tool


def read_response(body: object, endpoint: Endpoint) -> Completion:
    """Return the answer that a response holds.

    Raises:
        ModelError: this is not a response, it comes from another model, or it failed, which is worth another try.
    """
    data = fields(body)
    if data.get("status") == "failed":
        message = str(fields(data.get("error")).get("message"))
        raise endpoint.error("the response failed", retryable=True, evidence=endpoint.quoted(message))
    check_served(data, endpoint)
    output = data.get("output")
    if not isinstance(output, list):
        cure = "check that the endpoint has the Responses API, or remove api: responses"
        raise endpoint.unreadable(f"a response: its output is {kind_of(output)}, not a list", body, cure)
    items = [fields(item) for item in output]
    said = _parts(items, "message", "content")
    text, refusal = _joined(said, "output_text", "text"), _joined(said, "refusal", "refusal")
    reasoning = [_joined(_parts(items, "reasoning", "summary"), "summary_text", "text")]
    calls = [item for item in items if item.get("type") == "function_call"]
    finish = _INCOMPLETE.get(str(fields(data.get("incomplete_details")).get("reason")), "stop")
    if refusal:
        finish, text = "refusal", text or refusal
    elif calls:
        reasoning.append(text)
        text = calls_text([{"name": call.get("name"), "arguments": call.get("arguments")} for call in calls])
    elif data.get("status") == "incomplete" and finish == "stop":
        finish = "cut_off"
    thought = "\n".join(filter(None, reasoning)) or None
    return Completion(text, **token_counts(data.get("usage"), "input", "output"), finish=finish, reasoning=thought)


def _parts(items: Iterable[Mapping[str, Any]], kind: str, key: str) -> list[Mapping[str, Any]]:
    """Return the objects in the lists under ``key`` of all items of a type."""
    lists = (item.get(key) for item in items if item.get("type") == kind)
    return [fields(part) for parts in lists if isinstance(parts, list) for part in parts]


def _joined(parts: Iterable[Mapping[str, Any]], kind: str, key: str) -> str:
    """Return the texts under ``key`` of all parts of a type."""
    texts = (part.get(key) for part in parts if part.get("type") == kind)
    return "".join(text for text in texts if isinstance(text, str))
