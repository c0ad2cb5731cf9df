"""Gates that a command judges, end to end."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest
from gate_project import Project, block, check, label, mentions, passed, stopped

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="commands of POSIX")

LINTER = """\
import sys
text = sys.stdin.read()
print("looked at", len(text), "characters")
sys.exit(0 if text in ("refund", "invoice", "shipping") else 1)
"""


@pytest.fixture
def judged(project: Project) -> Project:
    """Answers are checked by ``tools/lint.py``, which takes the labels for right; the models answer ``?`` elsewhere."""
    for name, wrong in (("base.jsonl", range(40, 60)), ("ft.jsonl", (0, 1, 58, 59))):
        project.predictions(name, 60, output=lambda i, wrong=wrong: "?" if i in wrong else label(i))
    project.file("tools/lint.py", LINTER)
    return project


# A linter does not compare with what is expected: one clean answer to everything would be perfect by it.


def command(*args: str, **options: Any) -> dict[str, Any]:
    return {"name": "command", "argv": [sys.executable, "-S", *args], **options}


def test_a_command_decides_beside_other_metrics(judged: Project) -> None:
    bounds = [{"metric": "token_f1", "min": 0.9}, {"metric": "command", "min": 0.9}]
    gate = passed(judged.judge(metric=[command("tools/lint.py"), "accuracy"], require=bounds))
    assert (gate["metric"], gate["wins"], gate["losses"]) == ("command", 18, 2)
    assert gate["candidate"]["metrics"] == pytest.approx({"command": 56 / 60, "token_f1": 56 / 60, "accuracy": 56 / 60})
    assert "exact" in gate["method"]
    assert [line for line in block(gate) if "93.3 %" in line]


def test_a_gate_file_may_name_a_program_beside_it(judged: Project) -> None:
    script = judged.file("gates/lint", "#!/bin/sh\nread answer\ntest \"$answer\" != '?'\n")
    script.chmod(0o755)
    judged.filed(", metric: {name: command, argv: [gates/lint]}")
    assert passed(judged.judge("support"))["candidate"]["value"] == pytest.approx(56 / 60)


def test_a_number_that_a_command_prints_decides(judged: Project) -> None:
    judged.file(
        "rate.py", "import sys\nprint('Your answer was rated at', 2.5 if sys.stdin.read() == '?' else 9, '/10')\n"
    )
    number = {"score": r"rated at (\S+) /10", "low": 0, "high": 10, "greater_is_better": True}
    gate = passed(judged.judge(metric=command("rate.py", **number), margin=0.5))
    assert gate["candidate"]["value"] == pytest.approx((56 * 9 + 4 * 2.5) / 60)
    assert "Gaffke" in gate["method"]


def test_fewer_complaints_are_better_where_the_gate_says_so(judged: Project) -> None:
    judged.file("count.py", "import sys\nprint('complaints:', 7 if sys.stdin.read() == '?' else 0)\n")
    number = {"score": r"complaints: (\d+)", "low": 0, "high": 20, "greater_is_better": False}
    gate = passed(judged.judge(metric=command("count.py", **number), margin=1))
    assert gate["candidate"]["value"] == pytest.approx(4 * 7 / 60)


def test_a_command_that_hangs_makes_the_gate_an_error(judged: Project) -> None:
    pids = judged.path / "pids"
    judged.file("hang.py", f"import os, time\nopen({str(pids)!r}, 'a').write(f'{{os.getpid()}} ')\ntime.sleep(600)\n")
    gate = judged.judge(metric=command("hang.py", timeout_s=1, concurrency=2))
    mentions(stopped(gate, called=True), "1 s for test_set", "test.jsonl:")
    for pid in pids.read_text().split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


def test_a_program_that_is_not_there_is_said_before_any_call(judged: Project) -> None:
    mentions(stopped(judged.judge(metric={"name": "command", "argv": ["no-such-linter", "-"]})), "'no-such-linter'")


def test_an_answer_never_becomes_an_argument(judged: Project) -> None:
    judged.predictions("base.jsonl", 60, output=lambda i: "--version" if i % 2 else "; touch owned; $(touch owned)")
    gate = passed(judged.judge(metric=command("tools/lint.py")))
    assert gate["baseline"]["value"] == 0
    assert not (judged.path / "owned").exists()


def test_a_linter_alone_is_no_measure_of_right_answers(judged: Project) -> None:
    gate = passed(judged.judge(metric=command("tools/lint.py")))
    assert check(gate, "form_alone")["status"] == "warning"


def test_several_answers_to_one_example_are_each_run(judged: Project) -> None:
    for name in ("base.jsonl", "ft.jsonl"):
        judged.predictions(name, 60, output=label if name == "ft.jsonl" else "?", repeat=0)
        judged.predictions(name, 60, add=True, repeat=1)
    gate = judged.judge(metric=command("tools/lint.py"), repeats=2)
    assert (gate["baseline"]["value"], gate["candidate"]["value"]) == (0.5, 1)
