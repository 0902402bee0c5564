"""The key paths of a blueprint: the keys below each, and what its value may be as far as that can be listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hydrantic.completion.outline import Groups
from hydrantic.completion.vocabulary import Fields, Vocabulary
from hydrantic.phrases import words
from hydrantic.sections import COMPONENTS, LABELLED


@dataclass(frozen=True)
class Spot:
    """A key path of a blueprint, with the value that the blueprint has there."""

    known: Vocabulary
    value: Any = None
    meaning: str = ""

    @property
    def takes_value(self) -> bool:
        """Whether `key=value` makes sense here, and not only keys further down."""
        return not isinstance(self.value, dict)

    def below(self) -> Mapping[str, Spot]:
        """The keys of the next level."""
        inner = self.value if isinstance(self.value, dict) else {}
        return {str(key): Spot(self.known, value) for key, value in inner.items()}

    def values(self) -> Mapping[str, str]:
        """What may follow `key=`, each with its meaning, as far as that can be listed."""
        return {}

    def paths(self) -> tuple[str, ...]:
        """Registered dotted paths that may follow `key=`."""
        return ()

    @property
    def takes_path(self) -> bool:
        """Whether a file of the person's may follow `key=`."""
        return False

    def _child(self, key: str) -> Any:
        return self.value.get(key) if isinstance(self.value, dict) else None


@dataclass(frozen=True)
class Root(Spot):
    """The blueprint itself."""

    groups: Groups = field(default_factory=lambda: Groups(None))

    @property
    def takes_value(self) -> bool:
        """A blueprint is no value."""
        return False

    def below(self) -> Mapping[str, Spot]:
        """The sections."""
        return {name: self._section(name, said) for name, said in self.known.sections.items()}

    def _section(self, name: str, said: Mapping[str, Any]) -> Spot:
        default, meaning = said.get("default"), said.get("meaning", "")
        value, wiring = self.value.get(name, default), said.get("wiring", {})
        files = self.groups.options(name) if name in {*COMPONENTS, *LABELLED} else {}
        if name in COMPONENTS:
            fallback = default if isinstance(default, str) else ""
            may_be_null = "default" in said and default is None
            return Block(self.known, value, meaning, COMPONENTS[name], fallback, wiring, files, may_be_null)
        if name in LABELLED:
            return Labels(self.known, value, meaning, LABELLED[name], wiring, files)
        if name == "trainer":
            return Settings(self.known, value, meaning, self.known.trainer)
        if name == "vars":
            return Settings(self.known, value, meaning)
        return Setting(self.known, value, meaning, said)


@dataclass(frozen=True)
class Block(Spot):
    """A component: a name, or a block with its fields."""

    kind: str = ""
    fallback: str = ""
    """The component where the blueprint names none."""
    wiring: Fields | None = None
    files: Mapping[str, str] | None = None
    """Options that are files."""
    may_be_null: bool = False

    @property
    def takes_value(self) -> bool:
        """A name stands for the component."""
        return True

    @property
    def chosen(self) -> str:
        """The name of the component, empty where it is not known."""
        named = self.value
        if isinstance(self.value, dict):
            named = self.value.get("name") or self.value.get("module_name") or self.fallback
        return named if isinstance(named, str) else self.fallback

    def below(self) -> Mapping[str, Spot]:
        """The name, the fields of the chosen component, and those beside them."""
        fields = _settings(self.known, self.known.fields(self.kind, self.chosen), self.value)
        wiring = _settings(self.known, self.wiring or {}, self.value)
        name = Name(self.known, self.chosen, f"which {self.kind}", self.kind)
        if self._child("module_name") is None:
            return {"name": name, **fields, **wiring}
        own = self.known.fields(self.kind, self.chosen)
        kwargs = Settings(self.known, self._child("kwargs"), "hyperparameters of the component", own)
        return {"module_name": name, "kwargs": kwargs, **wiring}

    def values(self) -> Mapping[str, str]:
        """The registered names, and the files of the group."""
        null = {"null": "none"} if self.may_be_null else {}
        return {**self.known.names(self.kind), **(self.files or {}), **null}

    def paths(self) -> tuple[str, ...]:
        """The dotted paths of the kind."""
        return self.known.paths(self.kind)


@dataclass(frozen=True)
class Name(Spot):
    """The key that names a component."""

    kind: str = ""

    def values(self) -> Mapping[str, str]:
        """The registered names."""
        return self.known.names(self.kind)

    def paths(self) -> tuple[str, ...]:
        """The dotted paths of the kind."""
        return self.known.paths(self.kind)


