"""The commands of ``python -m pytest_ftgate``; exit status 0: success, 1: a gate got worse, 2: error."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.text import one_line

_UNUSABLE = 2


def main(args: Sequence[str]) -> int:
    """Run one command and return the exit status. An error is one line on standard error."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # the log may be ASCII
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    asked = _parser().parse_args(args)
    try:
        status: int = asked.run(asked)
        sys.stdout.flush()
    except FtgateError as error:
        print(f"pytest_ftgate {asked.command}: {one_line(str(error))}", file=sys.stderr)
        return _UNUSABLE
    except BrokenPipeError:  # the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _UNUSABLE
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pytest_ftgate",
        description="Create a gate, or compare reports. Gates run with pytest.",
        epilog="Exit status: 0 success, 1 a gate got worse (compare), 2 error.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], help: str) -> Callable[..., None]:  # noqa: A002
        made = commands.add_parser(name, help=help)
        made.set_defaults(run=run)

        def add(name: str, metavar: str | None, help: str, **settings: Any) -> None:  # noqa: A002
            """Add an argument; without ``metavar`` a flag."""
            settings |= {"action": "store_true"} if metavar is None else {"metavar": metavar}
            made.add_argument(name, help=help, **settings)

        return add

    init = command("init", _init, "inspect your data and write a gate for it")
    init("--test-set", "PATH", "the examples that both models answer (default: a *test* file in the folder)", type=Path)
    init("--training-set", "PATH", "the examples that the model is trained on (default: a *train* file)", type=Path)
    init("--input", "COLUMN", "the column with the input, if it is not detected")
    init("--expected", "COLUMN", "the column with the expected output, if it is not detected")
    init("--baseline", "MODEL", "the current model: openai:NAME, python:pkg.module:function, recorded:PATH")
    init("--candidate", "MODEL", "the fine-tuned model")
    copies = "write copies without duplicates and leaks beside the data files (train.deduped.jsonl), and use these"
    init("--dedupe", None, copies)
    init("--force", None, "overwrite ftgate.yaml and the test file")

    compare = command(
        "compare", _compare, "show what changed between two JSON reports; exit status 1 if a gate got worse"
    )
    compare("before", "BEFORE.json", "the earlier report, written by --ftgate-report=json:PATH", type=Path)
    compare("after", "AFTER.json", "the later report", type=Path)

    schema = command("schema", _schema, "print the JSON Schema of the gate file or of the report")
    schema("--report", None, "print the schema of the JSON report (--ftgate-report=json:PATH)")
    return parser


def _schema(asked: argparse.Namespace) -> int:
    shipped = files("pytest_ftgate") / ("report.schema.json" if asked.report else "ftgate.schema.json")
    print(shipped.read_text(encoding="utf-8"), end="")
    return 0


def _compare(asked: argparse.Namespace) -> int:
    from pytest_ftgate.cli.compare import compare_reports, comparison_lines
    from pytest_ftgate.reports.json import read_report

    paths = (asked.before, asked.after)
    before, after = map(read_report, paths)
    found = compare_reports(before, after)
    print("\n".join(comparison_lines(paths, (before, after), found)))
    return int(any(gate.worse for gate in found))


def _init(asked: argparse.Namespace) -> int:
    from pytest_ftgate.cli.init import write_project

    def given(*names: str) -> dict[str, str]:
        return {name: value for name in names if (value := getattr(asked, name)) is not None}

    columns, models = given("input", "expected"), given("baseline", "candidate")
    settings = {name: getattr(asked, name) for name in ("test_set", "training_set", "dedupe", "force")}
    write_project(print, columns=columns, models=models, **settings)
    return 0
