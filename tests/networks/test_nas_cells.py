"""Networks of searched cells, against counts of the released code (shared with `tests/nas/test_costs.py`) and Keras."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from raysweep.errors import InapplicableError, RaysweepError
from raysweep.genotypes.cells import AMOEBANET_A, DARTS_V2, NASNET_A, Cell, Genotype
from raysweep.nas.cells_space import cell_space
from raysweep.nn.blocks import DropPath
from raysweep.nn.inits import lsuv
from raysweep.nn.norms import CaffeBatchNorm
from raysweep.recipe import Recipe
from raysweep.train.update import loss_of
from tests.genotypes.published import GENOTYPES
from tests.nas.cell_arithmetic import CellNetwork
from tests.networks.comparison import built, native, size

STYLES = {"nasnet": "slim", "amoebanet": "slim", "pnas": "slim", "enas": "enas", "darts": "darts"}
SEARCHED = {"slim": "nasnet_cells", "enas": "enas_cells", "darts": "darts_cells"}


@pytest.mark.parametrize(
    ("name", "width", "params"),
    [
        pytest.param("nasnet_a_cifar", 1.0, 3_346_538, marks=pytest.mark.long),
        pytest.param("nasnet_a_mobile", 1.0, 5_289_978, marks=pytest.mark.long),
        pytest.param("amoebanet_a_cifar", 1.0, 3_218_266, marks=pytest.mark.long),
        pytest.param("amoebanet_a_cifar", 32 / 36, 2_567_754, marks=pytest.mark.long),
        # 5,086,898 was counted with 24 of the 25 channels that a factorised reduction of 32 makes.
        pytest.param("amoebanet_a_mobile", 1.0, 5_086_898 + 32, marks=pytest.mark.long),
        pytest.param("darts_v2_cifar", 1.0, 3_349_342, marks=pytest.mark.long),
        ("darts_v2_mobile", 1.0, 4_718_752),
        pytest.param("amoebanet_darts_cifar", 1.0, 3_145_078, marks=pytest.mark.long),
        pytest.param("amoebanet_darts_mobile", 1.0, 4_627_360, marks=pytest.mark.long),
        pytest.param("nasnet_darts_cifar", 1.0, 3_830_950, marks=pytest.mark.long),
        pytest.param("nasnet_darts_mobile", 1.0, 5_564_320, marks=pytest.mark.long),
        ("enas_micro_cifar", 1.0, 3_894_372),
    ],
)
def test_parameters_are_those_of_the_released_networks(name: str, width: float, params: int) -> None:
    network = built(native(name, aux_weight=0.0, width=width))
    assert sum(weight.numel() for weight in network.parameters()) == params


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "millions"), [("nasnet_a_cifar", 544.3), ("nasnet_a_mobile", 563.6), ("darts_v2_mobile", 529.9)]
)
def test_multiply_accumulates_are_those_of_the_released_networks(name: str, millions: float) -> None:
    assert size(native(name))[1] / 1e6 == pytest.approx(millions, abs=0.05)


def test_nasnet_mobile_with_statistics_has_the_number_of_parameters_that_keras_gives() -> None:
    network = built(native("nasnet_a_mobile", aux_weight=0.0))
    channels = sum(len(norm.running_mean) for norm in network.modules() if isinstance(norm, CaffeBatchNorm))
    assert sum(weight.numel() for weight in network.parameters()) + 2 * channels == 5_326_716


def test_the_auxiliary_head_of_enas_is_of_the_released_size() -> None:
    head = dict(built(native("enas_micro_cifar", cell_repeats=1)).named_children())["aux"]
    assert sum(weight.numel() for weight in head.parameters()) == 494_848


@pytest.mark.parametrize(("name", "after"), [("nasnet_a_cifar", "cell3_normal"), ("darts_v2_cifar", "cell4_reduction")])
def test_auxiliary_heads_are_where_the_released_code_has_them(name: str, after: str) -> None:
    """NASNet: before the second reduction. DARTS: right after it."""
    names = [child for child, _ in built(native(name, cell_repeats=1)).named_children()]
    assert names[names.index("aux") - 1] == after


def genotypes(name: str, count: int) -> list[Genotype]:
    """Random genotypes, some with an input among the outputs."""
    space, rng = cell_space(name), np.random.default_rng(3)
    found = [space.sample(rng) for _ in range(count)]
    ends = found[0]
    found[0] = Genotype(replace(ends.normal, concat=(0, 1, 3)), replace(ends.reduction, concat=(0, 2)))
    return found


def assert_costs_agree(name: str, genotype: Genotype) -> None:
    style = STYLES[name]
    recipe = native(SEARCHED[style], genotype=str(genotype), cell_repeats=1, width=0.5)
    width = {"slim": 16, "darts": 8, "enas": 18}[style]
    expected = CellNetwork(style, width, 3 if style == "slim" else 5).cost(genotype)  # type: ignore[arg-type]
    assert size(recipe) == (expected.params, expected.macs)


@pytest.mark.parametrize("name", ["amoebanet", "enas", "darts"])
def test_a_built_network_costs_what_arithmetic_says(name: str) -> None:
    assert_costs_agree(name, genotypes(name, 1)[0])


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", STYLES)
def test_many_built_networks_cost_what_arithmetic_says(name: str) -> None:
    for genotype in genotypes(name, 20):
        assert_costs_agree(name, genotype)


@pytest.mark.parametrize("name", ["nasnet_a_mobile", "darts_v2_mobile"])
def test_small_networks_learn_from_a_batch(name: str) -> None:
    torch.manual_seed(0)
    recipe = native(name, width=0.125, cell_repeats=1, outputs=4)
    recipe = replace(recipe, data=replace(recipe.data, side=64))
    network, images = built(recipe, "cpu"), torch.randn(4, 3, 64, 64)
    lsuv(network, images, torch.Generator().manual_seed(0))
    loss_of(network.train()(images), torch.arange(4), 0.4).backward()  # type: ignore[no-untyped-call]
    assert not [key for key, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert network.eval()(images).shape == (4, 4)


def shares(recipe: Recipe) -> list[float]:
    """The drop-path shares of each cell's paths."""
    found = [
        {layer.share for layer in cell.modules() if isinstance(layer, DropPath)}
        for name, cell in built(recipe).named_children()
        if name.startswith("cell")
    ]
    assert all(len(each) == 1 for each in found)
    return [each.pop() for each in found]


