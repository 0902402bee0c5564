"""Overrides in Hydra's grammar, sorted into choices of options and changes of values."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.types import Override, OverrideType, Quote, QuotedString
from hydra.errors import HydraException

from hydrantic.compose.options import HYDRA_KEYS, OWN, Repository, folders, is_hydra_path, path_of
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
    return {key: _quoted(item) for key, item in value.items()} if isinstance(value, dict) else value


_FUNCTIONS = create_functions()
_FUNCTIONS_STR = _FUNCTIONS.functions["str"]
_FUNCTIONS.functions["str"] = _text_cast
_PARSER = OverridesParser(_FUNCTIONS)


def read_override(text: str) -> Override:
    """Parse one override with Hydra's grammar.

    Raises:
        ValueError: with Hydra's reason in short.
    """
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
    if isinstance(value, str):
        return parse_scalar(value)
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


class Requests:
    """The overrides, sorted into choices of group options and changes of values."""

    def __init__(self, repository: Repository, problems: Problems) -> None:
        self.choices: list[Override] = []
        self.changes: list[Edit] = []
        self._repository = repository
        self._sections = repository.sections
        self._problems = problems

    def take(self, text: str) -> None:
        """Sort in one override, or note what is wrong with it."""
        place = Source.override(text)
        if _CONTROL.search(text):
            self._problems.add("override-syntax", place, text=text, reason="control character")
            return
        try:
            override = read_override(text)
        except ValueError as error:
            self._problems.add("override-syntax", place, text=text, reason=str(error))
            return
        self._sort(override, text, place)

    def _sort(self, override: Override, text: str, place: Source) -> None:
        key = override.key_or_group
        path = path_of(key)
        if not path:
            self._problems.add("override-syntax", place, text=text, reason="no key")
        elif override.is_sweep_override():
            self._problems.add("sweep-without-multirun", place, path, key=key, text=text)
        elif is_hydra_path(key) and "/" in key:
            self._problems.add("hydra-node", place, path, key=key, allowed=HYDRA_KEYS)
        elif not self._repository.group_exists(key):
            self._sort_value(override, text, place)
        elif key in self._sections.all:
            self._sort_section(override, text, place)
        else:
            self._sort_group(override, text, place)

    def _sort_value(self, override: Override, text: str, place: Source) -> None:
        key = override.key_or_group
        if override.package is None and "/" not in key:
            self._change(override, text)
            return
        known = tuple(sorted({*self._sections.all, *folders(self._repository.file.parent)}))
        self._problems.add("unknown-group", place, path_of(key), group=key, known=known)

    def _change(self, override: Override, text: str) -> None:
        bare = override.is_delete() and override.value_type is None
        path, value = path_of(override.key_or_group), override_value(override._value)  # noqa: SLF001 -- `value()` has lost the quotes
        self.changes.append(Edit(text, override.type, path, value, bare=bare))

    def _sort_group(self, override: Override, text: str, place: Source) -> None:
        value = override.value()
        texts = value if isinstance(value, list) else [value]
        if override.is_delete() or (texts and all(isinstance(item, str) for item in texts)):
            self._choose(override, place)
        else:
            self._change(override, text)

    def _sort_section(self, override: Override, text: str, place: Source) -> None:
        section, value = override.key_or_group, override.value()
        names = value if isinstance(value, list) else [value]
        if override.package is not None:
            self._choose(override, place)
        elif override.is_delete():
            self._delete_section(override, text)
        elif value is None or isinstance(value, dict) or any(isinstance(n, str) and "${" in n for n in names):
            self._change(override, text)
        elif not names:
            empty: Any = {} if self._sections.is_labelled(section) else []
            self.changes.append(Edit(text, OverrideType.CHANGE, path_of(section), empty, replace=True))
        elif not all(isinstance(name, str) for name in names):
            self._problems.add("option-not-text", place, path_of(section), section=section, value=value)
        else:
            self._choose_section(override, text, place, [str(name) for name in names])

    def _delete_section(self, override: Override, text: str) -> None:
        section, name = override.key_or_group, override.value()
        if self._sections.is_labelled(section) and isinstance(name, str):
            label = Edit(text, OverrideType.DEL, (*path_of(section), name), None, bare=True)
            self.changes.append(label)
        else:
            self._change(override, text)

    def _choose_section(self, override: Override, text: str, place: Source, names: list[str]) -> None:
        section = override.key_or_group
        is_label = self._sections.is_labelled(section)
        files = [self._repository.has_file(f"{section}/{name}") for name in names]
        if isinstance(override.value(), list) and not is_label and not all(files):
            self._problems.add("option-list", place, path_of(section), section=section, names=tuple(names))
        elif is_label and override.is_add() and not any(files):
            self._add_labels(section, names, text, place)
        else:
            written = self._repository.slots.get(section, OWN) is not None
            plus = override.is_add() and written and not is_label
            if plus:
                self._problems.add("override-exists", place, path_of(section), key=section, text=text)
                return
            self._choose(dataclasses.replace(override, type=OverrideType.CHANGE), place)

    def _add_labels(self, section: str, names: list[str], text: str, place: Source) -> None:
        for name in names:
            if self._sections.has(section, name):
                path = (*path_of(section), name)
                self.changes.append(Edit(text, OverrideType.FORCE_ADD, path, None))
            else:
                known = tuple(self._repository.get_group_options(section))
                self._problems.add("unknown-name", place, path_of(section), kind=section, name=name, known=known)

    def _choose(self, override: Override, place: Source) -> None:
        if override.is_force_add():
            override = dataclasses.replace(override, type=OverrideType.CHANGE)
        value = override.value()
        for name in value if isinstance(value, list) else [value]:
            self._repository.requested[f"{override.key_or_group}/{name}"] = place
        self.choices.append(override)
