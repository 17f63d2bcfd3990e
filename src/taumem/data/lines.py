"""Items that are lines: strings of unequal length, such as molecules, names or sentences, one per line.

Models take items of one length. So each line is followed by line ends up to the length of the longest: ``\\n``, which
no line holds, is a symbol as any other, to be learned and predicted, so that samples have lengths of their own. What a
sample says ends at its first line end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from taumem.data.alphabets import Alphabet
from taumem.data.near_duplicates import sift
from taumem.data.readers.listing import tell
from taumem.data.readers.opening import IN_PACKAGE, check_memory, existing, in_memory, shown
from taumem.data.readers.rows import read_lines
from taumem.data.split import Split
from taumem.errors import ConfigError, DataError
from taumem.randomness import generator_for
from taumem.shapes import Items

__all__ = ["ALIKE", "LINE_END", "Lines", "load_lines", "without_ends"]

LINE_END = "\n"
ALIKE = 0.5
"""Two lines are near-duplicates if this share of the passages of 8 symbols that either has is common to both.

Of a line of 31 symbols or more, one that differs in a single symbol is. Windows of prose are near at 0.2, since one
passage may be cut at two places; lines are not cut, and many share much by their nature: of 20,000 molecules, 80 %
would go at 0.2, and 5 % at 0.5.
"""
LONGEST = 1024
"""Symbols of the longest line, where nothing is said: a longer one may be no item."""


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines in the symbols of an alphabet, each followed by line ends. Make one with :func:`load_lines` or :meth:`of`.

    Attributes:
        name: what they are called in records and reports.
        alphabet: of the symbols; the line end is one of them.
        items: the symbols of each line [n, max_length], in the smallest type of integers that holds them.
        heldout: those of the lines that the source itself says to hold out; None leaves the choice to the split.
        n_longer: how many lines were left out since they are longer than that.
    """

    name: str
    alphabet: Alphabet
    items: NDArray[Any]
    heldout: NDArray[Any] | None
    n_longer: int

    @classmethod
    def of(
        cls,
        name: str,
        lines: Sequence[str],
        heldout: Sequence[str] | None = None,
        *,
        alphabet: Literal["characters", "bytes"] = "characters",
        symbols: str | None = None,
        max_length: int | None = None,
    ) -> "Lines":
        """Take lines that are in memory.

        Args:
            name: what they are called.
            lines: the lines, without the signs that end them.
            heldout: as in :func:`load_lines`, and so are ``alphabet``, ``symbols`` and ``max_length``.
            alphabet: of what the symbols are.
            symbols: the characters that there may be; None for all that occur.
            max_length: of the longest line.

        Raises:
            ConfigError: symbols that are said of bytes.
            DataError: no lines, lines with line ends in them, with other symbols than those said, all longer than the
                longest one may be, or longer than 1,024 symbols where that is not said.
        """
        parts = [list(lines), list(heldout or ())]
        if not parts[0] or (heldout is not None and not parts[1]):
            raise DataError(f"{name}: there are no {'held-out ' if parts[0] else ''}lines in it.")
        texts = [LINE_END.join([*part, ""]) for part in parts]
        if sum(text.count(LINE_END) for text in texts) != sum(map(len, parts)):
            raise DataError(f"{name}: some items have line ends in them; an item is one line.")
        found = Alphabet.of(alphabet, texts)
        if symbols is not None:
            found = _stated(name, found, symbols, [line for part in parts for line in part])
        try:
            numbers = [found.numbers(text) for text in texts]
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
        end = int(found.numbers(LINE_END)[0])
        lengths = [np.diff(np.flatnonzero(part == end), prepend=-1) - 1 for part in numbers]
        width = max_length or max(int(length.max(initial=1)) for length in lengths)
        if max_length is None and width > LONGEST:
            raise DataError(
                f"{name}: its longest line has {width} symbols; say how many an item may have by max_length (longer "
                f"ones are left out; unsaid, {LONGEST}). Is it one item per line?"
            )
        tables = [_table(*part, end, width, name) for part in zip(numbers, lengths, strict=True)]
        n_longer = sum(int((length > width).sum()) for length in lengths)
        if not len(tables[0]) or (heldout is not None and not len(tables[1])):
            raise DataError(f"{name}: all lines are longer than max_length = {width}; choose a larger one.")
        return cls(name, found, tables[0], tables[1] if heldout is not None else None, n_longer)

    @property
    def end(self) -> int:
        """The number of the line end."""
        return int(self.alphabet.numbers(LINE_END)[0])

    def decode(self, tokens: Items) -> list[str]:
        """Give the line in each row of tokens: what stands before its first line end."""
        return [text.partition(LINE_END)[0] for text in self.alphabet.decode(tokens)]

    def split(self, n_train: int, n_heldout: int, seed: int = 0, *, resemblance: float = ALIKE) -> Split:
        """Shuffle the lines, with some held out: of the source's own held-out lines where it has some.

        Held-out lines are chosen first, without near-duplicates among themselves, and do not depend on P. Training
        lines that are near a held-out or an earlier training line are passed over, so that training sets of growing
        size are nested.

        Args:
            n_train: P in lines.
            n_heldout: how many lines to hold out, at least 0.
            seed: of the shuffles.
            resemblance: the share of passages of 8 symbols in common from which on two lines are near-duplicates, in
                (0, 1].

        Raises:
            ConfigError: numbers out of their ranges.
            DataError: there are fewer lines than that.
        """
        if n_train < 1 or n_heldout < 0 or not 0 < resemblance <= 1:
            raise ConfigError(
                "lines need P >= 1, n_heldout >= 0 and a resemblance from above 0 to 1; got "
                f"{n_train}, {n_heldout} and {resemblance}."
            )
        pool, others = _shuffled(self.items, seed, "lines"), self.heldout
        others = pool if others is None else _shuffled(others, seed, "held-out lines")
        kept = sift(others, n_heldout, resemblance=resemblance, padding=self.end).kept
        heldout = others[kept]
        pool = pool[kept[-1] + 1 :] if self.heldout is None and n_heldout else pool
        train = pool[sift(pool, n_train, against=heldout, resemblance=resemblance, padding=self.end).kept]
        if len(train) < n_train or len(heldout) < n_heldout:
            raise DataError(
                f"{self.name}: P = {n_train} lines + {n_heldout} held out are needed; of {len(self.items)} lines "
                f"{len(heldout)} can be held out and {len(train)} are left to train on, without those that equal or "
                "resemble another one. Choose a smaller P or n_heldout, or bring more lines."
            )
        parts = (torch.from_numpy(chosen.astype(np.int64)) for chosen in (train, heldout))
        return Split.of(self.name, *parts, vocabulary=self.alphabet.vocabulary)


