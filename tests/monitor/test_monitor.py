"""The monitor: it sees everything and touches nothing."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from taumem.data import GaussianMixture
from taumem.diffusion import GaussianDiffusion, sample
from taumem.errors import ConfigError, RecordError
from taumem.models import MLP, EmpiricalDenoiser, MixtureDenoiser, Preconditioned, UNet
from taumem.monitor import LogCadence, Monitor
from taumem.probes import Agreement, Copies, EmpiricalGap, LossGap, SymmetricGap
from taumem.record import DataFacts, Estimate, Reading, RunHeader, RunRecord
from taumem.training import Learner, train

DIFFUSION = GaussianDiffusion()
MIXTURE = GaussianMixture.two_modes(4)
STEPS = 12


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


IMAGES, HELDOUT, TWIN = (torch.randn(24, 1, 8, 8, generator=generator(seed)).clamp(-1, 1) for seed in (1, 2, 3))
VECTORS, OTHERS = MIXTURE.sample(32, generator(1)), MIXTURE.sample(32, generator(2))
EXACT = MixtureDenoiser(DIFFUSION, MIXTURE)


def unet(seed: int, *, normalized: bool = False) -> nn.Module:
    network = UNet((1, 8, 8), channels=8, multipliers=(1, 2), blocks=1, dropout=0.3, generator=generator(seed))
    if normalized:  # a module that changes when it is merely called in training mode
        network.enter = nn.Sequential(network.enter, nn.BatchNorm2d(8))
    return Preconditioned(network, DIFFUSION)


def draw_images(denoiser, generator):
    return sample(DIFFUSION, denoiser, 6, (1, 8, 8), generator, steps=3)


def draw_vectors(denoiser, generator):
    return sample(DIFFUSION, denoiser, 6, (4,), generator, steps=3)


def open_record(path) -> RunRecord:
    data = DataFacts(name="noise", fingerprint="0", n_train=24, n_heldout=24, item_shape=(1, 8, 8))
    return RunRecord.open(path, RunHeader(name="study", data=data, seed=0, batch_size=4, steps=STEPS))


def careless_loss(denoiser, x0, t, noise):
    """A trainer's own loss, which draws from torch's global state."""
    return (x0 - denoiser(x0 + t[:, None, None, None] * torch.randn_like(x0), t)).square().flatten(1).mean(dim=1)


class Careless(LossGap):
    """The same probe with a loss that draws noise itself, under names of its own."""

    def measure(self, denoiser, generator):
        reading = super().measure(denoiser, generator)
        return Reading(tuple(e.model_copy(update={"quantity": f"own_{e.quantity}"}) for e in reading.estimates))


def monitor_of(record, twin, **changes) -> Monitor:
    sets = {"train": IMAGES, "heldout": HELDOUT, "twin": TWIN}
    return Monitor(
        record,
        [
            LossGap(DIFFUSION, sets),
            Careless(DIFFUSION, sets, loss=careless_loss),
            SymmetricGap(DIFFUSION, IMAGES, twin, TWIN),
            EmpiricalGap(DIFFUSION, IMAGES, HELDOUT),
        ],
        cadence=LogCadence(first=1),
        sampler=draw_images,
        sample_probes=[Copies(IMAGES, HELDOUT), Agreement(twin, draw_images)],
        sample_cadence=LogCadence(first=1, per_doubling=1),
        **changes,
    )


def plain_training(seed: int, watch=None):
    """Train both twins in turn; report the weights, the losses and every global random state at the end."""
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 (the global state is what must stay)
    random.seed(5)
    learners = [Learner.start(unet(k, normalized=True), ema_window=0.1) for k in (0, 1)]
    loops = [train(a, DIFFUSION, x, batch_size=4, seed=seed) for a, x in zip(learners, (IMAGES, TWIN), strict=True)]
    monitor = watch(learners[1].denoiser) if watch else None
    losses = []
    for step, other in zip(*loops, strict=True):
        losses += [step.loss, other.loss]
        if monitor is not None and monitor.due(step.index):
            monitor.check(learners[0].denoiser, step.index, step.examples)
        if step.index == STEPS:
            break
    weights = [v for a in learners for m in (a.denoiser, a.averaged) for v in m.state_dict().values()]
    return [*weights, *losses, torch.get_rng_state()], (np.random.get_state()[1].tolist(), random.getstate())  # noqa: NPY002


def test_a_monitored_run_is_bit_identical_to_an_unmonitored_one(tmp_path):
    """With dropout and batch normalization in both twins, all probes, and a user's loss that draws global noise."""
    with open_record(tmp_path) as record:
        watched, watched_states = plain_training(0, lambda twin: monitor_of(record, twin))
        assert record.last_step == STEPS - 1
        assert {"gap", "own_gap", "gap_sym", "agreement", "copy_fraction", "membership_auc"} <= set(record.quantities)
    alone, states = plain_training(0)
    assert all(torch.equal(a, b) for a, b in zip(watched, alone, strict=True))
    assert watched_states == states


