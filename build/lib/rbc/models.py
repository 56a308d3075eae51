"""The paper's two networks, layer by layer as Table 1 prints them, and the shapes that others take
for them.

Both take a padded batch: frames (B, K, 31, 31) float32 with the sequence minus its background and
zeros after its end, and lengths (B,) int64. Both answer with logits (B, 2): negative and positive
class of the stage. The softmax that Table 1 prints last is part of the cross-entropy in training
and is applied in `rbc.training.predict`.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from rbc import RbcError
from rbc.paper import KS


def build(network: str, k: int) -> nn.Module:
    """A network by name, its weights fresh.

    Parameters
    ----------
    network : a name of `NETWORKS`; ``cnn`` is approach A, ``crnn`` approach B
    k : frames that it is given

    Returns
    -------
    A module that maps frames (B, K, 31, 31) float32 and lengths (B,) int64 to logits (B, 2), of the
    stage's negative and positive class.

    Raises
    ------
    RbcError
        for an unknown name
    """
    if network not in NETWORKS:
        raise RbcError(f"network is {network!r}: choose one of {', '.join(NETWORKS)}")
    return NETWORKS[network](k)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with a skip connection (He et al., CVPR 2016); batch norm as there,
    Table 1 omits it.
    """

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

    Every ConvBlock halves the picture, the first too, as printed; torchvision and He et al. keep
    the first at stride 1 (`first_stride`). Open in Table 1: the pool's stride, here 2 with padding
    1 as He et al.; the last layer, printed as "1000 x (output feature map)", has the two classes
    here.
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
            nn.Sequential(BasicBlock(a, b, s), BasicBlock(b, b, 1))
            for a, b, s in zip(widths, widths[1:], strides)
        ]
        self.blocks = nn.Sequential(*blocks)  # (B, 512, 1, 1): 8 > 4 > 2 > 1 > 1, as printed
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 2))

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """(B, K, 31, 31) to logits (B, 2); `lengths` is not used: the padding is part of the
        picture (paper).
        """
        return self.head(self.blocks(self.stem(frames)))


class StripResNet18(ResNet18):
    """Stage 2 as the authors' released notebook shows it: all frames side by side, as one colour
    picture.

    Departures from that notebook: fresh weights, where it starts from ImageNet's; 18 layers as its
    code names them, where the network that it prints has 50.
    """

    def __init__(self, k: int) -> None:
        super().__init__(3, first_stride=1)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """(B, K, 31, 31) to logits (B, 2), by way of a strip (B, 3, 31, 31 K)."""
        strip = frames.transpose(1, 2).flatten(2)[:, None].expand(-1, 3, -1, -1)
        return super().forward(strip, lengths)


def real_frames(frames: Tensor, lengths: Tensor) -> PackedSequence:
    """The frames that are no padding, as one batch of pictures.

    Parameters
    ----------
    frames : (B, K, 31, 31) float32
    lengths : (B,) int64, real frames of each sequence

    Returns
    -------
    Packed (F, 1, 31, 31), channels last: the first frames of all sequences, then the second ones,
    and so on.
    """
    b, k = frames.shape[:2]
    # of each frame in the flattened batch
    # Packing the places instead of the pictures moves each picture once.
    places = torch.arange(b * k, device=frames.device).view(b, k)
    order = pack_padded_sequence(places, lengths.cpu(), batch_first=True, enforce_sorted=False)
    pictures = frames.flatten(0, 1)[order.data][:, None]
    return order._replace(data=pictures.contiguous(memory_format=torch.channels_last))


