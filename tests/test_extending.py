"""A clock, a domain and a probe from outside, one place each: fit, page and JSON see them like the built-in ones."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from taumem.analysis import CLOCKS, Clock, Placed, Seen, Study, add_clock
from taumem.cli import main
from taumem.data import Split
from taumem.lab import Asked, DataConfig, losses
from taumem.lab.diffusions import GaussianConfig
from taumem.lab.networks import MLPConfig
from taumem.randomness import generator_for
from taumem.record import Estimate, Reading, read_runs

SPIRALS = """
name = "spirals"
n_train = [8, 16]
data = {source = "spiral"}
model = {kind = "mlp", width = 16, depth = 1}
training = {batch_size = 4, min_steps = 60, steps_per_example = 0}
monitor = {n_items = 16, n_heldout_items = 32, first = 4, n_samples = 0}
"""


class WeightNorm:
    """A probe: how far the weights have grown."""

    settings: dict[str, Any] = {"norm": 2}  # noqa: RUF012 (a constant)

    def measure(self, denoiser) -> Reading:
        squares = sum(float(p.square().sum()) for p in denoiser.parameters())
        return Reading((Estimate(quantity="weight_norm", value=math.sqrt(squares), count=1),))


class SpiralConfig(DataConfig):
    """A domain: points on a spiral, of which the probe above is asked too."""

    diffusions = (GaussianConfig,)
    models = (MLPConfig,)

    source: Literal["spiral"] = "spiral"

    def open(self):
        return SpiralDomain()


@dataclass(frozen=True)
class SpiralDomain:
    def split(self, n_train: int, seed: int) -> Split:
        angle = 6 * torch.rand(128, 1, generator=generator_for(0, "spiral"))
        return Split.make("spiral", angle / 6 * torch.cat([angle.cos(), angle.sin()], dim=1), 32, seed=seed)

    def facts(self, split: Split):
        return split.facts

    def probes(self, asked: Asked):
        return [losses(asked), WeightNorm()]

    def sample_probes(self, split: Split):
        return []


def first_growth(seen: Seen, confidence: float) -> Placed | None:
    """When the weights had grown by a thousandth since the first look."""
    norm = seen.curve("weight_norm")
    if norm is None:
        return None
    grown = norm.values > 1.001 * norm.values[0]
    if not grown.any():
        return Placed(float(norm.steps[-1]), float(norm.steps[-1]), math.inf, "right")
    low, high = (float(norm.steps[int(grown.argmax()) - k]) for k in (1, 0))
    return Placed(math.sqrt(low * high), low, high, "interval")


GROWTH = Clock(
    "tau_growth",
    first_growth,
    "The weights have grown by a thousandth.",
    "the norm of the weights",
    color=("#123456",) * 2,
)


@pytest.fixture
def growth():
    add_clock(GROWTH)
    yield GROWTH
    del CLOCKS[GROWTH.name]


def taumem(*arguments: str | Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    assert not stop.value.code


@pytest.mark.slow
def test_a_clock_a_domain_and_a_probe_of_ones_own_are_seen_by_fit_page_and_json(tmp_path, capsys, growth):
    (tmp_path / "spirals.toml").write_text(SPIRALS)
    taumem("run", tmp_path / "spirals.toml", "-o", tmp_path / "out", "--workers", "1", "--json")
    content = json.loads(capsys.readouterr().out)
    assert {o["n_train"] for o in content["onsets"] if o["clock"] == "tau_growth"} == {8, 16}

    runs = read_runs(tmp_path / "out")
    assert all(run.header.probes["WeightNorm"] == {"norm": 2} for run in runs)
    study = Study.of(runs)
    assert [o.rule for o in study.onsets if o.clock == "tau_growth"] == [growth.rule] * 4
    assert "tau_growth" in {clock.clock for clock in study.clocks}

    taumem("fit", tmp_path / "out")
    assert "tau_growth" in capsys.readouterr().out
    page = Path(content["report"]).read_text()
    for word in ("tau_growth", growth.rule, growth.color[0], "spiral"):
        assert word in page


def test_without_what_it_needs_the_page_says_so(tmp_path, growth):
    assert "tau_growth could not be read: it needs the norm of the weights" in " ".join(Study.of([]).missing())
