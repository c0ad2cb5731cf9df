"""What ``init`` sees in the data, proposes, and writes."""

import json
from pathlib import Path

import pytest
from gate_project import NATIVE_TOML, label, write_jsonl

from pytest_ftgate.cli.init import ini_lines, look, propose, write_project
from pytest_ftgate.config import load_gate_file, resolve_gate
from pytest_ftgate.errors import ConfigError, DataError, FtgateError
from pytest_ftgate.ini_file import find_ini
from pytest_ftgate.metrics import BUILT_IN

RECORDED = {"baseline": "recorded:b.jsonl", "candidate": "recorded:c.jsonl"}


@pytest.fixture
def init(folder):
    """Runs it, and gives all that it says, every line held to the width of a log."""

    def init(**wishes):
        said = []
        write_project(said.append, **wishes)
        assert all(len(line) <= 80 or line.startswith(" ") for line in said)
        assert all(line.isprintable() for line in said)
        return "\n".join(said)

    return init


def rows(n, prefix="customer question", expected=label, **extra):
    return [{"input": f"{prefix} {i}", "expected": expected(i), **extra} for i in range(n)]


def furnish(folder, test=None, training=None):
    write_jsonl(folder / "test.jsonl", rows(60) if test is None else test)
    write_jsonl(folder / "train.jsonl", rows(220, "training question") if training is None else training)


def resolved(folder):
    file = load_gate_file(folder / "ftgate.yaml")
    return resolve_gate(file.layers("finetune"), file=file, gate="finetune", default_name="x")


def table(head, sign=","):
    return "\n".join([head, *(sign.join((f"q {i}", label(i))) for i in range(60))])


def test_files_are_found_and_named(folder, init):
    furnish(folder / "data", rows(60, group="g"))
    for name in ("a_long_test", "latest_train"):
        write_jsonl(folder / "data" / f"{name}.jsonl", rows(3))
    said = init()
    assert all(words in said for words in ("test.jsonl 60 examples in 1 group,", "train.jsonl 220 rows"))
    assert 'test_set: "data/test.jsonl"' in (folder / "ftgate.yaml").read_text()


@pytest.mark.parametrize(
    ("files", "wishes", "said"),
    [
        (["train"], {}, r"no \*test\* file .*--test-set"),
        (["test"], {}, r"no \*train\* file .*--training-set"),
        (["test", "train"], {"training_set": Path("test.jsonl")}, "same file"),
        (["test", "train"], {"columns": {"expected": "expectd"}}, r"no column 'expectd'.*did you mean .expected"),
        (["test", "train"], {"models": {"candidate": "recorded:../b.jsonl"}}, r"b.jsonl is outside the project"),
        *(
            (["test", "train"], {"models": {"candidate": "recorded:b.jsonl", role: spelling}}, f"{role}.*openai")
            for role in ("baseline", "candidate")
            for spelling in ("gpt-4.1", "opnai:gpt-4.1", "https://host/v1")
        ),
    ],
)
def test_what_cannot_be_used_is_an_error_and_nothing_is_written(folder, init, files, wishes, said):
    for name in files:
        write_jsonl(folder / f"{name}.jsonl", rows(60, name))
    with pytest.raises(FtgateError, match=rf"(?s){said}"):
        init(**wishes)
    assert sorted(path.stem for path in folder.iterdir()) == files


@pytest.mark.parametrize(
    ("head", "sign", "columns", "fields"),
    [
        ("question,label", ",", {}, {}),
        ("text;label", ";", {}, {}),
        ("text\tlabel", "\t", {}, {}),
        ("frage,antwort", ",", {"input": "frage", "expected": "antwort"}, {"input": "frage", "expected": "antwort"}),
        ("input,label", ",", {"expected": "label"}, {"expected": "label"}),
        ("text\x1b[31m,label", ",", {"input": "text\x1b[31m"}, {"input": "text\x1b[31m"}),
    ],
)
def test_columns_are_recognised_or_named(folder, init, head, sign, columns, fields):
    furnish(folder)
    (folder / "test.jsonl").unlink()
    (folder / "test.csv").write_text(table(head, sign))
    init(columns=columns, models=RECORDED)
    config = resolved(folder)
    assert (config.test_set.fields, config.training_set.fields) == (fields, {})


