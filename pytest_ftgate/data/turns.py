"""Divide conversations into one example for each turn of the assistant."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from pytest_ftgate.data.example import DataSet, Example
from pytest_ftgate.data.messages import answer_in, normalized_input, without_weight
from pytest_ftgate.errors import DataError, Where, located


def examples_by_turn(
    rows: Iterable[Example | DataError | None],
) -> Iterator[Example | DataError | None]:
    """Yield the examples of conversations, which are the inputs of the rows; others as they are.

    The turns of a conversation have its id and their number as id, and are one group.
    """
    copies: Counter[str] = Counter()
    for row in rows:
        if not isinstance(row, Example):
            yield row
            continue

        conversation = row
        if not row.has_own_id:
            copies[row.id] += 1
            # The id is made from the content, which another row may have, too.
            if copies[row.id] > 1:
                conversation = replace(row, id=f"{row.id}-{copies[row.id]}")
        yield from _turns_of(conversation)


def _turns_of(conversation: Example) -> Iterator[Example | DataError]:
    """Yield the turns that are trained on; what tools were asked and returned stands before them.

    A greeting before everything else answers nothing.
    """
    messages = conversation.input
    assert not isinstance(messages, str)
    unweighted = tuple(map(without_weight, messages))
    number = 0
    for position, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        number += 1
        if position == 0 or message.get("weight") == 0:
            continue

        place = replace(conversation.place or Where(), key=f"turn {number}")
        try:
            yield replace(
                conversation,
                id=f"{conversation.id}:{number}",
                input=unweighted[:position],
                expected=answer_in(message, f"turn {number}"),
                group=conversation.group or conversation.id,
                place=place,
            )
        except DataError as error:
            yield located(error, place)


def conversation_of(example: Example) -> str:
    """Return the id of the conversation of which an example is a turn."""
    return example.id.rpartition(":")[0] or example.id


def written_groups(data: DataSet) -> list[str | None]:
    """Return the group that the row of each example names; None where it names none.

    The group of a turn is its conversation then.
    """
    groups = data.groups
    if data.by_turn:
        for row, example in enumerate(data):
            if example.group == conversation_of(example):
                groups[row] = None
    return groups


def groups_of_turns(data: DataSet, copies: Iterable[tuple[int, int]]) -> list[str | None]:
    """Return the group of each turn: the one that is written, or its conversation.

    A turn with the input of an earlier turn, or a near copy of one, is in the group of that one.
    The rest of its conversation is not, since many conversations may begin alike.
    """
    pairs = list(copies)
    first_with: dict[str, int] = {}
    for row, example in enumerate(data):
        first = first_with.setdefault(normalized_input(example.input), row)
        if first != row:
            pairs.append((row, first))

    groups = data.groups
    written = written_groups(data)
    # The group of an earlier turn is known before that of a later one.
    for row, earlier in sorted(pairs):
        if written[row] is None and written[earlier] is None:
            groups[row] = groups[earlier]
    return groups
