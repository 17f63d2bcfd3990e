"""Sizes chosen from the data, what is said before training, and networks that no machine holds."""

import numpy as np
import pytest
import torch
from tiny import tiny

from taumem.errors import ConfigError, DataError
from taumem.lab import RunPlan, load_experiment, make_study, outlook, sized


@pytest.fixture
def photos(tmp_path):
    """Write so many images, and give the changes of own-images that point to them."""

    def write(n: int, *changes: str) -> list[str]:
        pixels = np.random.default_rng(0).integers(0, 256, (n, 16, 16), dtype=np.uint8)
        np.save(tmp_path / f"{n}.npy", pixels)
        return [f"data.path={tmp_path / f'{n}.npy'}", *changes]

    return write


def chosen(changes: list[str]):
    return sized(load_experiment("own-images", changes))


@pytest.mark.parametrize(
    ("n", "changes", "sizes", "batch_size"),
    [
        (1000, [], (32, 64, 128), 16),
        (400, [], (32, 64, 128), 16),
        (200, [], (16, 32, 64), 8),
        (40, [], (4, 8, 16), 2),
        (20, [], (4, 8), 2),
        (40, ["twins=false"], (8, 16, 32), 4),
        (10, ["twins=false"], (4, 8), 2),
        (40, ["data.n_heldout=24"], (4, 8), 2),
        (40, ["training.batch_size=16"], (4, 8, 16), 16),
        (200, ["n_train=[8, 70]"], (8, 70), 4),
        (40, ["training.batch_size=P"], (4, 8, 16), "P"),
    ],
)
def test_sizes_and_batches_follow_from_how_many_images_there_are(photos, n, changes, sizes, batch_size):
    experiment = chosen(photos(n, *changes))
    assert experiment.sizes == sizes
    assert experiment.training.batch_size == batch_size
    assert sized(experiment) == experiment
    for n_train in sizes:
        RunPlan(experiment, n_train, 0, "a" if experiment.twins else None).prepare()


def test_a_smaller_batch_takes_as_many_more_steps_per_example(photos):
    large, small = chosen(photos(1000)), chosen(photos(40))
    passes = [e.training.steps_per_example * e.training.batch_size for e in (large, small)]
    assert passes[0] == passes[1]
    assert small.training.min_steps == large.training.min_steps
    assert sum(map(small.steps, small.sizes)) == sum(map(large.steps, large.sizes))


@pytest.mark.parametrize("n", [1, 3, 12, 18])
def test_too_few_images_are_told_how_many_are_needed(photos, n):
    with pytest.raises(DataError, match=r"Pilots of P = 4 and 8, two models each .* need 19 in all; 10 with twins"):
        chosen(photos(n))


def test_the_number_that_is_said_to_be_needed_is_enough(photos):
    assert chosen(photos(19)).sizes == (4, 8)
    assert chosen(photos(10, "twins=false")).sizes == (4, 8)
    with pytest.raises(DataError, match="need 10 in all"):
        chosen(photos(9, "twins=false"))


