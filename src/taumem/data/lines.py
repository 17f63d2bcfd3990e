"""Items that are lines: strings of unequal length, such as molecules, names or sentences, one per line.

Models take items of one length. So each line is followed by line ends up to the length of the longest: ``\\n``, which
no line holds, is a symbol as any other, to be learned and predicted, so that samples have lengths of their own. What a
sample says ends at its first line end.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from taumem.data.alphabets import Alphabet
from taumem.data.line_choice import choose
from taumem.data.readers.listing import tell
from taumem.data.readers.opening import IN_PACKAGE, check_memory, existing, in_memory, shown
from taumem.data.readers.rows import read_lines
from taumem.data.split import Split
from taumem.errors import ConfigError, DataError, TaumemWarning, nearest_name
from taumem.shapes import Items

__all__ = ["ALIKE", "LINE_END", "Lines", "load_lines", "without_ends"]

LINE_END = "\n"
ALIKE = 0.5
"""Two lines are near-duplicates if this share of the passages of 8 symbols that either has is common to both.

Of a line of 31 symbols or more, one that differs in a single symbol is. Windows of prose are near at 0.2, since one
passage may be cut at two places; lines are not cut, and many share much by their nature: of 20,000 molecules, 80 %
would go at 0.2, and 5 % at 0.5.
"""
ALPHABETS_OF_LINES = ("characters", "bytes")
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
    _told: set[str] = field(default_factory=set, repr=False)
    """What was said of them, so that it is said once."""

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
            ConfigError: what is given is no list of strings, there is no such alphabet, a longest line of less than
                one symbol, or symbols that are said of bytes.
            DataError: no lines, lines with line ends in them, with other symbols than those said, all longer than the
                longest one may be, or longer than 1,024 symbols where that is not said.
        """
        parts = [_strings("lines", lines), [] if heldout is None else _strings("heldout", heldout)]
        _refuse_options(alphabet, symbols, max_length)
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
                f"{name}: its longest line has {width} symbols; say how many an item may have by data.max_length "
                f"(longer ones are left out; unsaid, {LONGEST}). Is it one item per line?"
            )
        tables = [_table(*part, end, width, name) for part in zip(numbers, lengths, strict=True)]
        n_longer = sum(int((length > width).sum()) for length in lengths)
        if not len(tables[0]) or (heldout is not None and not len(tables[1])):
            raise DataError(f"{name}: all lines are longer than data.max_length = {width}; choose a larger one.")
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
            ConfigError: numbers out of their ranges, or that are not whole.
            DataError: there are fewer lines than that.

        Warns:
            TaumemWarning: once, how many lines were passed over, if any.
        """
        whole = all(isinstance(number, Integral) for number in (n_train, n_heldout, seed))
        if not whole or not isinstance(resemblance, Real) or n_train < 1 or n_heldout < 0 or not 0 < resemblance <= 1:
            raise ConfigError(
                "lines need P >= 1, n_heldout >= 0 and a seed, all whole numbers, and a resemblance from above 0 to 1; "
                f"got {n_train!r}, {n_heldout!r}, {seed!r} and {resemblance!r}."
            )
        options = {"seed": seed, "resemblance": resemblance, "padding": self.end}
        chosen = choose(self.items, self.heldout, n_train, n_heldout, **options)
        if len(chosen.train) < n_train or len(chosen.heldout) < n_heldout:
            raise DataError(f"{self.name}: {chosen.too_few(n_train, n_heldout)}")
        if chosen.told and not self._told:
            self._told.add(chosen.told)
            warnings.warn(f"{self.name}: {chosen.told}.", TaumemWarning, stacklevel=2)
        parts = (torch.from_numpy(part.astype(np.int64)) for part in (chosen.train, chosen.heldout))
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


def _strings(role: str, given: Sequence[str]) -> list[str]:
    """The strings of a list, once it is known to be one."""
    if isinstance(given, str | bytes) or not hasattr(given, "__iter__"):
        raise ConfigError(f"{role} is a list of strings, one per item; got {type(given).__name__}.")
    strings = list(given)
    if others := [item for item in strings if not isinstance(item, str)]:
        raise ConfigError(f"{role} is a list of strings; {len(others)} are none, such as {others[0]!r:.80}.")
    return strings


def _refuse_options(alphabet: str, symbols: str | None, max_length: int | None) -> None:
    if alphabet not in ALPHABETS_OF_LINES:
        raise ConfigError(f"lines have no alphabet {alphabet!r}; {nearest_name(str(alphabet), ALPHABETS_OF_LINES)}")
    if symbols is not None and not isinstance(symbols, str):
        raise ConfigError(f"symbols is a string of the characters that there may be; got {symbols!r:.80}.")
    if max_length is not None and (not isinstance(max_length, Integral) or max_length < 1):
        raise ConfigError(f"max_length is a whole number from 1, or None; got {max_length!r:.80}.")


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
