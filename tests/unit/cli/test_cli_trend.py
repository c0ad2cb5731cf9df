"""``compare`` with many reports: order, table, page, exit status."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate.cli.commands import main
from pytest_ftgate.reports.json import report
from pytest_ftgate.result import GateResult, ModelResult, Session, TestSetResult

HOSTILE = "<script>alert(1)</script>\x1b[31m"
Write = Callable[..., Path]


def gate(verdict: str, gain: float | None, **changes: Any) -> GateResult:
    value = None if gain is None else 0.6 + gain
    made = GateResult(
        *("intents", "test_gate.py::test_gate", verdict),
        metric="f1_macro", metric_range=(0.0, 1.0), margin=0.05, confidence=0.95,
        baseline=ModelResult("prompted", value=0.6), baselines={"baseline": ModelResult("prompted", value=0.6)},
        candidate=ModelResult("tuned", value=value), gain=gain,
        lower_bound=None if gain is None else gain - 0.1, upper_bound=None if gain is None else gain + 0.1,
        test_set=TestSetResult("test.jsonl", "b" * 64, 226), models_called=True,
    )  # fmt: skip
    return replace(made, **changes)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a report of a day in November 2026; None leaves out the time."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, day: int | None, *gates: GateResult) -> Path:
        document = json.loads(report(gates, Session()))
        document["written"] = None if day is None else f"2026-11-{day:02}T08:05:09Z"
        document["commit"] = None if day is None else f"{day:02}" * 20
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    return write


def rows(text: str) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines() if re.match(r"2026-\S+ \S+  ", line)]


def test_reports_of_a_folder_are_shown_by_their_time(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write("all/a.json", 9, gate("pass", 0.236))
    write("all/c.json", 5, gate("pass", 0.2))
    write("all/run-1/report.json", 3, gate("inconclusive", 0.08))
    assert main(["compare", "all", "--html", "page.html"]) == 0
    text = capsys.readouterr().out
    assert rows(text) == [
        ["2026-11-03 08:05", "0303030", "60.0 %", "68.0 %", "+8.0", "-2.0", "inconclusive"],
        ["2026-11-05 08:05", "0505050", "60.0 %", "80.0 %", "+20.0", "+10.0", "pass"],
        ["2026-11-09 08:05", "0909090", "60.0 %", "83.6 %", "+23.6", "+13.6", "pass"],
    ]
    assert max(map(len, text.splitlines())) <= 80
    page = Path("page.html").read_text(encoding="utf-8")
    for part in ("+23.6 points, lower bound +13.6", "0909090", 'class="dot inconclusive"', "2026-11-03 08:05"):
        assert part in page
    assert page.count("<circle") == 3
    assert page.count('class="trend"') == 2
    assert not re.search(r"<script|https?://|src=", page)


@pytest.mark.parametrize(
    ("last", "status", "parts"),
    [
        (gate("pass", 0.2), 0, ()),
        (gate("fail", 0.01), 1, ("worse: verdict pass -> fail",)),
        (gate("pass", 0.2, margin=0.01), 1, ("loosened: margin 5 points -> 1 point",)),
        (gate("error", None), 1, ("worse: verdict pass -> error",)),
        (gate("pass", 0.2, name="other"), 1, ("missing", "worse: gate missing from the later report")),
        (gate("pass", 0.2, test_set=TestSetResult("test.jsonl", "c" * 64, 226)), 0, ("test set changed",)),
    ],
)
def test_the_last_report_decides_the_exit_status(
    write: Write, capsys: pytest.CaptureFixture[str], last: GateResult, status: int, parts: tuple[str, ...]
) -> None:
    paths = [write("1.json", 1, gate("fail", 0.0)), write("2.json", 2, gate("pass", 0.2)), write("3.json", 3, last)]
    assert main(["compare", *map(str, reversed(paths)), "--html", "page.html"]) == status
    text = capsys.readouterr().out
    assert not [part for part in parts if part not in text], text
    page = Path("page.html").read_text(encoding="utf-8")
    joined = 2 if last.gain is not None and last.name == "intents" and last.test_set.sha256 == "b" * 64 else 1
    assert page.count('class="trend"') == joined


def test_an_earlier_drop_is_shown_and_does_not_count(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    verdicts = ("pass", "fail", "pass", "pass")
    paths = [write(f"{i}.json", i + 1, gate(verdict, 0.2)) for i, verdict in enumerate(verdicts)]
    assert main(["compare", *map(str, paths)]) == 0
    assert "2026-11-02 08:05 worse: verdict pass -> fail" in capsys.readouterr().out


def test_a_name_that_repeats_in_one_report_does_not_hide_what_got_worse(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    twice = [gate("pass", 0.2), gate("pass", 0.2, nodeid="test_gate.py::test_other")]
    paths = [write("1.json", 1, *twice)]
    paths += [write(f"{day}.json", day, gate(verdict, 0.2)) for day, verdict in ((2, "pass"), (3, "fail"), (4, "pass"))]
    assert main(["compare", *map(str, paths)]) == 0
    text = capsys.readouterr().out
    assert text.count("2026-11-03 08:05 worse: verdict pass -> fail") == 1
    assert text.count("2026-11-02 08:05 worse: gate missing") == text.count("worse: gate missing") == 1


ABSENT = gate("pass", 0.2, name="other")
UNREAD = gate("error", None, metric=None, test_set=TestSetResult("test.jsonl"))


@pytest.mark.parametrize("between", [[ABSENT], [ABSENT, ABSENT], [UNREAD], [UNREAD, ABSENT]])
@pytest.mark.parametrize(
    ("later", "remark"),
    [
        (gate("pass", 0.2, metric="accuracy"), "loosened: metric f1_macro -> accuracy"),
        (gate("pass", 0.2, test_set=TestSetResult("test.jsonl", "c" * 64, 226)), "test set changed"),
    ],
)
def test_values_on_both_sides_of_a_gap_are_compared(
    write: Write, capsys: pytest.CaptureFixture[str], between: list[GateResult], later: GateResult, remark: str
) -> None:
    results = [gate("pass", 0.2), *between, later]
    paths = [write(f"{day}.json", day, one) for day, one in enumerate(results, 1)]
    main(["compare", *map(str, paths)])
    text = capsys.readouterr().out
    assert text.count(f"2026-11-{len(results):02} 08:05 {remark}") == text.count(remark) == 1, text


@pytest.mark.parametrize(
    ("later", "remark"),
    [(gate("fail", 0.2), "worse: verdict pass -> fail"), (gate("pass", 0.2, margin=0.01), "loosened: margin 5 points")],
)
def test_what_got_worse_while_a_gate_was_absent_is_told(
    write: Write, capsys: pytest.CaptureFixture[str], later: GateResult, remark: str
) -> None:
    paths = [write(f"{day}.json", day, one) for day, one in enumerate([gate("pass", 0.2), ABSENT, later], 1)]
    assert main(["compare", *map(str, paths)]) == 1
    text = capsys.readouterr().out
    assert f"2026-11-03 08:05 {remark}" in text
    assert "last report: 2 of 2 gates got worse" in text


@pytest.mark.parametrize("first", [gate("pass", 0.2), gate("pass", 0.2, name="owed")])
def test_a_required_gate_that_the_last_report_lacks_counts(
    write: Write, capsys: pytest.CaptureFixture[str], first: GateResult
) -> None:
    """It was in no report, or in none of the last two."""
    paths = [write(f"{day}.json", day, one) for day, one in enumerate([first, ABSENT, ABSENT], 1)]
    document = json.loads(paths[2].read_text(encoding="utf-8"))
    document["unjudged"] = [{"name": "owed", "reason": "no collected test has this marker"}]
    paths[2].write_text(json.dumps(document), encoding="utf-8")
    assert main(["compare", *map(str, paths)]) == 1
    assert "1 of 2 gates got worse: owed" in capsys.readouterr().out


@pytest.mark.parametrize("partial", [(), (2,), (1, 3)])
def test_partial_reports_are_named_in_text_and_page(
    write: Write, capsys: pytest.CaptureFixture[str], partial: tuple[int, ...]
) -> None:
    for day in (1, 2, 3):
        path = write(f"all/{day}.json", day, gate("pass", 0.2))
        document = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**document, "partial": day in partial}), encoding="utf-8")
    assert main(["compare", "all", "--html", "page.html"]) == 0
    for text in (capsys.readouterr().out, Path("page.html").read_text(encoding="utf-8")):
        found = re.findall(r"ftgate_required was not enforced\): ([-\d:, ]*)", " ".join(text.split()))
        days = [re.findall(r"2026-11-(\d\d)", one) for one in found]
        assert days == ([[f"{day:02}" for day in partial]] if partial else [])


def test_reports_without_a_time_keep_the_given_order(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [write(f"{name}.json", day, gate("pass", 0.2)) for name, day in (("z", None), ("b", 2))]
    paths.append(write("a.json", 1, gate("fail", 0)))
    assert main(["compare", *map(str, paths)]) == 1
    text = capsys.readouterr().out
    assert [line.split()[0] for line in text.splitlines() if " % " in line] == [*("z.json", "2026-11-02", "2026-11-01")]
    assert "z.json does not say when" in text


def test_names_are_text(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [write(f"{i}.json", i + 1, gate("pass", 0.2, name=HOSTILE)) for i in range(3)]
    assert main(["compare", *map(str, paths), "--html", "page.html"]) == 0
    assert "\x1b" not in capsys.readouterr().out
    page = Path("page.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "\x1b" not in page


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["empty"], "0 reports"),
        (["1.json"], "1 report"),
        (["1.json", "x.json"], "x.json"),
        (["1.json", "mixed/green.json"], "mixed/green.json"),
        (["mixed"], "1 report"),
        (["broken"], "broken/cut.json"),
        (["blank"], "blank/empty.json"),
        (["unfetched"], "unfetched/pointer.json"),
        (["old"], "old/v0.json"),
        (["1.json", "foreign/list.json"], "foreign/list.json"),
    ],
)
def test_fewer_than_two_reports_are_an_error(
    write: Write, capsys: pytest.CaptureFixture[str], args: list[str], part: str
) -> None:
    write("1.json", 1, gate("pass", 0.2))
    for name, content in (
        ("mixed/green.json", "{}"),
        ("broken/cut.json", '{"version": 1, "ga'),
        ("blank/empty.json", " \n"),
        ("unfetched/pointer.json", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"),
        ("old/v0.json", '{"version": 0, "gates": []}'),
        ("foreign/list.json", "[]"),
    ):
        write(f"{Path(name).parent}/1.json", 1, gate("pass", 0.2))
        if name not in ("mixed/green.json", "foreign/list.json"):
            write(f"{Path(name).parent}/2.json", 2, gate("pass", 0.2))
        Path(name).write_text(content, encoding="utf-8")
    Path("empty").mkdir()
    assert main(["compare", *args]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert part in line


@pytest.mark.parametrize(
    "content", ["[]", "3", "null", '{"a": 1}', '// of an editor\n{"a": 1}', '{"a": NaN}', '{"a": 1, "a": 2}']
)
def test_a_folder_may_have_other_json_files(write: Write, content: str) -> None:
    for day in (1, 2):
        write(f"all/{day}.json", day, gate("pass", 0.2))
    Path("all/other.json").write_text(content, encoding="utf-8")
    assert main(["compare", "all"]) == 0


def test_two_reports_are_compared_and_may_have_a_page(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [write("b.json", 9, gate("pass", 0.2)), write("a.json", 1, gate("pass", 0.3))]
    assert main(["compare", *map(str, paths), "--html", "page.html"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("before: b.json")
    assert out.endswith("wrote: page.html\n")
    assert Path("page.html").read_text(encoding="utf-8").count("<circle") == 2
