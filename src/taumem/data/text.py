"""Text as windows of tokens: text8, any file, a folder of documents, or the built-in English.

The built-in English is the text of CPython's own ``help()`` topics. Every Python brings that along, but each version
another one, and a result that changes with the interpreter is none. So taumem ships one version of it, compressed, and
pins it by its SHA-256 (see ``data/english/``); the Python that happens to run is not asked. What is shipped is the
unchanged text, so that each alphabet can make its own of it.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from taumem.data.alphabets import TEXT8_SYMBOLS, Alphabet, AlphabetName, letters_dropped
from taumem.data.english import load_english
from taumem.data.near_duplicates import Sifted, sift
from taumem.data.readers.documents import read_documents
from taumem.data.readers.listing import tell
from taumem.data.readers.opening import existing, in_memory, shown
from taumem.data.split import Split
from taumem.errors import ConfigError, DataError, TaumemWarning
from taumem.randomness import generator_for

__all__ = ["Text", "Windows", "load_text"]

TEXT8_PARTS = (90_000_000, 5_000_000, 5_000_000)
"""Characters of the official training, validation and test parts of text8, in this order."""
UNSAID, MOST = 0.01, 0.5
"""Share of letters up to which nothing is said of those that ``text8`` drops, and above which a text is refused."""


@dataclass(frozen=True, eq=False)
class Windows:
    """A split of a text into windows of one length, and how it came about.

    Attributes:
        split: tokens [P, window] and [n_heldout, window], with the alphabet's vocabulary.
        alphabet: from tokens to text: ``alphabet.decode(split.train)``.
        n_documents: how many documents there were to choose training windows from, and how many held-out ones; a
            document that was cut in two counts as both.
        duplicates: how many windows were passed over since they equal an earlier one: of those looked at for training
            (the held-out ones count as earlier), and of those looked at to be held out.
        near_duplicates: how many were passed over since they are near an earlier one without being equal to it.
    """

    split: Split
    alphabet: Alphabet
    n_documents: tuple[int, int]
    duplicates: tuple[int, int]
    near_duplicates: tuple[int, int]

    @property
    def n_characters(self) -> int:
        """P in symbols: windows times their length."""
        return self.split.train.numel()


@dataclass(frozen=True, eq=False)
class Text:
    """Documents in the symbols of an alphabet. Make one with :func:`load_text` or :meth:`of`.

    Attributes:
        name: what it is called in records and reports.
        alphabet: of the symbols.
        documents: the symbols of each, in the smallest type of integers that holds them.
        heldout: which documents the source itself says to hold out; None leaves the choice to the split.
    """

    name: str
    alphabet: Alphabet
    documents: tuple[NDArray[Any], ...]
    heldout: int | None = None

    @classmethod
    def of(
        cls,
        name: str,
        documents: Mapping[str, str],
        alphabet: AlphabetName = "text8",
        *,
        vocabulary: int | None = None,
    ) -> "Text":
        """Take documents that are in memory.

        Args:
            name: what the text is called.
            documents: the text of each, by its name.
            alphabet: as in :func:`load_text`.
            vocabulary: as in :func:`load_text`.

        Raises:
            ConfigError: no such alphabet.
            DataError: no document, more symbols than declared, most letters none of ``text8``'s, or half a surrogate
                pair where bytes are wanted.
        """
        if not documents:
            raise DataError(f"{name}: there are no documents in it.")
        if alphabet == "text8":
            _say_what_is_dropped(name, documents)
        try:
            found = Alphabet.of(alphabet, documents.values(), vocabulary=vocabulary)
            numbers = tuple(found.numbers(text) for text in documents.values())
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
        return cls(name, found, numbers)

    @property
    def n_characters(self) -> int:
        """How many symbols all documents have together."""
        return sum(len(document) for document in self.documents)

    def n_windows(self, window: int) -> int:
        """How many windows of that many symbols the documents have, near-duplicates included."""
        return sum(len(document) // window for document in self.documents)

    def windows(self, n_train: int | None, n_heldout: int, window: int = 64, seed: int = 0) -> Windows:
        """Cut the documents into windows that do not overlap, and hold some of them out.

        No window spans two documents; what is left at a document's end is not used. Of several documents, whole ones
        are held out: drawn by a shuffle, as far as they fit into what is wanted, then the smallest of the others. The
        last document that would be left, or the only one, is held out from its end, as far as needed, so that held-out
        and training text touch once. text8 has its official parts.

        Held-out windows are chosen first, without near-duplicates among themselves, and do not depend on P. Training
        windows are shuffled; those near a held-out window or an earlier training window are passed over, so that
        training sets of growing size are nested. (The other way round, held-out windows that are near a training
        window would have to go, and what is held out would depend on what is trained on.)

        Args:
            n_train: P in windows; None takes all that are there.
            n_heldout: how many windows to hold out, at least 0.
            window: symbols in a window, at least 1.
            seed: of the shuffles.

        Raises:
            ConfigError: numbers out of their ranges.
            DataError: the text has fewer distinct windows than that.

        Reference: Shi et al. 2024, arXiv 2406.04329 (text8 in windows that do not overlap).
        """
        if n_heldout < 0 or window < 1 or (n_train is not None and n_train < 1):
            raise ConfigError(
                f"windows need P >= 1, n_heldout >= 0 and a length of at least 1; got P = {n_train}, n_heldout = "
                f"{n_heldout}, length {window}."
            )
        tokens, document = self._cut(window)
        is_heldout, heldout, sifted_heldout = self._hold_out(tokens, document, n_heldout, seed)
        pool = _shuffled(np.flatnonzero(~is_heldout), seed, "train windows")
        sifted_train = sift(tokens[pool], n_train, against=tokens[heldout])
        train = pool[sifted_train.kept]
        needed = 1 if n_train is None else n_train
        if len(train) < needed or len(heldout) < n_heldout:
            alike = sum(sifted.duplicates + sifted.near_duplicates for sifted in (sifted_train, sifted_heldout))
            raise DataError(
                f"{self.name}: P = {needed} windows of {window} characters + {n_heldout} held out are needed; the "
                f"text has {len(tokens)} windows ({self.n_characters} characters in {len(self.documents)} documents), "
                f"of which {len(heldout)} can be held out and {len(train)} are left to train on, without the {alike} "
                "that equal or resemble another one. Choose a smaller P or n_heldout, shorter windows, or more text."
            )
        parts = (torch.from_numpy(tokens[chosen].astype(np.int64)) for chosen in (train, heldout))
        return Windows(
            split=Split.of(self.name, *parts, vocabulary=self.alphabet.vocabulary),
            alphabet=self.alphabet,
            n_documents=(len(set(document[~is_heldout])), len(set(document[is_heldout]))),
            duplicates=(sifted_train.duplicates, sifted_heldout.duplicates),
            near_duplicates=(sifted_train.near_duplicates, sifted_heldout.near_duplicates),
        )

    def _cut(self, window: int) -> tuple[NDArray[Any], NDArray[np.intp]]:
        """Give the windows of all documents in order, [n, window], and the number of each one's document."""
        counts = [len(document) // window for document in self.documents]
        cut = [
            document[: count * window].reshape(count, window)
            for document, count in zip(self.documents, counts, strict=True)
        ]
        return np.concatenate(cut), np.repeat(np.arange(len(counts)), counts)

    def _hold_out(
        self, tokens: NDArray[Any], document: NDArray[np.intp], n_heldout: int, seed: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.intp], Sifted]:
        """Say which windows are not for training, and which of them are held out: n_heldout, if so many are there."""
        goal, more = n_heldout, 1
        while True:
            is_heldout = self._chosen(document, goal, seed)
            pool = _shuffled(np.flatnonzero(is_heldout), seed, "heldout windows")
            sifted = sift(tokens[pool], n_heldout)
            missing = n_heldout - len(sifted.kept)
            if not missing or goal >= len(tokens) or self.heldout is not None:
                return is_heldout, pool[sifted.kept], sifted
            # Some are near others: choose as many again, and ever more of a text that does nothing but repeat itself.
            goal += more * missing
            more *= 2

    def _chosen(self, document: NDArray[np.intp], goal: int, seed: int) -> NDArray[np.bool_]:
        """Choose at least ``goal`` windows, or all: whole documents, and the end of the last one if it must be cut."""
        if self.heldout is not None:
            return np.equal(document, self.heldout)
        counts = np.bincount(document, minlength=len(self.documents))
        order = _shuffled(np.flatnonzero(counts), seed, "heldout documents").tolist()
        chosen: list[int] = []
        missing = goal
        for k in order:
            if counts[k] <= missing:
                chosen.append(k)
                missing -= counts[k]
        others = sorted(set(order) - set(chosen), key=lambda k: (counts[k], k))
        for k in others[:-1]:
            if missing > 0:
                chosen.append(k)
                missing -= counts[k]
        is_heldout = np.isin(document, chosen)
        if missing > 0 and others:
            is_heldout[np.flatnonzero(document == others[-1])[-missing:]] = True
        return is_heldout


