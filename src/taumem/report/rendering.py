"""What every page is rendered with: templates that escape all that comes from outside, and numbers in words."""

import re
from functools import cache

import jinja2
from markupsafe import Markup, escape

from taumem.analysis import wording

__all__ = ["render"]


def render(template: str, **shown: object) -> str:
    """Fill in one of the templates."""
    return _environment().get_template(template).render(**shown)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("taumem.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "name": wording.plain_name,
        "number": wording.number,
        "onset_span": wording.onset_span,
        "p_value": wording.p_value,
        "percent": lambda share: _unbroken(wording.percent(share)),
        "plural": wording.plural,
        "power": wording.power,
        "raised": _raised,
        "sentence": wording.sentence,
        "share": lambda interval: _unbroken(wording.share(interval)),
        "sizes": wording.sizes_text,
        "span": wording.span,
        "state": wording.state,
        "typical": wording.typical,
        "whole": "{:,}".format,
    }
    return environment


def _raised(text: str) -> Markup:
    """Escape a text, and set exponents such as the one of ``P^0.97`` above the line."""
    return Markup(re.sub(r"\^(-?(?:\d+(?:\.\d+)?|k\b))", r"<sup>\1</sup>", str(escape(_unbroken(text)))))


def _unbroken(text: str) -> str:
    """Keep a number and its sign of percent in one line."""
    return text.replace(" %", "\u00a0%")
