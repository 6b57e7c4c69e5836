"""The program that the cells of a Rust notebook make, and the way back from its lines to theirs."""

import re
from collections.abc import Iterator
from typing import NamedTuple

TOKEN = re.compile(
    r"""
    (?P<space> \s+ | //[^\n]* )
    | (?P<comment> /\* )
    | [bc]?r(?P<hashes>\#*)".*?"(?P=hashes)
    | [bc]?"(?:\\.|[^"\\])*"
    | b?'(?:\\u\{[^}]*\}|\\x..|\\.|[^\\'])'
    | '?\w+
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
COMMENT_EDGE = re.compile(r"/\*|\*/")
NO_EXPRESSION = re.compile(
    r"""
    [.?\#=] | const\b(?!\s*\{)
    | (?:else|enum|extern|fn|for|impl|let|macro_rules|mod|pub|static|struct|trait|type|use|while)\b
    """,
    re.VERBOSE,
)
"""How a part of a cell begins that cannot be an expression with a value; of the rest the compiler decides."""


def tokens(code: str) -> Iterator[tuple[int, str]]:
    """Yield where each token begins, and its text, without space and comments."""
    position = 0
    while position < len(code):
        found = TOKEN.match(code, position)
        if found["comment"]:
            position = comment_end(code, position)
            continue
        if not found["space"]:
            yield position, found[0]
        position = found.end()


def comment_end(code: str, position: int) -> int:
    """The end of a comment that may hold others."""
    depth = 0
    for edge in COMMENT_EDGE.finditer(code, position):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(code)


def tails(code: str) -> list[int]:
    """Where the expression at a cell's end may start, the shortest first: after the last `;`, or a `}` behind it."""
    starts, depth, start = [], 0, 0
    for position, token in tokens(code):
        if start is not None and not NO_EXPRESSION.match(code, position):
            starts.append(start)
        start = None
        depth += (token in ("(", "[", "{")) - (token in (")", "]", "}"))
        if depth == 0 and token in (";", "}"):
            start = position + 1
            if token == ";":
                starts.clear()
    return starts[::-1]


def balanced(code: str) -> bool:
    """Whether brackets are closed as they were opened, without which a cell would not end where it does."""
    closers = []
    for _, token in tokens(code):
        if token in ("(", "[", "{"):
            closers.append({"(": ")", "[": "]", "{": "}"}[token])
        elif token in (")", "]", "}") and (not closers or closers.pop() != token):
            return False
    return not closers


class Cell(NamedTuple):
    """A cell: its number in Jupyter, its text, and where the expression at its end starts, if there is one."""

    number: int
    code: str
    tail: int | None = None

    def statements(self, newest: bool) -> str:
        """Its Rust, from the line before it on.

        The expression is borrowed: a value that moved would be gone for later cells.
        """
        if self.tail is None:
            return f"\n{self.code}\n;"
        arm = "_ => {}"
        if newest:
            arm = (
                "__value => { use crate::__notebook::{Debugged as _, Opaque as _}; "
                'crate::__notebook::report("value", &(&crate::__notebook::Value(__value)).text()) }'
            )
        # Before the end of a line where one follows, so that lines and columns stay what they are.
        text = f"\n{self.code}"
        start = self.tail + 1 if self.tail else 0
        return f"{text[:start]} match &({text[start:]}\n) {{ {arm} }}"


class Program:
    """The program of some cells, of which the last one shows what it prints."""

    def __init__(self, cells: list[Cell], support: str) -> None:
        self.starts: list[tuple[int, Cell]] = []
        lines = [
            f'#[path = "{support}"] mod __notebook;',
            "fn main() -> ::std::result::Result<(), ::std::boxed::Box<dyn ::std::error::Error>> {",
            "crate::__notebook::hide();",
        ]
        for cell in cells:
            newest = cell is cells[-1]
            self.starts.append((len(lines) + 1, cell))
            opening = "{ crate::__notebook::show();" if newest else "{"
            lines += (opening + cell.statements(newest)).split("\n")
        lines.append('crate::__notebook::report("ended", "");')
        lines += ["}" * len(cells), "::std::result::Result::Ok(())", "}"]
        self.text = "\n".join(lines)
        if not balanced(cells[-1].code):
            # Alone, for rustc to say what is wrong with it: among the others it would not be a block.
            self.text, self.starts = cells[-1].code, [(0, cells[-1])]

    def located(self, text: str) -> str:
        """What the program says of itself, with the places in cells."""
        return re.sub(r"\bcells\.rs:(\d+):", lambda found: "cell {}:{}:".format(*self.place(found[1])), text)

    def explained(self, message: str) -> str:
        """What rustc says of the program, with the places in cells, and the lines' numbers at the margin as well."""
        return re.sub(
            r"^( *)(\d+)(?= *(?: [|+~-]|$))",
            lambda found: found[1] + str(self.place(found[2])[1]).ljust(len(found[2])),
            self.located(message),
            flags=re.MULTILINE,
        )

    def place(self, line: str) -> tuple[int, int]:
        """The cell's number and the line in it."""
        number, place = int(line), (self.starts[0][1].number, 1)
        for start, cell in self.starts:
            if number > start:
                place = (cell.number, number - start)
        return place
