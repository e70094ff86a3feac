"""One text for all ways to write the same cell.

A cell is a graph of vertices that have weights of their own, each with labelled sources. Two graphs are the same if
they differ in the numbers of their vertices, the order of sources or in vertices that nothing depends on. Vertices of
equal form stay apart: two convolutions of one input are not one convolution taken twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

Source = tuple[str, int]
"""Label of the edge, and where it comes from: a vertex, or one of the inputs, which are not in the graph."""
Graph = Mapping[int, tuple[Source, ...]]
"""Vertex -> its sources, in any order."""


def canonical(graph: Graph, outputs: Sequence[Source]) -> str:
    """16 hex digits that all ways to write the graph share, and no other graph (but for one chance in 2^64)."""
    live = _live(graph, outputs)
    order = min(_orders(live, outputs))
    return hashlib.blake2b(repr(order).encode(), digest_size=8).hexdigest()


def _live(graph: Graph, outputs: Sequence[Source]) -> dict[int, tuple[Source, ...]]:
    """The vertices that outputs depend on."""
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
    """The graph written down in every order that always takes a vertex of the least form next.

    Vertices of one form are tried in every order: which of them is taken first may show later.
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
    """The vertices of the least form among those whose sources are all written."""
    ready = {
        vertex: _form(sources, names)
        for vertex, sources in live.items()
        if vertex not in names and all(source in names or source not in live for _, source in sources)
    }
    least = min(ready.values())
    return [(vertex, form) for vertex, form in ready.items() if form == least]


def _form(sources: Sequence[Source], names: Mapping[int, str]) -> Form:
    return tuple(sorted((label, names.get(source, f"i{source}")) for label, source in sources))
