"""A user's matplotlib set-up neither changes nor breaks a picture, and stays as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import raysweep
from raysweep.analysis.figures import figures, render, save
from raysweep.analysis.load import load_lines
from raysweep.store.store import Store
from tests.analysis.made_up import made

HOSTILE = {
    **{"font.family": "serif", "savefig.transparent": True, "savefig.bbox": "tight", "svg.fonttype": "none"},
    **{
        "path.sketch": (1, 100, 2),
        "text.usetex": True,
        "axes.titlepad": 50.0,
        "savefig.dpi": 31.0,
        "lines.marker": "x",
    },
}
DRAW = """
import sys
from pathlib import Path
from raysweep.analysis.own_matplotlib import MATPLOTLIB
from tests.analysis.test_own_matplotlib import HOSTILE, drawn
MATPLOTLIB.rcParams.update(HOSTILE)
drawn(sys.argv[1], Path(sys.argv[2]))
assert MATPLOTLIB.rcParams["axes.titlepad"] == 50, "a notebook keeps its settings"
"""


def drawn(store: str, folder: Path) -> list[bytes]:
    """The bytes of a picture, as SVG and PNG."""
    (line,) = load_lines(Store.open(store), ["padding"])
    figure = figures()["gains"]
    folder.mkdir()
    return [save(render(figure, figure.data(line), "caption"), folder / "x"), (folder / "x.png").read_bytes()]


def test_a_hostile_set_up_changes_no_picture(store: Store, tmp_path: Path) -> None:
    made(store, "padding")
    plain = drawn(store.uri, tmp_path / "plain")
    for folder in (tmp_path, tmp_path / "home" / "stylelib"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "matplotlibrc").write_bytes(b"\xff\xfe")
        (folder / "x.mplstyle").write_bytes(b"\xff\xfe")
    environment = os.environ | {
        "MPLBACKEND": "module://nowhere.backend",
        "MPLCONFIGDIR": str(tmp_path / "home"),
        "PYTHONPATH": str(Path(raysweep.__file__).parents[1]),
    }
    command = [sys.executable, "-c", DRAW, store.uri, str(tmp_path / "out")]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    assert [(tmp_path / "out" / name).read_bytes() for name in ("x.svg", "x.png")] == plain
