"""Do networks that are better on one data set make better trunks for another?

Paper: the deck of Mishkin et al., "too much architecture optimisation may hurt"; Kornblith et al. 2019.
Published finding: not in general: what was optimised for one data set may be worse on the next.
Cost: 21 trials a seed of 64 epochs.

First on the first data set, `raysweep run transfer --data A --store a --keep-checkpoints`: without trunks this trains
the `_scratch` variants alone. Then on the second one `raysweep run transfer --data B --store b --trunks a`: each
network anew, with its trained layers frozen under a new classifier, and fine-tuned. The report ranks the networks on
both. Data sets need one image side where a network ends in fully connected layers. Not established: rates and lengths
of the deck's fine-tuning; here the protocol's for all.
"""

from __future__ import annotations

from collections.abc import Iterator

from raysweep.study import Study, Variant
from search_spaces._shared import net

NETWORKS = ("caffenet", "nin", "squeezenet1_1", "googlenet", "vgg16", "resnet50", "densenet121")
"""To add one: its name."""


def _ways(name: str) -> Iterator[Variant]:
    yield Variant(f"{name}_scratch", net(name), f"{name} from its own initial weights")
    for way, words in (("frozen", "its trained layers as they are"), ("fine_tuned", "its trained layers learn on")):
        yield Variant(f"{name}_{way}", net(name) | {"init.trunk": way}, f"{name}, {words}, a new classifier")


STUDY = Study(
    name="transfer",
    question="Do networks that are better on one data set make better trunks for another?",
    paper="Mishkin et al. 2017, deck",
    finding="Not in general.",
    baseline="caffenet_scratch",
    variants=tuple(variant for name in NETWORKS for variant in _ways(name)),
)
