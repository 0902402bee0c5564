"""The types of fields in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from hydrantic.forms import LISTS, Type
from hydrantic.patterns import characters
from hydrantic.scalars import spelt


def words(type_: Type) -> str:
    """A type and its limits in words, such as `integer, at least 1` or `list of numbers`."""
    return _words(type_, 0)


def _words(type_: Type, plural: int) -> str:
    """A type in words: of one value, or of several where `plural` is 1."""
    if isinstance(type_, str):
        return _NOUNS[type_][plural]
    (form, inner), *limits = type_.items()
    if form == "where":
        said = (_limit(name, limit) for name, limit in limits if name in _LIMIT_WORDS)
        return ", ".join([_words(inner, plural), *said])
    return _PHRASES[form](inner, plural)


def _limit(name: str, limit: Any) -> str:
    if name == "pattern" and (said := characters(str(limit))) is not None:
        return f"of {said}"
    return _LIMIT_WORDS[name].format(limit)


def _of_all(types_: Sequence[Type], separator: str, plural: int = 0) -> str:
    return separator.join(dict.fromkeys(_words(each, plural) for each in types_))


def _exactly(parts: Sequence[Type]) -> str:
    if all(each == parts[0] for each in parts):
        return f"list of {len(parts)} {_words(parts[0], 1)}"
    return f"list [{', '.join(_words(each, 0) for each in parts)}]"


def _choices(values: Iterable[Any]) -> str:
    return " | ".join(map(spelt, values))


_NOUNS: Final[Mapping[str, tuple[str, str]]] = {
    "int": ("integer", "integers"), "float": ("number", "numbers"), "bool": ("true or false", "true or false"),
    "str": ("text", "texts"), "null": ("null", "nulls"), "any": ("anything", "anything"),
}  # fmt: skip
_PATHS: Final = {"input": "path of a file or folder", "output": "path below the run's directory", "any": "path"}
_PHRASES: Final[Mapping[str, Callable[[Any, int], str]]] = {
    "path": lambda role, _: _PATHS[role],
    "rule": _words,
    "choice": lambda values, _: _choices(values),
    "enum": lambda members, _: _choices(members.values()),
    **dict.fromkeys(LISTS, lambda each, plural: f"list{'s' * plural} of {_words(each, 1)}"),
    "tuple": lambda parts, _: _exactly(parts),
    "dict": lambda pair, plural: f"mapping{'s' * plural} of {_of_all(pair, ' to ', 1)}",
    "union": lambda parts, plural: _of_all(parts, " or ", plural),
    "slot": lambda kind, plural: f"{kind}{'s' * plural} (a name, or a block with its fields)",
    "auto": lambda inner, plural: f"{_words(inner, plural)} or auto",
    "fields": lambda fields, _: f"mapping with {', '.join(fields)}",
    "opaque": lambda text, _: str(text),
}
_LIMIT_WORDS: Final = {
    "gt": "greater than {}", "ge": "at least {}", "lt": "less than {}", "le": "at most {}",
    "multiple_of": "a multiple of {}", "min_length": "at least {} long", "max_length": "at most {} long",
    "pattern": "of the form {}",
}  # fmt: skip
