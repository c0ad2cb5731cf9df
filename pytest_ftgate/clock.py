"""Tell the real time while freezegun or time-machine freezes or moves the clock of the tests."""

from collections.abc import Callable
from importlib.util import find_spec, module_from_spec

# freezegun replaces the functions of the module ``time``, and wherever they were imported; a second
# copy of the module keeps its own. time-machine moves ``wall`` in every copy, and leaves the others
# alone.
_spec = find_spec("time")
assert _spec is not None
assert _spec.loader is not None
_time = module_from_spec(_spec)
_spec.loader.exec_module(_time)

monotonic: Callable[[], float] = _time.monotonic
perf_counter: Callable[[], float] = _time.perf_counter
wall: Callable[[], float] = _time.time
