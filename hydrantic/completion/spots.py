"""The key paths of a blueprint: the keys below each, and what its value may be as far as that can be listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from hydrantic.completion.outline import Groups
from hydrantic.completion.vocabulary import Vocabulary
from hydrantic.forms import LISTS, Field, Fields, members
from hydrantic.phrases import words
from hydrantic.scalars import spelt
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
        return {str(key): Spot(self.known, value) for key, value in self._inner.items()}

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

    @property
    def _inner(self) -> Mapping[Any, Any]:
        return self.value if isinstance(self.value, dict) else {}

    def _settings(self, fields: Fields) -> dict[str, Spot]:
        return {
            name: Setting(self.known, self._inner.get(name), said.get("meaning") or words(said["type"]), said)
            for name, said in fields.items()
        }


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

    def _section(self, name: str, said: Field) -> Spot:
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
        own, wiring = self.known.fields(self.kind, self.chosen), self._settings(self.wiring or {})
        name = Name(self.known, self.chosen, f"which {self.kind}", self.kind)
        if self._inner.get("module_name") is None:
            return {"name": name, **self._settings(own), **wiring}
        kwargs = Settings(self.known, self._inner.get("kwargs"), "hyperparameters of the component", own)
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
        return {str(label): self._block(str(label), value) for label, value in self._inner.items()}

    def _block(self, label: str, value: Any) -> Spot:
        block = Block(self.known, value, "", self.kind, label, self.wiring)
        return replace(block, meaning=self.known.summary(self.kind, block.chosen))

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
        return {**super().below(), **self._settings(self.fields or {})}


@dataclass(frozen=True)
class Setting(Spot):
    """A field."""

    said: Field = field(default_factory=lambda: {"type": "any"})

    @property
    def forms(self) -> tuple[tuple[str, Any], ...]:
        """What its value may be one of; see `hydrantic.forms.members`."""
        return tuple(members(self.said["type"]))

    @property
    def takes_value(self) -> bool:
        """A mapping is set key by key; everything else, and what may be null, is a value."""
        return any(form != "fields" for form, _ in self.forms)

    def below(self) -> Mapping[str, Spot]:
        """The fields of a nested component or of nested settings, the places of a list, the keys of a mapping."""
        found: dict[str, Spot] = {}
        for form, inner in self.forms:
            found |= self._inside(form, inner)
        return found

    def _inside(self, form: str, inner: Any) -> Mapping[str, Spot]:
        if form == "fields":
            return self._settings(inner)
        if form == "slot":
            default = self.said.get("default")
            name = default.get("name") if isinstance(default, dict) else default
            return Block(self.known, self.value, "", inner, name if isinstance(name, str) else "").below()
        if form in LISTS and any(each in {"slot", "fields"} for each, _ in members(inner)):
            items = self.value if isinstance(self.value, list) else []
            return {str(at): Setting(self.known, each, "", {"type": inner}) for at, each in enumerate(items)}
        return super().below() if form == "dict" else {}

    def values(self) -> Mapping[str, str]:
        """Truth values, choices and names; `null` and `auto` beside them, or where nothing else can be written."""
        found: dict[str, str] = {}
        for form, inner in self.forms:
            found |= self.known.names(inner) if form == "slot" else dict.fromkeys(_listed(form, inner), "")
        has_more = any(form not in _LISTED for form, _ in self.forms)
        return {} if has_more and found.keys() <= {"null", "auto"} else found

    def paths(self) -> tuple[str, ...]:
        """The dotted paths of the kind of a nested component."""
        return tuple(path for form, kind in self.forms if form == "slot" for path in self.known.paths(kind))

    @property
    def takes_path(self) -> bool:
        """Whether it names a file to read."""
        return any(form == "path" and role != "output" for form, role in self.forms)


_LISTED: Final = frozenset({"bool", "null", "auto", "choice", "enum", "slot", "fields"})
"""The forms of which all values can be listed, or else are keys."""


def _listed(form: str, inner: Any) -> tuple[str, ...]:
    """The values of a form that has only a few, as a person writes them."""
    few = {"bool": (True, False), "null": (None,), "auto": ("auto",), "choice": inner}
    return tuple(map(spelt, inner.values() if form == "enum" else few.get(form, ())))
