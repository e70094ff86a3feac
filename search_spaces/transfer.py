"""Do networks that are better on one data set make better trunks for another?

Paper: the slides of Mishkin et al., "too much architecture optimisation may hurt"; Kornblith et al. 2019.
Published finding: not in general: a network optimised for one data set may be worse on the next.
Cost: 21 trials per seed of 64 epochs.

First train on one data set, `raysweep run transfer --data A --store a --keep-checkpoints`; without trunks this trains
only the `_scratch` variants. Then train on the second one, `raysweep run transfer --data B --store b --trunks a`: each
network from scratch, with its trained layers frozen under a new classifier, and fine-tuned. The report ranks the
networks on both. Networks that end in fully connected layers need the same image side on both data sets. Not
documented: the rates and lengths of the slides' fine-tuning; here the protocol's for all.
"""

from __future__ import annotations

from collections.abc import Iterator

from raysweep.search_spaces._shared import net
from raysweep.study import Study, Variant

NETWORKS = ("caffenet", "nin", "squeezenet1_1", "googlenet", "vgg16", "resnet50", "densenet121")
"""Add a network by its name."""


def _ways(name: str) -> Iterator[Variant]:
    yield Variant(f"{name}_scratch", net(name), f"{name} from scratch")
    for way, words in (("frozen", "trained layers frozen"), ("fine_tuned", "trained layers fine-tuned")):
        yield Variant(f"{name}_{way}", net(name) | {"init.trunk": way}, f"{name}, {words}, a new classifier")


STUDY = Study(
    name="transfer",
    question="Do networks that are better on one data set make better trunks for another?",
    paper="Mishkin et al. 2017, slides",
    finding="Not in general.",
    baseline="caffenet_scratch",
    variants=tuple(variant for name in NETWORKS for variant in _ways(name)),
)
