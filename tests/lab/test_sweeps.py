"""A sweep: what it goes over, what its folder holds, what is made again, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from small_sweeps import held, small_sweep, toml_file
from tiny import tiny

from taumem.analysis import Study
from taumem.analysis.standing import standings
from taumem.errors import ConfigError, DataError, RecordError, TaumemWarning
from taumem.lab import jobs, load_experiment, load_sweep, make_study, make_sweep, run_names
from taumem.lab.sweeps import _names_of_tables
from taumem.monitor import Monitor
from taumem.record import read_runs, seal, unseal
from taumem.record.state import State, note_state

RATES = "training.learning_rate=1e-3,3e-3"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    swept = make_sweep(small_sweep(folder, RATES), folder / "out", workers=1)
    assert (swept.n_runs, swept.failures) == (2, {})
    return folder / "out"


@pytest.mark.slow
def test_a_sweep_is_a_folder_of_studies_as_any_other(made, tmp_path):
    assert sorted(path.name for path in made.glob("[!.]*")) == [
        "learning_rate=0.001",
        "learning_rate=0.003",
        "sweep.json",
    ]
    alone = load_experiment(toml_file(tmp_path), ["name=rates-learning_rate=0.003", "training.learning_rate=0.003"])
    make_study(alone, tmp_path / "out" / "learning_rate=0.003", workers=1)
    same = "learning_rate=0.003/P000008-seed0"
    assert held(tmp_path / "out")[same] == held(made)[same]
    assert load_experiment(made / "learning_rate=0.003" / "experiment.json") == alone
    study = Study.of(read_runs(made))
    assert study.experiments == ["rates-learning_rate=0.001", "rates-learning_rate=0.003"]
    assert {onset.settings["training.learning_rate"] for onset in study.onsets} == {0.001, 0.003}


def test_a_file_and_the_command_line_go_over_the_same(tmp_path):
    table = "[over]\ntraining = {optimizer = ['adam', 'sgd'], learning_rate = [1e-3, 3e-3]}\nn_train = [[8], [8, 16]]"
    in_file = small_sweep(tmp_path, more=table)
    asked = ["training.learning_rate=1e-3,3e-3", "n_train=[8],[8,16]", "training.optimizer=adam, sgd"]
    said = load_sweep(toml_file(tmp_path / "other"), over=asked)
    assert in_file.studies == said.studies
    assert len(said.studies) == 8
    named = said.studies["n_train=8+16,learning_rate=0.003,optimizer=sgd"]
    assert (named.name, named.sizes) == ("rates-n_train=8+16,learning_rate=0.003,optimizer=sgd", (8, 16))
    assert (named.training.learning_rate, named.training.optimizer) == (0.003, "sgd")
    assert len(run_names(said)) == 12
    instead = small_sweep(tmp_path, "n_train=[16]", more=table)  # of the command line, in the place of the file's
    assert {experiment.n_train for experiment in instead.studies.values()} == {(16,)}


def test_whole_sections_can_be_gone_over_and_long_values_get_short_names(tmp_path):
    table = "[over]\nmodel = [{kind = 'mlp', width = 8}, {kind = 'mlp', width = 32}]"
    sweep = small_sweep(tmp_path, more=table)
    assert [experiment.model.width for experiment in sweep.studies.values()] == [8, 32]
    long = small_sweep(tmp_path, "data.n_items=256,257", f"monitor.times={[k / 100 for k in range(1, 60)]}")
    for name in (*sweep.studies, *long.studies):
        assert len(f"rates-{name}".encode()) <= 100
        assert not set(name) & set('/\\:*?"<>| ')


LONG, LONGER = (f"{{n_items={n},first=4,per_doubling=2,n_samples=8,sampling_steps=3}}" for n in (8, 16))
NOISES = """[over]
diffusion = [{schedule = "cosine"}, {weighting = "x0", schedule = "exploding"}, {eta = 1, schedule = "flow"}]
"""


def test_tables_that_are_gone_over_are_called_by_what_they_hold(tmp_path):
    def names(*tables):
        return [name.removeprefix("model=") for name in small_sweep(tmp_path, "model=" + ",".join(tables)).studies]

    sweep = small_sweep(tmp_path, more=NOISES)
    assert list(sweep.studies) == ["diffusion=cosine", "diffusion=exploding-x0", "diffusion=eta1-flow"]
    assert sweep.studies["diffusion=exploding-x0"].name == "rates-diffusion=exploding-x0"
    assert names('{kind="mlp",width=8}', '{kind="mlp",width=16}') == ["mlp-width8", "mlp-width16"]
    assert list(small_sweep(tmp_path, f"monitor={LONG},{LONGER}").studies) == ["monitor=n_items8", "monitor=n_items16"]


def test_tables_whose_names_would_be_one_or_too_long_are_called_by_their_digest():
    names = list(_names_of_tables([{"a": "x", "b": "y"}, {"a": "x-y"}, {"a": "z"}]).values())
    assert names == ["z"]
    assert not _names_of_tables([{"a": "x" * 60}, {"b": [1, {}]}, {"c": "a/b"}, {}])
    assert not _names_of_tables([{"a": "x"}, "X"])  # on some disks these are one folder


@pytest.mark.parametrize("noted", [True, False])
def test_studies_that_earlier_versions_called_otherwise_go_on_in_their_folders(tmp_path, noted):
    sweep = small_sweep(tmp_path, more=NOISES)
    old = sweep.called({name: sweep.former[name] for name in sweep.studies})
    assert all("~" in name for name in old.studies)
    one = next(iter(old.studies))
    make_sweep(old, tmp_path / "out", only=[one], workers=1)
    if not noted:
        (tmp_path / "out" / "sweep.json").unlink()
    (was,) = held(tmp_path / "out")
    names = [*sweep.studies] if not noted else [*old.studies]
    assert run_names(sweep, tmp_path / "out") == [f"{name}/P000008-seed0" for name in [one, *names[1:]]]
    swept = make_sweep(small_sweep(tmp_path, more=NOISES, steps=60), tmp_path / "out", only=[one], workers=1)
    assert (swept.n_runs, swept.failures) == (1, {})
    assert {f"{run.path.parent.name}/{run.path.name}": run.step for run in standings(tmp_path / "out")[0]} == {was: 60}


def test_a_study_keeps_its_name_where_more_tables_would_give_it_another(tmp_path):
    first, both = small_sweep(tmp_path, f"monitor={LONG}"), small_sweep(tmp_path, f"monitor={LONG},{LONGER}")
    make_sweep(first, tmp_path / "out", workers=1)
    (name,) = first.studies
    assert name not in both.studies
    assert run_names(both, tmp_path / "out") == [f"{study}/P000008-seed0" for study in (name, "monitor=n_items16")]
    assert make_sweep(both, tmp_path / "out", only=[name], workers=1).failures == {}


def test_without_anything_to_go_over_a_sweep_is_that_of_one_study(tmp_path):
    sweep = small_sweep(tmp_path)
    assert list(sweep.studies) == ["rates"]
    assert sweep.studies["rates"] == load_experiment(toml_file(tmp_path))


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ("training.lerning_rate=1,2", "over training.lerning_rate.: unknown key.*did you mean 'learning_rate'"),
        ("optimiser.kind=a,b", "unknown key 'optimiser'"),
        ("training.learning_rate=0.001,1e-3", "make the same study; drop one"),
        ("name=a,b", "the same study"),
        ("training.learning_rate=", "takes key=value,value"),
        ("training.learning_rate", "takes key=value,value"),
        ("training.learning_rate=1e-3,,2e-3", "takes key=value,value"),
        ("training.learning_rate=1e-3,-1", "over training.learning_rate.: training.learning_rate: expected"),
        ("twins.half=a,b", "'twins' is a value, not a section"),
        ("seeds=[0],[0,0]", "must not repeat a value"),
        ("data.n_items=" + ",".join(map(str, range(200, 10_300))), "10,100 studies in one sweep; at most 10,000"),
    ],
)
def test_what_makes_no_sweep_is_refused_in_a_line(tmp_path, over, words):
    with pytest.raises(ConfigError, match=words) as refused:
        small_sweep(tmp_path, over)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("[over]\ntraining.learning_rate = 1e-3", "over training.learning_rate: expected a list of values"),
        ("[over]\ntraining.learning_rate = []", "expected a list of values"),
        ("over = 3", r"\[over\] is a table"),
        ("slurm = 3", r"\[slurm\] is a table"),
    ],
)
def test_a_table_that_makes_no_sweep_is_refused(tmp_path, more, words):
    with pytest.raises(ConfigError, match=words):
        small_sweep(tmp_path, more=more)


def test_a_sweeps_file_is_no_experiment_and_says_which_verb_takes_it(tmp_path):
    with pytest.raises(ConfigError, match="use taumem sweep"):
        load_experiment(toml_file(tmp_path, more="[over]\nseeds = [[0], [1]]"))


def test_data_that_are_too_few_for_one_study_are_told_before_any_is_made(tmp_path):
    with pytest.raises(DataError, match="P = 1000"):
        make_sweep(small_sweep(tmp_path, "n_train=[8],[1000]"), tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_run_that_fails_is_listed_with_its_reason_and_the_others_are_made(tmp_path):
    sweep = small_sweep(tmp_path, "training.learning_rate=1e30,1e-3")
    for _ in range(2):
        swept = make_sweep(sweep, tmp_path / "out", workers=1)
        assert list(swept.failures) == ["learning_rate=1e+30/P000008-seed0"]
        assert "smaller learning rate" in swept.failures["learning_rate=1e+30/P000008-seed0"]
        runs, _ = standings(tmp_path / "out")
        assert [run.state for run in runs] == ["finished", "failed"]
        assert "smaller learning rate" in runs[1].reason


def test_an_error_that_nobody_foresaw_fails_its_run_alone_and_leaves_its_trace(tmp_path, monkeypatch):
    make_run = jobs.make_run

    def failing(plan, folder, on_step):
        if plan.experiment.training.learning_rate == 1e-3:
            raise ZeroDivisionError("of a domain of one's own")
        make_run(plan, folder, on_step)

    monkeypatch.setattr(jobs, "make_run", failing)
    swept = make_sweep(small_sweep(tmp_path, RATES), tmp_path / "out", workers=1)
    ((run, reason),) = swept.failures.items()
    assert "ZeroDivisionError: of a domain of one's own" in reason
    assert "Traceback" in json.loads((tmp_path / "out" / run / "state.json").read_text())["trace"]


def test_the_same_command_makes_what_is_missing_and_nothing_else(made, tmp_path, monkeypatch):
    copy = shutil.copytree(made, tmp_path / "out")
    shutil.rmtree(copy / "learning_rate=0.003" / "P000008-seed0")
    began, reports, make_run = [], [], jobs.make_run

    def noting(plan, *rest):
        began.append(plan.experiment.name)
        make_run(plan, *rest)

    monkeypatch.setattr(jobs, "make_run", noting)
    make_sweep(small_sweep(tmp_path, RATES), copy, workers=1, progress=lambda *done: reports.append(done))
    assert began == ["rates-learning_rate=0.003"]
    assert reports[0] == (0, 80)
    assert (40, 80) in reports  # what was there
    assert reports[-1] == (80, 80)
    assert held(copy) == held(made)


@pytest.mark.slow
def test_one_run_alone_can_be_made_by_its_name(made, tmp_path):
    sweep = small_sweep(tmp_path, RATES)
    for name in run_names(sweep):
        assert make_sweep(sweep, tmp_path / "out", only=[name], workers=1).n_runs == 1
    assert held(tmp_path / "out") == held(made)
    assert make_sweep(sweep, tmp_path / "out", only=["*=0.003"], workers=1).n_runs == 1
    with pytest.raises(ConfigError, match=r"no such study or run; did you mean 'learning_rate=0\.003'"):
        make_sweep(sweep, tmp_path / "out", only=["learning_rate=0.03"], workers=1)


def test_a_run_that_another_process_makes_is_refused_and_its_state_is_left_to_that(made, tmp_path):
    copy = shutil.copytree(made, tmp_path / "out")
    run = copy / "learning_rate=0.001" / "P000008-seed0"
    shutil.rmtree(run / "checkpoints")
    note_state(run, State("running", 7))
    was = (run / "state.json").read_bytes()
    with FileLock(run / ".lock"):
        failures = make_sweep(small_sweep(tmp_path, RATES), copy, workers=1).failures
        assert "another process is writing this run" in failures[f"{run.parent.name}/{run.name}"]
        assert (run / "state.json").read_bytes() == was


def test_a_sweep_may_grow_by_values_and_its_runs_may_become_longer(made, tmp_path):
    copy = shutil.copytree(made, tmp_path / "out")
    make_sweep(small_sweep(tmp_path, "training.learning_rate=1e-2"), copy, workers=1)
    noted = json.loads((copy / "sweep.json").read_text())
    assert noted["over"] == {"training.learning_rate": [0.001, 0.003, 0.01]}
    assert set(noted["settings"]) == {f"learning_rate={rate}" for rate in (0.001, 0.003, 0.01)}
    make_sweep(small_sweep(tmp_path, RATES, steps=60), copy, workers=1)
    assert {run.path.parent.name: run.step for run in standings(copy)[0]} == {
        "learning_rate=0.001": 60,
        "learning_rate=0.003": 60,
        "learning_rate=0.01": 40,
    }


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["training.batch_size=2,4"], "holds another sweep: its over is"),
        ([RATES, "training.batch_size=2,4"], "holds another sweep: its over is"),
        (["training.learning_rate=1e-2"], "holds another experiment.*width"),
        ([RATES], "holds another experiment.*width"),
    ],
)
def test_a_folder_of_another_sweep_is_refused_and_stays_as_it_is(made, tmp_path, asked, words):
    copy = shutil.copytree(made, tmp_path / "out")
    changes = ("model.width=8",) if "experiment" in words else ()
    with pytest.raises(RecordError, match=words):
        make_sweep(small_sweep(tmp_path, *asked, changes=changes), copy, workers=1)
    assert held(copy) == held(made)
    assert (copy / "sweep.json").read_bytes() == (made / "sweep.json").read_bytes()


def test_a_sweep_that_was_sealed_and_unsealed_is_still_that_sweep(made, tmp_path):
    again = unseal(seal(made, tmp_path / "rates.sealed"), tmp_path / "out")
    assert (again / "sweep.json").read_bytes() == (made / "sweep.json").read_bytes()
    with pytest.raises(RecordError, match="holds another sweep"):
        make_sweep(small_sweep(tmp_path, "training.batch_size=4,8"), again, workers=1)


@pytest.mark.slow
def test_a_study_and_a_sweep_do_not_share_a_folder(made, tmp_path):
    copy = shutil.copytree(made, tmp_path / "sweep")
    with pytest.raises(RecordError, match="holds a sweep"):
        make_study(tiny(), copy, workers=1)
    with pytest.raises(RecordError, match="holds a study"):
        make_sweep(small_sweep(tmp_path, RATES), copy / "learning_rate=0.001", workers=1)
    (copy / "sweep.json").write_text("{")
    with pytest.raises(RecordError, match=r"sweep\.json: cannot be read.*Remove it"):
        make_sweep(small_sweep(tmp_path, RATES), copy, workers=1)
    (copy / "sweep.json").unlink()
    make_sweep(small_sweep(tmp_path, RATES), copy, workers=1)
    assert held(copy) == held(made)


@pytest.mark.slow
def test_a_disk_that_is_full_fails_runs_and_room_is_all_they_need(made, tmp_path, monkeypatch):
    look = Monitor.look

    def full(monitor, model, step, *rest, **options):
        if step >= 16:
            raise RecordError(f"{monitor.record.path}: cannot be written: the disk is full.")
        look(monitor, model, step, *rest, **options)

    sweep = small_sweep(tmp_path, RATES)
    with monkeypatch.context() as patch:
        patch.setattr(Monitor, "look", full)
        swept = make_sweep(sweep, tmp_path / "out", workers=1)
    assert len(swept.failures) == 2
    assert all("the disk is full" in reason for reason in swept.failures.values())
    assert make_sweep(sweep, tmp_path / "out", workers=1).failures == {}
    assert held(tmp_path / "out") == held(made)


@pytest.mark.slow
def test_each_study_of_a_sweep_has_the_start_that_it_asks_for(tmp_path):
    start = "\n[pretraining]\nn_train = 32\nbatch_size = 8\n"
    start += "data = {source = 'mixture', dimensions = 4, n_items = 300, n_heldout = 8}\n"
    sweep = small_sweep(tmp_path, "pretraining.steps=5,10", more=start)
    assert make_sweep(sweep, tmp_path / "out", workers=1).failures == {}
    for steps in (5, 10):
        name = f"steps={steps}"
        make_study(sweep.studies[name], tmp_path / "alone" / name, workers=1)
    assert held(tmp_path / "out") == held(tmp_path / "alone")
    of_each = [tmp_path / "out" / f"steps={steps}" / "pretrained" / "network.safetensors" for steps in (5, 10)]
    assert of_each[0].read_bytes() != of_each[1].read_bytes()


def truncated(checkpoint: Path, other: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])


def of_another_network(checkpoint: Path, other: Path) -> None:
    shutil.copy(other, checkpoint)


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [truncated, of_another_network])
def test_a_checkpoint_that_cannot_be_taken_is_told_and_the_run_ends_as_an_unbroken_one(made, tmp_path, spoil):
    make_study(load_experiment(toml_file(tmp_path), ["model.width=8"]), tmp_path / "other", workers=1)
    (other,) = (tmp_path / "other").glob("*/checkpoints/*.safetensors")
    copy = shutil.copytree(made, tmp_path / "out")
    run = copy / "learning_rate=0.003" / "P000008-seed0"
    lines = (run / "measurements.jsonl").read_bytes().splitlines(keepends=True)
    (run / "measurements.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))
    spoil(run / "checkpoints" / "00000040.safetensors", other)
    with pytest.warns(TaumemWarning, match="goes on from step 0"):
        swept = make_sweep(small_sweep(tmp_path, RATES), copy, workers=1)
    assert swept.failures == {}
    assert held(copy) == held(made)
