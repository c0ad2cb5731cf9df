"""The commands of ``python -m pytest_ftgate``; exit status 0: success, 1: a gate got worse or is not met, 2: error."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

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
        description="Create a gate, compare or verify reports, or print a JSON Schema. The gates themselves run with "
        "pytest.",
        epilog="Exit status: 0 success, 1 a gate got worse (compare) or did not pass (verify), 2 error.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    init = commands.add_parser("init", help="inspect your data and write a gate for it")
    compare = commands.add_parser(
        "compare", help="show what changed between two JSON reports; exit status 1 if a gate got worse"
    )
    compare.add_argument(
        "before", metavar="BEFORE.json", type=Path, help="a report written by --ftgate-report=json:PATH"
    )
    compare.add_argument("after", metavar="AFTER.json", type=Path, help="a later report")
    verify = commands.add_parser(
        "verify", help="exit with status 1 unless every required gate passed in one of the JSON reports"
    )
    verify.add_argument("reports", metavar="REPORT.json", type=Path, nargs="+", help="reports of the same commit")
    verify.add_argument(
        "--gate", metavar="NAME", action="append", default=[],
        help="verify this gate instead of those of ini ftgate_required; repeatable",
    )  # fmt: skip
    verify.add_argument("--model", metavar="NAME", help="the gate must have passed with this candidate")
    schema = commands.add_parser("schema", help="print the JSON Schema of the gate file or of the report")
    schema.add_argument(
        "--report", action="store_true", help="print the schema of the JSON report (--ftgate-report=json:PATH)"
    )
    for command, run in ((init, _init), (compare, _compare), (verify, _verify), (schema, _schema)):
        command.set_defaults(run=run)
    add = init.add_argument
    add(
        "--test-set",
        metavar="PATH",
        type=Path,
        help="the examples that both models answer (default: a *test* file in the folder)",
    )
    add(
        "--training-set",
        metavar="PATH",
        type=Path,
        help="the examples that the model is trained on (default: a *train* file)",
    )
    add("--input", metavar="COLUMN", help="the column with the input, if it is not detected")
    add("--expected", metavar="COLUMN", help="the column with the expected output, if it is not detected")
    add("--baseline", metavar="MODEL", help="the current model: openai:NAME, python:pkg.module:function, recorded:PATH")
    add("--candidate", metavar="MODEL", help="the fine-tuned model")
    add("--base-url", metavar="URL", help="the endpoint of the models openai:NAME (default: OpenAI's)")
    add("--api-key-env", metavar="NAME", help="the environment variable that holds the key of that endpoint")
    add(
        "--directory",
        metavar="DIR",
        type=Path,
        default=Path(),
        help="the folder to read from and write to (default: the current folder)",
    )
    add("--force", action="store_true", help="overwrite ftgate.yaml and test_finetune.py")
    return parser


def _schema(asked: argparse.Namespace) -> int:
    shipped = files("pytest_ftgate") / ("report.schema.json" if asked.report else "ftgate.schema.json")
    print(shipped.read_text(encoding="utf-8"), end="")
    return 0


def _compare(asked: argparse.Namespace) -> int:
    from pytest_ftgate.cli.compare import compare_reports, comparison_lines
    from pytest_ftgate.cli.report_file import read_report

    before, after = read_report(asked.before), read_report(asked.after)
    found = compare_reports(before, after)
    print("\n".join(comparison_lines(before, after, found)))
    return int(any(gate.worse for gate in found))


def _verify(asked: argparse.Namespace) -> int:
    from pytest_ftgate.cli.verify import verify

    try:
        found = verify(asked.reports, gates=asked.gate, model=asked.model)
    except FtgateError as error:  # whatever cannot be verified has not passed
        print(f"pytest_ftgate verify: {one_line(str(error))}", file=sys.stderr)
        return 1
    print("\n".join(found.lines()))
    return int(not found.holds)


def _init(asked: argparse.Namespace) -> int:
    from pytest_ftgate.cli.init import Wishes, write_project

    wishes = Wishes(**{name: value for name, value in vars(asked).items() if name not in ("command", "run")})
    write_project(wishes, print)
    return 0
