from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# Shared machines stall: a slow example is no failure. Derandomised: the same examples on every run.
settings.register_profile("raysweep", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("raysweep")

REAL_IMAGES = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remembered costs of other tests and of the developer do not reach a test."""
    from raysweep import cost

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cost._memory.cache_clear()
    cost._remembered.cache_clear()


@pytest.fixture
def real_images() -> Path:
    """Folder of the real image sets that a developer's machine may have."""
    if not REAL_IMAGES.is_dir():
        pytest.skip("no real images on this machine")
    return REAL_IMAGES
