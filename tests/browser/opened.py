"""A page in a browser that tells on it: what it logs, what it loads, and what it asks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


class Opened:
    """A page that was opened from a file.

    Attributes:
        page: playwright's.
        trouble: lines of the console, errors, and dialogs.
        requests: addresses that it asked for.
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

    @property
    def rows(self) -> Locator:
        """The examples that are shown."""
        return self.page.locator("table.rows tbody tr")

    @property
    def count(self) -> Locator:
        """How many are found."""
        return self.page.locator('[role="status"]')

    def search(self, text: str) -> None:
        self.page.get_by_label("Search").fill(text)

    def is_quiet(self) -> None:
        """It logged nothing, asked nothing, and loaded nothing but itself."""
        assert self.trouble == []
        assert self.requests == [self._address]
