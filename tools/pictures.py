"""Draw the pictures of the documentation: a terminal as SVG and a report as PNG, of ``examples/voice_commands``.

``python tools/pictures.py`` needs the groups ``example`` and ``browser``, and a Chromium.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT / "docs" / "assets"
LINE, COLUMN, MARGIN = 18, 8.43, 16
COLOURS = (
    (r"^(FAIL|ERROR|INCONCLUSIVE)\b|: FAIL$|\bfailed\b.*=$", "#ff7b72"),
    (r": PASS -|^\S+ \.+ +\[|\bpassed\b.*=$", "#7ee787"),
    (r"^warning ", "#f0cf65"),
    (r"^(gain|fix:)", "#e6edf3;font-weight:700"),
)


def terminal(text: str) -> str:
    """Return the text as an SVG that looks like a terminal of 80 columns."""
    lines = text.splitlines()
    height, width = len(lines) * LINE + 2 * MARGIN, round(80 * COLUMN + 2 * MARGIN)
    rows = []
    for number, line in enumerate(lines):
        colour = next(
            (colour for pattern, colour in COLOURS if re.search(pattern, line)), "#c9d1d9"
        )
        y = MARGIN + (number + 1) * LINE - 5
        rows.append(
            f'<text x="{MARGIN}" y="{y}" style="fill:{colour}" xml:space="preserve">{escape(line)}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'style="font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace">\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>\n'
        + "\n".join(rows)
        + "\n</svg>\n"
    )


def run(folder: Path, *args: str) -> str:
    """Run pytest in a folder, and return what it prints from the first test on."""
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", *args]
    environment = {**os.environ, "COLUMNS": "80", "GITHUB_ACTIONS": ""}
    found = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=environment
    )
    start = re.search(r"^test_\S+ [.FE]", found.stdout, flags=re.MULTILINE)
    assert start, found.stdout + found.stderr
    return found.stdout[start.start() :]


def screenshot(page: Path, target: Path) -> None:
    """Write the first screen of a page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        window = browser.new_page(viewport={"width": 1280, "height": 800})
        window.goto(page.as_uri())
        window.screenshot(path=target)
        browser.close()


def main() -> None:
    """Write both pictures."""
    ASSETS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "voice_commands"
        shutil.copytree(
            ROOT / "examples" / "voice_commands", folder, ignore=shutil.ignore_patterns(".ftgate")
        )
        tests = ("test_gate.py", "test_refused.py::test_gain_is_below_the_margin")
        (ASSETS / "terminal.svg").write_text(terminal(run(folder, *tests)), encoding="utf-8")
        run(folder, "test_gate.py", "--ftgate-report=html:report.html")
        screenshot(folder / "report.html", ASSETS / "report.png")


if __name__ == "__main__":
    main()
