"""Reading ahead: results in order, computed in threads, a bounded number of them at a time."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def in_threads(
    function: Callable[[A], B], items: Iterable[A], ahead: int, threads: int | None = None
) -> Generator[B, None, None]:
    """function(item) for each item, in the order of the items.

    Unlike `ThreadPoolExecutor.map` it takes an item only when it is about to be worked on, so that memory does not grow
    with their number.

    Args:
        function: called in a thread.
        items: any number of them.
        ahead: how many items may be under way or done before their result is asked for.
        threads: how many; None: as many as there are processors.
    """
    pool = ThreadPoolExecutor(threads or os.cpu_count())
    under_way: deque[Future[B]] = deque()
    try:
        for item in items:
            if len(under_way) == ahead:
                yield under_way.popleft().result()
            under_way.append(pool.submit(function, item))
        while under_way:
            yield under_way.popleft().result()
    finally:  # where the caller stops early, too
        pool.shutdown(cancel_futures=True)
