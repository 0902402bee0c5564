"""What a run's components were: where each came from, its schema and its source, to tell later what has changed."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from hydrantic.components import Component, hparams_of
from hydrantic.digests import digest
from hydrantic.forms import are_fields
from hydrantic.model.hparams import ModelHparams
from hydrantic.phrases import words
from hydrantic.plan import Plan
from hydrantic.registries import KINDS, PROJECT, SESSION, STOCK, Entry, entry_points
from hydrantic.requirements import installed_version
from hydrantic.rundir import source_hashes
from hydrantic.sections import OF_SWEEPS
from hydrantic.spec import unexplained
from hydrantic.texts import cut
from hydrantic.traits import traits_of

Identity: TypeAlias = Mapping[str, Any]
"""One component as plain data: `distribution` and `version` (None for a project's own shelf), `source` (a sha256 of its
file), `schema` (a digest of its fields), and `fields` (in the form of `hydrantic.forms`, without their meanings)."""


def identities(plan: Plan) -> dict[str, Identity]:
    """Every component of a plan, nested ones too, by `kind/name`, as plain types that a checkpoint can hold."""
    return identities_of(each.entry for each in components_of(plan))


def components_of(plan: Plan) -> tuple[Component[Any], ...]:
    """Every component of one run of a plan, each followed by those inside it."""
    own = (each for path, each in plan.components.items() if path[0] not in OF_SWEEPS)
    return tuple(found for each in own for found in within(each))


def within(value: Any) -> Iterator[Component[Any]]:
    """Every component in a value, the value itself among them."""
    if isinstance(value, Component):
        yield value
        yield from within(value.hparams)
    elif isinstance(value, Mapping):  # Hparams are mappings too
        yield from (found for part in value.values() for found in within(part))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (found for part in value for found in within(part))


def files_of(components: Iterable[Component[Any]]) -> dict[str, Path]:
    """The file that each component is defined in, by `kind/name`; without those that have none."""
    files = {key(each): each.entry.file for each in components}
    return {name: file for name, file in files.items() if file is not None}


def own_modules() -> dict[str, Path]:
    """The files of the project's shelf that are imported: those of its components, and of what these use."""
    own = {name: each for name, each in list(sys.modules.items()) if name.partition(".")[0] == "registry"}
    files = {name: Path(file) for name, each in own.items() if (file := getattr(each, "__file__", None))}
    return {_as_file(name, file): file for name, file in files.items()}


def _as_file(module: str, file: Path) -> str:
    """A module as its file is written in the project: `registry/__init__.py`, `registry/sizes.py`."""
    return f"{module.replace('.', '/')}{'/__init__' if file.stem == '__init__' else ''}{file.suffix}"


def key(component: Component[Any] | Entry) -> str:
    """What a component is called among those of a run: `model/mlp`."""
    return f"{component.kind}/{component.name}"


def identities_of(found: Iterable[Entry]) -> dict[str, Identity]:
    """The identities of some registered components, by `kind/name`."""
    entries = {key(each): each for each in found}
    sources = source_hashes({name: entry.file for name, entry in entries.items() if entry.file is not None})
    version_of = functools.cache(installed_version)
    return {name: _identity(entry, version_of, sources.get(name)) for name, entry in sorted(entries.items())}


def _identity(entry: Entry, version_of: Callable[[str], str | None], source: str | None) -> Identity:
    fields, distribution = _fields(entry), origin(entry, version_of)
    return {
        "distribution": distribution,
        "version": None if distribution is None else version_of(distribution),
        "source": source,
        "schema": schema_of(fields),
        "fields": fields,
    }


def origin(entry: Entry, version_of: Callable[[str], str | None] = installed_version) -> str | None:
    """The distribution that a component's class is from; None for a project's own shelf."""
    if entry.shelf in {PROJECT, SESSION}:
        return None
    if entry.shelf != STOCK:
        return entry.shelf
    points = entry_points(KINDS[entry.kind])
    package = next((each.package for each in points if entry.name in {each.name, each.dotted}), STOCK)
    return package if version_of(package) is not None else STOCK


