"""Networks of .pt2 files give what torch's own reader makes of them, however they were exported."""

import warnings
import weakref

import numpy as np
import pytest

from NativeDLLib.core.errors import ModelError
from NativeDLLib.inference.pt2_operators import find
from NativeDLLib.inference.torch_runtime import load_torch

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

pytestmark = pytest.mark.slow


class Sampling(nn.Module):
    """Down and up again in every way that networks have, on sizes that are computed."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.batch = nn.Conv3d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.BatchNorm3d(4)
        self.up, self.last = nn.ConvTranspose3d(4, 4, 2, 2), nn.Conv3d(4, 2, 1, padding_mode="reflect")

    def forward(self, x):
        x = F.leaky_relu_(self.batch(self.norm(self.first(x))))
        low = F.max_pool3d(x, 2)
        low = F.interpolate(low, size=x.shape[2:], mode="trilinear") + self.up(F.avg_pool3d(x, 2))
        first, second = F.pad(low, (1, 0, 1, 0, 1, 0))[:, :, 1:, 1:, 1:].chunk(2, dim=1)
        return self.last(torch.cat([second.exp(), F.elu(first)], dim=1))


class Attention(nn.Module):
    """Windows, softmax with values left out, einsum, lists and a constant of its own."""

    def __init__(self):
        super().__init__()
        self.embed, self.scale = nn.Conv3d(1, 8, 4, 4), torch.tensor(0.5)
        self.register_buffer("shift", torch.arange(8.0), persistent=False)

    def forward(self, x):
        with torch.no_grad():
            tokens = self.embed(torch.roll(x, (1, 1), (2, 3))).flatten(2).transpose(1, 2) + self.shift
        weights = torch.einsum("bic,bjc->bij", tokens, tokens) * self.scale
        weights = weights.masked_fill(weights < 0, float("-inf")).softmax(-1).nan_to_num()
        seen = F.scaled_dot_product_attention(tokens, tokens, tokens) + weights @ F.gelu(tokens, approximate="tanh")
        seen = seen.transpose(1, 2).unflatten(2, (4, 4, 4)).repeat_interleave(4, 2)
        seen = F.pixel_shuffle(seen.permute(0, 2, 1, 3, 4).repeat(1, 1, 2, 1, 1), 4).permute(0, 2, 1, 3, 4)
        return [torch.cat([seen, -seen], dim=1), tokens]


class Half(nn.Module):
    """Weights of half precision, shared by two layers, computed with in single."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, 1, 1, 1, 1).half())
        self.same = self.weight

    def forward(self, x):
        return (F.conv3d(x.to(torch.float16), self.weight) + F.conv3d(x.half(), self.same)).float().clamp_min(0)


def exported(module, path, *, free=False, decomposed=False):
    sizes = {0: torch.export.Dim.AUTO, **({axis: torch.export.Dim.AUTO for axis in (2, 3, 4)} if free else {})}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module.eval(), (torch.zeros(2, 1, 16, 16, 16),), dynamic_shapes=(sizes,))
        torch.export.save(program.run_decompositions() if decomposed else program, path)
    return path


@pytest.mark.parametrize("decomposed", [False, True], ids=["as exported", "in core operators"])
@pytest.mark.parametrize(("module", "free"), [(Sampling, False), (Sampling, True), (Attention, False), (Half, True)])
def test_a_network_gives_the_same_as_with_torchs_own_reader(tmp_path, module, free, decomposed):
    torch.manual_seed(0)
    path = exported(module(), tmp_path / "m.pt2", free=free, decomposed=decomposed)
    image = torch.randn(1, 1, *((24, 20, 32) if free else (16, 16, 16)))

    with torch.inference_mode():
        expected = torch.export.load(path).module(check_guards=False)(image)
        expected = (expected[0] if isinstance(expected, (list, tuple)) else expected).numpy()
    found = load_torch(path.read_bytes(), path, "cpu", 2).network(image.numpy())

    assert expected.std() > 0
    np.testing.assert_array_equal(found, expected)


class Long(nn.Module):
    def forward(self, x):
        for _ in range(20):
            x = x + 1
        return torch.cat([x, x], 1)


def test_values_are_forgotten_when_nothing_needs_them_any_more(tmp_path, monkeypatch):
    made, most = [], []

    def counted(target, names):
        call, order = find(target, names)

        def run(*given, **named):
            result = call(*given, **named)
            made.append(weakref.ref(result))
            most.append(sum(value() is not None for value in made))
            return result

        return run, order

    monkeypatch.setattr("NativeDLLib.inference.pt2_graph.find", counted)
    path = exported(Long(), tmp_path / "m.pt2")
    network = load_torch(path.read_bytes(), path, "cpu", 2).network

    assert network(np.zeros((1, 1, 16, 16, 16), np.float32)).max() == 20
    assert len(made) == 21
    assert max(most) == 2


class Twice(nn.Module):
    def forward(self, x, y):
        return x + y


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x):
        self.count.add_(1)
        return torch.cat([x, x], 1) + self.count


class Named(nn.Module):
    def forward(self, x):
        return {"b": torch.cat([x, x], 1), "a": x}


@pytest.mark.parametrize(
    ("module", "images", "reason"),
    [(Twice, 2, "takes 2 images"), (Counting, 1, "evaluation mode"), (Named, 1, "not in a fixed order")],
)
def test_what_no_window_can_be_given_to_is_refused(tmp_path, module, images, reason):
    program = torch.export.export(module(), (torch.zeros(2, 1, 16, 16, 16),) * images).run_decompositions()
    torch.export.save(program, tmp_path / "m.pt2")

    with pytest.raises(ModelError, match=reason):
        load_torch((tmp_path / "m.pt2").read_bytes(), tmp_path / "m.pt2", "cpu", 2)


def test_another_size_than_the_exported_one_is_told(tmp_path):
    path = exported(Sampling(), tmp_path / "m.pt2")
    network = load_torch(path.read_bytes(), path, "cpu", 2).network

    with pytest.raises(ModelError, match=r"takes \[None, 1, 16, 16, 16\], not \[1, 1, 32, 16, 16\]"):
        network(np.zeros((1, 1, 32, 16, 16), np.float32))
