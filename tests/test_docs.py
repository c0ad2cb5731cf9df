"""Run or check every block of the documentation, and follow every link.

Python blocks run with their assertions, gate files are loaded, commands and options must exist, and printed output must
be what is printed. The tutorial is done step by step in test_tutorial.py, and guides and recipes in test_howto.py.
"""

import json
import math
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from doc_pages import DOCS, PAGES, ROOT, Block, blocks, blocks_under, commands, name_of
from endpoint_project import EndpointProject
from gate_project import Project, label, read_jsonl, write_jsonl, wrong
from loopback import LoopbackServer

from pytest_ftgate.cli.commands import _parser
from pytest_ftgate.config import load_gate_file, resolve_gate
from pytest_ftgate.config.gate_file import FileKeys
from pytest_ftgate.config.gate_keys import GateKeys
from pytest_ftgate.statistics import chances, fewest_examples

STEP_BY_STEP = {"tutorial.md"}
BLOCKS = [block for page in PAGES if name_of(page) not in STEP_BY_STEP for block in blocks(page)]


def of(*languages: str) -> list[Any]:
    chosen = [block for block in BLOCKS if block.language in languages]
    return [pytest.param(block, id=block.place) for block in chosen]


def test_pages_are_few_and_short() -> None:
    """A page that is added replaces another one, and a sentence too."""
    pages = list(DOCS.rglob("*.md"))
    words = 0
    for page in pages:
        text = re.sub(r"<[^>\n]+>", " ", page.read_text(encoding="utf-8"))
        words += sum(any(map(str.isalnum, word)) for word in text.split())  # without markup
    assert (len(pages) <= 27, words <= 26_000) == (True, True), words


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    kinds = {"python", "yaml", "ini", "json", "console", "text", "dockerfile", "sh"}
    assert {block.language for block in BLOCKS} == kinds
    for page in PAGES:
        fences = re.findall(r"^ *```", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert len(fences) == 2 * len(list(blocks(page))), (
            f"{page}: a fence that is no block, or has an unknown title"
        )


def test_no_line_of_a_block_is_cut_off() -> None:
    """Neither by a terminal, nor by a page on a small screen."""
    for block in (block for page in PAGES if page.is_relative_to(DOCS) for block in blocks(page)):
        wide = [
            line
            for line in block.text.splitlines()
            if len(line) > (90 if block.language == "text" else 76)
        ]
        assert not [line for line in wide if block.title or "ftgate " not in line], block.place


LEARNER = [
    page
    for page in DOCS.glob("*.md")
    if page.name not in {*STEP_BY_STEP, "ci.md", "cookbook.md", "limits.md"}
]


@pytest.mark.parametrize("page", LEARNER, ids=name_of)
def test_a_page_opens_with_an_example(page: Path) -> None:
    assert "```" in page.read_text(encoding="utf-8").partition("\n## ")[0]


# --- Python, YAML, ini ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [block for block in of("python") if not block.values[0].title])
def test_python_blocks_run(block: Block) -> None:
    exec(compile(block.text, block.place, "exec"), {})


def whole(text: str) -> dict[str, Any]:
    """Return a gate file around what a page shows: a file, its sections, or keys of one gate."""
    content = yaml.safe_load(textwrap.dedent(text))
    if set(content) <= set(FileKeys.model_fields):
        return {"version": 1, "gates": {}} | content
    assert set(content) <= set(GateKeys.model_fields), content
    return {"version": 1, "gates": {"shown": content}}


def completed(gate: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    """Add to a gate what the page leaves out."""
    out = {"baseline"} if "baselines" in gate else set()
    out |= {"margin"} if "max_drop" in gate or "agreement" in gate else set()
    out |= {"candidate"} if gate.get("stage") == "ready" else set()
    return {key: value for key, value in usual.items() if key not in out} | gate


def is_gate_file(block: Block) -> bool:
    return block.language == "yaml" and block.title.partition(" ")[0] in ("", "ftgate.yaml")


def models_of(page: Path) -> dict[str, Any]:
    """Return the models that any block of a page names; another block may use them."""
    every = [whole(block.text) for block in blocks(page) if is_gate_file(block)]
    return {name: model for document in every for name, model in document.get("models", {}).items()}


@pytest.mark.parametrize("block", [block for block in of("yaml") if is_gate_file(block.values[0])])
def test_gate_files_are_read(block: Block, project: Project) -> None:
    project.file("acme_policy/__init__.py", "")
    project.file("acme_policy/gates.yaml", "version: 1\ndefaults: {margin: 0.05}\n")
    project.pytester.syspathinsert()
    document = whole(block.text)
    document["models"] = models_of(block.page) | document.get("models", {})
    defaults = {
        key: value for key, value in document.get("defaults", {}).items() if key != "extends"
    }
    document["gates"] = {
        name: completed(gate | defaults, project.keys) for name, gate in document["gates"].items()
    }
    file = load_gate_file(project.file("ftgate.yaml", yaml.safe_dump(document)))
    assert file.gate_names or file.models
    for name in file.gate_names:
        resolve_gate(file.layers(name), file=file, gate=name, default_name="x")


@pytest.mark.parametrize("block", of("json"))
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", of("ini"))
def test_ini_keys_are_known(block: Block, project: Project) -> None:
    project.file("pytest.ini", block.text)
    project.file("test_nothing.py", "def test_nothing(): pass\n")
    keys = re.findall(r"^(\w+) = ", block.text, flags=re.MULTILINE)
    project.file(
        "conftest.py",
        f"def pytest_configure(config):\n    for key in {keys}:\n        config.getini(key)\n",
    )
    assert (
        project.run("--ftgate-allow-missing" if "ftgate_required" in keys else "-q", "--co").ret
        == 0
    )


# --- commands ------------------------------------------------------------------------------------------------

ELSEWHERE = {
    "hf": {"upload"},
    "jq": {"-r"},
    "litellm": {"--config", "--port"},
    "llama-server": {"-m", "--lora", "--alias", "--port", "--parallel", "--threads-http"},
    "tg": {"files", "fine-tuning", "--training-file", "--model", "--lora", "--suffix"},
    "vllm": {"serve", "--enable-lora", "--lora-modules", "--port"},
    "ollama": {"pull", "create", "serve", "-f"},
}
"""Commands and options of programs that are not installed, from their own documentation."""


def pip(arguments: list[str]) -> None:
    """Check that an installation names extras and dependency groups that there are."""
    command, *words = arguments
    assert command == "install"
    while "--group" in words:
        index = words.index("--group")
        assert words[index + 1] in defined("dependency-groups")
        del words[index : index + 2]
    for package in {*words} - {"-e", "-U", "pip", "pytest-xdist"}:
        match = re.fullmatch(r"(?:pytest-ftgate|\.)(?:\[([\w,-]+)\])?", package)
        assert match, package
        assert set(filter(None, (match[1] or "").split(","))) <= defined(
            "project.optional-dependencies"
        ), package


def defined(table: str) -> set[str]:
    """Return the keys of a table of pyproject.toml that are lists."""
    listed = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition(f"[{table}]")[2]
    return set(re.findall(r"^([\w-]+) = \[", listed.partition("\n[")[0], flags=re.MULTILINE))


def collected(arguments: list[str], project: Project) -> None:
    """Check that pytest knows the options, and that the files exist in the repository."""
    files = [word for word in arguments if word.endswith(".py")]
    assert all((ROOT / file).exists() for file in files)
    for folder in ("tests", "gates"):
        (project.path / folder).mkdir(exist_ok=True)
    result = project.run("--co", "-q", *(word for word in arguments if word not in files))
    assert result.ret in (pytest.ExitCode.NO_TESTS_COLLECTED, pytest.ExitCode.OK), (
        result.stderr.str()
    )


def elsewhere(program: str, arguments: list[str]) -> None:
    words = [word for word in arguments if word.startswith("-")] + arguments[:1]
    assert set(words) <= ELSEWHERE[program], words


@pytest.mark.parametrize("block", of("console"))
def test_commands_are_known(block: Block, project: Project) -> None:
    for command, output in commands(block):
        assert not output, f"{block.place}: outputs are shown in blocks of text"
        words = [
            word for word in shlex.split(command, comments=True) if not re.match(r"[A-Z_]+=", word)
        ]
        match words:
            case ["pip", *arguments] | ["python", "-m", "pip", *arguments]:
                pip(arguments)
            case ["pytest", *arguments] | ["python", "-m", "pytest", *arguments]:
                collected(arguments, project)
            case ["python", "-m", "pytest_ftgate", *arguments]:
                _parser().parse_args(arguments)
            case [program, *arguments]:
                elsewhere(program, arguments)


# --- outputs -------------------------------------------------------------------------------------------------


def power(n: int, gain: float, broken: float, **standard: Any) -> float:
    """Return how likely a gate passes, as --ftgate-plan prints it."""
    asked = {"margin": 0.05, "confidence": 0.95, "evidence": "significant"} | standard
    return chances(n, gain=gain, disagreement=gain + 2 * broken, **asked).passed


def examples_tables() -> list[list[tuple[str, str]]]:
    """Return the rows of both tables of numbers of examples: the first cell, and the others."""
    sections = (DOCS / "plan.md").read_text("utf-8").partition("The other way round")[::2]
    pattern = r"^\|([\d,]+)(?: points)?\|(.*)\|$"
    return [re.findall(pattern, section, flags=re.MULTILINE) for section in sections]


def test_a_gain_in_the_table_is_the_smallest_shown() -> None:
    """It passes with 80 % power, and a tenth of a point less does not."""
    rows = examples_tables()[0]
    for n, row in rows:
        designs = ((0.0, 0.95), (0.03, 0.95), (0.05, 0.95), (0.03, 0.9))
        for (broken, confidence), cell in zip(designs, row.split("|"), strict=True):
            gain = float(cell) / 100
            less = power(int(n), gain - 0.001, broken, confidence=confidence)
            assert less < 0.8 <= power(int(n), gain, broken, confidence=confidence), (n, cell)

    assert len(rows) == 5
    options = {"confidence": 0.95, "proven": True, "exact": True}
    drops = [fewest_examples(drop, **options) for drop in (0.05, 0.03, 0.02, 0.01, 0.1)]
    assert drops == [59, 99, 149, 299, 29]


@pytest.mark.simulation
def test_a_size_in_the_table_is_the_smallest_enough() -> None:
    """So many examples have 80 % power, and one less has not."""
    any_gain: dict[str, Any] = {"margin": 0.0}
    proven: dict[str, Any] = {"margin": 0.05, "evidence": "proven"}
    rows = examples_tables()[1]
    for points, row in rows:
        gain = int(points) / 100
        kinds = ((0.0, any_gain), (0.05, any_gain), (0.05, proven))
        for (broken, standard), cell in zip(kinds, row.split("|"), strict=True):
            if gain <= standard["margin"]:
                assert cell == "never"
                continue

            number, _, labels = cell.replace(",", "").partition(" ")
            size = int(number)
            # Only examples need a label on which the models differ.
            assert labels == f"({math.ceil(round(size * (gain + 2 * broken), 9))})"
            fewer = power(size - 1, gain, broken, **standard)
            assert fewer < 0.8 <= power(size, gain, broken, **standard), (points, cell)

    assert len(rows) == 6


def ratings_block(block: Block, project: Project) -> None:
    """Check that ratings of every example are read in the format that the page shows."""
    head, *rows = block.text.splitlines()
    assert len(rows) == 2
    every = [row.replace("t1,", f"t{i},", 1) for i in range(60) for row in rows]
    project.file("ratings.csv", "\n".join([head, *every]) + "\n")
    project.gate_test(metric={"name": "human_preference", "path": "ratings.csv"})
    gate = project.gate()
    # anna's candidate and boris' tie, where the answers differ; of two equal ones nobody prefers either
    # two raters are too few to show a gain
    assert (gate["verdict"], gate["candidate"]["value"]) == (
        "inconclusive",
        pytest.approx((20 * 0.75 + 40 * 0.5) / 60),
    )


@cache
def printed_by(example: str) -> list[str]:
    """Return all lines that both runs of an example print, in a copy of all of them."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "examples"
        ignored = shutil.ignore_patterns(".ftgate", "__pycache__", "artifacts")
        shutil.copytree(ROOT / "examples", copy, ignore=ignored)
        printed = ""
        for name in ("test_gate.py", "test_refused.py"):
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name]
            done = subprocess.run(
                command,
                cwd=copy / example,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            printed += done.stdout
    return [timeless(line) for line in printed.splitlines()]


def timeless(line: str) -> str:
    """Return the line without times, which differ from run to run, and with single spaces."""
    return " ".join(re.sub(r"\b[\d.]+ (ms|s)\b", "#", line).split())


def example_block(block: Block, project: Project) -> None:
    """Check that an example prints every line that its page shows, up to ``...``; times do not count."""
    printed = printed_by(block.page.parent.name)
    for line in map(timeless, block.text.splitlines()):
        beginning, cut, _ = line.partition("...")
        if "stored" in line or "/226" in line or "/60" in line:
            continue  # what was stored before depends on which test ran first
        assert line == "..." or any(
            printed_line.startswith(beginning) if cut else printed_line == line
            for printed_line in printed
        ), line
    for reason in REASONS[block.page.parent.name]:
        assert any(reason in line for line in printed), reason
    green = next(index for index, line in enumerate(printed) if ": PASS -" in line)
    end = next(
        index
        for index, line in enumerate(printed)
        if index > green and line.startswith(("---", "==="))
    )
    assert not [line for line in printed[green:end] if "warning" in line.lower()]


REASONS = {
    "extraction": ["1 passed in", "2 failed in", "FAIL margin: ", "FAIL thresholds.format: "],
    "style_preference": ["1 passed in", "1 failed in", "FAIL margin: "],
    "closing": ["1 passed in", "1 failed in", "FAIL max_drop: "],
}  # fmt: skip
"""What an example prints although its page does not show it. Its green gate warns of nothing."""


def trained_block(block: Block, project: Project) -> None:
    """Check that the gates of a page are those of its example, whose models are trained in the session ``shipped``."""
    gates = yaml.safe_load((block.page.parent / "ftgate.yaml").read_text(encoding="utf-8"))["gates"]
    verdicts = dict(re.findall(r"ftgate (\w+): (\w+)", block.text))
    assert verdicts
    assert verdicts == {
        name: "FAIL" if name == "unscaled" else "PASS" for name in gates if name in verdicts
    }


def preview_block(block: Block, project: Project) -> None:
    """Check that a plan and a preview print every line that the page shows."""
    price = {"input_per_1m": 0.8, "output_per_1m": 3.2}
    with LoopbackServer() as server:
        http = EndpointProject(project.pytester, server)
        baseline = http.model("base", system="Answer with one label.", price=price)
        http.gate_test(baseline=baseline, candidate=http.model("ft", price=price))
        if " groups" in block.text:
            http.test_set(60, group=lambda i: f"customer {i % 20}")
        printed = {
            line
            for option in ("--ftgate-plan", "--ftgate-preview=3")
            for line in http.run(option).outlines
        }
    assert not set(block.text.splitlines()) - printed


def golden_block(block: Block, project: Project) -> None:
    """Check that a golden report has these lines, one after the other."""
    assert any(block.text in report for report in golden_reports())


@cache
def golden_reports() -> list[str]:
    """Return what the gates of tests/golden print."""
    folder = ROOT / "tests" / "golden" / "__snapshots__" / "test_golden"
    return [path.read_text(encoding="utf-8") for path in folder.glob("*terminal*.txt")]


def plan_block(block: Block, project: Project) -> None:
    """Check a block of the walk with unlabeled inputs, or of a plan and a preview."""
    walk = blocks_under("plan.md", "Label only what decides")
    if block in walk:
        printed = "\n".join(printed_by_the_walk())
        assert block.text in f"{printed}\n"
    else:
        preview_block(block, project)


@cache
def printed_by_the_walk() -> list[str]:
    """Return what is printed by 100 labeled examples, with 400 inputs, and with their labels."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_walk(folder)
        lines = run_in(folder)

        gate = folder / "ftgate.yaml"
        text = gate.read_text(encoding="utf-8")
        gate.write_text(f"{text}    unlabeled_set: inputs.jsonl\n", encoding="utf-8")
        lines += run_in(folder, "--ftgate-report=to_label:todo.jsonl")

        rows = read_jsonl(folder / "todo.jsonl")
        assert {"id": "u102", "input": "other question 102", "expected": ""} in rows
        filled_in = [{**row, "expected": label(int(row["id"][1:]))} for row in rows]
        write_jsonl(folder / "todo.jsonl", filled_in)
        labels = "    unlabeled_set: {path: inputs.jsonl, labels: todo.jsonl}\n"
        gate.write_text(text + labels, encoding="utf-8")
        return lines + run_in(folder)


def write_walk(folder: Path) -> None:
    """Write the files of a gate; of each hundred rows 9 are fixed, 16 wrong in both, 3 broken."""
    (folder / "ftgate.yaml").write_text(
        "version: 1\ngates:\n  intents:\n    test_set: test.jsonl\n    training_set: train.jsonl\n"
        "    baseline: recorded:base.jsonl\n    candidate: recorded:ft.jsonl\n"
        "    metric: accuracy\n    margin: 0.02\n    evidence: proven\n",
        encoding="utf-8",
    )
    (folder / "test_gate.py").write_text(
        "import pytest\n@pytest.mark.ftgate('intents')\ndef test_gate(): pass\n", encoding="utf-8"
    )
    test = [(f"t{i}", i, f"customer question {i}") for i in range(100)]
    inputs = [(f"u{i}", i, f"other question {i}") for i in range(400)]
    rows = [{"id": id_, "input": text, "expected": label(i)} for id_, i, text in test]
    write_jsonl(folder / "test.jsonl", rows)
    write_jsonl(folder / "inputs.jsonl", [{"id": id_, "input": text} for id_, _, text in inputs])
    training = [{"input": f"training question {i}", "expected": label(i)} for i in range(250)]
    write_jsonl(folder / "train.jsonl", training)
    for name, missed in (("base", range(25)), ("ft", range(9, 28))):
        answers = []
        for id_, i, _ in (*test, *inputs):
            answers.append({"id": id_, "output": wrong(i) if i % 100 in missed else label(i)})
        write_jsonl(folder / f"{name}.jsonl", answers)


def run_in(folder: Path, *options: str) -> list[str]:
    """Return the lines that pytest prints in a folder."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    return done.stdout.splitlines()


def readme_block(block: Block, project: Project) -> None:
    """See test_readme.py, which runs the example."""
    assert block.text in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_flowchart_has_the_defaults_of_a_gate() -> None:
    chart = (DOCS / "assets" / "decide.svg").read_text(encoding="utf-8")
    for key in ("min_training_examples", "min_test_examples"):
        assert f" {GateKeys.model_fields[key].default} " in chart


OUTPUTS = {
    "README.md": readme_block,
    "gallery.md": golden_block,
    "plan.md": plan_block,
    "examples/extraction/README.md": example_block,
    "examples/style_preference/README.md": example_block,
    "examples/closing/README.md": example_block,
    "examples/shipped/README.md": trained_block,
    "judges.md": ratings_block,
}


@pytest.mark.parametrize("block", of("text"))
def test_what_is_shown_is_what_is_printed(block: Block, project: Project) -> None:
    OUTPUTS[name_of(block.page)](block, project)


# --- links ---------------------------------------------------------------------------------------------------


HERE = "https://github.com/pytest-ftgate/pytest-ftgate/blob/main/"
ROOT_PAGES = ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")


@pytest.mark.parametrize("page", [*PAGES, *(ROOT / name for name in ROOT_PAGES)], ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(
        r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(#[^)\s]+)?\)", text):
        ours = target.startswith(HERE)
        if target.startswith("https://") and not ours:
            continue
        reached = (
            ROOT / target.removeprefix(HERE) if ours else page.parent / target if target else page
        )
        assert reached.exists(), target
        if anchor and reached.suffix == ".md":  # those of pictures choose light or dark
            assert anchor[1:] in anchors(reached), f"{target}{anchor}"


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


def test_architecture_names_files_that_exist() -> None:
    """And in a row of the table the names that its files have."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    folders = (ROOT, ROOT / "pytest_ftgate")
    for path in re.findall(r"`((?:\w+/)*\w+(?:/|\.py|\.md))`", text):
        if not re.search(r"NAME|FAMILY", path):
            assert any((folder / path).exists() for folder in folders), path

    source = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "pytest_ftgate").rglob("*.py")
    )
    for name in re.findall(r"`(_?[A-Za-z]\w*(?:\.\w+)?)`", text):
        assert name.rpartition(".")[2] in source or (ROOT / name).exists(), name


def test_troubleshooting_quotes_messages_that_exist() -> None:
    """People search for these words."""
    source = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "pytest_ftgate").rglob("*.py")
    )
    texts = [(DOCS / f"{name}.md").read_text("utf-8") for name in ("troubleshooting", "verdict")]
    ours = "".join(text.partition("\n## From other tools")[0] for text in texts)
    rows = re.findall(r"^\|(`.*?)\|", ours, flags=re.MULTILINE)
    assert rows
    for row in rows:
        for message in re.findall(r"`([^`]*)`", row):
            fragments = [
                fragment.strip(" ()")
                for fragment in re.split(
                    r"NAME|\.\.\.|OPENAI_API_KEY|candidate: |-o ftgate_|['\"]|line 2|marker ftgates",
                    message,
                )
            ]
            assert not [fragment for fragment in fragments if fragment not in source], message
