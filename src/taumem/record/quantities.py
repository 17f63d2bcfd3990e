"""The vocabulary of what can be measured: each quantity's name, unit and meaning.

A probe of one's own may record other quantities too; they have no entry here, and a reader shows them by their names.
"""

from dataclasses import dataclass

__all__ = ["QUANTITIES", "Quantity", "family_of"]


@dataclass(frozen=True)
class Quantity:
    """A quantity that probes record.

    Attributes:
        name: without an index: ``valid`` stands for ``valid[1]``, ``valid[2]``, ...
        unit: in a few words; of a share, what it is a share of.
        meaning: in a sentence without a full stop.
    """

    name: str
    unit: str
    meaning: str


def family_of(quantity: str) -> str:
    """The name of a quantity without its index.

    >>> family_of("valid[2]"), family_of("train_loss")
    ('valid', 'train_loss')
    """
    return quantity.partition("[")[0]


LOSS = "nats per position of tokens, else squared error per coordinate"
SIMILARITY = "share of positions of tokens, else cosine similarity"

_SETS = {"train": "training", "heldout": "held-out", "twin": "the twin's training"}

_QUALITIES = {
    "frechet": ("variances of held-out features", "the Fréchet distance of {those} from {name}"),
    "precision": ("share of what is compared", "of {those}: those that lie in the manifold of {name}"),
    "fid": ("FID", "the Fréchet distance of {those} from {name} in the features of a network, such as Inception"),
    "kid": ("KID", "the squared kernel distance (cubic) of {those} from {name} in the same features"),
    "recall": ("share of what they are compared with", "of {name}: those that lie in the manifold of {those}"),
}

