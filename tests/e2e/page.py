"""The recipes of a page: what stands in its code blocks, so that page and test cannot differ.

In Markdown a comment names the block below it:

    <!-- recipe: tls/nginx -->
    ```nginx
    ...
    ```

In the man page a comment line, `.\\" recipe: man/irc`, names the block between the `.Bd` and the `.Ed`
below it. Every block must have a name, but for Markdown's `text` blocks, which show and do not tell;
those may have one.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """A named block of a page."""

    name: str
    text: str
    place: str  # FILE:LINE, for messages

    def path(self):
        """Where a configuration file is to be: its first line is a comment that says so."""
        first = self.text.splitlines()[0]
        match = re.fullmatch(r"# (/\S+)", first)
        if not match:
            raise ValueError(f"{self.place}: the first line, {first!r}, is not '# /PATH'")
        return match[1]


class PageError(Exception):
    """A page whose blocks cannot be told apart."""


def blocks(path):
    """The named blocks of a page, in order."""
    reader = man_blocks if path.suffix == ".8" else markdown_blocks
    with open(path, encoding="utf-8") as file:
        return list(reader(path.name, file.read().splitlines()))


def markdown_blocks(page, lines):
    name = None
    numbered = iter(enumerate(lines, 1))
    for number, line in numbered:
        marker = re.fullmatch(r"<!-- recipe: (\S+) -->", line)
        fence = re.fullmatch(r"(`{3,}|~{3,})(\w*)", line)
        if marker:
            if name:
                raise PageError(f"{page}:{number}: the recipe {name} has no block")
            name = marker[1]
        elif fence:
            place = f"{page}:{number}"
            text = "".join(f"{inner}\n" for inner in until(fence[1], numbered, place))
            if name:
                yield Block(name, text, place)
            elif fence[2] != "text":
                raise PageError(f"{place}: a block without the comment that names its recipe")
            name = None
        elif name and line:
            raise PageError(f"{page}:{number}: the recipe {name} has no block")
        elif line.lstrip().startswith(("```", "~~~")):
            raise PageError(f"{page}:{number}: a fence that is not understood")


def man_blocks(page, lines):
    name = None
    numbered = iter(enumerate(lines, 1))
    for number, line in numbered:
        marker = re.fullmatch(r'\.\\" recipe: (\S+)', line)
        if marker:
            name = marker[1]
        elif line.startswith(".Bd"):
            place = f"{page}:{number}"
            if not name:
                raise PageError(f"{place}: a block without the comment that names its recipe")
            text = "".join(f"{plain(inner)}\n" for inner in until(".Ed", numbered, place))
            yield Block(name, text, place)
            name = None


def plain(line):
    """A line of a literal display as mandoc shows it: only these escapes are used."""
    for escape, text in ((r"\e", "\\"), (r"\&", ""), (r"\-", "-"), (r"\(aq", "'")):
        line = line.replace(escape, text)
    return line


def until(end, numbered, place):
    for _, line in numbered:
        if line == end:
            return
        yield line
    raise PageError(f"{place}: a block without an end")
