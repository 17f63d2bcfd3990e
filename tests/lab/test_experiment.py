import json
from pathlib import Path

import pytest
from tiny import TINY, tiny

from taumem.errors import ConfigError
from taumem.lab import Experiment, load_experiment, load_sweep, preset_names
from taumem.lab.diffusions import GaussianConfig
from taumem.lab.experiment import MonitorConfig, TrainingConfig
from taumem.lab.pretraining import LatentsConfig, PretrainingConfig
from taumem.lab.sections import DataConfig, DiffusionConfig, ModelConfig

GRAMMAR = 'name = "x"\nn_train = [8]\n[data]\nsource = "grammar"\nv = 4\nm = 2\ns = 2\nL = 2\n'


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_a_valid_experiment(name):
    sweep = load_sweep(name)  # one of a single study, as a rule
    assert sweep.name == name
    assert len(sweep.studies) == max(1, sum(map(len, sweep.over.values())))


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
        ('name = "x"\nn_train = [8]\ntraining.stop_at_copies = 0.2\nmonitor.n_samples = 0', ["n_samples is 0"]),
        ('name = "x"\nn_train = [8]\ntraining.stop_at_clock = "tau_vall"', ["stop_at_clock", "did you mean 'tau_val'"]),
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
        ('name = "x"\nn_train = []', ["n_train: expected a list of at least 1 value(s)", "or 'auto'; got []"]),
        ('name = "x"\nn_train = 5', ["n_train: expected a list, such as [64, 128] or 'auto'; got 5."]),
        ('name = "x"\nn_train = [1.5]', ["n_train.0: expected a whole number; got 1.5."]),
        ('name = "x"\nn_train = [8]\nseeds = []', ["seeds: expected a list of at least 1", "got []"]),
        ('name = "x"\nn_train = [8]\ntwins = "maybe"', ["twins: expected true or false; got 'maybe'."]),
        ("name = 3\nn_train = [8]", ["name: expected a word or a text, in quotes; got 3."]),
        ('name = "x"\nn_train = [8]\ndata = 3', ["data: expected a section with keys of its own; got 3."]),
        ('name = "x"\nn_train = [8]\ntraining.batch_size = "P2"', ["expected a whole number or 'P' or 'auto'", "'P2'"]),
        ('name = "x"\nn_train = [8]\ntraining.batch_size = true', ["training.batch_size: expected", "got true or"]),
        ('name = "x"\nn_train = [8, true]', ["n_train: expected a number", "got true or false"]),
        (
            'name = "x"\nn_train = [8]\ntraining.ema_window = -0.1',
            ["a number above 0, or 0 for none; got -0.1"],
        ),
        ('name = "x"\nn_train = [8]\ntraining.learning_rate = nan', ["expected a finite number; got nan."]),
        ('name = "x"\nn_train = [8]\ntraining.learning_rate = inf', ["expected a finite number; got inf."]),
        (
            'name = "x"\nn_train = [8]\nmonitor.times = [0.1, 2]',
            ["monitor.times.1: expected a number below", "2"],
        ),
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


@pytest.mark.parametrize(
    "change",
    [
        "model.depth=1000000000",
        "model.width=1000000000",
        "training.batch_size=1000000000",
        "training.min_steps=100000000000",
        "training.steps_per_example=1e12",
        "monitor.n_samples=1000000000",
        "monitor.sampling_steps=1000000000",
        "monitor.per_doubling=1000000000",
        "data.dimensions=1000000000",
        "data.n_items=1000000000",
        "n_train=[1000000000000]",
    ],
)
def test_a_number_that_would_hang_or_fill_the_memory_is_refused_with_the_most_there_may_be(change):
    with pytest.raises(ConfigError, match="expected a number of at most"):
        load_experiment("mixture", [change])


@pytest.mark.parametrize(
    ("preset", "change", "words"),
    [
        ("images", "model.channels=1000000", "at most 65,536"),
        ("images", "model.multipliers=[1, 1000000]", "at most 1,024"),
        ("images", "model.blocks=1000000", "at most 100"),
        ("images", "data.size=1000000", "at most 4,096"),
        ("images", "data.pad_to=1000000", "at most 16,384"),
        ("text", "data.window=1000000", "at most 65,536"),
        ("text", "model.depth=1000000", "at most 1,000"),
        ("text", "model.heads=1000000", "at most 1,024"),
        ("text", "model.stem=1000001", "at most 1,025"),
        ("grammar", "data.L=60", "at most 16"),
        ("grammar", "data.v=1000000", "at most 65,536"),
        ("grammar", "model.widths=1000000000", "at most 65,536"),
        ("grammar", "model.time_features=1000000000", "at most 1,024"),
    ],
)
def test_so_is_a_size_of_any_network_and_any_data(preset, change, words):
    with pytest.raises(ConfigError, match=words):
        load_experiment(preset, [change])


def test_items_and_dimensions_together_fit_into_memory():
    with pytest.raises(ConfigError, match="n_items x dimensions = 600,000,000,000 numbers"):
        load_experiment("mixture", ["data.dimensions=60000", "data.n_items=10000000"])
    with pytest.raises(ConfigError, match=r"strings have s\^L = 4,294,967,296 tokens"):
        load_experiment("grammar", ["data.s=4", "data.L=16"])


def test_a_list_without_end_is_shown_by_its_beginning():
    with pytest.raises(ConfigError) as error:
        load_experiment("mixture", [f"n_train={list(range(2, 3000))}"])
    assert "at most 1,000 values" in str(error.value)
    assert len(str(error.value)) < 300


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
        "pretraining": (PretrainingConfig,),
        "latents": (LatentsConfig,),
        "training": (TrainingConfig,),
        "monitor": (MonitorConfig,),
    }
    ours = {name: [c for c in configs if c.__module__.startswith("taumem.")] for name, configs in sections.items()}
    keys = {f"{name}.{key}" for name, configs in ours.items() for config in configs for key in config.model_fields}
    keys |= set(Experiment.model_fields) - set(sections)
    assert {key for key in keys if f"`{key}`" not in page} == set()
    assert {name for name in preset_names() if f"`{name}`" not in page} == set()
