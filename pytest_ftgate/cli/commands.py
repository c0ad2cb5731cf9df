"""The commands of ``python -m pytest_ftgate``; exit status 0: success, 1: a gate got worse or is not met, 2: error."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
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
        description="Create a gate, compare or verify reports, write rating sheets. Gates run with pytest.",
        epilog="Exit status: 0 success, 1 a gate got worse (compare) or did not pass (verify), 2 error.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    init = commands.add_parser("init", help="inspect your data and write a gate for it")
    compare = commands.add_parser(
        "compare",
        help="show what changed between JSON reports, and their trend; exit status 1 if a gate got worse",
    )
    compare.add_argument(
        "reports",
        metavar="REPORT.json",
        type=Path,
        nargs="+",
        help="two reports written by --ftgate-report=json:PATH, the earlier one first; more of them, or a folder",
    )
    compare.add_argument("--html", metavar="PATH", type=Path, help="write the trend as one HTML page with plots")
    sheet = commands.add_parser("sheet", help="write blind rating sheets of a gate's stored answers, for people")
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
    parsers = ((init, _init), (compare, _compare), (verify, _verify), (sheet, _sheet), (schema, _schema))
    for command, run in parsers:
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
    add(
        "--dedupe",
        action="store_true",
        help="write copies without duplicates and leaks beside the data files (train.deduped.jsonl), and use these",
    )
    add("--force", action="store_true", help="overwrite ftgate.yaml and the test file")
    add = sheet.add_argument
    add("gate", metavar="GATE", help="a gate of the gate file with one baseline and one candidate")
    add("--out", metavar="DIR", type=Path, required=True, help="a new folder for the sheet and its key")
    add("--config", metavar="PATH", type=Path, default=Path("ftgate.yaml"), help="the gate file (default: ftgate.yaml)")
    add(
        "--state",
        metavar="DIR",
        type=Path,
        default=Path(".ftgate"),
        help="the folder of stored answers, as ftgate_state (default: .ftgate)",
    )
    add("--recordings", metavar="DIR", type=Path, help="a folder of recorded answers, as ftgate_recordings")
    add("--ask", action="store_true", help="call the models for answers that are missing, and store these")
    add("--seed", metavar="TEXT", help="what the order of the answers depends on (default: random)")
    add(
        "--question",
        metavar="TEXT",
        default="Which answer is better?",
        help='what the raters are asked (default: "Which answer is better?")',
    )
    return parser


def _schema(asked: argparse.Namespace) -> int:
    shipped = files("pytest_ftgate") / ("report.schema.json" if asked.report else "ftgate.schema.json")
    print(shipped.read_text(encoding="utf-8"), end="")
    return 0


def _compare(asked: argparse.Namespace) -> int:
    from pytest_ftgate.cli.compare import compare_reports, comparison_lines
    from pytest_ftgate.cli.trend import in_order, read_reports, trend_lines, trends, write_page

    two = len(asked.reports) == 2 and not any(map(Path.is_dir, asked.reports))
    reports = read_reports(asked.reports) if two else in_order(read_reports(asked.reports))
    before, after = reports[-2:]
    found = compare_reports(before, after)
    lines = comparison_lines(before, after, found) if two else trend_lines(reports, trends(reports), found)
    print("\n".join(lines))
    if asked.html is not None:
        write_page(asked.html, reports, trends(reports))
    return int(any(gate.worse for gate in found))


def _sheet(asked: argparse.Namespace) -> int:
    from pytest_ftgate.cli.sheet import Wishes, write_sheet

    write_sheet(Wishes(**_arguments(asked)), print)
    return 0


def _arguments(asked: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of a command by name."""
    return {name: value for name, value in vars(asked).items() if name not in ("command", "run")}


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

    write_project(Wishes(**_arguments(asked)), print)
    return 0
