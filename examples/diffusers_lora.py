"""A LoRA of Stable Diffusion, SDXL or FLUX on a folder of images, under a guard: whatever diffusers can load by a name.

    python examples/diffusers_lora.py --folder photos --model stable-diffusion-v1-5/stable-diffusion-v1-5
    python examples/diffusers_lora.py --folder photos --model ... --pilots 12 24  # nothing is held out: pilots say when

Captions: a text file beside each image, or metadata.jsonl with "file_name" and "text"; --prompt for images without one.
Needs: pip install 'taumem[diffusers,transformers]'.
"""

import argparse
import json
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers import DDPMScheduler, DiffusionPipeline, FluxPipeline, StableDiffusionXLPipeline
from diffusers.training_utils import cast_training_params
from peft import LoraConfig, get_peft_model_state_dict
from torch.utils.data import DataLoader, default_collate

import taumem
from taumem.data.images import read_images

TIMES = (0.15, 0.35, 0.55)  # at which the guard asks, in (0, 1); training draws its own
DTYPES = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


# --- the data: latents and text conditions, once -------------------------------------------------------------------


def captions(folder, names, prompt):
    """A caption for each image: from the table, from the text file beside it, or the prompt."""
    table = folder / "metadata.jsonl"
    rows = map(json.loads, table.read_text(encoding="utf-8").splitlines()) if table.exists() else ()
    told = {row["file_name"]: row["text"] for row in rows}
    for name in names:
        beside = (folder / name).with_suffix(".txt")
        yield told.get(name) or (beside.read_text(encoding="utf-8").strip() if beside.exists() else prompt)


def text_of(pipe, caption):
    """What the network is told of a caption, under the names by which the pipeline takes it back."""
    if isinstance(pipe, FluxPipeline):
        prompt, pooled, _ = pipe.encode_prompt(caption, None, device=pipe.device)
    elif isinstance(pipe, StableDiffusionXLPipeline):
        prompt, _, pooled, _ = pipe.encode_prompt(caption, device=pipe.device, do_classifier_free_guidance=False)
    else:
        return {"prompt_embeds": pipe.encode_prompt(caption, pipe.device, 1, False)[0][0]}
    return {"prompt_embeds": prompt[0], "pooled_prompt_embeds": pooled[0]}


@torch.no_grad()
def encoded(pipe, pixels, caption, dtype):
    """An item: the latent comes first, so that samples are compared with latents."""
    code = pipe.vae.encode(pixels[None].to(pipe.vae.device, pipe.vae.dtype)).latent_dist.mode()[0]
    latent = (code - (pipe.vae.config.shift_factor or 0)) * pipe.vae.config.scaling_factor
    return {name: part.to("cpu", dtype) for name, part in ({"latent": latent} | text_of(pipe, caption)).items()}


# --- the loss: one for training and the guard ----------------------------------------------------------------------


