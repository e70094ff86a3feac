"""What do all improvements give together?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section "best-of-all".
Published finding: 53.0 against 47.1: six points, where the single gains sum up to 8.5.
Cost: 15 trials a seed of 64 epochs.

ELU, the learned colour space of 10 and 3 units, the sum of maximum and average pooling, the pyramid (maximum and
average, summed), the straight line and Nesterov's momentum: `only_` each alone, `add` each in turn, caffenet128_all all
six. The pyramid alone is that of maxima, as published for it. VGG-16 has neither pyramid nor Nesterov's momentum.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from raysweep.study import Study, Times, Variant
from search_spaces._shared import LINEAR, act, fc_widths, sides

_SPP = {"network.head": "spp3_fc"}
_PARTS: dict[str, dict[str, Any]] = {
    "elu": act("elu"),
    "colorspace": {"network.input_net": "vlrelu_10_3"},
    "max_plus_average": {"network.pooling": "max_plus_average"},
    "spp3": {"network.head": "spp3_max_plus_average_fc"},
    "linear": LINEAR,
    "nesterov": {"solver.name": "nesterov"},
}
_VGG16_ALL = LINEAR | {
    "network.name": "vgg16",
    "network.activation": "elu_alpha05",
    "network.pooling": "max_plus_average",
    "network.input_net": "vlrelu_10_3",
}
_SUMS = list(accumulate(_PARTS.values(), lambda first, second: first | second))
_ALL = _SUMS[-1]

STUDY = Study(
    name="combined",
    question="What do all improvements give together?",
    paper="Mishkin et al. 2017, best-of-all",
    finding="Two thirds of the sum of what each gives alone.",
    baseline="caffenet128",
    variants=(
        Variant("caffenet128", {"network.name": "caffenet"}, "the baseline"),
        *(Variant(f"only_{name}", _SPP if name == "spp3" else part, "alone") for name, part in _PARTS.items()),
        *(
            Variant(f"add{number}_{name}", total, f"the first {number} together")
            for number, (name, total) in enumerate(zip(_PARTS, _SUMS, strict=True), 1)
            if 1 < number < len(_PARTS)
        ),
        Variant("caffenet128_all", _ALL, "all six together"),
        Variant(
            "caffenet256_all",
            _ALL | sides(227, 256) | fc_widths(4096) | {"training.batch_size": Times(252 / 256)},
            "all six at 227 px with hidden layers of 4096, batch 252",
        ),
        Variant(
            "vgg16_128_all",
            _VGG16_ALL | {"network.fc_activation": "maxout", "network.head_widths": (2896, 2896)},
            "VGG-16 with ELU (alpha 0.5), learned colour space, maximum and average pooling, straight line",
            as_published="hidden layers of two maxout pieces of 2896, which its description leaves out",
        ),
        Variant("vgg16_128_all_clean", _VGG16_ALL, "the same with ELU in hidden layers of 4096"),
    ),
)
