"""What becomes of an evaluation on an endpoint's bad day, beside a plain script around ``AsyncOpenAI``.

    pip install -e '.[fast]'
    python benchmarks/faults.py                       # 500 examples, 2 models, 16 calls at a time, 50 ms a call

Of all requests 30 % are answered with 429, 5 % dropped, 3 % answered with 500, 2 % cut off, 1 % answered with HTML and
status 200, 5 % slow by a second; once the server is gone for a second. Printed are for each contender: what the server
met, the answers that are missing in the end, questions that were asked again although their answer had been sent (more
than those on their way at the restart would be too many), wall-clock seconds, and whether the result is that of a good
day.

``script``   ``chat.completions.create`` with ``max_retries=5`` under a semaphore; a call that fails is a missing answer
``gate``     pytest with a gate
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from throughput import asked, project, serving


def script(url: str, concurrency: int) -> None:
    """Print the number of right answers of both models, and of missing ones."""
    found = asked(url, concurrency, max_retries=5)
    print(json.dumps({"right": [one.count(True) for one in found], "missing": sum(one.count(None) for one in found)}))


def gate(folder: Path) -> dict[str, Any]:
    """Return the content of the gate's report."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--ftgate-report=json:report.json"]
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=False)
    (found,) = json.loads((folder / "report.json").read_text(encoding="utf-8"))["gates"]
    models = [found["baseline"], found["candidate"]]
    right = [round((model["metrics"].get("accuracy") or 0) * model["n_scored"]) for model in models]
    return {"right": right, "missing": sum(model["n_errors"] for model in models)}


def child(url: str, concurrency: int, folder: Path) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).resolve()), "--child", url, "--concurrency", str(concurrency)]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def contend(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Run one contender, with a server of its own."""
    with (
        serving(args.delay_ms, f"--bad-day={args.seed}") as url,
        project(url, args.examples, args.concurrency) as folder,
    ):
        start = time.perf_counter()
        found = gate(folder) if name == "gate" else child(url, args.concurrency, folder)
        wall_s = time.perf_counter() - start
        with urllib.request.urlopen(url.replace("/v1", "/stats")) as response:
            met = json.load(response)
    n = args.examples
    same = found["right"] == [n * 4 // 5, n] and not found["missing"]
    return {"met": met, "missing": found["missing"], "twice": met["twice"], "wall_s": wall_s, "same": same}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay-ms", type=float, default=50.0, help="the server's delay")
    parser.add_argument("--examples", type=int, default=500, help="a multiple of 20")
    parser.add_argument("--concurrency", type=int, default=16, help="of each model")
    parser.add_argument("--seed", type=int, default=1, help="of what goes wrong")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.child:
        script(args.child, args.concurrency)
        return
    for name in ("script", "gate"):
        found = contend(name, args)
        print(f"{name}: {found['wall_s']:.1f} s, {found['missing']} answers missing, {found['twice']} asked again")
        print(f"  result {'as' if found['same'] else 'NOT as'} on a good day; met: {found['met']}")


if __name__ == "__main__":
    main()
