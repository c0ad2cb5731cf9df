"""Aliases: names that an endpoint may move to other weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_ftgate.checks.freshness.models import base_in_name, check_name, served_as
from pytest_ftgate.models.openai_api.endpoint import PUBLIC_ENDPOINT, endpoint_of
from pytest_ftgate.result import STATUS_AT, Check, called
from pytest_ftgate.text import excerpt

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context

_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{4})(?=-|$)")

# Families of which OpenAI publishes dated snapshots, and their undated names move from one to the next. A name that
# is none of these is not called an alias: some models have one name and no snapshots.
_FAMILY = re.compile(
    r"(gpt-\d+(\.\d+)?o?|o\d+)(-(mini|nano|pro|turbo|preview|instruct|codex|16k|32k|audio|realtime|search))*"
)


def is_alias(model: str, *, revision: str | None, public: bool) -> bool:
    """Return whether the name is known to stand for whatever weights are the newest.

    Args:
        model: its name at the endpoint.
        revision: what the gate says of the state of the weights, which pins those of an endpoint of one's own.
        public: the endpoint is OpenAI's own, which moves its aliases whatever the gate says.
    """
    if base_in_name(model) is not None or (revision is not None and not public):
        return False
    if re.search(r"[-:]latest$", model):
        return True
    return public and _FAMILY.fullmatch(model) is not None and _SNAPSHOT.search(model) is None


def check(gate: Context) -> Iterator[Check]:
    """Check that no model is named by an alias."""
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
                f"{called(role)} {excerpt(model)} is an alias: it may be moved to another model, and what is measured "
                "today does not hold for that one",
                observed=model,
                source=clock.source("alias"),
                advice="Name the dated snapshot."
                if public
                else "Name a version that stays, or give the model a revision.",
                action="measure_again" if clock.alias == "fail" else None,
            )
