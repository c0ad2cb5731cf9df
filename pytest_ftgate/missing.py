"""What brings an answer that is missing."""

from __future__ import annotations

OFFLINE = (
    "nothing that is recorded or stored fits these requests, and --ftgate-offline forbids asking "
    "(were the prompt, the model or its parameters changed?)"
)
"""Why an endpoint's answer is missing offline."""

_RECORD = "Record anew with a key: `python -m pytest --ftgate-report=recordings:recordings`, and commit the folder."
_AGAIN = "Run again: what arrived is kept (unless --ftgate-cache=off), only the missing answers are asked for."


def cure_of(error: str | None) -> str:
    """What to do about answers that are missing because of this error."""
    return _RECORD if error == OFFLINE else _AGAIN
