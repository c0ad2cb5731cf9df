"""What ``init`` sees in the data, proposes, and writes."""

import json
from pathlib import Path

import pytest
from gate_project import NATIVE_TOML, label, write_jsonl

from pytest_ftgate.cli.init import look, proposed_metric, write_project
from pytest_ftgate.config import load_gate_file, resolve_gate
from pytest_ftgate.errors import ConfigError, DataError, FtgateError
from pytest_ftgate.ini_file import find_ini
from pytest_ftgate.metrics import built_in_names

RECORDED = {"baseline": "recorded:b.jsonl", "candidate": "recorded:c.jsonl"}
PARCEL = "where is the parcel that I ordered {} days ago, and when will it arrive at my door?"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(**wishes):
    """Run it, and give all that it says, every line held to the width of a log."""
    lines = []
    write_project(lines.append, **wishes)
    assert all(len(line) <= 80 or line.startswith(" ") for line in lines)
    assert all(line.isprintable() for line in lines)
    return "\n".join(lines)


def rows(n, prefix="customer question", expected=label, **extra):
    return [{"input": f"{prefix} {i}", "expected": expected(i), **extra} for i in range(n)]


TESTED, TRAINED = rows(60), rows(220, "training question")


def furnish(folder, test=TESTED, training=TRAINED):
    write_jsonl(folder / "test.jsonl", test)
    write_jsonl(folder / "train.jsonl", training)


def resolved(folder):
    file = load_gate_file(folder / "ftgate.yaml")
    return resolve_gate(file.layers("finetune"), file=file, gate="finetune", default_name="x")


def test_files_are_found_and_named(folder):
    furnish(folder / "data", rows(60, group="g"))
    for name in ("a_long_test", "latest_train"):
        write_jsonl(folder / "data" / f"{name}.jsonl", rows(3))
    printed = init()
    assert all(
        words in printed for words in ("test.jsonl 60 examples in 1 group,", "train.jsonl 220 rows")
    )
    assert 'test_set: "data/test.jsonl"' in (folder / "ftgate.yaml").read_text()


@pytest.mark.parametrize(
    ("files", "wishes", "message"),
    [
        (["train"], {}, r"no \*test\* file .*--test-set"),
        (["all"], {}, r"no \*test\* file .*python -m pytest_ftgate split all\.jsonl"),
        (["test"], {}, r"no \*train\* file .*--training-set"),
        (["test", "train"], {"training_set": Path("test.jsonl")}, "same file"),
        (
            ["test", "train"],
            {"columns": {"expected": "expectd"}},
            r"no column 'expectd'.*Columns: .*expected",
        ),
        *(
            (
                ["test", "train"],
                {"models": {"candidate": "recorded:b.jsonl", role: "gpt-4.1"}},
                f"{role}.*openai",
            )
            for role in ("baseline", "candidate")
        ),
    ],
)
def test_what_cannot_be_used_is_an_error_and_nothing_is_written(folder, files, wishes, message):
    for name in files:
        write_jsonl(folder / f"{name}.jsonl", rows(60, name))
    with pytest.raises(FtgateError, match=rf"(?s){message}"):
        init(**wishes)
    assert sorted(path.stem for path in folder.iterdir()) == files


@pytest.mark.parametrize(
    ("head", "columns"),
    [
        *(("question,label", {}), ("text;label", {}), ("text\tlabel", {})),
        ("frage,antwort", {"input": "frage", "expected": "antwort"}),
        ("input,label", {"expected": "label"}),
        ("text\x1b[31m,label", {"input": "text\x1b[31m"}),
        ({"case": ("frage", "antwort")}, {"input": "case.frage", "expected": "case.antwort"}),
        ("frage,antwort", None),
    ],
)
def test_columns_are_recognised_or_named_or_asked_for(folder, head, columns):
    furnish(folder)
    if isinstance(head, dict):
        cases = [dict(zip(head["case"], row.values(), strict=True)) for row in TESTED]
        write_jsonl(folder / "test.jsonl", [{"case": case} for case in cases])
    else:
        (folder / "test.jsonl").unlink()
        sign = next(separator for separator in ",;\t" if separator in head)
        (folder / "test.csv").write_text(
            "\n".join([head, *(f"q {i}{sign}{label(i)}" for i in range(60))])
        )
    if columns is None:
        pattern = r"(?s)test.csv: .*input.*expected.*frage.*--input COLUMN --expected COLUMN"
        with pytest.raises(DataError, match=pattern):
            init()
        return
    init(columns=columns, models=RECORDED)
    config = resolved(folder)
    assert (config.test_set.fields, config.training_set.fields) == (columns, {})