class ModeSeen:
    """A probe that notes what it is asked under."""

    def __init__(self, *, fails: bool = False) -> None:
        self.seen: list[bool] = []
        self.fails = fails

    def measure(self, denoiser, generator):
        self.seen += [m.training for m in denoiser.modules()] + [torch.is_grad_enabled()]
        torch.rand(3)
        if self.fails:
            raise ZeroDivisionError
        return Reading((Estimate(quantity="seen", value=0.0),))


@pytest.mark.parametrize("fails", [False, True])
def test_every_module_gets_its_own_mode_back_and_so_does_the_random_state_even_when_a_probe_fails(tmp_path, fails):
    denoiser, probe = unet(0), ModeSeen(fails=fails)
    for k, module in enumerate(denoiser.modules()):
        module.training = k % 3 != 0  # a fine-tuner freezes some parts
    before = [m.training for m in denoiser.modules()], torch.get_rng_state()
    with open_record(tmp_path) as record:
        monitor = Monitor(record, [probe])
        if fails:
            with pytest.raises(ZeroDivisionError):
                monitor.check(denoiser, 1, 4)
        else:
            monitor.check(denoiser, 1, 4)
    assert not any(probe.seen)
    assert torch.is_grad_enabled()
    assert [m.training for m in denoiser.modules()] == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_the_twin_is_asked_in_evaluation_mode_and_goes_back_to_training(tmp_path):
    twin, ours = unet(1), unet(0)
    nn.init.normal_(twin.network.leave[-1].weight, generator=generator(0))  # iDDPM starts at zero: nothing to drop
    for module in twin.modules():
        if isinstance(module, nn.Conv2d) and not module.weight.any():
            nn.init.normal_(module.weight, std=0.1, generator=generator(0))
    answers = []
    for folder, mode in (("a", True), ("b", False)):
        twin.train(mode)
        with open_record(tmp_path / folder) as record:
            answers.append([m.value for m in monitor_of(record, twin).check(ours, 1, 4)])
        assert all(m.training is mode for m in twin.modules())
    np.testing.assert_array_equal(*answers)


def run(path, steps, *, monitor_seed=0, probes=None, sample_probes=None) -> dict:
    """Check an exact denoiser at some steps; all that the record then holds but the clock's seconds."""
    probes = [LossGap(DIFFUSION, {"train": VECTORS, "heldout": OTHERS})] if probes is None else probes
    with open_record(path) as record:
        monitor = Monitor(
            record,
            probes,
            cadence=LogCadence(first=1),
            sampler=draw_vectors,
            sample_probes=[Copies(VECTORS, OTHERS)] if sample_probes is None else sample_probes,
            seed=monitor_seed,
        )
        for step in steps:
            monitor.check(EXACT, step, 4 * step)
    lines = (path / "measurements.jsonl").read_bytes().count(b"\n")
    record = RunRecord.read(path)
    assert len(record.measurements) == lines
    return {m.key: m.model_copy(update={"seconds": 0.0}) for m in record.measurements}


def test_a_resumed_run_measures_again_what_it_had_and_writes_it_once(tmp_path):
    unbroken = run(tmp_path / "unbroken", [1, 2, 4, 8, 16])
    run(tmp_path / "resumed", [1, 2, 4, 8])
    assert run(tmp_path / "resumed", [4, 8, 16]) == unbroken
    assert RunRecord.read(tmp_path / "resumed").array_steps() == RunRecord.read(tmp_path / "unbroken").array_steps()


def test_the_clock_of_a_resumed_run_goes_on_where_it_stood(tmp_path):
    with open_record(tmp_path) as record:
        first = Monitor(record, [LossGap(DIFFUSION, {"train": VECTORS, "heldout": OTHERS})]).check(EXACT, 1, 4)[0]
        record.append([first.model_copy(update={"step": 2, "seconds": 1000.0})])
    with open_record(tmp_path) as record:
        later = Monitor(record, [LossGap(DIFFUSION, {"train": VECTORS, "heldout": OTHERS})]).check(EXACT, 3, 4)
    assert all(1000 <= m.seconds < 1060 for m in later)


class Dice:
    """A probe whose answer is nothing but its draw."""

    def __init__(self, name: str = "dice") -> None:
        self.name = name

    def measure(self, *asked):
        return Reading((Estimate(quantity=self.name, value=float(torch.rand(1, generator=asked[-1]))),))


