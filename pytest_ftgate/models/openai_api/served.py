"""Compare the model that an answer names with the one that was asked: a router may have sent the call to another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pytest_ftgate.models.openai_api.endpoint import Endpoint, text_or_none

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
    one, other = _parts(asked), _parts(served)
    tuned = "ft" in (one[0], other[0])
    if len(one) > len(other) or (tuned and len(one) < len(other)):
        return False
    return all(_agree(first, second) for first, second in zip(one, other, strict=False))


def _parts(name: str) -> list[str]:
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
