"""Draw the pictures of the documentation: terminals as SVG, the report as PNG.

``python tools/pictures.py`` needs the groups ``example`` and ``browser``, and a Chromium. Terminals
have the colours that pytest and the plugin print; all pictures have a light and a dark form.
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
LINE_HEIGHT, CHARACTER_WIDTH, MARGIN = 18, 8.43, 16
COLUMNS = 80
PASSES = "test_gate.py"
FAILS = "test_refused.py::test_gain_is_below_the_margin"

ESCAPE = re.compile(r"\x1b\[([\d;]*)m")
CLASSES = {"1": "bold", "31": "red", "32": "green", "33": "yellow", "36": "cyan"}
STYLE = """
text { fill: #1b1f24; } rect { fill: #f6f8fa; } .bold { font-weight: 700; }
.red { fill: #a3141f; } .green { fill: #116329; }
.yellow { fill: #725000; } .cyan { fill: #0b5cad; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } rect { fill: #161b22; }
  .red { fill: #ffaba8; } .green { fill: #7ee787; }
  .yellow { fill: #f0cf65; } .cyan { fill: #79b8ff; }
}
"""


def terminal(text: str) -> str:
    """Return what a program prints, with its colours, as an SVG of a terminal of 80 columns."""
    rows = []
    for line in text.splitlines():
        for markup in spans(line):
            y = MARGIN + (len(rows) + 1) * LINE_HEIGHT - 5
            rows.append(f'<text x="{MARGIN}" y="{y}" xml:space="preserve">{markup}</text>')

    height = len(rows) * LINE_HEIGHT + 2 * MARGIN
    width = round(COLUMNS * CHARACTER_WIDTH + 2 * MARGIN)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'style="font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace">\n'
        f"<style>{STYLE}</style>\n"
        f'<rect width="{width}" height="{height}" rx="8"/>\n' + "\n".join(rows) + "\n</svg>\n"
    )


def spans(line: str) -> list[str]:
    """Return a line as rows of a terminal, with spans in place of its escape sequences."""
    rows = [""]
    free = COLUMNS
    classes: list[str] = []
    pieces = ESCAPE.split(line)  # text and codes take turns
    for number, piece in enumerate(pieces):
        if number % 2:
            for code in piece.split(";"):
                classes = [*classes, CLASSES[code]] if code in CLASSES else []
            continue
        while piece:
            markup = escape(piece[:free], quote=False)
            if classes:
                markup = f'<tspan class="{" ".join(classes)}">{markup}</tspan>'
            rows[-1] += markup
            piece, free = piece[free:], free - len(piece[:free])
            if piece:
                rows.append("")
                free = COLUMNS
    return rows


def run(folder: Path, *args: str) -> str:
    """Run pytest in a folder, and return what it prints from the first test on."""
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "--color=yes", *args]
    environment = {**os.environ, "COLUMNS": str(COLUMNS)}
    for name in ("CI", "BUILD_NUMBER", "GITHUB_ACTIONS"):  # with these pytest cuts no line
        environment.pop(name, None)
    result = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=environment
    )
    first = re.search(r"^test_\S+ .*$", result.stdout, flags=re.MULTILINE)
    assert first, result.stdout + result.stderr
    return result.stdout[first.start() :]


def screenshot(page: Path, target: Path, scheme: str) -> None:
    """Write the first screen of a page in a colour scheme."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        viewport = {"width": 1000, "height": 640}
        context = browser.new_context(
            viewport=viewport, color_scheme=scheme, device_scale_factor=1.5
        )
        window = context.new_page()
        window.goto(page.as_uri())
        window.screenshot(path=target)
        browser.close()


def copied_example(parent: str, name: str) -> Path:
    """Return a new copy of the example, in which no answer is stored."""
    ignored = shutil.ignore_patterns(".ftgate", "__pycache__")
    return shutil.copytree(
        ROOT / "examples" / "voice_commands", Path(parent) / name, ignore=ignored
    )


def main() -> None:
    """Write all pictures."""
    ASSETS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as parent:
        folder = copied_example(parent, "fails")
        (ASSETS / "terminal-red.svg").write_text(terminal(run(folder, FAILS)), encoding="utf-8")
        folder = copied_example(parent, "passes")
        (ASSETS / "terminal.svg").write_text(terminal(run(folder, PASSES)), encoding="utf-8")
        run(folder, PASSES, "--ftgate-report=html:report.html")  # of the stored answers
        for scheme, name in (("light", "report.png"), ("dark", "report-dark.png")):
            screenshot(folder / "report.html", ASSETS / name, scheme)


if __name__ == "__main__":
    main()
