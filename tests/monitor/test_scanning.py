"""A scan says of saved checkpoints what a guard would have; what cannot be scored is told, and the rest goes on."""

import json
import os
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scanned_runs import HELDOUT, PROBE, SAMPLE, TRAIN, Net, perturbed, probe_file, saved_run

import taumem
from taumem.analysis import Study
from taumem.analysis.checkpoint_choice import replayed
from taumem.errors import ConfigError, DataError, RecordError
from taumem.monitor import scanning
from taumem.record import read_runs


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder of 20 checkpoints, and the guard that was there when they were saved."""
    folder = tmp_path_factory.mktemp("run")
    return folder / "output", saved_run(folder / "output", folder / "guard"), probe_file(folder)


@pytest.fixture(scope="module")
def scanned(run, tmp_path_factory):
    return taumem.scan(run[0], run[2], folder=tmp_path_factory.mktemp("scanned") / "scan")


# --- the same as a guard ---------------------------------------------------------------------------------------------


def numbers(record):
    return {(m.step, m.quantity): (m.value, m.items) for m in record.measurements}


def test_a_scan_records_the_very_numbers_of_the_guard_that_looked_when_they_were_saved(run, scanned):
    assert numbers(scanned.record) == numbers(run[1].record)


def test_its_clocks_and_its_verdict_are_those_of_the_guard(run, scanned):
    def clocks(record):
        return [(o.clock, o.step, o.low, o.high, o.censored) for o in Study.of([record]).onsets]

    assert clocks(scanned.record) == clocks(run[1].record)
    assert {clock for clock, *_, censored in clocks(scanned.record) if censored == "no"} >= {"tau_gap[0.2]"}
    live, afterwards = run[1].verdict, replayed(run[1].rule, scanned.record)
    assert afterwards.stop
    assert (live.since, live.keep, live.interval) == (afterwards.since, afterwards.keep, afterwards.interval)
    assert scanned.choice.keep == live.keep


def test_quality_keeps_the_lowest_held_out_loss_and_says_what_the_next_has_come_to(scanned):
    loss_of = scanned.record.curve("heldout_loss")
    quality = next(choice for choice in scanned.choices[1:] if choice.policy == "quality")
    assert quality.keep == loss_of.steps[loss_of.values.argmin()]
    assert quality.reason.startswith(
        "Its held-out loss is the lowest. It is the last one: a later one might be better."
    )
    assert scanned.choice.keep < quality.keep
    assert scanned.choice.reason.startswith("The gap between training and held-out loss has grown by")
    assert scanned.choice.beyond.startswith(f"The next one, step {scanned.choice.keep + 10}: held-out loss ")


def test_its_record_is_read_like_any_other_run(scanned):
    (record,) = read_runs(scanned.record.path)
    assert record.header.name == "output/checkpoint-*"
    assert json.loads(json.dumps(scanned.to_json(), allow_nan=False))["keep"] == scanned.choice.keep


def test_a_guard_takes_the_same_file(tmp_path):
    file = probe_file(tmp_path, PROBE + SAMPLE + "batch_size = 8\n")
    with taumem.Guard(**taumem.probe_of(file, n_samples=16), budget=None, strict=True) as guard:
        guard.look(Net(), 8)
    assert guard.record.header.batch_size == 8
    assert guard.record.curve("copy_fraction").counts.tolist() == [16]


def test_what_training_started_from_is_looked_at_as_step_0_and_never_kept(tmp_path):
    perturbed(tmp_path / "net", 3)
    file = probe_file(tmp_path, PROBE + "\n\ndef base():\n    torch.manual_seed(0)\n    return Net()\n")
    found = taumem.scan(tmp_path / "net", file, folder=tmp_path / "scan")
    assert found.record.steps == [0, 10, 20, 30]
    assert found.record.header.pretrained
    assert found.choice.keep != 0
    quality = next(choice for choice in found.choices[1:] if choice.policy == "quality")
    loss_of = found.record.curve("heldout_loss").values
    assert ("But that of step 0, before training, is lower still." in quality.reason) == (loss_of[0] == loss_of.min())


# --- again, and later -------------------------------------------------------------------------------------------------


def counting(monkeypatch):
    """Count how often a checkpoint is loaded."""
    loaded = []
    load = scanning.ProbeFile.load
    monkeypatch.setattr(scanning.ProbeFile, "load", lambda self, path: loaded.append(path.name) or load(self, path))
    return loaded


@pytest.mark.slow
def test_what_was_scored_is_not_scored_again_and_new_ones_come_in_their_order(tmp_path, monkeypatch):
    perturbed(tmp_path / "all", 8)
    file, folder = probe_file(tmp_path), tmp_path / "net"
    folder.mkdir()
    loaded = counting(monkeypatch)
    for steps in ((10, 40, 80), (10, 20, 30, 40, 50, 60, 70, 80)):
        for step in steps:
            shutil.copy(tmp_path / "all" / f"checkpoint-{step}.safetensors", folder)
        found = taumem.scan(folder, file, folder=tmp_path / "scan")
    assert [int(name.split("-")[1].split(".")[0]) for name in loaded] == [10, 40, 80, 20, 30, 50, 60, 70]
    at_once = taumem.scan(folder, file, folder=tmp_path / "another")
    assert numbers(found.record) == numbers(at_once.record)
    assert found.to_json()["choice"] == at_once.to_json()["choice"]


@pytest.mark.slow
def test_an_interrupted_scan_keeps_what_it_has_and_goes_on(tmp_path, monkeypatch):
    perturbed(tmp_path / "net", 5)
    file = probe_file(tmp_path)

    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        taumem.scan(tmp_path / "net", file, folder=tmp_path / "scan", progress=interrupt)
    loaded = counting(monkeypatch)
    found = taumem.scan(tmp_path / "net", file, folder=tmp_path / "scan")
    assert loaded == ["checkpoint-40.safetensors", "checkpoint-50.safetensors"]
    assert found.record.steps == [10, 20, 30, 40, 50]


@pytest.mark.slow
def test_samples_that_are_wanted_later_are_drawn_of_what_was_scored_before(tmp_path):
    perturbed(tmp_path / "net", 3)
    file = probe_file(tmp_path, PROBE + SAMPLE)
    assert (
        taumem.scan(tmp_path / "net", file, folder=tmp_path / "scan", n_samples=0).record.curve_or_none("copy_fraction")
        is None
    )
    found = taumem.scan(tmp_path / "net", file, folder=tmp_path / "scan", n_samples=8)
    assert found.record.curve("copy_fraction").counts.tolist() == [8, 8, 8]


def test_another_file_of_a_step_that_was_scored_is_refused(tmp_path):
    perturbed(tmp_path / "net", 2)
    file = probe_file(tmp_path)
    taumem.scan(tmp_path / "net", file, folder=tmp_path / "scan")
    save_file(dict(Net().state_dict()), tmp_path / "net" / "checkpoint-20.safetensors")
    with pytest.raises(RecordError, match="is not the checkpoint of step 20 that was scored there"):
        taumem.scan(tmp_path / "net", file, folder=tmp_path / "scan")


def test_a_probe_file_that_has_changed_is_told_of(tmp_path):
    perturbed(tmp_path / "net", 2)
    taumem.scan(tmp_path / "net", probe_file(tmp_path), folder=tmp_path / "scan")
    found = taumem.scan(tmp_path / "net", probe_file(tmp_path, PROBE + "\n# changed\n"), folder=tmp_path / "scan")
    assert "probe.py was changed since" in found.notes[0]


@pytest.mark.slow
def test_of_checkpoints_that_are_gone_none_is_to_be_kept(run, scanned, tmp_path):
    folder = tmp_path / "output"
    shutil.copytree(run[0], folder)
    taumem.scan(folder, run[2], folder=tmp_path / "scan")
    shutil.rmtree(folder / f"checkpoint-{scanned.choice.keep}")
    found = taumem.scan(folder, run[2], folder=tmp_path / "scan")
    assert found.choice.keep not in (None, scanned.choice.keep)
    assert (folder / f"checkpoint-{found.choice.keep}").exists()
    assert f"(Step {scanned.choice.keep:,} would be better, and no checkpoint of it is there any more.)" in str(found)


# --- what is wrong with a checkpoint ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_broken_checkpoints_are_passed_over_by_name_and_the_rest_goes_on(tmp_path):
    net = tmp_path / "net"
    perturbed(net, 9)
    (net / "checkpoint-10.safetensors").write_bytes(b"")
    os.truncate(net / "checkpoint-20.safetensors", 5000)
    (net / "checkpoint-30.safetensors").write_bytes(b"\xff" * 5000)
    save_file({"other.weight": torch.zeros(3)}, net / "checkpoint-40.safetensors")
    diverged = load_file(net / "checkpoint-50.safetensors")
    diverged["0.bias"][0] = float("nan")
    save_file(diverged, net / "checkpoint-50.safetensors")
    diverged["0.bias"][0] = 1e30  # finite, and what comes of it is not
    save_file(diverged, net / "checkpoint-60.safetensors")
    save_file(load_file(net / "checkpoint-70.safetensors"), net / "last.safetensors")
    (net / "checkpoint-100").mkdir()
    shutil.move(net / "checkpoint-100", net / "checkpoint-100.safetensors")
    found = taumem.scan(net, probe_file(tmp_path), folder=tmp_path / "scan")
    assert found.record.steps == [70, 80, 90]
    told = found.passed_over
    assert told["checkpoint-10.safetensors"] == "it is empty"
    assert "of its" in told["checkpoint-20.safetensors"]
    assert told["checkpoint-30.safetensors"] == "its header is no safetensors header"
    assert "Missing key(s) in state_dict" in told["checkpoint-40.safetensors"]
    assert told["checkpoint-50.safetensors"] == "its weights are not finite: training had diverged"
    assert "not finite" in told["checkpoint-60.safetensors"]
    assert told["checkpoint-100.safetensors"] == "no file in it holds weights"
    assert told["last.safetensors"].startswith("no number in its name")


def test_a_checkpoint_that_was_half_written_is_scored_once_it_is_whole(tmp_path):
    net = tmp_path / "net"
    perturbed(net, 3)
    whole = (net / "checkpoint-30.safetensors").read_bytes()
    (net / "checkpoint-30.safetensors").write_bytes(whole[:-9])
    assert taumem.scan(net, probe_file(tmp_path), folder=tmp_path / "scan").record.steps == [10, 20]
    (net / "checkpoint-30.safetensors").write_bytes(whole)
    assert taumem.scan(net, probe_file(tmp_path), folder=tmp_path / "scan").record.steps == [10, 20, 30]


def test_a_checkpoint_that_was_scored_and_has_since_been_cut_is_not_to_be_kept(tmp_path):
    net = tmp_path / "net"
    perturbed(net, 3)
    kept = taumem.scan(net, probe_file(tmp_path), folder=tmp_path / "scan").choice.keep
    os.truncate(net / f"checkpoint-{kept}.safetensors", 100)
    assert taumem.scan(net, probe_file(tmp_path), folder=tmp_path / "scan").choice.keep != kept


def test_where_none_can_be_scored_one_line_says_why(tmp_path):
    perturbed(tmp_path / "net", 2)
    for file in (tmp_path / "net").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the checkpoints could be scored\. checkpoint-10.*it is empty; check"):
        taumem.scan(tmp_path / "net", probe_file(tmp_path), folder=tmp_path / "scan")


def test_a_load_that_puts_nothing_into_the_model_is_found_out(tmp_path):
    perturbed(tmp_path / "net", 3)
    careless = PROBE.replace("    model = Net()\n", "    torch.manual_seed(0)\n    model = Net()\n").replace(
        "taumem.load_weights(path))", "{f'x.{n}': w for n, w in taumem.load_weights(path).items()}, strict=False)"
    )
    found = taumem.scan(tmp_path / "net", probe_file(tmp_path, careless), folder=tmp_path / "scan")
    assert "exactly the same at all steps: load(path) may put nothing into the model" in found.notes[0]


# --- names and units --------------------------------------------------------------------------------------------------


def test_several_models_in_a_folder_are_refused_and_one_is_chosen(tmp_path):
    perturbed(tmp_path / "net", 3, name="cat_{step:09d}.safetensors")
    perturbed(tmp_path / "net", 3, name="dog_{step:09d}.safetensors")
    file = probe_file(tmp_path)
    with pytest.raises(ConfigError, match=r"several models.*cat_\*\.safetensors \(3.*dog_\*\.safetensors \(3"):
        taumem.scan(tmp_path / "net", file, folder=tmp_path / "scan")
    found = taumem.scan(tmp_path / "net", file, folder=tmp_path / "scan", only="cat_*.safetensors")
    assert found.record.header.name == "net/cat_*.safetensors"
    with pytest.raises(RecordError, match="holds another run"):
        taumem.scan(tmp_path / "net", file, folder=tmp_path / "scan", only="dog_*.safetensors")


@pytest.mark.slow
def test_epochs_stay_epochs_unless_it_is_said_how_many_steps_they_have(tmp_path):
    perturbed(tmp_path / "net", 3, name="cat-{step:06d}.safetensors", every=1)
    file = probe_file(tmp_path, PROBE + "batch_size = 8\n")
    found = taumem.scan(tmp_path / "net", file, folder=tmp_path / "scan")
    assert (found.unit, found.record.steps, found.record.header.batch_size) == ("epoch", [1, 2, 3], 0)
    assert "(steps are epochs)" in found.record.header.name
    assert "(epoch " in found.headline
    found = taumem.scan(tmp_path / "net", file, folder=tmp_path / "converted", steps_per=3)
    assert (found.unit, found.record.steps, found.record.header.batch_size) == ("step", [3, 6, 9], 8)


def test_thousands_of_images_are_steps_where_the_batch_size_is_known(tmp_path):
    perturbed(tmp_path / "net", 2, name="network-snapshot-{step:06d}.pkl", every=8)
    own = PROBE.replace("taumem.load_weights(path)", "load_file(path)")  # taumem opens no pickle, and need not
    file = probe_file(tmp_path, f"from safetensors.torch import load_file\n{own}batch_size = 8\n")
    found = taumem.scan(tmp_path / "net", file, folder=tmp_path / "scan")
    assert (found.unit, found.record.steps) == ("step", [1000, 2000])


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        (["checkpoint-5"], {"steps_per": 10.0}, "names of these count steps"),
        (["cat-000001.pt", "cat-000002.pt"], {"steps_per": 0.1}, "come to the same step"),
        (["cat-000001.pt"], {"steps_per": -1.0}, "expected a number above 0"),
        (["hello.pt"], {}, r"names are understood\. It holds hello\.pt\. .*--pattern"),
        ([], {}, "no checkpoints here"),
        (["unet/checkpoint-5/a.safetensors"], {}, r"There are some in .*unet\."),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_in_a_line(tmp_path, names, options, words):
    net = tmp_path / "net"
    net.mkdir()
    for name in names:
        (net / name).parent.mkdir(parents=True, exist_ok=True)
        (net / name).mkdir() if "." not in name else (net / name).write_bytes(b"x")
    with pytest.raises(ConfigError, match=words):
        taumem.scan(net, probe_file(tmp_path), folder=tmp_path / "scan", **options)
    with pytest.raises(ConfigError, match="no such folder"):
        taumem.scan(tmp_path / "nowhere", probe_file(tmp_path), folder=tmp_path / "scan")


# --- for an audit -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_samples_of_the_checkpoint_to_keep_are_written_for_an_audit(tmp_path):
    perturbed(tmp_path / "net", 2)
    file = probe_file(tmp_path, PROBE + SAMPLE)
    folder = taumem.scan(tmp_path / "net", file, folder=tmp_path / "scan").write_for_audit(24)
    record = taumem.audit(*(folder / f"{name}.npy" for name in ("generated", "train", "heldout")), orbit="none")
    assert (record.n_generated, record.n_train, record.n_heldout) == (24, len(TRAIN), len(HELDOUT))


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["(x + 1) / 2", "x"])
def test_an_audit_reads_these_files_whatever_the_range_of_the_items_and_however_far_samples_leave_it(tmp_path, scale):
    perturbed(tmp_path / "net", 2)
    rescaled = f"\ntrain, heldout = ({scale} for x in (train.view(-1, 1, 8, 8), heldout.view(-1, 1, 8, 8)))\n"
    sample = """
