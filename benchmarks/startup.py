"""What pytest's start costs with this plugin, as ratios of CPU and wall seconds of processes.

    python benchmarks/startup.py --rounds 20

These run in turn::

    pytest      one empty test, without this plugin
    nothing     the same, with a plugin that does nothing
    unused      the same, with this plugin installed and unused
    first       the gate of accuracy as in CI, where pytest has compiled none of our modules yet;
                found by its entry point, with a wheel installed: pytest compiles those of a wheel
    accuracy    one gate on the recorded answers of two models, 1,000 examples
    f1_macro    the same gate, decided by macro-F1, whose bound is a jackknife over the examples
    sklearn     no plugin and no test: import pytest, sklearn.metrics

Printed are medians over the rounds, each taken round by round: CPU seconds, user and system, and
their ratio to ``pytest``; wall seconds and their ratio to ``sklearn``; then the share that a gate
has of its own, ``accuracy`` less ``pytest``, beside what importing scikit-learn takes. Last come
the modules that loaded for ``unused``, and the libraries for each gate.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from throughput import Cost, cost_of

import pytest_ftgate

LABELS = ("refund", "invoice", "shipping")
EXAMPLES = 1000
TRAINING = 1000
HEAVY = [
    "numpy",
    "scipy",
    "sklearn",
    "pydantic",
    "yaml",
    "openai",
    "httpx",
    "httpx2",
    "jinja2",
    "asyncio",
    "sqlite3",
]

_GATE = """
import pytest
@pytest.mark.ftgate(
    test_set="test.jsonl", training_set="train.jsonl", metric="{metric}", margin=0.05,
    baseline="recorded:base.jsonl", candidate="recorded:tuned.jsonl",
)
def test_gate(ftgate): assert ftgate.verdict == "pass"
"""
_LOADED = f"""
import sys
def pytest_unconfigure():
    print("ours:", *sorted(name for name in sys.modules if name.startswith("pytest_ftgate")))
    print("libraries:", *(name for name in {HEAVY!r} if name in sys.modules))
"""
_PLUGIN = ("-p", "pytest_ftgate.plugin")
PYTEST = ("-m", "pytest", "-q")
WAYS: Mapping[str, tuple[str, ...]] = {
    "pytest": (*PYTEST, "test_empty.py"),
    "nothing": (*PYTEST, "-p", "does_nothing", "test_empty.py"),
    "unused": (*PYTEST, *_PLUGIN, "test_empty.py"),
    "first": (*PYTEST, "test_accuracy.py"),
    "accuracy": (*PYTEST, *_PLUGIN, "test_accuracy.py"),
    "f1_macro": (*PYTEST, *_PLUGIN, "test_f1_macro.py"),
    "sklearn": ("-c", "import pytest, sklearn.metrics"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        write(project)
        for name in WAYS:
            cost(project, name)  # byte code and disk caches
        report([{name: cost(project, name) for name in WAYS} for _ in range(rounds)])
        for name in ("unused", "accuracy", "f1_macro"):
            print(f"\n{name}", *loaded(project, WAYS[name], modules=name == "unused"), sep="\n")


def write(project: Path) -> None:
    """Write a project with an empty test, and a gate for each metric on recorded answers."""

    def write_jsonl(name: str, rows: Iterable[Mapping[str, str]]) -> None:
        (project / name).write_text(
            "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
        )

    def answers(wrong: Iterable[int]) -> list[Mapping[str, str]]:
        labels = [LABELS[(i + (i in wrong)) % len(LABELS)] for i in range(EXAMPLES)]
        return [{"id": f"t{i}", "output": label} for i, label in enumerate(labels)]

    expected = [LABELS[i % len(LABELS)] for i in range(TRAINING)]
    rows = [
        {"id": f"t{i}", "input": f"customer question {i}", "expected": expected[i]}
        for i in range(EXAMPLES)
    ]
    write_jsonl("test.jsonl", rows)
    write_jsonl(
        "train.jsonl",
        (
            {"input": f"training question {i}", "expected": label}
            for i, label in enumerate(expected)
        ),
    )
    write_jsonl("base.jsonl", answers(range(800, EXAMPLES)))
    write_jsonl("tuned.jsonl", answers((0, 1, 998, 999)))
    for metric in ("accuracy", "f1_macro"):
        (project / f"test_{metric}.py").write_text(_GATE.format(metric=metric), encoding="utf-8")
    (project / "test_empty.py").write_text("def test_empty(): pass\n", encoding="utf-8")
    (project / "does_nothing.py").write_text(
        "def pytest_configure(config): pass\n", encoding="utf-8"
    )
    (project / "tells_what_loaded.py").write_text(_LOADED, encoding="utf-8")
    (project / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")


def report(costs: list[dict[str, Cost]]) -> None:
    def own(cost: Mapping[str, Cost], name: str) -> float:
        return cost[name].cpu_s - cost["pytest"].cpu_s

    print(f"{len(costs)} rounds        CPU seconds   beside pytest   wall seconds   beside sklearn")
    for name in WAYS:
        cpu, wall = (
            statistics.median(getattr(cost[name], kind) for cost in costs)
            for kind in ("cpu_s", "wall_s")
        )
        cpu_ratio = statistics.median(cost[name].cpu_s / cost["pytest"].cpu_s for cost in costs)
        wall_ratio = statistics.median(cost[name].wall_s / cost["sklearn"].wall_s for cost in costs)
        print(f"  {name:<16} {cpu:>9.3f} {cpu_ratio:>14.2f}x {wall:>14.3f} {wall_ratio:>15.2f}x")
    unused = statistics.median(cost["unused"].cpu_s / cost["nothing"].cpu_s for cost in costs)
    accuracy, sklearn = (
        statistics.median(own(cost, name) for cost in costs) for name in ("accuracy", "sklearn")
    )
    ratio = statistics.median(own(cost, "accuracy") / own(cost, "sklearn") for cost in costs)
    print(f"  unused beside nothing: {unused:.3f}x")
    print(
        f"  own share of accuracy {accuracy:.3f} s, of importing scikit-learn {sklearn:.3f} s: "
        f"{ratio:.2f}x"
    )


def cost(project: Path, name: str) -> Cost:
    """Run one of the ways in a process of its own.

    Before ``first``, pytest's byte code of our modules is deleted.
    """
    if name == "first":
        for compiled in Path(pytest_ftgate.__file__).parent.rglob("*pytest-*.pyc"):
            compiled.unlink()
    environment = _environment(project)
    if name == "first":
        del environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
    return cost_of([sys.executable, *WAYS[name]], project, environment)


def loaded(project: Path, arguments: Iterable[str], *, modules: bool) -> list[str]:
    """Return the lines that say which libraries, and which modules of ours, a run has loaded."""
    command = [sys.executable, *arguments, "-p", "tells_what_loaded"]
    run = subprocess.run(
        command, cwd=project, env=_environment(project), capture_output=True, text=True, check=True
    )
    prefixes = ("ours:", "libraries:") if modules else ("libraries:",)
    return [line for line in run.stdout.splitlines() if line.startswith(prefixes)]


def _environment(project: Path) -> dict[str, str]:
    """Return the environment: no other installed plugin is loaded, and byte code is kept."""
    path = os.pathsep.join(filter(None, (str(project), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": path}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


if __name__ == "__main__":
    main()
