"""What should a fixed amount of computation be spent on?

Paper: He & Sun 2015 (arXiv 1412.1710), table 1; shown in the slides of Mishkin et al.
Published finding: on depth, with smaller or fewer filters: model J has 67.1, A 62.6 at the same cost (224 px).
Cost: 10 trials per seed of 64 epochs.

The networks are built from the rows of the table, for the side of your images, and use the protocol's solver and
initialisation. Their costs agree to 7 % at 224 px and nearly so at other sizes; `plan` prints them.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import net
from raysweep.study import Study, Variant

_MODELS = {
    "a": "five layers: 7x7, 5x5, three 3x3",
    "b": "six 2x2 instead of three 3x3",
    "c": "two 3x3 instead of the 5x5",
    "d": "two 3x3 instead of the 5x5, six 2x2 instead of three 3x3",
    "e": "four 2x2 instead of the 5x5, six instead of three 3x3",
    "f": "narrower last stage, twice as deep",
    "g": "narrower still, three times as deep",
    "h": "narrow 3x3 layers instead of the 5x5",
    "i": "narrow 3x3 layers instead of the 5x5, six 2x2 instead of three 3x3",
    "j": "like e with a third pooling and two more layers, the first one wide",
}

STUDY = Study(
    name="constrained_time",
    question="What should a fixed amount of computation be spent on?",
    paper="He & Sun 2015",
    finding="On depth rather than on width or filter size.",
    baseline="model_a",
    variants=tuple(Variant(f"model_{name}", net(f"he_sun_{name}"), words) for name, words in _MODELS.items()),
)
