"""Where a session's predictions are kept, and what is known of the jobs that made its models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_ftgate.face.paths import ini_path

if TYPE_CHECKING:
    from pytest_ftgate.running.runner import Stores


def open_stores(config: pytest.Config, started: float) -> Stores:
    """On disk, in memory for this session, and in committed recordings.

    Args:
        config: pytest's.
        started: with ``--ftgate-cache=refresh`` what is older has to be asked anew.
    """
    from pytest_ftgate.recordings import read_recordings
    from pytest_ftgate.running.runner import Stores
    from pytest_ftgate.running.store import Store

    mode = config.getoption("--ftgate-cache")
    state = ini_path(config, config.getini("ftgate_state"))
    recordings = config.getini("ftgate_recordings") if mode != "refresh" else None
    return Stores(
        persistent=Store(None if mode == "off" else state / "predictions.sqlite3"),
        session=Store(None),
        recordings=read_recordings(ini_path(config, recordings)) if recordings else {},
        newer_than=started if mode == "refresh" else None,
    )


def recorded_jobs(config: pytest.Config) -> dict[str, str]:
    """What committed recordings know of fine-tuning jobs."""
    from pytest_ftgate.recordings import read_job_notes

    recordings = config.getini("ftgate_recordings")
    return read_job_notes(ini_path(config, recordings)) if recordings else {}
