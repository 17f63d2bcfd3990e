"""Keys of old names: they work as before, with a note where somebody wrote them, and continue what they began."""

import json
import os
from pathlib import Path

import pytest
from tiny import TINY, tiny

from taumem.errors import ConfigError, DataError, RecordError, TaumemWarning
from taumem.lab import RunPlan, load_experiment, load_sweep, make_run, make_study, preset_names
from taumem.lab.loading import read_experiment, recipe_of
from taumem.record import RunRecord

OLD = {**TINY, "monitor": {**TINY["monitor"], "levels": [0.2, 0.5]}}
NEW = {**TINY, "monitor": {**TINY["monitor"], "times": [0.2, 0.5]}}
NOTE = r"monitor\.levels is called monitor\.times now"


def test_a_file_with_an_old_name_is_read_with_a_note(tmp_path):
    for name, text in (("old.json", json.dumps(OLD)), ("old.toml", toml(OLD))):
        file = tmp_path / name
        file.write_text(text)
        with pytest.warns(TaumemWarning, match=NOTE) as notes:
            assert load_experiment(file) == tiny(**NEW)
        assert len(notes) == 1
        with pytest.warns(TaumemWarning, match=NOTE):  # the change is the last word, under whichever name
            assert load_experiment(file, ["monitor.times=[0.4]"]).monitor.times == (0.4,)


def test_a_change_by_an_old_name_is_made_with_a_note():
    with pytest.warns(TaumemWarning, match=NOTE):
        assert load_experiment("text", ["monitor.levels=[0.4]"]).monitor.times == (0.4,)


@pytest.mark.parametrize("name", preset_names())
def test_presets_have_the_names_of_today(name):
    load_sweep(name)  # of one study, or of several; a note would be an error here


def test_a_study_and_a_run_of_then_go_on_without_a_word(tmp_path):
    study = tiny(**{**NEW, "n_train": [8], "twins": False})
    (unbroken,) = make_study(study, tmp_path / "unbroken", workers=1)
    plan = RunPlan(study, 8, 0, None)

    def on_step(plan: RunPlan, step: int) -> None:
        if step == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_run(plan, tmp_path / "then", on_step)
    header = json.loads((tmp_path / "then" / plan.name / "run.json").read_text())
    monitor = header["experiment"]["monitor"]
    monitor["levels"] = monitor.pop("times")
    del header["check"]
    (tmp_path / "then" / plan.name / "run.json").write_text(json.dumps(header))
    (tmp_path / "then" / "experiment.json").write_text(json.dumps({**OLD, "n_train": [16], "twins": False}))

    (gone_on,) = make_study(study, tmp_path / "then", workers=1)
    assert [m.value for m in gone_on.measurements] == [m.value for m in unbroken.measurements]
    assert RunRecord.read(tmp_path / "then" / plan.name).header.experiment == header["experiment"]
    noted = load_experiment(tmp_path / "then" / "experiment.json")
    assert noted.n_train == (8, 16)

    other = tiny(**{**NEW, "n_train": [8], "twins": False, "monitor": {**NEW["monitor"], "times": [0.3]}})
    with pytest.raises(RecordError, match=r"another run.*monitor\.(times|levels)"):
        make_run(RunPlan(other, 8, 0, None), tmp_path / "then")


def test_the_size_of_blocks_is_no_part_of_the_recipe(tmp_path):
    study = tiny(n_train=[8], twins=False)
    make_study(study, tmp_path, workers=1)
    smaller = study.model_copy(update={"monitor": study.monitor.model_copy(update={"block": 4})})
    make_study(smaller, tmp_path, workers=1)
    assert load_experiment(tmp_path / "experiment.json").monitor.block == 4