def sample(model, n, generator):
    return 3 * torch.randn(n, 1, 8, 8, generator=generator)
"""
    flat = "\nof_vectors = loss\n\n\ndef loss(model, items, generator=None):\n"
    flat += "    return of_vectors(model, items.flatten(1), generator)\n"
    file = probe_file(tmp_path, PROBE + rescaled + flat + sample)
    folder = taumem.scan(tmp_path / "net", file, folder=tmp_path / "scan").write_for_audit(24)
    record = taumem.audit(*(folder / f"{name}.npy" for name in ("generated", "train", "heldout")), orbit="none")
    assert record.n_generated == 24
    written = np.load(folder / "train.npy")
    assert np.allclose(written, TRAIN.view(-1, 1, 8, 8).numpy(), atol=1e-5)


# --- the real thing ---------------------------------------------------------------------------------------------------

REAL = """
import torch
from diffusers import DDPMScheduler, UNet2DModel
import taumem

scheduler = DDPMScheduler(num_train_timesteps=1000)
gray = taumem.resize(taumem.load_fashion_mnist(), 8, pad_to=32)
train, heldout, timesteps = gray[:8], gray[5000:5064], 1000


def load(path):
    return UNet2DModel.from_pretrained(path, subfolder="unet", low_cpu_mem_usage=False)


