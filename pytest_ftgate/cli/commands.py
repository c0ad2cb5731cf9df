"""The commands of ``python -m pytest_ftgate``; exit status 0: success, 1: a gate got worse, 2: error."""

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
        description="Create a gate, or compare reports. Gates run with pytest.",
        epilog="Exit status: 0 success, 1 a gate got worse (compare), 2 error.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    init = commands.add_parser("init", help="inspect your data and write a gate for it")
    compare = commands.add_parser(
        "compare",
        help="show what changed between two JSON reports; exit status 1 if a gate got worse",
    )
    schema = commands.add_parser(
        "schema", help="print the JSON Schema of the gate file or of the report"
    )
    for command, run in ((init, _init), (compare, _compare), (schema, _schema)):
        command.set_defaults(run=run)
    copies = (
        "write copies without duplicates and leaks beside the data files (train.deduped.csv), and use these; "
        "beside an existing ftgate.yaml, write the copies and nothing else"
    )
    for command, name, metavar, said in (
        (
            init,
            "--test-set",
            "PATH",
            "the examples that both models answer (default: a *test* file in the folder)",
        ),
        (
            init,
            "--training-set",
            "PATH",
            "the examples that the model is trained on (default: a *train* file)",
        ),
        (init, "--input", "COLUMN", "the column with the input, if it is not detected"),
        (
            init,
            "--expected",
            "COLUMN",
            "the column with the expected output, if it is not detected",
        ),
        (
            init,
            "--baseline",
            "MODEL",
            "the current model: openai:NAME, python:pkg.module:function, recorded:PATH",
        ),
        (init, "--candidate", "MODEL", "the fine-tuned model"),
        (init, "--dedupe", None, copies),
        (init, "--force", None, "overwrite ftgate.yaml and the test file"),
        (
            compare,
            "before",
            "BEFORE.json",
            "the earlier report, written by --ftgate-report=json:PATH",
        ),
        (compare, "after", "AFTER.json", "the later report"),
        (
            schema,
            "--report",
            None,
            "print the schema of the JSON report (--ftgate-report=json:PATH)",
        ),
    ):
        if metavar is None:
            command.add_argument(name, action="store_true", help=said)
        else:
            command.add_argument(
                name,
                metavar=metavar,
                type=str if metavar in ("COLUMN", "MODEL") else Path,
                help=said,
            )
    return parser


def _schema(asked: argparse.Namespace) -> int:
    shipped = files("pytest_ftgate") / (
        "report.schema.json" if asked.report else "ftgate.schema.json"
    )
    print(shipped.read_text(encoding="utf-8"), end="")
    return 0


def _compare(asked: argparse.Namespace) -> int:
    from pytest_ftgate.cli.compare import compare_reports, comparison_lines, is_worse
    from pytest_ftgate.reports.json import read_report

    paths = (asked.before, asked.after)
    before, after = map(read_report, paths)
    found = compare_reports(before, after)
    print("\n".join(comparison_lines(paths, (before, after), found)))
    return int(any(map(is_worse, found.values())))


def _init(asked: argparse.Namespace) -> int:
    from pytest_ftgate.cli.init import write_project

    columns, models = (
        {name: value for name in names if (value := getattr(asked, name)) is not None}
        for names in (("input", "expected"), ("baseline", "candidate"))
    )
    settings = {
        name: getattr(asked, name) for name in ("test_set", "training_set", "dedupe", "force")
    }
    write_project(print, columns=columns, models=models, **settings)
    return 0
