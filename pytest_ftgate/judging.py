"""Judge a gate outside pytest, such as in a training script, and read JSON reports."""

import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pytest_ftgate import errors, ini_file, result
from pytest_ftgate.config import GateKeys, Layer, Source, load_gate_file, resolve_gate
from pytest_ftgate.gate import run, state
from pytest_ftgate.models.recorded import Recording
from pytest_ftgate.reports import json
from pytest_ftgate.reports.recordings import read_notes, read_recordings
from pytest_ftgate.runs import jobs, progress
from pytest_ftgate.runs.store import Store
from pytest_ftgate.text import kind_of


def judge(
    gate: str | None = None, config: str | os.PathLike[str] = "ftgate.yaml", **keys: Any
) -> result.GateResult:
    """Judge a gate as a test with the marker would, with the same verdict and stored answers.

    Args:
        gate: the gate's name in the gate file; ``None``: all keys are given here.
        config: the gate file, relative to the working directory.
        keys: keys of the gate, such as ``candidate=my_model.generate`` or ``margin=0.08``; they
            replace the file's.

    Returns:
        the facts and checks; what could not be judged has the verdict ``error``, and is not raised.
    """
    path = Path(config)
    if not isinstance(gate, str | None):
        message = f"the gate is its name in the gate file, not {kind_of(gate)}: judge(**keys)"
        raise TypeError(message)
    name = gate or "judge"
    try:
        keys_of_gate = _resolved(path, gate, name, keys)
        return _judged(keys_of_gate, path.absolute().parent, name)
    except errors.FtgateError as error:
        return result.failed_result(result.GateResult(name, name, "error", gate=gate), error)


def _resolved(path: Path, gate: str | None, name: str, keys: Mapping[str, Any]) -> GateKeys:
    """Return the keys of a gate, those that are given before those of the gate file.

    Raises:
        ConfigError: a key is not valid, or the gate file is missing.
    """
    source = Source("marker", "judge()", Path.cwd(), place="judge()")
    layers = [Layer(keys, dict.fromkeys(keys, source))]
    file = None
    if path.is_file():
        file = load_gate_file(path)
        layers += file.layers(gate)
    elif gate is not None:
        raise _no_gate_file(path)

    where = source.where("")
    return resolve_gate(layers, file=file, gate=gate, default_name=name, named_at=where)


def _no_gate_file(path: Path) -> errors.ConfigError:
    """Return the error of a missing gate file, with one near the working directory."""
    here = Path.cwd()
    cure = "Run in the folder of the gate file, or pass its path: judge(..., config='PATH')."
    for folder in (here, *here.parents):
        if (folder / "ftgate.yaml").is_file():
            found_path = errors.shown_path(folder / "ftgate.yaml")
            cure = f"Found {found_path}: pass its path: judge(..., config={found_path!r})."
            break

    where = errors.Where(errors.shown_path(path))
    message = f"gate file not found in {path.absolute().parent}"
    return errors.ConfigError(message, where=where, cure=cure)


def _judged(config: GateKeys, folder: Path, name: str) -> result.GateResult:
    """Judge a gate with the stored answers and recordings that pytest would use in a folder."""
    ini = ini_file.find_ini(folder)
    home = folder
    values: Mapping[str, Any] = {}
    if ini is not None:
        home = ini.path.parent
        values = ini.values

    answers: Mapping[str, Recording] = {}
    notes: Mapping[str, str] = {}
    if values.get("ftgate_recordings"):
        recordings = home / str(values["ftgate_recordings"])
        answers = read_recordings(recordings)
        notes = read_notes(recordings)

    store = Store(home / str(values.get("ftgate_state") or ".ftgate") / "predictions.sqlite3")
    stores = jobs.Stores(store, Store(None), answers)
    data = state.DataSets()
    display = progress.ProgressDisplay(_write)
    if sys.stderr.isatty():
        display = progress.ProgressDisplay(partial(_write, end=""), lambda: None)
    services = state.Services(
        stores=stores,
        load=data.load,
        audit=data.audit,
        progress=display,
        committed=notes,
        tell=_write,
    )
    try:
        judged = run.judge_gate(config, services, nodeid=name)
        if judged.result.verdict != "error":
            stores.finish(judged.runs.values())
            store.retire(sorted(stores.judged))
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
