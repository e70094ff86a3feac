"""Compiles functions with numba. Their code is kept where other users cannot change it, because it is executed.

That is in NUMBA_CACHE_DIR, in `__pycache__` next to the source as Python's own bytecode, or in the user's cache.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from numba import njit
from numba.core import config

from raysweep.disk.cache import cache_folder
from raysweep.disk.private import is_trusted, private_folder

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(signature: Any) -> Callable[[Function], Function]:
    """Compile a function for one signature, or load its code from the cache."""

    def decorate(function: Function) -> Function:
        made: Function
        try:
            made = njit(signature, nogil=True, cache=True)(function)
        except Exception:  # the cache cannot be written or is damaged; an error in the function itself comes again
            made = njit(signature, nogil=True)(function)
        return made

    return decorate


def choose_cache(source: Path) -> str:
    """The folder for the code of a source file; empty for its `__pycache__`."""
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        with suppress(OSError):
            if is_trusted(Path(chosen)):
                return chosen
            text = f"NUMBA_CACHE_DIR={chosen} is not used: other users could change the compiled code in it."
            warnings.warn(text, RuntimeWarning, stacklevel=2)
    elif _can_write_bytecode(source.parent):
        return ""
    try:
        return str(private_folder(cache_folder() / "compiled"))
    except OSError:
        return os.devnull  # numba cannot write there: every process compiles for itself


def _can_write_bytecode(folder: Path) -> bool:
    cache = folder / "__pycache__"
    return os.access(cache if cache.exists() else folder, os.W_OK)


def _set_up() -> None:
    # numba would read settings, the cache folder among them, from a file in the working directory.
    config._config_fname = ""
    config.reload_config()
    config.CACHE_DIR = choose_cache(Path(__file__))


_set_up()
