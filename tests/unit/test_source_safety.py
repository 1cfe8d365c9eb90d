"""What no line of taskd does: unpickle, evaluate text, make SQL of values."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskd.store.filters import conditions
from taskd.store.rows import JobFilter

PACKAGE = Path(__file__).parents[2] / "taskd"
SOURCES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = sorted(PACKAGE.rglob("*.sql"))
UNSAFE_MODULES = {
    "pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "copyreg",
    "multiprocessing",
}  # fmt: skip
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}
SQL = re.compile(
    r"^\s*(WITH|SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|DROP|ALTER|GRANT|REVOKE|LISTEN|"
    r"NOTIFY|TRUNCATE|COPY|SET)\s+\S|\b(FROM|JOIN|INTO|UPDATE) taskd\.|\bWHERE \w+\.\w+ "
)
REVIEWED = {
    "cli/checks/database.py": 2,  # remedies, which a person reads
    "store/hand_off.py": 1,  # a statement of ours and numbers of its parameters
    "store/schema.py": 1,  # the printed script, of version numbers and a digest of ours
}
CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")


def places(tree: ast.AST, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
    return (node for node in ast.walk(tree) if isinstance(node, kinds))


def unsafe_imports(text: str) -> list[str]:
    found = []
    for node in places(ast.parse(text), ast.Import, ast.ImportFrom):
        names = (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in getattr(node, "names", [])]
        )
        found += [name for name in names if name.partition(".")[0] in UNSAFE_MODULES]
    return found


def unsafe_calls(text: str) -> list[str]:
    found = []
    for node in places(ast.parse(text), ast.Call):
        assert isinstance(node, ast.Call)
        match node.func:
            case ast.Name(id=name) if name in UNSAFE_CALLS:
                found.append(name)
            case ast.Attribute(value=ast.Name(id="yaml"), attr=name) if name.endswith("load"):
                found.append(f"yaml.{name}")
            case ast.Attribute(attr="loads" | "load", value=ast.Name(id=module)):
                found += [module] if module in UNSAFE_MODULES else []
    return found


def made_sql(text: str) -> list[int]:
    """The lines where SQL is put together with anything but a constant of the module."""
    return [
        getattr(node, "lineno", 0)
        for node in places(ast.parse(text), ast.JoinedStr, ast.BinOp, ast.Call)
        if _is_made_sql(node)
    ]


def _is_made_sql(node: ast.AST) -> bool:
    match node:
        case ast.JoinedStr(values=values):
            words = "".join(str(v.value) if isinstance(v, ast.Constant) else "x" for v in values)
            holes = [v.value for v in values if isinstance(v, ast.FormattedValue)]
            return _is_sql(words) and not all(map(_is_constant, holes))
        case ast.BinOp(op=ast.Mod(), left=ast.Constant(value=str(words))):
            return _is_sql(words)
        case ast.Call(func=ast.Attribute(attr="format", value=ast.Constant(value=str(words)))):
            return _is_sql(words)
    return False


def _is_sql(words: str) -> bool:
    return SQL.search(words) is not None


def _is_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and CONSTANT.fullmatch(node.id) is not None


def test_no_source_unpickles_evaluates_or_makes_sql_of_values() -> None:
    made = {}
    for source in SOURCES:
        text = source.read_text()
        assert unsafe_imports(text) == [], source
        assert unsafe_calls(text) == [], source
        if lines := made_sql(text):
            made[str(source.relative_to(PACKAGE))] = len(lines)

    assert len(SOURCES) > 300
    assert made == REVIEWED


@pytest.mark.parametrize(
    ("line", "find"),
    [
        ("import pickle", unsafe_imports),
        ("from multiprocessing.connection import Client", unsafe_imports),
        ("eval(text)", unsafe_calls),
        ("yaml.load(text)", unsafe_calls),
        ("cursor.execute(f'SELECT {name}')", made_sql),
        ("cursor.execute(f'DROP DATABASE {name}'.encode())", made_sql),
        ("cursor.execute('SELECT * FROM x WHERE a = %s' % value)", made_sql),
        ("cursor.execute('DELETE FROM {}'.format(table))", made_sql),
        ("query = f'{head} FROM taskd.job WHERE id = {job}'", made_sql),
    ],
)
def test_what_is_looked_for_is_found(line: str, find: object) -> None:
    assert callable(find)
    assert find(line) != []


def test_what_is_filtered_by_goes_beside_the_statement() -> None:
    hostile = "x' OR true; --"
    wanted = JobFilter(
        queue=hostile,
        task=hostile,
        error=hostile,
        cause=hostile,
        args=[hostile],
        kwargs={hostile: hostile},
    )

    where, parameters = conditions(wanted)

    assert "OR true" not in where
    assert "OR true" in str(parameters)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_who_runs_with_the_rights_of_its_owner_fixes_its_search_path(script: Path) -> None:
    """And dynamic SQL of a script quotes what it is made of."""
    text = re.sub(r"--.*", "", script.read_text())

    for function in re.split(r"(?=CREATE FUNCTION)", text):
        head = function.partition("$$")[0]
        if "SECURITY DEFINER" in head:
            assert "SET search_path = pg_catalog, pg_temp" in head
    for made in re.findall(r"EXECUTE\s+(?!ON\b|FUNCTION\b)(\S+)", text):
        assert made.startswith("format("), made
