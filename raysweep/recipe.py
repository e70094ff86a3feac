"""Every hyper-parameter of a trial, one documented field each.

The defaults are the baseline of the paper: CaffeNet128-FC2048 on ImageNet at 128 px, 320,000 iterations with batches of
256. The identity of a trial holds only the fields that differ from these defaults, so a new field with a neutral
default keeps every old id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

IMAGENET_TRAIN_IMAGES = 1_281_167
IMAGENET_TEST_IMAGES = 50_000


@dataclass(frozen=True)
class Length:
    """The length of training in updates and epochs. As in Caffe, batches continue across the end of an epoch."""

    images: int
    batch_size: int
    epochs: float

    @property
    def iterations(self) -> int:
        """Total number of updates: 320,000 for the paper's baseline."""
        return max(1, round(self.epochs * self.images / self.batch_size))

    @property
    def num_epochs(self) -> int:
        """Number of epochs; the last one may be incomplete."""
        return (self.iterations - 1) * self.batch_size // self.images + 1

    def end(self, epoch: int) -> int:
        """Updates done at the end of an epoch, counted from 1: the first update that has seen all its images."""
        return min(self.iterations, -(-epoch * self.images // self.batch_size))


@dataclass(frozen=True)
class DataRecipe:
    """The images, and all processing between the stored files and the first layer."""

    digest: Annotated[str, "content digest of the image set, from its manifest; empty if no set is used yet"] = ""
    train_images: Annotated[int, "number of images in the training split"] = IMAGENET_TRAIN_IMAGES
    test_images: Annotated[int, "number of images in the test split"] = IMAGENET_TEST_IMAGES
    side: Annotated[int, "side of the crops that the network sees, px"] = 128
    short_side: Annotated[int, "short side of the stored images, px"] = 144
    pad: Annotated[int, "black border added on all sides before the random crop, px"] = 0
    mirror: Annotated[bool, "flip training images horizontally with probability 1/2"] = True
    mean: Annotated[tuple[float, ...], "red, green and blue mean to subtract, in grey levels"] = (124.0, 117.0, 104.0)
    scale: Annotated[float, "factor applied to the grey levels after the mean is subtracted"] = 0.04
    train_fraction: Annotated[float, "fraction of each class's training images to use, after data.holdout"] = 1.0
    holdout: Annotated[
        float,
        "fraction of each class's training images to test on instead of the test split, never trained on; the same "
        "images for every seed; 0: test on the test split",
    ] = 0.0
    label_noise: Annotated[float, "fraction of training images with a wrong label, drawn once; not at test"] = 0.0
    rescale: Annotated[str, "how images were resized when written, see `raysweep data write --rescale`"] = "auto"
    preprocess: Annotated[str, "operation applied to the cropped pixels, see `raysweep list preprocessings`"] = "rgb"
    scales: Annotated[
        tuple[float, ...],
        "factors on the stored size, one drawn for each training image; repeat one to raise its weight",
    ] = (1.0,)
    test_scale: Annotated[float, "factor on the stored size of test images"] = 1.0
    rotation: Annotated[float, "maximum rotation of training images, degrees; angles are uniform from 0 to this"] = 0.0

    @property
    def channels(self) -> int:
        """Number of channels of the network's input."""
        return 1 if self.preprocess == "gray" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the network's input, for one image."""
        return self.channels, self.side, self.side


@dataclass(frozen=True)
class NetworkRecipe:
    """The network and its layers."""

    name: Annotated[str, "network, see `raysweep list networks`; models.py:build for your own"] = "caffenet"
    source: Annotated[str, "version or digest of the code of a network from outside; set by its name"] = ""
    outputs: Annotated[int, "number of network outputs, at least the number of classes"] = 1000
    activation: Annotated[str, "non-linearity of all layers but the last, see `raysweep list activations`"] = "relu"
    stem_activation: Annotated[str, "non-linearity of the first layer; empty: same as network.activation"] = ""
    fc_activation: Annotated[str, "non-linearity of the fully connected layers; empty: same as network.activation"] = ""
    width: Annotated[float, "width multiplier of every layer except the classifier"] = 1.0
    widths: Annotated[tuple[int, ...], "width of every layer except the classifier; empty: the network's own"] = ()
    input_net: Annotated[str, "learned layers in front of the network, see `raysweep list input_nets`"] = "none"
    concat_rgb: Annotated[bool, "concatenate the image, averaged to the map's size, after each pooling"] = False
    stem_kernel: Annotated[int, "kernel size of the first convolution, px"] = 11
    stem_stride: Annotated[int, "stride of the first convolution, px"] = 4
    stem_layers: Annotated[int, "number of extra convolutions of the same width right after the first one"] = 0
    stem_layers_kernel: Annotated[int, "kernel size of these extra convolutions, px"] = 1
    stem_residual: Annotated[bool, "add identity skips over pairs of these extra convolutions"] = False
    conv_form: Annotated[
        str, "whole, or the kernels that 5 px and 3 px convolutions are split into: 3x3_1x1, 1x3_3x1, 1x5_5x1, ..."
    ] = "whole"
    conv_pad: Annotated[
        bool,
        "pad every convolution except the first to keep the map's size; false: no padding, and half the first stride",
    ] = True
    groups: Annotated[bool, "give the grouped convolutions two groups; false: one"] = True
    bias: Annotated[bool, "biases of convolutions and fully connected layers"] = True
    conv_bias: Annotated[bool, "biases of convolutions; a normalisation right after one cancels them"] = True
    fc_bias: Annotated[bool, "biases of the hidden fully connected layers; the classifier keeps its own"] = True
    norm: Annotated[str, "normalisation of every layer except the classifier, see `raysweep list norms`"] = "none"
    norm_position: Annotated[str, "normalise before or after the non-linearity"] = "after"
    norm_layers: Annotated[
        tuple[int, ...], "layers to normalise, counted from 1, of split ones the last part; empty: all"
    ] = ()
    norm_bypass: Annotated[
        tuple[int, ...],
        "convolutions (from 1) whose maxout pieces, except the first, read the map before normalisation",
    ] = ()
    norm_after_pools: Annotated[
        tuple[int, ...],
        "poolings (from 1) that come before the normalisation of the convolution they follow; empty: none",
    ] = ()
    pooling: Annotated[str, "pooling, see `raysweep list poolings`; strided_conv: strided convolutions instead"] = "max"
    first_pooling: Annotated[str, "kind of the first pooling; empty: same as network.pooling"] = ""
    pool_kernel: Annotated[int, "side of the pooling window, px"] = 3
    pool_pad: Annotated[int, "padding of the pooling, px"] = 0
    head: Annotated[str, "layers from the last convolution to the logits, see `raysweep list heads`"] = "fc"
    head_widths: Annotated[tuple[int, ...], "widths of the head's two hidden layers; empty: the network's own"] = ()
    lrn: Annotated[bool, "local response normalisation after the first two poolings"] = False
    dropout: Annotated[float, "dropout probability after each hidden layer of the head"] = 0.5
    conv_dropout: Annotated[tuple[float, ...], "dropout probability after each convolution; empty: no dropout"] = ()
    input_dropout: Annotated[float, "dropout probability of the input values"] = 0.0
    survival: Annotated[
        float, "probability that training keeps the last residual block; falls linearly from 1 at the first block"
    ] = 1.0
    genotype: Annotated[str, "architecture of a searched network, in the text form of `raysweep.nas`"] = ""
    cell_repeats: Annotated[int, "normal cells in each stack of a searched network; 0: the network's own"] = 0
    drop_path: Annotated[
        float, "probability of dropping a path in the last cell at the end of training, rising linearly from 0"
    ] = 0.0
    aux_weight: Annotated[float, "weight of the losses of auxiliary heads in training; 0: no auxiliary heads"] = 0.0
    aux_tested: Annotated[int, "head to test: 0 for the last layer; 1, 2, ... for an auxiliary head"] = 0


@dataclass(frozen=True)
class InitRecipe:
    """The initial weights."""

    method: Annotated[str, "initialisation, see `raysweep list inits`"] = "lsuv"
    trunk: Annotated[
        str, "none, or how to use a trained network's layers except its classifier: frozen or fine_tuned"
    ] = "none"
    trunk_trial: Annotated[str, "id of the finished trial to take the trunk from; found with --trunks"] = ""


@dataclass(frozen=True)
class SolverRecipe:
    """The update rule."""

    name: Annotated[str, "solver, see `raysweep list solvers`"] = "sgd"
    lr: Annotated[float, "base learning rate"] = 0.01
    momentum: Annotated[float, "momentum; beta 1 of adam, rho of adadelta, not used by adagrad and rmsprop"] = 0.9
    beta2: Annotated[float, "decay rate of the second-moment estimate (adam)"] = 0.999
    rms_decay: Annotated[float, "decay rate of the mean squared gradient (rmsprop)"] = 0.99
    eps: Annotated[float, "added for numerical stability (adam, adagrad, adadelta, rmsprop)"] = 1e-8
    weight_decay: Annotated[float, "weight decay"] = 5e-4
    decay_norm: Annotated[str, "norm that weight decay penalises: l2 or l1"] = "l2"
    bias_lr_mult: Annotated[float, "learning rate of biases, relative to that of weights"] = 2.0
    bias_decay_mult: Annotated[float, "weight decay of biases, relative to that of weights"] = 0.0
    lr_in_velocity: Annotated[bool, "true: Caffe's update v = m v + lr g, w -= v; false: v = m v + g, w -= lr v"] = True
    clip_norm: Annotated[float, "clip gradients to this global L2 norm; 0: no clipping"] = 0.0


@dataclass(frozen=True)
class ScheduleRecipe:
    """The learning rate over the course of training; positions are fractions of the training length."""

    name: Annotated[str, "schedule, see `raysweep list schedules`"] = "step"
    gamma: Annotated[float, "factor of the step schedule at each step"] = 0.1
    step_fraction: Annotated[float, "distance between two steps"] = 100_000 / 320_000
    power: Annotated[float, "exponent of the poly schedule"] = 1.0
    cycles: Annotated[int, "number of cycles of warm_restarts, each twice as long as the previous one"] = 3
    warmup_fraction: Annotated[float, "part of one_cycle in which the rate rises linearly"] = 0.3
    periods: Annotated[float, "number of cosine periods in linear_cosine"] = 0.5
    alpha: Annotated[float, "constant added to the line in linear_cosine"] = 0.0
    beta: Annotated[float, "constant added to the product in linear_cosine"] = 0.001
    floor: Annotated[float, "lowest rate, as a fraction of solver.lr: the schedule is rescaled to end there"] = 0.0


@dataclass(frozen=True)
class TrainingRecipe:
    """Length, batch size and numerical precision."""

    epochs: Annotated[float, "passes over the training images in use"] = 320_000 * 256 / IMAGENET_TRAIN_IMAGES
    batch_size: Annotated[int, "images per update"] = 256
    accumulate: Annotated[int, "number of sub-batches whose gradients are averaged into one update"] = 1
    precision: Annotated[str, "float32, or bfloat16: autocast in the layers, weights stay float32"] = "float32"
    channels_last: Annotated[bool, "store images and convolution weights in channels-last memory format"] = True


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the results of a trial; where and how fast it runs is not part of it."""

    seed: Annotated[int, "seed of image order, crops, flips, initial weights and dropout"] = 0
    data: DataRecipe = field(default_factory=DataRecipe)
    network: NetworkRecipe = field(default_factory=NetworkRecipe)
    init: InitRecipe = field(default_factory=InitRecipe)
    own_code: Annotated[str, "digest of the user's file that defines layers of the recipe; set by its study"] = ""
    solver: SolverRecipe = field(default_factory=SolverRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)

    @property
    def length(self) -> Length:
        """The length of training on the recipe's number of images."""
        held = round(self.data.train_images * self.data.holdout)
        images = max(1, round((self.data.train_images - held) * self.data.train_fraction))
        return Length(images, self.training.batch_size, self.training.epochs)