WARNINGS = {
    "min_training_examples": "103 usable training examples, 200 required (105 rows: 2 repeat an input, 0 blank)",
    "leaked": "2 of 42 test examples are also in the training set: test.jsonl:1 = train.jsonl:103",
    "leaked_near": "test.jsonl:41 ~ train.jsonl:105",
    "conflicts": "1 of 105 training rows repeats an input with a different output",
    "labels_missing": "no training example of 'unseen' (test.jsonl:39)",
    "min_test_examples": "42 test examples (50 required)",
}


def test_what_speaks_against_the_data_is_what_the_gate_will_say(folder):
    training = rows(100, "training question")
    training += [
        training[0],
        {**training[1], "expected": "other"},
        rows(1)[0],
        {"input": "t", "expected": "rare"},
    ]
    training.append(
        {"input": PARCEL.format("three").replace("arrive", "arrives"), "expected": label(0)}
    )
    test = [
        *rows(38),
        *({"input": f"new {label}", "expected": label} for label in ("unseen", "rare")),
    ]
    furnish(
        folder, [*test, {"input": PARCEL.format("three"), "expected": label(0)}, test[0]], training
    )
    printed = " ".join(init().partition("wrote ")[0].split())
    for name, words in WARNINGS.items():
        assert words in printed.partition(f" {name}: ")[2].partition(" warning ")[0], name
    assert "would fail leaked: " in printed
    assert "error: test.jsonl:42" in printed
    assert "fix: python -m pytest_ftgate dedupe test.jsonl train.jsonl" in printed


@pytest.mark.parametrize(
    ("expected", "metric"),
    [
        (label, "f1_macro"),
        (lambda i: i % 2 == 0, "f1_macro"),
        (lambda i: {"total": i}, "exact_match"),
        (lambda i: json.dumps({"total": i % 3}), "exact_match"),
        (lambda i: f"a sentence about the matter {i}", "exact_match"),
    ],
)
def test_the_metric_suits_the_outputs(folder, expected, metric):
    furnish(folder, rows(60, expected=expected), rows(220, "training question", expected))
    assert proposed_metric(look(None, None, {})) == metric
    assert metric in built_in_names()


def test_all_keys_in_comments_are_right(folder):
    """What is proposed works once the comment sign is taken away; before that, the gate asks for its models."""
    furnish(folder)
    assert "baseline" in init().partition("next ")[2]
    with pytest.raises(ConfigError, match="baseline"):
        resolved(folder)
    text = (folder / "ftgate.yaml").read_text()
    assert all(
        goal in text
        for goal in ("style", "format", "classification, extraction", "knowledge, reasoning")
    )
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
def test_nothing_is_written_over(folder, name, tmp_path):
    """Not even through a link that leads nowhere."""
    furnish(folder)
    if name == "pytest.ini":
        (folder / name).symlink_to(tmp_path / "elsewhere.ini")
    else:
        (folder / name).write_text("mine")
    with pytest.raises(ConfigError, match=rf"{name}: the file exists"):
        init()
    assert len([*folder.iterdir()]) == 3


ALL, LISTED = "ftgate_required = all", 'ftgate_required = ["all"]'


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("pytest.ini", "", ALL),
        ("pyproject.toml", "[tool.ruff]\n", None),
        ("setup.cfg", "[metadata]\n", None),
        ("tox.ini", "[pytest]\naddopts = -ra\n", ALL),
        ("setup.cfg", "[tool:pytest]\nftgate_required = all", ""),
        ("pyproject.toml", "[tool.pytest.ini_options]\nftgate_required = ['finetune']\n", ""),
        ("pyproject.toml", "[tool.pytest.ini_options]\n", LISTED),
        pytest.param(
            "pyproject.toml", "[tool.pytest]\nminversion = '9.0'\n", LISTED, marks=NATIVE_TOML
        ),
        pytest.param("pytest.toml", "", LISTED, marks=NATIVE_TOML),
    ],
)
@pytest.mark.parametrize("place", ["", "sub"])
def test_an_ini_file_is_left_alone_and_what_it_lacks_is_printed(
    folder, monkeypatch, name, content, line, place
):
    (folder / name).write_text(content)
    (folder / place).mkdir(exist_ok=True)
    furnish(folder / place)
    monkeypatch.chdir(folder / place)
    printed = init(models=RECORDED)
    assert (folder / name).read_text() == content
    if line is None:
        assert (folder / place / "pytest.ini").read_text().endswith(f"{ALL}\n")
    elif line:
        assert f"\n                 {line}\n" in printed
        (folder / name).write_text("\n".join([content or "[pytest]", line]))
        assert "ftgate_required" in find_ini(folder).values
    else:
        assert "ftgate_required" not in printed


def test_an_ini_file_that_cannot_be_read_is_an_error(folder):
    furnish(folder)
    (folder / "tox.ini").write_bytes(b"[pytest]\xff")
    with pytest.raises(ConfigError, match=r"tox\.ini"):
        init()