def test_own_images_without_a_path_say_how_to_give_one(tmp_path):
    with pytest.raises(ConfigError, match=r"--set data\.path=FOLDER"):
        make_study(load_experiment("own-images"), tmp_path / "out")
    with pytest.raises(DataError, match="no such file or folder"):
        make_study(load_experiment("own-images", ["data.path=nowhere"]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def toml(content: dict) -> str:
    """TOML that has a table for each section: of plain values, JSON's spelling is TOML's."""
    plain = [f"{key} = {json.dumps(value)}" for key, value in content.items() if not isinstance(value, dict)]
    sections = [(key, value) for key, value in content.items() if isinstance(value, dict)]
    return "\n".join([*plain, *(f"[{key}]\n{toml(value)}" for key, value in sections)])


COMMITTED = sorted((Path(__file__).parents[2] / "experiments").glob("*/*.toml"))


@pytest.mark.parametrize("file", COMMITTED, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_published_records_are_of_their_published_experiments(file):
    sweep = load_sweep(file)  # a note would be an error here: these have the names of today
    recipes = [study.recipe for study in sweep.studies.values()] if sweep.over else [load_experiment(file).recipe]
    study = file.with_suffix("")
    if (study / "experiment.json").exists():
        assert read_experiment(study / "experiment.json").recipe in recipes
    for run in sorted(study.glob("*/run.json"))[:2]:
        assert recipe_of(json.loads(run.read_text())["experiment"]) in recipes


class TestFilesThatAreNoExperiments:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a.json", "[" * 100_000),
            ("a.json", '{"data": ' * 5000 + "1" + "}" * 5000),
            ("a.json", '{"data": ' * 200 + "1" + "}" * 200),
            ("a.toml", "data = " + "[" * 5000 + "]" * 5000),
            ("a.toml", "a." * 3000 + "b = 1"),
            ("a.toml", "data = " + "{a = " * 2000 + "1" + "}" * 2000),
        ],
    )
    def test_nested_without_end_they_are_refused_in_words(self, tmp_path, name, content):
        (tmp_path / name).write_text(content)
        with pytest.raises(ConfigError, match=rf"{name}: .*(nested deeper|not valid)"):
            load_experiment(tmp_path / name)

    @pytest.mark.parametrize(
        "change",
        [
            "seeds=[" * 2000,
            "seeds=" + "[" * 2000 + "]" * 2000,
            "seeds=[0x" + "f" * 9000 + "]",
            "seeds=[" + "9" * 9000 + "]",
        ],
    )
    def test_a_change_without_end_is_refused_in_words(self, change):
        with pytest.raises(ConfigError, match="seeds"):
            load_experiment("demo", [change])

    @pytest.mark.parametrize("number", ["1" + "0" * 5000, "9223372036854775808", "0x" + "f" * 9000])
    def test_numbers_without_end_are_refused_in_words(self, tmp_path, number):
        (tmp_path / "a.toml").write_text(f'name = "a"\nn_train = [{number}]\n')
        with pytest.raises(ConfigError, match=r"beyond 2\^63|Exceeds the limit"):
            load_experiment(tmp_path / "a.toml")

    def test_half_a_surrogate_pair_is_refused_in_words(self, tmp_path):
        for content in ('{"name": "\\ud800"}', '{"training": {"\\udfff": 1}}', '{"seeds": ["\\ud800"]}'):
            (tmp_path / "a.json").write_text(content)
            with pytest.raises(ConfigError, match=r"no character by itself"):
                load_experiment(tmp_path / "a.json")
        with pytest.raises(ConfigError, match=r"--set data.path: 'caf\\udce9' holds"):
            load_experiment("own-images", ["data.path=caf\udce9"])

    def test_a_pipe_is_not_waited_for_and_a_large_file_is_not_read(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.toml")
        with pytest.raises(ConfigError, match="is no file"):
            load_experiment(tmp_path / "pipe.toml")
        (tmp_path / "large.json").write_bytes(b" " * (2**20 + 1))
        with pytest.raises(ConfigError, match=r"has 1,048,577 bytes"):
            load_experiment(tmp_path / "large.json")
        with pytest.raises(ConfigError, match="cannot be read as text"):
            load_experiment("a\0.toml")
