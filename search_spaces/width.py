"""How wide should the network be?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on network width.
Published finding: accuracy saturates at four times the width: 25.6 (a quarter), 47.1, 56.3 (four times), 56.5 (5.7).
Cost: 14 trials per seed of 64 epochs; the widest has 32 times the multiply-accumulates of the baseline.

The multiplier applies to conv1..conv5, fc6 and fc7; groups are kept. The files of x0_354 and x2 are not available, so
these are pure multiples. The thin rows are contributions and, according to their logs, not pure multiples.
"""

from __future__ import annotations

from math import sqrt

from raysweep.study import Study, Times, Variant


def _times(factor: float) -> dict[str, Times]:
    return {"network.width": Times(factor)}


STUDY = Study(
    name="width",
    question="How wide should the network be?",
    paper="Mishkin et al. 2017, network width",
    finding="Wider is better up to four times the width; then it overfits.",
    baseline="x1",
    variants=(
        Variant("x0_25", _times(1 / 4), "a quarter of the width"),
        Variant("x0_354", _times(sqrt(2) / 4), "sqrt 2 / 4 of the width"),
        Variant("x0_354_nogroup", _times(sqrt(2) / 4) | {"network.groups": False}, "the same without groups"),
        Variant(
            "x0_5",
            {"network.widths": (48, 128, 192, 192, 128, 2048, 2048)},
            "half the width",
            as_published="fc6 and fc7 keep 2048",
        ),
        Variant("x0_5_clean", _times(1 / 2), "half the width everywhere"),
        Variant(
            "x0_707",
            {"network.widths": (67, 181, 271, 271, 181, 2048, 2048), "network.groups": False},
            "1 / sqrt 2 of the width",
            as_published="fc6 and fc7 keep 2048, no groups",
        ),
        Variant("x0_707_clean", _times(1 / sqrt(2)), "1 / sqrt 2 of the width everywhere, groups kept"),
        Variant("x1", {}, "96, 256, 384, 384, 256, 2048, 2048"),
        Variant("x1_414", _times(sqrt(2)), "sqrt 2 times the width"),
        Variant("x2", _times(2), "twice the width"),
        Variant("x2_828", _times(2 * sqrt(2)), "2 sqrt 2 times the width"),
        Variant("x4", _times(4), "four times the width"),
        Variant(
            "x5_657",
            {"network.widths": (544, 1448, 2176, 2176, 1448, 11584, 11584)},
            "4 sqrt 2 times the width",
            as_published="four times the rounded widths of x1_414",
        ),
        Variant("x5_657_clean", _times(4 * sqrt(2)), "4 sqrt 2 times the width, rounded once"),
    ),
)
