"""A masked diffusion language model of characters in the Trainer of Transformers, under a guard.

Needs: pip install 'taumem[transformers]'. Run: python examples/guard_transformers_masked_lm.py
"""

import tempfile
from pathlib import Path

import torch
from torch.nn import functional
from transformers import BertConfig, BertForMaskedLM, Trainer, TrainingArguments
from transformers.utils import logging

import taumem
from taumem.integrations import TransformersGuard

WINDOW = 32
text = taumem.load_text().windows(n_train=64, n_heldout=256, window=WINDOW)  # yours: taumem.load_text("folder")
train_items, heldout_items = text.split.train.long(), text.split.heldout.long()
MASK = len(text.alphabet.symbols)  # one token more than there are symbols


def loss(model, tokens, generator=None):
    """Each token is masked with probability t; the cross-entropy of what is masked, over t, one number per window.

    This is the bound of masked diffusion (Shi et al., 2024, arXiv 2406.04329), in nats per character.
    """
    t = torch.rand(len(tokens), 1, generator=generator, device=tokens.device).clamp(min=0.05)
    masked = torch.rand(tokens.shape, generator=generator, device=tokens.device) < t
    logits = model(input_ids=tokens.masked_fill(masked, MASK)).logits
    entropy = functional.cross_entropy(logits.transpose(1, 2), tokens, reduction="none")
    return (entropy * masked / t).mean(dim=1)


class MaskedDiffusionTrainer(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        return loss(model, inputs["input_ids"]).mean()


def main(output, max_steps=1500):
    logging.disable_progress_bar()
    torch.manual_seed(0)
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=MASK + 1,
            hidden_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=256,
            max_position_embeddings=WINDOW,
            pad_token_id=None,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )
    guard = taumem.Guard(
        loss,
        train=train_items,
        heldout=heldout_items,
        folder=output / "guard",
        on_onset="stop",
        batch_size=16,
        budget=None,  # so short a run may look as often as it likes
    )
    arguments = TrainingArguments(
        str(output),
        max_steps=max_steps,
        per_device_train_batch_size=16,
        learning_rate=1e-3,
        save_steps=20,
        save_total_limit=1,  # the checkpoint to keep outlives this
        lr_scheduler_type="constant",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = MaskedDiffusionTrainer(
        model,
        arguments,
        train_dataset=[{"input_ids": tokens} for tokens in train_items],
        callbacks=[TransformersGuard(guard)],
    )
    trainer.train()
    print(guard.verdict)
    return guard.verdict


if __name__ == "__main__":
    main(Path(tempfile.mkdtemp(prefix="guard-transformers-")))
