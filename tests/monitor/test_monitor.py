"""The monitor: it sees everything and touches nothing."""

import json
import random
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from taumem.data import GaussianMixture
from taumem.diffusion import GaussianDiffusion, sample
from taumem.errors import ConfigError, DataError, RecordError, TaumemWarning
from taumem.models import MLP, EmpiricalDenoiser, MixtureDenoiser, Preconditioned, UNet
from taumem.monitor import LogCadence, Monitor
from taumem.probes import Agreement, Copies, EmpiricalGap, LossGap, SymmetricGap
from taumem.record import CopyRule, DataFacts, Estimate, Reading, RunHeader, RunRecord
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
    """A trainer's own loss, which draws from the global states for no good reason."""
    torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002
    return (x0 - denoiser(x0 + t[:, None, None, None] * noise, t)).square().flatten(1).mean(dim=1)


class Careless(LossGap):
    """The same probe with a careless loss, under names of its own."""

    def measure(self, denoiser):
        reading = super().measure(denoiser)
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
            monitor.look(learners[0].denoiser, step.index, step.examples)
        if step.index == STEPS:
            break
    weights = [v for a in learners for m in (a.denoiser, a.averaged) for v in m.state_dict().values()]
    return [*weights, *losses, torch.get_rng_state()], (np.random.get_state()[1].tolist(), random.getstate())  # noqa: NPY002


@pytest.mark.slow
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

    def measure(self, denoiser):
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
                monitor.look(denoiser, 1, 4)
        else:
            monitor.look(denoiser, 1, 4)
    assert not any(probe.seen)
    assert torch.is_grad_enabled()
    assert [m.training for m in denoiser.modules()] == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


@pytest.mark.slow
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
            answers.append([m.value for m in monitor_of(record, twin).look(ours, 1, 4)])
        assert all(m.training is mode for m in twin.modules())
    np.testing.assert_array_equal(*answers)


def run(path, steps, *, probes=None, sample_probes=None) -> dict:
    """Look at an exact denoiser at some steps; all that the record then holds but the clock's seconds."""
    probes = [LossGap(DIFFUSION, {"train": VECTORS, "heldout": OTHERS})] if probes is None else probes
    with open_record(path) as record:
        monitor = Monitor(
            record,
            probes,
            cadence=LogCadence(first=1),
            sampler=draw_vectors,
            sample_probes=[Copies(VECTORS, OTHERS)] if sample_probes is None else sample_probes,
        )
        for step in steps:
            monitor.look(EXACT, step, 4 * step)
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
        first = Monitor(record, [LossGap(DIFFUSION, {"train": VECTORS, "heldout": OTHERS})]).look(EXACT, 1, 4)[0]
        record.append([first.model_copy(update={"step": 2, "seconds": 1000.0})])
    with open_record(tmp_path) as record:
        later = Monitor(record, [LossGap(DIFFUSION, {"train": VECTORS, "heldout": OTHERS})]).look(EXACT, 3, 12)
    assert all(1000 <= m.seconds < 1060 for m in later)


class Says:
    """A probe, or a question to samples, that always says the same."""

    def __init__(self, name: str = "word", **settings) -> None:
        self.name = name
        self.settings = settings

    def measure(self, asked):
        return Reading((Estimate(quantity=self.name, value=1.0),))


def test_adding_a_probe_changes_no_other_number(tmp_path):
    losses = LossGap(DIFFUSION, {"train": VECTORS, "heldout": OTHERS})
    few = run(tmp_path / "few", [1, 2, 8], probes=[losses], sample_probes=[Copies(VECTORS, OTHERS)])
    more = run(
        tmp_path / "more",
        [1, 2, 8],
        probes=[EmpiricalGap(DIFFUSION, VECTORS, OTHERS), losses],
        sample_probes=[Agreement(EXACT, draw_vectors), Copies(VECTORS, OTHERS)],
    )
    assert {key: more[key] for key in few} == few
    assert len(more) > len(few)


@pytest.mark.parametrize("seed", [0, 3])
def test_both_twins_samples_start_from_the_same_noise_at_every_look(tmp_path, seed):
    states = []

    def sampler(denoiser, generator):
        states.append(generator.get_state())
        return draw_vectors(denoiser, generator)

    with open_record(tmp_path) as record:
        monitor = Monitor(record, [], sampler=sampler, sample_probes=[Agreement(EXACT, sampler, seed=seed)], seed=seed)
        for step in (8, 16, 24, 64):
            monitor.look(EXACT, step, 4 * step)
        assert record.curve("agreement").values == pytest.approx([1, 1, 1])  # not at 24: no doubling since 16
    assert len(states) == 6
    assert all(torch.equal(state, states[0]) for state in states)


