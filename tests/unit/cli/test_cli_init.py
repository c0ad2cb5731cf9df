"""What ``init`` sees in the data, proposes, and writes."""

import json
import re
from pathlib import Path

import pytest
from gate_project import label, write_jsonl

from pytest_ftgate.cli.init import Wishes, ini_lines, write_project
from pytest_ftgate.cli.survey import look, propose
from pytest_ftgate.config import load_gate_file, resolve_gate
from pytest_ftgate.errors import ConfigError, DataError, FtgateError
from pytest_ftgate.ini_file import find_ini
from pytest_ftgate.metrics import BUILT_IN


@pytest.fixture
def init(folder):
    """Runs it, and gives all that it says, every line held to the width of a log."""

    def init(**wishes):
        said = []
        write_project(Wishes(wishes.pop("directory", Path()), **wishes), said.append)
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


def metric_of(folder):
    return propose(look(folder, None, None, {}))[0]


# --- looking -------------------------------------------------------------------------------------------------


def test_files_are_found_and_named(folder, init):
    furnish(folder / "data", rows(60, group="g"))
    write_jsonl(folder / "data" / "test_old_copy.jsonl", rows(3))
    said = init()
    for words in (
        "test.jsonl 60 examples in 1 group,",
        "data/test_old_copy.jsonl",
        "--test-set",
        "data/train.jsonl 220 rows",
    ):
        assert words in said
    assert 'test_set: "data/test.jsonl"' in (folder / "ftgate.yaml").read_text()


@pytest.mark.parametrize(
    ("there", "word", "option"), [("train", "test", "--test-set"), ("test", "train", "--training")]
)
def test_a_file_that_is_not_there_is_asked_for(folder, init, there, word, option):
    write_jsonl(folder / f"{there}.jsonl", rows(60))
    with pytest.raises(ConfigError, match=rf"(?s)no \*{word}\* file .*{option}"):
        init()
    assert [path.name for path in folder.iterdir()] == [f"{there}.jsonl"]


def test_one_file_is_not_both(folder, init):
    furnish(folder)
    with pytest.raises(ConfigError, match="training set"):
        init(training_set=Path("test.jsonl"))


def test_columns_are_guessed_and_said(folder, init):
    test = "question,label\n" + "".join(f'"what, {i}",{label(i)}\n' for i in range(60))
    (folder / "my_test.csv").write_text(test, encoding="utf-8")
    train = "prompt\toutput\n" + "".join(f"teach {i}\t{label(i)}\n" for i in range(220))
    (folder / "train.tsv").write_text(train, encoding="utf-8")
    assert "question" in init(baseline="recorded:b.jsonl", candidate="recorded:c.jsonl")
    config = resolved(folder)
    assert config.test_set.fields == {"input": "question", "expected": "label"}
    assert config.training_set.fields == {"input": "prompt", "expected": "output"}


def test_a_test_example_with_a_near_copy_in_the_training_set_is_named(folder, init):
    copied = "where is the parcel that I ordered {} days ago, and when will it arrive at my door?"
    test = [*rows(60), {"input": copied.format("three"), "expected": label(0)}]
    training = [*rows(220, "training question"), {"input": copied.format("three") + " Thanks", "expected": label(0)}]
    furnish(folder, test, training)
    said = " ".join(init().split())
    assert "warning: 1 test example with a near duplicate" in said
    assert all(words in said for words in ("checks: {leaked_near: warn}", "test.jsonl:61 ~ train.jsonl:221"))


def test_columns_that_nobody_can_guess_are_asked_for(folder, init):
    furnish(folder, [{"frage": f"q {i}", "antwort": label(i)} for i in range(60)])
    with pytest.raises(DataError, match=r"(?s)input.*expected.*--input COLUMN"):
        init()
    init(input="frage", expected="antwort")
    assert 'fields: {input: "frage", expected: "antwort"}' in (folder / "ftgate.yaml").read_text()


def test_a_column_that_the_user_names_is_taken_although_there_is_one_of_our_name(folder, init):
    furnish(folder, rows(60, label="x"), rows(220, "training question"))
    init(expected="label")
    text = (folder / "ftgate.yaml").read_text()
    assert 'test_set: {path: "test.jsonl", fields: {expected: "label"}}' in text
    assert 'training_set: "train.jsonl"' in text
    with pytest.raises(DataError, match=r"(?s)'labl'.*label"):
        init(expected="labl", force=True)


def test_of_two_columns_one_of_which_is_known_the_other_is_taken(folder, init):
    furnish(folder, [{"id": f"m{i}", "message": f"q {i}", "team": label(i), "rejected": "bad"} for i in range(60)])
    init()
    assert 'fields: {input: "message", expected: "team"}' in (folder / "ftgate.yaml").read_text()
    furnish(folder, [{"message": f"q {i}", "team": label(i), "lang": "en"} for i in range(60)])
    with pytest.raises(DataError, match=r"(?s)expected.*--expected COLUMN"):
        init(force=True)


