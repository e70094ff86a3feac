from __future__ import annotations

from tests.networks.comparison import assert_the_same_function, native, size, size_of, theirs


def test_the_size_is_torchvisions() -> None:
    """27,161,264 parameters with the auxiliary head, which torchvision counts too."""
    assert size(native("inception_v3")) == size_of(theirs("inception_v3", init_weights=False), 299)


def test_with_torchvisions_weights_it_is_torchvisions_function() -> None:
    other = theirs("inception_v3", "cpu", aux_logits=False, init_weights=False)
    assert_the_same_function(native("inception_v3", aux_weight=0.0), other)
