"""Ini keys that would have no effect stop the run before any test is collected."""

import sys

import pytest
from gate_project import ALONE, Project

from pytest_ftgate.plugin.ini_keys import KEYS

READS_NATIVE = pytest.version_tuple >= (9,)
# the text of a file with one key, by its name; native TOML has values of its own types
LANGUAGES = {
    "pytest.ini": "[pytest]\n{} = {}\n",
    "tox.ini": "[pytest]\n{} = {}\n",
    "setup.cfg": "[tool:pytest]\n{} = {}\n",
    "pyproject.toml": "[tool.pytest.ini_options]\n{} = '{}'\n",
    **(
        {"pytest.toml": "[pytest]\n{} = '{}'\n", ".pytest.toml": "[pytest]\n{} = '{}'\n"}
        if READS_NATIVE
        else {}
    ),
}
OLD, NATIVE = "[tool.pytest.ini_options]\n", "[tool.pytest]\n"
SLIPS = {  # a line, and what is meant
    "ftgate_requird = all": "ftgate_required",
    "FTGATE_REQUIRED = all": "ftgate_required",
    "ftgate-required = all": "ftgate_required",
    "ftgate_threshold = all": "ftgate_config",
    "ftgate_forbid_weakening = tru": "truth value 'tru'",
}
REFUSED: list[tuple[str, str, tuple[str, ...]]] = [
    *(
        (name, text.format("ftgate_requird", "all"), (":2", "ftgate_required"))
        for name, text in LANGUAGES.items()
    ),
    *(
        (name, text.format("ftgate_forbid_weakening", "tru"), (":2",))
        for name, text in LANGUAGES.items()
    ),
    *(
        ("pytest.ini", f"[pytest]\n{line}\n", (":2", line.partition(" ")[0], near))
        for line, near in SLIPS.items()
    ),
    # where pytest does not read it
    ("pytest.ini", "[pytest]\n[tool:pytest]\nftgate_required = all\n", (":3", "ftgate_required")),
    (
        "setup.cfg",
        "[tool:pytest]\n[pytest-ftgate]\nftgate_required = all\n",
        (":3", "ftgate_required"),
    ),
    ("pyproject.toml", f"{OLD}[tool.ftgate]\nftgate_required = 'all'\n", (":3", "ftgate_required")),
]
if READS_NATIVE:
    REFUSED += [
        (
            "pyproject.toml",
            f"{NATIVE}ftgate_requird = 'all'\n",
            (":2", "did you mean 'ftgate_required'"),
        ),
        ("pytest.toml", "[pytest]\nftgate_required = 'all'\n", (":2", "ftgate_required")),
        (
            "pytest.toml",
            "[pytest]\nftgate_forbid_weakening = 'true'\n",
            (":2", "ftgate_forbid_weakening"),
        ),
        ("pytest.toml", "[pytest]\nftgate_config = 3\n", (":2", "ftgate_config")),
    ]
else:
    REFUSED += [
        (
            "pyproject.toml",
            f"{NATIVE}ftgate_required = ['all']\n",
            (":2", "ftgate_required", "pytest 9"),
        ),
        (
            "pytest.toml",
            "[pytest]\nftgate_required = ['all']\n",
            (":2", "ftgate_required", "pytest 9"),
        ),
    ]


@pytest.mark.parametrize(("name", "text", "fragments"), REFUSED)
def test_a_key_without_effect_is_a_usage_error(
    pytester: pytest.Pytester, name: str, text: str, fragments: tuple[str, ...]
) -> None:
    (pytester.path / name).write_text(text)
    with pytest.raises(pytest.UsageError) as caught:
        pytester.parseconfigure(*ALONE)
    assert [
        fragment
        for fragment in (f"{name}{fragments[0]}", *fragments[1:])
        if fragment not in str(caught.value)
    ] == [], caught.value