@pytest.mark.parametrize("sign", [";", "\t"])
def test_a_table_may_have_another_separator(folder, init, sign):
    for name in ("test", "train"):
        lines = [sign.join(("text", "label")), *(sign.join((f"{name}, q {i}", label(i))) for i in range(60))]
        (folder / f"{name}.csv").write_text("\n".join(lines), encoding="utf-8")
    init()
    assert 'fields: {input: "text", expected: "label"}' in (folder / "ftgate.yaml").read_text()


def test_what_speaks_against_the_data_is_said_first(folder, init):
    training = rows(100, "training question")
    training += [training[0], {**training[1], "expected": "other"}, rows(1)[0], {"input": "t", "expected": "rare"}]
    furnish(folder, [*rows(38), *({"input": f"new {one}", "expected": one} for one in ("unseen", "rare"))], training)
    said = init()
    warnings = " ".join(said.partition("wrote ")[0].split()).split("warning: ")[1:]
    for words in (
        ("40 test examples", "50", "10"),
        ("102 usable training examples", "200", "98"),
        ("1 test example", "training set"),
        ("1 training row", "output"),
        ("1 label", "training set"),
        ("'rare' has only 1",),
    ):
        assert any(all(word in warning for word in words) for warning in warnings), words


def test_a_test_set_that_a_gate_refuses_is_called_out(folder, init):
    furnish(folder, [*rows(60), *rows(1)])
    assert re.search(r"warning: (?s:.*)test.jsonl:61", init())


# --- proposing -----------------------------------------------------------------------------------------------


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
    assert metric_of(folder) == metric
    assert metric in BUILT_IN


# --- writing -------------------------------------------------------------------------------------------------


def test_all_keys_that_stand_in_comments_are_right(folder, init):
    """What is proposed works once the comment sign is taken away; before that, the gate asks for its models."""
    furnish(folder)
    assert "baseline" in init().partition("next ")[2]
    with pytest.raises(ConfigError, match="baseline"):
        resolved(folder)
    text = (folder / "ftgate.yaml").read_text()
    assert all(goal in text for goal in ("style", "format", "classification, extraction", "knowledge: Use retrieval"))
    for line in text.splitlines():
        key = line.strip().removeprefix("# ").partition(":")[0]
        if line.startswith("    # ") and key in (
            *("hypothesis", "goal", "baseline", "candidate", "confidence", "min_test_examples"),
            *("min_training_examples", "thresholds"),
        ):
            text = text.replace(line, line.replace("# ", "", 1))
    (folder / "prompts").mkdir()
    (folder / "prompts/task.md").write_text("Answer with a label.")
    (folder / "ftgate.yaml").write_text(text)
    config = resolved(folder)
    assert config.goal == "classification"
    assert config.prediction is not None
    assert (config.margin, config.evidence, config.confidence) == (0.05, "significant", 0.95)
    assert config.baselines["baseline"].spelling == "openai:Qwen/Qwen3-8B"
    assert config.candidate.spelling == "openai:task-v1"
    assert len(config.thresholds) == 1


def test_nothing_is_written_through_a_link_that_leads_nowhere(folder, init, tmp_path):
    furnish(folder)
    (folder / "pytest.ini").symlink_to(tmp_path / "elsewhere.ini")
    with pytest.raises(ConfigError, match=r"(?s)pytest.ini: .*--force"):
        init()
    assert not (tmp_path / "elsewhere.ini").exists()


def test_nothing_is_written_over_without_force(folder, init):
    furnish(folder)
    for name in ("ftgate.yaml", "test_finetune.py"):
        (folder / name).write_text("mine")
        with pytest.raises(ConfigError, match=rf"(?s){name}: .*--force"):
            init()
        assert (folder / name).read_text() == "mine"
        assert not (folder / "pytest.ini").exists()
        (folder / name).unlink()
    (folder / "ftgate.yaml").write_text("mine")
    init(force=True)
    assert "version: 1" in (folder / "ftgate.yaml").read_text()


@pytest.mark.parametrize("written", ["gpt-4.1", "opnai:gpt-4.1", "https://host/v1"])
@pytest.mark.parametrize(("role", "others"), [("baseline", {}), ("candidate", {"baseline": "recorded:b.jsonl"})])
def test_a_model_of_an_unknown_provider_is_refused_before_anything_is_written(folder, init, written, role, others):
    furnish(folder)
    with pytest.raises(ConfigError, match=rf"(?s){role}.*openai"):
        init(**others, **{role: written})
    assert not (folder / "ftgate.yaml").exists()


def test_paths_are_relative_to_the_gate_file(folder, init):
    furnish(folder)
    (folder / "sub").mkdir()
    sets = {"test_set": Path("test.jsonl"), "training_set": Path("train.jsonl")}
    said = init(directory=Path("sub"), **sets, baseline="recorded:sub/base.jsonl")
    text = (folder / "sub/ftgate.yaml").read_text()
    assert 'test_set: "../test.jsonl"' in text
    assert 'baseline: "recorded:base.jsonl"' in text
    assert said.endswith("python -m pytest sub/test_finetune.py")
    with pytest.raises(FtgateError, match=r"(?s)recorded:\.\./base.jsonl is outside the project.*the folder sub"):
        init(directory=Path("sub"), **sets, candidate="recorded:base.jsonl", force=True)
    with pytest.raises(FtgateError, match="folder"):
        init(directory=Path("absent"))


