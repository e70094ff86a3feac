"""The `raysweep` command, as `python -m raysweep` too."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from raysweep.disk.cache import ensure_home
from raysweep.process.children import search_path


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command with these arguments, or those of the process."""
    # Python puts the working directory first on the path of `python -m`, or wherever PYTHONPATH has an empty entry.
    sys.path[:] = search_path()
    from raysweep.process.stopping import stoppable
    from raysweep.terminal.outputs import checked_outputs

    words = sys.argv[1:] if arguments is None else arguments
    with checked_outputs(), stoppable(["raysweep", *words]):  # before further imports, which take a second
        ensure_home()
        from raysweep.verbs.entry import call, raysweep

        call(raysweep, words)


if __name__ == "__main__":
    main()
