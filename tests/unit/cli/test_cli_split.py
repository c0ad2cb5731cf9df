"""The commands ``split`` and ``dedupe``: what they write, and what they refuse."""

import csv
import gzip
import io
import json
from pathlib import Path

import pytest
from gate_project import label, read_jsonl, write_jsonl

from pytest_ftgate.checks.audit import audit_training_set
from pytest_ftgate.cli.commands import main
from pytest_ftgate.data import load_examples

PARCEL = "where is the parcel that I ordered {} days ago, and when will it arrive at my door?"
EXAMPLES = [
    {
        "input": f"how do {chr(97 + i % 26) * 3} and {chr(97 + i // 26) * 3} end",
        "expected": label(i),
        "note": f"n{i}",
    }
    for i in range(100)
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *args):
    """Run a command, and return its exit status and what it prints."""
    status = main(args)
    printed = capsys.readouterr()
    return status, printed.out + printed.err


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# --- files -------------------------------------------------------------------------------------------------------


def as_csv(data, separator=","):
    file = io.StringIO()
    writer = csv.DictWriter(file, list(data[0]), delimiter=separator, lineterminator="\n")
    writer.writeheader()
    writer.writerows(data)
    return file.getvalue().encode()


def as_lines(data):
    return "".join(json.dumps(row) + "\n" for row in data).encode()


def as_parquet(data):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(data), file)
    return file.getvalue()


FILES = {
    ".jsonl": as_lines,
    ".json": lambda data: json.dumps(data).encode(),
    ".csv": as_csv,
    ".tsv": lambda data: as_csv(data, "\t"),
    ".csv.gz": lambda data: gzip.compress(as_csv(data)),
    ".jsonl.gz": lambda data: gzip.compress(as_lines(data)),
    ".parquet": as_parquet,
}


@pytest.mark.parametrize("suffix", FILES)
def test_one_file_becomes_two_of_its_kind(folder, capsys, suffix):
    original = folder / f"all{suffix}"
    original.write_bytes(FILES[suffix](EXAMPLES))
    content = original.read_bytes()
    status, printed = run(capsys, "split", f"all{suffix}", "--test", "30")
    assert status == 0
    assert f"all.train{suffix}: 70 rows" in printed
    assert f"all.test{suffix}: 30 rows" in printed

    assert original.read_bytes() == content
    sets = [load_examples(folder / f"all.{word}{suffix}") for word in ("train", "test")]
    rows = [{"input": e.input, "expected": e.expected, **e.fields} for data in sets for e in data]
    assert sorted(rows, key=str) == sorted(EXAMPLES, key=str)
    # once more, with the same result
    written = (folder / f"all.test{suffix}").read_bytes()
    for word in ("train", "test"):
        (folder / f"all.{word}{suffix}").unlink()
    run(capsys, "split", f"all{suffix}", "--test", "30")
    assert (folder / f"all.test{suffix}").read_bytes() == written


