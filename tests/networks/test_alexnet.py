from __future__ import annotations

import pytest

from tests.networks.comparison import native, size


def test_the_original_has_as_many_parameters_as_published() -> None:
    assert size(native("alexnet"))[0] == 60_965_224


@pytest.mark.parametrize("side", [128, 224, 227])
def test_any_side(side: int) -> None:
    assert size(native("alexnet"))[0] >= size(native("alexnet", width=0.5))[0]
