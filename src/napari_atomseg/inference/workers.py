"""Parts of an image that is not in memory, spread over the workers of a dask cluster.

An array of dask is worked on by the workers of the client that this process has (`Client` of
``dask.distributed``, on this machine or on many), with the same call as without one. Workers read
the pixels themselves. A few parts for each worker are under way at a time, so that neither memory
nor the scheduler fills up with a film of any length; what a worker that dies was doing is done
again by another.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from napari_atomseg._shared.kept_memory import keep_freed_memory
from napari_atomseg.progress import CancelToken

AHEAD = 3
"""Parts for each thread of the workers that are under way at a time."""
POLL = 0.05
"""Seconds between two looks at a part."""


def current_client() -> Any | None:
    """The client that this process has, or None; on a worker, its own work is not spread again."""
    distributed: Any = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        distributed.get_worker()
    except ValueError:
        pass
    else:
        return None
    try:
        return distributed.default_client()
    except ValueError:
        return None


def spread(
    client: Any,
    work: Callable[..., Any],
    parts: Sequence[tuple[Any, ...]],
    cancel: CancelToken | None = None,
) -> Iterator[Any]:
    """Results of work on parts, in their order.

    Parameters
    ----------
    work : a function that can be pickled.
    parts : arguments of each call; arrays of dask among them are computed by the worker.

    Raises
    ------
    Exception
        What the work raised; `distributed.KilledWorker` where workers died several times.
    """
    from dask.delayed import delayed

    under_way: deque[Any] = deque()
    todo = iter(parts)
    try:
        while True:
            room = AHEAD * max(1, sum(client.nthreads().values())) - len(under_way)
            for _ in range(max(0, room)):
                part = next(todo, None)
                if part is None:
                    break
                under_way.append(client.compute(delayed(on_worker, pure=False)(work, *part)))
            if not under_way:
                return
            while not under_way[0].done():
                if cancel is not None:
                    cancel.raise_if_cancelled()
                time.sleep(POLL)
            yield under_way.popleft().result()
    finally:
        client.cancel(list(under_way))


def on_worker(work: Callable[..., Any], *part: Any) -> Any:
    """The result of work on a part, on a worker, which does many more."""
    keep_freed_memory()
    return work(*part)