@in_memory
def load_text(
    path: str | Path | None = None,
    *,
    alphabet: AlphabetName = "text8",
    vocabulary: int | None = None,
    skip_unreadable: bool = False,
) -> Text:
    """Read text from a file or a folder, or take the built-in English.

    ================================  ==================================================================
    path                              documents
    ================================  ==================================================================
    None                              the built-in English: 79 topics of Python's manual
    text8 (100,000,000 characters)    its first 90 M characters to train on, the next 5 M to hold out;
                                      the last 5 M, the official test set, are not used
    any other file                    one document
    a folder                          each file in it, and in the folders inside it, that is not hidden
    ================================  ==================================================================

    Args:
        path: the file or folder.
        alphabet: ``text8`` normalizes to a-z and space (27 symbols), ``characters`` takes all characters that occur,
            ``bytes`` the bytes of the files, whatever they are (256). Letters that ``text8`` does not have are
            dropped; of more than 1 % of all letters this is said, with more than half the text is refused.
        vocabulary: how many symbols there may be; None for any number.
        skip_unreadable: whether to pass over files in a folder that are no texts, with a note that names them.

    Raises:
        DataError: no such path, a folder without files, files that are no texts in UTF-8 (or UTF-16 or UTF-32 with its
            byte order mark) unless bytes are wanted or they are to be skipped, letters that ``text8`` would drop, more
            symbols than declared, or a damaged installation.
        ConfigError: no such alphabet.
    """
    if path is None:
        return Text.of("english", load_english(), alphabet, vocabulary=vocabulary)
    path = existing(path)
    documents, notes = read_documents(path, as_bytes=alphabet == "bytes", skip_unreadable=skip_unreadable)
    tell(path, "documents", len(documents), notes)
    texts = {str(file): content for file, content in documents.items()}
    text = Text.of(shown(path.name), texts, alphabet, vocabulary=vocabulary)
    content = next(iter(texts.values()))
    return _in_official_parts(text, content) if len(texts) == 1 and _is_text8(content) else text


