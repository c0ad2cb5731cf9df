"""Read the project's pytest configuration without running a test, for commands outside pytest."""

from __future__ import annotations

import pytest

from pytest_ftgate.errors import ConfigError
from pytest_ftgate.plugin import check_ini, check_options


class _Read(Exception):  # noqa: N818
    """Carries the configuration out of pytest, before a session starts."""

    def __init__(self, config: pytest.Config) -> None:
        super().__init__()
        self.config = config


class _Reader:
    """A plugin that runs in place of a session."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        check_options(config)
        check_ini(config)
        raise _Read(config)


def read_configuration() -> pytest.Config:
    """Return pytest's configuration as ``python -m pytest`` would find it here: ini file, plugins and conftest files.

    Raises:
        ConfigError: pytest refuses the configuration, and has written why to standard error.
    """
    try:
        status = pytest.main(["-p", "pytest_ftgate"], plugins=[_Reader()])
    except _Read as read:
        return read.config
    raise ConfigError(
        f"pytest cannot read its configuration here (exit status {int(status)})",
        cure="Run python -m pytest --collect-only in this folder, and correct what it reports.",
    )
