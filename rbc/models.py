"""The paper's two networks, layer by layer as Table 1 prints them.

Both take a padded batch: frames (B, K, 31, 31) float32 with the sequence minus its background and zeros after its end,
and lengths (B,) int64. Both answer with logits (B, 2): negative and positive class of the stage. The softmax that
Table 1 prints last is part of the cross-entropy in training and is applied in `rbc.training.predict`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence


def build(model: str, k: int) -> nn.Module:
    """The network of one configuration: ``cnn`` is approach A, ``crnn`` approach B."""
    return ResNet18(k) if model == "cnn" else CRNN()


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with a skip connection (He et al., CVPR 2016); batch norm as there, Table 1 omits it."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        shortcut = [nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)]
        self.skip = nn.Sequential(*shortcut) if stride != 1 or n_in != n_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_in, H, W) to (B, n_out, H / stride, W / stride)."""
        return torch.relu(self.convolutions(x) + self.skip(x))


class ResNet18(nn.Module):
    """Approach A: ResNet-18 with the K frames as input channels (Table 1, left).

    Every ConvBlock halves the picture, the first too, as printed (He et al. keep the first at stride 1).
    Open in Table 1: the pool's stride, here 2 with padding 1 as He et al.; the last layer, printed as
    "1000 x (output feature map)", has the two classes here.
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(k, 64, 7, stride=2, padding=3, bias=False),  # (B, 64, 16, 16)
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),  # (B, 64, 8, 8)
        )
        widths = (64, 64, 128, 256, 512)
        blocks = [nn.Sequential(BasicBlock(a, b, 2), BasicBlock(b, b, 1)) for a, b in zip(widths, widths[1:])]
        self.blocks = nn.Sequential(*blocks)  # (B, 512, 1, 1): 8 > 4 > 2 > 1 > 1
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 2))

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """(B, K, 31, 31) to logits (B, 2); `lengths` is not used: the padding is part of the picture (paper)."""
        return self.head(self.blocks(self.stem(frames)))


class CRNN(nn.Module):
    """Approach B: the same small CNN on each frame (Table 1, right), a GRU of 64, dense layers of 64 and 2.

    The padding never enters: only real frames pass the CNN, and the GRU runs over packed sequences.
    Open in Table 1: the pool's stride, here 3 as its size; what leads from the last convolution to the vector per
    frame, here nothing but flattening, as no further layer is printed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),  # (F, 8, 31, 31), F frames of the whole batch
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 32, 2, padding=1),  # (F, 32, 32, 32)
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 2, padding=1),  # (F, 64, 33, 33)
            nn.MaxPool2d(3),  # (F, 64, 11, 11); before the ReLU of Table 1, not after: the same result, sooner
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 128, 3, padding=1),  # (F, 128, 11, 11)
            nn.ReLU(inplace=True),
            nn.Flatten(),  # (F, 15488)
        )
        self.gru = nn.GRU(128 * 11 * 11, 64, batch_first=True)
        self.head = nn.Sequential(nn.Linear(64, 64), nn.ReLU(inplace=True), nn.Linear(64, 2))

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """(B, K, 31, 31) with `lengths` (B,) to logits (B, 2)."""
        b, k = frames.shape[:2]
        places = torch.arange(b * k, device=frames.device).view(b, k)  # of each frame in the flattened batch
        order = pack_padded_sequence(places, lengths.cpu(), batch_first=True, enforce_sorted=False)
        pictures = frames.flatten(0, 1)[order.data][:, None]  # (F, 1, 31, 31), real frames only
        vectors = self.features(pictures.contiguous(memory_format=torch.channels_last))  # (F, 15488)
        _, context = self.gru(order._replace(data=vectors))  # (1, B, 64): the state after each last real frame
        return self.head(context[0])
