"""Graphs of architectures: the edges are those of the text, and nothing in the picture covers anything."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from raysweep.analysis.figures import Evidence, found_cells
from raysweep.analysis.figures._graphs import PITCH, Chain, Graph
from raysweep.analysis.load import searches_of
from raysweep.genotypes.cells import NASNET_A
from raysweep.genotypes.nasbench201 import Cell201
from raysweep.nas import EnasMacro, Evaluation, NASBench201, cell_space, search
from raysweep.nas.space import randomness
from tests.analysis.test_figures_overviews import NO_STATS, legible
from tests.genotypes.published import GENOTYPES
from tests.nas.bits_space import BitString

SPACES: dict[str, Any] = {
    **{name: cell_space(name) for name in ("nasnet", "darts", "enas")},
    "nasbench201": NASBench201(),
    "enas-macro": EnasMacro(),
}


def cost(architecture: Any, fidelity: float | None = None) -> Evaluation:
    """Some value."""
    return Evaluation(len(set(str(architecture))) / 100, 60.0)


def evidence(name: str, seeds: int = 2) -> Evidence:
    found = {(method, seed): search(SPACES[name], cost, method=method, budget=6, seed=seed)
             for method in ("local_search", "random") for seed in range(seeds)}  # fmt: skip
    return Evidence((), NO_STATS, searches_of(found, f"nas-{name}"))


def test_edges_of_nasnet_a_are_those_of_its_figure() -> None:
    """Zoph et al. 2018, figure 4: the normal cell has five sums of two, and what nothing else takes is concatenated."""
    edges = [edge for part, edge in found_cells.edges_of(str(NASNET_A)) if part == "normal cell"]
    made = {target for _, target, operation in edges if operation}
    assert Counter(operation for *_, operation in edges if operation) == {
        "sep_conv_5x5": 2, "sep_conv_3x3": 3, "avg_pool_3x3": 3, "identity": 2
    }  # fmt: skip
    assert made == {"2", "3", "4", "5", "6"}
    assert [source for source, target, _ in edges if target == "out"] == ["last but one", *sorted(made)]
    assert ("last", "2", "sep_conv_5x5") in edges
    assert ("last but one", "2", "sep_conv_3x3") in edges


def test_edges_of_a_benchmark_cell_and_of_layers() -> None:
    text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
    assert [edge for _, edge in found_cells.edges_of(text)] == [
        ("in", "1", "nor_conv_3x3"), ("in", "2", "none"), ("1", "2", "skip_connect"),
        ("in", "out", "avg_pool_3x3"), ("1", "out", "nor_conv_1x1"), ("2", "out", "none"),
    ]  # fmt: skip
    assert [edge for _, edge in found_cells.edges_of("conv_3x3; max_pool_3x3 1; conv_5x5 01")] == [
        ("stem", "1", "conv_3x3"), ("1", "2", "max_pool_3x3"), ("stem", "2", ""), ("2", "3", "conv_5x5"),
        ("1", "3", ""),
    ]  # fmt: skip
    assert found_cells.edges_of("network.activation relu, network.pooling max") == []


def test_options_of_a_method_make_room_for_the_picture() -> None:
    given = evidence("enas")
    long = {name: f"{name}{'+option=value' * 9}" for name in ("local_search", "random")}
    frame = found_cells.data(replace(given, searches=given.searches.assign(method=given.searches["method"].map(long))))
    words = [one.words for one in found_cells.place(frame)]
    assert any("random+…, seed" in one for one in words)
    assert all(one.right <= found_cells.WIDTH for one in found_cells.place(frame))


@pytest.mark.parametrize("name", SPACES)
def test_the_best_of_all_seeds_of_a_method_is_shown(name: str) -> None:
    given = evidence(name)
    frame = found_cells.data(given)
    for method, own in given.searches.groupby("method"):
        best = own[own["value"] == own["value"].max()].iloc[0]
        shown = frame[frame["method"] == method]
        assert set(shown["architecture"]) == {best["architecture"]}
        assert set(shown["seed"]) == {best["seed"]}
        assert set(shown["top1"]) == {100 * best["value"]}
    legible("found_cells", given)


def test_what_is_no_graph_is_not_shown() -> None:
    found = {("random", 0): search(BitString(8), cost, method="random", budget=3, seed=0)}
    assert found_cells.data(Evidence((), NO_STATS, searches_of(found, "bits"))).empty


def graphs(text: str) -> list[Graph]:
    parts: dict[str, list[Any]] = {}
    for part, edge in found_cells.edges_of(text):
        parts.setdefault(part, []).append(edge)
    return [Graph(tuple(edges), found_cells.WIDTH) for edges in parts.values()]


@pytest.mark.parametrize(
    "text",
    [*map(str, GENOTYPES.values()), *(str(SPACES["nasnet"].sample(randomness(1, number))) for number in range(20))],
)
def test_nothing_in_a_graph_overlaps(text: str) -> None:
    for graph in graphs(text):
        assert graph.size[0] <= found_cells.WIDTH
        assert all(right < left for (_, right), (left, _) in pairwise(graph.spans))
        for column in graph.columns:
            heights = sorted(graph.heights[vertex] for vertex in column)
            assert all(high - low > 0.99 * PITCH for low, high in pairwise(heights))
        assert all(other.column == one.column + 1 for one, other in graph.links), "no line behind a column"
        boxes = Counter(vertex.text for vertex in graph.heights if vertex.kind == "operation")
        assert boxes == Counter(operation for *_, operation in graph.edges if operation)


def test_links_of_a_graph_are_its_edges() -> None:
    """Followed from a state through its lanes one comes to what takes it, and to nothing else."""
    (graph, _) = graphs(str(NASNET_A))
    for state in graph.depth:
        reached, todo = [], [vertex for vertex in graph.heights if vertex.kind == "state" and vertex.text == state]
        while todo:
            after = [other for one, other in graph.links if one == todo[0]]
            todo = todo[1:] + [vertex for vertex in after if vertex.kind == "lane"]
            reached += [vertex for vertex in after if vertex.kind != "lane"]
        expected = Counter(operation or target for source, target, operation in graph.edges if source == state)
        assert Counter(vertex.text for vertex in reached) == expected


def test_a_chain_has_an_arc_for_each_skip() -> None:
    network = SPACES["enas-macro"].sample(randomness(0, 0))
    chain = Chain(tuple(edge for _, edge in found_cells.edges_of(str(network))))
    skips = [
        (at, layer + 1) for layer, (_, taken) in enumerate(network.layers) for at, there in enumerate(taken) if there
    ]
    assert sorted(chain.arcs) == sorted(skips)
    assert len(chain.boxes) == len(network.layers) + 1


def test_operations_are_written_short() -> None:
    names = ("sep_conv_5x5", "dil_sep_conv_3x3", "avg_pool_3x3", "conv_1x7_7x1", "conv_1x1", "identity", "skip_connect")
    short = ["sep 5×5", "dil sep 3×3", "avg 3×3", "conv 1×7 7×1", "conv 1×1", "identity", "skip"]
    assert [found_cells.readable(name) for name in names] == short
    assert Cell201.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|").operations[0] == found_cells.NOTHING
