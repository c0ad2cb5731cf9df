"""What the plugin costs a suite without a gate: `pytest --collect-only` on one empty test, in turn, as ratios.

Compares three runs of the same pytest: without this plugin, with a plugin that does nothing, and with this plugin
installed and unused. Prints medians over the rounds, ratios taken round by round, and the modules of ours that loaded.

    python benchmarks/startup.py --rounds 20
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_LOADED = """
import sys
def pytest_unconfigure():
    ours = sorted(name for name in sys.modules if name.startswith("pytest_ftgate"))
    print("loaded:", ", ".join(ours))
    heavy = {"openai", "sklearn", "scipy", "numpy", "yaml", "pydantic", "httpx2", "sqlite3", "asyncio"}
    heavy &= set(sys.modules)
    print("heavy:", ", ".join(sorted(heavy)) or "none")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "test_empty.py").write_text("def test_empty(): pass\n", encoding="utf-8")
        (project / "does_nothing.py").write_text("def pytest_configure(config): pass\n", encoding="utf-8")
        (project / "tells_what_loaded.py").write_text(_LOADED, encoding="utf-8")
        (project / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        _compare(project, rounds)


def _compare(project: Path, rounds: int) -> None:
    ways = {
        "without": [],
        "does nothing": ["-p", "does_nothing"],
        "pytest-ftgate": ["-p", "pytest_ftgate.plugin"],
    }
    for arguments in ways.values():
        _seconds(project, arguments)  # byte code and disk caches
    times = {name: [] for name in ways}
    for _ in range(rounds):
        for name, arguments in ways.items():
            times[name].append(_seconds(project, arguments))
    print(f"{rounds} rounds, seconds: median (lowest)")
    for name, taken in times.items():
        print(f"  {name:<14} {statistics.median(taken):.3f} ({min(taken):.3f})")
    for other in ("without", "does nothing"):
        ratios = [ours / theirs for ours, theirs in zip(times["pytest-ftgate"], times[other], strict=True)]
        lowest = min(times["pytest-ftgate"]) / min(times[other])
        print(
            f"  pytest-ftgate against {other}: median of ratios {statistics.median(ratios):.3f}, of lowest {lowest:.3f}"
        )
    output = _run(project, [*ways["pytest-ftgate"], "-p", "tells_what_loaded"]).stdout
    print(*(line for line in output.splitlines() if line.startswith(("loaded:", "heavy:"))), sep="\n")


def _seconds(project: Path, arguments: list[str]) -> float:
    start = time.perf_counter()
    _run(project, arguments)
    return time.perf_counter() - start


def _run(project: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    # No other installed plugin takes part; each way loads what it names.
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(project)}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *arguments]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=True)


if __name__ == "__main__":
    main()
