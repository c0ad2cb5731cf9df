"""The commands of ``python -m pytest_ftgate``.

Exit status 0: success, 1: a gate got worse, 2: error.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from pytest_ftgate.errors import ConfigError, FtgateError
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
        description="Prepare data and a gate, or compare reports. Gates run with pytest.",
        epilog="Exit status: 0 success, 1 a gate got worse (compare), 2 error.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_init(commands.add_parser("init", help="inspect your data and write a gate for it"))

    _add_split(commands.add_parser("split", help="make a training set and a test set of one file"))
    text = "copy a test set without the rows that the training set holds, or the other way round"
    _add_dedupe(commands.add_parser("dedupe", help=text))

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

    _add_columns(command)
    texts = {
        "--baseline": (
            "MODEL",
            "the current model: openai:NAME, python:pkg.module:function, recorded:PATH",
        ),
        "--candidate": ("MODEL", "the fine-tuned model"),
    }
    for name, (metavar, meaning) in texts.items():
        command.add_argument(name, metavar=metavar, help=meaning)


def _add_columns(command: argparse.ArgumentParser) -> None:
    parts = {"--input": "input", "--expected": "expected output"}
    for name, part in parts.items():
        text = f"the column with the {part}, if it is not detected"
        command.add_argument(name, metavar="COLUMN", help=text)


def _add_split(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_split)
    command.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help="the labeled examples; all.csv gives all.train.csv and all.test.csv",
    )
    command.add_argument(
        "--group",
        metavar="FIELD",
        help="the column of what stays together, such as a customer or a document, if it is not "
        "called group",
    )
    command.add_argument(
        "--test", metavar="N", type=int, help="about how many rows to test on (default: a fifth)"
    )
    command.add_argument(
        "--half",
        action="store_true",
        help="write half of a training set instead: train.csv gives train.half.csv",
    )
    _add_columns(command)


def _add_dedupe(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_dedupe)
    command.add_argument("test_set", metavar="TEST", type=Path, help="the test set")
    command.add_argument("training_set", metavar="TRAIN", type=Path, help="the training set")
    command.add_argument(
        "--from",
        dest="side",
        choices=("test", "training"),
        default="test",
        help="the set to take rows from (default: test, which needs no training); test.csv gives "
        "test.deduped.csv",
    )
    _add_columns(command)


def _columns(options: argparse.Namespace) -> dict[str, str]:
    """Return the columns that the user names, by the parts of an example."""
    columns = {}
    for part in ("input", "expected", "group"):
        column = getattr(options, part, None)
        if column is not None:
            columns[part] = column
    return columns


def _split(options: argparse.Namespace) -> int:
    from pytest_ftgate.cli.split import halve_file, split_file

    if not options.half:
        split_file(print, options.file, _columns(options), options.test)
    elif options.test is None:
        halve_file(print, options.file, _columns(options))
    else:
        raise ConfigError("--half and --test exclude each other")
    return 0


def _dedupe(options: argparse.Namespace) -> int:
    from pytest_ftgate.cli.dedupe import dedupe_file

    columns = _columns(options)
    dedupe_file(print, options.test_set, options.training_set, options.side, columns)
    return 0


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

    models = {"baseline": options.baseline, "candidate": options.candidate}
    write_project(
        print,
        test_set=options.test_set,
        training_set=options.training_set,
        columns=_columns(options),
        models={role: model for role, model in models.items() if model is not None},
    )
    return 0
