from __future__ import annotations

import pytest
import torch
from torch import nn

from raysweep.cost import compute_cost
from raysweep.errors import InapplicableError, RaysweepError
from raysweep.networks import build_network, networks
from raysweep.networks.caffenet import CONV_STAGES, conv_stages, layer_widths
from raysweep.nn.blocks import ConcatImage, PairSkips
from raysweep.nn.inits import weighted_layers
from raysweep.nn.norms import CaffeBatchNorm
from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.study import find_study


def meta(recipe: Recipe) -> nn.Module:
    with torch.device("meta"):
        return build_network(recipe.network, recipe.data.shape)


def test_every_layer_is_that_of_the_published_file() -> None:
    convs = [layer for layer in weighted_layers(meta(Recipe())) if isinstance(layer, nn.Conv2d)]
    found = [(c.out_channels, c.kernel_size[0], c.stride[0], c.padding[0], c.groups) for c in convs]  # type: ignore[index]
    assert found == [(96, 11, 4, 0, 1), (256, 5, 1, 2, 2), (384, 3, 1, 1, 1), (384, 3, 1, 1, 2), (256, 3, 1, 1, 2)]
    fcs = [layer for layer in weighted_layers(meta(Recipe())) if isinstance(layer, nn.Linear)]
    assert [(fc.in_features, fc.out_features) for fc in fcs] == [(256 * 3 * 3, 2048), (2048, 2048), (2048, 1000)]


def test_order_of_the_layers() -> None:
    names = [name for name, _ in meta(patch(Recipe(), {"network.lrn": True})).named_children()]
    convs = ["conv1", "pool1", "norm1", "conv2", "pool2", "norm2", "conv3", "conv4", "conv5", "pool5"]
    assert names == [*convs, "flatten", "fc6", "drop6", "fc7", "drop7", "fc8"]


def test_without_pooling_three_convolutions_have_stride_2() -> None:
    stages = conv_stages(patch(Recipe(), {"network.pooling": "strided_conv"}).network)
    assert [stage.stride for stage in stages] == [4, 2, 2, 1, 2]
    assert not [name for name, _ in changed(pooling="strided_conv").named_children() if name.startswith("pool")]
    described = conv_stages(patch(Recipe(), {"network.pooling": "strided_conv_234"}).network)
    assert [stage.stride for stage in described] == [4, 2, 2, 2, 1]


@pytest.mark.parametrize(
    ("multiplier", "expected"),
    [
        (0.25, (24, 64, 96, 96, 64, 512, 512)),
        (2**0.5, (136, 362, 544, 544, 362, 2896, 2896)),
        (8**0.5, (272, 724, 1086, 1086, 724, 5792, 5792)),
        (4, (384, 1024, 1536, 1536, 1024, 8192, 8192)),
    ],
)
def test_width_multipliers_give_the_published_widths(multiplier: float, expected: tuple[int, ...]) -> None:
    assert layer_widths(patch(Recipe(), {"network.width": multiplier}).network) == expected


def test_maps_after_the_cifar_stem_are_those_of_128_px() -> None:
    """The paper's 32 px first layer leaves the rest of the network unchanged."""
    large, small = meta(find_protocol("imagenet128")), meta(find_protocol("cifar10"))
    shapes = [[tuple(layer.weight.shape) for layer in weighted_layers(net)][1:7] for net in (large, small)]
    assert shapes[0] == shapes[1]


