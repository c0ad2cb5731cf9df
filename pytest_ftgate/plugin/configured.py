"""Read the project's pytest configuration without running a test, for commands outside pytest."""

from __future__ import annotations

import pytest

from pytest_ftgate.errors import ConfigError
from pytest_ftgate.plugin import check_options


class _Reader:
    """A plugin that keeps the configuration in place of a session."""

    def __init__(self) -> None:
        self.config: pytest.Config | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        check_options(config)
        self.config = config
        return 0


def read_configuration() -> pytest.Config:
    """Return pytest's configuration as ``python -m pytest`` would find it here: ini file, plugins and conftest files.

    Raises:
        ConfigError: pytest refuses the configuration, and has written why to standard error.
    """
    reader = _Reader()
    status = pytest.main(["-p", "pytest_ftgate"], plugins=[reader])
    if status or reader.config is None:
        raise ConfigError(
            f"pytest cannot read its configuration here (exit status {int(status)})",
            cure="Run python -m pytest --collect-only in this folder, and correct what it reports.",
        )
    return reader.config
