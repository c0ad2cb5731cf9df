"""What was taken away around an input, and when two inputs without their surroundings are the same all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Around:
    """The words that stood before and after a text, and whether they are all of what the set has in common.

    A part of it is taken away too: where all questions within a prompt begin with "where", no one can tell that word
    from the prompt's.
    """

    before: str = ""
    after: str = ""
    whole_before: bool = False
    whole_after: bool = False

    def fits(self, other: Around) -> bool:
        """Whether of two equal texts the one within all of its words holds the other with what stood around that."""
        return _holds(self.before, self.whole_before, other.before, other.whole_before, str.endswith) and _holds(
            self.after, self.whole_after, other.after, other.whole_after, str.startswith
        )


def _holds(one: str, one_whole: bool, other: str, other_whole: bool, at: Callable[[str, str], bool]) -> bool:
    if one_whole and (not other or at(f" {one} ", f" {other} ")):
        return True
    return one == other or (other_whole and (not one or at(f" {other} ", f" {one} ")))


BARE = Around()
