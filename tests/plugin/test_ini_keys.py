"""Ini keys that would have no effect stop the run before any test is collected."""

from __future__ import annotations

import pytest
from gate_project import Project

from pytest_ftgate.plugin.ini_keys import KEYS

NATIVE = pytest.mark.skipif(pytest.version_tuple < (9,), reason="pytest 8 reads no native TOML")
LANGUAGES = [
    pytest.param("pytest.ini", "[pytest]\n{} = {}\n", "", id="pytest.ini"),
    pytest.param("tox.ini", "[pytest]\n{} = {}\n", "", id="tox.ini"),
    pytest.param("setup.cfg", "[tool:pytest]\n{} = {}\n", "", id="setup.cfg"),
    pytest.param("pyproject.toml", "[tool.pytest.ini_options]\n{} = {}\n", '"', id="ini_options"),
    pytest.param("pyproject.toml", "[tool.pytest]\n{} = {}\n", '"', id="native", marks=NATIVE),
    pytest.param("pytest.toml", "[pytest]\n{} = {}\n", '"', id="pytest.toml", marks=NATIVE),
    pytest.param(".pytest.toml", "[pytest]\n{} = {}\n", '"', id=".pytest.toml", marks=NATIVE),
]


def _refused(project: Project, *parts: str) -> None:
    """See that pytest stops with a usage error that holds these parts, before the gate is judged."""
    project.gate_test()
    result = project.run()
    said = result.stderr.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert not [part for part in parts if part not in said], said
    assert "collected" not in result.stdout.str()


@pytest.mark.parametrize(("name", "text", "quote"), LANGUAGES)
@pytest.mark.parametrize(
    ("key", "value", "near"),
    [("ftgate_requird", "all", "ftgate_required"), ("ftgate_forbid_weakening", "tru", "true")],
)
def test_a_misspelled_key_or_truth_value_is_a_usage_error(
    project: Project, name: str, text: str, quote: str, key: str, value: str, near: str
) -> None:
    project.file(name, text.format(key, f"{quote}{value}{quote}"))
    native = "ini_options" not in text and name.endswith("toml")
    _refused(project, f"{name}:2", key, *([] if native and "weakening" in key else [near]))


def test_an_unknown_key_is_found_in_a_file_that_another_one_hides(project: Project) -> None:
    project.file("pyproject.toml", "[tool.pytest.ini_options]\nftgate_requird = 'all'\n")
    project.ini_file()
    _refused(project, "pyproject.toml:2", "ftgate_requird", "ftgate_required")


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("FTGATE_REQUIRED = all", "ftgate_required"),
        ("ftgate-required = all", "ftgate_required"),
        ("ftgate_threshold = all", "ftgate_config"),
        ("ftgate_forbid_weakening = fasle", "false"),
    ],
)
def test_any_slip_in_a_key_or_truth_value_is_found(project: Project, line: str, near: str) -> None:
    project.ini_file(line)
    _refused(project, "pytest.ini:2", line.partition(" ")[0], near)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", "[pytest]\n[tool:pytest]\nftgate_required = all\n"),
        ("setup.cfg", "[tool:pytest]\n[pytest-ftgate]\nftgate_required = all\n"),
        ("pyproject.toml", "[tool.pytest.ini_options]\n[tool.ftgate]\nftgate_required = 'all'\n"),
    ],
)
def test_a_key_where_pytest_does_not_read_it_is_a_usage_error(project: Project, name: str, text: str) -> None:
    project.file(name, text)
    _refused(project, f"{name}:3", "ftgate_required")


@pytest.mark.skipif(pytest.version_tuple >= (9,), reason="pytest 9 reads native TOML")
@pytest.mark.parametrize(("name", "header"), [("pyproject.toml", "[tool.pytest]"), ("pytest.toml", "[pytest]")])
def test_native_toml_that_pytest_8_does_not_read_is_a_usage_error(project: Project, name: str, header: str) -> None:
    project.file(name, f"{header}\nftgate_required = ['all']\n")
    _refused(project, f"{name}:2", "ftgate_required", "pytest 9")


@NATIVE
@pytest.mark.parametrize("line", ['ftgate_required = "all"', 'ftgate_forbid_weakening = "true"', "ftgate_config = 3"])
def test_a_value_of_another_type_in_native_toml_is_a_usage_error(project: Project, line: str) -> None:
    project.file("pytest.toml", f"[pytest]\n{line}\n")
    _refused(project, "pytest.toml:2", line.partition(" ")[0])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", "[pytest]\nmarkers =\n    ftgate_slow: slow\nftgate_forbid_weakening = no\n"),
        (
            "pyproject.toml",
            "[project]\nname = 'ftgate'\n[tool.pytest.ini_options]\nftgate_required = []\n",
        ),
        pytest.param("pytest.toml", "[pytest]\nftgate_forbid_weakening = false\n", marks=NATIVE),
        ("pyproject.toml", "[tool.ftgate]\nmodel = 'x'\n"),
    ],
)
def test_keys_that_pytest_reads_are_fine(project: Project, name: str, text: str) -> None:
    project.file(name, text)
    project.gate_test()
    assert project.run().ret == 0


def test_a_key_of_another_plugin_is_its_own(project: Project) -> None:
    project.file("conftest.py", "def pytest_addoption(parser): parser.addini('ftgate_lint', 'of another plugin')\n")
    project.file("pytest.ini", "[pytest]\nftgate_lint = x\n")
    project.gate_test()
    assert project.run().ret == 0


def test_all_our_keys_are_known(pytestconfig: pytest.Config) -> None:
    registered = [key for key in vars(pytestconfig._parser)["_inidict"] if key.startswith("ftgate")]
    assert set(registered) <= set(KEYS)
