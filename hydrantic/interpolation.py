"""Interpolation: `${...}` in OmegaConf's grammar, resolved on a document's own tree and kept out of its record."""

from __future__ import annotations

import dataclasses
import os
import re
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from omegaconf.errors import OmegaConfBaseException
from omegaconf.grammar_parser import parse
from omegaconf.grammar_visitor import GrammarVisitor

from hydrantic.document import LIMITS, Document, Limits, Node, is_reference, kind_of
from hydrantic.problems import Problems
from hydrantic.scalars import parse_scalar, spelt
from hydrantic.source import KeyPath, dotted

RESOLVERS = ("oc.env", "oc.decode", "oc.select", "oc.dict.keys", "oc.dict.values", "oc.create")
"""The resolvers that a blueprint may call; none of them reads a file, runs code or keeps a state."""

_MAX_CHAIN = 40  # each link takes some twenty frames of Python's stack
_PLACEHOLDER = re.compile("\0([0-9]+)\0")
_KEY_PART = re.compile(r"[^.\[\]]+")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A document with its interpolations resolved, for use, and the same for a record.

    In `record` a value drawn from the environment keeps its reference, `${oc.env:NAME}`, also where it was passed on;
    all other text is escaped, so that resolving the record again gives the document.
    """

    document: Document
    record: Document


def resolve(
    document: Document,
    fallback: Callable[[KeyPath], Any] | None = None,
    allowed_env: Collection[str] = (),
    environment: Mapping[str, str] | None = None,
    limits: Limits = LIMITS,
) -> Resolved:
    """Resolve every `${...}` of a document.

    Args:
        document: what compose returned.
        fallback: the value at a key path that the document lacks, such as a schema's default; raises KeyError.
        allowed_env: names of the environment variables that `${oc.env:NAME}` may read.
        environment: where they are read; the process's own environment by default.
        limits: how much interpolation may evaluate and produce.

    Returns:
        The resolved document and its record.

    Raises:
        BlueprintError: with every interpolation that cannot be resolved.
    """
    problems = Problems()
    setting = _Setting(
        fallback or _no_fallback, frozenset(allowed_env), os.environ if environment is None else environment, limits
    )
    tree = _Tree(document.root, setting, problems)
    pair = tree.resolved_root()
    problems.raise_any()
    assert pair is not None
    return Resolved(dataclasses.replace(document, root=pair.value), dataclasses.replace(document, root=pair.record))


def escaped(text: str) -> str:
    """Text that interpolation turns into `text`."""
    return re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + "\\${", text)


def references(text: str, path: KeyPath, root: Node) -> tuple[KeyPath, ...]:
    """The paths of the values that the interpolations in a text read.

    Args:
        text: what was written.
        path: where it stands, from which `${.sibling}` is seen.
        root: the tree, for paths that hold interpolations themselves; a record, where no secret is to be shown.
    """
    found: list[KeyPath] = []

    def referred(key: str, _memo: Any = None) -> Any:
        at = _absolute(key, path)
        if at is None:
            return ""
        found.append(at)
        node: Node | None = root
        for part in at:
            node = node.child(part) if node is not None else None
        return "" if node is None or isinstance(node.value, dict | list) else node.value

    def called(name: str, args: tuple[Any, ...], args_str: tuple[str, ...]) -> Any:  # noqa: ARG001 -- passed by name
        if name in _READING and args and isinstance(args[0], str):
            referred(args[0])
        return ""

    try:
        GrammarVisitor(referred, called, memo=None).visit(parse(text))
    except OmegaConfBaseException:  # a problem of the blueprint
        return ()
    return tuple(found)


_READING = frozenset({"oc.select", "oc.dict.keys", "oc.dict.values"})
"""Resolvers whose argument is the path of a value."""


def _absolute(key: str, path: KeyPath) -> KeyPath | None:
    """The path that a key of the grammar means at `path`: `a.b`, `a[0]`, `.sibling`; None where it leads out."""
    dots = len(key) - len(key.lstrip("."))
    parts = tuple(_KEY_PART.findall(key))
    if dots == 0:
        return parts
    return None if dots > len(path) else (*path[: len(path) - dots], *parts)


def _no_fallback(path: KeyPath) -> Any:
    raise KeyError(path)


@dataclass(frozen=True, slots=True)
class _Setting:
    fallback: Callable[[KeyPath], Any]
    allowed_env: frozenset[str]
    environment: Mapping[str, str]
    limits: Limits


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """A resolved value and what a record shows for it; `drawn` tells that the environment had a part in it."""

    value: Node
    record: Node
    drawn: bool = False
    size: int = 1
    depth: int = 0
    parts: Mapping[str | int, _Pair] = field(default_factory=dict)

    @property
    def is_container(self) -> bool:
        return isinstance(self.value.value, dict | list)

    def standing_at(self, node: Node) -> _Pair:
        """The same value in the place of the reference to it, which it remembers as it was written."""
        value = dataclasses.replace(node, value=self.value.value, was=node)
        return dataclasses.replace(self, value=value, record=dataclasses.replace(node, value=self.record.value))


class _Failed(Exception):
    """A value cannot be resolved; the problem was noted."""


class _Stopped(Exception):
    """A limit was crossed and noted; resolving ends."""


def _container(node: Node, parts: Mapping[str | int, _Pair]) -> _Pair:
    """The mapping or list of `parts`, standing at `node`."""
    if isinstance(node.value, dict):
        value: Any = {str(key): part.value for key, part in parts.items()}
        record: Any = {str(key): part.record for key, part in parts.items()}
    else:
        value, record = [part.value for part in parts.values()], [part.record for part in parts.values()]
    return _Pair(
        dataclasses.replace(node, value=value),
        dataclasses.replace(node, value=record),
        any(part.drawn for part in parts.values()),
        1 + sum(part.size for part in parts.values()),
        1 + max((part.depth for part in parts.values()), default=0),
        parts,
    )


def _with_records(pair: _Pair, records: _Pair) -> _Pair:
    """The values of one tree with the records of another of the same shape."""
    if pair.parts:
        parts = {key: _with_records(part, records.parts[key]) for key, part in pair.parts.items()}
        return _container(pair.value, parts)
    return dataclasses.replace(pair, record=records.record, drawn=pair.drawn or records.drawn)


class _Tree:
    """The tree being resolved: each path once, with the paths under way, from which a cycle is seen."""

    def __init__(self, root: Node, setting: _Setting, problems: Problems) -> None:
        self.setting = setting
        self.problems = problems
        self._root = root
        self._memo: dict[KeyPath, _Pair | None] = {}
        self._under_way: list[KeyPath] = []
        self._links = 0
        self._steps = 0
        self._characters = 0

    def resolved_root(self) -> _Pair | None:
        """The resolved tree, or None where a problem was noted."""
        try:
            return self.resolved(self._root, ())
        except (_Failed, _Stopped):
            return None

    def resolved(self, node: Node, path: KeyPath) -> _Pair:
        """The node at `path`, resolved."""
        if path not in self._memo:
            if path in self._under_way:
                chain = [*self._under_way[self._under_way.index(path) :], path]
                self._fail("interpolation-cycle", chain=tuple(dotted(link) for link in chain))
            self._memo[path] = self._resolved_once(node, path)
        pair = self._memo[path]
        if pair is None:
            raise _Failed
        return pair

    def _resolved_once(self, node: Node, path: KeyPath) -> _Pair | None:
        self._under_way.append(path)
        try:
            pair = self._evaluated(node, path)
        except _Failed:
            return None
        finally:
            self._under_way.pop()
        self._check_size(pair, node, path)
        return pair

    def _evaluated(self, node: Node, path: KeyPath) -> _Pair:
        if isinstance(node.value, dict | list):
            return self._with_children(node, path)
        if not is_reference(node):
            return _Pair(node, node)
        self._links += 1
        try:
            self._count_step(node, path)
            return _Evaluation(self, node, path).pair()
        except RecursionError:
            self._stop("chain", _MAX_CHAIN, node, path)
        finally:
            self._links -= 1

    def _with_children(self, node: Node, path: KeyPath) -> _Pair:
        parts: dict[str | int, _Pair] = {}
        whole = True
        for key, child in node.children():
            try:
                parts[key] = self.resolved(child, (*path, key))
            except _Failed:
                whole = False
        if not whole:
            raise _Failed
        return _container(node, parts)

    def _count_step(self, node: Node, path: KeyPath) -> None:
        limits = self.setting.limits
        self._steps += 1
        if self._steps > limits.steps:
            self._stop("steps", limits.steps, node, path)
        if self._links > _MAX_CHAIN:
            self._stop("chain", _MAX_CHAIN, node, path)
        self.count_characters(str(node.value), node, path)

    def count_characters(self, text: str, node: Node, path: KeyPath) -> None:
        """Stop before interpolation has read and written more text than allowed."""
        self._characters += len(text)
        if self._characters > self.setting.limits.characters:
            self._stop("characters", self.setting.limits.characters, node, path)

    def _check_size(self, pair: _Pair, node: Node, path: KeyPath) -> None:
        limits = self.setting.limits
        if pair.size > limits.nodes:
            self._stop("nodes", limits.nodes, node, path)
        if pair.depth + len(path) > limits.depth + 1:
            self._stop("depth", limits.depth, node, path)

    def _stop(self, what: str, allowed: int, node: Node, path: KeyPath) -> NoReturn:
        self.problems.add("interpolation-too-large", node.source, path, what=what, allowed=allowed)
        raise _Stopped

    def _fail(self, code: str, **facts: Any) -> NoReturn:
        path = self._under_way[-1]
        self.problems.add(code, self._place(path), path, **facts)
        raise _Failed

    def _place(self, path: KeyPath) -> Any:
        node: Node | None = self._root
        for part in path:
            node = node.child(part) if node is not None else None
        return (node or self._root).source

    def find(self, path: KeyPath) -> _Pair | None:
        """The resolved value at `path`, following references on the way; None where the tree has none."""
        node = self._root
        for index, part in enumerate(path):
            if is_reference(node):
                return _below(self.resolved(node, path[:index]), path[index:])
            below = node.child(part)
            if below is None:
                return None
            path = (*path[:index], _exact(node, part), *path[index + 1 :])
            node = below
        return self.resolved(node, path)

    def nearest(self, path: KeyPath) -> tuple[KeyPath, tuple[str, ...]]:
        """The nearest ancestor of `path` in the tree as written, and its keys."""
        node = self._root
        for index, part in enumerate(path):
            below = node.child(part)
            if below is None or not isinstance(below.value, dict | list):
                return path[:index], tuple(str(key) for key, _ in node.children())
            node = below
        return path, tuple(str(key) for key, _ in node.children())


def _exact(node: Node, part: str | int) -> str | int:
    """The part as the node's own key or index: one path for one value."""
    return int(part) if isinstance(node.value, list) else str(part)


