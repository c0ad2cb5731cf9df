"""Read the body of a chat completion as untrusted data: compatible servers differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pytest_ftgate.data.tool_calls import calls_text
from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.openai_api.endpoint import Endpoint, Refusal, count_or_none, error_in, fields, refused
from pytest_ftgate.models.openai_api.served import check_served
from pytest_ftgate.models.protocol import Completion, is_count
from pytest_ftgate.text import kind_of

_REASONING = ("reasoning_content", "reasoning")  # as DeepSeek and vLLM name it; as OpenRouter and Together do
_OF_TEXT = ("text", "output_text")
_FINISHES = {"length": "cut_off", "content_filter": "filtered"}


def read_answer(body: object, endpoint: Endpoint) -> Completion:
    """Return the first choice of a chat completion, given as JSON data, or as text if it was not declared as JSON.

    Raises:
        ModelError: this is not a chat completion, or it comes from another model. Only text that is not JSON is worth
            another try: a proxy or a restart may have truncated it.
    """
    data = _decoded(body, endpoint)
    check_served(data, endpoint)
    message, finish = _first_choice(data, endpoint)
    content = _text(message.get("content"))
    if content is None:
        raise _broken(f"the content is {kind_of(message['content'])}, neither text nor parts of text", data, endpoint)
    refusal, calls = message.get("refusal"), message.get("tool_calls")
    reasoning = [message[key] for key in _REASONING if isinstance(message.get(key), str) and message[key]]
    if isinstance(refusal, str) and refusal:
        finish, content = "refusal", content or refusal
    elif isinstance(calls, list) and calls:
        reasoning += [content] if content else []  # what is said beside the calls
        content = calls_text(calls)
    return Completion(
        content,
        **token_counts(data.get("usage"), "prompt", "completion"),
        finish=finish,
        reasoning="\n".join(reasoning) or None,
    )


def _text(content: object) -> str | None:
    """Return a message's content, which may come in parts; ``None`` where that holds something else than text."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        return None
    texts = [part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") in _OF_TEXT]
    found = [text for text in texts if isinstance(text, str)]
    return "".join(found) if len(found) == len(content) else None


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
    if not isinstance(choices, list) or not choices:
        error = error_in(data)
        if is_count(error.get("code")) and error["code"] >= 400:  # routers report a provider's failure so, as HTTP 200
            raise refused(Refusal(error["code"], error), endpoint)
        raise _broken("it holds no choice", data, endpoint)
    message = choices[0].get("message") if isinstance(choices[0], Mapping) else None
    if not isinstance(message, Mapping):
        raise _broken("its first choice holds no message", data, endpoint)
    reason = choices[0].get("finish_reason")
    return message, _FINISHES.get(reason, "stop") if isinstance(reason, str) else "stop"


def token_counts(usage: object, of_input: str, of_output: str) -> dict[str, Any]:
    """Return the token counts of an answer by an API's names of them; anything that is not a count is left out."""
    counts = fields(usage)
    details = fields(counts.get(f"{of_input}_tokens_details"))
    return {
        "input_tokens": count_or_none(counts.get(f"{of_input}_tokens")),
        "output_tokens": count_or_none(counts.get(f"{of_output}_tokens")),
        "cached_input_tokens": count_or_none(details.get("cached_tokens")),
        "cache_write_tokens": count_or_none(details.get("cache_write_tokens")),
    }


def _broken(what: str, data: object, endpoint: Endpoint) -> ModelError:
    cure = "check that base_url is an OpenAI-compatible API, and that the model is a chat model"
    return endpoint.unreadable(f"a chat completion: {what}", data, cure)
