"""How much do all improvements gain together?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section "best-of-all".
Published finding: 53.0 against 47.1, a gain of six points; the individual gains add up to 8.5.
Cost: 15 trials per seed of 64 epochs.

The improvements are ELU, the learned colour space of 10 and 3 units, the sum of maximum and average pooling, the
pyramid (maximum and average, summed), linear decay and Nesterov's momentum: `only_` has one of them, `add` the first
few, caffenet128_all all six. The pyramid in `only_` is of maxima, as published. VGG-16 has neither pyramid nor
Nesterov's momentum.
"""

from __future__ import annotations

from itertools import accumulate

from raysweep.search_spaces._shared import LINEAR, Patch, act, fc_widths, head, input_net, net, pool, published, sides
from raysweep.study import Study, Times, Variant

_PARTS: dict[str, Patch] = {
    "elu": act("elu"),
    "colorspace": input_net("vlrelu_10_3"),
    "max_plus_average": pool("max_plus_average"),
    "spp3": head("spp3_max_plus_average_fc"),
    "linear": LINEAR,
    "nesterov": {"solver.name": "nesterov"},
}
_ONLY = _PARTS | {"spp3": head("spp3_fc")}

_SUMS = list(accumulate(_PARTS.values(), lambda first, second: first | second))
_ALL = _SUMS[-1]

STUDY = Study(
    name="combined",
    question="How much do all improvements gain together?",
    paper="Mishkin et al. 2017, best-of-all",
    finding="Two thirds of the sum of their individual gains.",
    baseline="caffenet128",
    variants=(
        Variant("caffenet128", net("caffenet"), "the baseline"),
        *(Variant(f"only_{name}", part, "this improvement only") for name, part in _ONLY.items()),
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
        *published(
            "vgg16_128_all",
            LINEAR | net("vgg16") | act("elu_alpha05") | pool("max_plus_average") | input_net("vlrelu_10_3"),
            {"network.fc_activation": "maxout", "network.head_widths": (2896, 2896)},
            "VGG-16 with ELU (alpha 0.5), learned colour space, maximum and average pooling, linear decay",
            "hidden layers of two maxout pieces of 2896, which the description omits",
        ),
    ),
)
