"""Our networks: two U-Nets (built by MONAI) and GoogLeNet with any number of input channels.

MONAI is loaded only where a U-Net is built: GoogLeNet is trained and served without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kneeage.core.errors import UsageError
from kneeage.learn.settings import Architecture, Norm

# Channels per unit of the published layout that survive any width factor; convolutions run best on multiples of 8.
_CHANNEL_STEP = 8


# Levels of the classic U-Net.
_CLASSIC_LEVELS = 5


def build_unet(
    widths: Sequence[int], labels: int, channels: int = 1, architecture: Architecture = "light"
) -> nn.Module:
    """Build a U-Net with batch norm: two 3x3 convolutions per level and direction.

    Args:
        widths: Channels of each level, finest first; six levels see a whole knee at once.
        labels: Output channels.
        channels: Input channels.
        architecture: ``"light"`` halves the image by strided convolutions. ``"classic"`` halves it by maximum pools and
            has five levels. Source: Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28, figure 1 (widths 64 to
            1024); here convolutions are padded and followed by batch norm, and the last upsampling keeps its channels.

    Returns:
        A network (N, channels, H, W) -> logits (N, labels, H, W), H and W multiples of ``2 ** (len(widths) - 1)``.

    Raises:
        UsageError: The architecture does not come with so many levels.
    """
    if architecture == "classic":
        return _classic_unet(widths, labels, channels)
    return _light_unet(widths, labels, channels)


def _light_unet(widths: Sequence[int], labels: int, channels: int) -> nn.Module:
    """Build the U-Net that serving can afford."""
    from monai.networks.nets.dynunet import DynUNet

    levels = len(widths)
    if levels < 3:
        raise UsageError(f"the U-Net needs three levels or more; found widths {tuple(widths)}")
    return DynUNet(
        spatial_dims=2,
        in_channels=channels,
        out_channels=labels,
        kernel_size=[3] * levels,
        strides=[1] + [2] * (levels - 1),
        upsample_kernel_size=[2] * (levels - 1),
        filters=list(widths),
        norm_name=("batch", {"affine": True}),
        act_name=("relu", {"inplace": True}),
    )


def _classic_unet(widths: Sequence[int], labels: int, channels: int) -> nn.Module:
    """Build the U-Net of 2015."""
    from monai.networks.nets.basic_unet import BasicUNet

    if len(widths) != _CLASSIC_LEVELS:
        raise UsageError(f"the classic U-Net has {_CLASSIC_LEVELS} levels; found widths {tuple(widths)}")
    return BasicUNet(
        spatial_dims=2,
        in_channels=channels,
        out_channels=labels,
        features=(*widths, widths[0]),
        act=("relu", {"inplace": True}),
        norm=("batch", {"affine": True}),
        bias=False,
    )


class SliceOutputs(NamedTuple):
    """What a network over slices gives in training.

    Args:
        logits: Shape (S, bins).
        features: What the head sees beside the facts, shape (S, features).
        auxiliary: Logits of the auxiliary heads, each (S, bins); empty where the network has none.
    """

    logits: Tensor
    features: Tensor
    auxiliary: tuple[Tensor, ...]


@dataclass(frozen=True)
class InceptionWidths:
    """Channels of one inception module: one row of the published table.

    Source: Szegedy et al. 2015, doi:10.1109/CVPR.2015.7298594, table 1.
    """

    direct: int
    reduce3: int
    out3: int
    reduce5: int
    out5: int
    pooled: int

    @property
    def out(self) -> int:
        """Channels that leave the module."""
        return self.direct + self.out3 + self.out5 + self.pooled

    def scaled(self, width: float) -> InceptionWidths:
        """Multiply all channels."""
        return InceptionWidths(*(scaled(channels, width) for channels in vars(self).values()))


# Source: as above, table 1; the maximum pools stand before 4a and 5a, the auxiliary heads behind 4a and 4d.
INCEPTION_TABLE = {
    "3a": InceptionWidths(64, 96, 128, 16, 32, 32),
    "3b": InceptionWidths(128, 128, 192, 32, 96, 64),
    "4a": InceptionWidths(192, 96, 208, 16, 48, 64),
    "4b": InceptionWidths(160, 112, 224, 24, 64, 64),
    "4c": InceptionWidths(128, 128, 256, 24, 64, 64),
    "4d": InceptionWidths(112, 144, 288, 32, 64, 64),
    "4e": InceptionWidths(256, 160, 320, 32, 128, 128),
    "5a": InceptionWidths(256, 160, 320, 32, 128, 128),
    "5b": InceptionWidths(384, 192, 384, 48, 128, 128),
}


def scaled(channels: int, width: float) -> int:
    """Multiply a number of channels and round it to a multiple of 8, at least 8; a factor of 1 changes nothing."""
    if width == 1:
        return channels
    return max(_CHANNEL_STEP, round(channels * width / _CHANNEL_STEP) * _CHANNEL_STEP)


class ConvUnit(nn.Sequential):
    """Convolution, batch norm (or a bias), ReLU."""

    def __init__(self, channels: int, out: int, kernel: int, *, stride: int = 1, norm: Norm = "batch") -> None:
        convolution = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=norm == "none")
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        normalised = [nn.BatchNorm2d(out)] if norm == "batch" else []
        super().__init__(convolution, *normalised, nn.ReLU(inplace=True))


class Inception(nn.Module):
    """Four branches side by side, joined along the channels."""

    def __init__(self, channels: int, widths: InceptionWidths, norm: Norm = "batch") -> None:
        super().__init__()
        self.direct = ConvUnit(channels, widths.direct, 1, norm=norm)
        self.three = nn.Sequential(
            ConvUnit(channels, widths.reduce3, 1, norm=norm), ConvUnit(widths.reduce3, widths.out3, 3, norm=norm)
        )
        self.five = nn.Sequential(
            ConvUnit(channels, widths.reduce5, 1, norm=norm), ConvUnit(widths.reduce5, widths.out5, 5, norm=norm)
        )
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), ConvUnit(channels, widths.pooled, 1, norm=norm))

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, widths.out, H, W)."""
        return torch.cat((self.direct(image), self.three(image), self.five(image), self.pooled(image)), dim=1)


