"""Judge a gate outside pytest, in a notebook or at the end of a training script, and read JSON reports."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from pytest_ftgate import errors, ini_file, result
from pytest_ftgate.config import GateKeys, Layer, Source, load_gate_file, resolve_gate
from pytest_ftgate.gate import run, state
from pytest_ftgate.reports import json
from pytest_ftgate.reports.recordings import read_notes, read_recordings
from pytest_ftgate.runs import jobs, progress
from pytest_ftgate.runs.store import Store


def judge(
    gate: str | None = None, config: str | os.PathLike[str] = "ftgate.yaml", **keys: Any
) -> result.GateResult:
    """Judge a gate as a test with the marker would, with the same verdict and the same stored answers.

    Args:
        gate: the gate's name in the gate file; ``None``: all keys are given here.
        config: the gate file, relative to the working directory.
        keys: keys of the gate, such as ``candidate=my_model.generate`` or ``margin=0.08``; they
            replace the file's.

    Returns:
        the facts and checks; what could not be judged has the verdict ``error``, and is not raised.
    """
    path, name = Path(config), gate or "judge"
    try:
        file = load_gate_file(path) if path.is_file() else None
        if file is None and gate is not None:
            raise errors.ConfigError(
                "gate file not found",
                where=errors.Where(errors.shown_path(path)),
                cure="Set config to its path.",
            )
        source = Source("marker", "judge()", Path.cwd(), place="judge()")
        layers = [
            Layer(keys, dict.fromkeys(keys, source)),
            *(file.layers(gate) if file is not None else ()),
        ]
        resolved = resolve_gate(layers, file=file, gate=gate, default_name=name)
        return _judged(resolved, path.absolute().parent, name)
    except errors.FtgateError as error:
        return result.failed_result(result.GateResult(name, name, "error", gate=gate), error)


def _judged(config: GateKeys, folder: Path, name: str) -> result.GateResult:
    ini = ini_file.find_ini(folder)
    home, values = (ini.path.parent, ini.values) if ini is not None else (folder, {})
    store = Store(home / str(values.get("ftgate_state") or ".ftgate") / "predictions.sqlite3")
    recordings = (
        home / str(values["ftgate_recordings"]) if values.get("ftgate_recordings") else None
    )
    stores = jobs.Stores(
        store, Store(None), read_recordings(recordings) if recordings is not None else {}
    )
    data, on_terminal = state.DataSets(), sys.stderr.isatty()
    services = state.Services(
        stores=stores,
        load=data.load,
        audit=data.audit,
        progress=progress.ProgressDisplay(partial(_write, end=""), lambda: None)
        if on_terminal
        else progress.ProgressDisplay(_write),
        committed=read_notes(recordings) if recordings is not None else {},
        tell=_write,
    )
    try:
        judged = run.judge_gate(config, services, nodeid=name)
        if judged.result.verdict != "error":
            stores.finish(judged.runs.values())
            store.drop(sorted(stores.judged))
        return judged.result
    finally:
        store.close()


def _write(text: str, end: str = "\n") -> None:
    sys.stderr.write(f"{text}{end}")
    sys.stderr.flush()


def read_report(path: str | os.PathLike[str]) -> json.Report:
    """Return a JSON report, which ``--ftgate-report=json:PATH`` wrote: a sequence of its gates.

    Its ``passed`` is true only if gates were judged, all of them passed, and every required gate
    was met; ``unjudged`` has the required gates that were not, each with ``name`` and ``reason``.

    Raises:
        DataError: the file cannot be read, or is no such report.
    """
    return json.read_report(Path(path))
