"""What the site has besides docs/*.md: the README and its kin, the API reference, and links that lead somewhere."""

import ast
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
FROM_ROOT = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "RELEASING.md": "releasing.md",
    "CHANGELOG.md": "changelog.md",
}
PACKAGES = sorted({f.parent.name for f in ROOT.glob("src/taumem/*/__init__.py")} - {"cli"} | {"errors"})


def on_config(config: MkDocsConfig) -> None:
    """Give the reference its place in the navigation."""
    for entry in config.nav or []:
        if "API reference" in entry:
            entry["API reference"] += [{f"taumem.{name}": f"reference/{name}.md"} for name in PACKAGES]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages that stand elsewhere or nowhere."""
    pages = {page: (ROOT / file).read_text(encoding="utf-8") for file, page in FROM_ROOT.items()}
    pages |= {f"reference/{name}.md": f"# taumem.{name}\n\n::: taumem.{name}\n" for name in PACKAGES}
    pages["reference/index.md"] = public_names()
    for page, content in pages.items():
        files.append(File.generated(config, page, content=content))


def public_names() -> str:
    """The page of the names that ``import taumem`` offers, each with a link to where it is described."""
    stub = ast.parse((ROOT / "src/taumem/__init__.pyi").read_text(encoding="utf-8"))
    names: dict[str, list[str]] = {}
    for node in stub.body:
        if isinstance(node, ast.ImportFrom):
            names.setdefault(str(node.module), []).extend(alias.name for alias in node.names)
    rows = [f"| [taumem.{m}]({m}.md) | {', '.join(f'[`{n}`][taumem.{m}.{n}]' for n in names[m])} |" for m in names]
    head = "# Public names\n\nAll of these are attributes of `taumem`, and are imported when they are first used.\n\n"
    return head + "| home | names |\n|---|---|\n" + "\n".join(rows) + "\n"


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead links, and pages named in backticks, to their place on the site; a link to what has none becomes text."""
    folder = "" if page.file.src_uri in FROM_ROOT.values() else "docs"

    def linked(match: re.Match[str]) -> str:
        file = posixpath.normpath(posixpath.join(folder, match["file"]))
        place = file.removeprefix("docs/") if file.startswith("docs/") else FROM_ROOT.get(file)
        return f"[{match['text']}]({place}{match['anchor']})" if place else match["text"]

    def named(match: re.Match[str]) -> str:
        place = FROM_ROOT.get(match[1], match[1].removeprefix("docs/"))
        return f"[{match[0]}]({place})"

    pieces = re.split(r"(^```.*?^```)", markdown, flags=re.DOTALL | re.MULTILINE)  # what is odd is code
    for i in range(0, len(pieces), 2):
        pieces[i] = re.sub(r"\[(?P<text>[^]]*)]\((?P<file>[^)\s:#]+)(?P<anchor>[^)\s:]*)\)", linked, pieces[i])
        pieces[i] = re.sub(rf"(?<!\[)`(docs/\w+\.md|{'|'.join(FROM_ROOT)})`", named, pieces[i])
    return "".join(pieces)


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Make links of the docstrings' references, such as :func:`taumem.data.load_text` and :class:`LossGap`."""

    def linked(match: re.Match[str]) -> str:
        name = match[1] if "." in match[1] else f"{page.title}.{match[1]}"
        return f'<autoref optional identifier="{name}"><code>{match[1].rpartition(".")[2]}</code></autoref>'

    return re.sub(r":(?:func|class|meth|attr|mod):<code>~?([\w.]+)</code>", linked, html)