def _below(pair: _Pair, path: KeyPath) -> _Pair | None:
    for part in path:
        child = pair.value.child(part)
        if child is None:
            return None
        pair = pair.parts[_exact(pair.value, part)]
    return pair


@dataclass(frozen=True, slots=True)
class _Whole:
    """A mapping or list inside the grammar's visitor, which knows scalars only."""

    pair: _Pair
    evaluation: _Evaluation

    def __str__(self) -> str:
        return self.evaluation.refuse_as_text(self.pair)


class _Evaluation:
    """Evaluates the text of one node, once for its value and, where the environment had a part, for its record."""

    def __init__(self, tree: _Tree, node: Node, path: KeyPath) -> None:
        self._tree = tree
        self._setting = tree.setting
        self._node = node
        self._path = path
        self._drawn = False
        self._for_record = False
        self._references: list[str] = []
        self._secrets: set[str] = set()

    def pair(self) -> _Pair:
        """The node's value and its record."""
        grammar = self._parsed()
        value = self._visit(grammar)
        pair = self._as_pair(value)
        if self._drawn:
            self._for_record = True
            pair = _with_records(pair, self._as_pair(self._visit(grammar)))
        return pair.standing_at(self._node)

    def fail(self, code: str, **facts: Any) -> NoReturn:
        """Note a problem of this node; its facts show nothing that came from the environment."""
        shown = {name: self._redacted(fact) for name, fact in facts.items()}
        self._tree.problems.add(code, self._node.source, self._path, **shown)
        raise _Failed

    def refuse_as_text(self, pair: _Pair) -> NoReturn:
        """Note that a mapping or list stands inside text."""
        self.fail("interpolation-not-text", kind=kind_of(pair.value))

    def _redacted(self, fact: Any) -> Any:
        for secret in self._secrets if isinstance(fact, str) else ():
            fact = fact.replace(secret, "***")
        return fact

    def _parsed(self) -> Any:
        try:
            return parse(str(self._node.value))
        except OmegaConfBaseException as error:
            self._fail_syntax(error)

    def _visit(self, grammar: Any) -> Any:
        visitor = GrammarVisitor(self._referred, self._called, memo=None)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # OmegaConf only warns of missing arguments
                return visitor.visit(grammar)
        except (OmegaConfBaseException, Warning) as error:
            self._fail_syntax(error)

    def _fail_syntax(self, error: Exception) -> NoReturn:
        reason = (str(error).strip().splitlines() or [""])[0].split(" expecting ")[0][:160]
        self.fail("interpolation-syntax", text=str(self._node.value)[:160], reason=reason)

    def _as_pair(self, value: Any) -> _Pair:
        """What the visitor returned, as nodes; in a record's text the references take their places."""
        if isinstance(value, _Whole):
            return value.pair
        if isinstance(value, dict | list):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            parts: dict[str | int, _Pair] = {}
            for key, item in items:
                parts[key if isinstance(value, list) else str(key)] = self._as_pair(item)
            return _container(Node({} if isinstance(value, dict) else [], self._node.source), parts)
        record = self._template(value) if isinstance(value, str) else value
        drawn = isinstance(value, str) and _PLACEHOLDER.search(value) is not None
        return _Pair(Node(value, self._node.source), Node(record, self._node.source), drawn)

    def _template(self, text: str) -> str:
        """Text that gives `text` when it is resolved, its placeholders written as references."""
        pieces = _PLACEHOLDER.split(text)
        literals, references = pieces[::2], [self._references[int(number)] for number in pieces[1::2]]
        written = [escaped(literals[0])]
        for reference, literal in zip(references, literals[1:], strict=True):
            if reference.startswith("${"):
                tail = len(written[-1]) - len(written[-1].rstrip("\\"))
                written.append("\\" * tail)
            written += [reference, escaped(literal)]
        return "".join(written)

    def _reference(self, text: str) -> str:
        self._references.append(text)
        return f"\0{len(self._references) - 1}\0"

    def _passed(self, pair: _Pair) -> Any:
        """A resolved value as the visitor takes it."""
        self._drawn = self._drawn or pair.drawn
        if pair.is_container:
            return _Whole(pair, self)
        if self._for_record and pair.drawn:
            return self._reference(str(pair.record.value))
        value = pair.value.value
        if isinstance(value, str):
            self._tree.count_characters(value, self._node, self._path)
        if pair.drawn and value not in (None, ""):
            self._secrets.add(str(value))
        return value

    def _referred(self, key: str, _memo: Any = None) -> Any:
        """The value of `${key}`."""
        if _PLACEHOLDER.search(key):
            return self._reference("${" + self._absolute_text(key) + "}")
        path = self._target(key)
        pair = self._tree.find(path)
        if pair is None:
            pair = self._fallen_back(path)
        if pair is None:
            nearest, known = self._tree.nearest(path)
            self.fail("interpolation-unknown", reference=dotted(path), nearest=dotted(nearest), known=known)
        return self._passed(pair)

    def _fallen_back(self, path: KeyPath) -> _Pair | None:
        try:
            value = self._setting.fallback(path)
        except KeyError:
            return None
        return self._as_pair(value)

    def _target(self, key: str) -> KeyPath:
        """The path that a key of the grammar means: `a.b`, `a[0]`, `.sibling`, `..cousin`."""
        path = _absolute(key, self._path)
        if path is None:
            self.fail("interpolation-unknown", reference=key, nearest="", known=self._tree.nearest(())[1])
        return path

    def _absolute_text(self, key: str) -> str:
        dots = len(key) - len(key.lstrip("."))
        above = dotted(self._path[: len(self._path) - dots]) if dots else ""
        return self._template(f"{above}.{key[dots:]}" if above else key[dots:])

    def _called(self, name: str, args: tuple[Any, ...], args_str: tuple[str, ...]) -> Any:
        """The value of `${name:args}`."""
        if name not in RESOLVERS:
            self.fail("resolver-refused", name=name, allowed=RESOLVERS)
        most = 2 if name in ("oc.env", "oc.select") else 1
        if not 1 <= len(args) <= most:
            self._refuse_argument(name, f"takes {'1 or 2 arguments' if most == 2 else '1 argument'}")
        call: Callable[..., Any] = getattr(self, "_call_" + name.removeprefix("oc.").replace(".", "_"))
        return call(*args)

    def _refuse_argument(self, name: str, reason: str) -> NoReturn:
        self.fail("interpolation-argument", resolver=name, reason=reason)

    def _argument(self, value: Any) -> str:
        """A value as an argument in a record's reference."""
        if not isinstance(value, str):
            return spelt(value)
        text = self._template(value)
        if _PLACEHOLDER.fullmatch(value) and re.fullmatch(r"\$\{[^${}]*\}", text):
            return text
        return "'" + text.replace("'", "\\'") + "'"

    def _call_env(self, name: Any, *default: Any) -> Any:
        if not isinstance(name, str):
            self._refuse_argument("oc.env", "takes the name of a variable")
        self._drawn = True
        if self._for_record:
            return self._reference("${oc.env:" + ",".join([self._template(name), *map(self._argument, default)]) + "}")
        if name not in self._setting.allowed_env:
            self.fail("env-not-allowed", name=name, allowed=tuple(sorted(self._setting.allowed_env)))
        value = self._setting.environment.get(name)
        if value is None and not default:
            self.fail("env-missing", name=name)
        if value is None:
            return None if default[0] is None else str(default[0])
        self._tree.count_characters(value, self._node, self._path)
        self._secrets |= {value} - {""}
        return value

    def _call_decode(self, text: Any) -> Any:
        if text is not None and not isinstance(text, str):
            self._refuse_argument("oc.decode", "takes text")
        if text is None:
            return None
        if self._for_record and _PLACEHOLDER.search(text):
            return self._reference("${oc.decode:" + self._argument(text) + "}")
        try:
            return parse_scalar(text.strip())
        except ValueError:
            self._refuse_argument("oc.decode", "number too long")

    def _call_select(self, key: Any, *default: Any) -> Any:
        if not isinstance(key, str):
            self._refuse_argument("oc.select", "takes a key")
        if _PLACEHOLDER.search(key):
            return self._reference("${oc.select:" + ",".join(map(self._argument, (key, *default))) + "}")
        path = self._target(key)
        pair = self._tree.find(path) or self._fallen_back(path)
        if pair is not None:
            return self._passed(pair)
        return default[0] if default else None

    def _call_dict_keys(self, key: Any) -> Any:
        keys = self._mapping("oc.dict.keys", key).parts
        return _Whole(self._as_pair(list(keys)), self)

    def _call_dict_values(self, key: Any) -> Any:
        mapping = self._mapping("oc.dict.values", key)
        self._drawn = self._drawn or mapping.drawn
        parts: dict[str | int, _Pair] = dict(enumerate(mapping.parts.values()))
        return _Whole(_container(Node([], self._node.source), parts), self)

    def _call_create(self, value: Any) -> Any:
        if not isinstance(value, dict | list | _Whole):
            self._refuse_argument("oc.create", "takes a mapping or a list")
        return value if isinstance(value, _Whole) else _Whole(self._as_pair(value), self)

    def _mapping(self, resolver: str, key: Any) -> _Pair:
        if not isinstance(key, str) or _PLACEHOLDER.search(key):
            self._refuse_argument(resolver, "takes the key of a mapping")
        path = self._target(key)
        pair = self._tree.find(path) or self._fallen_back(path)
        if pair is None:
            nearest, known = self._tree.nearest(path)
            self.fail("interpolation-unknown", reference=dotted(path), nearest=dotted(nearest), known=known)
        if not isinstance(pair.value.value, dict):
            self._refuse_argument(resolver, "takes the key of a mapping")
        return pair
