"""Which architecture?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228); a table in their repository.
Published finding: VGG-16 (65.1) and residual GoogLeNet (63.8) are far better than CaffeNet (47.1) at 128 px.
Cost: 28 trials per seed of 34 to 128 epochs.

Not documented:
- the rate and weight decay of most rows; here the protocol's, except a decay of 0.0002 for GoogLeNet, as in the files
  of its normalised forms, and 0.04 and 0.0002 for SqueezeNet's newer solver, as in its release;
- whether the plain GoogLeNet had auxiliary heads; here it has, as the forms tested at them must;
- the schedule of the lim0606 form; here linear.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import (
    EXP_160K,
    FC4096_LRN_224,
    FC4096_LRN_224_NOTE,
    GOOGLENET,
    GOOGLENET_LIM0606,
    GOOGLENET_RES,
    HALF_BATCH_SAME_UPDATES,
    HALF_EPOCHS_NOTE,
    LINEAR,
    TEST_BATCH_NOTE,
    act,
    fc_widths,
    googlenet_bn,
    head,
    input_net,
    net,
    published,
    sides,
    updates,
)
from raysweep.study import Study, Times, Variant

_SQUEEZENET = net("squeezenet1_0") | head("padded_clf_act_avepool") | LINEAR
_NEW_SOLVER = _SQUEEZENET | {"solver.lr": Times(4), "solver.weight_decay": 2e-4}
_NEW_SOLVER_224 = _NEW_SOLVER | sides(224, 256)
_170K_NOTE = "170,000 updates, so 34 epochs"
_LARGE = sides(227, 256) | fc_widths(4096)
_GOOGLENET_COLOR = GOOGLENET_RES | input_net("vlrelu_10_3")

STUDY = Study(
    name="architecture",
    question="Which architecture?",
    paper="Mishkin et al. 2017, repository",
    finding="VGG-16 and GoogLeNet with skips are far better than CaffeNet.",
    baseline="caffenet128",
    variants=(
        Variant("caffenet128", net("caffenet"), "the baseline"),
        Variant("caffenet128_fc4096", fc_widths(4096), "hidden layers of 4096"),
        Variant("caffenet128_nogroup", {"network.groups": False}, "no groups in the convolutions"),
        Variant("caffenet128_spp3", head("spp3_fc"), "pyramid pooling with 1x1, 2x2 and 4x4 bins"),
        *published(
            "caffenet128_conv_dropout",
            {"network.conv_dropout": (0.0, 0.1, 0.1, 0.2, 0.0)},
            HALF_BATCH_SAME_UPDATES,
            "dropout of 0.1, 0.1 and 0.2 after conv2, conv3 and conv4",
            HALF_EPOCHS_NOTE,
        ),
        Variant("squeezenet128", _SQUEEZENET, "SqueezeNet 1.0, linear decay to zero"),
        Variant("squeezenet128_elu", _SQUEEZENET | act("elu"), "SqueezeNet 1.0 with ELU"),
        *published(
            "squeezenet128_new_solver",
            _NEW_SOLVER,
            {"training.batch_size": Times(2), "training.epochs": Times(2 * 170 / 320)},
            "SqueezeNet 1.0 with the rate and decay of its release",
            "batch 512 for 170,000 updates, so 68 epochs",
        ),
        *published("squeezenet224_new_solver", _NEW_SOLVER_224, updates(170), "the same at 224 px", _170K_NOTE),
        Variant("nin128", net("nin"), "network in network"),
        Variant("googlenet128", GOOGLENET, "GoogLeNet with auxiliary heads"),
        Variant("googlenet128_res", GOOGLENET_RES, "GoogLeNet with skips around modules of its stages 4 and 5"),
        Variant("googlenet128_res_color", _GOOGLENET_COLOR, "the same with a learned colour space of 10 and 3 units"),
        Variant(
            "googlenet128_res_color_aux2",
            _GOOGLENET_COLOR | {"network.aux_tested": 2},
            "the same, tested at the auxiliary head after 4d",
        ),
        Variant(
            "googlenet128_res_color_aux1",
            _GOOGLENET_COLOR | {"network.aux_tested": 1},
            "the same, tested at the auxiliary head after 4a",
        ),
        *published(
            "googlenet128_bn_after",
            googlenet_bn("after", "batch"),
            {"network.norm": "batch_current"},
            "GoogLeNet with batch normalisation after the non-linearity",
            TEST_BATCH_NOTE,
        ),
        Variant("googlenet128_bn_lim0606", GOOGLENET_LIM0606, "Inception with batch normalisation; batch 128"),
        Variant("darknet128_bn", net("darknet128") | EXP_160K, "Darknet with PReLU, the faster schedule"),
        Variant("henet128_2x2", net("henet128_2x2"), "model J of He & Sun with a plain pooling and VLReLU"),
        Variant("henet128_3x1", net("henet128_3x1"), "the same with 3x1 and 1x3 instead of 2x2"),
        Variant("fitnet1_elu", net("fitnet1_128") | act("elu"), "FitNet-1 behind CaffeNet's conv1, with ELU"),
        Variant("vgg16_128", net("vgg16"), "VGG-16"),
        *published("caffenet256", _LARGE, FC4096_LRN_224, "CaffeNet at 227 px, fc 4096", FC4096_LRN_224_NOTE),
    ),
)