@pytest.mark.parametrize(("samples", "drawn"), [(None, [8, 16]), (True, [8, 9, 16]), (False, [])])
def test_samples_follow_their_cadence_unless_said_otherwise(tmp_path, samples, drawn):
    with open_record(tmp_path) as record:
        monitor = Monitor(record, [], sampler=draw_vectors, sample_probes=[Copies(VECTORS, OTHERS)])
        for step in (8, 9, 16):
            monitor.look(EXACT, step, 4 * step, samples=samples)
        assert record.array_steps() == drawn == record.steps


def test_something_is_due_when_either_cadence_says_so(tmp_path):
    with open_record(tmp_path) as record:
        cadences = {"cadence": LogCadence(first=4, per_doubling=1), "sample_cadence": LogCadence(3, per_doubling=1)}
        both = Monitor(record, [], sampler=draw_vectors, **cadences)
        losses_alone = Monitor(record, [], **cadences)
        assert list(looks_of(both, range(17))) == [3, 4, 6, 8, 12, 16]
        assert list(looks_of(losses_alone, range(17))) == [4, 8, 16]


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), 1e30])
def test_a_model_that_has_diverged_is_an_error_that_names_the_step(tmp_path, weight):
    denoiser = Preconditioned(MLP((4,), width=8), DIFFUSION)
    nn.init.constant_(denoiser.network.leave.weight, weight)
    sets = {"train": VECTORS, "heldout": OTHERS}
    probes = [LossGap(DIFFUSION, sets), SymmetricGap(DIFFUSION, VECTORS, EXACT, OTHERS)]
    with open_record(tmp_path) as record:
        monitor = Monitor(record, [*probes, EmpiricalGap(DIFFUSION, VECTORS, OTHERS)])
        with pytest.raises(RecordError, match=r"not finite at step 40 .*training has diverged"):
            monitor.look(denoiser, 40, 160)
        monitor.look(EmpiricalDenoiser(DIFFUSION, VECTORS), 41, 164)
    assert RunRecord.read(tmp_path).steps == [41]


def test_two_probes_that_answer_by_one_name_are_refused(tmp_path):
    with open_record(tmp_path) as record:
        with pytest.raises(ConfigError, match="give 'word' 2 times; a record holds each fact once a step"):
            Monitor(record, [Says(), Says()]).look(EXACT, 1, 4)
        assert record.measurements == []


@pytest.mark.parametrize(
    ("probe", "message"),
    [
        (Says, "the class Says itself"),
        (object(), "got object"),
        (lambda denoiser: None, "got function"),
        (None, "got NoneType"),
    ],
)
@pytest.mark.parametrize("where", ["probes", "sample_probes"])
def test_what_is_no_probe_is_refused_before_anything_is_measured(tmp_path, probe, message, where):
    with (
        open_record(tmp_path) as record,
        pytest.raises(ConfigError, match=rf"object with measure\(model\) .*{message}"),
    ):
        Monitor(record, **({"probes": []} | {where: [probe]}), sampler=draw_vectors)


@pytest.mark.parametrize("answer", [None, 0.5, Estimate(quantity="x", value=1.0), {"x": 1.0}])
def test_a_probe_that_gives_no_reading_is_refused_by_name(tmp_path, answer):
    class Wrong:
        def measure(self, asked):
            return answer

    message = rf"Wrong\.measure gives {type(answer).__name__}; expected Reading"
    with open_record(tmp_path) as record:
        for monitor in (
            Monitor(record, [Wrong()]),
            Monitor(record, [], sampler=draw_vectors, sample_probes=[Wrong()]),
        ):
            with pytest.raises(ConfigError, match=message):
                monitor.look(EXACT, 8, 32)
        assert record.measurements == []


@pytest.mark.parametrize(
    ("examples", "agrees"), [(40, True), (20, True), (19, False), (41, False), (10, False), (0, False)]
)
def test_examples_that_contradict_the_batch_size_are_told_once(tmp_path, examples, agrees):
    """Ten steps of 4 of 24 items: a pass may end with a smaller batch, so that half as many is still possible."""
    with open_record(tmp_path) as record, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        monitor = Monitor(record, [Says()])
        monitor.look(EXACT, 10, examples)
        monitor.look(EXACT, 20, 2 * examples)
    assert [w.category for w in caught] == [TaumemWarning] * (not agrees)
    if not agrees:
        expected = f"{examples} examples at step 10, where 10 steps of the record's batch size of 4 have seen 40"
        assert expected in str(caught[0].message)