class AuxiliaryHead(nn.Module):
    """A classifier on an inner feature map, for training only.

    Source: Szegedy et al. 2015, section 5: 128 1x1 filters, 1024 units, dropout 0.7. The 4x4 pooling is adaptive
    here, so that it fits any region.
    """

    def __init__(self, channels: int, bins: int, width: float, norm: Norm, facts: int = 1) -> None:
        super().__init__()
        reduced, units = scaled(128, width), scaled(1024, width)
        self.features = nn.Sequential(
            nn.AdaptiveAvgPool2d(4),
            ConvUnit(channels, reduced, 1, norm=norm),
            nn.Flatten(),  # (N, 16 * reduced)
            nn.Linear(16 * reduced, units),
            nn.ReLU(inplace=True),
            nn.Dropout(0.7),
        )
        self.last = nn.Linear(units + facts, bins)

    def forward(self, image: Tensor, facts: Tensor) -> Tensor:
        """Map (N, channels, H, W) and facts (N, facts) to logits (N, bins)."""
        return self.last(torch.cat((self.features(image), facts), dim=1))  # type: ignore[no-any-return]


def build_head(channels: int, outputs: int, hidden: int | None, dropout: float) -> nn.Module:
    """Build what turns features and facts into logits: one linear layer, or two with ``hidden`` units between them."""
    if hidden is None:
        return nn.Linear(channels, outputs)
    return nn.Sequential(
        nn.Linear(channels, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout), nn.Linear(hidden, outputs)
    )


