"""The program of a worker that encodes images: `python -m raysweep.write.worker DESCRIPTOR`, see `workers.py`.

It takes tasks from a socket until that is closed, as happens when the writing process ends.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from raysweep.data.opencv import opencv
from raysweep.write.encode import encode_all


def main() -> None:
    """Serve the inherited socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the writing process, which ends this one
    connection = Connection(int(sys.argv[1]))
    opencv()  # imported before the first task, whose time is measured
    with suppress(EOFError, ConnectionError):
        connection.send("ready")
        while True:
            connection.send(encode_all(*connection.recv()))


if __name__ == "__main__":
    main()
