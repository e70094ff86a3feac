"""The columns of a results store, declared once. Units are in the names; top-1 is a share (0..1), log loss is in nats.

Version 1. A new column is added with a null default and needs no new version; a column that changes its meaning does,
and a line here that says how to read the old one.
"""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = 1

_TIME = pa.timestamp("us", tz="UTC")


def _schema(*columns: tuple[str, pa.DataType, str]) -> pa.Schema:
    fields = [pa.field(name, kind, metadata={"doc": doc}) for name, kind, doc in columns]
    return pa.schema(fields, metadata={"raysweep_schema_version": str(SCHEMA_VERSION)})


EPOCHS = _schema(
    ("trial", pa.string(), "trial id"),
    ("epoch", pa.int32(), "epoch, counted from 1"),
    ("iteration", pa.int64(), "updates done"),
    ("images_seen", pa.int64(), "training images seen"),
    ("lr", pa.float64(), "learning rate of the last update"),
    ("train_loss", pa.float64(), "mean training loss of the epoch, nats"),
    ("top1", pa.float64(), "top-1 accuracy on the test split; null where the loss was not finite"),
    ("logloss", pa.float64(), "mean log loss on the test split, nats"),
    ("wall_s", pa.float64(), "training and testing"),
    ("train_s", pa.float64(), "training alone"),
    ("test_s", pa.float64(), "testing alone"),
    ("data_wait_s", pa.float64(), "waiting for images"),
    ("images_per_s", pa.float64(), "training images per second of training"),
    ("peak_memory_gib", pa.float64(), "accelerator memory, or resident memory of the process"),
    ("sub_batches", pa.int32(), "parts a batch was trained in: the recipe's, or more where memory was short"),
    ("attempt", pa.int32(), "attempt of the sweep that trained it"),
    ("finished_at", _TIME, "when the epoch ended"),
)

TRIAL = _schema(
    ("trial", pa.string(), "trial id"),
    ("status", pa.string(), "running, finished, diverged, failed or stopped"),
    ("seed", pa.int64(), "seed"),
    ("recipe", pa.string(), "the recipe as canonical JSON"),
    ("protocol", pa.string(), "protocol the recipe began with"),
    ("top1", pa.float64(), "top-1 accuracy after the last epoch"),
    ("logloss", pa.float64(), "log loss after the last epoch, nats"),
    ("best_top1", pa.float64(), "best top-1 accuracy of any epoch"),
    ("epochs", pa.int32(), "epochs done"),
    ("planned_epochs", pa.int32(), "epochs in all"),
    ("diverged_epoch", pa.int32(), "epoch in which the loss stopped being finite"),
    ("error", pa.string(), "why it failed"),
    ("attempts", pa.int32(), "times it was started"),
    ("params", pa.int64(), "parameters"),
    ("macs", pa.int64(), "multiply-accumulates of one image, forward"),
    ("wall_s", pa.float64(), "training and testing, all epochs"),
    ("images_per_s", pa.float64(), "training images per second of training"),
    ("data_wait_s", pa.float64(), "waiting for images, all epochs"),
    ("peak_memory_gib", pa.float64(), "largest of the epochs"),
    ("sub_batches", pa.int32(), "parts a batch was trained in: the recipe's, or more where memory was short"),
    ("trunk_top1", pa.float64(), "top-1 accuracy, on its own images, of the trained network it started from"),
    ("trunk_data", pa.string(), "name of those images"),
    ("started_at", _TIME, "first start"),
    ("updated_at", _TIME, "last change of this row"),
    ("data_digest", pa.string(), "content digest of the image set"),
    ("data_name", pa.string(), "name of the image set"),
    ("git_commit", pa.string(), "commit of raysweep, where it runs from a checkout"),
    ("git_dirty", pa.bool_(), "whether that checkout had changes"),
    ("raysweep_version", pa.string(), "version of raysweep"),
    ("python", pa.string(), "version of Python"),
    ("torch", pa.string(), "version of torch"),
    ("versions", pa.string(), "versions of other packages, JSON"),
    ("host", pa.string(), "machine"),
    ("device", pa.string(), "cpu, or the accelerator's name"),
    ("threads", pa.int32(), "CPU threads of each worker"),
    ("world_size", pa.int32(), "data-parallel workers"),
    ("gpus", pa.float64(), "GPUs of each worker: a share of one where trials lay side by side"),
    ("alone", pa.bool_(), "whether it was tried again with a device to itself, after it ran out of memory"),
    ("deterministic", pa.bool_(), "whether only deterministic algorithms were allowed; on a CPU there are no others"),
    ("stopped_why", pa.string(), "where and why a scheduler stopped it; null for other ends"),
)

