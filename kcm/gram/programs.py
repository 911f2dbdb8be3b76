"""The process that computes, and the programs that it keeps compiled."""

import functools
import os

import jax
from jax.extend import backend

from kcm.exceptions import ForkedProcessError

__all__ = ["check_process", "forget_programs"]

# Programs that are kept: some 20 memory maps each, of 65,530 that Linux grants a process.
MOST_PROGRAMS = 400


def check_process() -> None:
    """Refuse a process that was forked after JAX has computed, which would wait for ever."""
    if _first_process() != os.getpid():
        raise ForkedProcessError(
            "this process was forked from one that has computed with JAX, whose threads do not "
            "live on in the copy, so the call would never return. Start workers with "
            'multiprocessing.get_context("spawn") or joblib, or call kcm in the workers only.'
        )


@functools.cache
def _first_process() -> int:
    """Return the process that computed first; a fork inherits the number."""
    return os.getpid()


def forget_programs() -> None:
    """Let JAX forget its compiled programs where there are very many, for shapes and kernels."""
    if len(backend.get_backend().live_executables()) > MOST_PROGRAMS:
        jax.clear_caches()
