"""Stand-ins of trainers: their hooks, in the order in which they are called, around a small network.

Written from the sources at the commits that docs/trainers.md names: what is called, with what, where and when is that
of the trainer, and nothing else is.
"""

import contextlib
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import torch
from torch import nn

N_TRAIN, N_HELDOUT, BATCH, LIMIT = 8, 16, 4, 1000
_drawn = torch.randn(N_TRAIN + N_HELDOUT, 8, generator=torch.Generator().manual_seed(0))
TRAIN, HELDOUT = _drawn[:N_TRAIN], _drawn[N_TRAIN:]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(9, 256), nn.SiLU(), nn.Dropout(0.1), nn.Linear(256, 8))

    def forward(self, xt, t):
        return self.layers(torch.cat([xt, t[:, None]], dim=1))


def fresh():
    """A network and its optimizer, the same every time."""
    torch.manual_seed(0)
    net = Net()
    return net, torch.optim.Adam(net.parameters(), lr=1e-2)


def errors(net, x0, noise, t):
    """One loss per item."""
    xt = (1 - t[:, None]) * x0 + t[:, None] * noise
    return (net(xt, t) - (noise - x0)).square().mean(dim=1)


def batches():
    """The items of an epoch in batches, in an order of the global random state."""
    return [TRAIN[places] for places in torch.randperm(N_TRAIN).split(BATCH)]


def install(monkeypatch, **modules):
    """Make modules importable: "a.b.c" as a__b__c, each a dict of what it holds."""
    for name, held in modules.items():
        parts = name.split("__")
        for k in range(1, len(parts) + 1):
            path = ".".join(parts[:k])
            if path not in sys.modules:
                monkeypatch.setitem(sys.modules, path, ModuleType(path))
            if k > 1:
                monkeypatch.setattr(
                    sys.modules[".".join(parts[: k - 1])], parts[k - 1], sys.modules[path], raising=False
                )
        vars(sys.modules[".".join(parts)]).update(held)


# --- OneTrainer: modules/trainer/GenericTrainer.py, modules/util/commands, modules/util/callbacks --------------------


class Commands:
    def __init__(self):
        self._stop = self._save = False

    def stop(self):
        self._stop = True

    def save(self):
        self._save = True

    def get_stop_command(self):
        return self._stop

    def get_and_reset_save_command(self):
        asked, self._save = self._save, False
        return asked


class Callbacks:
    def __init__(self):
        self._progress = None

    def set_on_update_train_progress(self, told):
        self._progress = told

    def on_update_train_progress(self, progress, max_step, max_epoch):
        with contextlib.suppress(Exception):
            self._progress and self._progress(progress, max_step, max_epoch)


class Loader:
    """A data set and its loader in one."""

    def __init__(self, concepts):
        self.concepts, self.is_ready = concepts, False

    def get_data_set(self):
        return self

    def start_next_epoch(self):
        self.is_ready = True

    def get_data_loader(self):
        assert self.is_ready
        return ({"latent_image": x[None], "concept_name": [name]} for name, items in self.concepts for x in items)


class Setup:
    def setup_train_device(self, model, config):
        model.unet.train()

    def predict(self, model, batch, config, train_progress, *, deterministic=False):
        generator = torch.Generator().manual_seed(0 if deterministic else train_progress.global_step)
        x0 = batch["latent_image"]
        noise, t = torch.randn(x0.shape, generator=generator), torch.rand(len(x0), generator=generator)
        xt = (1 - t[:, None]) * x0 + t[:, None] * noise
        return {"predicted": model.unet(xt, t), "target": noise - x0}

    def calculate_loss(self, model, batch, data, config):
        return (data["predicted"] - data["target"]).square().mean()


