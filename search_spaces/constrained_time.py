"""What should a fixed amount of arithmetic be spent on?

Paper: He & Sun 2015 (arXiv 1412.1710), table 1; shown in the deck of Mishkin et al.
Published finding: on depth, with smaller filters or fewer of them: model J has 67.1, A 62.6 at the same cost (224 px).
Cost: 10 trials a seed of 64 epochs.

Networks built from the rows of the table at the side of the images, with the protocol's solver and initialisation. The
costs are equal to 7 per cent at 224 px and nearly so elsewhere; `plan` prints them.
"""

from __future__ import annotations

from raysweep.study import Study, Variant
from search_spaces._shared import net

_MODELS = {
    "a": "five layers: 7x7, 5x5, three 3x3",
    "b": "six 2x2 for three 3x3",
    "c": "two 3x3 for the 5x5",
    "d": "two 3x3 for the 5x5, six 2x2 for three 3x3",
    "e": "four 2x2 for the 5x5, six for three 3x3",
    "f": "narrower last stage, twice as deep",
    "g": "narrower still, three times as deep",
    "h": "narrow 3x3 layers for the 5x5",
    "i": "narrow 3x3 layers for the 5x5, six 2x2 for three 3x3",
    "j": "as e with a third pooling and two late layers, the first one wide",
}

STUDY = Study(
    name="constrained_time",
    question="What should a fixed amount of arithmetic be spent on?",
    paper="He & Sun 2015",
    finding="On depth rather than on width or filter size.",
    baseline="model_a",
    variants=tuple(Variant(f"model_{name}", net(f"he_sun_{name}"), words) for name, words in _MODELS.items()),
)
