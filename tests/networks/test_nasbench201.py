"""The network of NAS-Bench-201, against one written from its description and against arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from raysweep.errors import RaysweepError
from raysweep.genotypes.nasbench201 import Cell201
from raysweep.nas import NASBench201
from tests.nas.cell_arithmetic import nasbench201_cost
from tests.nas.test_costs import nasbench201_network
from tests.networks.comparison import assert_the_same_function, built, native, size

MIXED = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"


def test_it_is_the_function_of_the_benchmarks_network() -> None:
    recipe = native("nasbench201", genotype=MIXED)
    assert_the_same_function(recipe, nasbench201_network(Cell201.parse(MIXED), 10))


def test_its_size_is_what_arithmetic_says() -> None:
    cell = NASBench201().sample(np.random.default_rng(1))
    cost = nasbench201_cost(cell.operations)
    assert size(native("nasbench201", genotype=str(cell))) == (cost.params, cost.macs)


def test_an_invalid_cell_is_refused() -> None:
    with pytest.raises(RaysweepError, match=r"nasbench201.*network\.genotype"):
        built(native("nasbench201", genotype=""))
    with pytest.raises(RaysweepError, match="'nor_conv_5x5'"):
        built(native("nasbench201", genotype=MIXED.replace("nor_conv_3x3", "nor_conv_5x5")))