@pytest.mark.parametrize("value", ["", "true", "No"])
def test_required_gates_have_names(project: Project, value: str) -> None:
    project.ini_file(f"ftgate_required = {value}")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*pytest.ini:2: ftgate_required: needs names of gates, or all*"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "pytest.ini",
            "[pytest]\nmarkers =\n    ftgate_slow: slow\nftgate_forbid_weakening = no\n",
        ),
        ("pyproject.toml", f"[project]\nname = 'ftgate'\n{OLD}ftgate_required = ['support']\n"),
        ("pyproject.toml", "[tool.ftgate]\nmodel = 'x'\n"),
        *([("pytest.toml", "[pytest]\nftgate_forbid_weakening = false\n")] if READS_NATIVE else []),
    ],
)
def test_keys_that_pytest_reads_are_fine(pytester: pytest.Pytester, name: str, text: str) -> None:
    (pytester.path / name).write_text(text)
    pytester.parseconfigure(*ALONE)


HIDDEN = {  # the file that pytest reads, and one beside it that it does not read
    "pytest.ini beside pyproject.toml": (
        ("pytest.ini", "[pytest]\nasyncio_mode = auto\n"),
        "pyproject.toml",
    ),
    "an empty pytest.ini": (("pytest.ini", ""), "setup.cfg"),
    "pyproject.toml before tox.ini": (("pyproject.toml", OLD), "tox.ini"),
}


@pytest.mark.parametrize(("read", "hidden"), HIDDEN.values(), ids=HIDDEN)
def test_a_key_in_a_file_that_another_one_hides_is_a_usage_error(
    pytester: pytest.Pytester, read: tuple[str, str], hidden: str
) -> None:
    """It would require nothing, in silence."""
    name, text = read
    (pytester.path / name).write_text(text)
    (pytester.path / hidden).write_text(LANGUAGES[hidden].format("ftgate_required", "all"))
    with pytest.raises(pytest.UsageError) as caught:
        pytester.parseconfigure(*ALONE)
    assert [
        fragment
        for fragment in (f"{hidden}:2", "ftgate_required", name)
        if fragment not in str(caught.value)
    ] == []


def test_an_unknown_key_of_a_file_that_another_one_hides_ends_the_run(project: Project) -> None:
    project.ini_file()
    project.file("pyproject.toml", f"{OLD}ftgate_requird = 'all'\n")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*pyproject.toml:2: ftgate_requird*"])


def test_a_key_of_another_plugin_is_its_own_and_all_of_ours_are_known(
    project: Project, pytestconfig: pytest.Config
) -> None:
    project.file(
        "conftest.py",
        "def pytest_addoption(parser): parser.addini('ftgate_lint', 'of another plugin')\n",
    )
    project.ini_file("ftgate_lint = x")
    project.gate_test()
    assert project.run().ret == 0
    registered = [key for key in vars(pytestconfig._parser)["_inidict"] if key.startswith("ftgate")]
    assert set(registered) <= set(KEYS)


@pytest.mark.parametrize("option", ["--ftgate-ofline", "--ftgate-margin=0.1"])
def test_an_unknown_option_is_a_usage_error(project: Project, option: str) -> None:
    assert project.run(option).ret == pytest.ExitCode.USAGE_ERROR


def test_an_option_of_a_conftest_is_its_own(project: Project) -> None:
    project.file(
        "conftest.py", "def pytest_addoption(parser): parser.addoption('--ftgate-reports')\n"
    )
    project.gate_test()
    assert project.run("--ftgate-reports=x").ret == 0


def test_pytest_main_takes_paths_and_names_hold_commas(project: Project) -> None:
    """A path is no option, and a comma within a name is no list."""
    project.gate_test(name="a,b")
    project.ini_file('ftgate_required = "a,b"')
    code = "import pathlib, pytest, sys; sys.exit(pytest.main([pathlib.Path('test_gate.py')]))"
    result = project.pytester.run(sys.executable, "-c", code)
    result.assert_outcomes(passed=1)
    assert result.ret == 0
