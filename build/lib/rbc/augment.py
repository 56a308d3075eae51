"""Training sequences as they might have been seen otherwise: symmetries of the flow, light, place,
gaps, intruders.

Departure: the paper names no augmentation. Nothing here is applied to what is validated or tested.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from rbc.settings import AUGMENTATIONS

KEPT = 0.35, 0.85  #: share of a sequence's frames that stays, from and to
#: of the logarithm of the contrast; of an offset, in units of the input
CONTRAST_SD, LIGHT_SD = 0.2, 0.1
SHIFT_PX = 2  #: at most
INTRUDED = 0.3  #: share of the sequences in which another cell passes


def augment(
    x: Tensor, lengths: Tensor, parts: Collection[str] = AUGMENTATIONS
) -> tuple[Tensor, Tensor]:
    """A batch as it might have been seen otherwise.

    The two mirrors are exact symmetries of a cell in shear flow: top with bottom; time reversed,
    with left and right.

    Parameters
    ----------
    x : (B, K, 31, 31) float32, the background at 0
    lengths : (B,) int64, real frames of each sequence
    parts : which of `AUGMENTATIONS` are done

    Returns
    -------
    x, lengths : of the same shapes, lengths maybe less; what stands after a sequence's end is
        undefined and must be masked
    """
    if "intruders" in parts:
        x = intruders(x, lengths)
    if "gaps" in parts:
        x, lengths = gaps(x, lengths)
    if "symmetries" in parts:
        x = mirrored(reversed_in_time(x, lengths))
    if "shifts" in parts:
        x = shifted(x)
    if "light" in parts:
        light = torch.randn(len(x), 1, 1, 1, device=x.device) * LIGHT_SD
        x = x * torch.exp(torch.randn_like(light) * CONTRAST_SD) + light
    return x, lengths


def gaps(x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """A random part of each sequence's frames, a share of `KEPT`, in order.

    Parameters
    ----------
    x : (B, K, 31, 31) float32
    lengths : (B,) int64

    Returns
    -------
    x, lengths : the kept frames first, and how many they are
    """
    b, k = x.shape[:2]
    real = torch.arange(k, device=x.device) < lengths[:, None]
    share = KEPT[0] + (KEPT[1] - KEPT[0]) * torch.rand(b, device=x.device)
    kept = (lengths * share).ceil().long().clamp(min=1)
    luck = torch.rand(b, k, device=x.device).masked_fill(~real, 2.0)
    chosen = luck.argsort(1).argsort(1) < kept[:, None]
    order = (~chosen).to(torch.uint8).argsort(dim=1, stable=True)
    return x.gather(1, order[:, :, None, None].expand_as(x)), kept


def reversed_in_time(x: Tensor, lengths: Tensor) -> Tensor:
    """Half of the sequences with their frames backwards and left and right exchanged.

    Parameters
    ----------
    x : (B, K, 31, 31) float32
    lengths : (B,) int64; only real frames change places

    Returns
    -------
    (B, K, 31, 31)
    """
    place = torch.arange(x.shape[1], device=x.device)
    back = (lengths[:, None] - 1 - place).where(place < lengths[:, None], place)
    turned = x.gather(1, back[:, :, None, None].expand_as(x)).flip(3)
    return torch.where(_coin(x), turned, x)


def mirrored(x: Tensor) -> Tensor:
    """Half of the sequences with top and bottom exchanged."""
    return torch.where(_coin(x), x.flip(2), x)


def intruders(x: Tensor, lengths: Tensor) -> Tensor:
    """Lay part of another sequence's cell over a few neighbouring frames of some sequences.

    It lies off the centre, over two to six frames, as where cells pass each other.

    Parameters
    ----------
    x : (B, K, 31, 31) float32, the background at 0
    lengths : (B,) int64

    Returns
    -------
    (B, K, 31, 31)
    """
    b, k = x.shape[:2]
    other = x[torch.randperm(b, device=x.device), :1].roll(_offset(), 2).roll(_offset(), 3)
    first = (torch.rand(b, 1, device=x.device) * lengths[:, None]).long()
    last = first + torch.randint(2, 7, (b, 1), device=x.device)
    place = torch.arange(k, device=x.device)
    there = (place >= first) & (place < last) & (torch.rand(b, 1, device=x.device) < INTRUDED)
    return x + other * there[:, :, None, None]


def shifted(x: Tensor) -> Tensor:
    """Each sequence moved by up to `SHIFT_PX` whole pixels both ways; background comes in."""
    side = x.shape[2]
    padded = torch.nn.functional.pad(x, (SHIFT_PX,) * 4)
    dy, dx = torch.randint(0, 2 * SHIFT_PX + 1, (2, len(x), 1), device=x.device)
    line = torch.arange(side, device=x.device)
    rows, columns = (line + dy)[:, None, :, None], (line + dx)[:, None, None, :]
    each, frame = (torch.arange(n, device=x.device) for n in x.shape[:2])
    return padded[each[:, None, None, None], frame[None, :, None, None], rows, columns]


def _coin(x: Tensor) -> Tensor:
    return torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5


def _offset() -> int:
    return int(torch.randint(9, 15, ())) * (1 if torch.rand(()) < 0.5 else -1)
