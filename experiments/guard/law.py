"""Does the law hold beyond denoising diffusion? tau_val against P for flow matching and for an autoregressive model.

    python experiments/guard/law.py flow characters     # runs that are there are skipped; then the laws are printed

P = 16 to 128, three seeds each, batches of 8, a constant rate, raw weights; each run is watched by a guard and ends
once tau_val is located. Flow matching: the loop of loops.py on 16x16 images. Characters: a recurrent network that
predicts each of 64 characters of English from those before it, without any noise in its loss. Records go to guard-law/
in the folder that it is called from, the onsets to law.onsets.tsv beside this file.
"""

import sys
import warnings
from pathlib import Path

import torch
from loops import BATCH, LOOPS, Loop, train
from torch import Tensor, nn
from torch.nn import functional

import taumem
from taumem.analysis.stopping import Located

FOLDER = Path("guard-law")
ONSETS = Path(__file__).with_name("law.onsets.tsv")
SIZES, SEEDS = (16, 32, 64, 128), (0, 1, 2)


class Recurrent(nn.Module):
    """Predicts each character from those before it."""

    def __init__(self, vocabulary: int, width: int = 96) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary + 1, width)
        self.recur = nn.GRU(width, width, batch_first=True)
        self.leave = nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        """From tokens [n, window] to the logits of each, given those before it [n, window, vocabulary]."""
        before = functional.pad(tokens[:, :-1] + 1, (1, 0))
        out: Tensor = self.leave(self.recur(self.embed(before))[0])
        return out


def likelihood(model: nn.Module, tokens: Tensor, generator: torch.Generator | None) -> Tensor:
    """Nats per character, one number per item; no noise in it."""
    return functional.cross_entropy(model(tokens).transpose(1, 2), tokens, reduction="none").mean(dim=1)


def split_of(what: str, seed: int) -> taumem.Split:
    """The items of a seed."""
    if what == "flow":
        small = taumem.resize(taumem.load_fashion_mnist(), 16, pad_to=32)
        return taumem.Split.make("fashion-mnist", small, n_heldout=256, seed=seed)
    return taumem.load_text().windows(max(SIZES), 256, window=64, seed=seed).split


def loop_of(what: str, split: taumem.Split) -> Loop:
    """The loop that trains on them."""
    if what == "flow":
        return LOOPS["flow"]
    return Loop(
        "characters", lambda: Recurrent(split.vocabulary or 27), likelihood, lambda m, g: torch.zeros(0), 2e-3, 0
    )


def run(what: str, n_train: int, seed: int) -> None:
    """One run, until tau_val is located."""
    folder = FOLDER / what / f"P{n_train:06d}-seed{seed}"
    if (folder / "done").exists():
        return
    split = split_of(what, seed).first(n_train)
    loop = loop_of(what, split)
    guard = taumem.Guard(
        loop.loss,
        train=split.train,
        heldout=split.heldout,
        folder=folder,
        rule=Located("tau_val"),
        on_onset="stop",
        batch_size=BATCH,
        budget=None,
        deterministic=what == "characters",
        n_draws=None if what == "characters" else 4,
        seed=seed,
        name=f"guard-{what}",
        strict=True,
    )
    train(loop, split.train, seed, 200 * n_train * 10, guard)
    print(what, n_train, seed, guard.verdict.message, flush=True)
    guard.close()
    (folder / "done").touch()


def show_laws(what: str) -> list[str]:
    """Print the laws of one part; its onsets of tau_val, a row each."""
    study = taumem.Study.of(taumem.read_runs(FOLDER / what))
    for clock, law in study.laws.items():
        if clock in ("tau_val", "tau_gap_grown[0.1]", "tau_gap_grown[0.2]"):
            e = law.exponent
            print(f"{what}: {clock} ∝ P^{e.value:.2f} [{e.low:.2f}, {e.high:.2f}], scatter {law.sigma.value:.2f}")
    found = sorted((o for o in study.onsets if o.clock == "tau_val"), key=lambda o: (o.n_train, o.run.seed))
    return [f"{what}\t{o.n_train}\t{o.run.seed}\t{o.step:.0f}\t{o.low:.0f}\t{o.high:.0f}" for o in found]


def main() -> None:
    """Make the runs, then print the laws and write the onsets."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", taumem.TaumemWarning)
    rows = ["what\tn_train\tseed\ttau_val\tlow\thigh"]
    for what in sys.argv[1:]:
        for n_train in SIZES:
            for seed in SEEDS:
                run(what, n_train, seed)
        rows += show_laws(what)
    ONSETS.write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