@pytest.mark.parametrize(
    ("names", "columns"),
    [(("input", "expected"), {}), (("frage", "antwort"), {"input": "case.frage", "expected": "case.antwort"})],
)
def test_columns_within_objects(folder, init, names, columns):
    furnish(folder, [{"case": dict(zip(names, one.values(), strict=True))} for one in rows(60)])
    init(columns=columns, models=RECORDED)
    assert resolved(folder).test_set.fields == columns


def test_columns_that_nobody_can_tell_are_asked_for(folder, init):
    (folder / "test.csv").write_text(table("frage,antwort"))
    write_jsonl(folder / "train.jsonl", rows(220))
    with pytest.raises(DataError, match=r"(?s)test.csv: .*input.*expected.*frage.*--input COLUMN --expected COLUMN"):
        init()


WARNINGS = {
    "min_training_examples": "103 usable training examples, 200 required (105 rows minus 2 repeated inputs)",
    "leaked": "2 of 42 test examples are also in the training set: test.jsonl:1 = train.jsonl:103",
    "leaked_near": "test.jsonl:41 ~ train.jsonl:105",
    "conflicts": "1 of 105 training rows repeats an input with a different output",
    "labels_missing": "no example of 'unseen' (test.jsonl:39), which the test set expects",
    "min_test_examples": "42 test examples (50 required)",
}


def test_what_speaks_against_the_data_is_what_the_gate_will_say(folder, init):
    copied = "where is the parcel that I ordered {} days ago, and when will it arrive at my door?"
    training = rows(100, "training question")
    training += [training[0], {**training[1], "expected": "other"}, rows(1)[0], {"input": "t", "expected": "rare"}]
    training.append({"input": copied.format("three") + " Thanks", "expected": label(0)})
    test = [*rows(38), *({"input": f"new {one}", "expected": one} for one in ("unseen", "rare"))]
    furnish(folder, [*test, {"input": copied.format("three"), "expected": label(0)}, test[0]], training)
    said = " ".join(init().partition("wrote ")[0].split())
    for name, words in WARNINGS.items():
        assert words in said.partition(f"warning {name}: ")[2].partition(" warning ")[0], name
    assert "error: test.jsonl:42" in said
    assert "fix: --dedupe writes copies without duplicates and leaks; checks: {leaked_near: warn} accepts" in said


@pytest.mark.parametrize(
    ("expected", "metric"),
    [
        (label, "accuracy"),
        (lambda i: "rare" if i % 5 == 0 else "usual", "f1_macro"),
        (lambda i: f"label {i % 12}", "f1_macro"),
        (lambda i: i % 2 == 0, "accuracy"),
        (lambda i: {"total": i}, "exact_match"),
        (lambda i: json.dumps({"total": i % 3}), "exact_match"),
        (lambda i: f"a sentence about the matter {i}", "exact_match"),
    ],
)
def test_the_metric_suits_the_outputs(folder, expected, metric):
    furnish(folder, rows(60, expected=expected), rows(220, "training question", expected))
    assert propose(look(None, None, {}))[0] == metric
    assert metric in BUILT_IN


def test_all_keys_in_comments_are_right(folder, init):
    """What is proposed works once the comment sign is taken away; before that, the gate asks for its models."""
    furnish(folder)
    assert "baseline" in init().partition("next ")[2]
    with pytest.raises(ConfigError, match="baseline"):
        resolved(folder)
    text = (folder / "ftgate.yaml").read_text()
    assert all(goal in text for goal in ("style", "format", "classification, extraction", "knowledge: Use retrieval"))
    proposed = ("hypothesis", "goal", "baseline", "candidate", "confidence", "min_test_examples",
                "min_training_examples", "thresholds")  # fmt: skip
    for key in proposed:
        assert text.count(f"    # {key}: ") == 1
        text = text.replace(f"    # {key}: ", f"    {key}: ")
    (folder / "prompts").mkdir()
    (folder / "prompts/task.md").write_text("Answer with a label.")
    (folder / "ftgate.yaml").write_text(text)
    config = resolved(folder)
    assert config.prediction is not None
    facts = (config.goal, config.margin, config.evidence, config.confidence, len(config.thresholds))
    assert facts == ("classification", 0.05, "significant", 0.95, 1)
    assert (config.min_test_examples, config.min_training_examples) == (50, 200)
    models = (config.baselines["baseline"].spelling, config.candidate.spelling)
    assert models == ("openai:Qwen/Qwen3-8B", "openai:task-v1")


