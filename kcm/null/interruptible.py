"""Computations of one call that Ctrl-C can leave."""

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["interruptible"]

# Seconds between two looks for an interrupt.
PATIENCE = 0.1
Result = TypeVar("Result")


def interruptible(compute: Callable[[], Result]) -> Result:
    """Return what a function returns, computed in a thread that the caller can stop waiting for.

    LAPACK does not return to Python before it has finished; after an interrupt the thread does so
    unheard.

    Examples
    --------
    >>> interruptible(lambda: 3)
    3
    """
    outcome: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            outcome.put((compute(), None))
        except BaseException as error:  # raised again where it is waited for
            outcome.put((None, error))

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(PATIENCE)
    result, error = outcome.get()
    if error is not None:
        raise error
    found: Result = result
    return found