def test_a_batch_that_is_larger_than_the_training_set_sees_all_of_it(tmp_path):
    data = DataFacts(name="noise", fingerprint="0", n_train=24, n_heldout=24, item_shape=(4,))
    header = RunHeader(name="study", data=data, seed=0, batch_size=1000, steps=STEPS)
    with RunRecord.open(tmp_path, header) as record:
        Monitor(record, [Says()]).look(EXACT, 10, 240)


def test_samples_that_are_not_finite_end_the_look_and_nothing_is_written_down(tmp_path):
    def sampler(denoiser, generator):
        return draw_vectors(denoiser, generator).index_fill(0, torch.tensor([1, 4]), float("nan"))

    with open_record(tmp_path) as record:
        monitor = Monitor(record, [Says()], sampler=sampler, sample_probes=[Copies(VECTORS, OTHERS)])
        with pytest.raises(DataError, match=r"2 of 6 samples hold NaN .* The model or its sampler has diverged"):
            monitor.look(EXACT, 8, 32)
        assert record.measurements == []


def test_what_look_returns_is_what_the_record_holds(tmp_path):
    with open_record(tmp_path) as record:
        monitor = Monitor(record, [Says()], sampler=draw_vectors, sample_probes=[Copies(VECTORS, OTHERS)])
        returned = monitor.look(EXACT, 8, 32)
        assert returned == record.measurements
    assert RunRecord.read(tmp_path).measurements == returned
    assert {(m.step, m.examples) for m in returned} == {(8, 32)}


# --- when to look -----------------------------------------------------------------------------------------------------


def looks_of(monitor, steps) -> dict[int, bool]:
    """Ask at these steps, and look where it is due: the steps of the looks, and whether samples were drawn there."""
    looks = {}
    for step in map(int, steps):
        if monitor.due(step):
            found = monitor.look(EXACT, step, 4 * step)
            looks[step] = any(m.quantity == "samples" for m in found)
            assert not monitor.due(step)  # one look a step, however often the loop asks
    return looks


def cheap(record, cadence, sample_cadence) -> Monitor:
    return Monitor(
        record,
        [Says("losses")],
        cadence=cadence,
        sampler=lambda denoiser, generator: torch.zeros(2, 4),
        sample_probes=[Says("samples")],
        sample_cadence=sample_cadence,
    )


cadences = st.builds(LogCadence, first=st.integers(1, 40), per_doubling=st.integers(1, 6))
firings = st.lists(st.integers(1, 60), max_size=40).map(lambda gaps: np.cumsum(gaps, dtype=int).tolist())


def expected(cadence, sample_cadence, firings) -> dict[int, bool]:
    """The first firing at or after each step of the cadences, and whether it comes after one of the samples' own."""
    until = max(firings, default=0)
    looks, drawn = ({min(f for f in firings if f >= s) for s in c.steps(until)} for c in (cadence, sample_cadence))
    return {step: step in drawn for step in sorted(looks | drawn)}


@given(cadences, cadences, firings)
def test_each_step_of_the_cadence_leads_to_one_look_at_the_first_firing_at_or_after_it(
    tmp_path_factory, cadence, sample_cadence, firings
):
    with open_record(tmp_path_factory.mktemp("run")) as record:
        looks = looks_of(cheap(record, cadence, sample_cadence), firings)
    assert looks == expected(cadence, sample_cadence, firings)


@pytest.mark.slow
@given(cadences, cadences)
def test_a_loop_that_asks_at_every_step_looks_at_the_steps_of_the_cadence(tmp_path_factory, cadence, sample_cadence):
    with open_record(tmp_path_factory.mktemp("run")) as record:
        looks = looks_of(cheap(record, cadence, sample_cadence), range(1, 151))
    assert list(looks) == sorted({*cadence.steps(150), *sample_cadence.steps(150)})
    assert [step for step, drawn in looks.items() if drawn] == sample_cadence.steps(150)


@pytest.mark.slow
@given(cadences, cadences, st.integers(1, 20), st.integers(1, 150), st.data())
def test_where_training_goes_on_from_an_earlier_checkpoint_the_looks_are_those_of_an_unbroken_run(
    tmp_path_factory, cadence, sample_cadence, every, killed_at, data
):
    saved_at = data.draw(st.integers(0, killed_at))
    firings = range(every, 151, every)
    with open_record(tmp_path_factory.mktemp("unbroken")) as record:
        unbroken = looks_of(cheap(record, cadence, sample_cadence), firings)
        facts = [m.key for m in record.measurements]
    path = tmp_path_factory.mktemp("broken")
    with open_record(path) as record:
        looks_of(cheap(record, cadence, sample_cadence), [s for s in firings if s <= killed_at])
    with open_record(path) as record:
        rest = looks_of(cheap(record, cadence, sample_cadence), [s for s in firings if s > saved_at])
        assert rest == {step: drawn for step, drawn in unbroken.items() if step > saved_at}
        assert [m.key for m in record.measurements] == facts


