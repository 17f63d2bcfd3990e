"""A diffusion model of a folder's images from scratch, under a guard: the loop of diffusers' train_unconditional.py.

    python examples/train_unconditional.py                                     # the built-in images, a minute
    python examples/train_unconditional.py --folder photos --size 64 --channels 64 128 256 256
    python examples/train_unconditional.py --folder photos ... --resume        # goes on from the last checkpoint

Needs: pip install 'taumem[diffusers]'.
"""

import argparse
import shutil
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.optimization import get_constant_schedule_with_warmup
from diffusers.training_utils import EMAModel
from torch.utils.data import DataLoader

import taumem
from taumem.integrations import AccelerateGuard

schedule = DDPMScheduler(num_train_timesteps=1000)


def loss(model, images, generator=None, timesteps=None):
    """As in the script, one number per image; the guard asks at timesteps of its own."""
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    if timesteps is None:
        timesteps = torch.randint(0, 1000, (len(images),), generator=generator, device=images.device)
    predicted = model(schedule.add_noise(images, noise, timesteps), timesteps, return_dict=False)[0]
    return (predicted - noise).square().flatten(1).mean(dim=1)


def built_in_images(size):
    """Gray images, each tinted in a color of its own: 8 to train on, and 64."""
    gray = taumem.resize(taumem.load_fashion_mnist(), size, pad_to=32)
    tints = torch.rand(len(gray), 3, 1, 1, generator=torch.Generator().manual_seed(0))
    colored = (gray + 1) * (0.3 + 0.7 * tints) - 1  # [7000, 3, size, size] in [-1, 1]
    return colored[:8], colored[5000:5064]


def checkpoints(output):
    return sorted(output.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))


def save(accelerator, output, step, limit):
    """As the scripts do: the oldest checkpoints are deleted, however good they were."""
    for old in checkpoints(output)[: 1 - limit or None]:
        shutil.rmtree(old)
    accelerator.save_state(str(output / f"checkpoint-{step}"))


def arguments(given):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="of images; none: the built-in ones")
    parser.add_argument("--output", type=Path, default=Path("unconditional"))
    parser.add_argument("--heldout", type=float, default=0.1, help="share of the images to hold out")
    parser.add_argument("--channels", type=int, nargs="+", default=[16, 32], help="of the levels of the U-Net")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --output")
    counts = {"size": 16, "batch": 4, "accumulate": 2, "epochs": 600, "checkpointing-steps": 40, "keep": 1}
    for name, usual in counts.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    numbers = {"rate": 4e-3, "ema": 0.95, "budget": 0.1}
    for name, usual in numbers.items():
        parser.add_argument(f"--{name}", type=float, default=usual)
    return parser.parse_args(given)


def main(given=None):
    args = arguments(given)
    torch.manual_seed(0)
    accelerator = Accelerator(gradient_accumulation_steps=args.accumulate)
    if args.folder is None:
        train, heldout = built_in_images(args.size)
    else:
        images = taumem.load_images(args.folder, crop=True, size=args.size)
        images = images[torch.randperm(len(images))]
        n_heldout = round(args.heldout * len(images))
        heldout, train = images[:n_heldout], images[n_heldout:]
    levels = len(args.channels)
    model = UNet2DModel(
        args.size,
        block_out_channels=args.channels,
        down_block_types=("DownBlock2D",) * levels,
        up_block_types=("UpBlock2D",) * levels,
        layers_per_block=1,
        norm_num_groups=8,
    )
    average = EMAModel(model.parameters(), decay=args.ema, model_cls=UNet2DModel, model_config=model.config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate)
    warmup = get_constant_schedule_with_warmup(optimizer, num_warmup_steps=20)
    loader = DataLoader(train, batch_size=args.batch, shuffle=True)
    model, optimizer, loader, warmup = accelerator.prepare(model, optimizer, loader, warmup)
    average.to(accelerator.device)
    accelerator.register_for_checkpointing(average)

    guard = taumem.Guard(
        loss,
        train=train,
        heldout=heldout,
        folder=args.output / "guard",
        on_onset="stop",
        batch_size=args.batch * args.accumulate * accelerator.num_processes,
        timesteps=1000,
        ema=average,
        budget=args.budget if args.folder else None,  # so short a run may look as often as it likes
    )
    guarded = AccelerateGuard(accelerator, guard)  # before load_state
    step = 0
    if args.resume and (found := checkpoints(args.output)):
        accelerator.load_state(str(found[-1]))
        step = int(found[-1].name.split("-")[1])
    for _ in range(step * args.accumulate // len(loader), args.epochs):
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
                if step % args.checkpointing_steps == 0:
                    save(accelerator, args.output, step, args.keep)
        if guarded.stopped:
            break
    guard.close()
    print(guard.verdict)
    return guard.verdict


if __name__ == "__main__":
    main()
