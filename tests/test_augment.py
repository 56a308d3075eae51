import torch

from rbc import augment


def test_frames_keep_their_order_and_reversed_time_is_mirrored():
    torch.manual_seed(0)
    x = torch.zeros(40, 20, 31, 31)
    x += torch.arange(1.0, 21)[None, :, None, None]
    x[:, :, :, 0] *= -1  # the left edge
    lengths = torch.tensor([20, 7] * 20)
    out, kept = augment.frames(x, lengths)
    forward = 0
    for own, n, before in zip(out, kept, lengths):
        times = own[:n, 15, 15]
        ahead = bool((own[:n, 0, 0] < 0).all())  # the left edge is where it was
        forward += ahead
        assert ahead or bool((own[:n, 0, 30] < 0).all())
        steps = times.diff() if ahead else -times.diff()
        assert (steps > 0).all() and times.max() <= before and n <= before
    assert 5 < forward < 35
    assert (kept >= (lengths * augment.KEPT[0]).ceil()).all() and (kept < lengths).any()


def test_a_shift_moves_whole_pixels_and_brings_in_background():
    torch.manual_seed(1)
    x = torch.zeros(30, 2, 31, 31)
    x[:, :, 15, 15] = 1.0
    out = augment.shifted(x)
    places = torch.stack([frame[0].nonzero()[0] - 15 for frame in out])
    assert torch.equal(out.sum((2, 3)), x.sum((2, 3))) and torch.equal(out[:, 0], out[:, 1])
    assert set(places.flatten().tolist()) == {-2, -1, 0, 1, 2}


def test_an_intruder_passes_in_few_neighbouring_frames_of_some_sequences():
    torch.manual_seed(2)
    x = torch.zeros(200, 20, 31, 31)
    x[:, :, 15, 15] = 1.0
    there = (augment.intruders(x, torch.full((200,), 20)) != x).any(3).any(2)
    numbers = there.sum(1)
    assert 0.15 < (numbers > 0).float().mean() < 0.45 and numbers.max() <= 6
    assert all((row.nonzero().diff(dim=0) == 1).all() for row in there)
