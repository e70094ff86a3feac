"""The own values of networks change nothing in them: all classifiers of torchvision, forty networks of timm."""

from __future__ import annotations

import pytest
import torch

from raysweep.cost import find_cost
from raysweep.errors import InapplicableError
from raysweep.networks.packages import torchvision_names
from raysweep.recipe import Recipe
from tests.nn.surgery.outside_networks import assert_nothing_changes, built, named, replaced

TIMM = (
    "cait_xxs24_224",
    "coat_tiny",
    "convit_tiny",
    "convnext_atto",
    "convnextv2_atto",
    "cs3darknet_focus_s",
    "davit_tiny",
    "deit_tiny_patch16_224",
    "densenet121",
    "dla34",
    "edgenext_xx_small",
    "efficientformer_l1",
    "efficientnet_b0",
    "efficientvit_b0",
    "ese_vovnet19b_dw",
    "fastvit_t8",
    "ghostnet_050",
    "gmlp_ti16_224",
    "hardcorenas_a",
    "hgnet_tiny",
    "hrnet_w18_small",
    "inception_v3",
    "lcnet_050",
    "levit_128s",
    "mixer_s32_224",
    "mnasnet_small",
    "mobilenetv3_small_050",
    "mobilevit_xxs",
    "nf_resnet26",
    "poolformer_s12",
    "pvt_v2_b0",
    "regnety_002",
    "repvgg_a0",
    "res2net50_14w_8s",
    "resnet10t",
    "resnest14d",
    "rexnet_100",
    "skresnet18",
    "swin_tiny_patch4_window7_224",
    "tinynet_e",
    "vgg11_bn",
    "vit_tiny_patch16_224",
    "xception41",
    "xcit_nano_12_p16_224",
)
NAMES = [*(f"torchvision:{name}" for name in torchvision_names()), *(f"timm:{name}" for name in TIMM)]
pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("name", NAMES)
def test_its_own_values_change_nothing(name: str) -> None:
    assert_nothing_changes(name)


def omitted(recipe: Recipe) -> str:
    """The reason why a plan leaves the recipe out; empty if it does not."""
    try:
        find_cost(recipe)
    except InapplicableError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", NAMES[::4])
@pytest.mark.parametrize(
    "factors",
    [
        {"activation": "prelu"},
        {"norm": "batch"},
        {"norm": "batch_affine", "norm_position": "after"},
        {"pooling": "average"},
        {"dropout": 0.3},
        {"bias": False},
        {"input_net": "maxout_10_3"},
    ],
    ids=lambda factors: "-".join(map(str, factors.values())),
)
def test_a_factor_is_replaced_and_the_network_runs_or_the_reason_names_it(
    name: str, factors: dict[str, object]
) -> None:
    recipe = named(name, **factors)
    if reason := omitted(recipe):
        assert name in reason
        return
    assert replaced(recipe) or recipe == named(name)
    images = torch.empty(2, *recipe.data.shape, device="meta")
    assert built(recipe, "meta").train()(images).shape == (2, 1000)
