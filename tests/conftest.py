"""Shared by all tests. Everything heavy loads here, before any inner run of pytest: pytester forgets what an inner run
imports, and numpy cannot be imported twice."""

import os
import signal
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pkgutil import walk_packages

import jinja2  # noqa: F401
import openai  # noqa: F401
import pytest
import scipy.special  # noqa: F401
import sklearn.feature_extraction.text
import sklearn.metrics  # noqa: F401
import yaml  # noqa: F401
from endpoint_project import EndpointProject
from gate_project import Project
from hypothesis import settings
from loopback import LoopbackServer

import pytest_ftgate
from pytest_ftgate.gate.state import SIGNS_OF_CI
from pytest_ftgate.git import REQUESTS

for module in walk_packages(pytest_ftgate.__path__, "pytest_ftgate."):
    import_module(module.name)
if find_spec("genai_prices"):
    import_module("genai_prices.data")

# The full number of examples is for CI. Heavy libraries load within the first of them, so no example has a deadline.
settings.register_profile("local", max_examples=15, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# as in what a shell's script starts in the background
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Keep bytes out of the names of tests: those of an archive hold the time, so xdist's workers would disagree."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    """Return a green gate on recorded answers."""
    return Project(pytester)


@pytest.fixture
def green(project: Project) -> Project:
    """Return the gate ``support`` of a gate file on a marked test, beside another test; nothing is required."""
    project.filed()
    project.ini_file()
    project.file("test_other.py", "def test_other(): pass\n")
    return project


@pytest.fixture
def required(green: Project) -> Project:
    green.ini_file("ftgate_required = all")
    return green


@pytest.fixture
def http(
    pytester: pytest.Pytester, server: LoopbackServer, no_ambient_settings: None
) -> EndpointProject:
    """Return a green gate on the models of a loopback server."""
    return EndpointProject(pytester, server)


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inner runs are somebody's local work, not of the pipeline or hook that our own tests may run in."""
    of_git = [name for name in os.environ if name.startswith("GIT_")]
    for name in (*SIGNS_OF_CI, *REQUESTS, *of_git, "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def no_ambient_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine's owner has set up must not reach a test."""
    for name in list(os.environ):
        if name.startswith("OPENAI_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """Yield an OpenAI-compatible endpoint on loopback."""
    with LoopbackServer() as running:
        yield running
