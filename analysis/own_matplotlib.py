"""matplotlib in the style of the figures: no file and no variable of a user's set-up changes or breaks one."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

STYLE = Path(__file__).with_name("style.mplstyle")
NAME = "matplotlib"


def _imported() -> ModuleType:
    """matplotlib, with the user's set-up unless that cannot be imported.

    Notebooks keep their backend and settings; `own_style` sets them aside while a figure is drawn.
    """
    try:
        return importlib.import_module(NAME)
    except Exception:  # a settings file or a backend that matplotlib does not know: it raises what it meets
        for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
            del sys.modules[name]
        with _without_user_settings():
            return importlib.import_module(NAME)


@contextlib.contextmanager
def _without_user_settings() -> Iterator[None]:
    """Hides what matplotlib reads when it is imported: a `matplotlibrc` here or at home, and the name of a backend."""
    with patch.dict(os.environ, {"MATPLOTLIBRC": str(STYLE)}), contextlib.chdir(STYLE.parent):
        os.environ.pop("MPLBACKEND", None)
        yield


MATPLOTLIB = _imported()


def own_style() -> AbstractContextManager[None]:
    """The settings for drawing and saving: matplotlib's defaults and the style of the figures, whatever was set."""
    context: AbstractContextManager[None] = MATPLOTLIB.rc_context(_settings())
    return context


@cache
def _settings() -> dict[str, Any]:
    # Not `matplotlib.style`, which reads the styles in the user's folder.
    whole = dict(MATPLOTLIB.rc_params_from_file(STYLE, use_default_template=True))
    del whole["backend"]  # saving picks the canvas by the format of the file
    return whole
