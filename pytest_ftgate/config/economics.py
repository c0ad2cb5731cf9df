"""The keys of ``economics``: what fine-tuning costs besides its answers, and what it must bring."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pytest_ftgate.config.keys import Keys, optional
from pytest_ftgate.config.weaker import Weaker

_MOST = 1e12  # beyond any use; sums of a few of them are still finite

Dollars = Annotated[float, Field(ge=0, le=_MOST, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=_MOST, allow_inf_nan=False)]


class EconomicsKeys(Keys):
    """What fine-tuning costs besides its answers, and what it must bring."""

    calls_per_month: Rate = optional("Calls that the model will answer in a month.")
    training_cost_usd: Dollars = optional(
        "What training cost; without it the trained tokens of a fine-tuning job times the candidate's "
        "price.training_per_1m."
    )
    data_cost_usd: Dollars = optional("What preparing the training data cost.")
    hosting_usd_per_month: Dollars = optional("What hosting the candidate costs in a month, whatever it answers.")
    retrains_per_year: Dollars = optional("How often it is trained again in a year, at the same cost of training.")
    max_break_even_days: Annotated[Dollars, Weaker("higher")] = optional(
        "The fine-tune must have paid for itself after so many days."
    )
    min_monthly_saving_usd: Annotated[Dollars, Weaker("lower")] = optional(
        "The fine-tune must save so much in a month."
    )
