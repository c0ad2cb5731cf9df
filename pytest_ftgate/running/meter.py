"""What each call of one model costs, reserved before it is made and settled when it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_ftgate.errors import ModelError
from pytest_ftgate.money.price import cost_of, price_of
from pytest_ftgate.running.budget import Call
from pytest_ftgate.running.estimate import most_output_tokens

if TYPE_CHECKING:
    from pytest_ftgate.data import Example
    from pytest_ftgate.models import Completion, Model
    from pytest_ftgate.running.budget import Budget, Reservation


class Meter:
    """One model's calls on a budget, in one run.

    Args:
        budget: what may be spent.
        model: whose calls they are.
    """

    def __init__(self, budget: Budget, model: Model) -> None:
        self._budget = budget
        self._model = model
        self._price = price_of(model)
        self._most_output = most_output_tokens(getattr(model, "params", {}))
        self._closed = False

    async def reserve(self, examples: Sequence[Example]) -> list[Reservation]:
        """Set aside what answers to these examples may cost, all of them at once, and wait for that if need be.

        Raises:
            ModelError: fatal; that would pass the limit.
        """
        lengths = [characters(self._model, example) for example in examples]
        call = Call(self._model.name, self._price, lengths, self._most_output, owner=self)
        return await self._budget.reserve(call)

    def settle(
        self, reservation: Reservation, found: Completion | ModelError | None, busy_s: float | None = None
    ) -> None:
        """Book what a question has cost.

        Args:
            reservation: of this question.
            found: the answer, or why there is none: where that may have cost something, the estimate counts.
            busy_s: the answer's share of the seconds in which the model was busy.
        """
        answer, usd = None, None
        if isinstance(found, ModelError):
            usd = 0.0 if found.unpaid else None
        elif found is not None:
            answer, usd = found, cost_of(found, self._price, busy_s)
        try:
            self._budget.settle(reservation, usd, completion=answer, busy_s=busy_s)
        except KeyError:
            if not self._closed:
                raise

    def close(self) -> None:
        """The run has ended. What of it still hangs is booked, so that nobody waits for it."""
        self._closed = True
        self._budget.close(self)


def characters(model: Model, example: Example) -> int:
    """How long the question is: as the model says, which knows its prompt, else of the input alone."""
    told = getattr(model, "characters", None)
    if callable(told):
        length: int = told(example)
        return length
    if isinstance(example.input, str):
        return len(example.input)
    return sum(len(str(message.get("content"))) for message in example.input)
