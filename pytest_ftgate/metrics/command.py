"""The metric ``command``: any program that reads an answer; its exit code, or a number that it prints, is the score."""

from __future__ import annotations

import math
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import MetricError
from pytest_ftgate.metrics.command_run import MOST_OUTPUT, NOT_RUN, Ended, Runner, environment
from pytest_ftgate.metrics.options import Options
from pytest_ftgate.metrics.protocol import Answers, Kind, Metric, Scored, by_example, check_shape, given
from pytest_ftgate.text import FARTHEST, excerpt, kind_of

NAME = "command"
NAMES = (NAME,)
TIMEOUT_S = 10.0
EXIT_CODE = "exit_code"

_LONGEST_S = 86_400.0
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_RANGE = ("low", "high", "greater_is_better")
_EVIDENCE = 300
_ARGV = "Write argv: [ruff, check, '-']."
_ARGV_LIST = "a list of texts such as [ruff, check, '-']; no shell splits it"
_RANGE_CURE = "Set low and high to the range of the number."


@dataclass(frozen=True)
class Command(Metric):
    """Run a command once for each distinct answer, which it reads unchanged from standard input.

    With a pattern, its group finds the score in the output; otherwise exit code 0 is right and any other is wrong. The
    gate is an error, and the answer is not scored as wrong, if the command times out, is killed by a signal, exits with
    126 or 127, or prints no valid number. A missing answer gets the worst score without running the command.
    """

    runner: Runner = field(repr=False)
    shown: str
    pattern: re.Pattern[str] | None = None
    kind: Kind = "right_wrong"
    low: float = 0.0
    high: float = 1.0
    greater_is_better: bool = True
    known: dict[str, float] = field(default_factory=dict, repr=False, compare=False)
    name = NAME
    compares = False

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        check_shape(self.name, expected, answers)
        places: dict[str, int] = {}
        for row in answers:
            for index, answer in enumerate(row):
                if answer is not None and given(answer) and answer not in self.known:
                    places.setdefault(answer, index)
        found = self.runner.run(list(places)) if places else []
        for (answer, index), ended in zip(places.items(), found, strict=True):
            if ended is not None:  # a command that failed has stopped the others
                self.known[answer] = self._value(ended, index)
        return by_example(
            self, expected, answers, lambda _, answer: self.known[text] if (text := given(answer)) else self.worst
        )

    def _value(self, ended: Ended | str, index: int) -> float:
        if isinstance(ended, str):
            raise self._failed(index, f"could not be started: {ended}", None, "Fix argv, or run the command by hand.")
        if ended.timed_out:
            what = f"did not finish within {self.runner.timeout_s:g} s"
            raise self._failed(index, what, ended, "Increase timeout_s, or fix the command.")
        if ended.code < 0:
            what = f"was killed by signal {-ended.code}"
            raise self._failed(index, what, ended, "A crash is not scored as wrong: fix the command.")
        if ended.code in NOT_RUN:
            what = f"exited with {ended.code}: the program that it calls {NOT_RUN[ended.code]}"
            raise self._failed(index, what, ended, "Install the program, or set its path.")
        return float(ended.code == 0) if self.pattern is None else self._number(self.pattern, ended, index)

    def _number(self, pattern: re.Pattern[str], ended: Ended, index: int) -> float:
        if ended.cut:
            what = f"printed more than {MOST_OUTPUT:,} bytes, too many to search for the score"
            raise self._failed(index, what, ended, "Make the command print less.")
        texts = [match[1].strip() for match in pattern.finditer(ended.output) if match[1] is not None]
        found = {float(text) if _NUMBER.fullmatch(text) else None for text in texts}
        if len(found) > 1:
            what = f"printed {len(found)} different texts that match score"
            cure = "Make the pattern in score match one number; the output may quote the answer."
            raise self._failed(index, what, ended, cure)
        number = found.pop() if found else None
        if number is None:
            what = f"exited with {ended.code} and printed no number that matches score"
            raise self._failed(index, what, ended, "Fix the command, or the pattern in score.")
        if not self.low <= number <= self.high:
            what = f"printed {number!r}, which is not between {self.low:g} and {self.high:g}"
            raise self._failed(index, what, None, "Correct the range with low and high.")
        return number

    def _failed(self, index: int, what: str, ended: Ended | None, cure: str) -> MetricError:
        text = ended.output.strip() if ended is not None else ""
        evidence = f"Output: {excerpt(text, width=_EVIDENCE)}" if text else None
        what = f"the command {self.shown} {what} for test_set[{index}]"
        return MetricError(what, example=index, evidence=evidence, cure=cure)


