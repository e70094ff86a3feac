"""Errors for users: each names the value at fault and the next step."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


class RaysweepError(Exception):
    """A mistake in a request or its data. The command line prints it without a traceback and exits with status 2."""


class UnfinishedError(RaysweepError):
    """A sweep that ended before its trials did. The command line exits with status 1; the same command continues."""


class LostClusterError(UnfinishedError):
    """The cluster was lost during the sweep: the process must end, since Ray's threads would bring it down."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}. Every finished epoch is in the store: start a cluster and run the same command to continue."
        )


class InapplicableError(RaysweepError):
    """A factor that a network does not have, or images too small for it. A plan omits such variants and says why."""


class OutOfMemoryError(RaysweepError):
    """A trial that does not fit into the memory it was given; it may fit on a device of its own."""


class ElsewhereError(RaysweepError):
    """A trial that another process trains. For a sweep this is no failure: the other process brings its result."""

    def __init__(self, trial: str, where: str, lost: bool = False) -> None:
        """`where`: the process that trains it; `lost`: it has taken the trial over from this process."""
        self.where = where
        self.lost = lost
        super().__init__(
            f"trial {trial} was taken over by {where}, while this process was stopped or could not reach the store: it "
            "goes on there."
            if lost
            else f"trial {trial} is being trained on {where}: wait until it ends, or stop it there."
        )


def step_after(error: Exception, otherwise: str) -> str:
    """The next step after a file or folder could not be used, by the cause; `otherwise` for other causes."""
    return _STEPS.get(getattr(error, "errno", None) or 0, otherwise)


_STEPS = {
    **dict.fromkeys((errno.EACCES, errno.EPERM), "Change its permissions, or use another place"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Free some space on that disk, or use another one"),
    errno.EROFS: "Use a place that is not read-only",
    errno.ENOENT: "Create the folder, or check its name",
    errno.ENOTDIR: "Check the path: a part of it is a file, not a folder",
    errno.EISDIR: "Name a file, not a folder",
    errno.EEXIST: "Use another name: there is a file of this name",
    errno.ENAMETOOLONG: "Use a shorter name",
}


def cannot_write(path: object, error: OSError, otherwise: str = "Use another place") -> str:
    """The sentence on a file or folder that cannot be written, with the next step."""
    return f"cannot write {path}: {error.strerror or error}. {step_after(error, otherwise)}."


RAY_KILLED = "running low on memory"
"""Words of Ray's error when it has killed a process for its node's sake."""


def killed_for_memory(error: str) -> bool:
    """Whether an error means that memory ran out: in the trial itself, or Ray killed its worker for the node's sake."""
    return "OutOfMemoryError" in error or RAY_KILLED in error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence with the nearest known names, or with all of them if they are few; otherwise empty."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        return f" Did you mean {' or '.join(near)}?"
    return f" Known: {', '.join(names)}." if len(names) <= 30 else ""


def unknown(kind: str, name: str, known: Iterable[str], see: str = "") -> RaysweepError:
    """The error for an unknown name: its kind, the nearest known names and the command that lists them."""
    hint = f" See `{see}`." if see else ""
    return RaysweepError(f"unknown {kind} {name!r}.{did_you_mean(name, known)}{hint}")
