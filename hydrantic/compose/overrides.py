"""Overrides in Hydra's grammar, sorted into choices of options and changes of values."""

from __future__ import annotations

import dataclasses
import inspect
import re
from dataclasses import dataclass, field
from typing import Any

from hydra._internal.grammar.functions import FunctionCall, Functions
from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.types import ChoiceSweep, Override, OverrideType, Quote, QuotedString
from hydra.errors import HydraException

from hydrantic.compose.options import HYDRA_KEYS, OWN, SEARCHPATH, Repository, Sections, is_hydra_path, path_of
from hydrantic.document import Whole
from hydrantic.problems import Problems
from hydrantic.scalars import parse_scalar, spelt
from hydrantic.source import KeyPath, Source

_BARE_TILDE = re.compile(r"=[ \t]*~[ \t]*$")  # YAML's other null, which Hydra's grammar does not know
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


def _text_cast(*args: Any, value: Any = None) -> Any:
    """Hydra's `str(...)`, its result marked as quoted: what a person casts to text is not read as a scalar again."""
    return _quoted(_FUNCTIONS_STR(*args, value=value))


def _quoted(value: Any) -> Any:
    if isinstance(value, str):
        return QuotedString(value, Quote.single)
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    if isinstance(value, ChoiceSweep):
        return dataclasses.replace(value, list=_quoted(value.list))
    return {key: _quoted(item) for key, item in value.items()} if isinstance(value, dict) else value


def _replace(mapping: dict) -> Whole:  # type: ignore[type-arg]  # Hydra compares a value's type with what stands here
    """The `replace({...})` of an override: the mapping takes the place of what stands there."""
    return Whole(mapping)


class QuotedText(str):
    """Text that a person quoted, on its way through one of Hydra's functions."""

    __slots__ = ()


class _Functions(Functions):
    """Hydra's functions, which leave quoted text quoted where they only arrange their arguments."""

    def eval(self, func: FunctionCall) -> Any:
        if func.name in _ARRANGING:
            func.args = [QuotedText(each.text) if isinstance(each, QuotedString) else each for each in func.args]
        return super().eval(func)


_ARRANGING = frozenset({"choice", "sort", "shuffle"})
_KNOWN = create_functions()
_FUNCTIONS_STR = _KNOWN.functions["str"]
_PARSER = OverridesParser(
    _Functions(
        {**_KNOWN.definitions, "replace": inspect.signature(_replace, eval_str=True)},
        {**_KNOWN.functions, "str": _text_cast, "replace": _replace},
    )
)


def read_override(text: str) -> Override:
    """Parse one override with Hydra's grammar.

    Raises:
        ValueError: with Hydra's reason in short.
    """
    if _CONTROL.search(text):
        raise ValueError("control character")
    try:
        return _PARSER.parse_override(_BARE_TILDE.sub("=null", text))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except (HydraException, ValueError, AssertionError, ArithmeticError) as error:
        first = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise ValueError(first.split(" expecting ")[0][:160]) from None


def override_value(value: Any) -> Any:
    """An override's parsed value as plain data; unquoted text means what it means in a file."""
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, QuotedText):
        return str(value)
    if isinstance(value, str):
        return parse_scalar(value) if value else value  # `key=` is an empty text, as in Hydra
    if isinstance(value, list):
        return [override_value(item) for item in value]
    if isinstance(value, dict):
        return {spelt(key): override_value(item) for key, item in value.items()}
    return value


@dataclass(frozen=True, slots=True)
class Edit:
    """One change that an override makes to the composed tree; `replace` puts a mapping in place of another."""

    text: str
    type: OverrideType
    path: KeyPath
    value: Any
    replace: bool = False
    bare: bool = False

    @property
    def source(self) -> Source:
        """The place of what the override writes."""
        return Source.override(self.text)


@dataclass(slots=True)
class Request:
    """What one override asks for: options of groups, each with the place that asks for it, and changes of values."""

    choices: list[Override] = field(default_factory=list)
    changes: list[Edit] = field(default_factory=list)
    requested: dict[str, Source] = field(default_factory=dict)


def sort_override(text: str, repository: Repository, problems: Problems) -> Request:
    """What one override asks of a repository; nothing where something is wrong with it, which is noted."""
    place = Source.override(text)
    request = Request()
    try:
        override = read_override(text)
    except ValueError as error:
        problems.add("override-syntax", place, text=text, reason=str(error))
    else:
        _Sorting(repository, repository.sections, text, place, request, problems).sort(override)
    return request