def test_drop_path_rises_with_depth_in_nasnet_and_not_in_darts() -> None:
    """nasnet_utils.py: 1 - keep = (cell + 1) / cells x (1 - 0.6), the two cells of the stem among them."""
    assert shares(native("nasnet_a_cifar")) == pytest.approx([0.4 * number / 20 for number in range(1, 21)])
    small = native("nasnet_a_mobile", cell_repeats=1, drop_path=0.3)
    assert shares(small) == pytest.approx([0.3 * number / 7 for number in range(1, 8)])
    assert set(shares(native("darts_v2_cifar", cell_repeats=1))) == {0.2}
    assert set(shares(native("amoebanet_a_cifar", cell_repeats=1, drop_path=0.3))) == {0.3}


def test_paths_of_identities_are_never_dropped() -> None:
    """Except the strided ones of DARTS, which are factorised reductions."""
    for name, genotype, counts in (
        ("nasnet_cells", NASNET_A, (8, 9)),
        ("darts_cells", DARTS_V2, (6, 5)),
    ):
        network = built(native(name, genotype=str(genotype), cell_repeats=1, drop_path=0.5))
        dropped = {
            key: sum(isinstance(layer, DropPath) for layer in cell.modules()) for key, cell in network.named_children()
        }
        assert (dropped["cell1_normal"], dropped["cell2_reduction"]) == counts, name
    striding = str(DARTS_V2).replace("max_pool_3x3 0, identity 2", "identity 0, identity 2")
    network = built(native("darts_cells", genotype=striding, cell_repeats=1, drop_path=0.5))
    assert sum(isinstance(layer, DropPath) for layer in network.get_submodule("cell2_reduction").modules()) == 5


@pytest.mark.parametrize("genotype", GENOTYPES.values(), ids=GENOTYPES.keys())
def test_a_genotype_is_read_back(genotype: Genotype) -> None:
    assert Genotype.parse(str(genotype)) == genotype


@pytest.mark.parametrize("name", STYLES)
def test_random_genotypes_are_read_back(name: str) -> None:
    for genotype in genotypes(name, 50):
        assert Genotype.parse(str(genotype)) == genotype


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("sep_conv_5x5 0", "sep_conv_5y5 0", "normal.* 2.*'sep_conv_5y5'.*sep_conv_5x5"),
        ("sep_conv_5x5 0", "sep_conv_5x5 7", "normal.* 3 .* 0 .*2"),
        ("sep_conv_5x5 0, ", "", "normal.* 2.*'sep_conv_3x3 0'"),
        ("-> 3,4,5,6", "-> 3,4,5,9", "reduction.*concat"),
        ("-> 3,4,5,6", "", "reduction.*->"),
        (" | reduction", "", "normal: CELL | reduction: CELL"),
    ],
)
def test_an_invalid_genotype_is_refused_with_the_place_of_the_error(before: str, after: str, message: str) -> None:
    text = str(NASNET_A)
    assert before in text
    with pytest.raises(RaysweepError, match=message.replace("|", r"\|")):
        Genotype.parse(text.replace(before, after, 1))


def test_factors_that_do_not_apply_are_refused() -> None:
    for name in ("nasnet_cells", "enas_macro", "nasbench201"):
        with pytest.raises(RaysweepError, match=rf"{name}.*network\.genotype"):
            built(native(name, genotype=""))
    with pytest.raises(InapplicableError, match=r"resnet20_cifar.*network\.genotype"):
        built(native("resnet20_cifar", genotype=str(NASNET_A)))
    with pytest.raises(InapplicableError, match=r"nasnet_a_cifar.*network\.genotype"):
        built(native("nasnet_a_cifar", genotype=str(AMOEBANET_A)))
    with pytest.raises(InapplicableError, match=r"caffenet.*network\.drop_path"):
        built(native("caffenet", drop_path=0.1))
    plain = Cell(((("conv_3x3", 0), ("identity", 1)),), (2,))
    with pytest.raises(RaysweepError, match="'conv_3x3'.*darts"):
        built(native("darts_cells", genotype=str(Genotype(plain, plain))))


@pytest.mark.long
@pytest.mark.parametrize("name", ["darts_cells", "enas_cells"])
def test_factors_hold_in_every_style(name: str) -> None:
    """The factors of `tests/conformance`, which tries one member of each family, in the styles that differ."""
    for factors in ({"norm": "none"}, {"norm_position": "after", "norm": "batch"}, {"activation": "prelu"}):
        recipe = native(name, width=0.25, cell_repeats=1, **factors)
        with torch.device("meta"):
            assert built(recipe).eval()(torch.empty(2, 3, 32, 32)).shape == (2, 10)