def predict(pipe, model, xt, t, items):
    text, pooled = items["prompt_embeds"], items.get("pooled_prompt_embeds")
    n, channels, height, width = xt.shape
    scale = pipe.vae_scale_factor
    if isinstance(pipe, FluxPipeline):
        velocity = model(
            hidden_states=pipe._pack_latents(xt, n, channels, height, width),
            timestep=t.to(xt.dtype),
            guidance=torch.full_like(t, 3.5) if pipe.transformer.config.guidance_embeds else None,
            encoder_hidden_states=text,
            pooled_projections=pooled,
            txt_ids=torch.zeros(text.shape[1], 3, device=xt.device, dtype=xt.dtype),
            img_ids=pipe._prepare_latent_image_ids(n, height // 2, width // 2, xt.device, xt.dtype),
            return_dict=False,
        )[0]
        return pipe._unpack_latents(velocity, height * scale, width * scale, scale)
    sizes = torch.tensor([[height * scale, width * scale, 0, 0, height * scale, width * scale]], device=xt.device)
    added = None if pooled is None else {"text_embeds": pooled, "time_ids": sizes.expand(n, -1)}
    return model(xt, t, text, added_cond_kwargs=added, return_dict=False)[0]


def loss_of(pipe):
    """``loss(model, items, generator, t)``, one number per item; t in (0, 1), drawn where it is not given."""
    flows = isinstance(pipe, FluxPipeline)
    schedule = None if flows else DDPMScheduler.from_config(pipe.scheduler.config)

    def loss(model, items, generator=None, t=None):
        x0 = items["latent"]
        t = torch.rand(len(x0), generator=generator, device=x0.device) if t is None else t
        noise = torch.randn(x0.shape, generator=generator, device=x0.device, dtype=x0.dtype)
        if flows:
            at = t.view(-1, 1, 1, 1).to(x0.dtype)
            xt, target = (1 - at) * x0 + at * noise, noise - x0
        else:
            t = (t * schedule.config.num_train_timesteps).long()
            velocity = schedule.config.prediction_type == "v_prediction"
            xt, target = schedule.add_noise(x0, noise, t), schedule.get_velocity(x0, noise, t) if velocity else noise
        return (predict(pipe, model, xt, t, items).float() - target.float()).square().flatten(1).mean(dim=1)

    return loss


def sampler_of(pipe, items, empty, args):
    """Latents of samples for the training captions, with the guidance that the LoRA will be used with."""
    height, width = (side * pipe.vae_scale_factor for side in items[0]["latent"].shape[1:])
    told = default_collate([items[k % len(items)] for k in range(args.samples)])
    told.pop("latent")
    if not isinstance(pipe, FluxPipeline):  # FLUX is distilled: its guidance is a number that it is told
        told |= {f"negative_{name}": part[None].repeat(args.samples, *[1] * part.ndim) for name, part in empty.items()}

    def sample(model, generator):
        options = {name: part.to(generator.device) for name, part in told.items()} | {"generator": generator}
        options |= {"num_inference_steps": args.inference_steps, "guidance_scale": args.guidance}
        latents = pipe(height=height, width=width, output_type="latent", **options).images
        is_packed = latents.ndim == 3
        return pipe._unpack_latents(latents, height, width, pipe.vae_scale_factor) if is_packed else latents

    return sample


# --- the training: as in the scripts of diffusers ------------------------------------------------------------------


def train_on(items, guard, *, pipe, loss, args, output=None):
    """Train a fresh LoRA until the guard says stop; save it at each look, so that the one to keep exists."""
    accelerator = Accelerator(gradient_accumulation_steps=args.accumulate, mixed_precision=args.precision)
    part = "transformer" if isinstance(pipe, FluxPipeline) else "unet"
    network = getattr(pipe, part)
    if hasattr(network, "peft_config"):  # of the pilot before
        network.unload_lora()
    targets = ["to_q", "to_k", "to_v", "to_out.0"]
    network.requires_grad_(False)
    network.add_adapter(
        LoraConfig(r=args.rank, lora_alpha=args.rank, init_lora_weights="gaussian", target_modules=targets)
    )
    network.enable_gradient_checkpointing()
    cast_training_params([network], dtype=torch.float32)
    optimizer = torch.optim.AdamW([weight for weight in network.parameters() if weight.requires_grad], lr=args.rate)
    loader = DataLoader(items, min(args.batch, len(items)), shuffle=True)
    model, optimizer, loader = accelerator.prepare(network.train(), optimizer, loader)
    step = 0
    while True:
        for batch in loader:
            with accelerator.accumulate(model):
                accelerator.backward(loss(model, batch).mean())
                optimizer.step()
                optimizer.zero_grad()
            if not accelerator.sync_gradients:
                continue
            step += 1
            stop = guard(accelerator.unwrap_model(model), step)
            if output is not None and guard.record.last_step == step and accelerator.is_main_process:
                place = output / f"checkpoint-{step}"
                pipe.save_lora_weights(place, **{f"{part}_lora_layers": get_peft_model_state_dict(network)})
                guard.saved(step, place)
            if stop or step == args.steps:
                return


def arguments(given):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="of images")
    parser.add_argument("--model", required=True, help="a name or a folder that diffusers can load")
    parser.add_argument("--output", type=Path, default=Path("lora"))
    parser.add_argument("--prompt", default="", help="caption of images that have none")
    parser.add_argument("--heldout", type=float, default=0.2, help="share of the images to hold out, 8 at least")
    parser.add_argument("--pilots", type=int, nargs="+", help="numbers of images of the pilots, ascending")
    parser.add_argument("--rule", help="quality, balanced, no_copies, privacy or forecast; none: what can be asked")
    parser.add_argument("--guidance", type=float, help="count copies among samples drawn with this guidance")
    parser.add_argument("--precision", choices=DTYPES, default="bf16" if torch.cuda.is_available() else "no")
    counts = {"size": 512, "rank": 16, "steps": 2000, "batch": 4, "accumulate": 1, "samples": 16, "inference-steps": 25}
    for name, usual in counts.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--budget", type=float, default=0.1, help="largest share of the time that looks may take")
    return parser.parse_args(given)


def main(given=None):
    args = arguments(given)
    torch.manual_seed(0)
    pipe = DiffusionPipeline.from_pretrained(args.model, torch_dtype=DTYPES[args.precision]).to(Accelerator().device)
    pipe.set_progress_bar_config(disable=True)
    if args.precision != "no":  # that of SDXL overflows in half precision
        pipe.vae.to(torch.float32)
    images, names, _ = read_images(args.folder, crop=True, size=args.size)  # what cannot be read is told
    pairs = zip(images, captions(args.folder, names, args.prompt), strict=True)
    items = [encoded(pipe, pixels, caption, DTYPES[args.precision]) for pixels, caption in pairs]
    empty = text_of(pipe, "") if args.guidance is not None else None
    for name in ("vae", "text_encoder", "text_encoder_2"):  # not needed any more
        setattr(pipe, name, None)
    items = [items[k] for k in torch.randperm(len(items))]
    n_train = len(items) - (0 if args.pilots else round(args.heldout * len(items)))
    train, heldout = items[:n_train], items[n_train:] or None

    run = {"pipe": pipe, "loss": loss_of(pipe), "args": args}
    options = {"loss": run["loss"], "times": TIMES, "batch_size": args.batch * args.accumulate}
    study = None
    if args.pilots:
        study = taumem.pilot(
            lambda items, guard: train_on(items, guard, **run),
            items,
            sizes=args.pilots,
            folder=args.output / "pilots",
            max_steps=args.steps,
            **options,
        )
    sampler = sampler_of(pipe, train, empty, args) if args.guidance is not None else None
    options |= {"heldout": heldout, "forecast": study, "sampler": sampler, "rule": args.rule, "budget": args.budget}
    guard = taumem.Guard(train=train, folder=args.output / "guard", on_onset="stop", **options)
    train_on(train, guard, output=args.output, **run)
    print(guard.verdict)
    return guard.verdict


if __name__ == "__main__":
    main()
