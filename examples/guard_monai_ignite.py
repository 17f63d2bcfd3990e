"""MONAI's DiffusionModelUNet in its SupervisedTrainer, which is an Ignite engine, under a guard.

Needs: pip install 'taumem[ignite]'. Run: python examples/guard_monai_ignite.py
"""

import tempfile
from pathlib import Path

import torch
from ignite.engine import Events
from ignite.handlers import Checkpoint, DiskSaver
from monai.engines import SupervisedTrainer
from monai.engines.utils import DiffusionPrepareBatch
from monai.inferers import DiffusionInferer
from monai.networks.nets import DiffusionModelUNet
from monai.networks.schedulers import DDPMScheduler
from torch.utils.data import DataLoader

import taumem
from taumem.integrations import IgniteGuard

images = taumem.resize(taumem.load_fashion_mnist(), 16, pad_to=32)  # yours: slices or volumes [n, channels, ...]
train_items, heldout_items = images[:8], images[5000:5064]
scheduler = DDPMScheduler(num_train_timesteps=1000)


def loss(model, x0, generator, timesteps):
    """As the trainer computes it, one number per image: the squared error of the noise."""
    noise = torch.randn(x0.shape, generator=generator, device=x0.device)
    predicted = model(scheduler.add_noise(x0, noise, timesteps), timesteps)
    return (predicted - noise).square().flatten(1).mean(dim=1)


def main(output, epochs=1500):
    torch.manual_seed(0)
    guard = taumem.Guard(
        loss,
        train=train_items,
        heldout=heldout_items,
        folder=output / "guard",
        on_onset="stop",
        timesteps=1000,
        batch_size=8,
        budget=None,  # so short a run may look as often as it likes
    )
    guarded = IgniteGuard(guard)
    model = DiffusionModelUNet(
        spatial_dims=2,
        in_channels=1,
        out_channels=1,
        channels=(16, 32),
        attention_levels=(False, False),
        num_res_blocks=1,
        norm_num_groups=8,
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=DataLoader([{"image": x0, "label": x0} for x0 in train_items], batch_size=8, shuffle=True),
        network=model,
        optimizer=optimizer,
        loss_function=torch.nn.MSELoss(),
        inferer=DiffusionInferer(scheduler),
        prepare_batch=DiffusionPrepareBatch(num_train_timesteps=1000),
        train_handlers=[guarded],
        decollate=False,
    )
    held = {"model": model, "optimizer": optimizer, "trainer": trainer, "guard": guarded}
    # Ignite keeps the last checkpoint alone; the one to keep outlives that.
    checkpoint = Checkpoint(held, DiskSaver(output / "checkpoints"), n_saved=1)
    guarded.follow(trainer, Events.ITERATION_COMPLETED(every=50), checkpoint)
    trainer.run()
    print(guard.verdict)
    return guard.verdict


if __name__ == "__main__":
    main(Path(tempfile.mkdtemp(prefix="guard-monai-")))
