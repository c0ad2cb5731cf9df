"""Type aliases of numpy arrays."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Codes: TypeAlias = NDArray[np.int64]
Places: TypeAlias = NDArray[np.intp]
"""Indices as numpy returns them."""
