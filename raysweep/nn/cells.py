"""Builds layers from the genotypes of searched cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from torch import nn

from raysweep.genotypes.cells import INPUTS, Cell, Step
from raysweep.nn.activations import Shape
from raysweep.nn.blocks import DropPath, Graph, Layers, Paired
from raysweep.nn.builder import B, Builder, Part
from raysweep.nn.cell_ops import STYLES, factorised_reduction, fit_newer, fit_older, operation


@dataclass(frozen=True)
class CellForm:
    """Options for building a cell."""

    style: str
    """One of `cell_ops.STYLES`."""
    width: int
    """Output channels of every operation."""
    stride: int
    """Stride of the operations on the two inputs."""
    drop_path: float
    """Fraction of paths that are dropped at the end of training."""


def add_cell(net: Builder, name: str, cell: Cell, form: CellForm, older: Shape | None) -> None:
    """Add a cell. `older` is the output shape of the cell before the last one; None for the first cell.

    Unused states are built and computed too, as in the released code.

    Raises:
        RaysweepError: an operation that this style does not have.
    """
    fit_first, first = _older(net, form, older)
    fit_second, second = net.part(lambda part: fit_newer(part, form.style, form.width))
    shapes, nodes = [first, second], []
    for steps in cell.nodes:
        made = [net.part(partial(_step, form, step), shapes[step[1]]) for step in steps]
        nodes.append([(source, layers) for (_, source), (layers, _) in zip(steps, made, strict=True)])
        shapes.append(made[0][1])
    made = [net.part(partial(_fit_output, shapes[-1]), shapes[at]) for at in cell.concat]
    graph = Graph(nodes, [(at, layers) for at, (layers, _) in zip(cell.concat, made, strict=True)])
    net.add(name, Paired(fit_first, fit_second, graph), (sum(shape[0] for _, shape in made), *shapes[-1][1:]))


def _older(net: Builder, form: CellForm, older: Shape | None) -> tuple[Layers, Shape]:
    if older is None and not STYLES[form.style].first_fitted:
        return Layers(), net.shape
    return net.part(lambda part: fit_older(part, form.style, form.width, net.shape), older)


def _step(form: CellForm, step: Step, net: Builder) -> None:
    name, source = step
    stride = form.stride if source < INPUTS else 1
    operation(name, form.style, form.width, stride)(net)
    identity = name == "identity" and not (stride > 1 and STYLES[form.style].drops_identity)
    if form.drop_path and not identity:
        net.add("drop_path", DropPath(form.drop_path))


def _fit_output(last: Shape, net: Builder) -> None:
    """Fit an input that is part of the output to the size and width of the last state."""
    if net.shape[1:] != last[1:]:
        factorised_reduction(net, last[0])
    elif net.shape != last:
        net.conv("fit", last[0], 1, act=False)


def add_edges(net: Builder, name: str, nodes: Sequence[Sequence[str]]) -> None:
    """Add a cell of NAS-Bench-201: each node sums one operation on every earlier state; the last node is the output."""
    width = net.shape[0]
    add_sums(
        net, name, [[(at, operation(word, "nasbench201", width)) for at, word in enumerate(node)] for node in nodes]
    )


def add_sums(net: B, name: str, nodes: Sequence[Sequence[tuple[int, Part[B]]]]) -> None:
    """Add states, each the sum of parts on earlier states; 0 is the current map, the last state is the output.

    Raises:
        InapplicableError: the terms of a sum differ in shape.
    """
    shapes, graph = [net.shape], []
    for node in nodes:
        made = [net.part(part, shapes[source]) for source, part in node]
        net.check_same(name, [shape for _, shape in made])
        graph.append([(source, layers) for (source, _), (layers, _) in zip(node, made, strict=True)])
        shapes.append(made[0][1])
    net.add(name, Graph(graph, [(len(nodes), nn.Identity())]), shapes[-1])
