"""The commands of ``python -m pytest_ftgate``.

Exit status 0: success, 1: a gate got worse, 2: error.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.text import one_line

_UNUSABLE = 2


def main(args: Sequence[str]) -> int:
    """Run one command and return the exit status. An error is one line on standard error."""
    for stream in (sys.stdout, sys.stderr):  # the log may be ASCII
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]

    options = _parser().parse_args(args)
    try:
        status: int = options.run(options)
    except FtgateError as error:
        print(f"pytest_ftgate {options.command}: {one_line(str(error))}", file=sys.stderr)
        return _UNUSABLE
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pytest_ftgate",
        description="Create a gate, or compare reports. Gates run with pytest.",
        epilog="Exit status: 0 success, 1 a gate got worse (compare), 2 error.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_init(commands.add_parser("init", help="inspect your data and write a gate for it"))

    compare = commands.add_parser(
        "compare",
        help="show what changed between two JSON reports; exit status 1 if a gate got worse",
    )
    compare.set_defaults(run=_compare)
    compare.add_argument(
        "before",
        metavar="BEFORE.json",
        type=Path,
        help="the earlier report, written by --ftgate-report=json:PATH",
    )
    compare.add_argument("after", metavar="AFTER.json", type=Path, help="the later report")

    schema = commands.add_parser("schema", help="print the JSON Schema of the gate file")
    schema.set_defaults(run=_schema)
    return parser


def _add_init(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_init)
    command.add_argument(
        "--test-set",
        metavar="PATH",
        type=Path,
        help="the examples that both models answer (default: a *test* file in the folder)",
    )
    command.add_argument(
        "--training-set",
        metavar="PATH",
        type=Path,
        help="the examples that the model is trained on (default: a *train* file)",
    )

    texts = {
        "--input": ("COLUMN", "the column with the input, if it is not detected"),
        "--expected": ("COLUMN", "the column with the expected output, if it is not detected"),
        "--baseline": (
            "MODEL",
            "the current model: openai:NAME, python:pkg.module:function, recorded:PATH",
        ),
        "--candidate": ("MODEL", "the fine-tuned model"),
    }
    for name, (metavar, meaning) in texts.items():
        command.add_argument(name, metavar=metavar, help=meaning)

    command.add_argument(
        "--dedupe",
        action="store_true",
        help="write copies without duplicates and leaks beside the data files "
        "(train.deduped.csv), and use these; beside an existing ftgate.yaml, write the copies and "
        "nothing else",
    )


def _schema(options: argparse.Namespace) -> int:  # noqa: ARG001
    schema = files("pytest_ftgate") / "ftgate.schema.json"
    print(schema.read_text(encoding="utf-8"), end="")
    return 0


def _compare(options: argparse.Namespace) -> int:
    from pytest_ftgate.cli.compare import compare_reports, comparison_lines, is_worse
    from pytest_ftgate.reports.json import read_report

    paths = (options.before, options.after)
    old_report, new_report = map(read_report, paths)
    changes = compare_reports(old_report, new_report)
    print("\n".join(comparison_lines(paths, (old_report, new_report), changes)))
    return int(any(map(is_worse, changes.values())))


def _init(options: argparse.Namespace) -> int:
    from pytest_ftgate.cli.init import write_project

    columns = {"input": options.input, "expected": options.expected}
    models = {"baseline": options.baseline, "candidate": options.candidate}
    write_project(
        print,
        test_set=options.test_set,
        training_set=options.training_set,
        columns={part: column for part, column in columns.items() if column is not None},
        models={role: model for role, model in models.items() if model is not None},
        dedupe=options.dedupe,
    )
    return 0
