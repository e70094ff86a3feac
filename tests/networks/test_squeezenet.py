from __future__ import annotations

import pytest

from tests.networks.comparison import assert_the_same_function, built, native, size, size_of, theirs


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_the_size_is_torchvisions(name: str) -> None:
    assert size(native(name)) == size_of(theirs(name), 224)


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_with_torchvisions_weights_it_is_torchvisions_function(name: str) -> None:
    assert_the_same_function(native(name), theirs(name, "cpu"))


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_a_head_with_a_pooling_of_its_own_fits(name: str) -> None:
    pools = [layer for layer, _ in built(native(name, head="fc")).named_children() if "pool" in layer]
    assert pools[-1] == "pool5"
    assert len(pools) == 4
