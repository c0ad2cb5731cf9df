"""Which command was asked for, with what, and the exit status: 0 fine, 1 something got worse, 2 could not be done."""

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
    """Run one command. What cannot be done is said in one line on standard error."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a log may be ASCII
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    asked = _parser().parse_args(args)
    try:
        status: int = asked.run(asked)
        sys.stdout.flush()
    except FtgateError as error:
        print(f"pytest_ftgate {asked.command}: {one_line(str(error))}", file=sys.stderr)
        return _UNUSABLE
    except BrokenPipeError:  # whoever reads has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _UNUSABLE
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pytest_ftgate",
        description="Beside the gates that pytest judges: begin one, compare two reports, print the schemas.",
        epilog="Exit status: 0 fine, 1 something got worse (compare), 2 could not be done.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    init = commands.add_parser("init", help="look at your data and write a gate for it")
    compare = commands.add_parser("compare", help="what moved between two JSON reports; 1 where a gate got worse")
    compare.add_argument("before", metavar="BEFORE.json", type=Path, help="a report of --ftgate-report=json:PATH")
    compare.add_argument("after", metavar="AFTER.json", type=Path, help="a later one")
    schema = commands.add_parser("schema", help="print the JSON Schema of the gate file, or of the report")
    schema.add_argument("--report", action="store_true", help="of the JSON report (--ftgate-report=json:PATH)")
    for command, run in ((init, _init), (compare, _compare), (schema, _schema)):
        command.set_defaults(run=run)
    add = init.add_argument
    add("--test-set", metavar="PATH", type=Path, help="what both models answer (default: the one *test* file here)")
    add("--training-set", metavar="PATH", type=Path, help="what the model learns from (default: the one *train* file)")
    add("--input", metavar="COLUMN", help="what the files call the input, where it is not guessed")
    add("--expected", metavar="COLUMN", help="what the files call the expected output")
    add("--baseline", metavar="MODEL", help="what you have: openai:NAME, python:module:function, recorded:PATH")
    add("--candidate", metavar="MODEL", help="the fine-tuned model")
    add("--directory", metavar="DIR", type=Path, default=Path(), help="where to look and to write (default: here)")
    add("--force", action="store_true", help="write over ftgate.yaml and test_finetune.py")
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


def _init(asked: argparse.Namespace) -> int:
    from pytest_ftgate.cli.init import Wishes, write_project

    wishes = Wishes(**{name: value for name, value in vars(asked).items() if name not in ("command", "run")})
    write_project(wishes, print)
    return 0