def schema_of(fields: Mapping[str, Any]) -> str:
    """A digest of fields, whatever their order."""
    return digest(_text(fields).encode())


def _fields(entry: Entry) -> dict[str, Any]:
    """The fields of a component, as they read back from a file."""
    if entry.description is not None:
        found: Mapping[str, Any] = entry.description.fields
    else:
        try:
            free = tuple(ModelHparams.model_fields) if traits_of(entry).carries_groups else ()
            found = unexplained(hparams_of(entry), free=free)
        except Exception:  # noqa: BLE001 -- looking at a class of somebody's own must not stop the run that it is in
            return {}
    plain: dict[str, Any] = json.loads(json.dumps(_bare(found)))
    return plain


def _bare(form: Any) -> Any:
    """Fields without their meanings, those of nested settings too."""
    if isinstance(form, list | tuple):
        return [_bare(part) for part in form]
    if not isinstance(form, Mapping):
        return form
    kept = {name: _bare(part) for name, part in form.items() if name != "default"}
    if "type" in kept and isinstance(kept.get("meaning"), str):
        del kept["meaning"]
    return kept | ({"default": form["default"]} if "default" in form else {})


def _text(plain: Any) -> str:
    return json.dumps(plain, sort_keys=True)


def changes(recorded: Mapping[str, Identity], present: Mapping[str, Identity]) -> tuple[str, ...]:
    """What has changed of each component since it was recorded, a line each: which fields, defaults, source, version.

    Empty where nothing has.
    """
    told = {name: _changed(each, present.get(name)) for name, each in recorded.items() if isinstance(each, Mapping)}
    return tuple(f"{name}: {'; '.join(said)}" for name, said in told.items() if said)


def _changed(before: Identity, after: Identity | None) -> list[str]:
    if after is None:
        return ["it takes no part any more"]
    said = field_changes(before.get("fields"), after.get("fields"))
    if not said and before.get("schema") != after.get("schema"):
        said = ["its fields have changed"]
    was, now = (_from(each) for each in (before, after))
    if was != now:
        said.append(f"it came from {was}, and comes from {now} now")
    if before.get("source") != after.get("source"):
        said.append("its source has changed")
    return said


def _from(identity: Identity) -> str:
    distribution, version = identity.get("distribution"), identity.get("version")
    return "the project's own shelf" if distribution is None else f"{distribution} {version or '(not installed)'}"


def field_changes(before: Any, after: Any) -> list[str]:
    """What differs between the fields that a component had and has, a phrase for each."""
    if not are_fields(before) or not are_fields(after):
        return []
    gone = [f"the field '{name}' is gone" for name in before if name not in after]
    new = [f"the field '{name}' is new{_with_default(after[name])}" for name in after if name not in before]
    return [
        *gone,
        *new,
        *(said for name in before if name in after for said in _field(name, before[name], after[name])),
    ]


def in_words(fields: Any) -> dict[str, str]:
    """Type and default of each field, for a person to read; nothing where these are no fields."""
    if not are_fields(fields):
        return {}
    return {name: cut(f"{words(field['type'])}; {_default_in_words(field)}", _LONG) for name, field in fields.items()}


def _default_in_words(field: Mapping[str, Any]) -> str:
    return f"default {_text(field['default'])}" if "default" in field else "has to be given"


_LONG: Final = 200
_ENOUGH: Final = 60


def _field(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    if _text(before["type"]) != _text(after["type"]):
        was, now = words(before["type"]), words(after["type"])
        yield f"'{name}' was {was}, and is {now} now" if was != now else f"the type of '{name}' has changed"
    old, new = _default(before), _default(after)
    if old is None and new is not None:
        yield f"'{name}' had to be given, and is {new} by default now"
    elif old != new:
        yield f"the default of '{name}' was {old}, and " + (
            "it has to be given now" if new is None else f"is {new} now"
        )


def _default(field: Mapping[str, Any]) -> str | None:
    return cut(_text(field["default"]), _ENOUGH) if "default" in field else None


def _with_default(field: Mapping[str, Any]) -> str:
    return f" ({cut(_text(field['default']), _ENOUGH)} by default)" if "default" in field else " and must be given"
