from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe

# Shared machines stall: a slow example is no failure. Derandomised: the same examples on every run.
settings.register_profile("raysweep", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("raysweep")

REAL_IMAGES = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test names by a relative path is its own, and so are the costs that it remembers."""
    from raysweep import cost

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cost._remembered.cache_clear()


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
    from raysweep.data.generated import GeneratedSource
    from raysweep.data.write import write_images

    folder = tmp_path_factory.mktemp("images") / "small"
    write_images(GeneratedSource(300, 100, side=36, seed=0), folder)
    return folder


@pytest.fixture(scope="session")
def other_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second generated set, of other pictures of the same kinds."""
    from raysweep.data.generated import GeneratedSource
    from raysweep.data.write import write_images

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
    from raysweep.data.check import bind_data
    from raysweep.data.manifest import read_manifest

    return bind_data(patch(find_protocol("demo"), SMALL), read_manifest(small_images))


@pytest.fixture
def real_images() -> Path:
    """Folder of the real image sets that a developer's machine may have."""
    if not REAL_IMAGES.is_dir():
        pytest.skip("no real images on this machine")
    return REAL_IMAGES
