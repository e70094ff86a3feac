"""Do the recommendations hold, each against its opposite?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), conclusions.
Published finding: the list of recommendations itself.
Cost: 19 trials per seed of up to 64 epochs.

`do_` is the recommendation, `dont_` its opposite unless that is the baseline. The paper's last recommendation, to be
careful with changes to highly optimised networks, cannot be tested with a variant of CaffeNet.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import BN, INPUT_BN, LINEAR, act, batch, head, images, input_net, pool, sides
from raysweep.study import Study, Times, Variant

_HALF_SIZE = sides(64, 73)

STUDY = Study(
    name="take_home",
    question="Do the recommendations hold, each against its opposite?",
    paper="Mishkin et al. 2017, conclusions",
    finding="ELU without, ReLU with normalisation; a learned colour space; linear decay; max + average pooling.",
    baseline="baseline",
    variants=(
        Variant("baseline", {}, "ReLU, RGB, steps, max pooling, fully connected classifier, batch 256"),
        Variant("do_elu_without_bn", act("elu"), "ELU without batch normalisation"),
        Variant("dont_tanh_without_bn", act("tanh"), "tanh without batch normalisation"),
        Variant("do_relu_with_bn", BN, "ReLU with batch normalisation"),
        Variant("dont_elu_with_bn", BN | act("elu"), "ELU with batch normalisation"),
        Variant("do_learned_colorspace", input_net("vlrelu_10_3"), "a learned colour space"),
        Variant("dont_hsv", INPUT_BN | {"data.preprocess": "hsv"}, "a hand-designed colour space"),
        Variant("do_linear_decay", LINEAR, "linear decay to zero"),
        Variant("dont_square_decay", {"schedule.name": "poly", "schedule.power": 2.0}, "quadratic decay to zero"),
        Variant("do_max_plus_average", pool("max_plus_average"), "sum of maximum and average pooling"),
        Variant("dont_average", pool("average"), "only average pooling"),
        Variant("do_scale_lr_with_batch", batch(1024, 4), "4 times the batch with 4 times the rate"),
        Variant("dont_keep_lr", batch(1024), "4 times the batch at the same rate"),
        Variant("do_average_predictions", head("c3_c1_clf_avepool"), "convolutions, predictions averaged"),
        Variant("dont_average_features", head("c3_avepool_fc"), "features averaged before the classifier"),
        Variant(
            "do_smaller_stride",
            _HALF_SIZE | {"network.stem_kernel": Times(5 / 11), "network.stem_stride": Times(1 / 2)},
            "half the image size with half the stride of the first layer",
        ),
        Variant("dont_keep_stride", _HALF_SIZE, "half the image size at the same stride"),
        Variant("do_clean_labels", images(800), "two thirds of the images, all labels right"),
        Variant("dont_noisy_labels", {"data.label_noise": 0.15}, "all images, 15 % of the labels wrong"),
    ),
)