def test_hostile_columns_and_labels_do_no_harm(folder, init):
    odd = "text\x1b[31m\n- x: 1"
    test = [{odd: f"q {i}", "expected": f"::error::\x1b{i % 2}"} for i in range(60)]
    furnish(folder, test)
    init(input=odd)
    file = load_gate_file(folder / "ftgate.yaml")
    assert file.root.value["gates"]["finetune"]["test_set"]["fields"] == {"input": odd}


# --- formats -------------------------------------------------------------------------------------------------


def test_a_format_is_recognised_and_no_columns_are_written(folder, init):
    furnish(folder, training=[{"instruction": f"teach {i}", "input": "", "output": label(i)} for i in range(220)])
    said = init()
    assert "220 rows, all usable" in said
    assert " format: " in said
    assert 'training_set: "train.jsonl"' in (folder / "ftgate.yaml").read_text()
    assert [one.expected for one in look(folder, None, None, {}).training.data] == [label(i) for i in range(220)]


# --- the test and the ini file -------------------------------------------------------------------------------

NATIVE = pytest.mark.skipif(pytest.version_tuple < (9,), reason="pytest 8 reads no native TOML")


@pytest.mark.parametrize(
    ("name", "content", "counts"),
    [
        ("pytest.ini", "", True),
        ("pyproject.toml", "[tool.pytest.ini_options]\n", True),
        ("pyproject.toml", "[tool.ruff]\n", False),
        pytest.param("pyproject.toml", "[tool.pytest]\nminversion = '9.0'\n", True, marks=NATIVE),
        pytest.param("pytest.toml", "", True, marks=NATIVE),
        pytest.param(".pytest.toml", "[pytest]\n", True, marks=NATIVE),
        ("tox.ini", "[pytest]\n", True),
        ("setup.cfg", "[tool:pytest]\n", True),
        ("setup.cfg", "[metadata]\n", False),
    ],
)
def test_an_ini_file_that_is_there_is_left_alone(folder, init, name, content, counts):
    (folder / name).write_text(content)
    furnish(folder / "sub")
    said = init(directory=folder / "sub")
    assert (folder / name).read_text() == content
    assert (folder / "sub/pytest.ini").exists() is not counts
    if counts:
        assert "ftgate_config = " in said
        assert "sub/ftgate.yaml" in said


def test_lines_that_the_ini_file_has_are_not_asked_for_again(folder, init):
    furnish(folder)
    init()
    assert "pytest.ini" not in init(force=True)
    ini = folder / "pytest.ini"
    ini.write_text(ini.read_text().replace("ftgate_required = all", ""))
    said = init(force=True)
    assert "ftgate_required = all" in said
    assert "required_plugins" not in said


@pytest.mark.parametrize(
    ("name", "header", "has", "lines"),
    [
        ("tox.ini", "[pytest]", "addopts = -ra", ["required_plugins = pytest-ftgate", "ftgate_required = all"]),
        (
            "pyproject.toml",
            "[tool.pytest.ini_options]",
            "ftgate_required = ['finetune']",
            ['required_plugins = ["pytest-ftgate"]'],
        ),
        pytest.param("pytest.toml", "[pytest]", "", ['ftgate_required = ["all"]'], marks=NATIVE),
    ],
)
def test_lines_are_in_the_language_of_the_file(folder, init, name, header, has, lines):
    """Added to what is there, they are what the file lacked."""
    (folder / name).write_text(f"{header}\n{has}\n")
    furnish(folder)
    said = init(baseline="recorded:b.jsonl", candidate="recorded:c.jsonl")
    printed = [line.strip() for line in said.partition("exists. Set these lines")[2].splitlines() if " = " in line]
    assert [line for line in lines if line not in printed] == []
    (folder / name).write_text("\n".join([header, has, *printed, ""]))
    assert ini_lines(find_ini(folder)) == []


def test_an_ini_file_that_cannot_be_read_is_an_error(folder, init):
    furnish(folder)
    (folder / "tox.ini").write_bytes(b"[pytest]\xff")
    with pytest.raises(ConfigError, match=r"tox\.ini"):
        init()


@pytest.mark.parametrize(
    ("testpaths", "there", "directory", "path"),
    [
        ("tests", "tests", ".", "tests/test_finetune.py"),
        ("absent suite", "suite", ".", "suite/test_finetune.py"),
        (".", ".", ".", "test_finetune.py"),
        ("test_one.py", ".", ".", "test_finetune.py"),
        ("tests", "tests/gates", "tests/gates", "tests/gates/test_finetune.py"),
    ],
)
def test_the_test_is_written_where_pytest_collects_it(folder, init, testpaths, there, directory, path):
    (folder / "pytest.ini").write_text(f"[pytest]\ntestpaths = {testpaths}\n")
    (folder / "test_one.py").write_text("")
    (folder / there).mkdir(parents=True, exist_ok=True)
    furnish(folder / directory)
    said = init(directory=Path(directory))
    assert (folder / path).is_file()
    assert said.endswith(f"python -m pytest {path}")
