"""The program of a worker that encodes images: `python -m raysweep.write.worker DESCRIPTOR`, see `workers.py`.

It takes tasks from a socket until that is closed, as happens when the writing process ends.
"""

from __future__ import annotations

import signal
import sys
import time
from multiprocessing.connection import Connection

from raysweep.write.encode import encode_all


def serve(connection: Connection) -> None:
    """Answer tasks (pictures, indices, forms) with their rows, then the bytes of each form as one message."""
    connection.send("ready")
    while True:
        pictures, indices, forms = connection.recv()
        start = time.perf_counter()
        encoded = encode_all(pictures, indices, forms)
        connection.send((encoded.rows, encoded.reasons, time.perf_counter() - start))
        for content in encoded.data:
            connection.send_bytes(content)


def main() -> None:
    """Serve the inherited socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the writing process, which closes the socket
    try:
        serve(Connection(int(sys.argv[1])))
    except (EOFError, ConnectionError):
        return


if __name__ == "__main__":
    main()