def loss(model, images, generator=None, t=None):
    noise = torch.randn(images.shape, generator=generator)
    t = torch.randint(0, 1000, (len(images),), generator=generator) if t is None else t
    predicted = model(scheduler.add_noise(images, noise, t), t, return_dict=False)[0]
    return (predicted - noise).square().flatten(1).mean(dim=1)
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_of_a_run_of_diffusers_the_clocks_are_those_of_the_guard(tmp_path):
    diffusers = pytest.importorskip("diffusers")
    file = probe_file(tmp_path, REAL)
    arguments = taumem.probe_of(file)
    live = taumem.Guard(**arguments, folder=tmp_path / "guard", budget=None, strict=True)
    torch.manual_seed(0)
    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    model = diffusers.UNet2DModel(
        8, in_channels=1, out_channels=1, block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=8, **blocks
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(1, 801):
        optimizer.zero_grad()
        arguments["loss"](model, arguments["train"][torch.randint(8, (8,))]).mean().backward()
        optimizer.step()
        if step % 40 == 0:
            model.save_pretrained(tmp_path / "output" / f"checkpoint-{step}" / "unet")
            live.look(model, step)
    found = taumem.scan(tmp_path / "output", file, folder=tmp_path / "scan")
    clocks = [{o.clock: (o.step, o.censored) for o in Study.of([r]).onsets} for r in (live.record, found.record)]
    assert clocks[0] == clocks[1]
    assert "no" in {censored for _, censored in clocks[1].values()}
    assert found.choice.verdict.stop
    assert found.choice.keep == live.verdict.keep


LORA = """
from functools import cache

import torch
from diffusers import UNet2DConditionModel

train, heldout = torch.randn(32, 4, 8, 8, generator=torch.Generator().manual_seed(0)).split(16)


@cache
def base():
    torch.manual_seed(0)
    blocks = {"down_block_types": ("CrossAttnDownBlock2D",), "up_block_types": ("CrossAttnUpBlock2D",)}
    return UNet2DConditionModel(
        8, block_out_channels=(8,), layers_per_block=1, cross_attention_dim=8, norm_num_groups=4, **blocks
    )


def load(path):
    unet = base()
    unet.unload_lora()
    unet.load_lora_adapter(path, weight_name="pytorch_lora_weights.safetensors", prefix="unet")
    return unet


def loss(unet, latents, generator):
    noise = torch.randn(latents.shape, generator=generator)
    return (unet(noise, 500, torch.zeros(len(latents), 1, 8)).sample - latents).square().flatten(1).mean(dim=1)
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_adapters_of_diffusers_are_put_into_one_base_after_another(tmp_path):
    diffusers, peft = pytest.importorskip("diffusers"), pytest.importorskip("peft")
    file = taumem.monitor.probe_file.ProbeFile.read(probe_file(tmp_path, LORA))
    model = file.base()
    model.add_adapter(config := peft.LoraConfig(r=2, lora_alpha=4, target_modules=["to_q", "to_k"]))
    truth = {}
    for step in (10, 20, 30):
        with torch.no_grad():
            for name, p in model.named_parameters():
                p += 0.5 * torch.randn_like(p) if "lora" in name else 0
        layers = diffusers.utils.convert_state_dict_to_diffusers(peft.utils.get_peft_model_state_dict(model))
        diffusers.StableDiffusionPipeline.save_lora_weights(
            tmp_path / "output" / f"checkpoint-{step}", layers, unet_lora_adapter_metadata=config.to_dict()
        )
        with taumem.Guard(**file.guard_arguments(), budget=None, strict=True) as guard:
            guard.look(model, step)
            truth[step] = guard.record.curve("train_loss").values[0]
    model.unload_lora()
    found = taumem.scan(tmp_path / "output", file.path, folder=tmp_path / "scan")
    curve = found.record.curve("train_loss")
    assert dict(zip(curve.steps[1:].tolist(), curve.values[1:], strict=True)) == pytest.approx(truth, rel=1e-5)
    assert curve.steps[0] == 0
    assert abs(curve.values[0] - curve.values[1]) > 1e-4
