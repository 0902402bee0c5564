"""Reading a YAML file into a tree that knows its places, guarded against whatever a file can do to a reader."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hydrantic.document import CODE_KEYS, LIMITS, Document, Limits, Node, kind_of
from hydrantic.problems import Problems
from hydrantic.scalars import Scalar, parse_scalar, spelt
from hydrantic.source import KeyPath, Source, display
from hydrantic.suggestions import nearest

SUFFIXES = (".yaml", ".yml")
"""How the name of a YAML file ends."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE = "tag:yaml.org,2002:"
_SCALAR_TYPES: dict[str, tuple[type, ...]] = {
    _CORE + "int": (int,),
    _CORE + "float": (float, int),
    _CORE + "bool": (bool,),
    _CORE + "null": (type(None),),
}
_UNSHIELD = {0x10FF00 + number: sign for number, sign in enumerate("{}[],:#")}  # private characters that nobody writes
_SHIELD = {ord(sign): code for code, sign in _UNSHIELD.items()}
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Page:
    """The text of one YAML file and the tree read from it; None where the file holds no value."""

    file: Path
    text: str
    root: Node | None


def read_yaml(file: Path, limits: Limits = LIMITS) -> Node:
    """Read the mapping in a YAML file.

    Args:
        file: the file; UTF-8, with or without a byte order mark.
        limits: how large it may be.

    Returns:
        The mapping with the place of every key and value.

    Raises:
        BlueprintError: the file cannot be read, is not such a mapping, or has other problems; all of them are listed.
    """
    return read_document(file, limits).root


def read_document(file: Path, limits: Limits = LIMITS) -> Document:
    """Read the mapping in a YAML file as it stands, neither composed nor interpolated; raises as `read_yaml` does."""
    problems = Problems()
    text = read_text(file, limits, problems)
    problems.raise_any()
    return Document(parse_yaml(text or "", file, limits), {file: text or ""}, file)


def parse_yaml(text: str, file: Path, limits: Limits = LIMITS) -> Node:
    """Read the mapping in a YAML text, as `read_yaml` does; `file` names its place."""
    problems = Problems()
    page = parse_page(text, file, limits, problems)
    if page is not None and page.root is None:
        problems.add("file-empty", Source(file))
    problems.raise_any()
    assert page is not None
    assert page.root is not None
    return page.root


def read_page(file: Path, limits: Limits, problems: Problems) -> Page | None:
    """Read a YAML file, noting in `problems` what is wrong with it; None where there is nothing to go on with."""
    text = read_text(file, limits, problems)
    return None if text is None else parse_page(text, file, limits, problems)


def read_text(file: Path, limits: Limits, problems: Problems) -> str | None:
    """The text of a file, or None and a problem."""
    try:
        code = _unreadable(file)
        if code is not None:
            problems.add(code, Source(file), near=_near(file) if code == "file-missing" else None)
            return None
        with file.open("rb") as stream:
            data = stream.read(limits.bytes + 1)
    except (OSError, ValueError) as error:
        problems.add("file-unreadable", Source(file), reason=getattr(error, "strerror", None) or str(error))
        return None
    if len(data) > limits.bytes:
        problems.add("limit", Source(file), what="bytes", allowed=limits.bytes)
        return None
    return _decoded(data, file, problems)


def _near(file: Path) -> str | None:
    """The YAML file beside a missing one whose name is nearest to it."""
    if not file.parent.is_dir():
        return None
    by_stem = {each.stem: each for each in file.parent.iterdir() if each.suffix in SUFFIXES}
    found = nearest(file.stem, by_stem)
    return None if found is None else display(by_stem[found])


def _unreadable(file: Path) -> str | None:
    """The code of the problem by which a path is no file to read; a pipe or device could block or never end."""
    if file.is_dir():
        return "file-is-folder"
    if not file.exists():
        return "file-missing"
    return None if file.is_file() else "file-not-regular"


def _decoded(data: bytes, file: Path, problems: Problems) -> str | None:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        problems.add("not-utf8", Source(file, line, column), byte=error.start, value=data[error.start])
        return None


def parse_page(text: str, file: Path, limits: Limits, problems: Problems) -> Page | None:
    """Build the tree of a YAML text, noting every problem; None where the text breaks off or is no mapping."""
    text = text.removeprefix("\ufeff")
    if not _is_sound(text, file, limits, problems):
        return None
    reader = _Reader(file, limits, problems)
    try:
        for event in yaml.parse(_shielded(text), Loader=_LOADER):
            if isinstance(event, yaml.ScalarEvent):
                event.value = event.value.translate(_UNSHIELD)
            reader.take(event)
    except yaml.YAMLError as error:
        _note_syntax(error, text, file, problems)
        return None
    except _LimitCrossed:
        return None
    root = reader.root
    if root is None or root.value is None:
        return Page(file, text, None)
    if not isinstance(root.value, dict):
        problems.add("not-a-mapping", root.source, kind=kind_of(root))
        return None
    return Page(file, text, root)


