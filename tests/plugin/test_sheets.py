"""Blind rating sheets: made of stored answers, filled in, and judged by."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from endpoint_project import EndpointProject
from gate_project import Project, check, label, mentions, stopped, write_jsonl
from loopback import LoopbackServer

from pytest_ftgate.cli.commands import main
from pytest_ftgate.judges.sheets import blinded

HOSTILE = (
    *("=HYPERLINK(1)", "'=1", "-2+3", "</script><script>window.pwned = 1</script>"),
    *('two\nlines, "quoted"', "@\0"),
)
GATE_FILE = """
version: 1
gates:
  support:
    test_set: test.jsonl
    training_set: train.jsonl
    baseline: recorded:base.jsonl
    candidate: recorded:ft.jsonl
    margin: 0.05
    metric: {name: human_preference, path: ratings}
"""


@pytest.fixture
def rated(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project with a gate by people, whose models say the same on 40 of 60 examples."""
    monkeypatch.chdir(project.path)
    project.gate_file(GATE_FILE)
    return project


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def fill(folder: Path, file: str, choose: Callable[[dict[str, str]], str], **changes: str) -> None:
    """Write what a rater who chooses like this makes of the sheet."""
    found = [{**row, "preferred": row["preferred"] or choose(row), **changes} for row in rows(folder / "sheet.csv")]
    with (folder / f"{file}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, found[0])
        writer.writeheader()
        writer.writerows(found)


def likes(model: str) -> Callable[[dict[str, str]], str]:
    """Return a rater who prefers right answers (the candidate's) or wrong ones."""

    def choose(row: dict[str, str]) -> str:
        index = int(row["id"][1:])
        right = "a" if row["answer_a"] == label(index) else "b"
        return right if model == "right" else "ab".replace(right, "")

    return choose


@pytest.mark.parametrize(("model", "verdict"), [("right", "pass"), ("wrong", "fail")])
def test_what_raters_choose_decides(rated: Project, model: str, verdict: str) -> None:
    assert main(["sheet", "support", "--out", "ratings"]) == 0
    folder = rated.path / "ratings"
    sheet, key = rows(folder / "sheet.csv"), rows(folder / "key.csv")
    assert sum(row["preferred"] == "tie" for row in sheet) == 40
    assert {(row["a"], row["b"]) for row in key} == {("baseline", "candidate"), ("candidate", "baseline")}
    assert sum(row["a"] == "candidate" for row in key) == 30
    visible = (folder / "sheet.csv").read_text(encoding="utf-8") + (folder / "sheet.html").read_text(encoding="utf-8")
    assert not [secret for row in key for secret in (row["baseline_sha256"], "baseline,") if secret in visible]
    fill(folder, "anna", likes(model))
    fill(folder, "boris", likes(model), rater="=Boris")
    gate = rated.judge("support")
    assert gate["verdict"] == verdict, gate["checks"]
    assert gate["candidate"]["value"] == pytest.approx(0.5 + (18 - 2) / 120 * (1 if model == "right" else -1))
    assert gate["judges"][0]["raters"] == 2
    assert check(gate, "human_preference.outputs")["status"] == "pass"


def test_ratings_of_other_answers_are_an_error(rated: Project) -> None:
    main(["sheet", "support", "--out", "ratings"])
    fill(rated.path / "ratings", "anna", likes("right"))
    rated.predictions("ft.jsonl", 60, wrong_at=(0, 1, 2, 58, 59))
    mentions(stopped(rated.judge("support"), called=True), "ratings/anna.csv:4", "t2", "candidate")


def test_the_order_is_that_of_the_seed(rated: Project) -> None:
    for folder, seed in (("a", "1"), ("b", "1"), ("c", "2"), ("d", None), ("e", None)):
        main(["sheet", "support", "--out", folder, *(["--seed", seed] if seed else [])])
    one, same, other, *random = ((rated.path / name / "key.csv").read_text(encoding="utf-8") for name in "abcde")
    assert one == same
    assert len({one, other, *random}) == 4


def test_stored_answers_are_used_and_no_model_is_called(rated: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(rated.path))
    models = "".join(
        f"    {role}: {{provider: python, target: 'mine:{role}', revision: one}}\n"
        for role in ("baseline", "candidate")
    )
    text = GATE_FILE.replace("    baseline: recorded:base.jsonl\n    candidate: recorded:ft.jsonl\n", models)
    rated.gate_file(text.replace("{name: human_preference, path: ratings}", "exact_match"))
    rated.file("mine.py", "def baseline(text): return 'no'\ndef candidate(text): return 'yes'\n")
    assert rated.judge("support", stored=True)["models_called"]
    rated.file("mine.py", "def baseline(text): 1 / 0\ndef candidate(text): 1 / 0\n")
    assert main(["sheet", "support", "--out", "ratings"]) == 0
    assert {frozenset((row["answer_a"], row["answer_b"])) for row in rows(rated.path / "ratings" / "sheet.csv")} == {
        frozenset(("no", "yes"))
    }


def test_answers_that_are_missing_are_asked_for_on_demand_and_kept(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    with LoopbackServer() as server:
        project = EndpointProject(pytester, server)
        project.gates(metric={"name": "human_preference", "path": "ratings"})
        args = ["sheet", "support", "--config", "gates/ftgate.yaml", "--out", "gates/ratings"]
        assert main(args) == 2
        assert "--ask" in capsys.readouterr().err
        assert not server.bodies
        assert not (project.path / ".ftgate").exists()
        assert main([*args, "--ask"]) == 0
        asked = len(server.bodies)
        assert asked == 120
        fill(project.path / "gates" / "ratings", "anna", likes("right"))
        gate = project.judge("support", stored=True)
        assert (gate["verdict"], len(server.bodies)) == ("pass", asked), gate["checks"]


def test_hostile_texts_are_text_in_a_spreadsheet_and_ids_come_back(rated: Project) -> None:
    ids = [*HOSTILE[:5], *(f"t{i}" for i in range(5, 60))]
    write_jsonl(rated.path / "test.jsonl", ({"id": ids[i], "input": f"{HOSTILE[i % 6]} {i}"} for i in range(60)))
    for name, more in (("base.jsonl", "0"), ("ft.jsonl", "1")):
        write_jsonl(rated.path / name, ({"id": ids[i], "output": HOSTILE[i % 6] + more} for i in range(60)))
    assert main(["sheet", "support", "--out", "ratings"]) == 0
    folder = rated.path / "ratings"
    cells = [cell for name in ("sheet.csv", "key.csv") for row in rows(folder / name) for cell in row.values()]
    assert not [cell for cell in cells if cell[:1] in tuple("=+-@\t\r")]
    broken = {"baseline": "\ud800", "candidate": "=\ud800"}  # as an endpoint may answer
    assert b"'=?" in blinded("g", [("a", "b", broken)], "1").rows().encode()
    page = (folder / "sheet.html").read_text(encoding="utf-8")
    assert page.count("</script>") == 2
    fill(folder, "anna", lambda row: "a" if row["answer_a"].endswith("1") else "b", rater="=cmd")
    gate = rated.judge("support")
    assert (gate["verdict"], gate["candidate"]["value"]) == ("pass", 1.0), gate["checks"]


def filled(folder: Path) -> None:
    fill(folder, "anna", likes("right"))


def unkeyed(folder: Path) -> None:
    filled(folder)
    (folder / "key.csv").unlink()


def of_another(folder: Path) -> None:
    main(["sheet", "support", "--out", "other"])
    filled(folder)
    (folder / "key.csv").write_text((Path("other") / "key.csv").read_text(encoding="utf-8"), encoding="utf-8")


def renamed(id_: str) -> Callable[[Path], None]:
    """Return how a spreadsheet that takes an id for a number or strips it saves the sheet."""

    def spoil(folder: Path) -> None:
        filled(folder)
        path = folder / "anna.csv"
        path.write_text(path.read_text(encoding="utf-8").replace(",t1,", f",{id_},"), encoding="utf-8")

    return spoil


def knowing(folder: Path) -> None:
    fill(folder, "anna", lambda _: "candidate")


def leaning(folder: Path) -> None:
    fill(folder, "anna", lambda _: "left")


def lazy(folder: Path) -> None:
    fill(folder, "anna", lambda row: "" if row["id"] == "t1" else likes("right")(row))


def twice(folder: Path) -> None:
    filled(folder)
    fill(folder, "copy", likes("right"), rater="Anna")


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (lambda folder: None, ("ratings", "sheet.csv")),
        (unkeyed, ("ratings/anna.csv:2", "ratings/key.csv")),
        (of_another, ("ratings/anna.csv:2", "sheet", "key.csv")),
        (renamed("1"), ("ratings/anna.csv:3", 'id "1"', "ratings/key.csv", "spreadsheet", "sheet.csv")),
        (renamed("1.00E+03"), ("ratings/anna.csv:3", 'id "1.00E+03"', "ratings/key.csv", "sheet.csv")),
        (renamed("t1 "), ("ratings/anna.csv:3", 'id "t1 "', "ratings/key.csv", "sheet.csv")),
        (knowing, ("ratings/anna.csv:2", "preferred", "a, b or tie")),
        (leaning, ("ratings/anna.csv:2", "preferred", "a, b or tie")),
        (lazy, ("1 of 60", "t1")),
        (twice, ("ratings/copy.csv:2", "ratings/anna.csv:2", "anna")),
    ],
)
def test_a_sheet_that_is_not_whole_is_an_error(
    rated: Project, spoil: Callable[[Path], Any], parts: tuple[str, ...]
) -> None:
    main(["sheet", "support", "--out", "ratings"])
    spoil(rated.path / "ratings")
    mentions(stopped(rated.judge("support")), *parts)


