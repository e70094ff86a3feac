from __future__ import annotations

from tests.networks.comparison import assert_the_same_function, native, size, size_of, theirs


def test_the_size_is_torchvisions() -> None:
    assert size(native("densenet121")) == size_of(theirs("densenet121"), 224)


def test_with_torchvisions_weights_it_is_torchvisions_function() -> None:
    assert_the_same_function(native("densenet121"), theirs("densenet121", "cpu"))


def test_densenet40_has_the_published_million() -> None:
    """1.0 M in table 2 of the paper; here counted layer by layer."""
    convs, channels = 3 * 3 * 3 * 16, 16
    norms = 0
    for block in range(3):
        for _ in range(12):
            norms, convs, channels = norms + channels, convs + channels * 9 * 12, channels + 12
        if block < 2:
            norms, convs = norms + channels, convs + channels**2
    params = convs + 2 * (norms + channels) + channels * 10 + 10
    assert size(native("densenet40"))[0] == params
    assert round(params / 1e6, 1) == 1.0
