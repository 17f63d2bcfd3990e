"""Numbers and states, as a reader wants them: few digits, an interval beside each, a unit in the words around them."""

import math

from taumem.analysis import Interval, Onset
from taumem.analysis.order import Precedence
from taumem.analysis.phase import TypicalOnset

__all__ = [
    "change",
    "factor",
    "multiple",
    "number",
    "onset_span",
    "p_value",
    "percent",
    "plain_name",
    "plural",
    "power",
    "sentence",
    "setting",
    "share",
    "sizes_text",
    "span",
    "state",
    "typical",
]

SMALLEST_P = 0.0002
"""Of the tests of an exponent: they rest on 8,192 draws, and none is told from fewer than two of them."""

_STATES = {
    "no": "located",
    "interval": "between two looks",
    "left": "before the first look",
    "right": "not reached when the run ended",
}


def number(value: float) -> str:
    """Write a number with three significant digits.

    >>> [number(x) for x in (1043.2, 6.6134, 0.0312, 12345, 0, float("inf"))]
    ['1,040', '6.61', '0.0312', '12,300', '0', '∞']
    """
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "unknown"
    if value == 0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(value)))
    rounded = round(value, digits)
    if abs(rounded) >= 1e9 or abs(rounded) < 1e-4:
        return f"{rounded:.2e}"
    return f"{rounded:,.{max(digits, 0)}f}"


def percent(share: float) -> str:
    """Write a share as a percentage.

    >>> [percent(x) for x in (0.41, 0.002, 0.0, 1.0)]
    ['41 %', '0.2 %', '0 %', '100 %']
    """
    value = 100 * share
    return f"{value:.0f} %" if value == 0 or abs(value) >= 10 else f"{value:.2g} %"


def change(interval: Interval) -> str:
    """Write a difference with its interval, each with its sign.

    >>> change(Interval(0.24, 0.181, 0.3, confidence=0.95))
    '+0.24 [+0.18, +0.30]'
    """
    return f"{interval.value:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"


def p_value(value: float, *, after: str = "") -> str:
    """Write a probability of a test; one too small for its number of draws as what it is below.

    >>> p_value(1 / 8192), p_value(0.0019), p_value(1 / 8192, after="p"), p_value(0.3, after="p")
    ('< 0.0002', '0.0019', 'p < 0.0002', 'p = 0.3')
    """
    told = f"< {SMALLEST_P}" if value < SMALLEST_P else f"{value:.2g}"
    return f"{after} {'' if told[0] == '<' else '= '}{told}" if after else told


def factor(low: float, high: float) -> str:
    """Write how far apart two ends are.

    >>> factor(10, 450), factor(0, 3)
    ('a factor of 45', 'any factor')
    """
    return f"a factor of {number(high / low)}" if low > 0 and math.isfinite(high) else "any factor"


def multiple(one: Precedence) -> str:
    """Write when a clock goes off, as a multiple of another one's onset.

    >>> multiple(Precedence("tau_split", "tau_val", None, 2.64, None, None, n_runs=3, n_located=1))
    '2.64, one run'
    """
    if one.factor is not None:
        return power(one.factor)
    if one.of_one_run is not None:
        return f"{number(one.of_one_run)}, one run"
    return f"> {number(one.beyond)}" if one.beyond is not None else "?"


def span(interval: Interval) -> str:
    """Write a value with its interval; a one-sided bound as such.

    >>> span(Interval(1043.2, 820.0, 1319.0, confidence=0.9))
    '1,040 [820, 1,320]'
    >>> span(Interval(2900.0, 2900.0, float("inf"), confidence=0.9))
    '> 2,900'
    """
    if math.isinf(interval.high) and interval.low == interval.value:
        return f"> {number(interval.low)}"
    if interval.low <= 0 and interval.high == interval.value:
        return f"< {number(interval.high)}"
    return f"{number(interval.value)} [{number(interval.low)}, {number(interval.high)}]"


def onset_span(onset: Onset) -> str:
    """Write an onset with what bounds it, in steps.

    >>> from taumem.record import RunKey
    >>> onset_span(Onset(500, 450, 560, "no", "tau_val", RunKey(n_train=64, batch_size=16)))
    '500 [450, 560]'
    """
    return span(Interval(onset.step, onset.low, onset.high, onset.confidence))


def typical(onset: TypicalOnset) -> str:
    """Write the typical onset of a size, in steps: its mean with what bounds it, or the bound alone.

    >>> typical(TypicalOnset("tau_level[1]", 310.2, 256.0, 362.0, n_runs=3, n_reached=3, n_learned=3, n_bounded=0))
    '310 [256, 362]'
    >>> typical(TypicalOnset("tau_level[3]", None, 4096.0, math.inf, n_runs=3, n_reached=0, n_learned=0, n_bounded=3))
    '> 4,100'
    """
    if onset.step is not None:
        return f"{number(onset.step)} [{number(onset.low)}, {number(onset.high)}]"
    if onset.low > 0:
        return f"> {number(onset.low)}"
    return f"< {number(onset.high)}" if math.isfinite(onset.high) else "before the first look or not reached"


def state(onset: Onset) -> str:
    """Say how well an onset is known."""
    return _STATES[onset.censored]


def power(exponent: Interval) -> str:
    """Write an exponent of P with its interval.

    >>> power(Interval(0.912, 0.82, 1.013, confidence=0.9)), power(Interval(-0.001, -0.66, 0.67, confidence=0.9))
    ('0.91 [0.82, 1.01]', '0.00 [-0.66, 0.67]')
    """
    value, low, high = (f"{round(end, 2) + 0.0:.2f}" for end in (exponent.value, exponent.low, exponent.high))
    return f"{value} [{low}, {high}]"


def sentence(words: str) -> str:
    """Begin with a capital, and end with a full stop.

    >>> sentence("a sample is a copy if it is a training item"), sentence("It is.")
    ('A sample is a copy if it is a training item.', 'It is.')
    """
    first = words[:1] if words[1:2] == "-" else words[:1].upper()  # p-values keep their small letter
    return f"{first}{words[1:]}{'' if words.endswith(('.', '!', '?')) else '.'}"


def setting(value: float) -> str:
    """Write a value of a setting: whole where it is.

    >>> setting(1317636.0), setting(0.003)
    ('1,317,636', '0.003')
    """
    return f"{value:,.0f}" if value == round(value) else f"{value:.4g}"


def share(interval: Interval) -> str:
    """Write a share with its interval, as percentages.

    >>> share(Interval(0.002, 0.0, 0.0108, confidence=0.95))
    '0.2 % [0 %, 1.1 %]'
    """
    return f"{percent(interval.value)} [{percent(interval.low)}, {percent(interval.high)}]"


def plain_name(name: str) -> str:
    r"""Write the name of a file on one line, anywhere: what cannot be printed is spelled out.

    >>> print(plain_name("a\nb \u202e\udcff 'é'.png"))
    a\nb \u202e\udcff 'é'.png
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def plural(count: int, noun: str) -> str:
    """Count a noun.

    >>> plural(1, "run"), plural(3, "run")
    ('1 run', '3 runs')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def sizes_text(sizes: list[int]) -> str:
    """List whole numbers, such as sizes of training sets; 0 is one that nobody said.

    >>> sizes_text([16, 1024]), sizes_text([0])
    ('16, 1,024', 'unknown')
    """
    return ", ".join(f"{size:,}" if size else "unknown" for size in sizes)
