"""Which trials are stopped early, when and why: Tune's schedulers over epochs, replayed when a sweep is continued.

Tune gives its trials new numbers in every sweep. Ours keep their own ids, so a trial that continues after a restart is
the one that the scheduler has seen before: its rungs, and the decisions that follow from them, are the same as in a
sweep that was never interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from ray.tune.schedulers import AsyncHyperBandScheduler, MedianStoppingRule, TrialScheduler

from raysweep.orchestrate.ray_private import asha_rung, forget_stop, median_means, median_results
from raysweep.orchestrate.space_searcher import METRIC, TIME
from raysweep.proposals import SpaceOptions

GRACE_SHARE = 16
"""By default a trial is trained for a sixteenth of its epochs before the scheduler may stop it."""


class Seen(NamedTuple):
    """One epoch of a trial."""

    trial: str
    epoch: int
    top1: float


@dataclass(frozen=True)
class KnownTrial:
    """A trial as the schedulers store it."""

    trial_id: str


class Stopping(TrialScheduler):  # type: ignore[misc]
    """The base of both rules: our ids, a trial that is never stopped, and the reason for each stop."""

    def __init__(self, spared: str, **options: Any) -> None:
        """`spared` is the baseline, which is never stopped; the other trials are still judged against it."""
        super().__init__(time_attr=TIME, metric=METRIC, mode="max", **options)
        self.spared = spared
        self.why: dict[str, str] = {}
        """Trial -> reason why it was stopped."""

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Register a trial that starts or continues."""
        super().on_trial_add(tune_controller, KnownTrial(trial.config["trial"]))

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide whether the trial continues."""
        return self.judge(tune_controller, KnownTrial(trial.config["trial"]), result)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Register a trial that ended without being stopped."""
        super().on_trial_complete(tune_controller, KnownTrial(trial.config["trial"]), result)

    def judge(self, tune_controller: Any, trial: KnownTrial, result: dict[str, Any]) -> str:
        """Return the rule's decision, and keep its reason."""
        reason = self.reason(trial, result)
        action = str(super().on_trial_result(tune_controller, trial, result))
        if action != TrialScheduler.STOP or trial.trial_id == self.spared:
            return str(TrialScheduler.CONTINUE)
        self.why[trial.trial_id] = reason
        return action

    def reason(self, trial: KnownTrial, result: dict[str, Any]) -> str:
        """Return the reason to report if the trial is stopped now."""
        raise NotImplementedError

    def replay(self, history: Iterable[Seen]) -> None:
        """Process the epochs of earlier sweeps, in the order in which they ended."""
        for seen in history:
            trial = KnownTrial(seen.trial)
            super().on_trial_add(None, trial)
            self.judge(None, trial, {TIME: seen.epoch, METRIC: seen.top1})


class Halving(Stopping, AsyncHyperBandScheduler):  # type: ignore[misc]
    """Asynchronous successive halving."""

    def reason(self, trial: KnownTrial, result: dict[str, Any]) -> str:
        """Return the rung, and the top-1 needed to pass it."""
        rung, cutoff, factor = asha_rung(self, trial.trial_id, result[TIME])
        return (
            f"asha: epoch {result[TIME]}, rung {rung:g}: top-1 {result[METRIC]:.4f} is below "
            f"{0.0 if cutoff is None else cutoff:.4f}, the lowest of the best 1 in {factor:g}"
        )


class Median(Stopping, MedianStoppingRule):  # type: ignore[misc]
    """The median rule of Google's Vizier."""

    def judge(self, tune_controller: Any, trial: KnownTrial, result: dict[str, Any]) -> str:
        """Return the decision; Tune would refuse further results of a stopped trial, such as the baseline."""
        action = super().judge(tune_controller, trial, result)
        forget_stop(self, trial)
        return action

    def reason(self, trial: KnownTrial, result: dict[str, Any]) -> str:
        """Return the trial's best top-1 so far, and the median of the others' running means."""
        epoch = result[TIME]
        means = median_means(self, trial, epoch)
        best = max([result[METRIC], *(row[METRIC] for row in median_results(self, trial))])
        return (
            f"median: epoch {epoch}: the best top-1 so far, {best:.4f}, is below "
            f"{float(np.median(means)) if means else 0.0:.4f}, the median of the means of {len(means)} other trials"
        )


def make_scheduler(
    options: SpaceOptions, num_epochs: int, history: Iterable[Seen] = (), baseline: str = ""
) -> Stopping | None:
    """Make the requested scheduler and replay the epochs so far; None if no scheduler is requested.

    `num_epochs` is the number of epochs of the baseline, and `baseline` its trial.
    """
    if options.scheduler == "none":
        return None
    grace = min(options.grace_epochs or max(1, num_epochs // GRACE_SHARE), num_epochs)
    scheduler: Stopping
    if options.scheduler == "asha":
        # It stops every trial at max_t; with a larger batch a trial may start one more epoch.
        factor = options.reduction_factor
        scheduler = Halving(baseline, max_t=num_epochs + 1, grace_period=grace, reduction_factor=factor)
    else:
        # By default it pauses trials to let others catch up; our Tune trials hold no resources that this would free.
        scheduler = Median(baseline, grace_period=grace, min_time_slice=float("inf"))
    scheduler.replay(history)
    return scheduler
