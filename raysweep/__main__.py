"""The `raysweep` command, as `python -m raysweep` too."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command with these arguments, or those of the process."""
    from raysweep.verbs.entry import call, raysweep

    call(raysweep, arguments)


if __name__ == "__main__":
    main()
