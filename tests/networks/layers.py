"""The layers of a network and which layers each one reads: ours, and those of the published network files.

`layer_tables.csv.gz` has a row for each layer of the published files: its type, inputs (layer numbers), settings,
output shape, parameters and MACs. A layer's mark is a digest of all this and of the marks of its inputs. Two networks
with equal marks are the same graph of the same layers. The order of terms of sums and concatenations is left out.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules import activation as torch_activations
from torch.overrides import TorchFunctionMode

from raysweep.nn.activations import Pointwise
from raysweep.nn.heads import GlobalAverage, GlobalMax
from raysweep.nn.norms import CaffeBatchNorm, ScaleLayer
from raysweep.nn.pooling import GatedPooling, TreePooling
from raysweep.recipe import Recipe
from tests.networks.comparison import built

TABLE = Path(__file__).with_name("layer_tables.csv.gz")
PROBE = (-3.0, -1.0, -0.25, 0.0, 0.5, 2.0)
"""Where non-linearities without parameters are compared."""
Key = tuple[str, str]
Row = Mapping[str, str]


class Layer(NamedTuple):
    """A layer in words, and the marks of the layers that it reads."""

    text: str
    inputs: tuple[str, ...]

    @property
    def mark(self) -> str:
        return hashlib.blake2b("|".join((self.text, *self.inputs)).encode(), digest_size=8).hexdigest()


@cache
def tables() -> Mapping[Key, list[Row]]:
    """The rows of each published (study, variant)."""
    found: dict[Key, list[Row]] = {}
    with gzip.open(TABLE, "rt") as file:
        for row in csv.DictReader(file):
            found.setdefault((row["study"], row["variant"]), []).append(row)
    return found


def totals(key: Key) -> tuple[int, int]:
    """Parameters of the published file, and MACs of its main path: costs leave out auxiliary heads, as tests do."""
    rows = {row["layer"]: row for row in tables()[key]}
    todo = [row["layer"] for row in rows.values() if row["type"] == "SoftmaxWithLoss" and not row["settings"]]
    main = set[str]()
    while todo:
        layer = todo.pop()
        if layer in rows and layer not in main:
            main.add(layer)
            todo += rows[layer]["inputs"].split()
    return sum(int(row["params"]) for row in rows.values()), sum(int(rows[layer]["macs"]) for layer in main)


class Graph:
    """Layers by mark."""

    def __init__(self) -> None:
        self.layers: dict[str, Layer] = {}

    def add(self, text: str, inputs: Sequence[str]) -> str:
        """Add a layer; sums of sums are one sum."""
        if text.startswith("sum"):
            terms = [self.layers[mark] if mark in self.layers else Layer("", ()) for mark in inputs]
            nested = [one.inputs if one.text == text else (mark,) for mark, one in zip(inputs, terms, strict=True)]
            inputs = [mark for marks in nested for mark in marks]
        layer = Layer(text, tuple(sorted(inputs) if text.startswith(("sum", "concat")) else inputs))
        self.layers[layer.mark] = layer
        return layer.mark

    def reached(self, ends: Iterable[str]) -> Counter[Layer]:
        """The layers that the ends depend on."""
        marks, todo = set[str](), list(ends)
        while todo:
            mark = todo.pop()
            if mark in self.layers and mark not in marks:
                marks.add(mark)
                todo += self.layers[mark].inputs
        return Counter(layer for mark, layer in self.layers.items() if mark in marks)


def shape_text(sizes: Iterable[int]) -> str:
    """Maps of one pixel are vectors."""
    channels, *side = sizes
    return "x".join(map(str, (channels, *side) if math.prod(side) > 1 else (channels,)))


def conv_text(shape: str, source: str, form: Sequence[Any], bias: bool, params: int, macs: int) -> str:
    """`form` is kernel, stride, border and groups; a convolution of a vector is a fully connected layer."""
    kind = f"conv {form}" if "x" in source else "fc"
    return f"{kind} bias {bias} -> {shape}: {params} params, {macs} MACs"


def window_text(method: str, shape: str, source: str, form: Sequence[int]) -> str:
    """A window over the whole map is global."""
    whole = "x" not in shape and min(map(int, source.split("x")[1:])) <= form[0] and not form[2]
    return f"{method.lower()} pool {'' if whole else form} -> {shape}"


def values_text(values: Iterable[float]) -> str | None:
    """A non-linearity by its values at `PROBE`; None for the identity."""
    rounded = [round(value, 4) + 0.0 for value in values]
    return None if rounded == list(PROBE) else f"non-linearity {rounded}"


# --- the published files


def published(key: Key) -> Counter[Layer]:
    """The layers of the published network file, of its training net."""
    graph, shapes = Graph(), {"image": ""}
    marks = {"image": "image"}
    losses: list[str] = []
    for row in tables()[key]:
        sources = row["inputs"].split()
        settings = dict(word.split("=") for word in row["settings"].split() if "=" in word)
        shape = shape_text(map(int, row["output"].split("x"))) if row["output"] else ""
        shapes[row["layer"]] = shape
        text = published_text(row, settings, shape, shapes[sources[0]] or "image x")
        inputs = [marks[source] for source in sources]
        marks[row["layer"]] = inputs[0] if text is None else graph.add(text, inputs)
        if row["type"] == "SoftmaxWithLoss":
            losses.append(marks[row["layer"]])
    return graph.reached(losses)


def published_text(row: Row, settings: Mapping[str, str], shape: str, source: str) -> str | None:
    """The layer in words; None if it changes nothing."""
    params, macs = int(row["params"]), int(row["macs"])

    def pair(name: str) -> tuple[int, ...]:
        sizes = tuple(map(int, settings[name].split("x")))
        return sizes * 2 if len(sizes) == 1 else sizes

    def values(below: Callable[[float], float]) -> str | None:
        return values_text(value if value > 0 else below(value) for value in PROBE)

    match row["type"]:
        case "Convolution":
            form = (*map(pair, ("kernel", "stride", "pad")), int(settings["group"]))
            return conv_text(shape, source, form, settings["bias"] == "1", params, macs)
        case "InnerProduct":
            return conv_text(shape, "", (), settings["bias"] == "1", params, macs)
        case "Pooling" if "global" in settings:
            return f"{settings['method'].lower()} pool  -> {shape}"
        case "Pooling":
            form = tuple(int(settings[name]) for name in ("kernel", "stride", "pad"))
            return window_text(settings["method"], shape, source, form)
        case "ReLU":
            return values(lambda value: float(settings.get("negative_slope", 0)) * value)
        case "ELU":
            return values(lambda value: float(settings["alpha"]) * math.expm1(value))
        case "Dropout":
            return f"dropout {float(settings['ratio'])}"
        case "SoftmaxWithLoss":
            return f"loss {float(settings.get('loss_weight', 1))}"
        case "Eltwise":
            return f"sum -> {shape}"
        case "Concat":
            return f"concat -> {shape}"
        case "LRN":
            return f"LRN {settings['size']}"
        case kind:  # BatchNorm, Scale, PReLU, TreepoolKernel1L, TreepoolMaxAve
            return f"{kind} -> {shape}: {params} params"


# --- ours


def ours(recipe: Recipe) -> Counter[Layer]:
    """The layers of the recipe's network as they are executed in training."""
    network = built(recipe).train()
    recorder = Recorder()
    for layer in network.modules():
        layer.register_forward_hook(recorder.after)
    image = torch.empty(2, *recipe.data.shape, device="meta")
    recorder.tag(image, "image")
    with torch.no_grad(), recorder:
        logits = network(image)
    main, *others = recorder.stacked or [recorder.mark_of(logits) or ""]
    losses = [recorder.graph.add("loss 1.0", [main])]
    losses += [recorder.graph.add(f"loss {recipe.network.aux_weight}", [head]) for head in others]
    return recorder.graph.reached(losses)


