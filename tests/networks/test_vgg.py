from __future__ import annotations

import pytest

from tests.networks.comparison import assert_the_same_function, native, size, size_of, theirs


@pytest.mark.parametrize(("name", "params"), [("vgg16", 138_357_544), ("vgg19", 143_667_240)])
def test_published_parameters(name: str, params: int) -> None:
    assert size(native(name))[0] == params


def test_published_macs() -> None:
    assert size(native("vgg19"))[1] / 1e9 == pytest.approx(19.6, abs=0.05)


@pytest.mark.parametrize("name", ["vgg11", "vgg13", "vgg16", "vgg19"])
def test_the_size_is_torchvisions(name: str) -> None:
    assert size(native(name)) == size_of(theirs(name), 224)


def test_with_torchvisions_weights_it_is_torchvisions_function() -> None:
    assert_the_same_function(native("vgg11"), theirs("vgg11", "cpu"))
