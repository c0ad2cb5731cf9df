"""What others may add: a model provider, a data loader, a metric, a rule, an observer. No hook can relax a gate.

Implement a hook as a plain function in ``conftest.py``; elsewhere decorate it with :data:`hookimpl`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import ModelSpec
    from pytest_ftgate.result import Check, GateResult

hookspec = pluggy.HookspecMarker("pytest")
hookimpl = pluggy.HookimplMarker("pytest")


@hookspec(firstresult=True)
def pytest_ftgate_model(spec: ModelSpec) -> Any | None:
    """Build the model of a provider that this package does not know.

    Return a callable (``str -> str``, sync or async) or an object of the protocol
    :class:`pytest_ftgate.models.Model`; ``None`` leaves the provider to others. ``spec.options`` holds the keys
    as they were written, ``{"model": "greeter"}`` for the spelling ``echo:greeter``::

        # conftest.py
        def pytest_ftgate_model(spec):
            if spec.provider == "echo":
                return lambda text: text.upper()
    """


@hookspec(firstresult=True)
def pytest_ftgate_load_examples(path: Path, options: Mapping[str, Any]) -> Iterable[Any] | None:
    """Read a data file in a format that this package does not know.

    Return an iterable of examples (mappings with ``input`` and ``expected``), or ``None`` to leave the file to
    others. ``options`` are ``format``, ``fields`` and ``limit`` as the gate gives them; ``limit`` and ``fields``
    are applied to what is returned::

        # conftest.py
        def pytest_ftgate_load_examples(path, options):
            if path.suffix == ".pairs":
                lines = path.read_text(encoding="utf-8").splitlines()
                return [dict(zip(("input", "expected"), line.split("=>"))) for line in lines]
    """


@hookspec
def pytest_ftgate_metrics() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Add metrics by name. All implementations are merged; a name given twice is an error.

    A metric scores one example and states its range and direction::

        # conftest.py
        from pytest_ftgate import metric

        @metric(low=0, high=1, greater_is_better=True)
        def brevity(expected, answer):
            return 1.0 if len(answer) <= 80 else 0.0

        def pytest_ftgate_metrics():
            return {"brevity": brevity}
    """


@hookspec
def pytest_ftgate_checks(gate: Context) -> Iterable[Check] | None:
    """Hold a gate to rules of your own, once its models are scored.

    Return an iterable of :class:`pytest_ftgate.Check`, or ``None`` where there is nothing to say of this gate. They
    appear in the reports beside those of this package, and the worst status of them all is the verdict, so that a hook
    can only make a verdict worse. A status is ``note``, ``warning``, ``pass``, ``inconclusive``, ``fail`` or
    ``error``; the first three leave a green gate green.

    ``gate`` is everything that the gate is judged on, to be read and not changed: ``config``, its keys; ``test`` and
    ``training``, its examples; ``runs``, what the models answered; ``scored``, what the metrics made of that;
    ``result``, a :class:`pytest_ftgate.GateResult` with the facts so far::

        # conftest.py
        from pytest_ftgate import Check

        def pytest_ftgate_checks(gate):
            usd = gate.result.candidate.cost_usd
            if usd is not None and usd > 2:
                yield Check("own.budget", "fail", f"the candidate cost ${usd:.2f}", usd, 2.0)
    """


@hookspec
def pytest_ftgate_gate_finished(result: GateResult) -> None:
    """Look at a finished gate, to send it somewhere. Nothing done here changes the verdict::

    # conftest.py
    def pytest_ftgate_gate_finished(result):
        print(result.name, result.verdict)
    """
