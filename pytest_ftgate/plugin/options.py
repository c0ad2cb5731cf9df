"""Options that several parts of the plugin read; light, because it is loaded in every session."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

LOOKS = ("--ftgate-preview", "--ftgate-plan")
"""Options that look at gates without a verdict."""


def look_asked(config: pytest.Config) -> str | None:
    """Return the option that looks at gates without a verdict; None without one."""
    return next((option for option in LOOKS if config.getoption(option)), None)
