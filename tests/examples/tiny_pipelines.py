"""Random models of the classes of Stable Diffusion, SDXL and FLUX, small enough for a test, and a folder of images.

All are made here, of configurations: nothing is downloaded.
"""

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

LETTERS = "abcdefghijklmnopqrstuvwxyz"
TOKENS = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]


def clip_tokenizer(folder):
    """Of single letters, read from the files of such a tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: k for k, token in enumerate(TOKENS)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 16})
    )
    return CLIPTokenizer.from_pretrained(folder)


def clip(kind, width=16):
    return kind(
        CLIPTextConfig(
            vocab_size=len(TOKENS),
            hidden_size=width,
            intermediate_size=32,
            projection_dim=width,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=16,
            bos_token_id=len(TOKENS) - 2,
            eos_token_id=len(TOKENS) - 1,
            pad_token_id=len(TOKENS) - 1,
        )
    )


def autoencoder(**options):
    return AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        **options,
    )


def unet(width, **options):
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=width,
        attention_head_dim=4,
        norm_num_groups=8,
        **options,
    )


def stable_diffusion(folder, tokenizer, **options):
    named = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    schedule = DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1, **options)
    parts = {"vae": autoencoder(), "text_encoder": clip(CLIPTextModel), "unet": unet(16), "scheduler": schedule}
    StableDiffusionPipeline(tokenizer=tokenizer, **parts, **named).save_pretrained(folder)


def stable_diffusion_xl(folder, tokenizer):
    StableDiffusionXLPipeline(
        vae=autoencoder(),
        text_encoder=clip(CLIPTextModel),
        text_encoder_2=clip(CLIPTextModelWithProjection),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet(
            32, addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=64
        ),
        scheduler=DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1),
    ).save_pretrained(folder)


def flux(folder, tokenizer):
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((f"▁{letter}", -1.0) for letter in LETTERS)]
    sizes = {"d_model": 16, "d_ff": 32, "d_kv": 8, "num_heads": 2, "num_layers": 1}
    FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(shift_factor=0.1, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip(CLIPTextModel),
        tokenizer=tokenizer,
        text_encoder_2=T5EncoderModel(T5Config(vocab_size=len(pieces) + 100, **sizes)),
        tokenizer_2=T5TokenizerFast(vocab=pieces, model_max_length=32),
        transformer=FluxTransformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            pooled_projection_dim=16,
            axes_dims_rope=(4, 4, 8),
            guidance_embeds=True,
        ),
    ).save_pretrained(folder)


MAKERS = {"sd": stable_diffusion, "sdxl": stable_diffusion_xl, "flux": flux}


def save_pipeline(kind, folder: Path):
    """Save a random pipeline of a kind into a folder."""
    torch.manual_seed(0)
    MAKERS[kind](folder, clip_tokenizer(folder.parent / "tokens"))


def save_images(folder: Path, n=12, size=24):
    """Save images, half of them with a caption beside, two of them in a table."""
    generator = torch.Generator().manual_seed(0)
    folder.mkdir(parents=True)
    for k in range(n):
        coarse = torch.randint(256, (4, 4, 3), generator=generator).to(torch.uint8).numpy()
        Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC).save(folder / f"{k:03}.png")
        if k % 2:
            (folder / f"{k:03}.txt").write_text(f"a {LETTERS[k % 26]} photo")
    rows = [{"file_name": f"{k:03}.png", "text": "from the table"} for k in (0, 2)]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
