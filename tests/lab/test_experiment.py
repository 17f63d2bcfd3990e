import json
from pathlib import Path

import pytest
from tiny import TINY, tiny

from taumem.errors import ConfigError
from taumem.lab import Experiment, load_experiment, preset_names
from taumem.lab.diffusions import GaussianConfig
from taumem.lab.experiment import MonitorConfig, TrainingConfig
from taumem.lab.sections import DataConfig, DiffusionConfig, ModelConfig

GRAMMAR = 'name = "x"\nn_train = [8]\n[data]\nsource = "grammar"\nv = 4\nm = 2\ns = 2\nL = 2\n'


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_a_valid_experiment(name):
    assert load_experiment(name).name == name


def test_an_experiment_survives_the_journey_through_its_own_json(tmp_path):
    file = tmp_path / "experiment.json"
    file.write_text(tiny().model_dump_json())
    assert load_experiment(file) == tiny()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('nam = "x"\nn_train = [8]', ["unknown key 'nam'", "did you mean 'name'"]),
        ('name = "x"\nn_train = [8]\n[training]\nbatchsize = 4', ["'training.batchsize'", "did you mean 'batch_size'"]),
        ('name = "x"\nn_train = [8]\n[model]\nkind = "unet"\nchanels = 4', ["'model.chanels'", "'channels'"]),
        ('name = "x"\nn_train = [8]\n[model]\nkind = "unett"', ["model.kind is 'unett'", "did you mean 'unet'"]),
        ('name = "x"\nn_train = [8]\n[data]\npath = "x"', ["section 'data' needs a 'source'"]),
        ('name = "x"', ["'n_train' is missing"]),
        ('name = "x"\nn_train = [1]', ["at least 2 items", "[1]"]),
        ('name = "x"\nn_train = [8, 8]', ["must not repeat"]),
        (
            'name = "x"\nn_train = [8]\n[training]\nbatch_size = 0',
            ["expected a number of at least 1 or 'P' or 'auto'; got 0."],
        ),
        ('name = "x"\nn_train = [8]\n[training]\nlearning_rate = "fast"', ["training.learning_rate", "'fast'"]),
        ('name = "x"\nn_train = [8]\n[diffusion]\nkind = "maskd"', ["diffusion.kind is 'maskd'", "mean 'masked'"]),
        (
            'name = "x"\nn_train = [8]\n[diffusion]\nkind = "masked"',
            ["takes diffusion.kind 'gaussian'", "got 'masked'"],
        ),
        (f"{GRAMMAR}", ["takes diffusion.kind 'masked' or 'uniform'", "got 'gaussian'"]),
        (f'{GRAMMAR}[diffusion]\nkind = "masked"', ["takes model.kind 'tree' or 'transformer' or 'mlp'", "got 'unet'"]),
        ('name = "x"\nn_train = [8]\n[training]\nbatch_size = "P"\ntogether = true', ["one batch size for all runs"]),
        ('name = "x"\nn_train = [8]\ntraining.stop_at_copies = 0.2\nmonitor.n_samples = 0', ["n_samples is 0"]),
        (
            'name = "x"\nn_train = [8]\nmodel = {kind = "unet", dropout = 0.1}\ntraining = {together = true}',
            ["no run a dropout of its own", "dropout = 0"],
        ),
        (
            f'{GRAMMAR}[diffusion]\nkind = "masked"\n[model]\nkind = "tree"\nwidths = "x"',
            ["model.widths: expected a whole number or"],
        ),
        ('name = "x"\nn_train = [8]\nmodel = "unet"', ["model: expected a section with keys", "got 'unet'"]),
        ('name = "x"\nn_train = [8]\n[model]\nkind = 3', ["model.kind is 3; Known: ", "mlp"]),
        (
            'name = "x"\nn_train = [8]\n[model]\nkind = "mlp"\nwidth = 1',
            ["model.width: expected a number of at"],
        ),
        ('name = "x"\nn_train = [8]\n[monitor]\nlevels = [0.5]\ntimes = [0.5]', ["'monitor.levels'"]),
        ("name = ", ["not valid TOML"]),
    ],
)
def test_a_mistake_is_named_with_what_was_expected(tmp_path, text, words):
    file = tmp_path / "study.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_experiment(file)
    assert "study.toml" in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_a_diffusion_is_gaussian_unless_said_and_toml_says_none_by_zero():
    changed = load_experiment("mixture", ["diffusion.eta=1", "training.clip=0", "training.ema_window=0"])
    assert changed.diffusion == GaussianConfig(eta=1)
    assert changed.training.clip is None
    assert changed.training.ema_window is None


def test_an_unknown_preset_is_refused_with_the_nearest_one():
    with pytest.raises(ConfigError, match="did you mean 'mixture'"):
        load_experiment("mixtur")


def test_a_missing_file_is_refused():
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read"):
        load_experiment("nowhere.toml")


def test_changes_are_read_as_toml_and_plain_words_may_go_without_quotes():
    changed = load_experiment("mixture", ["training.batch_size=P", "n_train=[4, 8]", "model.width = 32"])
    assert changed.training.batch_size == "P"
    assert changed.n_train == (4, 8)
    assert changed.model.width == 32


def test_another_source_or_model_starts_from_its_own_defaults():
    own = load_experiment("images", ["data.source=images", "data.path=photos", "data.size=16"])
    assert own.data.model_dump(exclude_defaults=True) == {"source": "images", "path": "photos", "size": 16}
    assert load_experiment("images", ["model.kind=mlp"]).model.width == 128


@pytest.mark.parametrize("change", ["batch_size", "=3", "name.first=1"])
def test_a_change_that_is_no_change_is_refused(change):
    with pytest.raises(ConfigError, match="--set"):
        load_experiment("mixture", [change])


def test_the_recipe_leaves_out_sizes_and_seeds_alone():
    assert tiny(n_train=[32], seeds=[5]).recipe == tiny().recipe
    assert tiny(name="other").recipe != tiny().recipe
    assert set(TINY) - {"n_train"} <= set(tiny().recipe)
    json.dumps(tiny().recipe)


def test_steps_and_batches_follow_the_size():
    study = tiny(training={"batch_size": "P", "min_steps": 100, "steps_per_example": 10})
    assert [study.steps(n) for n in (2, 10, 11, 40)] == [100, 100, 110, 400]
    assert study.batch_size(40) == 40


def test_an_experiment_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        tiny().name = "other"
    assert isinstance(hash(tiny().data), int)
    assert isinstance(tiny(), Experiment)


def test_every_key_and_preset_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "experiments.md").read_text()
    sections = {
        "data": DataConfig.members.values(),
        "diffusion": DiffusionConfig.members.values(),
        "model": ModelConfig.members.values(),
        "training": (TrainingConfig,),
        "monitor": (MonitorConfig,),
    }
    ours = {name: [c for c in configs if c.__module__.startswith("taumem.")] for name, configs in sections.items()}
    keys = {f"{name}.{key}" for name, configs in ours.items() for config in configs for key in config.model_fields}
    keys |= set(Experiment.model_fields) - set(sections)
    assert {key for key in keys if f"`{key}`" not in page} == set()
    assert {name for name in preset_names() if f"`{name}`" not in page} == set()
