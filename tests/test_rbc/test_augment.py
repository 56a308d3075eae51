import pytest
import torch

from rbc import augment
from rbc.settings import AUGMENTATIONS


def numbered() -> torch.Tensor:
    """Forty sequences whose frames hold their number, negative at the left edge."""
    x = torch.zeros(40, 20, 31, 31)
    x += torch.arange(1.0, 21)[None, :, None, None]
    x[:, :, :, 0] *= -1
    return x


def test_frames_that_stay_keep_their_order():
    """A shuffled film would teach another motion."""
    torch.manual_seed(0)
    lengths = torch.tensor([20, 7] * 20)
    out, kept = augment.gaps(numbered(), lengths)
    for own, n, before in zip(out, kept, lengths):
        times = own[:n, 15, 15]
        assert (times.diff() > 0).all() and times.max() <= before and n <= before
    assert (kept >= (lengths * augment.KEPT[0]).ceil()).all() and (kept < lengths).any()


def test_reversed_time_comes_with_left_and_right_exchanged():
    """Only both together are a symmetry of a cell in shear flow."""
    torch.manual_seed(0)
    lengths = torch.tensor([20, 7] * 20)
    forward = 0
    for own, n in zip(augment.reversed_in_time(numbered(), lengths), lengths):
        ahead = bool((own[:n, 0, 0] < 0).all())  # the left edge is where it was
        forward += ahead
        assert ahead or bool((own[:n, 0, 30] < 0).all())
        assert own[:n, 15, 15].tolist() == sorted(range(1, n + 1), reverse=not ahead)
    assert 5 < forward < 35


@pytest.mark.parametrize("part", AUGMENTATIONS)
def test_each_part_changes_something_alone_and_none_nothing(part):
    """A part that does nothing would make its ablation meaningless."""
    torch.manual_seed(3)
    x, lengths = torch.rand(40, 20, 31, 31), torch.full((40,), 20)
    out, kept = augment.augment(x, lengths, [part])
    assert not torch.equal(out, x) and torch.equal(kept, lengths) == (part != "gaps")
    out, kept = augment.augment(x, lengths, [])
    assert torch.equal(out, x) and torch.equal(kept, lengths)


def test_a_shift_moves_whole_pixels_and_brings_in_background():
    """Interpolation would blur, and a wrapped edge would be a second cell."""
    torch.manual_seed(1)
    x = torch.zeros(30, 2, 31, 31)
    x[:, :, 15, 15] = 1.0
    out = augment.shifted(x)
    places = torch.stack([frame[0].nonzero()[0] - 15 for frame in out])
    assert torch.equal(out.sum((2, 3)), x.sum((2, 3))) and torch.equal(out[:, 0], out[:, 1])
    assert set(places.flatten().tolist()) == {-2, -1, 0, 1, 2}


def test_an_intruder_passes_in_few_neighbouring_frames_of_some_sequences():
    """Intruders must look like those in real tracks."""
    torch.manual_seed(2)
    x = torch.zeros(200, 20, 31, 31)
    x[:, :, 15, 15] = 1.0
    there = (augment.intruders(x, torch.full((200,), 20)) != x).any(3).any(2)
    numbers = there.sum(1)
    assert 0.15 < (numbers > 0).float().mean() < 0.45 and numbers.max() <= 6
    assert all((row.nonzero().diff(dim=0) == 1).all() for row in there)
