"""The first answers of a model that is asked for something that can be told at a glance: a judge's for a judgement."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pytest_ftgate.errors import ModelError

if TYPE_CHECKING:
    from pytest_ftgate.models import Completion

ENOUGH = 5
"""Useless answers at the start, after which no other is asked for."""


class UselessError(ModelError):
    """Nothing that a model has said so far is of any use."""


class Opening:
    """Counts useless answers until there is one that is of use.

    Args:
        usable: tells whether an answer is of use; ``None``: every one is.
    """

    def __init__(self, usable: Callable[[Completion], bool] | None) -> None:
        self._usable = usable
        self._useless = 0

    def hear(self, completions: Iterable[Completion]) -> UselessError | None:
        """The error that ends the asking, where these answers make it clear that nothing is to be hoped for."""
        for completion in completions:
            if self._usable is None or self._usable(completion):
                self._usable = None
                return None
            self._useless += 1
        if self._useless < ENOUGH:
            return None
        return UselessError(f"none of the first {self._useless} answers is of any use", fatal=True)
