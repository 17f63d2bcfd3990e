"""A page as its readers have it: what a browser would load, read and run."""

import json
from html.parser import HTMLParser


class Page(HTMLParser):
    """Tags with their attributes, the words between them, and the figures' JSON."""

    def __init__(self, html: str):
        super().__init__()
        self.html = html
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.figures: list[dict] = []
        self._inside = ""
        self.feed(html)

    @property
    def sections(self) -> list[str | None]:
        return [attributes.get("id") for tag, attributes in self.tags if tag == "section"]

    @property
    def plots(self) -> set[str]:
        return {a["data-plot"].removeprefix("plot-") for tag, a in self.tags if tag == "script" and "data-plot" in a}

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        is_json = dict(attrs).get("type") == "application/json"
        self._inside = tag if not is_json else "json" if dict(attrs).get("class") == "figure" else "script"

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "json":
            self.figures.append(json.loads(data))
        elif self._inside not in ("script", "style"):
            self.words += data.replace("\u00a0", " ")  # a number and its sign of percent stay in one line
