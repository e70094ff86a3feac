from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _in_one_thread(one_thread: None) -> None:
    """Tiny networks train faster in one thread, above all on a busy machine."""
