"""A page in a browser, with what it logs and requests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page


class Opened:
    """A page opened from a file.

    Attributes:
        page: playwright's page.
        trouble: console lines, errors and dialogs.
        requests: the addresses that it requested.
    """

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.trouble: list[str] = []
        self.requests: list[str] = []
        self._address = path.as_uri()
        page.on("console", lambda message: self.trouble.append(message.text))
        page.on("pageerror", lambda error: self.trouble.append(str(error)))
        page.on("dialog", lambda dialog: (self.trouble.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(self._address)

    def is_quiet(self) -> None:
        """Assert that it logged nothing, opened no dialog, and requested nothing but itself."""
        assert self.trouble == []
        assert self.requests == [self._address]


Open = Callable[..., Opened]
