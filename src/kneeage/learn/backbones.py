"""Networks over slices by name: GoogLeNet of our own, and three of MONAI behind the same interface.

MONAI is loaded only where one of its networks is built.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kneeage.learn.networks import GoogLeNet, SliceOutputs
from kneeage.learn.settings import AgeModelSettings, Backbone


class MonaiNetwork(nn.Module):
    """A network of MONAI with the subject's sex joined before the last linear layer; it has no auxiliary heads.

    Args:
        body: Maps slices (S, channels, H, W) to features (S, feature_channels).
        feature_channels: Number of features.
        bins: Age bins.
        dropout: Before the last linear layer.
    """

    def __init__(self, body: nn.Module, feature_channels: int, bins: int, dropout: float) -> None:
        super().__init__()
        self.body = body
        self.dropout = nn.Dropout(dropout)
        self.feature_channels = feature_channels
        self.last = nn.Linear(feature_channels + 1, bins)

    def forward(self, image: Tensor, sex: Tensor) -> Tensor:
        """Map slices (S, channels, H, W) and sex (S, 1) to logits (S, bins)."""
        return self.with_features(image, sex)[0]

    def with_features(self, image: Tensor, sex: Tensor) -> tuple[Tensor, Tensor]:
        """Give the logits (S, bins) and the features before the last layer (S, features)."""
        features = self.dropout(self.body(image))
        return self.last(torch.cat((features, sex), dim=1)), features

    def forward_with_auxiliary(self, image: Tensor, sex: Tensor) -> SliceOutputs:
        """Give the logits and the features; there are no auxiliary heads."""
        return SliceOutputs(*self.with_features(image, sex), ())


def build_backbone(settings: AgeModelSettings, channels: int) -> GoogLeNet | MonaiNetwork:
    """Build the network that the settings name.

    Args:
        settings: Settings of the age model.
        channels: Input channels.
    """
    bins = len(settings.age_edges_years) - 1
    if settings.backbone == "googlenet":
        return GoogLeNet(bins, channels=channels, width=settings.width, norm=settings.norm, dropout=settings.dropout)
    return MonaiNetwork(*_BODIES[settings.backbone](channels), bins, settings.dropout)


def _densenet121(channels: int) -> tuple[nn.Module, int]:
    """Build DenseNet-121 without its last layer. Source: Huang et al. 2017, doi:10.1109/CVPR.2017.243, table 1."""
    from monai.networks.nets.densenet import DenseNet121

    body = DenseNet121(spatial_dims=2, in_channels=channels, out_channels=1)
    body.class_layers.out = nn.Identity()
    return body, 1024


def _efficientnet_b0(channels: int) -> tuple[nn.Module, int]:
    """Build EfficientNet-B0 without its last layer and its own dropout. Source: Tan and Le 2019, arXiv:1905.11946."""
    from monai.networks.nets.efficientnet import EfficientNetBN

    body = EfficientNetBN("efficientnet-b0", pretrained=False, spatial_dims=2, in_channels=channels)
    body.set_swish(memory_efficient=False)  # the other form cannot be exported
    for layer in ("_dropout", "_fc"):
        setattr(body, layer, nn.Identity())
    return body, 1280


def _resnet18(channels: int) -> tuple[nn.Module, int]:
    """Build ResNet-18 without its last layer. Source: He et al. 2016, doi:10.1109/CVPR.2016.90, table 1."""
    from monai.networks.nets.resnet import resnet18

    body = resnet18(
        spatial_dims=2, n_input_channels=channels, conv1_t_stride=2, bias_downsample=False, feed_forward=False
    )
    return body, 512


_BODIES: dict[Backbone, Callable[[int], tuple[nn.Module, int]]] = {
    "densenet121": _densenet121,
    "efficientnet-b0": _efficientnet_b0,
    "resnet18": _resnet18,
}
