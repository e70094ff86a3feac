"""raysweep: which design choices help, for your network and your data.

    import raysweep
    raysweep.run("activation", protocol="cifar10", data="data/mine", epochs=10, seeds=3)
    raysweep.report("activation")

`plan`, `run`, `results` and `report` take the arguments of the command line; `gains`, `take_home` and `compare`
return the frames behind the report. Importing the package loads only the standard library.
"""

from __future__ import annotations

from raysweep.errors import RaysweepError
from raysweep.notebook import (
    compare,
    decide,
    gains,
    init_stats,
    plan,
    race,
    report,
    results,
    run,
    take_home,
    write_images,
)
from raysweep.patch import Times
from raysweep.planning import PlannedTrial
from raysweep.recipe import Recipe
from raysweep.request import Request
from raysweep.study import Study, Variant, find_study

__all__ = [
    "PlannedTrial",
    "RaysweepError",
    "Recipe",
    "Request",
    "Study",
    "Times",
    "Variant",
    "compare",
    "decide",
    "find_study",
    "gains",
    "init_stats",
    "plan",
    "race",
    "report",
    "results",
    "run",
    "take_home",
    "write_images",
]
