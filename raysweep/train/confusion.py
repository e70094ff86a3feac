"""Which classes a trained network takes for which others: counts over the images of a test."""

from __future__ import annotations

import numpy as np

from raysweep.train.loop import Trial


def confusion(trial: Trial) -> list[dict[str, int]]:
    """The number of test images for each class and prediction that occur in the last test of a trial.

    Rows of `raysweep.store.schema.CONFUSION`, ordered by class and prediction; none if the trial has not been tested.
    """
    if trial.predicted is None:
        return []
    labels = trial.test.labels[trial.test.indices]
    pairs, counts = np.unique(np.stack([labels, trial.predicted.cpu().numpy()], 1), axis=0, return_counts=True)
    return [
        {"label": label, "predicted": predicted, "images": images}
        for (label, predicted), images in zip(pairs.tolist(), counts.tolist(), strict=True)
    ]