@pytest.mark.parametrize("name", ["ftgate.yaml", "test_finetune.py", "pytest.ini"])
def test_nothing_is_written_over_without_force(folder, init, name, tmp_path):
    """Not even through a link that leads nowhere."""
    furnish(folder)
    if name == "pytest.ini":
        (folder / name).symlink_to(tmp_path / "elsewhere.ini")
    else:
        (folder / name).write_text("mine")
    with pytest.raises(ConfigError, match=rf"(?s){name}: .*--force"):
        init()
    assert len([*folder.iterdir()]) == 3
    if name != "pytest.ini":
        init(force=True)
        assert (folder / name).read_text() != "mine"


ALL = ["required_plugins = pytest-ftgate", "addopts = --strict-markers --strict-config", "ftgate_required = all"]
TOML = ['required_plugins = ["pytest-ftgate"]', 'addopts = ["--strict-markers", "--strict-config"]',
        'ftgate_required = ["all"]']  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("pytest.ini", "", ALL),
        ("pyproject.toml", "[tool.ruff]\n", None),
        ("setup.cfg", "[metadata]\n", None),
        ("tox.ini", "[pytest]\naddopts = -ra\n", [ALL[0], ALL[2]]),
        ("setup.cfg", "[tool:pytest]\nftgate_required = all", ALL[:2]),
        ("pyproject.toml", "[tool.pytest.ini_options]\nftgate_required = ['finetune']\n", TOML[:2]),
        pytest.param("pyproject.toml", "[tool.pytest]\nminversion = '9.0'\n", TOML, marks=NATIVE_TOML),
        pytest.param("pytest.toml", "", TOML, marks=NATIVE_TOML),
        pytest.param(".pytest.toml", "[pytest]\n", TOML, marks=NATIVE_TOML),
    ],
)
@pytest.mark.parametrize("place", ["", "sub"])
def test_an_ini_file_is_left_alone_and_what_it_lacks_is_printed(folder, init, monkeypatch, name, content, lines, place):
    (folder / name).write_text(content)
    (folder / place).mkdir(exist_ok=True)
    furnish(folder / place)
    monkeypatch.chdir(folder / place)
    said = init(models=RECORDED)
    assert (folder / name).read_text() == content
    assert (folder / place / "pytest.ini").exists() is (lines is None or (name == "pytest.ini" and not place))
    if lines is not None:
        printed = [line.strip() for line in said.partition("exists. Set these")[2].splitlines() if " = " in line]
        assert printed == lines
        (folder / name).write_text("\n".join([content or "[pytest]", *printed]))
        assert ini_lines(find_ini(folder)) == []
        assert "exists. Set" not in init(models=RECORDED, force=True)


def test_an_ini_file_that_cannot_be_read_is_an_error(folder, init):
    furnish(folder)
    (folder / "tox.ini").write_bytes(b"[pytest]\xff")
    with pytest.raises(ConfigError, match=r"tox\.ini"):
        init()


@pytest.mark.parametrize(
    ("testpaths", "there", "path"),
    [
        ("tests", "tests", "tests/test_finetune.py"),
        ("absent suite", "suite", "suite/test_finetune.py"),
        (".", ".", "test_finetune.py"),
        ("test_one.py", ".", "test_finetune.py"),
    ],
)
def test_the_test_is_written_where_pytest_collects_it(folder, init, testpaths, there, path):
    (folder / "pytest.ini").write_text(f"[pytest]\ntestpaths = {testpaths}\n")
    (folder / "test_one.py").write_text("")
    (folder / there).mkdir(exist_ok=True)
    furnish(folder)
    said = init()
    assert (folder / path).is_file()
    assert said.endswith(f"python -m pytest {path}")