def test_a_size_of_ones_own_stays_and_is_told_the_largest_possible(photos, tmp_path):
    asked = load_experiment("own-images", photos(40, "n_train=[32]"))
    with pytest.raises(DataError, match="Choose P up to 16, or twins = false"):
        make_study(asked, tmp_path / "out", workers=1)
    with pytest.raises(DataError, match="choose P between 1 and 32"):
        make_study(
            load_experiment("own-images", photos(40, "n_train=[64]", "twins=false")), tmp_path / "out", workers=1
        )
    with pytest.raises(DataError, match="Bring more data"):
        make_study(load_experiment("own-images", photos(4, "n_train=[8]")), tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()


def test_forty_images_are_told_before_training_what_they_can_teach(photos):
    ahead = outlook(chosen(photos(40)))
    assert ahead.line.startswith("40.npy: 40 items, 8 held out; P = 4, 8, 16, 1 seed, 2 models each, batches of 2,")
    said = " ".join(ahead.cautions)
    assert "0 % [0 %, 37 %]" in said
    assert "An answer will be rough: pilots end at P = 16, and forecasts reach P = 64 at most." in said
    assert "batch size" not in said
    assert "no larger than the batch size (16)" in " ".join(
        outlook(chosen(photos(40, "training.batch_size=16"))).cautions
    )


def test_many_images_are_told_how_far_a_forecast_reaches(photos):
    assert outlook(chosen(photos(400))).cautions == ()
    few = outlook(load_experiment("own-images", photos(400, "n_train=[32, 34, 36]", "training.batch_size=8")))
    assert "reach P = 144 (4 times the largest), not all 320 items" in " ".join(few.cautions)


@pytest.mark.parametrize(
    ("n", "changes", "sizes", "batch_size"),
    [
        (400, [], (32, 64, 128), 16),
        (180, [], (16, 32, 64), 8),
        (40, [], (4, 8, 16), 2),
        (19, [], (4, 8), 2),
        (10, ["twins=false"], (4, 8), 2),
    ],
)
@pytest.mark.filterwarnings("ignore::taumem.errors.TaumemWarning")
def test_sizes_follow_from_how_many_distinct_lines_there_are(tmp_path, n, changes, sizes, batch_size):
    names = [f"{k}-{k * k}" for k in range(n)]
    (tmp_path / "names.txt").write_text("\n".join([*names, *names]))
    experiment = sized(load_experiment("own-lines", [f"data.path={tmp_path / 'names.txt'}", *changes]))
    assert experiment.sizes == sizes
    assert experiment.training.batch_size == batch_size
    ahead = outlook(experiment)
    assert ahead.line.startswith(f"names.txt: {max(2, n // 5)} held out; P = ")
    for n_train in sizes:
        RunPlan(experiment, n_train, 0, "a" if experiment.twins else None).prepare()


def test_too_few_lines_are_told_how_many_are_needed(tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(f"name {k}" for k in range(18)))
    with pytest.raises(DataError, match=r"of 18 lines .* need 19 in all; 10 with twins = false"):
        sized(load_experiment("own-lines", [f"data.path={tmp_path / 'names.txt'}"]))


def test_steps_that_are_the_same_for_all_sizes_are_said_once(photos):
    same = [*photos(40), "training.min_steps=60", "training.steps_per_example=0"]
    assert outlook(chosen(same)).line.endswith("batches of 2, 60 steps.")


def test_what_is_still_to_be_chosen_is_not_taken_for_chosen():
    experiment = load_experiment("own-images")
    with pytest.raises(ConfigError, match="n_train is 'auto'"):
        _ = experiment.sizes
    with pytest.raises(ConfigError, match=r"training\.batch_size is 'auto'"):
        experiment.batch_size(8)
    with pytest.raises(ConfigError, match=r"data\.source 'grammar' does not have"):
        load_experiment("grammar", ["n_train=auto"])


def test_a_network_that_no_machine_holds_is_refused_with_its_number_before_it_takes_memory(tmp_path):
    for model in (
        {"kind": "mlp", "width": 50_000, "depth": 900},
        {"kind": "mlp", "width": 65_536, "depth": 1000},
    ):
        with pytest.raises(ConfigError, match=r"model: 2,2\d\d,|model: 4,29\d,"):
            make_study(tiny(model=model), tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()


def test_counting_parameters_draws_nothing():
    plan = RunPlan(tiny(), 8, 0, None)
    state = torch.get_rng_state()
    weights = [plan.prepare().learner().denoiser.state_dict() for _ in range(2)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("workers", [0, -1])
def test_fewer_than_one_worker_is_refused(tmp_path, workers):
    with pytest.raises(ConfigError, match="at least 1 process trains"):
        make_study(tiny(), tmp_path, workers=workers)
