"""Replace called layers and functions: a child by another, or, where calls share one layer or are functions, in code.

The code of one module's `forward` is traced with torch.fx, its children left whole, and becomes that of a
subclass of the module's class: its other layers and its weights stay.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import fx, nn

from raysweep.nn.surgery.calls import Call, Functions
from raysweep.nn.surgery.tracing import check_same, graph_of

Make = Callable[[Call], nn.Module]


def replace(
    network: nn.Module, calls: Sequence[Call], make: Make, functions: Functions, run: Callable[[], object]
) -> list[Call]:
    """Replace what these calls call by what `make` makes for each; returns the calls that could be replaced.

    `functions` are those whose calls were recorded; `run` runs the network on an image.

    Raises:
        RaysweepError: the code of a module is traced to something else than it computes.
    """
    times = Counter(call.layer for call in calls if call.layer)
    children = [call for call in calls if call.layer and (times[call.layer] == 1 or _is_stateless(make(call)))]
    by_owner: defaultdict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if call not in children:
            by_owner[call.owner].append(call)
    graphs = {path: graph for path in by_owner if (graph := graph_of(network.get_submodule(path)))}
    if graphs:
        check_same(network, graphs, run)
    for call in {call.layer: call for call in children}.values():
        set_layer(network, call.layer, make(call))
    in_code = [
        path for path, graph in graphs.items() if _rewrite(network, path, graph, by_owner[path], make, functions)
    ]
    return [call for call in calls if call in children or call.owner in in_code]


def _is_stateless(layer: nn.Module) -> bool:
    return not layer.state_dict()


def set_layer(network: nn.Module, path: str, layer: nn.Module) -> None:
    """Put a layer in the place of the one at a dotted path, wherever the network refers to it."""
    old = network.get_submodule(path)
    for place in [name for name, found in network.named_modules(remove_duplicate=False) if found is old]:
        parent, _, name = place.rpartition(".")
        setattr(network.get_submodule(parent), name, layer)


def _rewrite(
    network: nn.Module, path: str, graph: fx.Graph, calls: list[Call], make: Make, functions: Functions
) -> bool:
    """Replace these calls in the code of the module at `path`; returns whether they were all found there."""
    owner = network.get_submodule(path)
    layers = {call.layer.removeprefix(f"{path}.") if path else call.layer for call in calls if call.layer}
    kinds = {call.kind for call in calls if not call.layer}
    nodes = [node for node in graph.nodes if _is_called(node, layers, kinds, functions)]
    if not nodes or len(calls) % len(nodes):  # a module that runs several times makes the same calls each time
        return False
    first_free = sum(name.startswith("replaced_") for name, _ in owner.named_children())
    for number, (node, call) in enumerate(zip(nodes, calls, strict=False), first_free):
        name = f"replaced_{number}"
        owner.add_module(name, make(call))
        first = node.args[0] if node.args else node.kwargs["input"]
        with graph.inserting_before(node):
            node.replace_all_uses_with(graph.call_module(name, (first,)))
        graph.erase_node(node)
    for name in layers:
        _forget(owner, name)
    kind, traced = type(owner), fx.GraphModule(owner, graph)
    owner.__class__ = type(kind.__name__, (kind,), {"forward": type(traced).forward, "__module__": kind.__module__})
    return True


def _is_called(node: fx.Node, layers: set[str], kinds: set[str], functions: Functions) -> bool:
    if node.op == "call_module":
        return node.target in layers
    if node.op == "call_function":
        return functions.get(node.target) in kinds
    return node.op == "call_method" and functions.get(getattr(torch.Tensor, str(node.target), None)) in kinds


def _forget(owner: nn.Module, name: str) -> None:
    parent, _, last = name.rpartition(".")
    setattr(owner.get_submodule(parent), last, nn.Identity())
