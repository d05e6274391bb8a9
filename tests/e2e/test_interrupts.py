"""Ctrl-C ends every command in one line, whenever it comes."""

import signal
import subprocess
import sys
import time

import pytest

BEGIN = (
    "import sys; sys.argv[1:] = ['evaluate', '--images', '1000'];"
    "from napari_atomseg.__main__ import main; print('begun', flush=True); main()"
)


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals of POSIX")
@pytest.mark.parametrize("seconds", [0.02, 0.5])
def test_ctrl_c_while_modules_are_imported(seconds: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert said.strip() == "cancelled"
    assert process.returncode == 130
