"""What is not known, and how to make it known."""

from typing import NamedTuple


class Unknown(NamedTuple):
    """Hold why something is unknown, as a clause, and how to supply it, as a sentence."""

    why: str
    cure: str


def together(*several: Unknown | None) -> Unknown:
    """Return one unknown for several, each of whose cures is named once; without any both texts are empty."""
    found = [one for one in several if one is not None]
    return Unknown("; ".join(one.why for one in found), " ".join(dict.fromkeys(one.cure for one in found)))
