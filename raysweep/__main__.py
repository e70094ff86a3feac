"""The `raysweep` command, as `python -m raysweep` too."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from raysweep.stopping import stoppable
from raysweep.terminal.outputs import checked_outputs


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command with these arguments, or those of the process."""
    words = sys.argv[1:] if arguments is None else arguments
    with checked_outputs(), stoppable(["raysweep", *words]):  # before imports, which take a second
        from raysweep.verbs.entry import call, raysweep

        call(raysweep, words)


if __name__ == "__main__":
    main()
