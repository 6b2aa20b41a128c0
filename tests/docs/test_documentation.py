"""The documentation is true: its Python blocks run, its commands succeed, its links lead somewhere.

Each Markdown file is read from top to bottom in an empty folder. Every ```python block runs in one namespace;
every ```console block that begins with `$ clearprop` is given to a shell that finds the installed command:
each line after `$ ` (with its `\\` continuations) must succeed; the other lines are output, for the reader.
A comment just before a block changes that:

    <!-- not run: it downloads 1 GB -->      the block is skipped; the reason is required
    <!-- exits with 2 -->                    the last command of the block must end with this status
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = [path for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if path.exists()]
SECONDS_A_COMMAND = 300

FENCE = re.compile(r"(?P<indent> *)(?P<ticks>`{3,}|~{3,}) *(?P<language>[^`\s]*)[^`]*$")
COMMENT = re.compile(r"\s*<!--\s*(?P<text>.*?)\s*-->\s*$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
INSTEAD = {"py": "python", "python3": "python", "pycon": "python", "Python": "python"}
INSTEAD |= dict.fromkeys(("bash", "sh", "shell", "zsh", "shell-session"), "console")


class DocumentationError(AssertionError):
    """A block is wrong, or cannot be understood; the message begins with its file and line."""


@dataclass(frozen=True)
class Block:
    """A fenced block: where its first line of code stands, its language, its code, the comment before it."""

    path: Path
    line: int
    language: str
    code: str
    comment: str = ""

    def error(self, message: str) -> DocumentationError:
        return DocumentationError(f"{self.path}:{self.line}: {message}")

    @property
    def skipped(self) -> bool:
        word, _, reason = self.comment.partition(":")
        if word.strip() == "not run" and not reason.strip():
            raise self.error("a block that is not run needs a reason: <!-- not run: reason -->")
        return word.strip() == "not run"

    @property
    def status(self) -> int:
        """The exit status that the last command is to have."""
        match = re.fullmatch(r"exits with (\d+)", self.comment)
        return int(match[1]) if match else 0


def read_blocks(path: Path) -> Iterator[Block]:
    """Give the fenced blocks of a Markdown file, in order."""
    comment, opened, code, start = "", None, [], 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if opened is None:
            opened, start, code = FENCE.match(line), number + 1, []
            if opened is None and line.strip():
                found = COMMENT.match(line)
                comment = found["text"] if found else ""
        elif line.strip().startswith(opened["ticks"]) and not line.strip().strip(opened["ticks"][0]):
            yield Block(path, start, opened["language"], "\n".join(code) + "\n", comment)
            comment, opened = "", None
        else:
            code.append(line.removeprefix(opened["indent"]))
    if opened is not None:
        raise Block(path, start, "", "").error("this block is never closed")


def run_file(path: Path) -> int:
    """Run the blocks of one file in the current folder; return how many ran."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    ran = 0
    for block in read_blocks(path):
        begins_with_command = bool(re.match(r"\s*(\$ )?clearprop\b", block.code))
        if block.language == "python" and not block.skipped:
            run_python(block, namespace)
        elif block.language == "console" and begins_with_command and not block.skipped:
            run_console(block)
        elif INSTEAD.get(block.language) == "python" or (block.language in INSTEAD and begins_with_command):
            raise block.error(f"write ```{INSTEAD[block.language]} for ```{block.language}, so that it is run")
        else:
            continue
        ran += 1
    return ran


def run_python(block: Block, namespace: dict[str, Any]) -> None:
    """Run Python; tracebacks show the lines of the Markdown file."""
    source = "\n" * (block.line - 1) + block.code
    try:
        exec(compile(source, str(block.path), "exec", dont_inherit=True), namespace)
    except (Exception, SystemExit) as error:
        raise block.error(f"{type(error).__name__}: {error}") from error


