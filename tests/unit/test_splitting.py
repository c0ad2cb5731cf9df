"""``split`` and ``dedupe`` of Python objects: proportions, and that the sets share nothing."""

from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_ftgate import DataError, dedupe, split
from pytest_ftgate.checks.audit import audit_training_set, check_test_set
from pytest_ftgate.data import examples_from

# A test that runs pytest in this process drops what was imported within it; a second copy of polars
# does not work beside the first.
with suppress(ImportError):
    import polars  # noqa: F401

LABELS = ["refund"] * 70 + ["login"] * 26 + ["rare"] * 4


def rows(n=200):
    return [
        {
            "input": f"case {i} of {i * i % 97}",
            "expected": LABELS[i % 100],
            "customer": f"c{i // 4}",
        }
        for i in range(n)
    ]


def data(items, name="rows"):
    return examples_from(items, origin=name)


def test_labels_are_in_proportion():
    training, test = split(rows())
    assert Counter(row["expected"] for row in test) == {"refund": 28, "login": 10, "rare": 2}
    assert len(training) == 160


def test_a_label_of_few_rows_is_on_both_sides_where_it_can_be():
    training, test = split(rows(), test=100)
    assert Counter(row["expected"] for row in test)["rare"] == 4
    assert Counter(row["expected"] for row in training)["rare"] == 4


WORDS = st.lists(
    st.sampled_from(["red", "blue", "green", "one", "two", "three", "4", "5", "66"]), max_size=12
)
ROW = st.builds(
    lambda words, output, customer: {
        "input": " ".join(words),
        "expected": output,
        "customer": customer,
    },
    WORDS,
    st.sampled_from(["a", "b", "some longer text of nine words that may repeat"]),
    st.sampled_from([None, "x", "y", "z", "u", "v"]),
)


@given(st.lists(ROW, min_size=2, max_size=30), st.randoms())
@settings(max_examples=100)
def test_whatever_the_rows_the_sets_share_nothing(items, random):
    try:
        training, test = split(items, group="customer")
    except DataError:
        return
    check_test_set(data(test))
    audit = audit_training_set(data(training), data(test))
    assert audit.leaked == audit.leaked_near == 0
    groups = [{row["customer"] for row in side} - {None} for side in (training, test)]
    assert not groups[0] & groups[1]

    # the order of the rows does not matter
    shuffled = random.sample(items, len(items))
    assert {row["input"] for row in split(shuffled, group="customer")[1]} == {
        row["input"] for row in test
    }


def kinds():
    yield "list", lambda items: items, list
    yield "tuple", tuple, list
    yield "generator", iter, list
    for name, method in (("pandas", "to_dict"), ("polars", "to_dicts"), ("datasets", "to_list")):

        def made(items, name=name):
            library = pytest.importorskip(name)
            if name == "datasets":
                return library.Dataset.from_list(items)
            return library.DataFrame(items)

        def read(table, name=name, method=method):
            return table.to_dict("records") if name == "pandas" else getattr(table, method)()

        yield name, made, read


KINDS = {name: (made, read) for name, made, read in kinds()}


@pytest.mark.parametrize("kind", KINDS)
def test_each_set_is_of_the_kind_that_was_given(kind):
    made, read = KINDS[kind]
    training, test = split(made(rows()), group="customer", test=40)
    assert type(test) is (list if kind == "generator" else type(made(rows())))
    plain_training, plain_test = split(rows(), group="customer", test=40)
    assert read(test) == plain_test
    assert read(training) == plain_training
    assert read(dedupe(made(rows(50)), made(rows()[40:]))) == rows(40)
    assert read(dedupe(made(rows(50)), made(rows()[40:]), "training")) == rows()[50:]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: split(rows(), group="costumer"), DataError, "costumer"),
        (lambda: split([{"input": "a"}]), DataError, r"rows\[0\]"),
        (lambda: dedupe(rows(), [{"text": "a"}]), DataError, r"training\[0\]"),
        (lambda: dedupe(rows(), rows()), DataError, "no row would remain"),
        (lambda: dedupe(rows(), rows(), "train"), ValueError, "'train'"),
        (
            lambda: split([{**row, "customer": "all"} for row in rows()], group="customer"),
            DataError,
            "200 of 200 rows belong together",
        ),
    ],
)
def test_what_cannot_be_done_is_an_error(call, error, words):
    with pytest.raises(error, match=words):
        call()
