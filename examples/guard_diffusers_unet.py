"""diffusers' UNet2DModel on color images, in a script on Accelerate as diffusers' own, under a guard.

Needs: pip install 'taumem[diffusers]'. Run: python examples/guard_diffusers_unet.py
"""

import shutil
import tempfile
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.optimization import get_constant_schedule_with_warmup
from diffusers.training_utils import EMAModel
from torch.utils.data import DataLoader

import taumem
from taumem.integrations import AccelerateGuard

CHECKPOINTING_STEPS, CHECKPOINTS_TOTAL_LIMIT = 40, 1
scheduler = DDPMScheduler(num_train_timesteps=1000)


def color_images():
    """The built-in images, each tinted in a color of its own. Yours: taumem.load_images("folder")."""
    gray = taumem.resize(taumem.load_fashion_mnist(), 16, pad_to=32)
    tints = torch.rand(len(gray), 3, 1, 1, generator=torch.Generator().manual_seed(0))
    return (gray + 1) * (0.3 + 0.7 * tints) - 1  # [7000, 3, 16, 16] in [-1, 1]


def loss(model, images, generator=None, timesteps=None):
    """As in train_unconditional.py, one number per image; the guard asks at timesteps of its own."""
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    if timesteps is None:
        timesteps = torch.randint(0, 1000, (len(images),), generator=generator, device=images.device)
    predicted = model(scheduler.add_noise(images, noise, timesteps), timesteps, return_dict=False)[0]
    return (predicted - noise).square().flatten(1).mean(dim=1)


def save(accelerator, output, step):
    """As diffusers' scripts do: the oldest checkpoints are deleted, however good they were."""
    former = sorted(output.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for old in former[: max(len(former) + 1 - CHECKPOINTS_TOTAL_LIMIT, 0)]:
        shutil.rmtree(old)
    accelerator.save_state(str(output / f"checkpoint-{step}"))


def main(output, epochs=600):
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    images = color_images()
    train_items, heldout_items = images[:8], images[5000:5064]
    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    model = UNet2DModel(16, block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=8, **blocks)
    average = EMAModel(model.parameters(), decay=0.95)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    warmup = get_constant_schedule_with_warmup(optimizer, num_warmup_steps=20)
    loader = DataLoader(train_items, batch_size=4, shuffle=True)
    model, optimizer, loader, warmup = accelerator.prepare(model, optimizer, loader, warmup)

    guard = taumem.Guard(
        loss,
        train=train_items,
        heldout=heldout_items,
        folder=output / "guard",
        on_onset="stop",
        batch_size=8,  # 2 batches of 4 accumulate
        timesteps=1000,
        ema=average,
        budget=None,  # so short a run may look as often as it likes
    )
    guarded = AccelerateGuard(accelerator, guard)
    step = 0
    for _ in range(epochs):
        for batch in loader:
            with accelerator.accumulate(model):
                accelerator.backward(loss(model, batch).mean())
                optimizer.step()
                warmup.step()
                optimizer.zero_grad()
            if accelerator.sync_gradients:
                average.step(model.parameters())
                step += 1
                if guarded(model, step):
                    break
                if step % CHECKPOINTING_STEPS == 0:
                    save(accelerator, output, step)
        if guarded.stopped:
            break
    print(guard.verdict)
    return guard.verdict


if __name__ == "__main__":
    main(Path(tempfile.mkdtemp(prefix="guard-diffusers-")))
