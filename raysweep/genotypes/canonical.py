"""A canonical key for all ways to write the same cell.

A cell is a graph of vertices with their own weights, each with labelled sources. Two graphs are equal if they differ
only in vertex numbers, in the order of sources, or in vertices that no output depends on. Vertices of equal form are
not merged: two convolutions of one input are not one convolution used twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

Source = tuple[str, int]
"""The label of an edge, and its source: a vertex, or one of the inputs, which are not in the graph."""
Graph = Mapping[int, tuple[Source, ...]]
"""Vertex -> its sources, in any order."""


def canonical(graph: Graph, outputs: Sequence[Source]) -> str:
    """16 hex digits, equal for all ways to write the graph and different for other graphs, but for 1 case in 2^64."""
    live = _live(graph, outputs)
    order = min(_orders(live, outputs))
    return hashlib.blake2b(repr(order).encode(), digest_size=8).hexdigest()


def _live(graph: Graph, outputs: Sequence[Source]) -> dict[int, tuple[Source, ...]]:
    """The vertices that the outputs depend on."""
    live: dict[int, tuple[Source, ...]] = {}
    pending = [vertex for _, vertex in outputs]
    while pending:
        vertex = pending.pop()
        if vertex in graph and vertex not in live:
            live[vertex] = graph[vertex]
            pending += [source for _, source in graph[vertex]]
    return live


Form = tuple[tuple[str, str], ...]


def _orders(live: Mapping[int, tuple[Source, ...]], outputs: Sequence[Source]) -> list[list[Form]]:
    """The graph written in every order that always takes a vertex with the smallest form next.

    Vertices with equal forms are tried in every order, because their order can matter later.
    """
    begun: list[tuple[dict[int, str], list[Form]]] = [({}, [])]
    for _ in live:
        begun = [
            ({**names, vertex: f"v{len(names)}"}, [*written, form])
            for names, written in begun
            for vertex, form in _least(live, names)
        ]
        least = min(written[-1] for _, written in begun)
        begun = [(names, written) for names, written in begun if written[-1] == least]
    return [[*written, _form(outputs, names)] for names, written in begun]


def _least(live: Mapping[int, tuple[Source, ...]], names: Mapping[int, str]) -> list[tuple[int, Form]]:
    """The vertices with the smallest form among those whose sources have all been written."""
    ready = {
        vertex: _form(sources, names)
        for vertex, sources in live.items()
        if vertex not in names and all(source in names or source not in live for _, source in sources)
    }
    least = min(ready.values())
    return [(vertex, form) for vertex, form in ready.items() if form == least]


def _form(sources: Sequence[Source], names: Mapping[int, str]) -> Form:
    return tuple(sorted((label, names.get(source, f"i{source}")) for label, source in sources))
