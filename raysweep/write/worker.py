"""The program of a worker that encodes images: `python -m raysweep.write.worker DESCRIPTOR`, see `encoders.py`.

It takes tasks from the socket until that is closed, which the end of the process that writes does as well.
"""

from __future__ import annotations

import signal
import sys
import time
from multiprocessing.connection import Connection

from raysweep.write.encode import encode_all


def serve(connection: Connection) -> None:
    """Answer tasks (pictures, indices, forms) by what is stored of them, the bytes of each form as one message."""
    connection.send("ready")
    while True:
        pictures, indices, forms = connection.recv()
        start = time.perf_counter()
        encoded = encode_all(pictures, indices, forms)
        connection.send((encoded.rows, encoded.reasons, time.perf_counter() - start))
        for content in encoded.data:
            connection.send_bytes(content)


def main() -> None:
    """Serve the socket whose descriptor was inherited."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that writes, which then closes the socket
    try:
        serve(Connection(int(sys.argv[1])))
    except (EOFError, ConnectionError):
        return


if __name__ == "__main__":
    main()
