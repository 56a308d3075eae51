import copy

import pytest
import torch
from torch import nn

from rbc import RbcError
from rbc.models import CRNN, NETWORKS, ReleasedCRNN, build


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([20, 3, 11])
    frames = torch.randn(3, 20, 31, 31, generator=torch.Generator().manual_seed(0))
    return frames * (torch.arange(20) < lengths[:, None])[:, :, None, None], lengths


@pytest.mark.parametrize("model", NETWORKS)
@pytest.mark.parametrize("k", [10, 50])
def test_logits_of_both_classes(model, k):
    """Every network by name gives two finite logits for each sequence, whatever K."""
    assert build(model, k)(torch.zeros(2, k, 31, 31), torch.tensor([k, 1])).shape == (2, 2)


def convolutions(model: nn.Module) -> list[tuple]:
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)]
    return [(m.out_channels, m.kernel_size[0], m.stride[0], m.padding[0]) for m in layers]


def test_resnet_has_the_convolutions_of_table_1():
    """Approach A must be the paper's network, layer by layer."""
    blocks = [conv for n in (64, 128, 256, 512) for conv in [(n, 3, 2, 1), *[(n, 3, 1, 1)] * 3]]
    assert convolutions(build("cnn", 20)) == [(64, 7, 2, 3), *blocks]


def test_the_frames_are_the_channels_of_the_resnet():
    """Approach A stacks frames as channels: the first convolution must take K of them."""
    assert build("cnn", 30).stem[0].in_channels == 30


def test_crnn_has_the_layers_of_table_1():
    """Approach B must be the paper's network, layer by layer."""
    model = CRNN()
    assert convolutions(model) == [(8, 3, 1, 1), (32, 2, 1, 1), (64, 2, 1, 1), (128, 3, 1, 1)]
    assert model.gru.hidden_size == 64
    assert [m.out_features for m in model.head if isinstance(m, nn.Linear)] == [64, 2]


def test_the_gru_never_sees_padding(batch):
    """A short sequence must be judged by its own frames alone."""
    frames, lengths = batch
    model = CRNN().eval()
    rubbish = frames.clone()
    rubbish[1, 3:] = 99.0
    longer = torch.cat([frames, torch.zeros(3, 30, 31, 31)], dim=1)
    expected = model(frames, lengths)
    assert torch.equal(model(rubbish, lengths), expected)
    assert torch.allclose(model(longer, lengths), expected, atol=1e-6)


def test_crnn_equals_a_plain_loop_over_sequences(batch):
    """Packing is a matter of speed; the answer is that of one sequence after another."""
    frames, lengths = batch
    model = CRNN().eval()
    for i, n in enumerate(lengths):
        vectors = torch.stack([model.features(frame[None, None])[0] for frame in frames[i, :n]])
        context = model.gru(vectors[None])[1][0]
        assert torch.allclose(model.head(context)[0], model(frames, lengths)[i], atol=1e-5)


def test_crnn_looks_at_the_order_of_the_frames(batch):
    """A network that ignored time could not tell flipping from tank-treading by motion."""
    frames, lengths = batch
    model = CRNN().eval()
    assert not torch.allclose(
        model(frames.flip(1), lengths)[0], model(frames, lengths)[0], atol=1e-5
    )


def test_an_unknown_network_is_an_error_that_names_those_there_are():
    """A misspelt name must not train another network."""
    with pytest.raises(RbcError, match="cnn-strip"):
        build("vgg", 10)


def test_torchvisions_strides_keep_the_first_stage_and_the_strip_has_three_colours():
    """The two variants of the register change what they say, and nothing else."""
    strides = [conv[2] for conv in convolutions(build("cnn-torchvision", 20))]
    assert [i for i, stride in enumerate(strides) if stride == 2] == [0, 5, 9, 13]
    seen = []
    strip = build("cnn-strip", 20)
    strip.stem.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    frames = torch.randn(2, 20, 31, 31)
    strip(frames, torch.tensor([20, 20]))
    assert seen[0].shape == (2, 3, 31, 620)
    # the second frame stands right of the first
    assert torch.equal(seen[0][1, 2, :, 31:62], frames[1, 1])


def plain_released(model: ReleasedCRNN, frames: torch.Tensor) -> torch.Tensor:
    """The released network called frame by frame, its GRU cell by cell, over the padding."""
    states, outputs = None, []
    for pictures in frames.transpose(0, 1)[:, :, None]:
        for number, (convolution, norm) in enumerate(zip(model.convolutions, model.norms)):
            pictures = torch.relu(nn.BatchNorm2d.forward(norm, convolution(pictures)))
            pictures = nn.functional.max_pool2d(pictures, 3) if number >= 2 else pictures
        output, states = model.grus[0](pictures.flatten(1)[None], states)
        outputs.append(output)
    return model.head(model.grus[1](torch.cat(outputs))[1][0])


@pytest.mark.parametrize("training", [True, False])
def test_the_released_network_equals_its_plain_loop(batch, training):
    """Outputs and running averages over the padding, whose every step has its own batch norm."""
    frames, lengths = batch[0].double(), batch[1]
    end = torch.arange(20) >= lengths[:, None]
    frames[end] = torch.arange(1, 4).repeat_interleave(end.sum(1))[:, None, None].double()
    ours = build("crnn-released-padded", 20).double().train(training)
    plain = copy.deepcopy(ours)
    with torch.no_grad():
        expected, answer = plain_released(plain, frames), ours(frames, lengths)
    assert torch.allclose(answer, expected, atol=1e-7)
    for (name, a), b in zip(ours.named_buffers(), plain.buffers()):
        assert torch.allclose(a.double(), b.double(), atol=1e-7), name


def test_the_released_network_trains_in_bfloat16(batch):
    """The variant for GPUs must not end in a type error hours into a grid."""
    model = build("crnn-released-padded", 20)
    half = copy.deepcopy(model)
    with torch.autocast("cpu", torch.bfloat16):
        logits = half(*batch).float()
    nn.functional.cross_entropy(logits, torch.tensor([0, 1, 0])).backward()
    assert torch.allclose(logits, model(*batch), atol=0.05)
    assert all(torch.isfinite(p.grad).all() for p in half.parameters())
    assert torch.allclose(half.norms[3].running_var, model.norms[3].running_var, rtol=0.05)


def test_padding_enters_the_padded_network_and_not_the_masked_one(batch):
    """The two readings of the released code differ in this alone."""
    frames, lengths = batch
    longer = torch.cat([frames, torch.zeros(3, 30, 31, 31)], dim=1)
    for masked, same in ((True, True), (False, False)):
        model = ReleasedCRNN(masked).eval()
        assert torch.allclose(model(longer, lengths), model(frames, lengths), atol=1e-6) == same


@pytest.mark.parametrize("name", ["frames", "frames-differences", "frames-transformer"])
def test_our_networks_see_no_padding_and_every_frame(batch, name):
    """Our own networks must use all that was filmed and nothing that was not."""
    frames, lengths = batch
    model = build(name, 20).eval()
    rubbish, longer = frames.clone(), torch.cat([frames, torch.zeros(3, 30, 31, 31)], dim=1)
    rubbish[1, 3:] = 99.0
    expected = model(frames, lengths)
    assert torch.allclose(model(rubbish, lengths), expected, atol=1e-6)
    assert torch.allclose(model(longer, lengths), expected, atol=1e-5)
    frames.requires_grad_()
    model(frames, lengths)[:, 1].sum().backward()
    assert ((frames.grad.abs().amax((2, 3)) > 0) == (torch.arange(20) < lengths[:, None])).all()
