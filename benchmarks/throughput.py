"""What a gate costs beyond its calls, beside a plain script around ``AsyncOpenAI``.

    pip install -e '.[fast]'
    python benchmarks/throughput.py                       # 1,000 examples; 0, 50 and 200 ms
    python benchmarks/throughput.py --delay-ms 200 --runs 5

Each contender asks the same two models for the same answers, at the same concurrency and with the
same HTTP backend::

    script    reads the test set, asks under a semaphore, compares two accuracies
    loop      the same with aiohttp alone: the least that Python can do
    runner    this package without pytest: data, models, runner, store
    gate      pytest with a gate: all checks, both models, the verdict
    again     the same gate once more: nothing is asked, everything is stored

Printed are medians over the runs: wall-clock seconds, CPU seconds and peak memory of the process,
the ratios to ``script``, and the ideal: examples / concurrency x delay, both models at once. To
that ideal ``gate`` adds what ``again`` takes, its start and its judgement; the last line says how
much more it takes than the two together. Another process serves the answers, so two free cores are
the least for figures that mean something.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

LABELS = ("refund", "invoice", "shipping", "other")
MODELS = ("base", "tuned")
RIGHT = [0.8, 1.0]
"""The accuracy of each model."""
HERE = Path(__file__).resolve().parent


class Cost(NamedTuple):
    """What one process took."""

    wall_s: float
    cpu_s: float
    peak_mib: float


# --- contenders, each in a process of its own -----------------------------------------------------


def questions() -> list[dict[str, str]]:
    return [
        json.loads(line) for line in Path("test.jsonl").read_text(encoding="utf-8").splitlines()
    ]


def script(url: str, concurrency: int) -> None:
    """Ask as a script written by hand would."""
    from openai import AsyncOpenAI, DefaultAioHttpClient

    rows = questions()

    async def accuracy(client: AsyncOpenAI, model: str) -> float:
        limit = asyncio.Semaphore(concurrency)

        async def is_right(row: dict[str, str]) -> bool:
            async with limit:
                answer = await client.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": row["input"]}]
                )
                return answer.choices[0].message.content == row["expected"]

        return sum(await asyncio.gather(*map(is_right, rows))) / len(rows)

    async def both() -> list[float]:
        try:
            backend: dict[str, Any] = {"http_client": DefaultAioHttpClient()}
        except RuntimeError:
            backend = {}
        async with AsyncOpenAI(base_url=url, api_key="none", **backend) as client:
            return await asyncio.gather(*(accuracy(client, model) for model in MODELS))

    assert asyncio.run(both()) == RIGHT


def loop(url: str, concurrency: int) -> None:
    """Ask as a fast loop written by hand would, and do nothing else."""
    import aiohttp

    rows = questions()

    async def accuracy(session: aiohttp.ClientSession, model: str) -> float:
        right, waiting = 0, iter(rows)

        async def work() -> None:
            nonlocal right
            for row in waiting:
                body = {"model": model, "messages": [{"role": "user", "content": row["input"]}]}
                async with session.post(f"{url}/chat/completions", json=body) as response:
                    answer = await response.json()
                right += answer["choices"][0]["message"]["content"] == row["expected"]

        await asyncio.gather(*(work() for _ in range(concurrency)))
        return right / len(rows)

    async def both() -> list[float]:
        async with aiohttp.ClientSession() as session:
            return await asyncio.gather(*(accuracy(session, model) for model in MODELS))

    assert asyncio.run(both()) == RIGHT


def runner(url: str, concurrency: int) -> None:
    """Ask the same with this package's parts."""
    from pytest_ftgate.config import ModelSpec, Source
    from pytest_ftgate.data import load_examples
    from pytest_ftgate.models import Surroundings, build_model
    from pytest_ftgate.runs.jobs import Job, Stores
    from pytest_ftgate.runs.runner import run_models
    from pytest_ftgate.runs.store import Store

    test = load_examples(Path("test.jsonl"))
    source = Source("file", "benchmark", Path())
    options = {"base_url": url, "concurrency": concurrency}
    specs = [ModelSpec("openai", {"model": m, **options}, f"openai:{m}", m, source) for m in MODELS]
    jobs = [Job(build_model(spec, Surroundings()), test) for spec in specs]
    runs = run_models(jobs, stores=Stores(Store(Path(".ftgate/predictions.sqlite")), Store(None)))
    right = [
        sum(
            p.completion is not None and p.completion.text == e.expected
            for p, e in zip(run.predictions[0], test, strict=True)
        )
        for run in runs
    ]
    assert [count / len(test) for count in right] == RIGHT


CHILDREN: dict[str, Callable[[str, int], None]] = {"script": script, "loop": loop, "runner": runner}


# --- measuring ------------------------------------------------------------------------------------