@dataclass(frozen=True, slots=True)
class _Sorting:
    """One override on its way into a request."""

    repository: Repository
    sections: Sections
    text: str
    place: Source
    request: Request
    problems: Problems

    def sort(self, override: Override) -> None:
        """Enter what the override asks for, or note why it cannot be meant."""
        key = override.key_or_group
        path = path_of(key)
        if not path:
            self._refuse("override-syntax", path, text=self.text, reason="no key")
        elif override.is_sweep_override():
            self._refuse("sweep-without-multirun", path, key=key, text=self.text)
        elif is_hydra_path(key) and "/" in key:
            self._refuse("hydra-node", path, key=key, allowed=HYDRA_KEYS)
        elif len(path) > len(SEARCHPATH) and path[: len(SEARCHPATH)] == SEARCHPATH:
            self._refuse("searchpath-not-folders", path)
        elif not self.repository.group_exists(key):
            self._sort_value(override)
        elif key in self.sections.all:
            self._sort_section(override)
        else:
            self._sort_group(override)

    def _refuse(self, code: str, path: KeyPath, **facts: Any) -> None:
        self.problems.add(code, self.place, path, **facts)

    def _sort_value(self, override: Override) -> None:
        key = override.key_or_group
        if override.package is None and "/" not in key:
            self._change(override)
            return
        known = tuple(sorted({*self.sections.all, *self.repository.searchpath.groups()}))
        self._refuse("unknown-group", path_of(key), group=key, known=known)

    def _change(self, override: Override) -> None:
        bare = override.is_delete() and override.value_type is None
        path, given = path_of(override.key_or_group), override._value  # noqa: SLF001 -- `value()` has lost the quotes
        replaces = isinstance(given, Whole)
        change = Edit(self.text, override.type, path, override_value(given), replace=replaces, bare=bare)
        self.request.changes.append(change)

    def _sort_group(self, override: Override) -> None:
        value = override.value()
        texts = value if isinstance(value, list) else [value]
        if override.is_delete() or all(isinstance(item, str) for item in texts):
            self._choose(override)
        else:
            self._change(override)

    def _sort_section(self, override: Override) -> None:
        section, value = override.key_or_group, override.value()
        names = value if isinstance(value, list) else [value]
        if override.package is not None:
            self._choose(override)
        elif override.is_delete():
            self._delete_section(override)
        elif value is None or isinstance(value, dict) or any(isinstance(n, str) and "${" in n for n in names):
            self._change(override)
        elif not names:
            empty: Any = {} if self.sections.is_labelled(section) else []
            self.request.changes.append(Edit(self.text, OverrideType.CHANGE, path_of(section), empty, replace=True))
        elif not all(isinstance(name, str) for name in names):
            self._refuse("option-not-text", path_of(section), section=section, value=value)
        else:
            self._choose_section(override, [str(name) for name in names])

    def _delete_section(self, override: Override) -> None:
        section, name = override.key_or_group, override.value()
        if self.sections.is_labelled(section) and isinstance(name, str):
            label = Edit(self.text, OverrideType.DEL, (*path_of(section), name), None, bare=True)
            self.request.changes.append(label)
        else:
            self._change(override)

    def _choose_section(self, override: Override, names: list[str]) -> None:
        section = override.key_or_group
        is_label = self.sections.is_labelled(section)
        files = [self.repository.has_file(f"{section}/{name}") for name in names]
        if isinstance(override.value(), list) and not is_label and not all(files):
            self._refuse("option-list", path_of(section), section=section, names=tuple(names))
        elif is_label and override.is_add() and not any(files):
            self._add_labels(section, names)
        else:
            written = self.repository.slots.get(section, OWN) is not None
            if override.is_add() and written and not is_label:
                self._refuse("override-exists", path_of(section), key=section, text=self.text)
                return
            self._choose(dataclasses.replace(override, type=OverrideType.CHANGE))

    def _add_labels(self, section: str, names: list[str]) -> None:
        for name in names:
            if self.sections.has(section, name):
                path = (*path_of(section), name)
                self.request.changes.append(Edit(self.text, OverrideType.FORCE_ADD, path, None))
            else:
                known = tuple(self.repository.get_group_options(section))
                self._refuse("unknown-name", path_of(section), kind=section, name=name, known=known)

    def _choose(self, override: Override) -> None:
        if override.is_force_add():
            override = dataclasses.replace(override, type=OverrideType.CHANGE)
        value = override.value()
        for name in value if isinstance(value, list) else [value]:
            self.request.requested[f"{override.key_or_group}/{name}"] = self.place
        self.request.choices.append(override)
