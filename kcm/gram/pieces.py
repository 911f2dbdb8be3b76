"""Long work in pieces: a bar moves between two of them, and the user may interrupt."""

from collections.abc import Callable
from typing import TypeVar

import jax

__all__ = ["CHUNK", "in_pieces"]

# Work of a piece, in products of a kernel value and a number: about half a second.
CHUNK = 2.5e10

State = TypeVar("State")


def in_pieces(
    advance: Callable[[State, int, int], State],
    state: State,
    count: int,
    cost: float,
    done: Callable[[float], None],
) -> State:
    """Advance a state by `count` steps.

    Parameters
    ----------
    advance : callable
        Takes the state and the first and last step of a piece.
    state : pytree
    count : int
    cost : float
        Of a step.
    done : callable
        Told the cost of each piece after it.
    """
    step = max(1, int(CHUNK / cost))
    for first in range(0, count, step):
        last = min(first + step, count)
        state = jax.block_until_ready(advance(state, first, last))
        done((last - first) * cost)
    return state
