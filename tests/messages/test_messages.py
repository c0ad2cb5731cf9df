"""All messages in one file, to be read aloud: ``__snapshots__/test_messages/test_messages.md``.

Elsewhere tests assert facts (a check's name, status, observed, required), so that wording can be improved in one place:
change it, run ``pytest tests/messages --snapshot-update``, and read the difference.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from messages.cases import CASES, prepared
from messages.refusals import refused
from messages.unreadable import unreadable
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode


class _Text(SingleFileSnapshotExtension):
    _write_mode = WriteMode.TEXT
    file_extension = "md"


def told(gate: dict[str, Any], seen_lines: set[str]) -> list[str]:
    """Return what a gate says that no gate before it said."""
    lines = []
    for check in gate["checks"]:
        printed = [f"{check['status']} {check['name']}: {check['message']}"]
        printed += [f"  cure: {check['cure']}"] if check["cure"] else []
        lines += printed if printed[0] not in seen_lines else []
        seen_lines.add(printed[0])
    return lines


@pytest.mark.usefixtures("no_ambient_settings")
def test_messages(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    seen_lines: set[str] = set()
    sections = []
    for number, (title, judge) in enumerate(CASES.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        gate = judge(prepared(folder))
        text = "\n".join([f"## {title}: {gate['verdict']}", "", *told(gate, seen_lines)])
        sections.append(re.sub(r"\d{4}-\d\d-\d\d", "<date>", text.replace(str(folder), "<folder>")))
    assert "\n\n".join(sections) + "\n" == snapshot(extension_class=_Text)


@pytest.mark.usefixtures("no_ambient_settings")
def test_refusals(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    text = "\n".join(refused(prepared(tmp_path))).replace(str(tmp_path), "<folder>").strip()
    assert f"{text}\n" == snapshot(extension_class=_Text)


def test_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "\n".join(unreadable()).strip() + "\n" == snapshot(extension_class=_Text)
