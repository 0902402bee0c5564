"""Typed hyperparameters: pydantic models that also read like a dictionary."""

from __future__ import annotations

import inspect
from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic import Field as Hparam
from pydantic_core import CoreSchema, core_schema

__all__ = ["AUTO", "Auto", "AutoField", "Hparam", "Hparams", "ValidationError"]

T = TypeVar("T")

_STRICT_LEAVES = frozenset({"int", "float", "bool", "str"})
# The keys of a YAML mapping are text, also where they are numbers.
_LEFT_ALONE = frozenset({"default", "expected", "keys_schema", "metadata", "serialization"})

RESERVED: Final = frozenset({"get", "items", "keys", "values", "from_config", "from_dict", "from_yaml", "to_plain"})
"""What every `Hparams` has as a method, so that no field can be called so."""


def _make_leaves_strict(schema: Any) -> None:
    # pydantic's strict mode would also refuse a list for a tuple and text for a path; only the leaves must be strict.
    if isinstance(schema, list | tuple):
        for part in schema:
            _make_leaves_strict(part)
    if not isinstance(schema, dict):
        return
    if schema.get("type") in _STRICT_LEAVES:
        schema["strict"] = True
    for key, part in schema.items():
        if key == "fields" and isinstance(part, dict):  # by name, and a field may have any name
            _make_leaves_strict(list(part.values()))
        elif key not in _LEFT_ALONE:
            _make_leaves_strict(part)


class Hparams(BaseModel, Mapping[str, Any]):
    """Hyperparameters of one component: validated, immutable, and a mapping from field names to values.

    Unknown keys are refused. Numbers, booleans and text are never converted into each other (`"1"` is not an
    integer), while a list is fine for a tuple, as it is in YAML. The text below a field is its meaning.

    Raises:
        pydantic.ValidationError: a `ValueError` that lists every wrong field.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in RESERVED.intersection(inspect.get_annotations(cls)):
            raise TypeError(f"{cls.__qualname__}: a field cannot be called '{name}', as a method of Hparams is")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Validate a plain dictionary."""
        if not isinstance(values, Mapping):
            raise TypeError(f"{cls.__name__} needs a mapping, not {type(values).__name__}")
        return cls.model_validate(dict(values))

    @classmethod
    def from_yaml(cls, path: str | Path, key: str | None = None) -> Self:
        """Read a YAML file, or the part of it below the dotted `key`.

        Raises:
            hydrantic.errors.BlueprintError: the file cannot be read or is not sound YAML.
            KeyError: the file has nothing at `key`.
            TypeError: what the file has at `key` is no mapping.
        """
        from hydrantic.reading import read_yaml

        node = root = read_yaml(Path(path))
        for part in key.split(".") if key else ():
            if (below := node.child(part)) is None:
                raise KeyError(f"{path} has no key '{key}'; it has {', '.join(root.plain())}")
            node = below
        return cls.from_dict({} if node.value is None else node.plain())

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Validate an OmegaConf `DictConfig` (its interpolations resolved) or a plain dictionary."""
        from omegaconf import OmegaConf

        if not OmegaConf.is_config(config):
            return cls.from_dict(config)
        values: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        return cls.from_dict(values)

    def to_plain(self) -> dict[str, Any]:
        """The fields as dictionaries, lists, text, numbers and None: what YAML and a checkpoint can hold."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        return plain

    @classmethod
    def meanings(cls) -> dict[str, str]:
        """What each field means: its description, or the text below it. Read from the source when asked for."""
        from hydrantic.meanings import meanings_of

        return meanings_of(cls)

    def __getitem__(self, name: str) -> Any:
        if name not in type(self).model_fields:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]  # a Mapping yields names, pydantic yields pairs
        return iter(type(self).model_fields)

    def __len__(self) -> int:
        return len(type(self).model_fields)

    def keys(self) -> KeysView[str]:
        """The names of the fields."""
        return self._fields().keys()

    def values(self) -> ValuesView[Any]:
        """The values of the fields."""
        return self._fields().values()

    def items(self) -> ItemsView[str, Any]:
        """Name and value of every field."""
        return self._fields().items()

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        _make_leaves_strict(schema)
        return schema


AUTO: Final[Any] = "auto"
"""The default of a field whose value the data supplies."""


class AutoField:
    """Marks a field whose value the data's facts supply under the field's own name."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def accept(value: Any, inner: core_schema.ValidatorFunctionWrapHandler) -> Any:
            return AUTO if isinstance(value, str) and value == AUTO else inner(value)

        schema = handler(source)
        _make_leaves_strict(schema)
        return core_schema.no_info_wrap_validator_function(
            accept, schema, serialization=core_schema.plain_serializer_function_ser_schema(_as_json)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"const": AUTO}, handler(schema)]}


def _as_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


if TYPE_CHECKING:
    Auto = Annotated[T, AutoField()]
    """`in_features: Auto[int] = AUTO` is an int that the data supplies unless the blueprint sets it."""
else:

    class Auto:
        """`in_features: Auto[int] = AUTO` is an int that the data supplies unless the blueprint sets it."""

        def __class_getitem__(cls, inner: Any) -> Any:
            return Annotated[inner, AutoField()]