class GoogLeNet(nn.Module):
    """GoogLeNet over slices, with facts of the subject (alone: its sex) joined before the head.

    Args:
        bins: Age bins, or whatever the head answers.
        channels: Input channels.
        width: Factor on all channels; 1 is the published layout.
        norm: ``"batch"`` normalises after each convolution (Ioffe and Szegedy 2015, arXiv:1502.03167); ``"none"`` is
            the plain network with local response normalisation.
        dropout: Before the last linear layer.
        facts: Number of facts.
        hidden: Units of a hidden layer in the head; ``None``: the head is linear.

    Source: Szegedy et al. 2015. The parameters that their table 1 prints add up to 6.96 million; the plain network has
    6,998,552 for 1,000 classes without auxiliary heads and sex, as bvlc_googlenet of the Caffe model zoo has.
    """

    def __init__(
        self,
        bins: int,
        *,
        channels: int = 3,
        width: float = 1.0,
        norm: Norm = "batch",
        dropout: float = 0.4,
        facts: int = 1,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        table = {name: row.scaled(width) for name, row in INCEPTION_TABLE.items()}
        self.stem = _stem(channels, scaled(64, width), scaled(192, width), norm)
        self.first = (
            _stages(table, ("3a", "3b"), scaled(192, width), norm)
            .extend((_pool(),))
            .extend(_stages(table, ("4a",), table["3b"].out, norm))
        )
        self.second = _stages(table, ("4b", "4c", "4d"), table["4a"].out, norm)
        self.third = (
            _stages(table, ("4e",), table["4d"].out, norm)
            .extend((_pool(),))
            .extend(_stages(table, ("5a", "5b"), table["4e"].out, norm))
        )
        self.summary = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))
        self.feature_channels = table["5b"].out
        self.last = build_head(self.feature_channels + facts, bins, hidden, dropout)
        self.auxiliary = nn.ModuleList(
            AuxiliaryHead(table[name].out, bins, width, norm, facts) for name in ("4a", "4d")
        )

    def forward(self, image: Tensor, facts: Tensor) -> Tensor:
        """Map slices (S, channels, H, W) and facts (S, facts) to logits (S, bins)."""
        return self.judged(self.features(image), facts)

    def features(self, image: Tensor) -> Tensor:
        """Map slices (S, channels, H, W) to features (S, features)."""
        return self.summary(self.third(self.second(self.first(self.stem(image)))))  # type: ignore[no-any-return]

    def judged(self, features: Tensor, facts: Tensor) -> Tensor:
        """Map features (N, features), of slices or of subjects, and facts (N, facts) to logits (N, bins)."""
        return self.last(torch.cat((features, facts), dim=1))  # type: ignore[no-any-return]

    def forward_with_auxiliary(self, image: Tensor, facts: Tensor) -> SliceOutputs:
        """Give the logits of the network and of its two auxiliary heads."""
        after_4a = self.first(self.stem(image))
        after_4d = self.second(after_4a)
        features = self.summary(self.third(after_4d))  # (S, C, h, w) -> (S, C)
        inner, outer = self.auxiliary
        auxiliary = (inner(after_4a, facts), outer(after_4d, facts))
        return SliceOutputs(self.judged(features, facts), features, auxiliary)


def _stem(channels: int, first: int, second: int, norm: Norm) -> nn.Sequential:
    """Build the layers before the first inception module: (N, channels, H, W) -> (N, second, H / 8, W / 8)."""
    return nn.Sequential(
        ConvUnit(channels, first, 7, stride=2, norm=norm),
        _pool(),
        *_response_norm(norm),
        ConvUnit(first, first, 1, norm=norm),
        ConvUnit(first, second, 3, norm=norm),
        *_response_norm(norm),
        _pool(),
    )


def _stages(table: dict[str, InceptionWidths], names: Sequence[str], channels: int, norm: Norm) -> nn.Sequential:
    """Chain inception modules."""
    modules = nn.Sequential()
    for name in names:
        modules.append(Inception(channels, table[name], norm))
        channels = table[name].out
    return modules


def _pool() -> nn.MaxPool2d:
    """Halve the image, rounding up."""
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _response_norm(norm: Norm) -> list[nn.Module]:
    """Local response normalisation, in the plain network only.

    Source: Krizhevsky et al. 2012, section 3.3 (n = 5, alpha = 1e-4, beta = 0.75), which the 2015 paper refers to.
    """
    return [nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)] if norm == "none" else []