def test_a_loop_that_goes_back_looks_again_at_the_same_steps(tmp_path):
    with open_record(tmp_path) as record:
        monitor = Monitor(record, [Says()], cadence=LogCadence(first=4, per_doubling=1))
        assert list(looks_of(monitor, range(1, 20))) == [4, 8, 16]
        assert list(looks_of(monitor, range(6, 40))) == [8, 16, 32]
        assert record.steps == [4, 8, 16, 32]


def test_a_look_out_of_turn_takes_the_place_of_none_that_comes_after_it(tmp_path):
    with open_record(tmp_path) as record:
        monitor = Monitor(record, [Says()], cadence=LogCadence(first=4, per_doubling=1))
        monitor.look(EXACT, 7, 28)
        assert list(looks_of(monitor, [8, 12, 15, 20])) == [8, 20]


# --- what the header says of it ---------------------------------------------------------------------------------------


def sampling(record, *, threshold=1 / 3, seed=0, **changes) -> Monitor:
    losses = LossGap(DIFFUSION, {"train": VECTORS, "heldout": OTHERS}, times=(0.2, 0.4), seed=seed)
    return Monitor(
        record,
        [losses],
        **{"sampler": draw_vectors, "sample_probes": [Copies(VECTORS, OTHERS, threshold=threshold)], **changes},
    )


def test_the_settings_of_all_probes_and_the_rule_of_a_copy_are_in_the_header(tmp_path):
    n_items = {"train": 32, "heldout": 32}
    with open_record(tmp_path) as record:
        sampling(record)
    found = json.loads((tmp_path / "run.json").read_text())
    assert found["probes"] == {
        "LossGap": {"times": [0.2, 0.4], "seed": 0, "n_items": n_items},
        "Copies": {"threshold": 1 / 3, "n_items": n_items, "n_groups": 32},
    }
    assert found["copy_rule"] == {"measure": "gap_ratio", "threshold": 1 / 3, "near_duplicates": "one"}
    with open_record(tmp_path) as record:
        sampling(record).look(EXACT, 8, 32)  # the same again


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"threshold": 0.2},
            r"was measured otherwise before: its Copies\.threshold is 0\.33.*, this one has 0\.2\. Choose",
        ),
        (
            {"seed": 1},
            r"its LossGap\.seed is 0, this one has 1\. Choose another output folder, or measure as before\.$",
        ),
    ],
)
def test_a_run_is_not_continued_with_other_settings(tmp_path, changes, message):
    with open_record(tmp_path) as record:
        sampling(record).look(EXACT, 8, 32)
    with open_record(tmp_path) as record, pytest.raises(RecordError, match=message):
        sampling(record, **changes)


def test_a_run_of_the_first_schema_has_noted_nothing_and_can_be_continued(tmp_path):
    with open_record(tmp_path) as record:
        Monitor(record, []).look(EXACT, 8, 32)
    file = tmp_path / "run.json"
    content = json.loads(file.read_text())
    assert not content["probes"]
    del content["check"]
    file.write_text(json.dumps(content | {"schema_version": 1}))
    with open_record(tmp_path) as record:
        sampling(record)
    assert set(RunRecord.read(tmp_path).header.probes) == {"LossGap", "Copies"}


def test_two_probes_of_one_class_are_told_apart_and_one_without_settings_has_none(tmp_path):
    class Silent:
        def measure(self, denoiser):
            return Reading(())

    with open_record(tmp_path) as record:
        Monitor(record, [Says(a=1), Silent(), Says(a=2)])
        assert record.header.probes == {"Says": {"a": 1}, "Silent": {}, "Says 2": {"a": 2}}


def test_what_is_not_asked_for_want_of_samples_is_not_noted(tmp_path):
    with open_record(tmp_path) as record:
        sampling(record, sampler=None)
        assert (set(record.header.probes), record.header.copy_rule) == ({"LossGap"}, None)


def test_copies_are_counted_by_one_rule(tmp_path):
    copies = [Copies(VECTORS, OTHERS, threshold=threshold) for threshold in (0.2, 0.3)]
    with open_record(tmp_path) as record:
        with pytest.raises(ConfigError, match=r"count copies by one rule; .*nearer than 0\.2 .*nearer than 0\.3 "):
            sampling(record, sample_probes=copies)
        assert sampling(record, sample_probes=copies[:1]).record.header.copy_rule == CopyRule(
            measure="gap_ratio", threshold=0.2, near_duplicates="one"
        )
