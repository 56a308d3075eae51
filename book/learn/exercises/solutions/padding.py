import torch


def shift(network, frames, extra):
    length = torch.tensor([len(frames)])
    longer = torch.cat([frames, torch.zeros(extra, 31, 31)])
    return float((network(longer[None], length) - network(frames[None], length)).abs().max())
