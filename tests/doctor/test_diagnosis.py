"""The verb as a user meets it: what it says, its exit code, its JSON; and what can be forecast from how many items."""

import inspect
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import taumem
from taumem.cli import main
from taumem.cli.checking import doctor
from taumem.doctor import diagnose, diagnosis, look_around
from taumem.doctor.prospects import pilot_sizes, prospects
from taumem.monitor.subsets import FEWEST_HELDOUT, subsets

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def here():
    return look_around()


@pytest.fixture(autouse=True)
def looked_around_once(here, monkeypatch):
    monkeypatch.setattr(diagnosis, "look_around", lambda imports=False: here)


@pytest.fixture
def forty(tmp_path) -> Path:
    place = tmp_path / "forty"
    place.mkdir()
    for k, image in enumerate(taumem.load_fashion_mnist()[:40, 0]):
        Image.fromarray(((image + 1) * 127.5).round().numpy().astype(np.uint8)).save(place / f"{k:02d}.png")
    return place


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["doctor", *map(str, arguments)])
    return int(stop.value.code or 0)


@pytest.mark.slow
def test_the_screen_says_how_many_there_are_without_near_duplicates(forty, capsys):
    shutil.copy(forty / "00.png", forty / "again.png")
    assert run(forty) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "with near-duplicates as one there are 40, the largest group of 2 (00.png and again.png)" in said


@pytest.mark.parametrize("n", [*range(1, 70), 100, 255, 256, 257, 1000, 60_000])
def test_pilots_of_the_sizes_that_are_named_can_be_made(n):
    if sizes := pilot_sizes(n):
        subsets(n, sizes, repeats=1, nested=True, groups=None, n_heldout=256, seed=0)
        assert n - sizes[-1] >= FEWEST_HELDOUT
        assert n <= 4 * sizes[-1] + 4  # nothing beyond speaks for the law
    else:
        assert n < 16


@pytest.mark.slow
def test_forty_images_get_sizes_doubts_and_what_to_do_besides():
    found = prospects(40, "images", "photos")
    assert found.sizes == (5, 10, 20)
    assert found.heldout == (20, 35)
    assert 1.3 < found.factor < 4
    assert any("first learning" in doubt for doubt in found.doubts)
    told = " ".join(advice.how for advice in found.advice)
    for verb in ("taumem.pilot", "own-images --set data.path=photos", "twin=", "audit --train photos"):
        assert verb in told


def test_eight_images_get_no_forecast_and_something_else_to_do():
    found = prospects(8, "images", "photos")
    assert not found.is_feasible
    assert found.factor is None
    assert "Pilots need 16 items" in found.sentences[0]
    assert ["twin=" in found.advice[0].how, "audit" in found.advice[-1].how] == [True, True]


@pytest.mark.slow
def test_many_items_are_told_to_hold_some_out_first():
    assert "heldout" in prospects(5000, "vectors", "a.npy").advice[0].how


@pytest.mark.slow
def test_the_pages_that_are_named_exist():
    for n in (8, 40, 5000):
        for advice in prospects(n, "images", "x").advice:
            assert (DOCS.parent / advice.page).is_file(), advice.page


def test_all_is_well_with_forty_images(forty, capsys):
    assert run(forty) == 0
    told = capsys.readouterr().out
    assert "40 images read" in told
    assert "6 pilots of 5, 10, 20" in told
    assert told.endswith("Nothing stands in the way.\n")


def test_what_cannot_be_read_stands_in_the_way_unless_it_is_to_be_skipped(forty, capsys):
    (forty / "zero.png").write_bytes(b"")
    assert run(forty) == 1
    assert "In the way: 1 of 41 images cannot be read" in capsys.readouterr().out
    assert run(forty, "--skip-unreadable") == 0


def test_data_that_are_there_and_cannot_be_used_are_in_the_way_and_others_a_wrong_use(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty") == 1
    assert "In the way" in capsys.readouterr().out
    for wrong in ((tmp_path / "nothing",), ("--limit", "3"), (tmp_path, "--limit", "0"), (tmp_path, "--limit", "1.5")):
        assert run(*wrong) == 2
        assert not capsys.readouterr().out.startswith("taumem ")


def test_one_json_object_has_it_all(forty, tmp_path, capsys):
    for place in (forty, tmp_path / "forty"):
        run(place, "--json")
        content = json.loads(capsys.readouterr().out)
        assert content["is_well"]
        assert content["items"]["n_units"] == content["prospects"]["n_train"] == 40
    run("--json")
    content = json.loads(capsys.readouterr().out)
    assert content["items"] is content["prospects"] is None
    assert content["environment"]["packages"][0]["state"] == "works"


def test_without_torch_the_data_are_not_looked_at_and_nothing_breaks(forty, here, monkeypatch):
    broken = [replace(p, state="broken", why_not="no libtorch") if p.name == "torch" else p for p in here.packages]
    without = replace(here, packages=tuple(broken), obstacles=("torch cannot be imported",))
    monkeypatch.setattr(diagnosis, "look_around", lambda imports=False: without)
    found = diagnose(forty)
    assert found.items is None
    assert not found.is_well
    assert "since torch does not work" in found.cautions[-1]


def test_every_option_stands_in_the_guide():
    guide = (DOCS / "doctor.md").read_text(encoding="utf-8")
    for name in inspect.signature(doctor).parameters:
        flag = {"as_bytes": "--bytes", "data": "DATA"}.get(name, f"--{name.replace('_', '-')}")
        assert f"`{flag}`" in guide or f" {flag}" in guide, flag
