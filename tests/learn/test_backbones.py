"""Backbones: published parameter counts, and one interface for all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch

from kneeage.learn.backbones import build_backbone
from kneeage.learn.settings import AgeModelSettings, Backbone

# Source: the papers' networks for 1,000 classes as torchvision has them (densenet121, efficientnet_b0, resnet18).
PUBLISHED_PARAMETERS = {"densenet121": 7_978_856, "efficientnet-b0": 5_288_548, "resnet18": 11_689_512}
TINY = AgeModelSettings(width=0.125, age_edges_years=(10, 11, 12, 13))
BACKBONES = get_args(Backbone)


@pytest.mark.parametrize("name", sorted(PUBLISHED_PARAMETERS))
def test_backbone_has_the_published_parameters(name: Backbone) -> None:
    network = build_backbone(replace(TINY, backbone=name), channels=3, outputs=1000, facts=1)
    of_the_sex = 1000
    assert sum(parameter.numel() for parameter in network.parameters()) - of_the_sex == PUBLISHED_PARAMETERS[name]


@pytest.mark.parametrize("name", BACKBONES)
def test_backbones_share_an_interface(name: Backbone) -> None:
    network = build_backbone(replace(TINY, backbone=name), channels=2, outputs=3, facts=2).eval()
    image, facts = torch.randn(2, 2, 64, 64), torch.tensor([[0.0, 2.0], [1.0, -1.0]])
    outputs = network.forward_with_auxiliary(image, facts)
    assert outputs.logits.shape == (2, 3)
    assert outputs.features.shape == (2, network.feature_channels)
    assert len(outputs.auxiliary) == (2 if name == "googlenet" else 0)
    features = network.features(image)
    torch.testing.assert_close((outputs.logits, outputs.features), (network(image, facts), features))
    joined = torch.cat((features, facts), dim=1) @ network.last.weight.T + network.last.bias
    torch.testing.assert_close(outputs.logits, joined)


def test_a_hidden_head_lets_facts_change_what_an_image_means() -> None:
    network = build_backbone(replace(TINY, backbone="resnet18", head="hidden"), channels=1, outputs=3, facts=1).eval()
    one, other = torch.zeros(1, 512), torch.rand(1, 512)
    steps = [network.judged(other, sex) - network.judged(one, sex) for sex in (torch.zeros(1, 1), torch.ones(1, 1))]
    assert not torch.allclose(*steps)


@pytest.mark.parametrize("name", [name for name in BACKBONES if name != "none"])
def test_stored_statistics_follow_a_short_training(name: Backbone) -> None:
    network = build_backbone(replace(TINY, backbone=name), channels=1, outputs=3, facts=1)
    layer = next(module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d))
    seen: list[torch.Tensor] = []
    layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    image = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        for _ in range(50):
            network.features(image)
    torch.testing.assert_close(layer.running_mean, seen[0].mean((0, 2, 3)), rtol=0.02, atol=0.02)
    torch.testing.assert_close(layer.running_var, seen[0].var((0, 2, 3)), rtol=0.02, atol=0.02)
