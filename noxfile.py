#!/usr/bin/env -S python -m nox --noxfile
# /// script
# dependencies = ["nox>=2024.10.9"]
# ///
"""Check the project as CI does.

`nox` runs lint, types and tests, `nox -s NAME` one session, `nox -l` lists them.
`.ci/run` runs all sessions, in this order. A session installs what it needs into an environment of
its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "venv"

EXAMPLES = ("voice_commands", "extraction", "style_preference", "closing")
# A prerelease of pip would do, too: dependency groups came with pip 25.1.
PIP = ("--upgrade", "pip>=25.1")


def python(version: str) -> str | None:
    """Return a Python of this version that can make environments, else None.

    It is found by its name, or among those that pyenv keeps.
    A shim of pyenv answers to the name, but may have no interpreter behind it.
    """
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [
        shutil.which(f"python{version}"),
        *map(str, root.glob(f"versions/{version}*/bin/python")),
    ]
    code = f"import ensurepip, sys; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"
    for path in filter(None, found):
        if not subprocess.run([path, "-c", code], capture_output=True).returncode:
            return path
    return None


OLDEST = python("3.10")
NEWEST = python("3.14") or python("3.13")


def readme_command(number: int) -> str:
    """Return a command of README as it is written there: 0 runs the main job, 1 the tests."""
    readme = Path("README.md").read_text(encoding="utf-8")
    return re.findall(r"^```sh\n(.*?)^```$", readme, flags=re.MULTILINE | re.DOTALL)[number]


def shell(session: nox.Session, command: str) -> None:
    session.run("bash", "-euo", "pipefail", "-c", command, external=True)


def install(
    session: nox.Session, *what: str, group: str | None = None, limit: int | None = None
) -> bool:
    """Install the project with this dependency group.

    Return whether it went well within `limit` seconds, if given.
    """
    session.install(*PIP)
    command = [f"{session.bin}/python", "-m", "pip", "install", "-e", ".", *what]
    command += ["--group", group] if group else []
    if limit is None:
        session.run(*command, silent=True)
        return True
    try:
        return not subprocess.run(command, timeout=limit, stdout=subprocess.DEVNULL).returncode
    except subprocess.TimeoutExpired:
        return False


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and declared dependencies."""
    install(session, group="lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("deptry", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, those of the Python in README and the docs, too."""
    install(session, "pytest", group="lint")
    session.run("mypy")
    session.run(
        "python", "-m", "pytest", "-q", "--noconftest", "-c", os.devnull, "tests/test_typed_docs.py"
    )


@nox.session(python=NEWEST or sys.executable)
def tests(session: nox.Session) -> None:
    """Run the whole suite by README's command, on the newest Python there is.

    Arguments go to pytest.
    """
    if session.posargs:
        install(session, group="test")
        session.run("python", "-m", "pytest", *session.posargs)
    else:
        shell(session, readme_command(1))


@nox.session(default=False)
def simulations(session: nox.Session) -> None:
    """Measure how often the statistical methods are wrong."""
    install(session, group="test")
    session.run("python", "-m", "pytest", "-q", "-n", "auto", "-m", "simulation", "tests")


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Build the documentation site, and check it."""
    install(session, group="test")
    install(session, group="docs")
    site = session.create_tmp()
    session.run(
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        site,
        env={"NO_MKDOCS_2_WARNING": "1"},
    )
    session.run("python", "-m", "pytest", "-q", "tests/test_site.py")


@nox.session(default=False)
def browser(session: nox.Session) -> None:
    """Open HTML reports and the documentation in Chromium, where it can be had."""
    if not shutil.which("chromium"):
        session.skip("there is no chromium on the PATH")
    install(session, group="browser")
    install(session, group="docs")
    session.run("python", "-m", "pytest", "-q", "tests/browser")


@nox.session(default=False)
def examples(session: nox.Session) -> None:
    """Run README's main job in an empty environment, and all examples."""
    for example in EXAMPLES:
        shutil.rmtree(Path("examples", example, ".ftgate"), ignore_errors=True)
    shell(session, readme_command(0))
    session.run("python", "-m", "pytest", "-q", "examples")


@nox.session(default=False)
def build(session: nox.Session) -> None:
    """Build the wheel, and judge the examples with it in a clean environment.

    An argument is a new folder for the wheel, for a release.
    """
    folder = Path(session.create_tmp()).resolve()
    built = folder / "dist"
    shutil.rmtree(built, ignore_errors=True)
    if session.posargs:
        built = Path(session.posargs[0]).resolve()
    session.install(*PIP, "build", "twine")
    session.run("python", "-m", "build", "--outdir", str(built), ".", silent=True)
    session.run("twine", "check", "--strict", *map(str, built.iterdir()))
    (wheel,) = built.glob("*.whl")
    session.run("python", "-m", "venv", "--clear", str(folder / "clean"))
    clean = str(folder / "clean" / "bin" / "python")
    session.run(clean, "-m", "pip", "install", "-q", *PIP, external=True)
    session.run(
        clean, "-m", "pip", "install", "-q", f"{wheel}[format]", "--group", "example", external=True
    )
    shutil.copytree("examples", folder / "examples", dirs_exist_ok=True)
    session.chdir(folder)
    for example in EXAMPLES:
        session.run(clean, "-m", "pytest", "-q", f"examples/{example}/test_gate.py", external=True)


@nox.session(default=False)
def company(session: nox.Session) -> None:
    """Run beside other plugins."""
    install(session, group="company")
    session.run(
        "python",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:randomly",
        "-p",
        "no:benchmark",
        "tests/plugin/test_company.py",
    )


@nox.session(python=OLDEST, default=False)
def oldest(session: nox.Session) -> None:
    """Run a part of the suite with the oldest Python, pytest and libraries.

    pytest-asyncio and syrupy take no pytest 8.0, and the options of our ini are unknown without
    them.
    """
    if OLDEST is None:
        session.skip("there is no Python 3.10")
    install(
        session,
        *(
            "pytest-ftgate[format,report,text]",
            "pytest==8.0.0",
            "pydantic==2.11.0",
            "numpy==1.24.4",
            "scipy==1.10.1",
        ),
        *("scikit-learn==1.4.0", "joblib==1.4.0", "hypothesis>=6.100", "jsonschema>=4.21"),
        *("pytest-rerunfailures>=14", "pytest-xdist>=3.6"),
    )
    session.run(
        *(
            "python",
            "-m",
            "pytest",
            "-q",
            "-n",
            "auto",
            "-m",
            "not simulation",
            "-o",
            "addopts=",
            "-p",
            "pytester",
        ),
        *("-W", "ignore::pytest.PytestConfigWarning"),
        *(f"tests/unit/{name}" for name in ("config", "models", "inference")),
        *(f"tests/unit/running/test_{name}.py" for name in ("runner", "bad_days")),
        *(
            f"tests/plugin/test_{name}.py"
            for name in ("outcomes", "marks", "reports", "gate_fixtures")
        ),
        "tests/plugin/test_distribution.py::test_as_if_in_one_process[loadgroup-2]",
    )


@nox.session(default=False)
def pytest_9_0(session: nox.Session) -> None:
    """Run a part of the suite with pytest 9.0."""
    install(session, "pytest==9.0.*", group="test")
    session.run(
        *("python", "-m", "pytest", "-q", "-n", "auto"),
        *(f"tests/plugin/test_{name}.py" for name in ("ini_keys", "outcomes", "marks")),
        "tests/plugin/test_gate_fixtures.py",
        "tests/unit/cli/test_cli_init.py",
    )


@nox.session(default=False)
def real_llm(session: nox.Session) -> None:
    """Judge a real language model, where its packages can be had."""
    if not install(session, group="real-llm", limit=240):
        session.skip("the dependency group real-llm could not be installed")
    session.run("python", "-m", "pytest", "-q", "tests/real_llm")


@nox.session(default=False)
def local(session: nox.Session) -> None:
    """Judge local models and LoRA adapters, where their packages can be had."""
    if not install(session, "pytest-ftgate[local]", "distributed>=2024.1", group="test", limit=400):
        session.skip("the extra local could not be installed")
    session.run("python", "-m", "pytest", "-q", "tests/local")


@nox.session(default=False)
def shipped(session: nox.Session) -> None:
    """Judge an adapter, its merged weights and a server of them, where the packages can be had."""
    if not install(session, group="shipped", limit=400):
        session.skip("the dependency group shipped could not be installed")
    for name in (".ftgate", "artifacts"):
        shutil.rmtree(Path("examples", "shipped", name), ignore_errors=True)
    session.run("python", "-m", "pytest", "-q", "examples", "-k", "shipped")


@nox.session(default=False)
def promotion(session: nox.Session) -> None:
    """Run the recipes of the hook with the real libraries, where they can be had."""
    if not install(session, "mlflow>=3", "wandb", "langsmith", group="test", limit=400):
        session.skip("mlflow, wandb and langsmith could not be installed")
    session.run("python", "-m", "pytest", "-q", "tests/promotion")


@nox.session(default=False)
def logs(session: nox.Session) -> None:
    """Judge logs of other evaluation tools, which they write here, where they can be had."""
    if not install(session, group="logs", limit=400):
        session.skip("the dependency group logs could not be installed")
    session.run("python", "-m", "pytest", "-q", "tests/logs")


if __name__ == "__main__":
    nox.main()