QUANTITIES = {
    quantity.name: quantity
    for quantity in (
        *(
            Quantity(f"{name}_loss", LOSS, f"the diffusion's loss on {items} items, under noise that stays the same")
            for name, items in _SETS.items()
        ),
        Quantity("gap", "share of the held-out loss", "by how much the training loss is lower: 1 - train / held-out"),
        Quantity(
            "gap_sym",
            "share of the loss on the other model's items",
            "by how much two models on disjoint sets do better on their own items than the other one does",
        ),
        Quantity(
            "train_loss_above_exact", LOSS, "the training loss, less that of the optimum on the true distribution"
        ),
        Quantity(
            "heldout_loss_above_exact", LOSS, "the held-out loss, less that of the optimum on the true distribution"
        ),
        Quantity("gap_exact", LOSS, "how much further the held-out loss is above that optimum than the training loss"),
        Quantity("train_loss_above_empirical", LOSS, "the training loss, less that of the optimum on the training set"),
        Quantity(
            "empirical_gap",
            "share of the data's variance",
            "squared distance between the model and the optimum on the training set, on corrupted held-out items",
        ),
        Quantity(
            "membership_auc",
            "probability",
            "that a training item has a lower loss (error of an attack) than a held-out one; 0.5 is chance",
        ),
        Quantity(
            "membership_tpr",
            "share of training items",
            "found by their low loss (error) where at most 1 % of the held-out items are taken for members",
        ),
        Quantity(
            "membership_advantage",
            "share of items",
            "true less false positives at the best threshold of the loss above the optimum on the true distribution",
        ),
        *(
            Quantity(f"{name}_error", "the attack's own", f"of {_SETS[name]} items, by an attack on membership")
            for name in ("train", "heldout")
        ),
        Quantity("copy_fraction", "share of samples", "that are copies of training items by the run's rule"),
        Quantity(
            "copy_fraction_chance",
            "share of samples",
            "that the rule would take for copies if nothing was copied: as many as of held-out items",
        ),
        *(
            Quantity(f"{name}_{what}{suffix}", unit, meaning.format(name=items, those=those))
            for suffix, those in (("", "samples"), ("_chance", "as many other held-out images"))
            for name, items in (("heldout", "held-out images"), ("train", "the training images"))
            for what, (unit, meaning) in _QUALITIES.items()
        ),
        Quantity(
            "cycled_copies", "share of samples", "that are copies after they were corrupted and denoised several times"
        ),
        Quantity("cycled_copies_chance", "share of samples", "the same, of held-out items"),
        Quantity("uturn_returns", "share of training items", "that come back to themselves from a diffusion time"),
        Quantity("uturn_returns_chance", "share of held-out items", "that come back to themselves from there"),
        Quantity("basin", "diffusion time", "from which half of the training items come back to themselves"),
        Quantity("basin_heldout", "diffusion time", "from which half of the held-out items come back"),
        Quantity("exact_copies", "share of samples", "that are training items, symbol by symbol"),
        Quantity("longest_match", "symbols", "of the longest passage of a sample that stands in a training text"),
        Quantity("longest_match_chance", "symbols", "the same of held-out texts"),
        Quantity("part_copies", "share of samples", "of which a part of this size or larger is copied"),
        Quantity("part_copies_chance", "share of held-out items", "of which such a part seems to be copied"),
        Quantity("motif_divergence", "bits", "between motifs of this size in samples and in held-out items"),
        Quantity("motif_divergence_chance", "bits", "between the motifs of two sets of held-out items"),
        Quantity(
            "motif_surprise", "bits per motif", "-log2 of the frequency among held-out items, of motifs that these have"
        ),
        Quantity("motif_surprise_chance", "bits per motif", "the same of the motifs of other held-out items"),
        Quantity("valid", "share of samples", "that obey the grammar up to a level"),
        Quantity("novel_valid", "share of samples", "that obey the grammar at all levels and are no training strings"),
        Quantity("ngram_divergence", "bits", "between the n-grams of samples and of held-out texts (Jensen-Shannon)"),
        Quantity("ngram_divergence_chance", "bits", "between the n-grams of two sets of held-out texts"),
        Quantity("validity", "share of samples", "that are valid in the language of the data, such as molecules"),
        Quantity("novelty", "share of valid samples", "that are no training items, in whatever way they are written"),
        Quantity("uniqueness", "share of valid samples", "that are left without repetitions"),
        Quantity("dictionary_words", "share of whole words", "in the samples that are in the dictionary"),
        Quantity("dictionary_words_chance", "share of whole words", "in held-out texts that are in the dictionary"),
        *(
            Quantity(f"{name}_bits", "bits per symbol", f"the bound on -log2 p of {items} texts")
            for name, items in _SETS.items()
        ),
        Quantity("heldout_bits_ngram", "bits per symbol", "that the n-gram model takes on held-out texts"),
        *(
            Quantity(
                f"{name}_entropy", "nats per position", f"how unsure the model is of hidden symbols of {items} texts"
            )
            for name, items in _SETS.items()
        ),
        Quantity("infill_copies", "share of training texts", "that come back when half of them is hidden"),
        Quantity("infill_copies_chance", "share of held-out texts", "that come back when half of them is hidden"),
        Quantity("infill_accuracy", "share of hidden symbols", "of training texts, found at the first look"),
        Quantity("infill_accuracy_heldout", "share of hidden symbols", "of held-out texts, found at the first look"),
        Quantity(
            "isolation",
            "share of positions of tokens, else root mean square per coordinate",
            "distance of training items to the three nearest others of the training set",
        ),
        Quantity("learning_rate", "rate", "the optimizer's, on average over all parameters"),
        Quantity(
            "root_second_moment", "size of the gradient", "sqrt of the optimizer's running mean of squared gradients"
        ),
        Quantity(
            "effective_time",
            "rate over size of the gradient",
            "the sum over all steps of how far each moves the weights along a lasting gradient",
        ),
        Quantity(
            "heat", "loss", "that the gradient's noise adds if each weight is stiff: half their number x temperature"
        ),
        Quantity("agreement", SIMILARITY, "of the samples that two models draw from the same noise"),
        Quantity("agreement_chance", SIMILARITY, "of the samples that two models draw from different noise"),
    )
}
"""By name, without an index."""
