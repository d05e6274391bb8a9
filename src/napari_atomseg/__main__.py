"""``napari-atomseg`` and ``python -m napari_atomseg``: the command line."""

import os
import signal
import threading
from types import FrameType


def main() -> None:
    """Run the command line; Ctrl-C ends it in a line also before the command itself begins."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _end)
    from napari_atomseg.cli import app

    app(prog_name="napari-atomseg")


def _end(number: int, frame: FrameType | None) -> None:
    """Nothing is written yet; typer would end without a word."""
    cancelled = 130  # as shells have it; see `cli.app.CANCELLED`, which is not there yet
    os.write(2, b"cancelled\n")
    os._exit(cancelled)


if __name__ == "__main__":
    main()
