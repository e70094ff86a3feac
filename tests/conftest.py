from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe

if TYPE_CHECKING:
    from PIL import Image

    from raysweep.data.manifest import Manifest

# Shared machines stall: a slow example is no failure. Derandomised: the same examples on every run.
settings.register_profile("raysweep", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("raysweep")

ROOT = Path(__file__).resolve().parents[1]
REAL_IMAGES = ROOT.parent / "shared" / "data"
# Workers and other processes that tests start import from `tests`, which is not installed.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test names by a relative path is its own, and so are the costs that it remembers."""
    from raysweep import cost

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cost._found.clear()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """torch computes in one thread, as a trial does unless told otherwise."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def small_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated set of 10 classes, 300 + 100 images of 36 px, written once."""
    from raysweep.write.sources.generated import GeneratedSource
    from raysweep.write.write_sets import write_images

    folder = tmp_path_factory.mktemp("images") / "small"
    write_images(GeneratedSource(300, 100, side=36, seed=0), folder)
    return folder


@pytest.fixture(scope="session")
def other_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second generated set, of other pictures of the same kinds."""
    from raysweep.write.sources.generated import GeneratedSource
    from raysweep.write.write_sets import write_images

    folder = tmp_path_factory.mktemp("images") / "other"
    write_images(GeneratedSource(200, 100, side=36, seed=7), folder)
    return folder


SMALL = {
    "network.width": 0.0625,
    "training.batch_size": 32,
    "training.epochs": 3.0,
    "solver.lr": 0.02,
}


@pytest.fixture(scope="session")
def small_recipe(small_images: Path) -> Recipe:
    """The demo protocol at a sixteenth of the width on the small images."""
    from raysweep.data.fit import bind_data
    from raysweep.data.manifest import read_manifest

    return bind_data(patch(find_protocol("demo"), SMALL), read_manifest(small_images))


@pytest.fixture
def real_images() -> Path:
    """Folder of the real image sets that a developer's machine may have."""
    if not REAL_IMAGES.is_dir():
        pytest.skip("no real images on this machine")
    return REAL_IMAGES


@pytest.fixture
def class_folder(tmp_path: Path) -> Callable[[Mapping[str, bytes | Image.Image]], Path]:
    """Writes files given by path below a folder of the set; images as PNG."""
    from tests.images import encoded

    def write(files: Mapping[str, bytes | Image.Image]) -> Path:
        for name, content in files.items():
            path = tmp_path / "set" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else encoded(content))
        return tmp_path / "set"

    return write


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Manifest]]:
    """One generated set, 120 + 50 images of 40 px, stored both ways."""
    from raysweep.write.sources.generated import GeneratedSource
    from raysweep.write.write_sets import write_images

    source = GeneratedSource(120, 50, side=40, seed=3)
    folders = {encoding: tmp_path_factory.mktemp("stored") / encoding for encoding in ("raw", "jpg")}
    return {encoding: (path, write_images(source, path, encoding=encoding)) for encoding, path in folders.items()}


@pytest.fixture(scope="session")
def mixed_sizes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Manifest]]:
    """32 + 8 images of several sizes, of two classes, stored both ways."""
    from raysweep.write.sources import open_source
    from raysweep.write.write_sets import write_images
    from tests.images import SIZES, encoded, picture

    folder = tmp_path_factory.mktemp("mixed")
    for split, repeats in (("train", 4), ("val", 1)):
        for number, (height, width) in enumerate(SIZES * repeats):
            path = folder / "set" / split / f"class{number % 2}" / f"{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(picture(height, width, number)))
    source = open_source(str(folder / "set"))
    return {
        encoding: (folder / encoding, write_images(source, folder / encoding, encoding=encoding))
        for encoding in ("raw", "jpg")
    }