def _say_what_is_dropped(name: str, documents: Mapping[str, str]) -> None:
    share, letters = letters_dropped(documents.values())
    if share <= UNSAID:
        return
    n_characters = len(set[str]().union(*documents.values()))
    message = (
        f"{name}: the alphabet 'text8' is a-z and space, and drops {share:.0%} of the letters here (most often "
        f"{' '.join(letters[:8])}). The alphabet 'characters' keeps them ({n_characters} symbols), and so does 'bytes' "
        "(256)."
    )
    if share > MOST:
        raise DataError(message)
    warnings.warn(message, TaumemWarning, stacklevel=4)


def _is_text8(text: str) -> bool:
    return (
        len(text) == sum(TEXT8_PARTS) and text.isascii() and not text.encode().translate(None, TEXT8_SYMBOLS.encode())
    )


def _in_official_parts(text: Text, content: str) -> Text:
    # Not normalized: it is so already, and the parts must begin where they officially do.
    alphabet = Alphabet("characters", TEXT8_SYMBOLS) if text.alphabet.name == "text8" else text.alphabet
    numbers, (n_train, n_heldout, _) = alphabet.numbers(content), TEXT8_PARTS
    return replace(text, documents=(numbers[:n_train], numbers[n_train : n_train + n_heldout]), heldout=1)


def _shuffled(numbers: NDArray[np.intp], seed: int, purpose: str) -> NDArray[np.intp]:
    order: NDArray[np.intp] = torch.randperm(len(numbers), generator=generator_for(seed, purpose)).numpy()
    return numbers[order]
