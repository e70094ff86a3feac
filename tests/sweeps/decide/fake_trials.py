"""`decide` as prepared for real, with trials that end at once at an accuracy which a function of the recipe gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from raysweep.deciding.budget import Budget
from raysweep.identity import recipe_json
from raysweep.pace import Pace
from raysweep.recipe import Recipe
from raysweep.sweeps.decide.lab import Lab
from raysweep.sweeps.decide.prepare import prepare
from raysweep.sweeps.decide.request import take_decide
from raysweep.sweeps.decide.steps import Stream, decide_steps
from raysweep.sweeps.decide.study_races import StudyRaces
from raysweep.sweeps.decide.sweep import open_lab, open_races
from raysweep.sweeps.resources import Resources
from raysweep.train.task import TrialTask

PACE = Pace(3000.0, 6000.0, 0.1, 1_000_000, 2, "2026-01-01")
TRIAL_S = 27.0
Top1 = Callable[[Recipe], float | None]


def usual(recipe: Recipe) -> float:
    """What any reasonable training gives, 0..1: all controls pass and the rate of the protocol is best."""
    value = 0.60 - 0.04 * abs(np.log2(recipe.solver.lr / 0.01))
    value -= 0.08 * (recipe.data.train_fraction < 0.5) + 0.10 * (recipe.data.label_noise > 0)
    value -= 0.05 * (recipe.network.width < 0.0625) + 0.09 * (recipe.network.activation == "linear")
    return float(value)


@dataclass
class Fake:
    """The steps with a clock that each trial advances."""

    stream: Stream
    top1: Top1
    clock: list[float]
    races: list[StudyRaces]
    said: list[str] = field(default_factory=list)
    made: list[TrialTask] = field(default_factory=list)

    @property
    def lab(self) -> Lab:
        return self.stream.lab

    def run(self, most: int = 10_000) -> list[str]:
        """Train at most so many trials; returns their names."""
        while len(self.made) < most and (task := self.stream.next()):
            self.end(task)
        return [task.name for task in self.made]

    def end(self, task: TrialTask) -> None:
        """End a trial."""
        recipe = task.recipe
        noise = float(np.random.default_rng([recipe.seed, *task.trial.encode()]).normal(0, 0.004))
        top1 = self.top1(recipe)
        row = {"trial": task.trial, "seed": recipe.seed, "epochs": 1, "attempts": 1, "wall_s": TRIAL_S}
        row |= {"status": "diverged" if top1 is None else "finished", "top1": top1 and top1 + noise}
        self.lab.trials.store.write_trial(row | {"recipe": recipe_json(recipe), "protocol": "demo"})
        self.clock[0] += TRIAL_S
        self.made.append(task)
        self.stream.end(task.trial, str(row["status"]))

    def steps(self, name: str) -> list[dict[str, Any]]:
        """What the logs say of a step."""
        return self.lab.logged(name)

    def verdicts(self) -> dict[str, str]:
        return {one.variant: str(one.verdict.outcome) for one in self.races[-1].answers()}


def fake(images: Path, store: Path, top1: Top1, studies: Sequence[str] = ("activation",), **arguments: Any) -> Fake:
    """The steps of a request that `prepare` has accepted; `budget` defaults to an hour."""
    settings: Mapping[str, Any] = {"network.norm": "batch"} | arguments.pop("settings", {})
    given = {"protocol": "demo", "data": images, "store": str(store), "width": 0.0625, "budget": "1h"}
    asked = take_decide(given | {"settings": settings} | arguments, studies)
    prepared, clock, races = prepare(asked, Resources(inline=True)), [0.0], list[StudyRaces]()
    used_s = prepared.races.budget.used_before_s
    prepared.races.budget = Budget(asked.budget_s, 1, used_s, clock=lambda: clock[0])
    lab = open_lab(prepared, False, False)

    def begin(lab: Lab) -> StudyRaces:
        races.append(open_races(lab, prepared))
        races[-1].resume()
        return races[-1]

    found = Fake(Stream(lab, decide_steps(lab, begin, asked.race_only, asked.tune_rates)), top1, clock, races)
    lab.say = lambda kind, text: found.said.append(text)
    return found