class OtherDice(Dice):
    """Another kind of probe: each kind has draws of its own."""


def test_adding_a_probe_changes_no_other_number(tmp_path):
    few = run(tmp_path / "few", [1, 2, 8], probes=[Dice()], sample_probes=[Copies(VECTORS, OTHERS), Dice("last")])
    more = run(
        tmp_path / "more",
        [1, 2, 8],
        probes=[OtherDice("other"), LossGap(DIFFUSION, {"train": VECTORS, "heldout": OTHERS}), Dice()],
        sample_probes=[Agreement(EXACT, draw_vectors), Dice("first"), Copies(VECTORS, OTHERS), Dice("last")],
    )
    assert {key: more[key] for key in few} == few
    assert len(more) > len(few)


def test_a_probe_draws_afresh_at_every_step_and_for_every_seed(tmp_path):
    draws = [
        value.value
        for seed in (0, 1)
        for value in run(tmp_path / str(seed), [1, 2, 3], monitor_seed=seed, probes=[Dice()], sample_probes=[]).values()
    ]
    assert len(set(draws)) == 6


def test_the_sampler_starts_from_the_same_noise_at_every_look_and_so_do_the_questions_about_samples(tmp_path):
    states = []

    def sampler(denoiser, generator):
        states.append(generator.get_state())
        return draw_vectors(denoiser, generator)

    class Looking:
        def measure(self, samples, denoiser, generator):
            states.append(generator.get_state())
            return Reading(())

    with open_record(tmp_path) as record:
        monitor = Monitor(record, [], sampler=sampler, sample_probes=[Looking(), Agreement(EXACT, draw_vectors)])
        for step in (8, 16, 40, 64):
            monitor.check(EXACT, step, step)
        assert record.curve("agreement").values == pytest.approx([1, 1, 1])  # not at 40, which is no doubling
    assert len(states) == 6
    assert all(torch.equal(state, states[0]) for state in states)


@pytest.mark.parametrize(("samples", "drawn"), [(None, [8, 16]), (True, [8, 9, 16]), (False, [])])
def test_samples_follow_their_cadence_unless_told_otherwise(tmp_path, samples, drawn):
    with open_record(tmp_path) as record:
        monitor = Monitor(record, [], sampler=draw_vectors, sample_probes=[Copies(VECTORS, OTHERS)])
        for step in (8, 9, 16):
            monitor.check(EXACT, step, step, samples=samples)
        assert record.array_steps() == drawn == record.steps


def test_something_is_due_when_either_cadence_says_so(tmp_path):
    with open_record(tmp_path) as record:
        cadences = {"cadence": LogCadence(first=4, per_doubling=1), "sample_cadence": LogCadence(3, per_doubling=1)}
        both = Monitor(record, [], sampler=draw_vectors, **cadences)
        losses_alone = Monitor(record, [], **cadences)
    assert [s for s in range(17) if both.due(s)] == [3, 4, 6, 8, 12, 16]
    assert [s for s in range(17) if losses_alone.due(s)] == [4, 8, 16]


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), 1e30])
def test_a_model_that_has_diverged_is_an_error_that_names_the_step(tmp_path, weight):
    denoiser = Preconditioned(MLP((4,), width=8), DIFFUSION)
    nn.init.constant_(denoiser.network.leave.weight, weight)
    sets = {"train": VECTORS, "heldout": OTHERS}
    probes = [LossGap(DIFFUSION, sets), SymmetricGap(DIFFUSION, VECTORS, EXACT, OTHERS)]
    with open_record(tmp_path) as record:
        monitor = Monitor(record, [*probes, EmpiricalGap(DIFFUSION, VECTORS, OTHERS)])
        with pytest.raises(RecordError, match=r"not finite at step 40 .*training has diverged"):
            monitor.check(denoiser, 40, 160)
        monitor.check(EmpiricalDenoiser(DIFFUSION, VECTORS), 41, 164)
    assert RunRecord.read(tmp_path).steps == [41]


def test_two_probes_that_answer_by_one_name_are_refused(tmp_path):
    with open_record(tmp_path) as record:
        with pytest.raises(ConfigError, match="give 'dice' 2 times; a record holds each fact once a step"):
            Monitor(record, [Dice(), Dice()]).check(EXACT, 1, 4)
        assert record.measurements == []


def test_what_check_returns_is_what_the_record_holds(tmp_path):
    with open_record(tmp_path) as record:
        returned = Monitor(record, [Dice()], sampler=draw_vectors, sample_probes=[Copies(VECTORS, OTHERS)]).check(
            EXACT, 8, 32
        )
        assert returned == record.measurements
    assert RunRecord.read(tmp_path).measurements == returned
    assert {(m.step, m.examples) for m in returned} == {(8, 32)}
