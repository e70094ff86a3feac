"""The columns of a results store. Units are in the names; top-1 is a share (0..1), log loss is in nats.

A new column is null in older files and needs no new version. A column that changes its meaning needs one, and a line
here that says how to read the older version.
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
    ("top1", pa.float64(), "top-1 accuracy on the test split; null if the loss was not finite"),
    ("logloss", pa.float64(), "mean log loss on the test split, nats"),
    ("wall_s", pa.float64(), "time for training and testing"),
    ("train_s", pa.float64(), "time for training"),
    ("test_s", pa.float64(), "time for testing"),
    ("data_wait_s", pa.float64(), "time waiting for images"),
    ("images_per_s", pa.float64(), "training images per second of training"),
    ("peak_memory_gib", pa.float64(), "peak memory of the accelerator, or of the process on a CPU"),
    ("sub_batches", pa.int32(), "sub-batches per update: those of the recipe, or more if memory was short"),
    ("attempt", pa.int32(), "attempt that trained the epoch"),
    ("finished_at", _TIME, "end of the epoch"),
)

TRIAL = _schema(
    ("trial", pa.string(), "trial id"),
    ("status", pa.string(), "running, finished, diverged, failed or stopped"),
    ("seed", pa.int64(), "seed"),
    ("recipe", pa.string(), "the recipe as canonical JSON"),
    ("protocol", pa.string(), "protocol that the recipe is based on"),
    ("top1", pa.float64(), "top-1 accuracy after the last epoch"),
    ("logloss", pa.float64(), "log loss after the last epoch, nats"),
    ("best_top1", pa.float64(), "best top-1 accuracy of any epoch"),
    ("epochs", pa.int32(), "epochs done"),
    ("planned_epochs", pa.int32(), "total number of epochs"),
    ("diverged_epoch", pa.int32(), "epoch in which the loss became infinite or NaN"),
    ("error", pa.string(), "error message of a failed trial"),
    ("attempts", pa.int32(), "number of times it was started"),
    ("params", pa.int64(), "number of parameters"),
    ("macs", pa.int64(), "multiply-accumulates in the forward pass of one image"),
    ("wall_s", pa.float64(), "time for training and testing, all epochs"),
    ("images_per_s", pa.float64(), "training images per second of training"),
    ("data_wait_s", pa.float64(), "time waiting for images, all epochs"),
    ("peak_memory_gib", pa.float64(), "peak memory, the largest of all epochs"),
    ("sub_batches", pa.int32(), "sub-batches per update: those of the recipe, or more if memory was short"),
    ("trunk_top1", pa.float64(), "top-1 accuracy of the trained network it started from, on that network's images"),
    ("trunk_data", pa.string(), "name of the images of that network"),
    ("started_at", _TIME, "first start"),
    ("updated_at", _TIME, "last change of this row"),
    ("data_digest", pa.string(), "content digest of the image set"),
    ("data_name", pa.string(), "name of the image set"),
    ("git_commit", pa.string(), "commit of raysweep, if it ran from a checkout"),
    ("git_dirty", pa.bool_(), "whether that checkout had uncommitted changes"),
    ("raysweep_version", pa.string(), "version of raysweep"),
    ("python", pa.string(), "version of Python"),
    ("torch", pa.string(), "version of torch"),
    ("versions", pa.string(), "versions of other packages, JSON"),
    ("host", pa.string(), "name of the machine"),
    ("device", pa.string(), "cpu, or the accelerator's name"),
    ("threads", pa.int32(), "CPU threads of each worker"),
    ("world_size", pa.int32(), "number of data-parallel workers"),
    ("gpus", pa.float64(), "GPUs of each worker; a fraction if several trials shared a GPU"),
    ("alone", pa.bool_(), "whether it was retried on a device of its own after running out of memory"),
    ("deterministic", pa.bool_(), "whether only deterministic algorithms were allowed; a CPU has no others"),
    ("stopped_why", pa.string(), "where and why a scheduler stopped it; null if none did"),
)

MEMBERS = _schema(
    ("study", pa.string(), "study"),
    ("variant", pa.string(), "variant of the study that the trial belongs to"),
    ("trial", pa.string(), "trial id"),
    ("seed", pa.int64(), "seed"),
    ("protocol", pa.string(), "protocol"),
    ("line", pa.string(), "id of the study's baseline with seed 0: the same for all trials under the same settings"),
    ("baseline", pa.string(), "name of the study's baseline"),
    ("order", pa.int32(), "position of the variant in the study"),
    ("summary", pa.string(), "summary of the variant"),
    ("diff", pa.string(), "fields that differ from the protocol, JSON"),
    ("recipe", pa.string(), "the recipe as canonical JSON"),
    ("assignment", pa.string(), "point of a search space, JSON; null for a variant of a study"),
    ("searcher", pa.string(), "searcher that proposed the point, with its options, JSON; a point of several has rows"),
    ("search", pa.string(), "name of the architecture search that proposed it; null for other trials"),
    ("proposal", pa.int64(), "number of the proposal in that search, from 0"),
    ("key", pa.string(), "key that equal architectures of the space share"),
    ("fidelity", pa.float64(), "number of epochs that the search asked for; null: that of the settings"),
)

EVALUATIONS = _schema(
    ("search", pa.string(), "name of the search: space, method with its options, seed, and a digest of the settings"),
    ("study", pa.string(), "study of its trials: nas- and the name of the space"),
    ("line", pa.string(), "id that searches under the same settings share"),
    ("method", pa.string(), "method, with the options that differ from its defaults"),
    ("seed", pa.int64(), "seed of the search; its trials have seed 0"),
    ("place", pa.int64(), "position in the order of completion within the search, from 0"),
    ("number", pa.int64(), "number of the proposal, from 0"),
    ("architecture", pa.string(), "the architecture as text"),
    ("key", pa.string(), "key that equal architectures of the space share"),
    ("trial", pa.string(), "trial trained for it or for an equal architecture; null in a search with a supernet"),
    ("fidelity", pa.float64(), "epochs, null: those of the settings; with a supernet minibatches scored, inf: all"),
    ("status", pa.string(), "finished, diverged, out_of_memory or lost"),
    ("value", pa.float64(), "top-1 accuracy on the held-out images after the last epoch; null unless finished"),
    ("cost_s", pa.float64(), "time to train and test it, also if another search has trained the same trial"),
    ("clock_s", pa.float64(), "time of its end, counting only the time in which the search had a trial running"),
    ("reused", pa.bool_(), "whether the result was taken from an equal architecture of the same search, at no cost"),
    ("params", pa.int64(), "number of parameters; null if the network was never built"),
    ("macs", pa.int64(), "multiply-accumulates in the forward pass of one image; null if params is"),
)
"""One row per evaluation of an architecture search."""

INIT_STATS = _schema(
    ("trial", pa.string(), "id of the trial"),
    ("seed", pa.int64(), "seed"),
    ("protocol", pa.string(), "protocol"),
    ("recipe", pa.string(), "the recipe as canonical JSON"),
    ("network", pa.string(), "network"),
    ("init", pa.string(), "initialisation"),
    ("activation", pa.string(), "non-linearity"),
    ("norm", pa.string(), "normalisation"),
    ("norm_position", pa.string(), "before or after the non-linearity; null without normalisation"),
    ("update", pa.int64(), "number of updates before the measured batch"),
    ("depth", pa.int32(), "position of the layer in the forward pass, from 1"),
    ("layer", pa.string(), "name of the layer"),
    ("kind", pa.string(), "conv or fc"),
    ("output_variance", pa.float64(), "variance of the layer's own output over the batch; null if not finite"),
    ("activation_variance", pa.float64(), "variance after normalisation and non-linearity; null if it has neither"),
    ("weight_rms", pa.float64(), "root mean square of the weights before the update"),
    ("gradient_rms", pa.float64(), "root mean square of their gradient after clipping, without weight decay"),
    ("gradient_to_weight", pa.float64(), "gradient_rms / weight_rms"),
    ("train_loss", pa.float64(), "loss of the batch, nats; null if not finite"),
)

CONFUSION = _schema(
    ("trial", pa.string(), "id of the trial"),
    ("label", pa.int64(), "number of the class of the images"),
    ("predicted", pa.int64(), "number of the output that was the largest for them"),
    ("images", pa.int64(), "number of images"),
)
"""One row per class and prediction that occur in the last test of a trial whose checkpoint is kept."""

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
