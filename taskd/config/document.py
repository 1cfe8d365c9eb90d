"""YAML text as nodes that know where they stand.

Built from the parser's events rather than by PyYAML's constructors, for three reasons: a line for
every fault, no tags and so no objects, and bounds that hold before anything is built: an alias
costs as many values as it stands for, so a file of nested aliases ends at the limit.
"""

import re
from dataclasses import dataclass, field
from typing import NoReturn

import yaml

from taskd.config.layer import Position
from taskd.errors import ConfigurationInvalid, Fault

MAX_VALUES = 10_000
MAX_DEPTH = 30
TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A single word or text; `plain` if it was written without quotes."""

    text: str
    plain: bool
    at: Position
    size: int = 1
    depth: int = 0


@dataclass(frozen=True, slots=True)
class ListNode:
    """A list."""

    items: tuple["Node", ...]
    at: Position
    size: int
    depth: int


@dataclass(frozen=True, slots=True)
class MappingNode:
    """Keys and values in the order of the file, doubles included."""

    entries: tuple[tuple["Node", "Node"], ...]
    at: Position
    size: int
    depth: int


Node = ScalarNode | ListNode | MappingNode
"""Any of the three."""


def read_document(text: str, source: str) -> Node | None:
    """Parse the one document of the text; None if there is nothing in it but comments.

    Raises ConfigurationInvalid with a single fault, since nothing after the first place where
    the text is no YAML can be trusted.
    """
    _refuse_control_characters(text, source)
    builder = _Builder(source)
    try:
        for event in yaml.parse(text, Loader=_PARSER):
            builder.add(event)
    except yaml.MarkedYAMLError as error:
        raise _unreadable(source, *_explained(error, text)) from None
    # The pure Python parser lets these two out of an escape such as "\UFFFFFFFF".
    except (yaml.YAMLError, OverflowError, ValueError) as error:
        raise _unreadable(source, None, f"is not YAML: {_first_line(error)}") from None
    return builder.root


def _unreadable(source: str, line: int | None, message: str) -> ConfigurationInvalid:
    return ConfigurationInvalid((Fault(source, line, "", message),))


def _refuse_control_characters(text: str, source: str) -> None:
    found = _CONTROL.search(text)
    if found is not None:
        name = "a NUL" if found[0] == "\0" else f"the control character {found[0]!r}"
        line = text.count("\n", 0, found.start()) + 1
        raise _unreadable(source, line, f"holds {name}: take it out")


def _explained(error: yaml.MarkedYAMLError, text: str) -> tuple[int | None, str]:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or "it ends too early"
    if "nesting depth" in problem:  # libyaml 0.2.6's own limit, met while it reads ahead of us
        return mark.line + 1 if mark else None, TOO_DEEP
    if mark is None:
        return None, f"is not YAML: {problem}"
    lines = text.splitlines()
    if mark.line < len(lines) and lines[mark.line][mark.column : mark.column + 1] == "\t":
        return mark.line + 1, "is indented with a tab: YAML takes spaces only"
    if error.context == "while scanning an alias":
        return (
            mark.line + 1,
            "begins a text with *, which YAML takes for an alias: put it in quotes",
        )
    context = f" {error.context}" if error.context else ""
    return min(mark.line + 1, max(len(lines), 1)), f"is not YAML: {problem}{context}"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been reached."""

    mapping: bool
    at: Position
    anchor: str | None
    children: list[Node] = field(default_factory=list)

    def close(self) -> Node:
        size = 1 + sum(child.size for child in self.children)
        depth = 1 + max((child.depth for child in self.children), default=0)
        if not self.mapping:
            return ListNode(tuple(self.children), self.at, size, depth)
        pairs = zip(self.children[::2], self.children[1::2], strict=True)
        return MappingNode(tuple(pairs), self.at, size, depth)


class _Builder:
    """Puts the nodes together as the parser's events come in."""

    def __init__(self, source: str) -> None:
        self.root: Node | None = None
        self._source = source
        self._documents = 0
        self._values = 0
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}

    def add(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._start_document(event)
            case yaml.ScalarEvent():
                self._refuse_tag(event)
                node = ScalarNode(event.value, bool(event.implicit[0]), _position(event))
                self._place(node, event.anchor, node.at)
            case yaml.AliasEvent():
                self._place(self._anchored(event), None, _position(event))
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._start(event)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                ended = self._open.pop()
                self._place(ended.close(), ended.anchor, ended.at)
            case _:
                pass

    def _start_document(self, event: yaml.Event) -> None:
        self._documents += 1
        if self._documents > 1:
            self._refuse(event, "begins a second document: one file holds one configuration")

    def _start(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        self._refuse_tag(event)
        self._bound_depth(1, _position(event))
        mapping = isinstance(event, yaml.MappingStartEvent)
        self._open.append(_Open(mapping, _position(event), event.anchor))

    def _place(self, node: Node, anchor: str | None, at: Position) -> None:
        self._values += 1
        if max(self._values, node.size) > MAX_VALUES:
            message = f"is too large: more than {MAX_VALUES} values, aliases counted in full"
            raise _unreadable(self._source, at.line, message)
        self._bound_depth(node.depth, at)
        if anchor is not None:
            self._anchors[anchor] = node
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = None if _is_nothing(node) else node

    def _bound_depth(self, more: int, at: Position) -> None:
        if len(self._open) + more > MAX_DEPTH:
            raise _unreadable(self._source, at.line, TOO_DEEP)

    def _anchored(self, event: yaml.AliasEvent) -> Node:
        node = self._anchors.get(event.anchor or "")
        if node is None:
            self._refuse(event, f"*{event.anchor} names no anchor that ends before it")
        return node

    def _refuse_tag(self, event: yaml.NodeEvent) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!":
            self._refuse(event, f"has the tag {tag!r}: tags are not allowed, quote text instead")

    def _refuse(self, event: yaml.Event, message: str) -> NoReturn:
        raise _unreadable(self._source, _position(event).line, message)


def _is_nothing(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.plain and not node.text


def _position(event: yaml.Event) -> Position:
    mark = event.start_mark
    return Position(0, 0) if mark is None else Position(mark.line + 1, mark.column + 1)
