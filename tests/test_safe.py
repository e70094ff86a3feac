from __future__ import annotations

import csv
import io
import re
import shlex
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt

from raysweep import safe
from tests.hostile import ERROR, NAMES

TEXTS = (*NAMES, ERROR, "ordinary name", "日本　語", "é", "\udcff.jpg", "\x00")
STORES = ("results", "my results", "it's", 's3://bucket/a "b"', "$(reboot)", "a;b&c|d", "~/x", "`x`", "a\\b", "*")


@pytest.mark.parametrize("text", TEXTS)
def test_a_terminal_is_given_one_line_that_steers_nothing(text: str) -> None:
    shown = safe.printable(text)
    assert re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown) is None
    assert (shown == text) == text.replace("\u3000", "").isprintable(), "what can be seen stays as it is"
    assert safe.printable(shown) == shown


def test_the_later_lines_of_a_message_cannot_pass_for_messages() -> None:
    assert safe.note_lines("cannot read a\nerror: forged\r\x1b[1A") == "cannot read a\n    error: forged\\r\\x1b[1A"


class Tags(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("text", TEXTS)
def test_html_and_markdown_show_the_text_and_nothing_else(text: str) -> None:
    shown, render = safe.printable(text), MarkdownIt("commonmark").enable(["table", "strikethrough"]).render
    assert (Tags(safe.html_text(text)).tags, Tags(safe.html_text(text)).text) == ([], shown)
    found = Tags(render(f"name: {safe.markdown_text(text)}"))
    assert (found.tags, found.text) == (["p"], f"name: {shown}\n")
    cells = Tags(render(f"| a | b |\n| --- | --- |\n| {safe.markdown_text(text)} | 1 |"))
    assert cells.tags.count("td") == 2
    assert shown.strip() in cells.text
    code = Tags(render(f"see {safe.markdown_code(text)}"))
    assert (code.tags, code.text) == (["p", "code"], f"see {shown}\n")


@pytest.mark.parametrize("text", TEXTS)
def test_latex_has_no_command_of_the_texts_own(text: str) -> None:
    shown = safe.latex_text(text)
    ours = r"\\[&%$#_{}]|\\text\w+\{\}|\\?\$-?\$|^\{\}|--"
    assert not set(re.sub(ours, "", shown)) & set("&%$#_{}\\~^<>|")
    assert not shown.startswith(("[", "*")), "it would be an argument of the line break before it"


@pytest.mark.parametrize("text", TEXTS)
def test_a_spreadsheet_computes_no_cell(text: str) -> None:
    rows = list(csv.reader(io.StringIO(safe.csv_table(["name", "gain"], [[text, -1.5]]))))
    assert rows[0] == ["name", "gain"]
    ((name, gain),) = rows[1:]
    assert not name.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert name.removeprefix("'") == safe.printable(text).removeprefix("'")
    assert gain == "-1.5", "numbers stay numbers"


@pytest.mark.parametrize("store", STORES)
def test_a_printed_command_is_read_as_it_was_meant(store: str) -> None:
    @click.command()
    @click.argument("study")
    @click.option("--store")
    def command(study: str, store: str) -> None:
        click.echo(repr((study, store)))

    words = shlex.split(safe.command("raysweep", store, "--store", store))
    assert words == ["raysweep", store, "--store", store]
    assert CliRunner().invoke(command, words[1:]).output == f"{(store, store)!r}\n"


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_bash_reads_names_that_no_terminal_can_show() -> None:
    names = [text for text in TEXTS if "\0" not in text]
    line = safe.command("printf", r"%s\0", *names)
    assert line == safe.printable(line)
    printed = subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout
    assert printed.decode(errors="surrogateescape").split("\0")[:-1] == names


def test_everything_is_printed_in_one_place() -> None:
    folder = Path(safe.__file__).parent
    printing = re.compile(r"click\.s?echo\(|console\.print\(|\bConsole\(")
    files = [path for part in ("verbs", "sweeps", "terminal") for path in (folder / part).glob("*.py")]
    found = {path.name for path in files if printing.search(path.read_text())}
    assert found == {"notes.py", "progress.py"}, "print with raysweep.terminal.notes"
