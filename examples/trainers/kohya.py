"""kohya's sd-scripts under a guard. From their folder: accelerate launch kohya.py train_network [its options]

Or sdxl_train_network, flux_train_network, ... With --cache_latents, and with validation_split in the configuration of
the dataset, which holds images out. Read at kohya-ss/sd-scripts 48d368f (docs/trainers.md).
"""

import importlib
import re
import sys
from pathlib import Path

import torch

import taumem
from taumem.integrations.kept_copies import KeptCopies

TIMES = (0.15, 0.35, 0.55)


class Stopped(Exception):  # noqa: N818
    """Leaves the loop over epochs, which has no other end."""


class Guarded:
    """Goes before a NetworkTrainer: ``class Mine(Guarded, NetworkTrainer)``."""

    guard = None
    stopped = False

    def assert_extra_args(self, args, train_dataset_group, val_dataset_group):
        super().assert_extra_args(args, train_dataset_group, val_dataset_group)
        self.groups, self.every = (train_dataset_group, val_dataset_group), args.save_every_n_steps

    def process_batch(self, batch, *rest, **named):
        self.rest, self.named = rest, named | {"is_train": False}
        return super().process_batch(batch, *rest, **named)

    def sample_images(self, accelerator, args, epoch, global_step, *rest):
        """Called after every update, before checkpoints are saved; ``epoch`` is None then."""
        super().sample_images(accelerator, args, epoch, global_step, *rest)
        if epoch is not None:
            return
        if self.guard is None:
            train, heldout = (images_of(group) for group in self.groups)
            self.guard = taumem.Guard(
                self.losses,
                train=train,
                heldout=heldout or None,
                collate=list,
                folder=Path(args.output_dir) / "taumem",
                on_onset="stop",
                batch_size=args.train_batch_size * args.gradient_accumulation_steps * accelerator.num_processes,
                restores=[args],
                # The trainers of flow-matching models choose times in their own ways.
                **({} if hasattr(args, "timestep_sampling") else {"times": TIMES, "timesteps": 1000}),
            )
            self.copies = KeptCopies(self.guard)
        self.tell(args)
        text_encoders, unet, network, *_ = self.rest
        self.stopped = self.guard((network, unet, *text_encoders), global_step)
        if self.guard.record.last_step == global_step and (self.stopped or self.guard.verdict.keep == global_step):
            args.save_every_n_steps = global_step  # this step is saved

    def on_step_start(self, args, *rest, is_train=True):
        super().on_step_start(args, *rest, is_train=is_train)
        if is_train:
            args.save_every_n_steps = self.every
            if self.stopped:
                raise Stopped

    def train(self, args):
        try:
            super().train(args)
        except Stopped:
            self.rest[7].end_training()
        self.tell(args)
        print(self.guard.verdict)

    def tell(self, args):
        for path in Path(args.output_dir).glob(f"*.{args.save_model_as}"):
            if named := re.search(r"-step(\d+)$", path.stem):
                self.copies.find(int(named[1]), [path])

    def losses(self, model, images, generator, t=None):
        """kohya's loss of each image, whose noise is drawn from the global random state."""
        text_encoders, unet, network, _, _, _, weight_dtype, accelerator, args, *_ = self.rest
        if t is not None:
            args.min_timestep = args.max_timestep = int(t[0])  # as its own validation does
        found = []
        for image in images:
            told = args, accelerator, network, text_encoders, unet, image, weight_dtype
            self.on_step_start(*told, is_train=False)
            found.append(super().process_batch(image, *self.rest, **self.named))
            self.on_validation_step_end(*told)
        return torch.stack(found)


def images_of(group):
    """Each image of a dataset once, in the form of a batch."""
    found = {}
    for k in range(0 if group is None else len(group)):
        batch = group[k]
        for place in range(len(batch["captions"])):
            image = {name: picked(part, place) for name, part in batch.items()}
            pixels = image["images"] if image["latents"] is None else image["latents"]
            found.setdefault(pixels.numpy().tobytes(), image)
    return list(found.values())


def picked(part, place):
    if isinstance(part, torch.Tensor):
        return part[place : place + 1]
    if isinstance(part, list | tuple):
        columns = any(isinstance(column, torch.Tensor) for column in part)
        return [picked(column, place) for column in part] if columns else part[place : place + 1]
    return part


if __name__ == "__main__":
    script = importlib.import_module(sys.argv.pop(1))
    (trainer,) = (kind for name, kind in vars(script).items() if re.fullmatch(r"\w*NetworkTrainer", name))
    parser = script.setup_parser()
    args = parser.parse_args()
    script.train_util.verify_command_line_training_args(args)
    type("GuardedTrainer", (Guarded, trainer), {})().train(script.train_util.read_config_from_file(args, parser))
