"""How a worker's process ends: at once and with its code, whoever reads what it says."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SAYS = """
import logging, sys, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()  # as a driver has them that waits for a server
from movie_stream.app import die, end
from movie_stream.errors import WorkerFailed
"""


@pytest.mark.parametrize(
    ("ends", "code"), [("die(WorkerFailed(what='x'))", 1), ("die(ValueError('a bug'))", 1), ("end(0)", 0)]
)
@pytest.mark.parametrize("read", [True, False], ids=["read", "nobody reads"])
def test_it_ends_whoever_reads(ends: str, code: int, read: bool) -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", SAYS + ends], stdout=writer, stderr=writer)
    os.close(writer)
    if not read:
        os.close(reader)
    try:
        assert process.wait(30) == code
    finally:
        process.kill()
        process.wait()
        if read:
            os.close(reader)
