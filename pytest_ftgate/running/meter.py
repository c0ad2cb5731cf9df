"""What each call of one model costs, reserved before it is made and settled when it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_ftgate.money.price import cost_of, price_of
from pytest_ftgate.running.budget import most_output_tokens

if TYPE_CHECKING:
    from pytest_ftgate.data import Example
    from pytest_ftgate.models import Completion, Model
    from pytest_ftgate.running.budget import Budget, Reservation


class Meter:
    """One model's calls on a budget.

    Args:
        budget: what may be spent.
        model: whose calls they are.
    """

    def __init__(self, budget: Budget, model: Model) -> None:
        self._budget = budget
        self._model = model
        self._price = price_of(model)
        self._most_output = most_output_tokens(getattr(model, "params", {}))

    def reserve(self, examples: Sequence[Example]) -> list[Reservation]:
        """Set aside what answers to these examples may cost: all of them, or none.

        Raises:
            ModelError: fatal; that would pass the limit.
        """
        made: list[Reservation] = []
        try:
            for example in examples:
                length = characters(self._model, example)
                made.append(self._budget.reserve(self._model.name, self._price, length, self._most_output))
        except BaseException:
            for reservation in made:
                self._budget.settle(reservation, 0.0)  # nothing was sent
            raise
        return made

    def settle(self, reservation: Reservation, completion: Completion | None, busy_s: float | None = None) -> None:
        """Book what an answer has cost; without one, the estimate."""
        usd = None if completion is None else cost_of(completion, self._price, busy_s)
        self._budget.settle(reservation, usd, completion=completion, busy_s=busy_s)


def characters(model: Model, example: Example) -> int:
    """How long the question is: as the model says, which knows its prompt, else of the input alone."""
    told = getattr(model, "characters", None)
    if callable(told):
        length: int = told(example)
        return length
    if isinstance(example.input, str):
        return len(example.input)
    return sum(len(str(message.get("content"))) for message in example.input)
