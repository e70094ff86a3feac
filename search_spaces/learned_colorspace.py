"""Can a network learn a better colour space?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on image pre-processing.
Published finding: yes: two 1x1 convolutions with leaky ReLU (10 and 3 units) 48.5, with maxout 48.8, plain RGB 47.1.
Cost: 9 trials a seed of 64 epochs.

1x1 convolutions with bias between input and conv1, the non-linearity after both. A to F are the letters of the authors'
slide. The slide says that the input is always centred and scaled; the two forms with logarithms take raw pixels.
"""

from __future__ import annotations

from raysweep.study import Study, Variant
from search_spaces._shared import RAW_PIXELS


def _net(name: str) -> dict[str, str]:
    return {"network.input_net": name}


STUDY = Study(
    name="learned_colorspace",
    question="Can a network learn a better colour space?",
    paper="Mishkin et al. 2017, image pre-processing",
    finding="Yes: two 1x1 convolutions with leaky ReLU or maxout gain one to two points.",
    baseline="rgb",
    variants=(
        Variant("rgb", {"network.input_net": "none"}, "red, green, blue"),
        Variant("tanh_10_3", _net("tanh_10_3"), "A: 10 and 3 units, tanh"),
        Variant("vlrelu_3_3", _net("vlrelu_3_3"), "B: 3 and 3 units, leaky ReLU of slope 0.5"),
        Variant("vlrelu_10_3_plus_rgb", _net("vlrelu_10_3_plus_rgb"), "C: 10 and 3 units, leaky ReLU, plus the input"),
        Variant(
            "vlrelu_log_10_3",
            RAW_PIXELS | _net("vlrelu_log_10_3"),
            "D: 10 and 3 units, leaky ReLU, of pixels and their logarithms, normalised by the batch",
        ),
        Variant("vlrelu_16_3", _net("vlrelu_16_3"), "E: 16 and 3 units, leaky ReLU"),
        Variant("vlrelu_10_3", _net("vlrelu_10_3"), "F: 10 and 3 units, leaky ReLU"),
        Variant("maxout_10_3", _net("maxout_10_3"), "10 and 3 units of two-piece maxout"),
        Variant(
            "vlrelu_log_log256_10_3",
            RAW_PIXELS | _net("vlrelu_log_log256_10_3"),
            "as D, with the logarithm of 256 - x too",
        ),
    ),
)
