"""The program of a worker that decodes images: `python -m raysweep.write.worker DESCRIPTOR`, see `workers.py`.

It takes tasks from a socket until that is closed, as happens when the writing process ends.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

import raysweep.write.decode  # noqa: F401 - imported before the first task, whose time is measured
from raysweep.data.opencv import opencv


def main() -> None:
    """Serve the inherited socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the writing process, which ends this one
    connection = Connection(int(sys.argv[1]))
    opencv()  # imported before the first task, whose time is measured
    with suppress(EOFError, ConnectionError):
        connection.send("ready")
        while True:
            read, work = connection.recv()
            connection.send(work.do(read))


if __name__ == "__main__":
    main()
