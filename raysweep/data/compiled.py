"""Compiled loops from a file: numba compiles them once per machine, LLVM alone loads them afterwards.

Importing numba and having it load its own cache takes most of a second, in every process of every trial; an object file
with the same code takes some hundredths. It lies in NUMBA_CACHE_DIR, or in `__pycache__`, or where that may not be
written in the user's cache folder.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import importlib.util
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from raysweep.disk.cache import cache_folder
from raysweep.errors import RaysweepError

DECODER = "raysweep_ffcv_imdecode"
ALLOWED = frozenset({DECODER, "memcpy", "memset"})
"""What the loops may call. Any other symbol would end the process when the code is loaded without numba."""
LOOPS = ("cut", "unpack", "normalise")
PREFIX = "raysweep_loop_"
SUM_BYTES = 32


class Loops:
    """The compiled loops as C functions; Python's lock is released while one runs."""

    def __init__(self, code: bytes, library: ctypes.CDLL) -> None:
        """`code` is an object file, `library` FFCV's, whose decoder it calls."""
        self._library = library  # stays loaded as long as the code that calls it
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        address, number = ctypes.c_void_p, ctypes.c_int64
        tables = [address] * 6
        self.cut = self._function("cut", [*tables, address, number, number, number, address, address, address])
        self.unpack = self._function("unpack", [*tables, number, number, address])
        self.normalise = self._function("normalise", [address, *[number] * 3, address, ctypes.c_float, address])

    def _function(self, name: str, arguments: list[Any]) -> Callable[..., int]:
        made = ctypes.CFUNCTYPE(ctypes.c_int64, *arguments)(self._engine.get_function_address(PREFIX + name))
        function: Callable[..., int] = made
        return function


_made: list[Loops] = []
_making = threading.Lock()


def loops() -> Loops:
    """The loops of this process, compiled first where this machine has not yet done so (some seconds).

    Raises:
        RaysweepError: FFCV is not installed.
    """
    if not _made:
        # Two threads that come first at once must not each make them: the code of those thrown away would be running.
        with _making:
            if not _made:
                library = ffcv_library()  # known to LLVM before the code that calls it
                _made.append(Loops(stored_code(), library))
    return _made[0]


@cache
def ffcv_library() -> ctypes.CDLL:
    """FFCV's own library, its decoder known to LLVM by name.

    Found and loaded without importing FFCV: that costs seconds and sets torch's threads.

    Raises:
        RaysweepError: FFCV is not installed.
    """
    spec = importlib.util.find_spec("ffcv")
    folders = spec.submodule_search_locations if spec else None
    found = [path for folder in folders or () for path in Path(folder).glob("_libffcv*")]
    if not found:
        raise RaysweepError("FFCV is not installed: run `make setup` in a checkout of raysweep.")
    library = ctypes.CDLL(str(found[0]))
    llvm.add_symbol(DECODER, ctypes.cast(library.imdecode, ctypes.c_void_p).value)
    return library


def stored_code() -> bytes:
    """The object file of the loops, compiled and kept where it is not there yet."""
    name = f"loops-{code_key()}.o"
    for folder in code_folders():
        if (code := read_code(folder / name)) is not None:
            return code
    home = next(filter(_can_write, code_folders()), None)
    if home is None:
        return compile_loops()  # nowhere to keep it: compiled again in every process
    with _lock(home / f"{name}.lock"):
        code = read_code(home / name)  # another process may have been faster
        if code is None:
            code = compile_loops()
            _write_code(home / name, code)
    return code


def code_folders() -> list[Path]:
    """Where compiled code may lie, the preferred folder first."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    return [Path(named)] if named else [Path(__file__).with_name("__pycache__"), cache_folder() / "raysweep"]


def code_key() -> str:
    """Hex digits of everything that decides the code: its source, the compilers' versions and the processor."""
    source = Path(__file__).with_name("loops.py").read_bytes()
    versions = [metadata.version(name) for name in ("numba", "llvmlite")]
    parts = [*versions, llvm.get_default_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    return hashlib.blake2b(source + "\n".join(parts).encode(), digest_size=8).hexdigest()


def read_code(path: Path) -> bytes | None:
    """The code in a file; nothing where there is none, or not all of it."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    code = content[SUM_BYTES:]
    return code if hashlib.sha256(code).digest() == content[:SUM_BYTES] else None


def _write_code(path: Path, code: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(hashlib.sha256(code).digest() + code)
    Path(name).replace(path)


def _can_write(folder: Path) -> bool:
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return os.access(folder, os.W_OK | os.X_OK)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """One process at a time. The system lets go of it when a process dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def compile_loops() -> bytes:
    """Have numba compile the loops; returns an object file."""
    # Here alone, since importing numba is what all this avoids.
    compiled: Mapping[str, tuple[str, str]] = importlib.import_module("raysweep.data.loops").compiled()
    whole = llvm.parse_assembly("")
    for name in LOOPS:
        symbol, text = compiled[name]
        module = llvm.parse_assembly(text)
        module.get_function(symbol).name = PREFIX + name
        whole.link_in(module)
    _drop_error_paths(whole)
    foreign = {f.name for f in whole.functions if f.is_declaration and not f.name.startswith("llvm.")} - ALLOWED
    if foreign:
        raise AssertionError(f"the loops call {', '.join(sorted(foreign))}, which numba alone can provide")
    code: bytes = _machine().emit_object(whole)
    return code


def _drop_error_paths(module: Any) -> None:
    """Remove what handles Python's exceptions: the loops raise none, which shows once they are seen as a whole."""
    for function in module.functions:
        if not function.is_declaration and not function.name.startswith(PREFIX):
            function.linkage = llvm.Linkage.internal
    passes = llvm.create_new_module_pass_manager()
    passes.add_ipsccp_pass()
    passes.add_simplify_cfg_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(_machine(), llvm.create_pipeline_tuning_options()))


def _machine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=3, jit=True)
