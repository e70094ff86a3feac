"""Can a network learn a better colour space?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on image pre-processing.
Published finding: yes: two 1x1 convolutions of 10 and 3 units with leaky ReLU 48.5, with maxout 48.8; plain RGB 47.1.
Cost: 9 trials per seed of 64 epochs.

Two 1x1 convolutions with bias, each followed by the non-linearity, are added between input and conv1. A to F are the
letters of the authors' slide. It says that the input is always centred and scaled; the two forms with logarithms take
raw pixels.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import RAW_PIXELS, input_net
from raysweep.study import Study, Variant

_COLOUR_SPACES = {
    "tanh_10_3": "A: 10 and 3 units, tanh",
    "vlrelu_3_3": "B: 3 and 3 units, leaky ReLU with slope 0.5",
    "vlrelu_10_3_plus_rgb": "C: 10 and 3 units, leaky ReLU, plus the input",
    "vlrelu_log_10_3": "D: 10 and 3 units, leaky ReLU, on pixels and their logarithms, batch-normalised",
    "vlrelu_16_3": "E: 16 and 3 units, leaky ReLU",
    "vlrelu_10_3": "F: 10 and 3 units, leaky ReLU",
    "maxout_10_3": "10 and 3 units of two-piece maxout",
    "vlrelu_log_log256_10_3": "like D, with the logarithm of 256 - x as well",
}

STUDY = Study(
    name="learned_colorspace",
    question="Can a network learn a better colour space?",
    paper="Mishkin et al. 2017, image pre-processing",
    finding="Yes: two 1x1 convolutions with leaky ReLU or maxout gain one to two points.",
    baseline="rgb",
    variants=(
        Variant("rgb", input_net("none"), "red, green, blue"),
        *(
            Variant(name, (RAW_PIXELS if "log" in name else {}) | input_net(name), summary)
            for name, summary in _COLOUR_SPACES.items()
        ),
    ),
)
