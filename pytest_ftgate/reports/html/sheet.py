"""The page of a blind rating sheet: one file that works offline and saves the choices."""

from __future__ import annotations

import json
from html import escape
from string import Template
from typing import TYPE_CHECKING

from pytest_ftgate.reports.html.assets import asset, policy, script_data

if TYPE_CHECKING:
    from pytest_ftgate.judges.sheets import Sheet


def sheet_page(sheet: Sheet, question: str) -> str:
    """Return the page. It does not hold the key, and all texts of models are data that its script shows as text."""
    style, script = asset("style.css") + asset("sheet.css"), asset("sheet.js")
    data = {
        "sheet": sheet.id,
        "gate": sheet.gate,
        "pairs": [[one.id, one.input, *one.shown, one.equal] for one in sheet.pairs],
    }
    return Template(asset("sheet.html")).substitute(
        policy=policy(style, script),
        style=style,
        script=script,
        question=escape(question),
        data=script_data(json.dumps(data, separators=(",", ":"))),
    )
