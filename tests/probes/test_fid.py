"""FID and KID: torchmetrics' numbers, in the features of a file that a user brings; nothing is downloaded."""

import sys

import pytest
import torch
from torch import nn

from taumem.errors import ConfigError
from taumem.probes import FIDAndKID
from taumem.probes.frechet import frechet_distance


class Stand(nn.Module):
    """As StyleGAN's Inception: classes, unless it is asked for features."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Conv2d(3, 12, 3)

    def forward(self, images: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        features = self.maps(images).square().mean(dim=(2, 3))
        return features if return_features else features[:, :2]


@pytest.fixture(scope="module")
def images():
    return torch.rand(96, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("network") / "inception.pt"
    torch.jit.script(Stand().eval()).save(str(path))
    return str(path)


@pytest.fixture(scope="module")
def probe(images, network):
    pytest.importorskip("torchmetrics")
    return FIDAndKID(images[:32], images[32:64], network)


def said(probe, samples):
    return {e.quantity: e for e in probe.measure(samples).estimates}


def test_fid_is_the_frechet_distance_of_the_networks_features_of_the_images(images, network, probe):
    features = torch.jit.load(network)(images.expand(-1, 3, -1, -1), return_features=True).detach()
    assert probe.references["train"].shape == (32, 12)
    found = said(probe, images[64:])
    assert found["train_fid"].value == pytest.approx(frechet_distance(features[64:80], features[:32]).value, rel=1e-3)
    assert found["train_fid"].se > 0


def test_kid_is_the_unbiased_squared_distance_of_a_cubic_kernel(images, network, probe):
    features = torch.jit.load(network)(images.expand(-1, 3, -1, -1), return_features=True).detach().double()
    x, y = features[64:80], features[:16]

    def kernel(a, b):
        return (a @ b.T / 12 + 1) ** 3

    own = [(kernel(v, v).sum() - kernel(v, v).diagonal().sum()) / (16 * 15) for v in (x, y)]
    exact = float(own[0] + own[1] - 2 * kernel(x, y).mean())
    assert said(probe, images[64:])["train_kid"].value == pytest.approx(exact, abs=1e-4)


def test_copies_of_the_training_set_beat_what_held_out_images_reach_there_and_only_there(images, probe):
    found = said(probe, images[:16])
    assert found["train_fid"].value < found["train_fid_chance"].value
    assert abs(found["heldout_kid"].value - found["heldout_kid_chance"].value) < 4 * found["heldout_kid"].se


def test_it_says_the_same_again_and_touches_no_global_state(images, network, probe):
    before = torch.get_rng_state()
    assert said(probe, images[64:]) == said(FIDAndKID(images[:32], images[32:64], network), images[64:])
    assert torch.equal(before, torch.get_rng_state())


def test_without_the_extra_it_says_what_to_install(images, network, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", None)
    with pytest.raises(ConfigError, match=r"^FID and KID are measured by torchmetrics: pip install 'taumem\[fid\]'\.$"):
        FIDAndKID(images[:32], images[32:64], network)


def test_without_the_network_it_says_so_in_one_line_and_downloads_nothing(images):
    pytest.importorskip("torchmetrics")
    with pytest.raises(ConfigError, match=r"^gone\.pt: no extractor of features can be read there"):
        FIDAndKID(images[:32], images[32:64], "gone.pt")
