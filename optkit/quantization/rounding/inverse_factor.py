"""How an error in one weight is spread over those that are still to be rounded."""

import numpy as np
from scipy.linalg.lapack import dtrtri

from optkit.arrays import Array

DAMPING = 0.01
"""Of H's mean diagonal, added to it, so that directions seldom seen do not take all the error."""
MORE, TRIES = 10.0, 12
"""Times as much where H, which is summed in float32, has directions of less than nothing; so often at most."""


def inverse_factor(moments: Array) -> Array:
    """The upper Cholesky factor of the damped H⁻¹ for each group, float64 [group, K, K]; `moments` H are finite [group, K, K].

    Raises LinAlgError where no damping helps.
    """
    held = moments.astype(np.float64)
    mean = np.trace(held, axis1=1, axis2=2) / held.shape[1]
    eye = np.eye(held.shape[1])
    for more in MORE ** np.arange(TRIES):
        try:
            return _factor(held + (more * (DAMPING * mean + 1e-12))[:, None, None] * eye)
        except np.linalg.LinAlgError:
            continue
    return _factor(held)


def _factor(damped: Array) -> Array:
    """Of H turned round it is the inverse of the factor, turned back."""
    if len(damped) > 1:  # many small ones
        return np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1)
    lower = np.linalg.cholesky(damped[0, ::-1, ::-1])
    return np.asarray(dtrtri(lower, lower=1)[0][::-1, ::-1])[None]
