"""The house: what an unused plugin loads, who knows pytest, and that every public name is there."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from gate_project import ALONE, Project

import pytest_ftgate

PACKAGE = Path(pytest_ftgate.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = (
    *(
        "openai",
        "sklearn",
        "scipy",
        "numpy",
        "yaml",
        "pydantic",
        "httpx",
        "httpx2",
        "joblib",
        "aiohttp",
        "sqlite3",
    ),
    *("genai_prices", "rapidfuzz", "jinja2", "jsonschema"),
)
FACE = {"plugin"}


@cache
def import_statements(path: Path) -> list[ast.Import | ast.ImportFrom]:
    """Return what a module imports, also within functions, but not for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def output_of(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_the_plugin_loads_nothing_at_all_that_pytest_has_not_loaded() -> None:
    code = (
        "import sys, pytest\nbefore = set(sys.modules)\n"
        "import pytest_ftgate.plugin\nprint(*set(sys.modules) - before)"
    )
    assert {name.partition(".")[0] for name in output_of(code).split()} == {"pytest_ftgate"}


@pytest.mark.parametrize("args", [(), ("--collect-only",)])
def test_a_suite_without_a_gate_loads_four_modules_of_ours(
    pytester: pytest.Pytester, args: tuple[str, ...]
) -> None:
    pytester.makepyfile("def test_plain(): pass")
    pytester.makeconftest(
        "import sys\ndef pytest_unconfigure():\n"
        "    print('ours:', *sorted(name for name in sys.modules if name.startswith('pytest_ftgate')))\n"
        f"    print('heavy:', *(name for name in {HEAVY!r} if name in sys.modules))\n"
        "    print('finders:', [name for name in map(repr, sys.meta_path) if 'ftgate' in name])\n"
    )
    result = pytester.runpytest_subprocess(
        "-p", "no:asyncio", "-p", "no:anyio", "-p", "no:hypothesispytest", *args
    )
    assert result.ret == 0
    modules = "pytest_ftgate pytest_ftgate.clock pytest_ftgate.hookspecs pytest_ftgate.plugin"
    assert f"ours: {modules}" in result.outlines
    assert "heavy:" in [line.rstrip() for line in result.outlines]
    assert "finders: []" in result.outlines


@pytest.mark.parametrize(
    ("metric", "extra"), [("accuracy", ()), ("exact_match", ()), ("f1_macro", ("scipy",))]
)
def test_a_gate_on_recorded_answers_loads_the_libraries_that_it_uses(
    project: Project, metric: str, extra: tuple[str, ...]
) -> None:
    """Scikit-learn alone would double its start."""
    project.gate_test(metric=metric)
    # On Python 3.14 pytest itself loads asyncio, by pdb.
    project.pytester.makeconftest(
        # as for an installed plugin
        "import gc, sys, pytest\npytest.register_assert_rewrite('pytest_ftgate.result')\n"
        "def pytest_sessionstart(): pytest_sessionstart.before = set(sys.modules)\n"
        "def pytest_unconfigure():\n    names = set(sys.modules) - pytest_sessionstart.before\n"
        f"    print('loaded:', *(name for name in {(*HEAVY, 'asyncio')!r} if name in names))\n"
        "    print('frozen:', gc.get_freeze_count(), 'collects:', gc.isenabled())\n"
        "    print('loaded by', type(sys.modules['pytest_ftgate.result'].__loader__).__name__)\n"
    )
    result = project.pytester.runpytest_subprocess(*ALONE)
    assert result.ret == 0
    (line,) = (line for line in result.outlines if line.startswith("loaded:"))
    assert set(line.split()[1:]) == {"numpy", "pydantic", "sqlite3", *extra}
    # from the byte code of the installer, on a first run, too
    assert "loaded by SourceFileLoader" in result.outlines
    assert "frozen: 0 collects: True" in result.outlines


def test_the_core_works_without_pytest_and_each_part_loads_only_what_it_needs() -> None:
    heavy = f"print(*(name for name in {HEAVY!r} if name in sys.modules))\n"
    code = (
        "import sys; sys.modules['pytest'] = sys.modules['_pytest'] = None\n"
        "from types import SimpleNamespace as S; from pytest_ftgate.metrics import build_metric\n"
        "for name in ('accuracy', 'f1_macro', 'exact_match'):\n"
        f"    build_metric(S(name=name, options={{}}, source='x'), labels=['a', 'b'], custom={{}})\n{heavy}"
        f"from pytest_ftgate.statistics.exact import exact_lower; exact_lower(30, 2, 60, 0.05)\n{heavy}"
        f"import pytest_ftgate.models.openai_api.model, pytest_ftgate.models.python\n{heavy}"
        f"import pytest_ftgate.gate.run, pytest_ftgate.reports.session\n{heavy}"
    )
    modules = [set(line.split()) for line in output_of(code).split("\n")[:-1]]
    assert modules == [{"numpy", "pydantic"}] * 3 + [{"numpy", "pydantic", "sqlite3"}]


def test_only_the_face_knows_pytest_and_no_import_is_relative() -> None:
    for path in MODULES:
        names = {
            alias.name
            for import_statement in import_statements(path)
            for alias in import_statement.names
        }
        names |= {
            import_statement.module or ""
            for import_statement in import_statements(path)
            if isinstance(import_statement, ast.ImportFrom)
        }
        if part(path) not in FACE:
            assert not names & {"pytest", "_pytest"}, path
            assert not imports(path) & FACE, path
        assert not [
            import_statement
            for import_statement in import_statements(path)
            if isinstance(import_statement, ast.ImportFrom) and import_statement.level
        ]


LAYERS = (
    "clock text statistics plain check_names secrets files",
    "errors guarded",
    "data",
    "result ini_file git",
    "config",
    "models",
    "metrics",
    "runs",
    "checks",
    "gate splitting",
    "reports",
    "judging",
    "hookspecs",
    "plugin cli",
    "__main__ __init__",
)
"""Nothing imports what is in a later layer; rooms of one layer may import each other."""


def ranks() -> dict[str, int]:
    return {room: rank for rank, layer in enumerate(LAYERS) for room in layer.split()}


@cache
def imported(path: Path) -> set[str]:
    """Return the modules that a module imports, also within functions; not those for types alone."""
    names = set[str]()
    for import_statement in import_statements(path):
        if isinstance(import_statement, ast.Import):
            names |= {alias.name for alias in import_statement.names}
        elif import_statement.module:
            modules = {
                f"{import_statement.module}.{alias.name}"
                for alias in import_statement.names
                if is_module(import_statement.module, alias.name)
            }
            names |= (
                modules
                if len(modules) == len(import_statement.names)
                else modules | {import_statement.module}
            )
    return names - {name(path)}


@cache
def is_module(package: str, name: str) -> bool:
    path = PACKAGE.parent.joinpath(*package.split("."), name)
    return path.is_dir() or path.with_suffix(".py").exists()


def name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
        ".__init__"
    )


def imports(path: Path) -> set[str]:
    """Return the parts of our package that a module imports from."""
    return {
        module.split(".")[1] for module in imported(path) if module.startswith("pytest_ftgate.")
    }


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_module_has_its_place() -> None:
    assert set(ranks()) == {part(path) for path in MODULES}


def test_nothing_imports_what_stands_below_it() -> None:
    rank = ranks()
    assert not [
        (path, name) for path in MODULES for name in imports(path) if rank[name] > rank[part(path)]
    ]


def test_no_modules_import_each_other_in_a_circle() -> None:
    modules = {name(path) for path in MODULES}
    graph = {name(path): imported(path) & modules for path in MODULES}
    assert len(list(TopologicalSorter(graph).static_order())) == len(modules)


def test_public_names_are_there() -> None:
    assert all(getattr(pytest_ftgate, name) is not None for name in pytest_ftgate.__all__)
    assert set(pytest_ftgate.__all__) <= set(dir(pytest_ftgate))
    assert len(pytest_ftgate.__all__) <= 20
    with pytest.raises(AttributeError):
        pytest_ftgate.nothing_of_this_name  # noqa: B018
