"""What a network is given and what it answers: sampled sequences on a device, batches of them,
probabilities.

Paper: "Implementation details" and "Model hyperparameters".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rbc import RbcError
from rbc.augment import augment
from rbc.paper import Configuration, positive
from rbc.sampling import medians, sample_all
from rbc.sequences import Sequences
from rbc.settings import Training, variant

#: grey levels that count as 1 at the networks' input: about the contrast of a cell
GREY_SCALE = 20.0


@dataclass(frozen=True)
class Rows:
    """N sampled sequences on the device.

    frames (N, K, 31, 31) uint8, zeros after a sequence's end; lengths (N,) int64; background (N,)
    float32, the median grey level of each sequence's kept frames; classes (N,) int64, 1 for the
    stage's positive class.
    """

    frames: Tensor
    lengths: Tensor
    background: Tensor
    classes: Tensor

    def batch(
        self, rows: Tensor, training: Training, learning: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Network input of some rows.

        Open in the text: how grey levels enter. Here each sequence minus its background, over
        `GREY_SCALE`, so that a cell's contrast is of order one. The paper's black padding images
        are zeros here as well, which after the subtraction means empty background (unless the
        profile's `padding` is black).

        Parameters
        ----------
        rows : (B,) int64, row numbers
        training : grey levels, padding, noise and augmentation
        learning : whether noise and augmentation are laid on

        Returns
        -------
        frames : (B, K, 31, 31) float32, zeros after a sequence's end
        lengths : (B,) int64
        classes : (B,) int64
        """
        x, background = self.frames[rows].float(), self.background[rows][:, None, None, None]
        raw, lengths = training.grey == "raw", self.lengths[rows]
        x = x / 255 if raw else (x - background) / GREY_SCALE
        if learning and training.augment:
            x, lengths = augment(x, lengths, training.augment)
        if learning and training.noise_sd:  # departure: the paper names no augmentation
            x = x + torch.randn_like(x) * (training.noise_sd / (255 if raw else GREY_SCALE))
        real = (torch.arange(x.shape[1], device=x.device) < lengths[:, None])[:, :, None, None]
        black = training.padding == "black" and not raw
        x = torch.where(real, x, -background / GREY_SCALE) if black else x * real
        return x, lengths, self.classes[rows]


def rows(sequences: Sequences, configuration: Configuration, device: torch.device) -> Rows:
    """Sample every sequence to at most K frames and lay the result on the device.

    Parameters
    ----------
    sequences : N sequences
    configuration : says the sampling, K, the seed, and the stage whose classes count
    device : where the tensors lie

    Returns
    -------
    The N sampled sequences, in their order
    """
    sampling = variant(configuration.variant).samplings.get(
        configuration.sampling, configuration.sampling
    )
    frames, lengths = sample_all(sequences, sampling, configuration.k, configuration.seed)
    classes = positive(sequences.index["label"], configuration.stage).astype(np.int64)
    parts = frames, lengths, medians(frames, lengths), classes
    return Rows(*(torch.from_numpy(a).to(device) for a in parts))


def device(wanted: str) -> torch.device:
    """``auto`` is CUDA where there is one, else the CPU.

    Raises `RbcError` for CUDA without a GPU.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise RbcError(
            "device is 'cuda', but PyTorch sees no GPU here; set device: auto or cpu in the profile"
        )
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


@torch.no_grad()
def predict(model: nn.Module, data: Rows, chosen: np.ndarray, training: Training) -> np.ndarray:
    """Probability of the positive class for some rows.

    Parameters
    ----------
    model : maps frames (B, K, 31, 31) and lengths (B,) to logits (B, 2)
    data : sampled sequences
    chosen : (n,) int64, row numbers
    training : grey levels, padding and the size of a batch

    Returns
    -------
    (n,) float32 in [0, 1]
    """
    model.eval()
    parts = []
    for numbers in (
        torch.from_numpy(chosen).to(data.frames.device).split(training.batch_size)
        if len(chosen)
        else ()
    ):
        x, lengths, _ = data.batch(numbers, training)
        parts.append(model(x, lengths).float().softmax(1)[:, 1].cpu().numpy())
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
