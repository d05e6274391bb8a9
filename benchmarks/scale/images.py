"""Peak memory and time of images of growing size, restored and localized.

    python -m benchmarks scale images [--sizes 1024 4096 8192] [--actions restore localize]
    python -m benchmarks scale images --limit 1.6

Every figure comes from a process of its own. It imports the package, applies it to a small image,
which loads the model, and then makes the image, uint16 counts of a lattice. Memory is the largest
resident set from then on, above what the process took before: with the image, its result and all
between. With `--limit` the process may take so many GiB more, and no further (RLIMIT_DATA, Linux).
Seconds are wall time and CPU time; on a busy machine the second one counts. A table in Markdown is
printed, a line an image.
"""

from __future__ import annotations

import argparse
import json
import time

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.scale import common

ACTIONS = ("restore", "localize")


def limit_memory(more: float) -> None:
    """Let this process take so many GiB more than it has, and no further."""
    import resource
    from pathlib import Path

    status = Path("/proc/self/status").read_text()
    now = next(line.split()[1] for line in status.splitlines() if line.startswith("VmData"))
    limit = int(now) * 1024 + int(more * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def measure(action: str, size: int, limit: float) -> dict[str, float]:
    """Figures of one image, in this process."""
    import napari_atomseg as atomseg

    work = {"restore": atomseg.restore, "localize": atomseg.localize}[action]
    work(common.counts(256))
    before = common.resident_peak()
    if limit:
        limit_memory(limit)
    start, cpu = time.perf_counter(), common.cpu_seconds()
    image = common.counts(size)
    made = work(image)
    return {
        "seconds": time.perf_counter() - start,
        "cpu": common.cpu_seconds() - cpu,
        "memory": common.resident_peak() - before,
        "columns": len(made) if action == "localize" else 0,
    }


def arguments(parser: argparse.ArgumentParser) -> None:
    """Sizes, actions and the limit."""
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 4096, 8192])
    parser.add_argument("--actions", nargs="+", choices=ACTIONS, default=list(ACTIONS))
    parser.add_argument("--limit", type=float, default=0.0, help="GiB above the imports [none]")
    parser.add_argument("--one", nargs=2, metavar=("ACTION", "SIZE"), help=argparse.SUPPRESS)
    shared.threads(parser, 2)


def run(options: argparse.Namespace) -> None:
    """Print a line for each size and action."""
    if options.one:
        action, size = options.one[0], int(options.one[1])
        print(json.dumps(measure(action, size, options.limit)))
        return
    tables.begin(["image", "action", "wall s", "CPU s", "memory GiB", "bytes a pixel", "columns"])
    for size in options.sizes:
        for action in options.actions:
            words = ["scale", "images", "--one", action, str(size)]
            words += ["--limit", str(options.limit), "--threads", str(options.threads)]
            found = common.in_new_process(*words)
            tables.line(
                [
                    f"{size}²",
                    action,
                    f"{found['seconds']:.0f}",
                    f"{found['cpu']:.0f}",
                    f"{found['memory'] / 2**30:.2f}",
                    f"{found['memory'] / size**2:.0f}",
                    str(found["columns"]),
                ]
            )
