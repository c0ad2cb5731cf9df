"""Hooks for model providers, data loaders, metrics, rules and observers.

No hook can make a gate easier to pass.

Implement a hook as a function in ``conftest.py``. In other modules decorate it with
:data:`hookimpl`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pluggy

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import ModelSpec
    from pytest_ftgate.result import Check, GateResult

hookspec = pluggy.HookspecMarker("pytest")
hookimpl = pluggy.HookimplMarker("pytest")


@hookspec(firstresult=True)
def pytest_ftgate_model(spec: ModelSpec) -> object:
    """Build the model of a provider that this package does not know.

    Return a callable (``str -> str``, sync or async) or an object with the protocol
    :class:`pytest_ftgate.models.Model`. Return ``None`` for providers of other plugins.
    ``spec.options`` has the keys of the model as written, and ``{"model": "greeter"}`` for the
    string ``echo:greeter``::

        # conftest.py
        from pytest_ftgate import ModelSpec

        def pytest_ftgate_model(spec: ModelSpec) -> object:
            if spec.provider == "echo":
                return str.upper
            return None
    """


@hookspec(firstresult=True)
def pytest_ftgate_load_examples(
    path: Path, options: Mapping[str, object]
) -> Iterable[object] | None:
    """Read a data file in a format that this package does not know.

    Return an iterable of examples (mappings with ``input`` and ``expected``), or ``None`` for
    formats of other plugins. ``options`` has ``format``, ``fields`` and ``limit`` of the gate;
    ``fields`` and ``limit`` are applied to the returned examples::

        # conftest.py
        from pathlib import Path

        def pytest_ftgate_load_examples(path: Path) -> object:
            if path.suffix == ".pairs":
                lines = path.read_text(encoding="utf-8").splitlines()
                pairs = (line.split("=>") for line in lines)
                return [{"input": left, "expected": right} for left, right in pairs]
            return None
    """


@hookspec
def pytest_ftgate_metrics() -> Mapping[str, object]:  # type: ignore[empty-body]
    """Add metrics by name.

    The mappings of all plugins are merged; a name that is given twice is an error.

    A metric scores one example, and declares its range and direction::

        # conftest.py
        from pytest_ftgate import metric

        @metric(low=0, high=1, greater_is_better=True)
        def brevity(expected: str, answer: str) -> float:
            return 1.0 if len(answer) <= 80 else 0.0

        def pytest_ftgate_metrics() -> dict[str, object]:
            return {"brevity": brevity}
    """


@hookspec
def pytest_ftgate_checks(gate: Context) -> Iterable[Check] | None:
    """Add checks to a gate after its models are scored.

    Return an iterable of :class:`pytest_ftgate.Check`, or ``None`` if there is nothing to check.
    Reports list these checks with all others, and the worst status is the verdict, so that a hook
    can only make a verdict worse. The status is ``note``, ``warning``, ``pass``, ``inconclusive``,
    ``fail`` or ``error``; the first three do not affect the verdict.

    ``gate`` is read-only: ``config`` has its keys, ``test`` and ``training`` its examples, ``runs``
    the answers of the models, ``scored`` their scores, and ``result`` the facts so far as a
    :class:`pytest_ftgate.GateResult`::

        # conftest.py
        from collections.abc import Iterator

        from pytest_ftgate import Check, Context

        def pytest_ftgate_checks(gate: Context) -> Iterator[Check]:
            usd = gate.result.candidate.cost_usd
            if usd is not None and usd > 2:
                yield Check("own.budget", "fail", f"cost ${usd:.2f}", observed=usd)
    """


@hookspec
def pytest_ftgate_gate_finished(
    result: GateResult, outcome: Literal["passed", "failed", "skipped"]
) -> None:
    """Receive the result of a gate when its test has ended, for example to send it to a dashboard.

    ``outcome`` is that of the test: it can fail although its gate passed, by an assertion in its
    body. The hook cannot change the verdict. It is called again if the test is run again::

        # conftest.py
        from pytest_ftgate import GateResult

        def pytest_ftgate_gate_finished(result: GateResult, outcome: str) -> None:
            print(result.name, result.verdict, outcome)
    """
