"""Keys of cells against graph isomorphism as networkx decides it."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np

from raysweep.genotypes.canonical import canonical
from raysweep.genotypes.cells import INPUTS, NASNET_A, Cell
from raysweep.genotypes.nasbench201 import EDGES
from raysweep.nas.nasbench201_space import NASBench201

LABELS = ("conv", "pool")


def random_cell(rng: np.random.Generator, nodes: int) -> Cell:
    """Few operations, so that many cells are equal."""

    def step(state: int) -> tuple[str, int]:
        return LABELS[int(rng.integers(2))], int(rng.integers(state))

    made = [(step(state), step(state)) for state in range(INPUTS, INPUTS + nodes)]
    concat = [state for state in range(INPUTS, INPUTS + nodes) if rng.random() < 0.4]
    return Cell(tuple(made), tuple(concat or [INPUTS + nodes - 1]))


def graph(cell: Cell) -> Any:
    """What the cell computes: its live nodes, inputs apart, a vertex for every step, which may be there twice."""
    whole = nx.DiGraph()
    whole.add_node("out", kind="out")
    for state in range(INPUTS):
        whole.add_node(state, kind=f"input {state}")
    for state, steps in enumerate(cell.nodes, INPUTS):
        whole.add_node(state, kind="node")
        for side, (label, source) in enumerate(steps):
            whole.add_node((state, side), kind=label)
            whole.add_edges_from([(source, (state, side)), ((state, side), state)])
    whole.add_edges_from((state, "out") for state in cell.concat)
    live = nx.ancestors(whole, "out") | {"out"}
    return whole.subgraph(live)


def same(one: Cell, other: Cell) -> bool:
    match = nx.algorithms.isomorphism.categorical_node_match("kind", None)
    return bool(nx.is_isomorphic(graph(one), graph(other), node_match=match))


def key(cell: Cell) -> str:
    return canonical(dict(enumerate(cell.nodes, INPUTS)), [("", state) for state in cell.concat])


def test_keys_agree_where_graphs_are_isomorphic_and_nowhere_else() -> None:
    rng = np.random.default_rng(0)
    cells = [random_cell(rng, 2) for _ in range(45)]
    pairs = [(one, other) for at, one in enumerate(cells) for other in cells[:at]]
    equal = [same(one, other) for one, other in pairs]
    assert 10 < sum(equal) < len(equal) / 4
    assert [key(one) == key(other) for one, other in pairs] == equal


def relabelled(cell: Cell, rng: np.random.Generator) -> Cell:
    """Another way to write the same: nodes in another possible order, sides swapped."""
    left, names = set(range(INPUTS, INPUTS + len(cell.nodes))), {0: 0, 1: 1}
    nodes = []
    while left:
        ready = [at for at in sorted(left) if all(source in names for _, source in cell.nodes[at - INPUTS])]
        taken = ready[int(rng.integers(len(ready)))]
        steps = [(label, names[source]) for label, source in cell.nodes[taken - INPUTS]]
        nodes.append(tuple(reversed(steps)) if rng.random() < 0.5 else tuple(steps))
        names[taken] = len(names)
        left.remove(taken)
    return Cell(tuple(nodes), tuple(names[state] for state in reversed(cell.concat)))  # type: ignore[arg-type]


def test_relabelling_and_swapping_keep_the_key() -> None:
    rng = np.random.default_rng(1)
    for cell in [NASNET_A.normal, NASNET_A.reduction, *(random_cell(rng, 6) for _ in range(100))]:
        assert key(relabelled(cell, rng)) == key(cell)


def test_a_node_used_twice_is_not_two_nodes() -> None:
    twin = (("conv", 0), ("conv", 1))
    shared = Cell((twin, twin, (("pool", 2), ("pool", 2))), (4,))
    apart = Cell((twin, twin, (("pool", 2), ("pool", 3))), (4,))
    assert key(shared) != key(apart)


def parse(*operations: str) -> Any:
    return NASBench201().parse("|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*operations))


def cell201_graph(operations: tuple[str, ...]) -> Any:
    """The cell with skips contracted to edges; a vertex for every operation that is there, in and out apart."""
    whole = nx.MultiDiGraph()
    for node in range(4):
        whole.add_node(node, kind={0: "in", 3: "out"}.get(node, "sum"))
    for at, ((source, node), name) in enumerate(zip(EDGES, operations, strict=True)):
        if name != "none":
            whole.add_node(("edge", at), kind=name)
            whole.add_edges_from([(source, ("edge", at)), (("edge", at), node)])
    live = nx.descendants(whole, 0) & nx.ancestors(whole, 3) | {0, 3}
    return whole.subgraph(live)


def test_isomorphic_cells_of_nasbench201_share_a_key() -> None:
    """Skips may make more cells equal than this sees; what it sees must be."""
    rng, space = np.random.default_rng(2), NASBench201()
    cells = [space.sample(rng) for _ in range(300)]
    match = nx.algorithms.isomorphism.categorical_node_match("kind", None)
    graphs = [cell201_graph(cell.operations) for cell in cells]
    kinds = [sorted(kind for _, kind in graph.nodes(data="kind")) for graph in graphs]
    pairs = [(at, other) for at in range(len(cells)) for other in range(at) if kinds[at] == kinds[other]]
    equal = [pair for pair in pairs if nx.is_isomorphic(*(graphs[at] for at in pair), node_match=match)]
    assert 10 < len(equal) < len(pairs)
    assert all(space.key(cells[one]) == space.key(cells[other]) for one, other in equal)


def test_cells_of_nasbench201_that_compute_the_same_share_a_key() -> None:
    space, conv, pool, skip, none = NASBench201(), "nor_conv_3x3", "avg_pool_3x3", "skip_connect", "none"
    base = parse(conv, none, none, none, pool, none)
    by_the_other_node = parse(none, conv, none, none, none, pool)
    past_a_skip = parse(skip, none, conv, none, none, pool)
    dead = parse(conv, conv, conv, none, pool, none)
    from_nothing = parse(conv, none, none, none, pool, conv)
    assert len({space.key(cell) for cell in (base, by_the_other_node, past_a_skip, dead, from_nothing)}) == 1
    once_taken_twice = parse(conv, none, skip, none, skip, skip)
    two_of_them = parse(conv, conv, none, none, skip, skip)
    assert space.key(once_taken_twice) != space.key(two_of_them)
    assert space.key(parse(*[none] * 6)) == space.key(parse(conv, none, none, none, none, none))
