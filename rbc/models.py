"""The paper's two networks, layer by layer as Table 1 prints them, and the shapes that others take for them.

Both take a padded batch: frames (B, K, 31, 31) float32 with the sequence minus its background and zeros after its end,
and lengths (B,) int64. Both answer with logits (B, 2): negative and positive class of the stage. The softmax that
Table 1 prints last is part of the cross-entropy in training and is applied in `rbc.training.predict`.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from rbc import RbcError


def build(network: str, k: int) -> nn.Module:
    """A network by name: ``cnn`` is approach A, ``crnn`` approach B. Raises `RbcError` for an unknown name."""
    if network not in NETWORKS:
        raise RbcError(f"network is {network!r}: choose one of {', '.join(NETWORKS)}")
    return NETWORKS[network](k)


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

    Every ConvBlock halves the picture, the first too, as printed; torchvision and He et al. keep the first at stride 1
    (`first_stride`).
    Open in Table 1: the pool's stride, here 2 with padding 1 as He et al.; the last layer, printed as
    "1000 x (output feature map)", has the two classes here.
    """

    def __init__(self, k: int, first_stride: int = 2) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(k, 64, 7, stride=2, padding=3, bias=False),  # (B, 64, 16, 16)
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),  # (B, 64, 8, 8)
        )
        widths = (64, 64, 128, 256, 512)
        strides = (first_stride, 2, 2, 2)
        blocks = [
            nn.Sequential(BasicBlock(a, b, s), BasicBlock(b, b, 1)) for a, b, s in zip(widths, widths[1:], strides)
        ]
        self.blocks = nn.Sequential(*blocks)  # (B, 512, 1, 1): 8 > 4 > 2 > 1 > 1, as printed
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 2))

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """(B, K, 31, 31) to logits (B, 2); `lengths` is not used: the padding is part of the picture (paper)."""
        return self.head(self.blocks(self.stem(frames)))


class StripResNet18(ResNet18):
    """Stage 2 as the authors' released notebook shows it: all frames side by side, as one colour picture.

    Departures from that notebook: fresh weights, where it starts from ImageNet's; 18 layers as its code names them,
    where the network that it prints has 50.
    """

    def __init__(self, k: int) -> None:
        super().__init__(3, first_stride=1)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """(B, K, 31, 31) to logits (B, 2), by way of a strip (B, 3, 31, 31 K)."""
        strip = frames.transpose(1, 2).flatten(2)[:, None].expand(-1, 3, -1, -1)
        return super().forward(strip, lengths)


def real_frames(frames: Tensor, lengths: Tensor) -> PackedSequence:
    """The frames that are no padding, first frames of all sequences first: packed (F, 1, 31, 31), channels last."""
    b, k = frames.shape[:2]
    places = torch.arange(b * k, device=frames.device).view(b, k)  # of each frame in the flattened batch
    order = pack_padded_sequence(places, lengths.cpu(), batch_first=True, enforce_sorted=False)
    pictures = frames.flatten(0, 1)[order.data][:, None]
    return order._replace(data=pictures.contiguous(memory_format=torch.channels_last))


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
        real = real_frames(frames, lengths)
        _, context = self.gru(real._replace(data=self.features(real.data)))  # (1, B, 64): after each last real frame
        return self.head(context[0])


class StepNorm(nn.BatchNorm2d):
    """Batch norm of K steps at once, each by its own mean and variance, as when the network is called step by step."""

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """(F, C, H, W) to the same shape. The running averages are updated once a step.

        counts: (K, F) float32, of how many equal pictures of the step a picture is the one that is here, mostly 1; 0 if
        it is none of the step's.
        """
        if not self.training:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            x, counts = x.to(self.weight), counts.to(self.weight)
            own, n = (counts > 0).to(x).T, counts.sum(1, keepdim=True)
            var, mean = torch.var_mean(x, (2, 3), correction=0)  # (F, C)
            centre = counts @ mean / n  # (K, C)
            var = counts @ (var + (mean - own @ centre) ** 2) / n
            n = n * x[0, 0].numel()
            for step in zip(centre.detach(), (var * n / (n - 1)).detach()):
                self.running_mean.lerp_(step[0], self.momentum)
                self.running_var.lerp_(step[1], self.momentum)
            self.num_batches_tracked += len(n)
            scale = self.weight * (var + self.eps).rsqrt()
            scale, shift = own @ scale, own @ (self.bias - centre * scale)
            return torch.addcmul(shift[:, :, None, None], x, scale[:, :, None, None])


