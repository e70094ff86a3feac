from __future__ import annotations

from tests.networks.comparison import native, size


def test_the_original_has_the_published_number_of_parameters() -> None:
    assert size(native("alexnet"))[0] == 60_965_224


def test_local_response_normalisation_has_no_parameters() -> None:
    assert size(native("alexnet", lrn=False)) == size(native("alexnet"))


def test_without_groups_three_convolutions_see_all_channels() -> None:
    more = 25 * 48 * 256 + 9 * 192 * 384 + 9 * 192 * 256
    assert size(native("alexnet", groups=False))[0] - size(native("alexnet"))[0] == more
