"""What an array is to everything that is not particular about what it holds."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