class ReleasedCRNN(nn.Module):
    """Approach B as the authors released it, from its description: wider, batch norm, a second pool, two GRUs of 256.

    Padded, as released, it runs over the zeros after a sequence's end, and each step has its own batch norm, since it
    is called frame by frame there; of a step's equal padding only one picture passes the CNN (the same result, sooner).
    Masked, the padding enters neither. Open in the description: the kernels' sides and the first pool, here as Table 1;
    where batch norm stands (here after each convolution) and the second pool (here last); and the dense layers, here as
    in the text.
    """

    def __init__(self, masked: bool) -> None:
        super().__init__()
        norm = nn.BatchNorm2d if masked else StepNorm
        shapes = ((1, 16, 3), (16, 64, 2), (64, 128, 2), (128, 256, 3))
        self.masked = masked
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, side, padding=1) for a, b, side in shapes)
        self.norms = nn.ModuleList(norm(b) for _, b, _ in shapes)
        self.grus = nn.ModuleList([nn.GRU(256 * 3 * 3, 256), nn.GRU(256, 256)])
        self.head = nn.Sequential(nn.Linear(256, 64), nn.ReLU(inplace=True), nn.Linear(64, 2))

    def features(self, pictures: Tensor, *counts: Tensor) -> Tensor:
        """(F, 1, 31, 31) to (F, 2304)."""
        x = pictures.contiguous(memory_format=torch.channels_last)
        for number, (convolution, norm) in enumerate(zip(self.convolutions, self.norms)):
            x = norm(convolution(x), *counts)
            if number >= 2:  # 33 > 11, and 11 > 3; before the ReLU: the same result, sooner
                x = nn.functional.max_pool2d(x, 3)
            x = x.relu_()
        return x.flatten(1)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """(B, K, 31, 31) with `lengths` (B,) to logits (B, 2)."""
        if self.masked:
            real = real_frames(frames, lengths)
            states, _ = self.grus[0](real._replace(data=self.features(real.data)))
        else:
            states, _ = self.grus[0](self._padded(frames.transpose(0, 1), lengths))
        _, context = self.grus[1](states)
        return self.head(context[0])

    def _padded(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """(K, B, 31, 31) to (K, B, 2304); of a step's padding only the first picture passes the CNN."""
        padding = torch.arange(len(frames), device=frames.device)[:, None] >= lengths
        if (frames[padding] != frames[padding][:1]).any():  # black: each sequence has its own
            padding = torch.zeros_like(padding)
        first = padding & (padding.cumsum(1) == 1)
        kept = first | ~padding
        counts = torch.where(first, padding.sum(1, keepdim=True), 1)[kept].float()
        counts = counts * (kept.nonzero()[:, 0] == torch.arange(len(frames), device=frames.device)[:, None])
        vectors = self.features(frames[kept][:, None], counts)
        place = kept.flatten().cumsum(0).view_as(kept) - 1
        return vectors[torch.where(padding, (place * first).sum(1, keepdim=True), place)]


NETWORKS = {
    "cnn": ResNet18,
    "cnn-torchvision": partial(ResNet18, first_stride=1),
    "cnn-strip": StripResNet18,
    "crnn": lambda k: CRNN(),
    "crnn-released-padded": lambda k: ReleasedCRNN(masked=False),
    "crnn-released-masked": lambda k: ReleasedCRNN(masked=True),
}  #: each takes K