@dataclass(frozen=True)
class Labels(Spot):
    """Components by label."""

    kind: str = ""
    wiring: Fields | None = None
    files: Mapping[str, str] | None = None

    @property
    def takes_value(self) -> bool:
        """A name selects that component, or the file of the group."""
        return True

    def below(self) -> Mapping[str, Spot]:
        """The labels that there are."""
        inner = self.value if isinstance(self.value, dict) else {}
        return {str(label): self._block(str(label), value) for label, value in inner.items()}

    def _block(self, label: str, value: Any) -> Spot:
        block = Block(self.known, value, "", self.kind, label, self.wiring)
        return Block(self.known, value, self.known.summary(self.kind, block.chosen), self.kind, label, self.wiring)

    def values(self) -> Mapping[str, str]:
        """The registered names, and the files of the group."""
        return {**self.known.names(self.kind), **(self.files or {})}


@dataclass(frozen=True)
class Settings(Spot):
    """A mapping with these fields, and with whatever else the blueprint has there."""

    fields: Fields | None = None

    @property
    def takes_value(self) -> bool:
        """It is set key by key."""
        return False

    def below(self) -> Mapping[str, Spot]:
        """The fields."""
        return {**super().below(), **_settings(self.known, self.fields or {}, self.value)}


@dataclass(frozen=True)
class Setting(Spot):
    """A field."""

    said: Mapping[str, Any] = field(default_factory=lambda: {"type": "any"})
    """The field in the form of `hydrantic.spec`."""

    @property
    def types(self) -> tuple[Any, ...]:
        """The types that its value may have, limits and rules left out."""
        return tuple(_members(self.said["type"]))

    @property
    def takes_value(self) -> bool:
        """A mapping is set key by key; everything else, and what may be null, is a value."""
        return any(not (isinstance(each, dict) and "fields" in each) for each in self.types)

    def below(self) -> Mapping[str, Spot]:
        """The fields of a nested component or of nested settings, the places of a list, the keys of a mapping."""
        found: dict[str, Spot] = {}
        for each in self.types:
            found |= self._inside(each)
        return found

    def _inside(self, type_: Any) -> Mapping[str, Spot]:
        if not isinstance(type_, dict):
            return {}
        default = self.said.get("default")
        if "fields" in type_:
            return _settings(self.known, type_["fields"], self.value)
        if "slot" in type_:
            name = default.get("name") if isinstance(default, dict) else default
            return Block(self.known, self.value, "", type_["slot"], name if isinstance(name, str) else "").below()
        if "list" in type_ or "tuple_of" in type_:
            inner = {"type": type_.get("list") or type_.get("tuple_of")}
            items = self.value if isinstance(self.value, list) else []
            is_nested = any(
                isinstance(each, dict) and {"slot", "fields"} & each.keys() for each in _members(inner["type"])
            )
            return {str(at): Setting(self.known, each, "", inner) for at, each in enumerate(items) if is_nested}
        return super().below() if "dict" in type_ else {}

    def values(self) -> Mapping[str, str]:
        """Truth values, choices and names; `null` and `auto` beside them, or where nothing else can be written."""
        found: dict[str, str] = {}
        for each in self.types:
            found |= self._listed(each)
        has_more = not all(_is_listed(each) for each in self.types)
        return {} if has_more and found.keys() <= {"null", "auto"} else found

    def _listed(self, type_: Any) -> Mapping[str, str]:
        if isinstance(type_, str):
            return dict.fromkeys(_WORDS.get(type_, ()), "")
        if "slot" in type_:
            return self.known.names(type_["slot"])
        choices = type_.get("choice") or type_.get("enum", {}).values()
        return {_written(each): "" for each in choices}

    def paths(self) -> tuple[str, ...]:
        """The dotted paths of the kind of a nested component."""
        kinds = [each["slot"] for each in self.types if isinstance(each, dict) and "slot" in each]
        return tuple(path for kind in kinds for path in self.known.paths(kind))

    @property
    def takes_path(self) -> bool:
        """Whether it names a file to read."""
        return any(isinstance(each, dict) and each.get("path") in {"input", "any"} for each in self.types)


_WORDS: Final = {"bool": ("true", "false"), "null": ("null",), "auto": ("auto",)}


def _is_listed(type_: Any) -> bool:
    """Whether all that a value of this type may be can be listed."""
    if isinstance(type_, str):
        return type_ in _WORDS
    return not type_.keys().isdisjoint({"slot", "choice", "enum", "fields"})


def _members(type_: Any) -> Iterator[Any]:
    """A type taken apart into what it is one of; `auto` stands for itself."""
    if isinstance(type_, str):
        yield type_
    elif "union" in type_:
        for each in type_["union"]:
            yield from _members(each)
    elif "auto" in type_:
        yield "auto"
        yield from _members(type_["auto"])
    elif "where" in type_ or "rule" in type_:
        yield from _members(type_.get("where") or type_.get("rule"))
    else:
        yield type_


def _written(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _settings(known: Vocabulary, fields: Fields, value: Any) -> dict[str, Spot]:
    inner = value if isinstance(value, dict) else {}
    return {
        name: Setting(known, inner.get(name), said.get("meaning") or words(said["type"]), said)
        for name, said in fields.items()
    }