def _shielded(text: str) -> str:
    """The text with the signs inside each `${...}` replaced, one for one, by others that mean nothing to YAML.

    So an interpolation needs no quotes inside `{...}` and `[...]` either.
    """
    if "${" not in text or any(chr(code) in text for code in _UNSHIELD):
        return text
    pieces, end, open_ = [], 0, list[int]()
    for found in re.finditer(r"\$?\{|\}|\n", text):
        if found[0] == "\n":
            open_.clear()
        elif found[0] == "}" and open_:
            begin = open_.pop()
            if not open_:
                pieces += [text[end:begin], text[begin : found.end()].translate(_SHIELD)]
                end = found.end()
        elif found[0] == "${" or (found[0] == "{" and open_):
            open_.append(found.start())
    return "".join([*pieces, text[end:]])


def _is_sound(text: str, file: Path, limits: Limits, problems: Problems) -> bool:
    """Whether a text is short enough and free of control characters, which YAML forbids."""
    if len(text) > limits.bytes or len(text.encode("utf-8", "replace")) > limits.bytes:
        problems.add("limit", Source(file), what="bytes", allowed=limits.bytes)
        return False
    control = _CONTROL.search(text)
    if control is None:
        return True
    line = text.count("\n", 0, control.start()) + 1
    column = control.start() - text.rfind("\n", 0, control.start())
    problems.add("control-character", Source(file, line, column), codepoint=ord(control.group()))
    return False


def _note_syntax(error: yaml.YAMLError, text: str, file: Path, problems: Problems) -> None:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    if mark is None:
        problems.add("yaml-syntax", Source(file), reason=reason)
        return
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent:
        problems.add("tab-indentation", Source(file, mark.line + 1, indent.index("\t") + 1))
        return
    context, began = str(getattr(error, "context", "")), getattr(error, "context_mark", None)
    if began is not None and "simple key" in context:
        mark, reason = began, "this is no `key: value`; a space must follow the colon"
    elif began is not None and "flow" in context:
        reason = f"{reason}; the bracket of line {began.line + 1}, column {began.column + 1} is still open"
    problems.add("yaml-syntax", Source(file, mark.line + 1, mark.column + 1), reason=reason)


