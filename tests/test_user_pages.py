"""Every page of docs/users runs as it stands, from an empty folder, and ends with the verdict that it shows.

A page's hidden `<!-- setup ... -->` is Python that makes tiny data. Then its blocks count in order: one after
`<!-- file: NAME -->` is written to that file; `sh` is run, a command at a time; `text` is part of what the last command
printed.
"""

import re
import runpy
import shlex
from pathlib import Path

import pytest

from taumem.cli import main

PAGES = Path(__file__).parents[1] / "docs" / "users"
NAMES = sorted(page.stem for page in PAGES.glob("*.md"))
TRAINED = {"checkpoints", "research"}
"""Pages whose numbers come from a training, and differ a little between machines; those of the others are exact."""

SETUP = re.compile(r"<!-- setup\n(.*?)-->", re.DOTALL)
BLOCK = re.compile(r"(?ms)(?:<!-- file: (?P<file>\S+) -->\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$")
EXIT = re.compile(r"# exit code (\d)")


def commands(block: str) -> list[tuple[list[str], int]]:
    """Each command of a block that is to be run, in words, and the exit code that the page gives it."""
    lines = block.replace("\\\n", " ").splitlines()
    found = ((shlex.split(line, comments=True), EXIT.search(line)) for line in lines)
    return [(words, int(code[1]) if code else 0) for words, code in found if words and words[:2] != ["pip", "install"]]


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code of a command, and what it prints."""
    assert words[0] == "taumem", f"the test runs taumem and nothing else: {words}"
    with pytest.raises(SystemExit) as leaving:
        main(words[1:])
    return int(leaving.value.code or 0), "".join(capsys.readouterr())


def told(text: str, page: str) -> str:
    """What a text says, however its lines are broken; without numbers where these come from a training."""
    text = " ".join(text.split())
    return re.sub(r"\d[\d.,]*(e[-+]?\d+)?", "#", text) if page in TRAINED else text


@pytest.mark.slow
@pytest.mark.filterwarnings("default::taumem.errors.TaumemWarning")  # a command prints them
@pytest.mark.parametrize("name", NAMES)
def test_a_page_runs_as_it_stands_and_ends_with_the_verdict_that_it_shows(name, tmp_path, monkeypatch, capsys):
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (tmp_path / "setup.py").write_text("\n".join(SETUP.findall(page)), encoding="utf-8")
    runpy.run_path(str(tmp_path / "setup.py"))

    printed = ""
    for block in BLOCK.finditer(page):
        if block["file"]:
            (folder / block["file"]).write_text(block["body"], encoding="utf-8")
        elif block["kind"] == "sh":
            for words, expected in commands(block["body"]):
                code, printed = run(words, capsys)
                assert code == expected, f"{shlex.join(words)}\n{printed}"
        elif block["kind"] == "text":
            for line in block["body"].splitlines():
                assert told(line, name) in told(printed, name)
    assert BLOCK.findall(page)[-1][1] == "text", "the page does not show how its last command ends"


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_one_screen_and_links_to_what_is_there(name):
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert 30 <= len(SETUP.sub("", text).strip().splitlines()) <= 66
    for target in re.findall(r"\]\(([^)#:]+)", text):
        assert (PAGES / target).exists(), target
