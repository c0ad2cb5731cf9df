"""Detect model aliases: names that an endpoint may point to other weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_ftgate.checks.freshness.last_green import base_in_name, check_name, served_as
from pytest_ftgate.models.openai_api.endpoint import PUBLIC_ENDPOINT, endpoint_of
from pytest_ftgate.result import STATUS_AT, Check, called
from pytest_ftgate.text import excerpt

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context

_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{4})(?=-|$)")

# Families with dated snapshots at OpenAI, whose undated names move from one snapshot to the next. Other names are not
# reported as aliases, because some models have a single name and no snapshots.
_FAMILY = re.compile(
    r"(gpt-\d+(\.\d+)?o?|o\d+)(-(mini|nano|pro|turbo|preview|instruct|codex|16k|32k|audio|realtime|search))*"
)


def is_alias(model: str, *, revision: str | None, public: bool) -> bool:
    """Return whether the name is known to point to the newest weights.

    Args:
        model: the name at the endpoint.
        revision: the revision in the gate, which pins the weights of a self-hosted endpoint.
        public: the endpoint is OpenAI's, which moves its aliases whatever the gate says.
    """
    if base_in_name(model) is not None or (revision is not None and not public):
        return False
    if re.search(r"[-:]latest$", model):
        return True
    return public and _FAMILY.fullmatch(model) is not None and _SNAPSHOT.search(model) is None


def check(gate: Context) -> Iterator[Check]:
    """Check that no model is an alias."""
    clock, known = gate.config.clock, set()
    if clock.alias == "ignore":
        return
    for role in gate.models:
        spec = gate.asked(role)
        model, revision = served_as(spec), spec.options.get("revision")
        if model is None or model in known:
            continue
        public = endpoint_of(spec, model).base_url == PUBLIC_ENDPOINT
        if is_alias(model, revision=revision, public=public):
            known.add(model)
            yield Check(
                check_name("alias", role),
                STATUS_AT[clock.alias],
                f"{called(role)} {excerpt(model)} is an alias: the endpoint may point it to another model, for which "
                "this result does not hold",
                observed=model,
                source=clock.source("alias"),
                advice="Use a dated snapshot." if public else "Use a fixed version, or give the model a revision.",
                action="measure_again" if clock.alias == "fail" else None,
            )