def test_columns_and_groups_may_be_named(folder, capsys):
    rows = [
        {"frage": row["input"], "label": row["expected"], "kunde": i // 10}
        for i, row in enumerate(EXAMPLES)
    ]
    (folder / "all.csv").write_bytes(as_csv(rows, ";"))
    status, printed = run(
        capsys, "split", "all.csv", "--input", "frage", "--expected", "label", "--group", "kunde"
    )
    assert (status, "100 rows in 10 groups" in printed) == (0, True)
    groups = []
    for word in ("train", "test"):
        text = (folder / f"all.{word}.csv").read_text()
        assert text.startswith("frage,label,kunde\n")
        groups.append({line.split(",")[-1] for line in text.splitlines()[1:]})
    assert len(groups[1]) == 2
    assert not groups[0] & groups[1]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("split", "all.jsonl"), "all.test.jsonl: the file exists"),
        (("split", "absent.csv"), "absent.csv"),
        (("split", "all.jsonl", "--half", "--test", "9"), "--half and --test"),
        (("split", "other.jsonl", "--test", "100"), "cannot take 100 test rows of 100 rows"),
        (("split", "other.jsonl", "--test", "0"), "cannot take 0 test rows"),
        (("split", "other.jsonl", "--group", "customer"), "no column 'customer'"),
        (("split", "tickets.jsonl"), "60 of 80 rows belong together"),
        (("split", "--half", "grouped.jsonl"), "The largest group, big, has 75 rows."),
        (("dedupe", "other.jsonl", "all.jsonl"), "no row would remain"),
        (("dedupe", "all.jsonl", "double.jsonl"), "double.jsonl:2: id: duplicate id"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_writes_nothing(folder, capsys, args, words):
    for name in ("all", "all.test", "other"):
        write_jsonl(folder / f"{name}.jsonl", EXAMPLES)
    write_jsonl(
        folder / "tickets.jsonl",
        [
            *({"input": PARCEL.format(i), "expected": "parcel"} for i in range(60)),
            *EXAMPLES[:20],
        ],
    )
    write_jsonl(
        folder / "grouped.jsonl",
        [{**row, "group": "big" if i < 75 else f"g{i}"} for i, row in enumerate(EXAMPLES)],
    )
    write_jsonl(folder / "double.jsonl", [{**row, "id": "1"} for row in EXAMPLES[:2]])
    before = names(folder)
    status, printed = run(capsys, *args)
    assert status == 2
    assert printed.startswith(f"pytest_ftgate {args[0]}: ")
    assert words in printed
    assert printed.count("\n") == 1
    assert names(folder) == before


def test_half_of_a_training_set_is_written(folder, capsys):
    rows = [{**row, "group": f"g{i // 4}"} for i, row in enumerate(EXAMPLES)]
    write_jsonl(folder / "train.jsonl", rows)
    status, _ = run(capsys, "split", "--half", "train.jsonl")
    half = read_jsonl(folder / "train.half.jsonl")
    assert (status, names(folder)) == (0, ["train.half.jsonl", "train.jsonl"])
    assert 40 <= len(half) <= 60
    groups = {row["group"] for row in half}
    assert [row for row in rows if row["group"] in groups] == half


def doubled():
    """Return a test set with a repeat, and a training set with repeats, a near one, and leaks."""
    test = [*EXAMPLES[:59], {"input": PARCEL.format("three"), "expected": label(0)}]
    training = [{"input": f"training question {i}", "expected": label(i)} for i in range(120)]
    login = (
        "Ann cannot log in to the shop since the update of yesterday evening, says her colleague"
    )
    extra_rows = [
        training[0],
        {**training[1], "input": "Training  question 1"},
        *({"input": login + end, "expected": "refund"} for end in ("", " today")),
        test[3],
        {"input": PARCEL.format("three") + " Thanks", "expected": label(0)},
        {**training[2], "expected": "other"},
    ]
    return [*test, test[0]], [*training, *extra_rows]


@pytest.mark.parametrize(
    ("side", "removed"),
    # a repeat and two leaks; two repeats, a near one and two leaks, not the contradiction
    [("test", 3), ("training", 5)],
)
def test_what_the_other_set_holds_is_taken_out(folder, capsys, side, removed):
    test, training = doubled()
    write_jsonl(folder / "a.jsonl", test)
    write_jsonl(folder / "b.jsonl", training)
    status, printed = run(capsys, "dedupe", "a.jsonl", "b.jsonl", "--from", side)
    assert (status, f"removed     {removed} rows" in printed) == (0, True)

    original, name = (test, "a") if side == "test" else (training, "b")
    copy = read_jsonl(folder / f"{name}.deduped.jsonl")
    assert len(copy) == len(original) - removed
    paths = {"a": "a.jsonl", "b": "b.jsonl", name: f"{name}.deduped.jsonl"}
    audit = audit_training_set(load_examples(Path(paths["b"])), load_examples(Path(paths["a"])))
    assert audit.leaked == audit.leaked_near == 0
    if side == "training":
        assert (audit.duplicates, audit.conflicts, audit.near_rows) == (1, 1, ())


def test_clean_sets_need_no_copy(folder, capsys):
    write_jsonl(folder / "a.jsonl", EXAMPLES[:50])
    write_jsonl(folder / "b.jsonl", EXAMPLES[50:])
    status, printed = run(capsys, "dedupe", "a.jsonl", "b.jsonl")
    assert (status, "no copy was written" in printed) == (0, True)
    assert len(names(folder)) == 2


@pytest.mark.parametrize(("command", "n_copied"), [("dedupe", 440), ("split", 220)])
def test_rows_without_an_output_to_learn_are_no_examples(folder, capsys, command, n_copied):
    """A copy keeps them; a split leaves them out, because nobody knows whether they are copies."""

    def chat(i):
        answer = {"role": "assistant", "content": label(i), "weight": (i + 1) % 2}
        return {"messages": [{"role": "user", "content": f"training question {i // 2}"}, answer]}

    training = [chat(i) for i in range(440)]
    write_jsonl(folder / "train.jsonl", training)
    if command == "dedupe":
        write_jsonl(folder / "train.jsonl", [*training, training[0]])
        write_jsonl(folder / "test.jsonl", EXAMPLES)
        run(capsys, "dedupe", "test.jsonl", "train.jsonl", "--from", "training")
        assert read_jsonl(folder / "train.deduped.jsonl") == training
        return
    _, printed = run(capsys, "split", "train.jsonl")
    assert "220 rows left out, whose answer is not to be learned" in printed
    sizes = [len(read_jsonl(folder / f"train.{word}.jsonl")) for word in ("train", "test")]
    assert sum(sizes) == n_copied
