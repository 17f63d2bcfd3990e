"""ai-toolkit under a guard: put this file into extensions/taumem_guard/ as __init__.py.

In the configuration of the training: type: "guarded_trainer" in place of "diffusion_trainer" or "sd_trainer", and in
train a validation_config whose validation_items are images that are held out. Read at ostris/ai-toolkit 27a03a9
(docs/trainers.md).
"""

import re
from pathlib import Path

import torch
from toolkit.extension import Extension

import taumem
from taumem.integrations.kept_copies import KeptCopies

TIMES = (0.25, 0.5, 0.75)  # the levels of noise, which ai-toolkit calls sigmas
PICTURES = (".jpg", ".jpeg", ".png", ".webp")


def guarded(trainer):
    class GuardedTrainer(trainer):
        def setup_validation(self):
            """Encode held-out items and, by the same code, those trained on, while the encoders are there."""
            super().setup_validation()
            self.heldout = items_of(self._validation_cache)
            former, config = self._validation_cache, self.train_config.validation_config
            heldout, self._validation_cache = config.validation_items, None
            config.validation_items = list(self.trained_pictures(type(heldout[0])))
            super().setup_validation()
            self.trained = items_of(self._validation_cache)
            self._validation_cache, config.validation_items = former, heldout

        def trained_pictures(self, kind):
            for data in self.datasets:
                for path in sorted(Path(data.folder_path or data.dataset_path).iterdir()):
                    if path.suffix.lower() in PICTURES:
                        beside = path.with_suffix(data.caption_ext)
                        prompt = beside.read_text(encoding="utf-8").strip() if beside.exists() else data.default_caption
                        yield kind(image_path=str(path), prompt=prompt or "")

        def hook_before_train_loop(self):
            super().hook_before_train_loop()
            self.guard = taumem.Guard(
                self.losses,
                train=self.trained,
                heldout=self.heldout,
                collate=list,
                folder=Path(self.save_root) / "taumem",
                on_onset="stop",
                batch_size=self.train_config.batch_size * self.train_config.gradient_accumulation,
                times=TIMES,
            )
            self.copies = KeptCopies(self.guard)

        def end_step_hook(self):
            super().end_step_hook()
            step = self.step_num
            stop = self.guard({"unet": self.sd.unet, "network": self.network}, step)
            if self.guard.record.last_step != step:
                return
            if stop or self.guard.verdict.keep == step:
                self.save(step)
                self.ensure_params_requires_grad()
            for path in Path(self.save_root).iterdir():
                if named := re.search(r"_(\d{9})$", path.stem):
                    self.copies.find(int(named[1]), [path])
            if stop:
                print(self.guard.verdict)
                raise KeyboardInterrupt  # how ai-toolkit is stopped; a range of steps has no other end

        def losses(self, model, items, generator, t):
            """ai-toolkit's validation loss of each item alone, under noise and at a level of the guard's."""
            config = self.train_config.validation_config
            former = self._validation_cache, self.additional_logs, config.validation_sigmas
            found = []
            try:
                config.validation_sigmas = [float(t[0])]
                for item in items:
                    noise = torch.randn(item["latents"].shape, generator=generator, device=generator.device)
                    self._validation_cache = {name: [part] for name, part in (item | {"noise": noise}).items()}
                    self.additional_logs = {}
                    self.validate()
                    found.append(self.additional_logs["val/loss"])
            finally:
                self._validation_cache, self.additional_logs, config.validation_sigmas = former
            return torch.tensor(found)

    return GuardedTrainer


def items_of(cache):
    pairs = zip(cache["latents"], cache["embeds"], strict=True)
    return [{"latents": latents, "embeds": embeds} for latents, embeds in pairs]


class GuardedExtension(Extension):
    uid = "guarded_trainer"
    name = "Guarded trainer"

    @classmethod
    def get_process(cls):
        from extensions_built_in.sd_trainer.DiffusionTrainer import DiffusionTrainer

        return guarded(DiffusionTrainer)


AI_TOOLKIT_EXTENSIONS = [GuardedExtension]