@in_memory
def load_lines(
    path: str | Path,
    heldout: str | Path | None = None,
    *,
    column: str | None = None,
    alphabet: Literal["characters", "bytes"] = "characters",
    symbols: str | None = None,
    max_length: int | None = None,
    skip_unreadable: bool = False,
) -> Lines:
    """Read one item per line from a text, a column of a table, or a folder of these; gzipped or not.

    ``package:NAME/FILE`` is a file of an installed package, such as
    ``package:molsets/moses/dataset/data/train.csv.gz``. Blank lines are left out.

    Args:
        path: the file or folder.
        heldout: those of the lines to hold out; None leaves the choice to the split.
        column: which column of a table (.csv, .tsv) the items are, by its name in the first line.
        alphabet: ``characters`` takes all characters that occur, ``bytes`` the bytes of the files (256).
        symbols: the characters that there may be; None for all that occur.
        max_length: symbols of the longest line; longer ones are left out, and a note says how many. None takes the
            longest one's, up to 1,024.
        skip_unreadable: whether to pass over files in a folder that are no texts, with a note that names them.

    Raises:
        DataError: as :func:`~taumem.data.readers.rows.read_lines` and :meth:`Lines.of`.
        ConfigError: as :meth:`Lines.of`.
    """
    how = {"as_bytes": alphabet == "bytes", "skip_unreadable": skip_unreadable}
    items, notes = read_lines(path, column=column, **how)
    others, more = read_lines(heldout, column=column, **how) if heldout is not None else (None, [])
    name = _name_of(str(path))
    lines = Lines.of(name, items, others, alphabet=alphabet, symbols=symbols, max_length=max_length)
    longer = [f"{lines.n_longer} longer than {max_length} symbols left out."] if lines.n_longer else []
    tell(Path(path), "lines", len(items) + len(others or ()), [*notes, *more, *longer])
    return lines


def without_ends(tokens: Items, end: int) -> list[str]:
    """Give each row of tokens up to its first line end as a string, whose code points are the tokens' numbers.

    >>> without_ends(torch.tensor([[65, 66, 10, 65], [10, 65, 66, 66], [66, 66, 66, 66]]), end=10)
    ['AB', '', 'BBBB']
    """
    sign = chr(end)
    return ["".join(map(chr, row)).partition(sign)[0] for row in tokens.tolist()]


def _name_of(path: str) -> str:
    if path.startswith(IN_PACKAGE):
        return shown(path.removeprefix(IN_PACKAGE).partition("/")[0])
    return shown(existing(path).name)


def _stated(name: str, found: Alphabet, symbols: str, lines: Sequence[str]) -> Alphabet:
    """The alphabet of the symbols that were said."""
    if found.name == "bytes":
        raise ConfigError("symbols are said of characters; bytes are always 256. Leave one of the two out.")
    known = set(symbols) | {LINE_END}
    if not set(found.symbols) <= known:
        others = [line for line in lines if not known.issuperset(line)]
        which = "".join(sorted(set(found.symbols) - known))
        raise DataError(
            f"{name}: {len(others)} of {len(lines)} lines have symbols that are none of those said ({which!r}; the "
            f"first line is {others[0][:80]!r}). Add them to symbols, or leave these lines out."
        )
    return Alphabet("characters", "".join(sorted(known)))


def _table(numbers: NDArray[Any], lengths: NDArray[np.intp], end: int, width: int, name: str) -> NDArray[Any]:
    """The lines of at most so many symbols, each followed by line ends [n, width]."""
    fits = lengths <= width
    check_memory(name, 2 * int(fits.sum()) * width * numbers.itemsize)
    table = np.full((int(fits.sum()), width), end, numbers.dtype)
    table[np.arange(width) < lengths[fits, None]] = numbers[np.repeat(fits, lengths + 1) & (numbers != end)]
    return table


def _shuffled(items: NDArray[Any], seed: int, purpose: str) -> NDArray[Any]:
    shuffled: NDArray[Any] = items[torch.randperm(len(items), generator=generator_for(seed, purpose)).numpy()]
    return shuffled
