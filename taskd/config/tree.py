"""The file's nodes as plain values, with the place of each.

Here duplicate keys are refused, merge keys (`<<`) are followed, variables are put in and words get
their meaning. A value with a fault is left out of the result, so that it is not reported twice.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from taskd.config.document import ListNode, MappingNode, Node, ScalarNode
from taskd.config.layer import LEFT_OUT, Path, Position, dotted
from taskd.config.scalars import read_word
from taskd.config.substitution import holds_reference, substitute
from taskd.errors import Fault

IGNORED_PREFIX = "x-"
"""What the top-level keys begin with that are a home for anchors and nothing else."""

_MERGE = "<<"


@dataclass(slots=True)
class Tree:
    """What a file says: `values` without what was faulty, where in it every path stands."""

    values: dict[str, object] = field(default_factory=dict)
    positions: dict[Path, Position] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    doubles: list["Tree"] = field(default_factory=list)
    """What keys given twice say the second time; to be checked, never to be used."""


def plant_tree(root: Node | None, source: str, environ: Mapping[str, str]) -> Tree:
    """Read the nodes of a file; all faults are in the tree's `faults`."""
    planter = _Planter(source, environ)
    if isinstance(root, MappingNode):
        planter.tree.values = planter.read_mapping(root, ())
        return planter.tree
    if root is None:
        found = "holds no settings: write some, or {} to take every default"
        planter.refuse((), None, found)
    else:
        found = "a list" if isinstance(root, ListNode) else "a single value"
        planter.refuse((), root.at, f"holds {found} instead of settings such as `lease: 30s`")
    return planter.tree


class _Planter:
    """Reads nodes from the root down, and collects places and faults on the way."""

    def __init__(self, source: str, environ: Mapping[str, str]) -> None:
        self.tree = Tree()
        self._source = source
        self._environ = environ

    def refuse(self, path: Path, at: Position | None, message: str) -> None:
        line, column = at or (None, None)
        self.tree.faults.append(Fault(self._source, line, dotted(path), message, column))

    def read(self, node: Node, path: Path) -> object:
        match node:
            case ScalarNode():
                return self._read_scalar(node, path)
            case ListNode():
                return self._read_sequence(node, path)
            case MappingNode():
                return self.read_mapping(node, path)

    def read_mapping(self, node: MappingNode, path: Path) -> dict[str, object]:
        values: dict[str, object] = {}
        for key, (at, child) in self._entries(node, path).items():
            inner = (*path, key)
            value = self.read(child, inner)
            if value is LEFT_OUT or (not path and key.startswith(IGNORED_PREFIX)):
                continue
            self.tree.positions[inner] = at
            values[key] = value
        return values

    def _read_sequence(self, node: ListNode, path: Path) -> list[object]:
        values: list[object] = []
        for item in node.items:
            inner = (*path, len(values))
            self.tree.positions[inner] = item.at
            # Left in its place even if it is to be left out, for the places of those after it.
            values.append(self.read(item, inner))
        return values

    def _read_scalar(self, node: ScalarNode, path: Path) -> object:
        try:
            value = self._meaning(node)
            if isinstance(value, str) and "\0" in value:
                raise ValueError("holds a NUL character: take it out")
        except ValueError as error:
            self.refuse(path, node.at, str(error))
            return LEFT_OUT
        return value

    def _meaning(self, node: ScalarNode) -> object:
        if not node.plain:
            return substitute(node.text, self._environ)
        if not holds_reference(node.text):
            return read_word(node.text) if node.text else None
        # An empty variable is an empty text, not a null: it must not pass for "left out".
        text = substitute(node.text, self._environ)
        return read_word(text) if text else text

    def _entries(self, node: MappingNode, path: Path) -> dict[str, tuple[Position, Node]]:
        """Return the mapping's own entries, then the merged ones that they do not hide."""
        own: dict[str, tuple[Position, Node]] = {}
        merged: dict[str, tuple[Position, Node]] = {}
        for key, value in node.entries:
            if not isinstance(key, ScalarNode):
                self.refuse(path, key.at, "has a list or a mapping as a key: write a word")
            elif key.text == _MERGE and key.plain:
                for source in self._merge_sources(value, path):
                    merged = self._entries(source, path) | merged
            elif key.text in own:
                first = own[key.text][0].line
                inner = (*path, key.text)
                self.refuse(inner, key.at, f"is given twice, first on line {first}: keep one")
                self._plant_double(value, inner, key.at)
            else:
                own[key.text] = (key.at, value)
        return own | {key: entry for key, entry in merged.items() if key not in own}

    def _plant_double(self, node: Node, path: Path, at: Position) -> None:
        """Read what a key given twice says the second time, for the sake of its faults."""
        beside = _Planter(self._source, self._environ)
        beside.tree.positions[path] = at
        value = beside.read(node, path)
        keys = [step for step in path if isinstance(step, str)]
        if value is not LEFT_OUT and len(keys) == len(path):
            beside.tree.values = {keys[-1]: value}
            for key in reversed(keys[:-1]):
                beside.tree.values = {key: beside.tree.values}
        self.tree.faults += beside.tree.faults
        self.tree.doubles += [beside.tree, *beside.tree.doubles]

    def _merge_sources(self, value: Node, path: Path) -> Iterator[MappingNode]:
        for source in value.items if isinstance(value, ListNode) else (value,):
            if isinstance(source, MappingNode):
                yield source
            else:
                self.refuse((*path, _MERGE), source.at, "takes a mapping or a list of mappings")