def build(options: Options) -> Command:
    options.allow("argv", "timeout_s", "score", "concurrency", *_RANGE)
    argv = _argv(options)
    folder = Path(os.path.abspath(options.spec.source.base_dir))
    concurrency = _number(options, "concurrency", float(os.cpu_count() or 1))
    if concurrency < 1 or concurrency != int(concurrency):
        raise options.error("concurrency must be a positive integer", key="concurrency", cure="For example 4.")
    timeout_s = _number(options, "timeout_s", TIMEOUT_S)
    if not 0 < timeout_s <= _LONGEST_S:
        what = "must be above 0" if timeout_s <= 0 else "is more than a day"
        cure = "Write the timeout of one run in seconds."
        raise options.error(f"timeout_s {what}", key="timeout_s", cure=cure)
    runner = Runner((_program(options, argv[0], folder), *argv[1:]), folder, timeout_s, int(concurrency))
    return Command(runner, excerpt(argv[0]), *_score(options))


def _argv(options: Options) -> list[str]:
    value = options.spec.options.get("argv")
    if value is None:
        raise options.error("command needs argv, the program and its arguments", key="argv", cure=_ARGV)
    if not isinstance(value, list | tuple) or not value:
        raise options.wrong_type("argv", value, _ARGV_LIST)
    if not all(isinstance(part, str) for part in value):
        raise options.error("argv contains a value that is not text", key="argv", cure=f"Write {_ARGV_LIST}.")
    if not value[0].strip() or any("\0" in part for part in value):
        raise options.error("argv needs the name of a program", key="argv", cure=_ARGV)
    return list(value)


def _program(options: Options, name: str, folder: Path) -> str:
    """Return the program's path. A name with a slash is relative to the folder of the gate file."""
    is_path = os.path.dirname(name) != ""
    found = shutil.which(str(folder / name) if is_path else name, path=environment(os.environ).get("PATH"))
    if found is None:
        raise options.error(
            f"there is no executable program {excerpt(name)!r}",
            key="argv",
            evidence=f"Searched in {folder}." if is_path else "Searched in the folders of PATH.",
            cure="Install it, correct its name, or make the script executable (chmod +x).",
        )
    return os.path.abspath(found)


def _score(options: Options) -> tuple[()] | tuple[re.Pattern[str], Kind, float, float, bool]:
    """Return the pattern, kind, range and direction of the score; nothing if the exit code is the score."""
    score = options.spec.options.get("score", EXIT_CODE)
    given = [key for key in _RANGE if key in options.spec.options]
    if not isinstance(score, str) or not score:
        raise options.wrong_type("score", score, f"{EXIT_CODE}, or a pattern with one group that matches a number")
    if score == EXIT_CODE:
        for key in given:
            what = f"{key} cannot be used with score: {EXIT_CODE}, where an answer is right or wrong"
            raise options.error(what, key=key, cure=f"Remove {key}, or use a pattern as score.")
        return ()
    pattern = _pattern(options, score)
    if len(given) < len(_RANGE):
        absent = ", ".join(key for key in _RANGE if key not in given)
        what = f"command needs {absent}, the range and direction of the number"
        cure = "For example low: 0, high: 10, greater_is_better: true."
        raise options.error(what, key="score", cure=cure)
    low, high = (_number(options, key, math.nan) for key in ("low", "high"))
    for key, value in (("low", low), ("high", high)):
        if abs(value) > FARTHEST:
            raise options.error(f"{key} must be between {-FARTHEST:g} and {FARTHEST:g}", key=key, cure=_RANGE_CURE)
    if not low < high:
        raise options.error(f"low {low:g} must be below high {high:g}", key="low", cure=_RANGE_CURE)
    return pattern, "graded", low, high, options.flag("greater_is_better")


def _pattern(options: Options, score: str) -> re.Pattern[str]:
    cause = None
    try:
        pattern = re.compile(score)
        if pattern.groups == 1:
            return pattern
        what = f"score needs one group, around the number, and has {pattern.groups}"
    except (re.error, OverflowError, RecursionError) as error:
        what, cause = f"score is not a valid regular expression: {error}", error
    near = score.replace("-", "_").strip().lower() in (EXIT_CODE, "exitcode", "exit", "returncode")
    cure = f"Did you mean {EXIT_CODE}?" if near else r"For example 'rated at (-?[\d.]+)/10'."
    raise options.error(what, key="score", evidence=score, cure=cure) from cause


def _number(options: Options, key: str, default: float) -> float:
    value = options.spec.options.get(key, default)
    real = isinstance(value, int | float) and not isinstance(value, bool)
    if not real or (key in options.spec.options and not abs(value) <= sys.float_info.max):
        found = repr(value) if real else kind_of(value)
        raise options.error(f"{key} is {found}", key=key, cure="Write a number.")
    return float(value)
