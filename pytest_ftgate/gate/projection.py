"""Project the tokens and the cost of a gate's calls from answers that its models have given before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, TypeVar

from pytest_ftgate.checks.planned_calls import Planned
from pytest_ftgate.models.price import price_of, tokens_usd

if TYPE_CHECKING:
    from pytest_ftgate.models import Model
    from pytest_ftgate.result import ModelResult
    from pytest_ftgate.runs.runner import Run

Amount = TypeVar("Amount", int, float)


@dataclass(frozen=True)
class Cost:
    """Hold calls of one model with their tokens and US dollars; None is unknown, and ``unknown`` says why.

    Attributes:
        most: ``calls`` is an upper limit.
        purposes: what the calls are for, with their number.
    """

    name: str
    calls: int
    input_tokens: int | None = None
    output_tokens: int | None = None
    usd: float | None = None
    unknown: str | None = None
    most: bool = False
    purposes: tuple[tuple[str, int], ...] = ()

    @property
    def tokens(self) -> int | None:
        """Return the tokens of prompts and answers together."""
        return total_of([self.input_tokens, self.output_tokens])


def total_of(amounts: Sequence[Amount | None]) -> Amount | None:
    """Return the sum of all; unknown if one of them is."""
    return None if None in amounts else sum(one for one in amounts if one is not None)


def total(costs: Sequence[Cost]) -> Cost:
    """Return the sum of all costs; what is unknown of one model is unknown of all."""
    return Cost(
        "all",
        sum(one.calls for one in costs),
        total_of([one.input_tokens for one in costs]),
        total_of([one.output_tokens for one in costs]),
        total_of([one.usd for one in costs]),
        most=any(one.most for one in costs),
    )


@dataclass(frozen=True)
class Habits:
    """Hold what a model has shown: input tokens per character sent, output tokens and dollars per answer."""

    model: Model
    facts: ModelResult
    input_tokens: float | None
    output_tokens: float | None
    usd: float | None

    @classmethod
    def of(cls, run: Run, facts: ModelResult) -> Habits:
        answered = [
            example for example, one in zip(run.test_set, run.predictions[0], strict=True) if one.completion is not None
        ]
        n, characters = len(answered), sum(map(run.model.characters, answered))
        return cls(
            run.model,
            facts,
            facts.input_tokens / characters if characters and facts.input_tokens is not None else None,
            facts.output_tokens / n if n and facts.output_tokens is not None else None,
            facts.cost_usd / n if n and facts.cost_usd is not None else None,
        )


def projected(
    planned: Sequence[Planned], habits: Mapping[str, Habits], names: Mapping[str, str], *, unknown: str
) -> dict[str, Cost]:
    """Return the calls of the whole gate by role; answers that are stored already are counted, too.

    ``habits`` and shown ``names`` are of models that have answered; ``unknown`` says why others have an unknown cost.
    """
    found: dict[str, Cost] = {}
    for role in dict.fromkeys([*habits, *(one.role for one in planned)]):
        own = [one for one in planned if one.role == role]
        calls, most = sum(one.calls for one in own), any(one.most for one in own)
        purposes = tuple((one.purpose, one.calls) for one in own if one.calls)
        name = names.get(role, f"{role} ({own[0].name})")
        if role not in habits:
            found[role] = Cost(name, calls, unknown=unknown, most=most, purposes=purposes)
        elif not calls:
            found[role] = Cost(name, 0, 0, 0, 0.0)
        else:
            found[role] = replace(_cost(own, habits[role], calls), name=name, purposes=purposes)
    return found


def _cost(planned: Sequence[Planned], seen: Habits, calls: int) -> Cost:
    inputs = outputs = usd = None
    if seen.input_tokens is not None:
        characters = sum(
            one.job.repeats * sum(map(one.job.model.characters, one.job.test_set)) for one in planned if one.job
        )
        inputs = ceil(seen.input_tokens * characters)
    if seen.output_tokens is not None:
        outputs = ceil(seen.output_tokens * calls)
    price = price_of(seen.model)
    if price.gpu_hour_usd is not None and seen.usd is not None:
        usd = seen.usd * calls
    elif seen.usd is not None and inputs is not None and outputs is not None:
        usd = tokens_usd(replace(price, most_input_tokens=None), inputs, outputs)
    return Cost("", calls, inputs, outputs, usd, seen.facts.cost_unknown)