def test_the_key_may_be_elsewhere_and_the_ratings_one_file(rated: Project) -> None:
    main(["sheet", "support", "--out", "ratings"])
    filled(rated.path / "ratings")
    (rated.path / "ratings" / "key.csv").rename(rated.path / "secret.csv")
    metric = {"name": "human_preference", "path": "ratings/anna.csv", "key": "secret.csv"}
    gate = rated.judge("support", metric=metric)
    assert (gate["verdict"], gate["judges"][0]["raters"]) == ("pass", 1), gate["checks"]


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_sheet_is_read_as_a_spreadsheet_saves_it(rated: Project, separator: str, quoting: Any) -> None:
    main(["sheet", "support", "--out", "ratings"])
    folder = rated.path / "ratings"
    filled(folder)
    for name in ("anna", "key"):
        found = rows(folder / f"{name}.csv")
        with (folder / f"{name}.csv").open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, found[0], delimiter=separator, quoting=quoting)
            writer.writeheader()
            writer.writerows({**row, **({"input": "a, b; c\td"} if "input" in row else {})} for row in found)
            writer.writerow(dict.fromkeys(found[0], ""))
    gate = rated.judge("support")
    assert (gate["verdict"], gate["judges"][0]["raters"]) == ("pass", 1), gate["checks"]


@pytest.mark.parametrize(
    ("args", "text", "parts"),
    [
        (["--out", "ratings"], GATE_FILE.replace("ft.jsonl", "short.jsonl"), ("candidate", "60 answers missing")),
        (["--out", "."], GATE_FILE, ("key.csv", "already")),
        (["--out", "test.jsonl/x"], GATE_FILE, ("test.jsonl/x",)),
    ],
)
def test_what_cannot_be_made_into_a_sheet_is_one_line(
    rated: Project, capsys: pytest.CaptureFixture[str], args: list[str], text: str, parts: tuple[str, ...]
) -> None:
    rated.gate_file(text)
    rated.file("key.csv", "")
    rated.predictions("short.jsonl", 59)
    assert main(["sheet", "support", *args]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert not [part for part in parts if part not in line], line
    assert not (rated.path / "ratings").exists()
