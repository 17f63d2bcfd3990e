"""OneTrainer under a guard. From OneTrainer's folder: python onetrainer.py --config-path my.json

In OneTrainer: validation on; a concept of type Validation named "guarded" with the folder that is trained on, and
another, of any other name, with images that are held out. Read at Nerogar/OneTrainer 23df383 (docs/trainers.md).
"""

import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import torch

import taumem

sys.path[:0] = ["scripts", "."]
from modules.trainer.GenericTrainer import GenericTrainer  # noqa: E402
from modules.util import create  # noqa: E402

TRAINED = "guarded"


class GuardedTrainer(GenericTrainer):
    def train(self):
        config, accumulate = self.config, self.config.gradient_accumulation_steps
        data = self.validation_data_loader
        data.get_data_set().start_next_epoch()
        self.model_setup.setup_train_device(self.model, config)
        batches = list(data.get_data_loader())  # of one image each
        guard = taumem.Guard(
            self.losses,
            train=[batch for batch in batches if batch["concept_name"][0] == TRAINED],
            heldout=[batch for batch in batches if batch["concept_name"][0] != TRAINED] or None,
            collate=list,
            folder=Path(config.workspace_dir) / "taumem",
            on_onset="stop",
            batch_size=config.batch_size * accumulate,
        )
        networks = {name: part for name, part in vars(self.model).items() if isinstance(part, torch.nn.Module)}
        model = {"trained": torch.nn.ParameterList(self.parameters)} | networks

        def after_step(progress, *_):
            step, rest = divmod(progress.global_step, accumulate)  # OneTrainer counts batches
            for path in Path(config.workspace_dir, "save").glob("*-save-*"):  # named by step, epoch, step of the epoch
                guard.saved(int(path.stem.split("-save-")[1].split("-")[0]) // accumulate, path)
            if rest:
                return
            if guard(model, step):
                self.commands.stop()
            elif guard.record.last_step == step and guard.verdict.keep == step:
                self.commands.save()  # before the next batch, so that the weights to keep exist

        self.callbacks.set_on_update_train_progress(after_step)
        super().train()
        print(guard.verdict)

    def losses(self, model, batches, generator):
        """OneTrainer's loss of each batch: it seeds noise and timestep by the step, which is drawn here."""
        seeds = torch.randint(2**31, (len(batches),), generator=generator, device=generator.device).tolist()
        found = []
        for seed, batch in zip(seeds, batches, strict=True):
            output = self.model_setup.predict(self.model, batch, self.config, SimpleNamespace(global_step=seed))
            found.append(self.model_setup.calculate_loss(self.model, batch, output, self.config))
        return torch.stack(found)


if __name__ == "__main__":
    create.create_trainer = GuardedTrainer
    runpy.run_path("scripts/train.py", run_name="__main__")
