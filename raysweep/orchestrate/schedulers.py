"""Who is stopped early, where and why: Tune's schedulers over epochs, which a search that is continued replays.

Tune numbers its trials anew in every sweep. Ours are kept under their own ids, so that a trial which goes on after a
restart is the one that the scheduler has seen before: its rungs, and the decisions that follow from them, are those of
a search that was never interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from ray.tune.schedulers import AsyncHyperBandScheduler, MedianStoppingRule, TrialScheduler

from raysweep.orchestrate.space_searcher import METRIC, TIME
from raysweep.proposals import SearchOptions

GRACE_SHARE = 16
"""A sixteenth of the training before the scheduler may stop it, where nothing else is asked for."""


class Seen(NamedTuple):
    """One epoch of a trial."""

    trial: str
    epoch: int
    top1: float


@dataclass(frozen=True)
class Named:
    """A trial as the schedulers keep it."""

    trial_id: str


class Stopping(TrialScheduler):  # type: ignore[misc]
    """What both rules share: our ids, a trial that is never stopped, and the reason of each stop."""

    def __init__(self, spared: str, **options: Any) -> None:
        """`spared` is the baseline, which all are compared with; it counts for the others all the same."""
        super().__init__(time_attr=TIME, metric=METRIC, mode="max", **options)
        self.spared = spared
        self.why: dict[str, str] = {}
        """Trial -> why it was stopped."""

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """A trial begins, or goes on."""
        super().on_trial_add(tune_controller, Named(trial.config["trial"]))

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Whether the trial goes on."""
        return self.judge(tune_controller, Named(trial.config["trial"]), result)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """A trial has ended by itself."""
        super().on_trial_complete(tune_controller, Named(trial.config["trial"]), result)

    def judge(self, tune_controller: Any, trial: Named, result: dict[str, Any]) -> str:
        """The rule's own decision, with its reason kept."""
        reason = self.reason(trial, result)
        action = str(super().on_trial_result(tune_controller, trial, result))
        if action != TrialScheduler.STOP or trial.trial_id == self.spared:
            return str(TrialScheduler.CONTINUE)
        self.why[trial.trial_id] = reason
        return action

    def reason(self, trial: Named, result: dict[str, Any]) -> str:
        """What would be said of the trial if it were stopped now."""
        raise NotImplementedError

    def replay(self, history: Iterable[Seen]) -> None:
        """See the epochs of earlier sweeps, in the order in which they ended."""
        for seen in history:
            trial = Named(seen.trial)
            super().on_trial_add(None, trial)
            self.judge(None, trial, {TIME: seen.epoch, METRIC: seen.top1})


class Halving(Stopping, AsyncHyperBandScheduler):  # type: ignore[misc]
    """Asynchronous successive halving."""

    def reason(self, trial: Named, result: dict[str, Any]) -> str:
        """The rung, and what the best of it have reached."""
        bracket = self._trial_info[trial.trial_id]
        rungs = [(milestone, recorded) for milestone, recorded in bracket._rungs if milestone <= result[TIME]]
        rung, recorded = rungs[0] if rungs else (0, {})
        cutoff = bracket.cutoff(recorded)
        return (
            f"asha: epoch {result[TIME]}, rung {rung:g}: top-1 {result[METRIC]:.4f} is below "
            f"{0.0 if cutoff is None else cutoff:.4f}, the least of the best 1 in {bracket.rf:g}"
        )


class Median(Stopping, MedianStoppingRule):  # type: ignore[misc]
    """The median rule of Google's Vizier."""

    def judge(self, tune_controller: Any, trial: Named, result: dict[str, Any]) -> str:
        """The decision; Tune refuses to hear of a stopped trial again, as of the baseline or in a later sweep."""
        action = super().judge(tune_controller, trial, result)
        self._stopped_trials.discard(trial)
        return action

    def reason(self, trial: Named, result: dict[str, Any]) -> str:
        """The best so far, and the median of the others' means so far."""
        epoch = result[TIME]
        means = [self._running_mean(other, epoch) for other in self._trials_beyond_time(epoch) if other != trial]
        best = max([result[METRIC], *(row[METRIC] for row in self._results[trial])])
        return (
            f"median: epoch {epoch}: the best top-1 so far, {best:.4f}, is below "
            f"{float(np.median(means)) if means else 0.0:.4f}, the median of {len(means)} others' means"
        )


def make_scheduler(
    options: SearchOptions, num_epochs: int, history: Iterable[Seen] = (), baseline: str = ""
) -> Stopping | None:
    """The scheduler that is asked for, after it has seen the epochs so far; none where not asked for.

    `num_epochs` is how many the baseline is trained for, and `baseline` its trial.
    """
    if options.scheduler == "none":
        return None
    grace = min(options.grace_epochs or max(1, num_epochs // GRACE_SHARE), num_epochs)
    scheduler: Stopping
    if options.scheduler == "asha":
        # At max_t it stops every trial; a larger batch may begin one more epoch.
        factor = options.reduction_factor
        scheduler = Halving(baseline, max_t=num_epochs + 1, grace_period=grace, reduction_factor=factor)
    else:
        # It would pause trials to let others catch up; ours hold no place that a paused one could give back.
        scheduler = Median(baseline, grace_period=grace, min_time_slice=float("inf"))
    scheduler.replay(history)
    return scheduler
