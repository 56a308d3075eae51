"""Does black padding change the answer? Fill in `shift`, then run this file."""

import sys

import torch

from rbc import models


def shift(network, frames, extra):
    """Largest change of the network's two outputs when `extra` frames of zeros follow a sequence.

    `frames` is (T, 31, 31); a network is called as network(batch, lengths) with a batch (1, K, 31,
    31) float32 and lengths (1,) int64, the real frames of each sequence. It answers with (1, 2).
    """
    ...


def check(answer):
    torch.manual_seed(0)
    frames = torch.randn(6, 31, 31)
    with torch.no_grad():
        text, released = (models.build(name, 6).eval() for name in ("crnn", "crnn-released-padded"))
        moved = [answer.shift(network, frames, 4) for network in (text, released)]
    assert None not in moved, "shift gives nothing yet"
    assert moved[0] < 1e-6, (
        f"the C-RNN of the text sees real frames only, yet its outputs moved by {moved[0]:.1e}"
    )
    assert moved[1] > 1e-4, "the C-RNN as released reads the zeros too, so its outputs must move"


if __name__ == "__main__":
    check(sys.modules["__main__"])
    print("Right.")