def run_console(block: Block) -> None:
    """Run the commands of a console block one after another."""
    commands = re.findall(r"^\$ ((?:.*\\\n)*.*)$", block.code, re.MULTILINE)
    if not commands:
        raise block.error("a command begins with `$ `")
    folder = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": os.pathsep.join([folder, os.environ.get("PATH", "")])}
    for number, command in enumerate(commands, 1):
        done = subprocess.run(
            ["sh", "-c", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            timeout=SECONDS_A_COMMAND,
            check=False,
        )
        expected = block.status if number == len(commands) else 0
        if done.returncode != expected:
            raise block.error(
                f"`{command}` ended with status {done.returncode}, not {expected}\n{done.stdout}{done.stderr}"
            )


def broken_links(path: Path) -> list[str]:
    """Return the links of a file to files that do not exist; links to the web are not followed."""
    prose = re.sub(r"^ *(`{3,}).*?^ *\1", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = [match["target"].partition("#")[0] for match in LINK.finditer(prose)]
    local = [target for target in targets if target and "://" not in target and "mailto:" not in target]
    return [target for target in local if not (path.parent / target).exists()]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_blocks_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_file(path)


@pytest.mark.parametrize("path", [*FILES, *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md"))], ids=name_of)
def test_links_lead_somewhere(path):
    assert broken_links(path) == []


class TestTheTester:
    """What the runner must notice, each planted in a file of its own."""

    @pytest.fixture
    def run(self, tmp_path, monkeypatch):
        def run(text: str) -> int:
            path = tmp_path / "page.md"
            path.write_text(text, encoding="utf-8")
            return run_file(path)

        monkeypatch.chdir(tmp_path)
        return run

    def test_blocks_share_one_namespace_and_folder(self, run, tmp_path):
        first = "```python\nfrom pathlib import Path\nx = 1\n```\n\ntext\n\n"
        assert run(first + "- item\n\n  ```python\n  Path('written').write_text(str(x + 1))\n  ```\n") == 2
        assert (tmp_path / "written").read_text() == "2"

    def test_failing_python_fails_and_names_its_line(self, run):
        with pytest.raises(DocumentationError, match=r"page\.md:4: AssertionError: no") as caught:
            run("# Title\n\n```python\nassert 1 == 2, 'no'\n```\n")
        frames = caught.value.__cause__.__traceback__
        assert frames is not None
        assert frames.tb_next is not None
        assert frames.tb_next.tb_lineno == 4

    @pytest.mark.parametrize("code", ["1 +", "raise SystemExit(0)", "undefined", "import no_such_module"])
    def test_every_kind_of_failure_fails(self, run, code):
        with pytest.raises(DocumentationError, match=r"page\.md:2"):
            run(f"```python\n{code}\n```\n")

    def test_warning_fails(self, run):
        with pytest.raises(DocumentationError, match="UserWarning"):
            run("```python\nimport warnings\nwarnings.warn('old')\n```\n")

    def test_skip_needs_a_reason(self, run):
        assert run("<!-- not run: takes an hour -->\n```python\n1 / 0\n```\n") == 0
        for comment in ("<!-- not run -->", "<!-- not run: -->"):
            with pytest.raises(DocumentationError, match="needs a reason"):
                run(f"{comment}\n\n```python\n1 / 0\n```\n")

    def test_comment_holds_for_the_next_block_only(self, run):
        skipped = "<!-- not run: slow -->\n```python\n1 / 0\n```\n"
        with pytest.raises(DocumentationError, match=r"page\.md:6: ZeroDivisionError"):
            run(skipped + "```python\n1 / 0\n```\n")
        with pytest.raises(DocumentationError, match=r"page\.md:4: ZeroDivisionError"):
            run("<!-- not run: slow -->\nText.\n```python\n1 / 0\n```\n")

    def test_unclosed_block_fails(self, run):
        with pytest.raises(DocumentationError, match="never closed"):
            run("```python\n1\n")

    def test_longer_fence_holds_shorter_ones(self, run):
        assert run("````markdown\n```python\n1 / 0\n```\n````\n") == 0

    @pytest.mark.parametrize("language", ["py", "python3", "pycon", "bash", "sh"])
    def test_a_block_does_not_escape_by_its_name(self, run, language):
        with pytest.raises(DocumentationError, match="so that it is run"):
            run(f"```{language}\nclearprop train iris\n```\n")

    def test_other_blocks_are_left_alone(self, run):
        assert run("```console\n$ exit 1\n```\n```text\n1 / 0\n```\n```\n1 / 0\n```\n") == 0

    def test_command_must_begin_with_a_dollar(self, run):
        with pytest.raises(DocumentationError, match="begins with"):
            run("```console\nclearprop train iris\n```\n")


class TestConsole:
    """Commands, with a stand-in for the installed one."""

    @pytest.fixture
    def run(self, tmp_path, monkeypatch):
        stand_in = tmp_path / "bin" / "clearprop"
        stand_in.parent.mkdir()
        stand_in.write_text('#!/bin/sh\necho "$@" >> seen\ntest "$1" != fail || exit 2\n')
        stand_in.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(stand_in.parent / "python"))
        monkeypatch.chdir(tmp_path)

        def run(text: str, before: str = "") -> int:
            path = tmp_path / "page.md"
            path.write_text(f"{before}\n```console\n{text}\n```\n", encoding="utf-8")
            return run_file(path)

        return run

    def test_every_command_runs_and_output_is_not_a_command(self, run, tmp_path):
        assert run("$ clearprop train iris \\\n    --epochs 2\nepoch 1\n$ clearprop report\n$ ls seen") == 1
        assert (tmp_path / "seen").read_text() == "train iris --epochs 2\nreport\n"

    @pytest.mark.parametrize("text", ["$ clearprop fail", "$ clearprop fail\n$ clearprop a", "$ clearprop a | false"])
    def test_failing_command_fails(self, run, text):
        with pytest.raises(DocumentationError, match=r"page\.md:3: .* ended with status"):
            run(text)

    def test_expected_status(self, run):
        assert run("$ clearprop fail", "<!-- exits with 2 -->") == 1
        with pytest.raises(DocumentationError, match="status 0, not 2"):
            run("$ clearprop train", "<!-- exits with 2 -->")

    def test_skip(self, run):
        assert run("$ clearprop fail", "<!-- not run: needs a web camera -->") == 0


def test_broken_links_are_found(tmp_path):
    (tmp_path / "there.md").touch()
    page = tmp_path / "page.md"
    page.write_text("[a](there.md#part) [b](gone.md) [c](https://example.org)\n```text\n[d](code.md)\n```\n")
    assert broken_links(page) == ["gone.md"]
