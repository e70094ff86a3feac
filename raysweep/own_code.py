"""A user's own code: networks from `models.py:build` or `package.module:function`, studies from `./my_study.py`.

A file is identified by the digest of its text, which recipes hold, and its text travels to the workers: only what the
user named on this command line or in this process is ever executed. A module of an installed package is imported by its
name, here and on the workers. Standard library only.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import linecache
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from raysweep import registry
from raysweep.addresses import check_local
from raysweep.errors import RaysweepError, unknown
from raysweep.recipe import Recipe

SUFFIX = ".py"
Text = tuple[str, str]
"""Name of a file, and what is in it."""


@dataclass(frozen=True)
class OwnCode:
    """A file of the user's."""

    name: str
    """Of the file, without its folder."""
    text: str

    @property
    def digest(self) -> str:
        """32 hex digits of its text."""
        return hashlib.blake2b(self.text.encode(), digest_size=16).hexdigest()


_known: dict[str, OwnCode] = {}
"""Digest -> file, of all that the user named in this process, or that a task brought."""
_loaded: dict[str, tuple[ModuleType, frozenset[tuple[str, str]]]] = {}
"""Digest -> the module and the parts that it has registered."""


def is_file(name: str) -> bool:
    """Whether the name of a network or study is that of a file: `models.py:build`, `./my_study.py`."""
    return name.partition(":")[0].endswith(SUFFIX)


def take_file(name: str) -> OwnCode:
    """Read the file of a name that the user gave, `FOLDER/models.py` or `FOLDER/models.py:build`.

    Raises:
        RaysweepError: it cannot be read.
    """
    path = Path(check_local(name.partition(":")[0])).expanduser()
    try:
        code = OwnCode(path.name, path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        others = sorted(found.name for found in path.parent.glob("*.py")) if path.parent.is_dir() else []
        raise unknown("file", str(path), others) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RaysweepError(f"cannot read {path}: {error}.") from None
    _known[code.digest] = code
    return code


def known(digest: str, name: str) -> OwnCode:
    """The file of that digest, which the user must have named in this process; `name` is for the message.

    Raises:
        RaysweepError: it is not at hand.
    """
    if digest not in _known:
        raise RaysweepError(
            f"the code of {name} with digest {digest[:8]} is not at hand: name it again, with --network (--code of "
            "`export` and `predict`), or the study's file. If it has changed, its trials are other ones, and these "
            "cannot be continued."
        )
    return _known[digest]


def carried(recipe: Recipe) -> tuple[Text, ...]:
    """The files that a recipe needs and that are at hand: a task takes them along."""
    digests = dict.fromkeys((recipe.network.source, recipe.own_code))
    return tuple((_known[one].name, _known[one].text) for one in digests if one in _known)


def unpack(texts: Iterable[Text], recipe: Recipe) -> None:
    """Take over the files that a task has brought, and load the one whose layers the recipe uses.

    Raises:
        RaysweepError: it does not load here.
    """
    for name, text in texts:
        code = OwnCode(name, text)
        _known[code.digest] = code
    if recipe.own_code:
        load(known(recipe.own_code, "the study's layers"))


def load(code: OwnCode) -> ModuleType:
    """Execute a file, once for each process. The parts that it registers count as its own.

    A file whose parts another form of it has replaced since is executed again.

    Raises:
        RaysweepError: it raises an error; the message has its place in the file.
    """
    module, parts = _loaded.get(code.digest, (None, frozenset()))
    if module is None or any(registry.own_parts[part][1] != code.digest for part in parts):
        module = _execute(code)
        parts = frozenset(part for part, (_, digest) in registry.own_parts.items() if digest == code.digest)
        _loaded[code.digest] = module, parts
    return module


def _execute(code: OwnCode) -> ModuleType:
    module = ModuleType(f"raysweep_own_{code.digest}")
    module.__file__ = code.name
    shown = f"<{code.name} {code.digest[:8]}>"
    linecache.cache[shown] = (len(code.text), None, code.text.splitlines(keepends=True), shown)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    with registry.loading(code.name, code.digest):
        try:
            exec(compile(code.text, shown, "exec"), module.__dict__)
        except Exception as error:
            sys.modules.pop(module.__name__)
            raise RaysweepError(f"{code.name} cannot be loaded: {_place(error, shown)}") from error
    return module


def _place(error: BaseException, shown: str) -> str:
    """The last line of the traceback, and where in the file it happened."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == shown]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    at = f"line {line}: " if line else ""
    hint = ""
    if isinstance(error, ModuleNotFoundError):
        hint = " Only this one file travels to the workers: what it imports must be installed, or stand in it."
    return f"{at}{type(error).__name__}: {error}.{hint}"


def attribute(module: ModuleType, name: str, shown: str) -> Any:
    """An attribute of the user's code.

    Raises:
        RaysweepError: it has none of that name; the message lists similar ones.
    """
    if not hasattr(module, name):
        names = [one for one, value in vars(module).items() if callable(value) and not one.startswith("_")]
        raise unknown(f"function of {shown}", name, names)
    return getattr(module, name)


def import_named(name: str) -> ModuleType:
    """A module of an installed package, or of the working directory, by its name.

    Raises:
        RaysweepError: there is none, or it raises an error.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise RaysweepError(
                f"there is no module {name}: pass the path of a file, such as models.py:build, or install the package."
            ) from None
        raise RaysweepError(f"{name} cannot be imported: {error}.") from error
    except Exception as error:
        raise RaysweepError(f"{name} cannot be imported: {type(error).__name__}: {error}.") from error


def take_module(module: ModuleType) -> OwnCode:
    """The source of a module that the user named.

    Raises:
        RaysweepError: it has none.
    """
    try:
        code = OwnCode(module.__name__, inspect.getsource(module))
    except (OSError, TypeError):
        raise RaysweepError(
            f"{module.__name__} has no source in Python, by which its networks are identified."
        ) from None
    _known[code.digest] = code
    return code


def arguments_for(make: Callable[..., Any], values: dict[tuple[str, ...], Any], shown: str) -> dict[str, Any]:
    """Arguments for a user's function: of each value the first of its names that the function takes.

    Raises:
        RaysweepError: it requires another argument.
    """
    parameters = inspect.signature(make).parameters
    found: dict[str, Any] = {}
    for names, value in values.items():
        found |= dict.fromkeys([one for one in names if one in parameters][:1], value)
    missing = [
        name
        for name, one in parameters.items()
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD) and name not in found
    ]
    if missing:
        taken = ", ".join(names[0] for names in values)
        raise RaysweepError(f"{shown} requires {', '.join(missing)}: give it a default. raysweep passes {taken}.")
    return found
