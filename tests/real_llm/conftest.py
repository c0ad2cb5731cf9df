"""Trained once per session (with xdist: once per worker); all files are in pytest's temporary folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from checkpoints import Checkpoints
    from serve import Served
    from voice_project import VoiceProject


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder with the example's ``train.jsonl`` and ``test.jsonl``, which share no sentence template."""
    return Path(__file__).parents[2] / "examples" / "voice_commands" / "data"


@pytest.fixture(scope="session")
def checkpoints(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkpoints]:
    from checkpoints import make_checkpoints, one_thread

    with one_thread():
        yield make_checkpoints(data / "train.jsonl", tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def served(checkpoints: Checkpoints) -> Iterator[Callable[[str], Served]]:
    """Yield a checkpoint's server, by name: started when first asked for, running until the session ends."""
    from serve import serving

    with ExitStack() as stack:
        yield cache(
            lambda name: stack.enter_context(
                serving(name, checkpoints.files[name], checkpoints.shape.context)
            )
        )


@pytest.fixture
def voice(pytester: pytest.Pytester, data: Path, served: Callable[[str], Served]) -> VoiceProject:
    from voice_project import VoiceProject

    return VoiceProject(pytester, data, served)
