"""The shared network: which of its weights a cell uses, and that it computes what they say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from raysweep.errors import InapplicableError, RaysweepError
from raysweep.genotypes.cells import Cell, Genotype, Step
from raysweep.nas.cells_space import CellSpace, cell_space
from raysweep.nas.space import randomness
from raysweep.nn.supernet import Supernet
from raysweep.recipe import NetworkRecipe

SPACE = CellSpace("two nodes", ("sep_conv_3x3", "avg_pool_3x3", "max_pool_3x3", "identity"), nodes=2)
NORMAL = Cell(
    ((("sep_conv_3x3", 1), ("avg_pool_3x3", 0)), (("identity", 1), ("sep_conv_3x3", 1))),
    (2, 3),
)
REDUCTION = Cell(((("max_pool_3x3", 0), ("identity", 1)), (("sep_conv_3x3", 2), ("identity", 2))), (3,))
GENOTYPE = Genotype(NORMAL, REDUCTION)


def recipe(norm: str = "batch_affine_current", aux_weight: float = 0.0) -> NetworkRecipe:
    return NetworkRecipe(
        outputs=3,
        norm=norm,
        norm_position="before",
        bias=False,
        conv_bias=False,
        head="avepool_clf",
        dropout=0.0,
        aux_weight=aux_weight,
    )


def network(norm: str = "batch_affine_current") -> Supernet:
    torch.manual_seed(0)
    made = Supernet(recipe(norm), (3, 8, 8), SPACE, cells=3, width=4)
    for name, parameter in made.named_parameters():
        if parameter.dim() == 1:  # of normalisations, so that a missing one shows
            torch.nn.init.uniform_(parameter, 0.5, 1.5, generator=torch.Generator().manual_seed(len(name)))
    return made


def images(count: int = 6) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))


class ByHand:
    """The same network in plain functions, from the weights by name."""

    def __init__(self, shared: Supernet) -> None:
        self.weights = dict(shared.named_parameters())

    def unit(self, x: Tensor, name: str, **options: int) -> Tensor:
        """Convolution and normalisation by the batch."""
        made = F.conv2d(x, self.weights[f"{name}.layers.0.weight"], **options)
        return self.norm(made, f"{name}.before.0")

    def norm(self, x: Tensor, name: str) -> Tensor:
        mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
        scale, shift = (self.weights[f"{name}.{part}"].view(1, -1, 1, 1) for part in ("weight", "bias"))
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    def separable(self, x: Tensor, name: str) -> Tensor:
        for stack in ("conv1", "conv2"):
            depthwise = self.weights[f"{name}.{stack}_depthwise.layers.0.weight"]
            x = F.conv2d(x.relu(), depthwise, padding=1, groups=x.shape[1])
            x = self.unit(x, f"{name}.{stack}_pointwise")
        return x

    def halved(self, x: Tensor, name: str) -> Tensor:
        shifted = F.pad(x[:, :, 1:, 1:], (0, 1, 0, 1))[:, :, ::2, ::2]
        return torch.cat(
            [
                self.unit(x[:, :, ::2, ::2], f"{name}.reduction.0.conv"),
                self.unit(shifted, f"{name}.reduction.1.conv"),
            ],
            1,
        )

    def mixed(self, states: list[Tensor], concat: tuple[int, ...], cell: str) -> Tensor:
        total = sum(F.conv2d(states[at].relu(), self.weights[f"{cell}.mixing.{at}.weight"]) for at in concat)
        assert isinstance(total, Tensor)
        return self.norm(total, f"{cell}.norm")

    def normal(self, older: Tensor, newer: Tensor, cell: str) -> Tensor:
        steps = f"{cell}.steps"
        pooled = F.avg_pool2d(older, 3, 1, 1, count_include_pad=False)
        second = self.separable(newer, f"{steps}.2a_sep_conv_3x3_1") + pooled
        third = newer + self.separable(newer, f"{steps}.3b_sep_conv_3x3_1")
        return self.mixed([older, newer, second, third], (2, 3), cell)

    def reduction(self, older: Tensor, newer: Tensor, cell: str) -> Tensor:
        second = F.max_pool2d(older, 3, 1, 1) + newer
        third = self.separable(second, f"{cell}.steps.3a_sep_conv_3x3_2") + second
        return self.mixed([older, newer, second, third], (3,), cell)

    def logits(self, x: Tensor) -> Tensor:
        """Reductions are cells 0 and 1: stem 12 channels, cells of 8, 16 and 16.

        After a reduction the older map is the halved one.
        """
        stem = self.unit(x, "stem.stem", padding=1)
        halved = self.halved(stem, "halving.0")
        first = self.reduction(self.halved(stem.relu(), "cells.0.older"), halved, "cells.0")
        again = self.halved(first, "halving.1")
        second = self.reduction(self.halved(first.relu(), "cells.1.older"), again, "cells.1")
        third = self.normal(again, second, "cells.2")
        return third.relu().mean((2, 3)) @ self.weights["head.fc8.weight"].T


def test_a_cell_is_computed_from_its_own_weights() -> None:
    shared = network()
    found = shared(images(), GENOTYPE)
    torch.testing.assert_close(found, ByHand(shared).logits(images()), rtol=1e-4, atol=1e-5)


def used(shared: Supernet, genotype: Genotype) -> set[str]:
    shared.zero_grad()
    shared(images(), genotype).square().sum().backward()
    return {name for name, weight in shared.named_parameters() if weight.grad is not None}


def test_only_what_a_cell_uses_has_a_gradient() -> None:
    shared = network()
    names = used(shared, GENOTYPE)
    steps = {".".join(name.split(".")[:4]) for name in names if ".steps." in name}
    assert steps == {
        "cells.0.steps.3a_sep_conv_3x3_2",
        "cells.1.steps.3a_sep_conv_3x3_2",
        "cells.2.steps.2a_sep_conv_3x3_1",
        "cells.2.steps.3b_sep_conv_3x3_1",
    }
    assert {name for name in names if "mixing" in name} == {
        *(f"cells.{cell}.mixing.3.weight" for cell in (0, 1)),
        *(f"cells.2.mixing.{state}.weight" for state in (2, 3)),
    }
    everywhere = {name for name in dict(shared.named_parameters()) if ".steps." not in name and "mixing" not in name}
    assert everywhere <= names


@pytest.mark.parametrize(
    "steps",
    [
        (("sep_conv_3x3", 0), ("avg_pool_3x3", 0)),
        (("avg_pool_3x3", 0), ("sep_conv_3x3", 1)),
    ],
)
def test_the_same_operation_on_another_input_or_side_has_other_weights(steps: tuple[Step, Step]) -> None:
    shared = network()
    other = used(shared, Genotype(Cell((steps, NORMAL.nodes[1]), (2, 3)), REDUCTION))
    mine = {name for name in used(shared, GENOTYPE) if name.startswith("cells.2.steps.2")}
    assert mine
    assert not mine & other


def test_an_update_leaves_unused_weights_unchanged() -> None:
    shared = network()
    solver = torch.optim.SGD(shared.parameters(), 0.1, 0.9, weight_decay=0.1, nesterov=True)
    names = used(shared, GENOTYPE)
    before = {name: weight.clone() for name, weight in shared.named_parameters()}
    for _ in range(2):
        solver.step()
    moved = {name for name, weight in shared.named_parameters() if not torch.equal(weight, before[name])}
    assert moved == names


@pytest.mark.parametrize(
    ("norm", "depends"),
    [("batch_affine_current", True), ("batch_affine", False)],
)
def test_in_testing_an_image_depends_on_others_only_with_batch_statistics(norm: str, depends: bool) -> None:
    shared = network(norm)
    shared(images(), GENOTYPE)
    shared.eval()
    alone, together = shared(images()[:2], GENOTYPE), shared(images(), GENOTYPE)[:2]
    assert torch.allclose(alone, together, atol=1e-5) is not depends


def test_the_auxiliary_head_is_used_only_in_training() -> None:
    shared = Supernet(recipe(aux_weight=0.4), (3, 32, 32), SPACE, cells=5, width=4)
    both = shared(torch.randn(2, 3, 32, 32), GENOTYPE)
    assert both.shape == (2, 2, 3)
    assert shared.eval()(torch.randn(2, 3, 32, 32), GENOTYPE).shape == (2, 3)
    with pytest.raises(InapplicableError):
        Supernet(recipe(aux_weight=0.4), (3, 8, 8), SPACE, cells=5, width=4)


def test_the_network_of_the_released_script_has_its_reductions_and_widths() -> None:
    with torch.device("meta"):
        shared = Supernet(recipe(), (3, 32, 32), SPACE)
        assert shared(torch.empty(2, 3, 32, 32), GENOTYPE).shape == (2, 3)
    assert shared.reductions == (2, 5)
    assert [cell.norm.weight.shape[0] for cell in shared.cells] == [20] * 2 + [40] * 3 + [80] * 3  # type: ignore


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Supernet(recipe(), (3, 8, 8), SPACE, cells=2), "cells.*2"),
        (lambda: Supernet(recipe(), (3, 8, 8), cell_space("nasnet"), cells=3), "enas"),
        (lambda: network()(images(), cell_space("darts").sample(randomness(0, 0))), "two nodes"),
    ],
)
def test_invalid_supernet_arguments_are_errors(make: Callable[[], object], message: str) -> None:
    with pytest.raises(RaysweepError, match=message):
        make()
