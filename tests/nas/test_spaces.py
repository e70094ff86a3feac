"""Every space: what it samples it has, codes come back, changes are small, mutations have the stated probabilities."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from raysweep.errors import RaysweepError
from raysweep.genotypes.cells import GENOTYPES, OPERATIONS, Cell
from raysweep.genotypes.nasbench201 import EDGES, Cell201
from raysweep.genotypes.nasbench201 import OPERATIONS as OPERATIONS_201
from raysweep.nas import EnasMacro, Limited, Limits, NASBench201, cell_space, design_choices
from tests.nas.bits_space import BitString
from tests.nas.cell_arithmetic import CellNetwork, MacroForm, NetworkCost, nasbench201_cost


def cost201(cell: Cell201) -> NetworkCost:
    return nasbench201_cost(cell.operations)


SMALL = Limited(NASBench201(), Limits(max_params=400_000, max_macs=60_000_000), cost201)
SPACES: list[Any] = [
    BitString(12),
    NASBench201(),
    SMALL,
    EnasMacro(6),
    Limited(EnasMacro(6), Limits(max_params=400_000), MacroForm().cost),
    *(cell_space(name) for name in OPERATIONS),
    Limited(cell_space("amoebanet"), Limits(max_params=3_000_000), CellNetwork().cost),
    design_choices("joint"),
]
FIXED = [space for space in SPACES if space.name != "joint"]


def distance(one: Any, other: Any) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_samples_come_back_from_their_codes(space: Any) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        architecture = space.sample(rng)
        code = space.encode(architecture)
        assert all(0 <= at < len(of.options) for at, of in zip(code, space.decisions, strict=True))
        assert space.encode(space.decode(code)) == code
        assert hash(architecture) == hash(replace_equal(architecture))
        assert str(architecture)


def replace_equal(architecture: Any) -> Any:
    return architecture if isinstance(architecture, str) else replace(architecture)


@pytest.mark.parametrize("space", FIXED, ids=lambda space: space.name)
def test_a_code_decides_the_architecture_and_changes_are_of_one_decision(space: Any) -> None:
    rng = np.random.default_rng(1)
    for _ in range(2):
        architecture = space.sample(rng)
        code = space.encode(architecture)
        assert space.decode(code) == architecture
        near = space.neighbours(architecture)
        assert all(distance(code, space.encode(other)) == 1 for other in near)
        assert len(set(near)) == len(near) <= sum(len(of.options) - 1 for of in space.decisions)
        assert distance(code, space.encode(space.mutate(architecture, rng))) <= 1


def test_whatever_a_limited_space_returns_is_within_the_limits() -> None:
    rng, free = np.random.default_rng(2), NASBench201()
    assert not all(SMALL.allows(free.sample(rng)) for _ in range(50))
    cell = SMALL.sample(rng)
    for _ in range(50):
        assert all(SMALL.allows(other) for other in [cell, *SMALL.neighbours(cell)])
        cell = SMALL.mutate(cell, rng)
    with pytest.raises(RaysweepError, match="max_params=400000"):
        SMALL.decode([3] * 6)
    with pytest.raises(RaysweepError, match="max_macs.*0"):
        Limits(max_macs=0)
    assert SMALL.name != free.name


@pytest.mark.parametrize("code", [[0] * 5, [0] * 5 + [5], [-1] + [0] * 5])
def test_invalid_codes_are_errors(code: list[int]) -> None:
    with pytest.raises(RaysweepError, match="6 numbers below 5, 5"):
        NASBench201().decode(code)


def mutants(space: Any, architecture: Any, draws: int = 4000) -> Counter[Any]:
    rng = np.random.default_rng(3)
    return Counter(space.mutate(architecture, rng) for _ in range(draws))


def check(found: Counter[Any], expected: dict[Any, float]) -> None:
    assert found.keys() == expected.keys()
    assert sum(expected.values()) == pytest.approx(1.0)
    counts = [found[one] for one in expected]
    result = stats.chisquare(counts, [share * sum(counts) for share in expected.values()])
    assert result.pvalue > 0.001


def test_a_mutation_flips_each_bit_equally_often() -> None:
    space = BitString(10)
    check(mutants(space, "0" * 10), {"0" * at + "1" + "0" * (9 - at): 0.1 for at in range(10)})


def test_a_mutation_of_a_nasbench201_cell_changes_each_edge_to_each_other_operation_as_often() -> None:
    space = NASBench201()
    cell = space.decode([0, 1, 2, 3, 4, 0])
    shares = 1 / (len(EDGES) * (len(OPERATIONS_201) - 1))
    check(mutants(space, cell), dict.fromkeys(space.neighbours(cell), shares))


def test_the_mutation_of_cells_is_that_of_amoebanet() -> None:
    """.05 nothing; else a cell, a node, a side; then half the time the input, half the time the operation."""
    space = replace(cell_space("enas"), nodes=2)
    parent = space.sample(np.random.default_rng(4))
    expected: dict[Any, float] = {parent: 0.05}
    code = space.encode(parent)
    for at, decision in enumerate(space.decisions):
        others = [option for option in range(len(decision.options)) if option != code[at]]
        for option in others:
            child = space.decode([*code[:at], option, *code[at + 1 :]])
            expected[child] = expected.get(child, 0.0) + 0.95 / (2 * 2 * 2 * 2) / len(others)
    check(mutants(space, parent, 8000), expected)


def test_samples_are_uniform_over_decisions() -> None:
    space, rng = replace(cell_space("enas"), nodes=1), np.random.default_rng(5)
    found = Counter(space.encode(space.sample(rng)) for _ in range(8000))
    for at, decision in enumerate(space.decisions):
        counts = Counter(code[at] for code in found.elements())
        assert stats.chisquare([counts[option] for option in range(len(decision.options))]).pvalue > 0.001


def test_darts_cells_take_two_different_states_and_concatenate_all() -> None:
    space, rng = cell_space("darts"), np.random.default_rng(6)
    for _ in range(30):
        genotype = space.mutate(space.sample(rng), rng)
        for cell in (genotype.normal, genotype.reduction):
            assert cell.concat == (2, 3, 4, 5)
            assert all(a[1] != b[1] for a, b in cell.nodes)


@pytest.mark.parametrize(
    ("name", "space"),
    [
        ("nasnet_a", "nasnet"),
        ("amoebanet_a", "amoebanet"),
        ("enas_micro", "enas"),
        ("darts_v1", "darts"),
        ("darts_v2", "darts"),
    ],
)
def test_published_cells_are_in_their_spaces(name: str, space: str) -> None:
    genotype, where = GENOTYPES[name], cell_space(space)
    found = where.decode(where.encode(genotype))
    assert (found.normal.nodes, found.reduction.nodes) == (genotype.normal.nodes, genotype.reduction.nodes)
    if name in ("enas_micro", "darts_v1", "darts_v2"):
        assert found == genotype


def test_a_cell_with_missing_states_is_an_error() -> None:
    with pytest.raises(RaysweepError, match="state 2"):
        Cell(((("conv", 0), ("conv", 2)),), (2,))
    with pytest.raises(RaysweepError, match="concat"):
        Cell(((("conv", 0), ("conv", 1)),), (3,))
    with pytest.raises(RaysweepError, match="nasnat.*nasnet"):
        cell_space("nasnat")
    with pytest.raises(RaysweepError, match="darts"):
        cell_space("darts").encode(GENOTYPES["nasnet_a"])


def test_designs_are_assignments_of_their_space() -> None:
    joint, rng = design_choices("joint"), np.random.default_rng(7)
    design = joint.sample(rng)
    for _ in range(40):
        assert joint.space.contains(design.assignment)
        child = joint.mutate(design, rng)
        shared = child.assignment.keys() & design.assignment.keys()
        assert sum(child.assignment[name] != design.assignment[name] for name in shared) <= 1
        design = child
    near = joint.neighbours(design)
    assert all(joint.space.contains(other.assignment) for other in near)
    assert len({joint.key(other) for other in near}) == len(near) > 100
    baseline = joint.decode([0] * len(joint.decisions))
    assert all(joint.space.contains(joint.decode(joint.encode(one)).assignment) for one in (design, baseline))


def test_a_mutation_of_a_design_changes_each_parameter_equally_often() -> None:
    joint, rng = design_choices("joint"), np.random.default_rng(8)
    names = [parameter.name for parameter in joint.space.parameters]
    design = joint.sample(rng)
    changed: Counter[str] = Counter()
    for _ in range(3000):
        child = joint.mutate(design, rng).assignment
        changed.update([next((name for name in names if child.get(name) != design.assignment.get(name)), "none")])
    del changed["none"]  # a draw of a range may be what it was, to its four digits
    counts = [changed[name] for name in design.assignment if changed[name]]
    assert len(counts) >= len(design.values) - 2
    assert stats.chisquare(counts).pvalue > 0.001


def test_limits_keep_the_order_of_what_the_space_draws() -> None:
    free = NASBench201()
    for number in range(30):
        rng = np.random.default_rng(number)
        drawn = (free.sample(rng) for _ in range(1000))
        assert SMALL.sample(np.random.default_rng(number)) == next(filter(SMALL.allows, drawn))


def test_limits_that_exclude_everything_are_an_error() -> None:
    def unbuildable(cell: Any) -> Any:
        raise RaysweepError("images too small")

    nothing = Limited(NASBench201(), Limits(max_macs=1), cost201)
    for space in (nothing, Limited(NASBench201(), Limits(max_macs=10**9), unbuildable)):
        with pytest.raises(RaysweepError, match="nasbench201 max_macs"):
            space.sample(np.random.default_rng(0))
