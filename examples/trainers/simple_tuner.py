"""SimpleTuner under a guard, configured as ever: python simple_tuner.py, or accelerate launch simple_tuner.py

Among the datasets: one of "dataset_type": "eval" with the id "guarded", on the folder that is trained on, and another
eval dataset, of any other id, with images that are held out; both with "train_batch_size": 1.
Read at bghira/SimpleTuner bc8e6ab (docs/trainers.md).
"""

import re
import runpy
from contextlib import suppress
from itertools import chain
from pathlib import Path

import torch
from simpletuner.helpers.training import trainer
from simpletuner.helpers.training.exceptions import MultiDatasetExhausted
from simpletuner.helpers.training.state_tracker import StateTracker
from simpletuner.helpers.training.validation import reset_eval_datasets, retrieve_eval_images

import taumem
from taumem.integrations.kept_copies import KeptCopies

TRAINED = "guarded"


class GuardedTrainer(trainer.Trainer):
    def train(self):
        sets = {name: [] for name in StateTracker.get_data_backends(_type="eval", _types=None)}
        for name, batches in sets.items():
            with suppress(MultiDatasetExhausted):
                while True:
                    batches.append(retrieve_eval_images(dataset_name=name))
        reset_eval_datasets()
        self.guard = taumem.Guard(
            self.losses,
            train=sets.pop(TRAINED, []),
            heldout=list(chain(*sets.values())) or None,
            collate=list,
            folder=Path(self.config.output_dir) / "taumem",
            on_onset="stop",
            batch_size=self.config.train_batch_size
            * self.config.gradient_accumulation_steps
            * self.accelerator.num_processes,
        )
        self.copies, self.stopped = KeptCopies(self.guard), False
        self.asked_by_hand = self._manual_checkpoint_consumer or (lambda: False)
        self.register_manual_checkpoint_trigger(self.after_step)
        self._external_abort_checker = lambda: self.stopped
        try:
            super().train()
        except StopIteration:  # how SimpleTuner aborts
            if not self.stopped:
                raise
        self.tell()
        print(self.guard.verdict)

    def after_step(self):
        """Polled after each update: whether to save a checkpoint now."""
        self.tell()
        step = self.state["global_step"]
        self.stopped = self.guard(self.model.get_trained_component(), step)
        is_best = self.guard.record.last_step == step and self.guard.verdict.keep == step
        return self.asked_by_hand() or self.stopped or is_best

    def tell(self):
        for path in Path(self.config.output_dir).glob("checkpoint-*"):
            if named := re.fullmatch(r"checkpoint-(\d+)", path.name):
                self.copies.find(int(named[1]), [path])

    def losses(self, model, batches, generator):
        """SimpleTuner's loss of each batch, whose noise is drawn from the global random state."""
        found = []
        for batch in batches:
            prepared = self.prepare_batch(batch)
            output = self.model_predict(prepared_batch=prepared)
            found.append(self.model.loss(prepared_batch=prepared, model_output=output))
        return torch.stack(found)


if __name__ == "__main__":
    trainer.Trainer = GuardedTrainer
    runpy.run_module("simpletuner.train", run_name="__main__")
