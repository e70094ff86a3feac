"""Should large filters be replaced by several small ones of equal cost?

Paper: the slides of Mishkin et al. on small filters, after He & Sun 2015 (arXiv 1412.1710).
Published finding: yes: two 3x3 instead of 5x5 gain 2.4 points, two 2x2 instead of 3x3 gain 1.7, both 2.9 (224 px).
Cost: 5 trials per seed of 64 epochs.

The networks are models A, B, C and D of He & Sun, and A with eight alternating 3x1 and 1x3 filters instead of its three
3x3, at the same cost; the costs of the others are within 4 % of A.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import net
from raysweep.study import Study, Variant

STUDY = Study(
    name="small_filters",
    question="Should large filters be replaced by several small ones of equal cost?",
    paper="He & Sun 2015",
    finding="Yes, down to 2x2.",
    baseline="f5x5_f3x3",
    variants=(
        Variant("f5x5_f3x3", net("he_sun_a"), "one 5x5, then three 3x3"),
        Variant("f3x3_twice", net("he_sun_c"), "two 3x3 instead of the 5x5"),
        Variant("f2x2_twice", net("he_sun_b"), "six 2x2 instead of the three 3x3"),
        Variant("f3x3_twice_f2x2_twice", net("he_sun_d"), "two 3x3 instead of the 5x5, six 2x2 of the three 3x3"),
        Variant("f3x1_f1x3", net("he_sun_a_3x1"), "eight alternating 3x1 and 1x3 instead of the three 3x3"),
    ),
)
