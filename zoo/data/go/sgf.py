"""SGF, the Smart Game Format (FF[4], https://www.red-bean.com/sgf/): trees of nodes, in and out.

Reading and writing keep a stack of their own, so that a tree may be as deep as memory allows. What properties mean to a
game stands in `zoo.data.go.games`.
"""

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from zoo.data.errors import DataError, printable

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[A-Za-z]+")
_VALUE = re.compile(r"\[((?:[^\\\]]|\\.)*)\]", re.DOTALL)
_CHARSET = re.compile(rb"(?<![A-Z])CA\s*\[\s*([^\]]*?)\s*\]")
# A backslash before the end of a line takes both away; before anything else, itself alone.
_ESCAPE = re.compile(r"\\(\r\n|\n\r|\n|\r|.)", re.DOTALL)
_LINE_ENDS = ("\r\n", "\n\r", "\n", "\r")


class SgfError(DataError):
    """A file that is no SGF; the message says what was found where."""


@dataclass(eq=False)
class Node:
    """A node of a game tree.

    Attributes:
        properties: Name to values, such as {"B": ["dd"]}; values without escapes.
        children: What may follow; the first is the main line.
    """

    properties: dict[str, list[str]] = field(default_factory=dict)
    children: list["Node"] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        """The first value of a property, or None."""
        values = self.properties.get(name)
        return values[0] if values else None

    def main_line(self) -> Iterator["Node"]:
        """This node, its first child, that one's first child, and so on."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.children[0] if node.children else None

    def lines(self) -> Iterator[list["Node"]]:
        """Every way from this node to an end, the main line first."""
        waiting: list[tuple[Node, int]] = [(self, 0)]
        way: list[Node] = []
        while waiting:
            node, depth = waiting.pop()
            del way[depth:]
            way.append(node)
            if node.children:
                waiting.extend((child, depth + 1) for child in reversed(node.children))
            else:
                yield list(way)


def decode(content: bytes) -> str:
    """The text of a file, by its byte-order mark or its property CA; without these UTF-8, else ISO-8859-1.

    Raises:
        SgfError: CA names no encoding, or one that the file is not in.
    """
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if content.startswith(mark):
            return _decoded(content, name)
    found = _CHARSET.search(content)
    if found and found[1]:
        name = found[1].decode("ascii", "replace")
        try:
            codecs.lookup(name)
        except LookupError:
            raise SgfError(f"CA names no encoding that is known. Received: CA[{printable(name)}]") from None
        return _decoded(content, name)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("iso-8859-1")


def _decoded(content: bytes, name: str) -> str:
    try:
        return content.decode(name)
    except UnicodeDecodeError as error:
        raise SgfError(f"The file is not in {name}, as it says: byte {error.start} is none of it.") from None


def parse(content: str | bytes) -> list[Node]:
    """The roots of all game trees of a file.

    Args:
        content: The text, or the bytes of a file.

    Returns:
        One node for each game, at least one.

    Raises:
        SgfError: It is no SGF, with the place.

    Example:
        >>> from zoo.data.go import sgf
        >>> (root,) = sgf.parse("(;SZ[9];B[ee](;W[cc])(;W[gg]))")
        >>> [[node.properties for node in line[1:]] for line in root.lines()]
        [[{'B': ['ee']}, {'W': ['cc']}], [{'B': ['ee']}, {'W': ['gg']}]]
    """
    text = decode(content) if isinstance(content, bytes) else content
    begin = text.find("(")
    if begin < 0:
        raise SgfError("There is no game: an SGF file begins with '(;'.")
    roots: list[Node] = []
    parents: list[Node | None] = []  # where each open parenthesis began
    node: Node | None = None
    at, size = begin, len(text)
    while True:
        space = _SPACE.match(text, at)
        assert space is not None
        at = space.end()
        if at >= size:
            break
        character = text[at]
        if character == "(":
            if parents and node is parents[-1]:
                raise SgfError(f"A variation without a node before it, {_place(text, at)}.")
            parents.append(node)
            at += 1
        elif character == ")":
            if not parents:
                raise SgfError(f"A parenthesis too many, {_place(text, at)}.")
            if node is parents[-1]:
                raise SgfError(f"A variation without a node, {_place(text, at)}.")
            node = parents.pop()
            at += 1
        elif character == ";" and parents:
            new = Node()
            (roots if node is None else node.children).append(new)
            node = new
            at += 1
        elif (name := _NAME.match(text, at)) and parents and node is not None and node is not parents[-1]:
            at = _read_property(text, name, node)
        elif not parents:
            # What stands between games, as in collections that were glued together.
            following = text.find("(", at)
            if text[at:].strip("\x00\x1a\ufeff \r\n\t") and following < 0:
                raise SgfError(f"Text behind the last game, {_place(text, at)}.")
            at = size if following < 0 else following
        else:
            raise SgfError(
                f"Expected a node, a property or a parenthesis, {_place(text, at)}. Received: {_quoted(text, at)}"
            )
    if parents:
        raise SgfError(f"The file ends within a game: {len(parents)} parentheses are not closed.")
    return roots


def _read_property(text: str, name: re.Match[str], node: Node) -> int:
    """Read a property's values into the node; returns where they end."""
    # Lower-case letters are of older forms of the format, where AddBlack stood for AB.
    key = "".join(filter(str.isupper, name[0])) or name[0].upper()
    values = node.properties.setdefault(key, [])
    at, before = name.end(), len(values)
    while True:
        space = _SPACE.match(text, at)
        assert space is not None
        value = _VALUE.match(text, space.end())
        if value is None:
            break
        values.append(_ESCAPE.sub(_unescaped, value[1]) if "\\" in value[1] else value[1])
        at = value.end()
    if len(values) == before:
        what = "its value has no end" if text[space.end() : space.end() + 1] == "[" else "it has no value"
        raise SgfError(f"Property {key}: {what}, {_place(text, name.start())}.")
    return at


def _unescaped(found: re.Match[str]) -> str:
    return "" if found[1] in _LINE_ENDS else found[1]


def _place(text: str, at: int) -> str:
    line = text.count("\n", 0, at) + 1
    return f"line {line}, character {at - (text.rfind(chr(10), 0, at) + 1) + 1}"


def _quoted(text: str, at: int) -> str:
    return repr(printable(text[at : at + 12]))


def serialise(roots: Node | Sequence[Node]) -> str:
    """The text of one or several game trees; nodes stand on lines of their own, the first after a parenthesis."""
    pieces: list[str] = []
    waiting: list[Node | str] = []
    for root in [roots] if isinstance(roots, Node) else reversed(roots):
        waiting += [")\n", root, "("]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            pieces.append(item)
            continue
        pieces.append(";" + "".join(name + _values(values) for name, values in item.properties.items()))
        if len(item.children) == 1:
            waiting.append(item.children[0])
        else:
            for child in reversed(item.children):
                waiting += [")", child, "\n("]
    return "".join(pieces)


def _values(values: Iterable[str]) -> str:
    return "".join("[" + value.replace("\\", "\\\\").replace("]", "\\]") + "]" for value in values)