class Recorder(TorchFunctionMode):
    """Records which layers compute each tensor: modules by hooks, sums and concatenations by their functions."""

    def __init__(self) -> None:
        super().__init__()
        self.graph = Graph()
        self.marks: dict[int, tuple[Tensor, str]] = {}
        """By id of a tensor, which is kept, so that no other one gets its id."""
        self.stacked: list[str] = []
        """The last layer's logits and those of the auxiliary heads, if there are any."""

    def tag(self, tensor: Tensor, mark: str) -> None:
        self.marks[id(tensor)] = (tensor, mark)

    def mark_of(self, tensor: object) -> str | None:
        return self.marks[id(tensor)][1] if id(tensor) in self.marks else None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not isinstance(result, Tensor) or id(result) in self.marks:
            return result
        values = list(args[0]) if args and isinstance(args[0], list | tuple) else list(args)
        found = [mark for mark in map(self.mark_of, values) if mark]
        name = func.__name__.strip("_")
        if name == "stack":
            self.stacked = found
        elif name in ("add", "radd", "iadd", "cat") and len(found) > 1:
            kind = "concat" if name == "cat" else "sum"
            self.tag(result, self.graph.add(f"{kind} -> {shape_text(result.shape[1:])}", found))
        elif found:
            self.tag(result, found[0])
        return result

    def after(self, layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        mark = self.mark_of(inputs[0])
        if mark is None or output is inputs[0]:
            return
        texts = list(texts_of(layer, inputs[0].shape[1:], output.shape[1:]))
        for text in texts:
            mark = self.graph.add(text, [mark])
        if texts:
            self.tag(output, mark)


def texts_of(layer: nn.Module, before: torch.Size, after: torch.Size) -> Iterator[str]:
    """The layer in words: two of them for a normalisation with a scale, none for a module that holds others."""
    source, shape = shape_text(before), shape_text(after)
    params = sum(weight.numel() for weight in layer.parameters())
    match layer:
        case nn.Conv2d():
            form = (layer.kernel_size, layer.stride, layer.padding, layer.groups)
            macs = layer.weight.numel() * math.prod(after[1:])
            yield conv_text(shape, source, form, layer.bias is not None, params, macs)
        case nn.Linear():
            yield conv_text(shape, "", (), layer.bias is not None, params, layer.weight.numel())
        case nn.MaxPool2d() | nn.AvgPool2d():
            method = "max" if isinstance(layer, nn.MaxPool2d) else "ave"
            yield window_text(method, shape, source, (layer.kernel_size, layer.stride, layer.padding))  # type: ignore[arg-type]
        case GlobalAverage() | GlobalMax():
            yield f"{'ave' if isinstance(layer, GlobalAverage) else 'max'} pool  -> {shape}"
        case nn.Dropout():
            yield f"dropout {layer.p}"
        case nn.LocalResponseNorm():
            yield f"LRN {layer.size}"
        case CaffeBatchNorm():
            yield f"BatchNorm -> {shape}: 0 params"
            if params:
                yield f"Scale -> {shape}: {params} params"
        case ScaleLayer():
            yield f"Scale -> {shape}: {params} params"
        case nn.PReLU():
            yield f"PReLU -> {shape}: {params} params"
        case TreePooling() | GatedPooling():
            kind = "TreepoolKernel1L" if isinstance(layer, TreePooling) else "TreepoolMaxAve"
            yield f"{kind} -> {shape}: {params} params"
        case _ if isinstance(layer, Pointwise) or type(layer).__module__ == torch_activations.__name__:
            if text := values_text(layer(torch.tensor(PROBE)).tolist()):
                yield text


def difference(recipe: Recipe, key: Key) -> str:
    """The first published layer that ours lack and the first of ours that the file lacks, in words; empty if none."""
    found, expected = ours(recipe), published(key)
    by_mark = {layer.mark: layer for layer in (*found, *expected)}

    def told(layers: Counter[Layer]) -> str:
        first = next(iter(layers))
        return f"{first.text} on " + ", ".join(by_mark[at].text if at in by_mark else at for at in first.inputs)

    return "; ".join(
        f"{words}: {told(rest)}"
        for words, rest in (("missing", expected - found), ("not in the file", found - expected))
        if rest
    )
