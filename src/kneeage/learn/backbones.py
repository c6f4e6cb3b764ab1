"""Networks over slices by name: GoogLeNet of our own, and three of MONAI behind the same interface.

MONAI is loaded only where one of its networks is built.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kneeage.learn.networks import GoogLeNet, SliceOutputs, build_head
from kneeage.learn.settings import AgeModelSettings, Backbone


class MonaiNetwork(nn.Module):
    """A network of MONAI with the subject's facts joined before the head; it has no auxiliary heads.

    Args:
        body: Maps slices (S, channels, H, W) to features (S, feature_channels).
        feature_channels: Number of features.
        bins: Age bins, or whatever the head answers.
        dropout: Before the last linear layer.
        facts: Number of facts.
        hidden: Units of a hidden layer in the head; ``None``: the head is linear.
    """

    def __init__(
        self,
        body: nn.Module,
        feature_channels: int,
        bins: int,
        dropout: float,
        *,
        facts: int = 1,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        self.body = body
        self.dropout = nn.Dropout(dropout)
        self.feature_channels = feature_channels
        self.last = build_head(feature_channels + facts, bins, hidden, dropout)

    def forward(self, image: Tensor, facts: Tensor) -> Tensor:
        """Map slices (S, channels, H, W) and facts (S, facts) to logits (S, bins)."""
        return self.judged(self.features(image), facts)

    def features(self, image: Tensor) -> Tensor:
        """Map slices (S, channels, H, W) to features (S, features)."""
        return self.dropout(self.body(image))  # type: ignore[no-any-return]

    def judged(self, features: Tensor, facts: Tensor) -> Tensor:
        """Map features (N, features), of slices or of subjects, and facts (N, facts) to logits (N, bins)."""
        return self.last(torch.cat((features, facts), dim=1))  # type: ignore[no-any-return]

    def forward_with_auxiliary(self, image: Tensor, facts: Tensor) -> SliceOutputs:
        """Give the logits and the features; there are no auxiliary heads."""
        features = self.features(image)
        return SliceOutputs(self.judged(features, facts), features, ())


class NoImage(nn.Module):
    """Sees nothing: no feature of any slice (S, channels, H, W), shape (S, 0)."""

    def forward(self, image: Tensor) -> Tensor:
        """Give no features."""
        return image.new_zeros(len(image), 0)


def build_backbone(settings: AgeModelSettings, channels: int, outputs: int, facts: int) -> GoogLeNet | MonaiNetwork:
    """Build the network that the settings name.

    Args:
        settings: Settings of the age model.
        channels: Input channels.
        outputs: What the head answers.
        facts: Number of facts.
    """
    hidden = settings.head_channels if settings.head == "hidden" else None
    if settings.backbone == "googlenet":
        return GoogLeNet(
            outputs,
            channels=channels,
            width=settings.width,
            norm=settings.norm,
            dropout=settings.dropout,
            facts=facts,
            hidden=hidden,
        )
    return MonaiNetwork(*_BODIES[settings.backbone](channels), outputs, settings.dropout, facts=facts, hidden=hidden)


def _densenet121(channels: int) -> tuple[nn.Module, int]:
    """Build DenseNet-121 without its last layer. Source: Huang et al. 2017, doi:10.1109/CVPR.2017.243, table 1."""
    from monai.networks.nets.densenet import DenseNet121

    body = DenseNet121(spatial_dims=2, in_channels=channels, out_channels=1)
    body.class_layers.out = nn.Identity()
    return body, 1024


def _efficientnet_b0(channels: int) -> tuple[nn.Module, int]:
    """Build EfficientNet-B0 without its last layer and its own dropout. Source: Tan and Le 2019, arXiv:1905.11946."""
    from monai.networks.nets.efficientnet import EfficientNetBN

    # MONAI's momentum of 0.01 wants thousands of steps: until then the stored variances are mostly those of the start.
    norm = ("batch", {"eps": 1e-3, "momentum": 0.1})
    body = EfficientNetBN("efficientnet-b0", pretrained=False, spatial_dims=2, in_channels=channels, norm=norm)
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
    "none": lambda _: (NoImage(), 0),
}