@contextmanager
def project(url: str, examples: int, concurrency: int) -> Iterator[Path]:
    """Yield a new folder with a test set, a training set and a gate."""
    with tempfile.TemporaryDirectory() as name:
        write_project(Path(name), url, examples, concurrency)
        yield Path(name)


def write_project(folder: Path, url: str, examples: int, concurrency: int) -> None:
    write_rows(folder / "test.jsonl", "question", examples)
    write_rows(folder / "train.jsonl", "training text", 200)
    models = "\n".join(
        f"  {m}: {{provider: openai, model: {m}, base_url: '{url}', "
        f"concurrency: {concurrency}, revision: '1'}}"
        for m in MODELS
    )
    (folder / "ftgate.yaml").write_text(
        f"version: 1\nmodels:\n{models}\ngates:\n  speed:\n    test_set: test.jsonl\n"
        "    training_set: train.jsonl\n"
        "    baseline: base\n    candidate: tuned\n    metric: f1_macro\n    margin: 0.05\n",
        encoding="utf-8",
    )
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "test_speed.py").write_text(
        "import pytest\n\n\n@pytest.mark.ftgate('speed')\ndef test_gate():\n    pass\n",
        encoding="utf-8",
    )


def write_rows(path: Path, text: str, n: int) -> None:
    rows = (
        {
            "id": f"{path.stem}{i}",
            "input": f"{text} #{LABELS[i % 4]}-{i}",
            "expected": LABELS[i % 4],
        }
        for i in range(n)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@contextmanager
def serving(delay_ms: float) -> Iterator[str]:
    """Run the server of answers in its own process, and yield its URL."""
    command = [sys.executable, str(HERE / "server.py"), str(delay_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.terminate()


def cost_of(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> Cost:
    """Run a command that must succeed, and ask the system what it took."""
    log = folder / "log.txt"
    path = os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = environment or {**os.environ, "PYTHONPATH": path}
    with log.open("w") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, env=env
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{log.read_text()}")
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale)


def one_run(url: str, examples: int, concurrency: int, who: Sequence[str]) -> dict[str, Cost]:
    """Run every contender once, each in a fresh folder (``again`` in that of ``gate``)."""
    costs = {}
    for name in CHILDREN:
        if name in who:
            with project(url, examples, concurrency) as folder:
                child = [
                    sys.executable,
                    __file__,
                    "--child",
                    name,
                    "--url",
                    url,
                    "--concurrency",
                    str(concurrency),
                ]
                costs[name] = cost_of(child, folder)
    if "gate" in who:
        with project(url, examples, concurrency) as folder:
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
            costs["gate"] = cost_of(command, folder)
            costs["again"] = cost_of(command, folder)
    return costs


def median(costs: Sequence[Cost]) -> Cost:
    return Cost(*map(statistics.median, zip(*costs, strict=True)))


def print_table(delay_ms: float, ideal_s: float, costs: dict[str, Cost]) -> None:
    print(f"\n{delay_ms:g} ms a call; ideal {ideal_s:.2f} s")
    print(f"{'':8} {'wall s':>8} {'CPU s':>8} {'MiB':>6} {'wall x':>8} {'CPU x':>8} {'MiB x':>8}")
    for name, c in costs.items():
        ratios = "".join(
            f" {cost / script_cost:8.2f}"
            for cost, script_cost in zip(c, costs["script"], strict=True)
        )
        print(f"{name:8} {c.wall_s:8.2f} {c.cpu_s:8.2f} {c.peak_mib:6.0f}{ratios}")
    if "gate" in costs:
        least_s = ideal_s + costs["again"].wall_s
        print(
            "gate against the ideal and its own start and judgement: "
            f"{costs['gate'].wall_s / least_s:.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--delay-ms", type=float, nargs="+", default=[0.0, 50.0, 200.0], help="the server's delays"
    )
    parser.add_argument("--examples", type=int, default=1000, help="a multiple of 20")
    parser.add_argument("--concurrency", type=int, default=32, help="of each model")
    parser.add_argument("--runs", type=int, default=3, help="of which the medians are shown")
    parser.add_argument(
        "--who", nargs="+", choices=["loop", "runner", "gate"], default=["loop", "runner", "gate"]
    )
    parser.add_argument("--child", choices=list(CHILDREN), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        CHILDREN[args.child](args.url, args.concurrency)
        return
    for delay_ms in args.delay_ms:
        with serving(delay_ms) as url:
            runs = [
                one_run(url, args.examples, args.concurrency, ["script", *args.who])
                for _ in range(args.runs)
            ]
        ideal_s = args.examples / args.concurrency * delay_ms / 1000
        print_table(
            delay_ms, ideal_s, {name: median([run[name] for run in runs]) for name in runs[0]}
        )


if __name__ == "__main__":
    main()