class _LimitCrossed(Exception):
    """A limit was crossed and noted; reading stops."""


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not been read."""

    event: Any
    path: KeyPath
    before: int
    items: dict[str, Node] = field(default_factory=dict)
    elements: list[Node] = field(default_factory=list)
    merges: list[Node] = field(default_factory=list)
    key: tuple[str, Source] | None = None
    skip: bool = False
    awaits_key: bool = True
    height: int = 1

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.event, yaml.MappingStartEvent)


def _stacked(nodes: Sequence[Node]) -> Node:
    """The last node, remembering the others."""
    return functools.reduce(lambda was, over: dataclasses.replace(over, was=was), nodes)


@dataclass(frozen=True, slots=True)
class _Anchor:
    node: Node
    size: int
    height: int


class _Reader:
    """Builds nodes from YAML events, one event at a time; counts before it builds."""

    def __init__(self, file: Path, limits: Limits, problems: Problems) -> None:
        self.root: Node | None = None
        self._file = file
        self._limits = limits
        self._problems = problems
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchor] = {}
        self._count = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        """Build on with one event."""
        if isinstance(event, yaml.DocumentStartEvent):
            self._start_document(event)
        elif isinstance(event, yaml.ScalarEvent):
            self._grow(1, event)
            self._add(self._scalar(event), event, 1, 0)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._start(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end(event)

    def _start_document(self, event: Any) -> None:
        self._documents += 1
        if self._documents == 2:
            self._problems.add("several-documents", self._place(event))

    def _place(self, event: Any, end: Any = None) -> Source:
        start, stop = event.start_mark, (end or event).end_mark
        width = stop.column - start.column if stop.line == start.line else 1
        return Source(self._file, start.line + 1, start.column + 1, max(width, 1))

    def _grow(self, nodes: int, event: Any) -> None:
        self._count += nodes
        if self._count > self._limits.nodes:
            self._stop("nodes", self._limits.nodes, event)

    def _stop(self, what: str, allowed: int, event: Any) -> None:
        self._problems.add("limit", self._place(event), self._path(), what=what, allowed=allowed)
        raise _LimitCrossed

    def _path(self) -> KeyPath:
        """Where the next value stands."""
        if not self._open:
            return ()
        top = self._open[-1]
        if not top.is_mapping:
            return (*top.path, len(top.elements))
        return top.path if top.key is None else (*top.path, top.key[0])

    def _start(self, event: Any) -> None:
        self._grow(1, event)
        path = self._path()
        if len(self._open) + 1 > self._limits.depth:
            self._stop("depth", self._limits.depth, event)
        expected = _CORE + ("map" if isinstance(event, yaml.MappingStartEvent) else "seq")
        if event.tag not in (None, "!", expected):
            self._refuse_tag(event, path)
        self._open.append(_Open(event, path, self._count - 1))

    def _end(self, event: Any) -> None:
        done = self._open.pop()
        place = self._place(done.event, event)
        node = Node(self._with_merges(done) if done.is_mapping else done.elements, place)
        self._add(node, done.event, self._count - done.before, done.height)

    def _with_merges(self, done: _Open) -> dict[str, Node]:
        if not done.merges:
            return done.items
        layers: dict[str, list[Node]] = {}  # of each key, the winner last
        for source in reversed(done.merges):
            for key, node in source.children():
                layers.setdefault(str(key), []).append(node)
        order = dict.fromkeys(str(key) for source in done.merges for key, _ in source.children())
        for key, node in done.items.items():
            layers.setdefault(key, []).append(node)
        return {key: _stacked(layers[key]) for key in (order | done.items)}

    def _alias(self, event: Any) -> None:
        if any(part.event.anchor == event.anchor for part in self._open):
            self._problems.add("alias-recursive", self._place(event), self._path(), anchor=event.anchor)
            self._add(Node(None, self._place(event)), None, 1, 0)
            return
        anchor = self._anchors.get(event.anchor)
        if anchor is None:
            self._problems.add(
                "alias-unknown", self._place(event), self._path(), anchor=event.anchor, known=tuple(self._anchors)
            )
            self._add(Node(None, self._place(event)), None, 1, 0)
            return
        self._grow(anchor.size, event)
        if len(self._open) + anchor.height > self._limits.depth:
            self._stop("depth", self._limits.depth, event)
        node = Node(anchor.node.value, self._place(event))
        self._add(node, event, anchor.size, anchor.height)

    def _add(self, node: Node, event: Any, size: int, height: int) -> None:
        """Put a finished value where it belongs: a key, a mapping's value, a list's element or the root."""
        if event is not None and event.anchor is not None and not isinstance(event, yaml.AliasEvent):
            self._anchors[event.anchor] = _Anchor(node, size, height)
        if not self._open:
            self.root = self.root or node
            return
        top = self._open[-1]
        top.height = max(top.height, height + 1)
        if not top.is_mapping:
            top.elements.append(node)
        elif top.awaits_key:
            self._add_key(top, node, event)
        else:
            self._add_value(top, node)

    def _add_key(self, top: _Open, node: Node, event: Any) -> None:
        top.awaits_key = False
        top.key, top.skip = None, False
        if isinstance(node.value, dict | list) or event is None:
            top.skip = True
            self._problems.add("key-not-text", node.source, top.path, kind=kind_of(node))
            return
        plain = isinstance(event, yaml.ScalarEvent)
        text = event.value if plain else spelt(node.value)
        if plain and text == "<<" and event.style in (None, ""):
            top.key = ("<<", node.source)
            top.skip = True
            return
        top.key = (text, node.source)
        if text in CODE_KEYS:
            self._problems.add("code-key", node.source, (*top.path, text), key=text)
        if (first := top.items.get(text)) is not None:
            self._problems.add("duplicate-key", node.source, (*top.path, text), key=text, first=first.key)

    def _add_value(self, top: _Open, node: Node) -> None:
        top.awaits_key = True
        key, top.key = top.key, None
        if key is None:
            return
        if not top.skip:
            top.items[key[0]] = dataclasses.replace(node, key=key[1])
            return
        sources = node.value if isinstance(node.value, list) else [node]
        if all(isinstance(source.value, dict) for source in sources):
            top.merges.extend(sources)
        else:
            self._problems.add("merge-key", node.source, (*top.path, "<<"), kind=kind_of(node))

    def _scalar(self, event: Any) -> Node:
        place, tag = self._place(event), event.tag
        plain = event.style in (None, "")
        if tag in ("!", _CORE + "str") or (tag is None and not plain):
            return Node(event.value, place)
        if tag is not None and tag not in _SCALAR_TYPES:
            self._refuse_tag(event, self._path())
            return Node(event.value, place)
        try:
            value = parse_scalar(event.value)
        except ValueError:
            self._problems.add("number-too-long", place, self._path(), digits=len(event.value))
            value = None
        return Node(value if tag is None else self._tagged(value, event), place)

    def _tagged(self, value: Scalar, event: Any) -> Scalar:
        wanted = _SCALAR_TYPES[event.tag]
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            tag = "!!" + event.tag.removeprefix(_CORE)
            self._problems.add("tag-mismatch", self._place(event), self._path(), tag=tag, text=event.value)
            return value
        return float(value) if float in wanted and isinstance(value, int) else value

    def _refuse_tag(self, event: Any, path: KeyPath) -> None:
        tag = event.tag.replace(_CORE, "!!", 1) if event.tag.startswith(_CORE) else event.tag
        self._problems.add("yaml-tag", self._place(event), path, tag=tag)
