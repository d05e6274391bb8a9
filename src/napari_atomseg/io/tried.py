"""Files of foreign formats are looked at by another process first.

Damaged or malicious headers make their readers hang, use all memory, or crash. The other process
reads headers only, with limits of time and memory; it is started once and serves all files.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from napari_atomseg.io.try_file import MATLAB as MATLAB

PATIENCE = 30.0
"""Seconds that the headers of a file may take."""
MEMORY = 4 * 2**30
"""Bytes of memory that they may take; of a file of a quarter of it or more, four times its size."""
_SCRIPT = Path(__file__).with_name("try_file.py")


class UnsafeFileError(OSError):
    """A file that is not opened in this process; the message names it and the reason."""


def try_file(path: Path, plugin: str = "", **options: Any) -> None:
    """Let another process read the headers of a file.

    Parameters
    ----------
    plugin : of RosettaSciIO; "" for HDF5 of any layout, `MATLAB` for its files before -v7.3.
    options : of the plugin.

    Raises
    ------
    UnsafeFileError
        It took too long, too much memory, crashed, or the file has data outside of itself; the
        message names the file. Other errors are left to the reader in this process.
    """
    fault = _OTHER.ask({"path": str(path.absolute()), "plugin": plugin, "options": options})
    if fault:
        raise UnsafeFileError(f"{path}: {fault}")


class _Other:
    """The other process, started when it is first needed and again after it ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        atexit.register(self.stop)

    def ask(self, order: dict[str, Any]) -> str:
        """The fault of a file; "" for none, and where no other process can be started."""
        with self._lock:
            process = self._running()
            if process is None or process.stdin is None:
                return ""
            try:
                process.stdin.write(json.dumps(order | {"memory": MEMORY}) + "\n")
                process.stdin.flush()
                answer = self._answers.get(timeout=PATIENCE)
            except queue.Empty:
                self.stop()
                return f"damaged: reading its header takes more than {PATIENCE:.0f} s"
            except OSError:
                answer = ""
            if not answer:
                self.stop()
                return "damaged: reading it would end the program"
            return str(json.loads(answer)["fault"])

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                with contextlib.suppress(OSError):  # what it did not take any more
                    self._process.stdin.close()
            self._process = None

    def _running(self) -> subprocess.Popen[str] | None:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.stop()
        try:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", str(_SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
            )
        except OSError:
            return None
        self._answers = queue.SimpleQueue()
        listener = threading.Thread(
            target=_listen, args=(self._process.stdout, self._answers), daemon=True
        )
        listener.start()
        return self._process


def _listen(stream: Any, answers: queue.SimpleQueue[str]) -> None:
    """Pass on the lines of a process; an empty one is its end."""
    for line in stream:
        answers.put(line)
    stream.close()
    answers.put("")


_OTHER = _Other()
