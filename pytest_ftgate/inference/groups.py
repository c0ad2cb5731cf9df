"""Examples that belong together, such as the turns of one conversation, are one piece of evidence."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_GROUPS = 10


def group_codes(groups: Iterable[Hashable] | None, n: int) -> NDArray[np.int64] | None:
    """The group of each example as a code 0..G-1; None where no two examples share one.

    Args:
        groups: a name per example, None for an example on its own; or None for no groups at all.
        n: examples.

    Raises:
        ValueError: there are not as many names as examples.
    """
    import numpy as np

    if groups is None:
        return None
    codes: dict[Hashable, int] = {}
    of_example = [
        codes.setdefault((index,) if name is None else (None, name), len(codes)) for index, name in enumerate(groups)
    ]
    if len(of_example) != n:
        raise ValueError(f"{len(of_example)} groups were given for {n} examples")
    return np.asarray(of_example, dtype=np.int64) if len(codes) < n else None
