"""Every hyper-parameter of a trial, one documented field a line.

The defaults are the baseline of the paper: CaffeNet128-FC2048 on ImageNet at 128 px, 320,000 iterations of 256. A
trial's identity holds only the fields that differ from these defaults, so a new field with a neutral default keeps
every old id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

IMAGENET_TRAIN_IMAGES = 1_281_167
IMAGENET_TEST_IMAGES = 50_000


@dataclass(frozen=True)
class Length:
    """Updates and epochs. Batches run on over the end of an epoch, as Caffe reads, so nothing is dropped."""

    images: int
    batch_size: int
    epochs: float

    @property
    def iterations(self) -> int:
        """Updates in all: 320,000 for the paper's baseline."""
        return max(1, round(self.epochs * self.images / self.batch_size))

    @property
    def num_epochs(self) -> int:
        """Epochs begun; the last one may be a part."""
        return (self.iterations - 1) * self.batch_size // self.images + 1

    def end(self, epoch: int) -> int:
        """Updates done at the end of an epoch, counted from 1: the first that has seen all its images."""
        return min(self.iterations, -(-epoch * self.images // self.batch_size))


@dataclass(frozen=True)
class DataRecipe:
    """Which images, and what happens to a picture between the store and the first layer."""

    digest: Annotated[str, "content digest of the image set, from its manifest; empty where no set is named"] = ""
    train_images: Annotated[int, "images in the training split"] = IMAGENET_TRAIN_IMAGES
    test_images: Annotated[int, "images in the test split"] = IMAGENET_TEST_IMAGES
    side: Annotated[int, "side of the crop the network sees, px"] = 128
    short_side: Annotated[int, "short side of the stored images, px"] = 144
    pad: Annotated[int, "black border added on every side before the random crop, px"] = 0
    mirror: Annotated[bool, "mirror left to right with probability 1/2 in training"] = True
    mean: Annotated[tuple[float, ...], "value subtracted from red, green, blue, grey levels"] = (124.0, 117.0, 104.0)
    scale: Annotated[float, "factor on the mean-subtracted grey levels"] = 0.04
    train_fraction: Annotated[float, "share of the training split used, less what is held out, of every class"] = 1.0
    holdout: Annotated[
        float,
        "share of the training split, the same of every class and the same images for every seed, that is tested on "
        "instead of the test split and never trained on; 0: the test split is tested",
    ] = 0.0
    label_noise: Annotated[float, "share of training images with a wrong label, drawn once; never at test"] = 0.0
    rescale: Annotated[str, "how the images were resized when they were written, see `data write --rescale`"] = "auto"
    preprocess: Annotated[str, "operation on the cropped pixels, see `raysweep list preprocessings`"] = "rgb"
    scales: Annotated[
        tuple[float, ...], "factors on the stored size, one drawn for each training image; repeat one to weigh it"
    ] = (1.0,)
    test_scale: Annotated[float, "factor on the stored size at test"] = 1.0
    rotation: Annotated[float, "largest rotation in training, degrees; the angle is uniform from 0"] = 0.0

    @property
    def channels(self) -> int:
        """Channels of what enters the network."""
        return 1 if self.preprocess == "gray" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width of one image as it enters the network."""
        return self.channels, self.side, self.side


@dataclass(frozen=True)
class NetworkRecipe:
    """The network and the factors that are layers."""

    name: Annotated[str, "network family, see `raysweep list networks`"] = "caffenet"
    outputs: Annotated[int, "network outputs, at least as many as the data has classes"] = 1000
    activation: Annotated[str, "non-linearity after every layer but the classifier"] = "relu"
    fc_activation: Annotated[str, "non-linearity after the fully connected layers; empty: as `activation`"] = ""
    width: Annotated[float, "multiplier on the width of every layer but the classifier"] = 1.0
    widths: Annotated[tuple[int, ...], "width of every layer but the classifier; empty: the network's own"] = ()
    input_net: Annotated[str, "what stands between image and first layer, see `raysweep list input_nets`"] = "none"
    concat_rgb: Annotated[bool, "the image, averaged to the size of the map, is concatenated after each pooling"] = (
        False
    )
    stem_kernel: Annotated[int, "kernel of the first convolution, px"] = 11
    stem_stride: Annotated[int, "stride of the first convolution, px"] = 4
    stem_layers: Annotated[int, "further convolutions of the same width right after the first one"] = 0
    stem_layers_kernel: Annotated[int, "kernel of those further convolutions, px"] = 1
    stem_residual: Annotated[bool, "identity skips over pairs of those further convolutions"] = False
    conv_form: Annotated[
        str, "whole, or what kernels of 5 and 3 px are split into: c3_c1, c1x3_c3x1, c1x5_c5x1, ..."
    ] = "whole"
    conv_pad: Annotated[
        bool, "border that keeps the map's size after all convolutions but the first; if not, half the stride there"
    ] = True
    groups: Annotated[bool, "the grouped convolutions have two groups; otherwise one"] = True
    bias: Annotated[bool, "convolutions and fully connected layers have biases"] = True
    conv_bias: Annotated[bool, "convolutions have biases, which a normalisation right after them would cancel"] = True
    norm: Annotated[str, "normalisation of every layer but the classifier, see `raysweep list norms`"] = "none"
    norm_position: Annotated[str, "before or after the non-linearity"] = "after"
    norm_layers: Annotated[tuple[int, ...], "layers that are normalised, counted from 1; empty: all"] = ()
    norm_bypass: Annotated[
        tuple[int, ...], "convolutions, from 1, whose maxout pieces but the first read the map before normalisation"
    ] = ()
    pooling: Annotated[str, "pooling, see `raysweep list poolings`; strided_conv: none, convolutions stride"] = "max"
    pool_kernel: Annotated[int, "side of the pooling window, px"] = 3
    pool_pad: Annotated[int, "border of the pooling, px"] = 0
    head: Annotated[str, "from the last convolution to the logits, see `raysweep list heads`"] = "fc"
    head_widths: Annotated[tuple[int, ...], "widths of the head's two hidden layers; empty: the network's own"] = ()
    lrn: Annotated[bool, "local response normalisation after the first two poolings"] = False
    dropout: Annotated[float, "share of units dropped after each hidden layer of the head"] = 0.5
    conv_dropout: Annotated[tuple[float, ...], "share of units dropped after each convolution; empty: none"] = ()
    input_dropout: Annotated[float, "share of input values dropped"] = 0.0
    survival: Annotated[
        float, "probability that training keeps the last residual block, 1 for the first, in a straight line"
    ] = 1.0
    genotype: Annotated[str, "architecture of a searched network, as `raysweep.nas` writes it"] = ""
    cell_repeats: Annotated[int, "normal cells of each stack of a searched network; 0: the network's own"] = 0
    drop_path: Annotated[
        float, "share of paths that training drops in the last cell at its end; rises from 0 in a straight line"
    ] = 0.0
    aux_weight: Annotated[float, "weight of the losses of auxiliary heads in training; 0: no such heads"] = 0.0
    aux_tested: Annotated[int, "head whose logits are tested: 0 the last layer, 1, 2, ... an auxiliary one"] = 0


@dataclass(frozen=True)
class InitRecipe:
    """How the weights start."""

    method: Annotated[str, "initialisation, see `raysweep list inits`"] = "lsuv"
    trunk: Annotated[
        str, "none, or what becomes of a trained network's layers but the classifier: frozen or fine_tuned"
    ] = "none"
    trunk_trial: Annotated[str, "id of the finished trial whose layers these are; found by --trunks"] = ""


@dataclass(frozen=True)
class SolverRecipe:
    """The update rule."""

    name: Annotated[str, "solver, see `raysweep list solvers`"] = "sgd"
    lr: Annotated[float, "base learning rate"] = 0.01
    momentum: Annotated[float, "momentum; beta 1 of adam, rho of adadelta, unused by adagrad and rmsprop"] = 0.9
    beta2: Annotated[float, "decay of the second moment of the gradient (adam)"] = 0.999
    rms_decay: Annotated[float, "decay of the mean square of the gradient (rmsprop)"] = 0.99
    eps: Annotated[float, "term that keeps a division finite (adam, adagrad, adadelta, rmsprop)"] = 1e-8
    weight_decay: Annotated[float, "decay of weights"] = 5e-4
    decay_norm: Annotated[str, "l2 or l1: the norm of the weights whose gradient decays them"] = "l2"
    bias_lr_mult: Annotated[float, "learning rate of biases relative to weights"] = 2.0
    bias_decay_mult: Annotated[float, "decay of biases relative to weights"] = 0.0
    lr_in_velocity: Annotated[bool, "Caffe's rule v = m v + lr g; otherwise v = m v + g, w -= lr v"] = True
    clip_norm: Annotated[float, "largest global L2 norm of the gradient; 0: no limit"] = 0.0


@dataclass(frozen=True)
class ScheduleRecipe:
    """The learning rate over the course of training; positions are fractions of its length."""

    name: Annotated[str, "schedule, see `raysweep list schedules`"] = "step"
    gamma: Annotated[float, "factor at each step"] = 0.1
    step_fraction: Annotated[float, "distance between steps"] = 100_000 / 320_000
    power: Annotated[float, "exponent of the polynomial schedule"] = 1.0
    cycles: Annotated[int, "cycles of warm restarts, each twice as long as the one before"] = 3
    warmup_fraction: Annotated[float, "part of one_cycle in which the rate rises in a straight line"] = 0.3
    periods: Annotated[float, "periods of the cosine in linear_cosine"] = 0.5
    alpha: Annotated[float, "added to the straight line of linear_cosine"] = 0.0
    beta: Annotated[float, "added to the product in linear_cosine"] = 0.001
    floor: Annotated[float, "share of the base rate that is reached where the schedule alone would reach 0"] = 0.0


@dataclass(frozen=True)
class TrainingRecipe:
    """Length, batch and arithmetic."""

    epochs: Annotated[float, "passes over the training images used"] = 320_000 * 256 / IMAGENET_TRAIN_IMAGES
    batch_size: Annotated[int, "images per update"] = 256
    accumulate: Annotated[int, "sub-batches whose gradients are averaged into one update"] = 1
    precision: Annotated[str, "float32, or bfloat16: autocast in layers, float32 weights"] = "float32"
    channels_last: Annotated[bool, "memory format of images and convolutions"] = True


@dataclass(frozen=True)
class Recipe:
    """All that decides the numbers of one trial. Where and how fast it runs is not in it."""

    seed: Annotated[int, "seed of order, crops, mirrors, initial weights and dropout"] = 0
    data: DataRecipe = field(default_factory=DataRecipe)
    network: NetworkRecipe = field(default_factory=NetworkRecipe)
    init: InitRecipe = field(default_factory=InitRecipe)
    solver: SolverRecipe = field(default_factory=SolverRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)

    @property
    def length(self) -> Length:
        """How long training is, by the number of images the recipe names."""
        held = round(self.data.train_images * self.data.holdout)
        images = max(1, round((self.data.train_images - held) * self.data.train_fraction))
        return Length(images, self.training.batch_size, self.training.epochs)
