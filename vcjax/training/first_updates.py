"""Whether a new adapter trains: after the first updates the loss of given rows has to have moved.

On some sharded meshes it does not, without an error: where B is zero, the sign of the first
gradients decides where Adam goes, and a compiler that sums them in another order may change it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vcjax.models import lora
from vcjax.models.transformer import Model

CHECKED = 10  # updates


def is_new(params: dict, model: Model) -> bool:
    """Whether what trains is an adapter that adds nothing yet."""
    return model.lora is not None and lora.is_untrained(params["adapter"])


def warning(
    before: float, after: float, rates: np.ndarray, grad_norms: Sequence[Any]
) -> str | None:
    """What to say where the mean loss of the same rows was `before` and is `after` these updates.

    rates, grad_norms: of each update. Adam moves every weight by about the rate, so a step along
    the gradient g lowers the loss by rate x |g|_1, many times rate x |g|_2; a step in any other
    direction changes it by about the latter. A loss that all of them moved by no more has not
    moved, however small the rates of a warm-up are.
    """
    if abs(after - before) > np.dot(rates, np.asarray(grad_norms, np.float64)):
        return None
    return (
        f"after {len(rates)} updates the loss of its first rows has not moved ({before:.6f} "
        f"before, {after:.6f} now); on a mesh of several devices try recipe(start='b') or another "
        "config.mesh, on one device another lr"
    )
