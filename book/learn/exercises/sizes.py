"""Follow a picture through a convolution. Fill in both functions, then run this file."""

import sys

import torch

from rbc import models


def side(before, kernel, stride, padding):
    """Side of the picture after a convolution or a pool, in px; all are whole numbers."""
    ...


def weights(n_in, n_out, kernel):
    """Trained numbers of a convolution from n_in to n_out channels, with one bias for each output
    channel.
    """
    ...


def check(answer):
    assert answer.side(31, 3, 1, 1) is not None, "side gives nothing yet"
    x = torch.zeros(1, 1, 31, 31)
    for layer in models.CRNN().features[:9]:
        before, x = x.shape[-1], layer(x)
        if isinstance(layer, torch.nn.Conv2d):
            arguments = (before, layer.kernel_size[0], layer.stride[0], layer.padding[0])
            trained = sum(p.numel() for p in layer.parameters())
            given = answer.weights(layer.in_channels, layer.out_channels, layer.kernel_size[0])
            assert given == trained, f"{layer}: {given} weights, but it has {trained}"
        elif isinstance(layer, torch.nn.MaxPool2d):
            arguments = (before, layer.kernel_size, layer.stride, layer.padding)
        else:
            continue
        given = answer.side(*arguments)
        assert given == x.shape[-1], f"{layer} makes {before} px {x.shape[-1]}, not {given}"
    assert answer.side(31, 7, 2, 3) == 16, (
        "the first convolution of the stacked network halves 31 px to 16"
    )


if __name__ == "__main__":
    check(sys.modules["__main__"])
    print("Right.")