def counted(widths: tuple[int, ...], groups: tuple[int, ...] = (1, 2, 1, 2, 2), outputs: int = 1000) -> tuple[int, int]:
    """Parameters and multiply-accumulates of CaffeNet at 128 px, computed by hand."""
    convs = zip((3, *widths[:4]), widths[:5], (11, 5, 3, 3, 3), groups, (30, 15, 7, 7, 7), strict=True)
    weights = [(inputs // g * k * k * out, out, size * size) for inputs, out, k, g, size in convs]
    fcs = zip((widths[4] * 9, *widths[5:]), (*widths[5:], outputs), strict=True)
    weights += [(inputs * out, out, 1) for inputs, out in fcs]
    return sum(w + b for w, b, _ in weights), sum(w * places for w, _, places in weights)


@pytest.mark.parametrize(
    ("study", "variant", "widths", "groups"),
    [
        ("width", "x0_25", (24, 64, 96, 96, 64, 512, 512), (1, 2, 1, 2, 2)),
        ("width", "x0_354", (34, 90, 136, 136, 90, 724, 724), (1, 2, 1, 2, 2)),
        ("width", "x0_354_nogroup", (34, 90, 136, 136, 90, 724, 724), (1,) * 5),
        ("width", "x0_5", (48, 128, 192, 192, 128, 2048, 2048), (1, 2, 1, 2, 2)),
        ("width", "x0_5_clean", (48, 128, 192, 192, 128, 1024, 1024), (1, 2, 1, 2, 2)),
        ("width", "x0_707", (67, 181, 271, 271, 181, 2048, 2048), (1,) * 5),
        ("width", "x1_414", (136, 362, 544, 544, 362, 2896, 2896), (1, 2, 1, 2, 2)),
        ("width", "x2_828", (272, 724, 1086, 1086, 724, 5792, 5792), (1, 2, 1, 2, 2)),
        ("width", "x4", (384, 1024, 1536, 1536, 1024, 8192, 8192), (1, 2, 1, 2, 2)),
        ("width", "x5_657", (544, 1448, 2176, 2176, 1448, 11584, 11584), (1, 2, 1, 2, 2)),
        ("classifier", "pool5_fc4096_fc4096_clf", (96, 256, 384, 384, 256, 4096, 4096), (1, 2, 1, 2, 2)),
        ("dropout_width", "fc1433_drop00", (96, 256, 384, 384, 256, 1433, 1433), (1, 2, 1, 2, 2)),
        ("architecture", "caffenet128_nogroup", (96, 256, 384, 384, 256, 2048, 2048), (1,) * 5),
    ],
)
def test_params_and_macs_are_those_of_the_published_widths(
    study: str, variant: str, widths: tuple[int, ...], groups: tuple[int, ...]
) -> None:
    found = compute_cost(find_study(study).variant(variant).apply(Recipe()))
    assert (found.params, found.macs) == counted(widths, groups)


def changed(**fields: object) -> nn.Module:
    return meta(patch(Recipe(), {f"network.{name}": value for name, value in fields.items()}))


def shapes(net: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(layer.weight.shape) for layer in weighted_layers(net)]


def test_without_padding_the_stride_of_conv1_is_halved() -> None:
    net = changed(conv_pad=False)
    assert net.conv1.layers[0].stride == (2, 2)
    assert {conv.padding for conv in net.modules() if isinstance(conv, nn.Conv2d)} == {(0, 0)}
    assert net.fc6.layers[0].in_features == 256 * 3 * 3


def test_without_padding_pool1_has_stride_1_if_that_of_conv1_cannot_be_halved() -> None:
    net = meta(patch(find_protocol("cifar10"), {"network.conv_pad": False}))
    assert (net.conv1.layers[0].stride, net.pool1.stride) == ((1, 1), 1)
    assert net.fc6.layers[0].in_features == 256 * 3 * 3


def test_further_layers_are_between_conv1_and_pool1() -> None:
    net = changed(stem_layers=3, stem_layers_kernel=3)
    names = [name for name, _ in net.named_children()]
    assert names[:5] == ["conv1", "conv1_1", "conv1_2", "conv1_3", "pool1"]
    assert shapes(net)[1:4] == [(96, 96, 3, 3)] * 3


def test_pairs_of_further_layers_have_skips_and_an_unpaired_one_has_none() -> None:
    layers: list[nn.Module] = [nn.Conv2d(2, 2, 1) for _ in range(5)]
    a, b, c, d, e = layers
    x = torch.randn(1, 2, 3, 3)
    first = x + b(a(x))
    torch.testing.assert_close(PairSkips(layers)(x), e(first + d(c(first))))
    assert shapes(changed(stem_layers=9, stem_residual=True)) == shapes(changed(stem_layers=9))


def test_split_kernels_keep_the_width_and_have_no_groups() -> None:
    split = shapes(changed(conv_form="1x3_3x1"))
    assert split[1:5] == [(256, 96, 1, 3), (256, 256, 3, 1), (256, 256, 1, 3), (256, 256, 3, 1)]
    assert split[5:9] == [(384, 256, 1, 3), (384, 384, 3, 1), (384, 384, 1, 3), (384, 384, 3, 1)]


def test_a_kernel_that_stays_keeps_its_groups() -> None:
    assert shapes(changed(conv_form="3x3_1x1"))[7:11] == [
        *[(384, 192, 3, 3), (384, 384, 1, 1), (256, 192, 3, 3), (256, 256, 1, 1)]
    ]


def test_the_shield_goes_back_to_the_width_before_the_layer() -> None:
    assert shapes(changed(conv_form="1x5_1x1_5x1"))[1:4] == [(256, 96, 1, 5), (96, 256, 1, 1), (256, 96, 5, 1)]


def test_only_the_last_part_of_a_split_layer_is_normalised_if_layers_are_chosen() -> None:
    net = changed(norm="batch", conv_form="1x3_3x1", norm_layers=(2,))
    assert [name for name, layer in net.named_modules() if isinstance(layer, CaffeBatchNorm)] == ["conv2d.after"]


def test_a_normalisation_comes_after_the_pooling_that_precedes_it() -> None:
    net = changed(norm="batch", norm_after_pools=(1, 3), conv_dropout=(0.1, 0.0, 0.0, 0.0, 0.0))
    names = [name for name, layer in net.named_modules() if isinstance(layer, CaffeBatchNorm)]
    moved = ["pool1_norm", "conv2.after", "conv3.after", "conv4.after", "pool5_norm", "fc6.after", "fc7.after"]
    assert names == moved
    order = [name for name, _ in net.named_children()]
    assert order[: order.index("conv2")] == ["conv1", "conv_drop1", "pool1", "pool1_norm"]


def test_a_pooling_after_something_else_than_a_layer_has_no_normalisation_to_wait_for() -> None:
    with pytest.raises(InapplicableError, match=r"norm_after_pools.*pool1.*caffenet"):
        changed(norm="batch", norm_after_pools=(1,), stem_layers=2, stem_residual=True)


def test_the_first_pooling_can_be_of_another_kind() -> None:
    net = changed(pooling="gated", first_pooling="tree")
    assert [sum(weight.numel() for weight in getattr(net, f"pool{n}").parameters()) for n in (1, 2, 5)] == [27, 9, 9]
    with pytest.raises(RaysweepError, match="tre.*tree"):
        changed(first_pooling="tre")


def test_only_the_classifier_keeps_its_bias() -> None:
    biased = [layer.bias is not None for layer in weighted_layers(changed(conv_bias=False, fc_bias=False))]
    assert biased == [False] * 7 + [True]


def test_the_image_is_concatenated_after_every_pooling() -> None:
    net = changed(concat_rgb=True)
    assert [weight[1] for weight in shapes(net)[1:3]] == [99, 259]
    assert net.fc6.layers[0].in_features == 259 * 9


def test_a_concatenated_image_is_the_mean_of_its_part() -> None:
    image = torch.randn(2, 3, 8, 8)
    out = ConcatImage()(torch.zeros(2, 1, 4, 4), image)
    torch.testing.assert_close(out[:, 1:], nn.functional.avg_pool2d(image, 2))


def test_normalisation_is_where_the_recipe_places_it() -> None:
    def order(position: str) -> list[str]:
        net = build_network(
            patch(Recipe(), {"network.norm": "batch", "network.norm_position": position}).network, shape
        )
        calls: list[str] = []
        for layer in (net.conv3.layers[0], net.conv3.activation, *net.conv3.before, net.conv3.after):  # type: ignore[misc, union-attr]
            if layer is not None:
                layer.register_forward_hook(lambda layer, *_: calls.append(type(layer).__name__))
        net(torch.randn(2, *shape))
        return calls

    shape = (3, 128, 128)
    assert order("before") == ["Conv2d", "CaffeBatchNorm", "Pointwise"]
    assert order("after") == ["Conv2d", "Pointwise", "CaffeBatchNorm"]


def test_all_layers_but_the_classifier_or_only_the_given_ones_are_normalised() -> None:
    def count(**fields: object) -> int:
        return sum(isinstance(layer, CaffeBatchNorm) for layer in changed(norm="batch", **fields).modules())

    assert count() == 7
    assert count(norm_layers=(1, 2, 5, 6)) == 4
    assert count(activation="maxout", norm_position="before") == 14


def test_the_published_maxout_net_reads_two_maps_unnormalised() -> None:
    fields = {"network.norm": "batch", "network.activation": "maxout", "network.norm_bypass": (4, 5)}
    recipe = patch(Recipe(), {**fields, "network.width": 0.0625})
    net = build_network(recipe.network, (3, 128, 128)).train()
    seen: dict[str, list[torch.Tensor]] = {}
    for number in (3, 4, 5):
        unit = getattr(net, f"conv{number}")
        for piece in unit.layers:
            piece.register_forward_hook(
                lambda _, inputs, out, n=number: seen.setdefault(f"in{n}", []).append(inputs[0])
            )
    net(torch.randn(4, 3, 128, 128))
    for number in (4, 5):
        normalised, raw = seen[f"in{number}"]
        torch.testing.assert_close(normalised, nn.functional.batch_norm(raw, None, None, training=True))
    first, second = seen["in3"]
    assert torch.equal(first, second)


def test_widths_that_groups_do_not_divide_are_refused() -> None:
    with pytest.raises(RaysweepError, match=r"network\.widths.* 67 .*network\.groups=false"):
        changed(widths=(67, 181, 271, 271, 181, 2048, 2048))


def test_dropout_after_convolutions_comes_before_their_pooling() -> None:
    net = changed(conv_dropout=(0.0, 0.1, 0.0, 0.2, 0.0))
    names = [name for name, _ in net.named_children()]
    assert names[names.index("conv2") : names.index("conv3")] == ["conv2", "conv_drop2", "pool2"]
    assert (net.conv_drop2.p, net.conv_drop4.p) == (0.1, 0.2)
    with pytest.raises(RaysweepError, match=rf"network\.conv_dropout.* 1 .*caffenet.*{len(CONV_STAGES)}"):
        changed(conv_dropout=(0.1,))


def test_errors_name_the_value() -> None:
    with pytest.raises(RaysweepError, match=r"conv1.* 8 px.*network\.stem_kernel"):
        meta(patch(Recipe(), {"data.side": 8}))
    with pytest.raises(RaysweepError, match=r"network\.widths.* 2 .*caffenet.* 7"):
        meta(patch(Recipe(), {"network.widths": (1, 2)}))
    with pytest.raises(RaysweepError, match="pooling 'avg'"):
        meta(patch(Recipe(), {"network.pooling": "avg"}))
    with pytest.raises(RaysweepError, match="activation 'rleu'.*relu"):
        meta(patch(Recipe(), {"network.activation": "rleu"}))
    with pytest.raises(RaysweepError, match="network 'cafenet'.*caffenet"):
        meta(patch(Recipe(), {"network.name": "cafenet"}))


def test_networks_are_listed_with_a_sentence() -> None:
    assert all(entry.summary and entry.paper for entry in networks())