class GenericTrainer:
    def __init__(self, config, callbacks, commands):
        self.config, self.callbacks, self.commands = config, callbacks, commands

    def start(self):
        net, self.optimizer = fresh()
        self.model = SimpleNamespace(unet=net, vae=None, ema=None)
        self.parameters = list(net.parameters())
        self.model_setup = Setup()
        self.validation_data_loader = Loader([("guarded", TRAIN), ("others", HELDOUT)])

    def train(self):
        progress, accumulate = SimpleNamespace(global_step=0, epoch=0, epoch_step=0), 2
        for _ in range(self.config.epochs):
            self.model_setup.setup_train_device(self.model, self.config)
            for x0 in batches():
                if progress.global_step % accumulate == 0 and self.commands.get_and_reset_save_command():
                    self._save(progress)
                data = self.model_setup.predict(self.model, {"latent_image": x0}, self.config, progress)
                (self.model_setup.calculate_loss(self.model, x0, data, self.config) / accumulate).backward()
                if (progress.global_step + 1) % accumulate == 0:
                    self.optimizer.step()
                    self.optimizer.zero_grad(set_to_none=True)
                progress.epoch_step += 1
                progress.global_step += 1
                self.callbacks.on_update_train_progress(progress, N_TRAIN // BATCH, self.config.epochs)
                if self.commands.get_stop_command():
                    return
            progress.epoch, progress.epoch_step = progress.epoch + 1, 0
            self.callbacks.on_update_train_progress(progress, N_TRAIN // BATCH, self.config.epochs)

    def _save(self, progress):
        place = Path(self.config.workspace_dir, "save")
        place.mkdir(exist_ok=True)
        name = f"my-2026-01-01_00-00-00-save-{progress.global_step}-{progress.epoch}-{progress.epoch_step}.safetensors"
        (place / name).write_text("weights")


def onetrainer(monkeypatch):
    install(
        monkeypatch, modules__trainer__GenericTrainer={"GenericTrainer": GenericTrainer}, modules__util={"create": None}
    )

    def run(adapter, folder, n_steps):
        config = {"workspace_dir": str(folder), "gradient_accumulation_steps": 2, "batch_size": BATCH}
        kind = GenericTrainer if adapter is None else adapter.GuardedTrainer
        trainer = kind(SimpleNamespace(epochs=n_steps, **config), Callbacks(), Commands())
        trainer.start()
        trainer.train()
        return trainer.model.unet

    return run


# --- SimpleTuner: simpletuner/helpers/training/trainer.py and validation.py ------------------------------------------


class ExhaustedError(Exception):
    pass


class StateTracker:
    sets: ClassVar = {"guarded": TRAIN, "others": HELDOUT}
    left: ClassVar = {}

    @classmethod
    def get_data_backends(cls, _type="image", _types=("image",)):
        assert (_type, _types) == ("eval", None)
        return cls.sets


def reset_eval_datasets():
    StateTracker.left = {name: list(items) for name, items in StateTracker.sets.items()}


def retrieve_eval_images(dataset_name=None):
    if not StateTracker.left[dataset_name]:
        raise ExhaustedError
    return {"latent_batch": StateTracker.left[dataset_name].pop(0)[None], "prompts": ["a word"]}


class SimpleTunerModel:
    def __init__(self, net):
        self.net = net

    def get_trained_component(self, base_model=False, unwrap_model=True):
        return self.net

    def loss(self, prepared_batch, model_output, apply_conditioning_mask=True):
        target = prepared_batch["noise"] - prepared_batch["latents"]
        return (model_output["model_prediction"] - target).square().mean()


class SimpleTuner:
    def __init__(self, config):
        self.config, self.state = config, {"global_step": 0}
        self.accelerator = SimpleNamespace(num_processes=1)
        self._external_abort_checker = self._manual_checkpoint_consumer = None
        net, self.optimizer = fresh()
        self.model = SimpleTunerModel(net)
        reset_eval_datasets()

    def register_manual_checkpoint_trigger(self, consumer):
        self._manual_checkpoint_consumer = consumer

    def prepare_batch(self, batch):
        """Writes into the batch, and draws from the global random state."""
        batch["latents"] = batch["latent_batch"]
        batch["noise"], batch["t"] = torch.randn_like(batch["latents"]), torch.rand(len(batch["latents"]))
        t = batch["t"][:, None]
        batch["noisy_latents"] = (1 - t) * batch["latents"] + t * batch["noise"]
        return batch

    def model_predict(self, prepared_batch, custom_timesteps=None):
        return {"model_prediction": self.model.net(prepared_batch["noisy_latents"], prepared_batch["t"])}

    def train(self):
        while True:
            self.model.net.train()
            for x0 in batches():
                with contextlib.suppress(Exception):
                    if self._external_abort_checker and self._external_abort_checker():
                        self.should_abort = True
                if getattr(self, "should_abort", False):
                    raise StopIteration("Training run received abort signal.")
                prepared = self.prepare_batch({"latent_batch": x0})
                output = self.model_predict(prepared_batch=prepared)
                self.model.loss(prepared_batch=prepared, model_output=output).backward()
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
                self.state["global_step"] += 1
                if self._manual_checkpoint_consumer and bool(self._manual_checkpoint_consumer()):
                    Path(self.config.output_dir, f"checkpoint-{self.state['global_step']}").mkdir()
                if self.state["global_step"] >= self.config.max_train_steps:
                    return


def simple_tuner(monkeypatch):
    install(
        monkeypatch,
        simpletuner__helpers__training__trainer={"Trainer": SimpleTuner},
        simpletuner__helpers__training__exceptions={"MultiDatasetExhausted": ExhaustedError},
        simpletuner__helpers__training__state_tracker={"StateTracker": StateTracker},
        simpletuner__helpers__training__validation={
            "reset_eval_datasets": reset_eval_datasets,
            "retrieve_eval_images": retrieve_eval_images,
        },
    )

    def run(adapter, folder, n_steps):
        sizes = {"train_batch_size": BATCH, "gradient_accumulation_steps": 1, "max_train_steps": n_steps}
        kind = SimpleTuner if adapter is None else adapter.GuardedTrainer
        trainer = kind(SimpleNamespace(output_dir=str(folder), **sizes))
        trainer.train()
        return trainer.model.net

    return run


# --- ai-toolkit: jobs/process/BaseSDTrainProcess.py ------------------------------------------------------------------


class Embeds:
    """Text embeddings are objects of ai-toolkit's own."""

    def clone(self):
        return self


class Picture:
    def __init__(self, image_path, prompt):
        self.image_path, self.prompt = image_path, prompt


class Process:
    def __init__(self, folder, n_steps):
        self.save_root, self.step_num, self._validation_cache = str(folder), 0, None
        items = [Picture(str(folder / "heldout" / f"{k}.png"), "") for k in range(N_HELDOUT)]
        validation = SimpleNamespace(validation_items=items, validation_sigmas=[1.0, 0.75, 0.5, 0.25])
        sizes = {"batch_size": BATCH, "gradient_accumulation": 1, "steps": n_steps}
        self.train_config = SimpleNamespace(validation_config=validation, **sizes)
        data = {"folder_path": str(folder / "trained"), "dataset_path": None}
        self.datasets = [SimpleNamespace(caption_ext=".txt", default_caption=None, **data)]
        self.additional_logs = {"kept": 1.0}

    def run(self):
        net, self.optimizer = fresh()
        self.sd, self.network = SimpleNamespace(unet=net), None
        self.setup_validation()
        self.hook_before_train_loop()
        queue = []
        for step in range(self.step_num, self.train_config.steps):
            self.step_num = step
            queue = queue or batches()
            self.hook_train_loop([queue.pop()])
            self.step_num = step + 1
            self.end_step_hook()

    def setup_validation(self):
        """Encodes the pictures: here a file holds the numbers."""
        if not self.train_config.validation_config.validation_items:
            return
        items = self.train_config.validation_config.validation_items
        latents = [torch.tensor(json.loads(Path(item.image_path).read_text()))[None] for item in items]
        noise = [torch.randn(x.shape, generator=torch.Generator().manual_seed(42 + k)) for k, x in enumerate(latents)]
        self._validation_cache = {"latents": latents, "noise": noise, "embeds": [Embeds() for _ in items]}

    def validate(self):
        was_training = self.sd.unet.training
        self.sd.unet.eval()
        sigmas = torch.tensor(self.train_config.validation_config.validation_sigmas)
        found = []
        with torch.no_grad():
            for x0, noise, embeds in zip(
                *(self._validation_cache[key] for key in ("latents", "noise", "embeds")), strict=True
            ):
                embeds.clone()
                found.append(
                    errors(self.sd.unet, x0.expand(len(sigmas), -1), noise.expand(len(sigmas), -1), sigmas).mean()
                )
        self.additional_logs["val/loss"] = torch.stack(found).mean().item()
        if was_training:
            self.sd.unet.train()

    def hook_before_train_loop(self):
        pass

    def hook_train_loop(self, batch_list):
        (x0,) = batch_list
        errors(self.sd.unet, x0, torch.randn_like(x0), torch.rand(len(x0))).mean().backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def end_step_hook(self):
        pass

    def ensure_params_requires_grad(self, force=False):
        self.sd.unet.requires_grad_(True)

    def save(self, step=None):
        Path(self.save_root, f"my_lora_{step:09}.safetensors").write_text("weights")


class Extension:
    name = uid = None


def ai_toolkit(monkeypatch):
    install(
        monkeypatch,
        toolkit__extension={"Extension": Extension},
        extensions_built_in__sd_trainer__DiffusionTrainer={"DiffusionTrainer": Process},
    )

    def run(adapter, folder, n_steps):
        for name, items in (("trained", TRAIN), ("heldout", HELDOUT)):
            (folder / name).mkdir(parents=True)
            for k, x in enumerate(items):
                (folder / name / f"{k}.png").write_text(json.dumps(x.tolist()))
        (folder / "trained" / "0.txt").write_text("a caption")
        kind = Process
        if adapter is not None:
            (extension,) = adapter.AI_TOOLKIT_EXTENSIONS
            kind = extension.get_process()
        process = kind(folder, n_steps)
        with contextlib.suppress(KeyboardInterrupt):  # as run.py takes it
            process.run()
        assert process.train_config.validation_config.validation_sigmas == [1.0, 0.75, 0.5, 0.25]
        assert len(process._validation_cache["latents"]) == N_HELDOUT
        assert process.additional_logs == {"kept": 1.0}
        return process.sd.unet

    return run


# --- kohya: train_network.py -----------------------------------------------------------------------------------------


class Group(list):
    """Batches of images, each image twice, as with repeats."""

    def __init__(self, items):
        super().__init__(self._batch(part) for part in [*items.split(BATCH)] * 2)

    def _batch(self, part):
        n = len(part)
        return {
            "latents": part.clone(),
            "images": None,
            "captions": ["a word"] * n,
            "loss_weights": torch.ones(n),
            "input_ids_list": [torch.zeros(n, 3)],
            "text_encoder_outputs_list": None,
            "flippeds": [False] * n,
        }


class NetworkTrainer:
    def assert_extra_args(self, args, train_dataset_group, val_dataset_group):
        pass

    def sample_images(self, accelerator, args, epoch, global_step, device, vae, tokenizers, text_encoder, unet):
        pass

    def on_step_start(self, args, accelerator, network, text_encoders, unet, batch, weight_dtype, is_train=True):
        pass

    def on_validation_step_end(self, args, accelerator, network, text_encoders, unet, batch, weight_dtype):
        pass

    def process_batch(
        self,
        batch,
        text_encoders,
        unet,
        network,
        vae,
        noise_scheduler,
        vae_dtype,
        weight_dtype,
        accelerator,
        args,
        text_encoding_strategy,
        tokenize_strategy,
        is_train=True,
        train_text_encoder=True,
        train_unet=True,
    ):
        x0 = batch["latents"]
        low, high = args.min_timestep or 0, 1000 if args.max_timestep is None else args.max_timestep
        t = torch.randint(low, high, (len(x0),)) if low < high else torch.full((len(x0),), high)
        with torch.set_grad_enabled(is_train):
            losses = errors(network, x0, torch.randn_like(x0), t / 1000)
        return (losses * batch["loss_weights"]).mean()

    def train(self, args):
        self.network, optimizer = fresh()
        unet = nn.Identity()
        train, heldout = Group(TRAIN), Group(HELDOUT)
        self.assert_extra_args(args, train, heldout)
        self.accelerator = accelerator = SimpleNamespace(num_processes=1, end_training=lambda: None)
        hooked = args, accelerator, self.network, [], unet
        shown = None, None, [], [], unet
        self.sample_images(accelerator, args, 0, 0, *shown)
        global_step = 0
        for epoch in range(args.epochs):
            self.network.train()
            for x0 in batches():
                batch = train._batch(x0)
                self.on_step_start(*hooked, batch, torch.float32, is_train=True)
                models = [], unet, self.network, None, None, None, torch.float32, accelerator, args, None, None
                self.process_batch(batch, *models, is_train=True, train_text_encoder=False, train_unet=True).backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                global_step += 1
                self.sample_images(accelerator, args, None, global_step, *shown)
                if args.save_every_n_steps is not None and global_step % args.save_every_n_steps == 0:
                    Path(args.output_dir, f"my-step{global_step:08d}.safetensors").write_text("weights")
                if global_step >= args.max_train_steps:
                    break
            self.sample_images(accelerator, args, epoch + 1, global_step, *shown)


def kohya(monkeypatch):
    def run(adapter, folder, n_steps):
        args = {"output_dir": str(folder), "save_model_as": "safetensors", "save_every_n_steps": None}
        args |= {"train_batch_size": BATCH, "gradient_accumulation_steps": 1, "epochs": -(-n_steps // 2)}
        args |= {"min_timestep": None, "max_timestep": None, "max_train_steps": n_steps}
        kind = NetworkTrainer
        if adapter is not None:
            kind = type("GuardedTrainer", (adapter.Guarded, NetworkTrainer), {})
        trainer = kind()
        trainer.train(given := SimpleNamespace(**args))
        assert (given.min_timestep, given.max_timestep) == (None, None)
        return trainer.network

    return run


TRAINERS = {"onetrainer": onetrainer, "simple_tuner": simple_tuner, "ai_toolkit": ai_toolkit, "kohya": kohya}