class CRNN(nn.Module):
    """Approach B: the same small CNN on each frame (Table 1, right), a GRU of 64, dense layers of
    64 and 2.

    The padding never enters: only real frames pass the CNN, and the GRU runs over packed sequences.
    Open in Table 1: the pool's stride, here 3 as its size; what leads from the last convolution to
    the vector per frame, here nothing but flattening, as no further layer is printed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),  # (F, 8, 31, 31), F frames of the whole batch
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 32, 2, padding=1),  # (F, 32, 32, 32)
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 2, padding=1),  # (F, 64, 33, 33)
            # (F, 64, 11, 11); before the ReLU of Table 1, not after: the same result, sooner
            nn.MaxPool2d(3),
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
        # (1, B, 64): after each last real frame
        _, context = self.gru(real._replace(data=self.features(real.data)))
        return self.head(context[0])


class ReleasedCRNN(nn.Module):
    """Approach B as the authors released it, from its description: wider, batch norm, a second
    pool, two GRUs of 256.

    Padded, as released, it runs over the zeros after a sequence's end, and each step has its own
    batch norm, since it is called frame by frame there. Masked, the padding enters neither.

    Open in the description: the kernels' sides and the first pool, here as Table 1; where batch
    norm stands (here after each convolution) and the second pool (here last); and the dense layers,
    here as in the text.
    """

    def __init__(self, masked: bool) -> None:
        super().__init__()
        shapes = ((1, 16, 3), (16, 64, 2), (64, 128, 2), (128, 256, 3))
        self.masked = masked
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, side, padding=1) for a, b, side in shapes)
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for _, b, _ in shapes)
        self.grus = nn.ModuleList([nn.GRU(256 * 3 * 3, 256), nn.GRU(256, 256)])
        self.head = nn.Sequential(nn.Linear(256, 64), nn.ReLU(inplace=True), nn.Linear(64, 2))

    def features(self, pictures: Tensor) -> Tensor:
        """(F, 1, 31, 31) to (F, 2304)."""
        x = pictures.contiguous(memory_format=torch.channels_last)
        for number, (convolution, norm) in enumerate(zip(self.convolutions, self.norms)):
            x = norm(convolution(x))
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
            # A step at a time, so that batch norm sees the pictures of one step alone.
            vectors = [self.features(pictures[:, None]) for pictures in frames.unbind(1)]
            states, _ = self.grus[0](torch.stack(vectors))  # (K, B, 2304) to (K, B, 256)
        _, context = self.grus[1](states)
        return self.head(context[0])


class FrameNet(nn.Module):
    """Ours, for the paper's outlook: one small CNN for every frame, then time, then what all frames
    say together.

    The first layers keep the picture's size, as 31 px leave nothing to spare. Padding never enters:
    only real frames pass the CNN, a masked convolution sees three neighbours in time, and
    attention, mean and spread pool what is real. With `differences` a frame enters with its change
    from the frame before as a second channel.
    """

    def __init__(self, width: int = 64, differences: bool = False) -> None:
        super().__init__()
        self.differences = differences
        shapes = ((1 + differences, 8), (8, 32), (32, 64), (64, width))
        layers = [
            nn.Sequential(
                nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True)
            )
            for a, b in shapes
        ]
        # 31 > 15 > 7 > 4
        pools = [nn.MaxPool2d(2), nn.MaxPool2d(2), nn.MaxPool2d(2, ceil_mode=True), nn.Identity()]
        self.features = nn.Sequential(*(part for pair in zip(layers, pools) for part in pair))
        self.vector = nn.Sequential(
            nn.Flatten(), nn.Linear(width * 16, width), nn.ReLU(inplace=True)
        )
        self.time = self.over_time(width)
        self.attention = nn.Linear(width, 1)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(3 * width, 2))

    def over_time(self, width: int) -> nn.Module:
        """The layers that see several frames."""
        return nn.Conv1d(width, width, 3, padding=1)

    def in_time(self, vectors: Tensor, real: Tensor) -> Tensor:
        """What a frame's neighbours add to it.

        Parameters
        ----------
        vectors : (B, K, width) float32, one a frame, zero where not `real`
        real : (B, K) bool, which frames are no padding

        Returns
        -------
        (B, K, width)
        """
        return vectors + torch.relu(self.time(vectors.transpose(1, 2))).transpose(1, 2)

    def pictures(self, frames: Tensor, real: Tensor) -> Tensor:
        """The real frames alone, as pictures.

        Parameters
        ----------
        frames : (B, K, 31, 31) float32
        real : (B, K) bool, which frames are no padding

        Returns
        -------
        (F, 1, 31, 31), or (F, 2, 31, 31) with each frame's change from the one before
        """
        if not self.differences:
            return frames[real][:, None]
        # The first frame has none before it: its change is 0.
        before = torch.cat([frames[:, :1], frames[:, :-1]], 1)
        return torch.stack([frames[real], (frames - before)[real]], 1)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """(B, K, 31, 31) with `lengths` (B,) to logits (B, 2)."""
        real = torch.arange(frames.shape[1], device=frames.device) < lengths[:, None]  # (B, K)
        pictures = self.pictures(frames, real).contiguous(memory_format=torch.channels_last)
        # The small CNN sees real frames only; their vectors go back to their places in time.
        vectors = frames.new_zeros(*real.shape, self.attention.in_features)
        vectors[real] = self.vector(self.features(pictures)).to(vectors.dtype)
        x = self.in_time(vectors, real)
        mask, n = real[:, :, None], lengths[:, None]
        # Attention, mean and spread over time: which frames matter, what they share, how they
        # differ.
        weights = self.attention(x).masked_fill(~mask, -torch.inf).softmax(1)
        mean = (x * mask).sum(1) / n
        spread = (((x - mean[:, None]) * mask).square().sum(1) / n + 1e-5).sqrt()
        return self.head(torch.cat([(x * weights).sum(1), mean, spread], 1))


class FrameTransformer(FrameNet):
    """The same with a small transformer over time (the paper's outlook: "attention"; Vaswani et al.
    2017).
    """

    def over_time(self, width: int) -> nn.Module:
        layer = nn.TransformerEncoderLayer(
            width, 4, 2 * width, 0.1, batch_first=True, norm_first=True
        )
        place = nn.Embedding(max(KS), width)
        nn.init.normal_(place.weight, std=0.02)
        return nn.ModuleDict(
            {"place": place, "layers": nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)}
        )

    def in_time(self, vectors: Tensor, real: Tensor) -> Tensor:
        placed = vectors + self.time["place"].weight[: vectors.shape[1]]
        return self.time["layers"](placed, src_key_padding_mask=~real)


NETWORKS = {
    "cnn": ResNet18,
    "cnn-torchvision": partial(ResNet18, first_stride=1),
    "cnn-strip": StripResNet18,
    "crnn": lambda k: CRNN(),
    "crnn-released-padded": lambda k: ReleasedCRNN(masked=False),
    "crnn-released-masked": lambda k: ReleasedCRNN(masked=True),
    "frames": lambda k: FrameNet(),
    "frames-differences": lambda k: FrameNet(differences=True),
    "frames-transformer": lambda k: FrameTransformer(),
}  #: each takes K
