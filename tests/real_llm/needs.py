"""What this suite needs beside the tests' own packages."""

from __future__ import annotations

import pytest

PACKAGES = ("torch", "tokenizers", "gguf", "xllamacpp", "hassil", "home_assistant_intents")


def the_extra() -> None:
    """Skip the module that calls this where a package is missing."""
    for name in PACKAGES:
        pytest.importorskip(
            name, reason=f"{name} is not installed: pip install -e . --group real-llm"
        )
