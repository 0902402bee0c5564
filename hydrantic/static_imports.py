"""What Python files import, found by reading them and never by running them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path


def definition_at(text: str, line: int) -> tuple[str, set[str]]:
    """The definition at a line of a module, and the packages that it and the module itself import.

    Raises:
        SyntaxError: it is no Python.
        ValueError: likewise.
    """
    tree = ast.parse(text)
    at = next((each for each in tree.body if _first_line(each) <= line <= (each.end_lineno or 0)), None)
    outside = [each for each in tree.body if not isinstance(each, ast.FunctionDef | ast.ClassDef)]
    nodes = [node for each in (*outside, *([] if at is None else [at])) for node in ast.walk(each)]
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    parts = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    segment = [] if at is None else text.splitlines()[_first_line(at) - 1 : at.end_lineno]
    return "\n".join(segment), {name.partition(".")[0] for name in (*plain, *parts)}


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)])


def imported_files(file: Path, folder: Path) -> list[Path]:
    """The files of a package that one of them imports, and what those import in turn, without itself; sorted.

    Arguments:
        file: the one that imports.
        folder: the package's; what lies outside of it is passed over.
    """
    found: set[Path] = set()
    ahead = [file]
    while ahead:
        new = set(_imported(ahead.pop(), folder)) - found
        found |= new
        ahead += new
    return sorted(found - {file})


def _imported(file: Path, folder: Path) -> Iterator[Path]:
    try:
        nodes = list(ast.walk(ast.parse(file.read_text("utf-8"))))
    except (OSError, ValueError, SyntaxError):
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            places = [_below(folder.parent, parts) for parts in names]
        elif isinstance(node, ast.ImportFrom):
            start = file.parents[node.level - 1] if 0 < node.level <= len(file.parents) else folder.parent
            module = _below(start, (node.module or "").split("."))
            places = [module, *(module / alias.name for alias in node.names)]
        else:
            continue
        for place in places:
            candidates = (place.with_name(f"{place.name}.py"), place / "__init__.py")
            yield from (each for each in candidates if each.is_relative_to(folder) and each.is_file())


def _below(start: Path, parts: list[str]) -> Path:
    return start.joinpath(*(part for part in parts if part))
