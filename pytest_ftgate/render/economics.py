"""The economics of a fine-tune as a small table and a sentence."""

from __future__ import annotations

from pytest_ftgate.money.economics import Economics, Volume, dollars, show_days, whole_calls
from pytest_ftgate.numbers import plural, show_number, show_usd


def economics_lines(economics: Economics) -> list[str]:
    """At most eight lines, and all but the last, the sentence, within 80 columns for any usual amount.

    What is unknown at any number of calls gets no table.
    """
    each = [show_usd(cost) for cost in (economics.baseline_usd_per_1000_calls, economics.candidate_usd_per_1000_calls)]
    return [
        f"economics: 1,000 calls cost {each[0]} (baseline), {each[1]} (candidate)",
        f"  once: training {dollars(economics.training_cost_usd)}, {_declared('data preparation', economics)}",
        f"  by the month: {_declared('hosting', economics)}, {_declared('retraining', economics)}",
        *_volumes(economics.volumes),
        economics.sentence,
    ]


def _declared(name: str, economics: Economics) -> str:
    if name in economics.undeclared:
        return f"{name} not declared"
    if name == "retraining":
        return f"retraining {dollars(economics.retraining_usd_per_month)}"
    amount = economics.data_cost_usd if name == "data preparation" else economics.hosting_usd_per_month
    return f"{name} {dollars(amount)}"


def _volumes(volumes: tuple[Volume, ...]) -> list[str]:
    rows = volume_cells(volumes)
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return [f"  {row[0]:>{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]}" for row in rows]


def volume_cells(volumes: tuple[Volume, ...]) -> list[tuple[str, str, str]]:
    """What each number of calls comes to, below a row of headings; nothing where that is unknown."""
    if all(one.monthly_saving_usd is None and one.breaks_even is None for one in volumes):
        return []
    rows = [("calls a month", "saved a month", "pays for itself after")]
    return rows + [
        (show_number(one.calls_per_month or 0), dollars(one.monthly_saving_usd), _payback(one)) for one in volumes
    ]


def _payback(volume: Volume) -> str:
    if volume.breaks_even is False:
        return "never"
    if volume.break_even_days is None or volume.break_even_calls is None:
        return "unknown"
    calls = plural(whole_calls(volume.break_even_calls), "call")
    return f"{show_days(volume.break_even_days)} ({calls})"