MEMBERS = _schema(
    ("study", pa.string(), "study"),
    ("variant", pa.string(), "variant of the study that the trial stands for"),
    ("trial", pa.string(), "trial id"),
    ("seed", pa.int64(), "seed"),
    ("protocol", pa.string(), "protocol"),
    ("line", pa.string(), "id of the study's baseline at seed 0: the same for trials run under the same settings"),
    ("baseline", pa.string(), "name of the study's baseline variant"),
    ("order", pa.int32(), "position of the variant in the study"),
    ("summary", pa.string(), "the variant in a sentence"),
    ("diff", pa.string(), "what differs from the protocol, JSON"),
    ("recipe", pa.string(), "the recipe as canonical JSON"),
    ("assignment", pa.string(), "the point of a search space, JSON; null for a variant of a study"),
    ("search", pa.string(), "name of the architecture search that proposed it; null for all else"),
    ("proposal", pa.int64(), "number of the proposal in that search, from 0"),
    ("key", pa.string(), "what equal architectures of the space share"),
    ("fidelity", pa.float64(), "epochs that the search asked for; null: those of the settings"),
)

EVALUATIONS = _schema(
    ("search", pa.string(), "name of the search: space, method with its options, seed, and a digest of the settings"),
    ("study", pa.string(), "study of its trials: nas- and the space"),
    ("line", pa.string(), "what searches under the same settings share"),
    ("method", pa.string(), "method, with the options that are not its defaults"),
    ("seed", pa.int64(), "seed of the search; its trials have seed 0"),
    ("place", pa.int64(), "place in the order of completion within the search, from 0"),
    ("number", pa.int64(), "number of the proposal, from 0"),
    ("architecture", pa.string(), "the architecture as text"),
    ("key", pa.string(), "what equal architectures of the space share"),
    ("trial", pa.string(), "trial trained for it, or for an equal architecture; null where weights are shared"),
    ("fidelity", pa.float64(), "epochs asked for, null: the settings'; of shared weights minibatches scored, inf: all"),
    ("status", pa.string(), "finished, diverged, out_of_memory or lost"),
    ("value", pa.float64(), "top-1 accuracy on the images held out after the last epoch; null unless finished"),
    ("cost_s", pa.float64(), "time to train and test it; of a trial that another search has trained the same again"),
    ("clock_s", pa.float64(), "when it ended, counting only the time in which the search had a trial under way"),
    ("reused", pa.bool_(), "whether the result is that of an equal architecture of the same search, at no cost"),
    ("params", pa.int64(), "parameters; null where the network was never built"),
    ("macs", pa.int64(), "multiply-accumulates of one image, forward; null as params"),
)
"""One row an evaluation of an architecture search."""

INIT_STATS = _schema(
    ("trial", pa.string(), "id of the trial whose first updates these are"),
    ("seed", pa.int64(), "seed"),
    ("protocol", pa.string(), "protocol"),
    ("recipe", pa.string(), "the recipe as canonical JSON"),
    ("network", pa.string(), "network"),
    ("init", pa.string(), "initialisation"),
    ("activation", pa.string(), "non-linearity"),
    ("norm", pa.string(), "normalisation"),
    ("norm_position", pa.string(), "before or after the non-linearity; null without normalisation"),
    ("update", pa.int64(), "updates done before the batch that was measured"),
    ("depth", pa.int32(), "place of the layer in the order in which a batch runs through them, from 1"),
    ("layer", pa.string(), "name of the layer"),
    ("kind", pa.string(), "conv or fc"),
    ("output_variance", pa.float64(), "variance of the layer's own output over the batch; null: not finite"),
    ("activation_variance", pa.float64(), "variance after normalisation and non-linearity; null: there are none"),
    ("weight_rms", pa.float64(), "root mean square of the weights before the update"),
    ("gradient_rms", pa.float64(), "root mean square of their gradient, clipped as the recipe says, without decay"),
    ("gradient_to_weight", pa.float64(), "gradient_rms / weight_rms"),
    ("train_loss", pa.float64(), "loss of the batch, nats; null: not finite"),
)

RANKING = _schema(
    ("architecture", pa.string(), "the architecture as text"),
    ("key", pa.string(), "key that equal architectures share"),
    ("seed", pa.int64(), "seed that the architectures were drawn with"),
    ("shared_top1", pa.float64(), "top-1 accuracy with the weights of the supernet; null if the evaluation failed"),
    ("shared_status", pa.string(), "how that evaluation ended"),
    ("shared_cost_s", pa.float64(), "duration of that evaluation"),
    ("standalone_top1", pa.float64(), "top-1 accuracy of the architecture trained individually; null if it failed"),
    ("standalone_status", pa.string(), "how that training ended"),
    ("standalone_cost_s", pa.float64(), "duration of that training"),
)
"""One row per architecture that was scored with a supernet and trained individually. Rankings have further columns."""
