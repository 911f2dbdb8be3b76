"""A bar for work that takes a while."""

import contextlib
from collections.abc import Callable, Iterator

__all__ = ["SHOWN_FROM", "counting_bar", "progress_bar"]

# Products of a kernel value and a number above which a bar is shown: about five seconds on two
# cores in double precision. One kernel value costs about as much as 32 of them.
SHOWN_FROM = 2.5e11


@contextlib.contextmanager
def progress_bar(work: float, label: str, shown: bool) -> Iterator[Callable[[float], None]]:
    """Yield a function that tells how much of the work has been done since it was last called.

    Nothing is shown, and tqdm is not imported, unless `shown` and the work is large.
    """
    if not shown or work < SHOWN_FROM:
        yield lambda done: None
        return
    from tqdm.auto import tqdm

    percent = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    with tqdm(total=work, desc=label, leave=False, bar_format=percent) as bar:

        def advance(done: float) -> None:
            bar.update(done)

        yield advance


@contextlib.contextmanager
def counting_bar(total: int, label: str, shown: bool) -> Iterator[Callable[[int], None]]:
    """Yield a function that tells how many more of the pieces are done.

    A bar appears after five seconds, if `shown`.
    """
    if not shown:
        yield lambda done: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=label, leave=False, delay=5.0) as bar:

        def advance(done: int) -> None:
            bar.update(done)

        yield advance
