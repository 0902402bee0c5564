"""Deriving Hparams from a signature and its docstring: what a blueprint can set of a plain class or function."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import types
import typing
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Field, JsonValue, create_model
from pydantic.fields import FieldInfo

from hydrantic.errors import RegistrationError
from hydrantic.hparams import AUTO, RESERVED, AutoField, Hparams
from hydrantic.meanings import DERIVED_FROM

Translate = Callable[[Any], Any]
"""Turns an annotation that is not data into one that a blueprint can fill, or into None."""

_CONTAINERS: Final[Mapping[Any, Any]] = {
    list: list, tuple: tuple, set: set, frozenset: frozenset, dict: dict,
    Sequence: list, Iterable: list, Collection: list, Mapping: dict,
}  # fmt: skip
_POSITIVE: Final = {"gt": 0}
_NOT_NEGATIVE: Final = {"ge": 0}
_AT_LEAST_MINUS_ONE: Final = {"ge": -1}
RANGES: Final[Mapping[str, Mapping[str, float]]] = {
    "lr": _POSITIVE, "max_lr": _POSITIVE, "T_max": _POSITIVE, "T_0": _POSITIVE, "step_size": _POSITIVE,
    "total_iters": _NOT_NEGATIVE, "weight_decay": _NOT_NEGATIVE, "momentum": _NOT_NEGATIVE, "patience": _NOT_NEGATIVE,
    "eps": _NOT_NEGATIVE, "max_epochs": _AT_LEAST_MINUS_ONE, "batch_size": _POSITIVE,
    **dict.fromkeys(("accumulate_grad_batches", "check_val_every_n_epoch", "num_nodes"), _POSITIVE),
    **dict.fromkeys(("limit_train_batches", "limit_val_batches", "limit_test_batches"), _NOT_NEGATIVE),
    **dict.fromkeys(("limit_predict_batches", "overfit_batches", "gradient_clip_val", "min_epochs"), _NOT_NEGATIVE),
    **dict.fromkeys(("min_steps", "log_every_n_steps", "reload_dataloaders_every_n_epochs"), _NOT_NEGATIVE),
    "max_steps": _AT_LEAST_MINUS_ONE, "num_sanity_val_steps": _AT_LEAST_MINUS_ONE,
}  # fmt: skip
"""Ranges that the common names have everywhere; a plain signature cannot say them."""


def derive_hparams(
    component: Callable[..., Any],
    *,
    leave: Collection[str],
    translate: Translate,
    auto: Collection[str] = (),
    rules: Mapping[str, Any] = MappingProxyType({}),
) -> type[Hparams]:
    """A class of Hparams with a field for each argument of `component` that a blueprint can set.

    Arguments:
        component: a class or function.
        leave: names of arguments that the framework supplies.
        translate: what to make of annotations that are not data, such as modules.
        auto: names of arguments that the data supplies where they have no default.
        rules: what the arguments of some names have to obey beside their type, as metadata of `Annotated`.

    Raises:
        RegistrationError: a required argument has a type that a blueprint cannot hold.
    """
    hints = hints_of(component)
    derived: dict[str, Any] = {}
    for parameter in signature_of(component).parameters.values():
        if parameter.name in leave or parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            continue
        if (field := _field(component, parameter, hints, translate, auto)) is not None:
            type_, info = field
            derived[parameter.name] = (Annotated[type_, rule] if (rule := rules.get(parameter.name)) else type_), info
    name = "".join(part.title() if part.islower() else part for part in _name_of(component).split("_"))
    with warnings.catch_warnings():
        # An argument may well be called `copy` or `schema`; those methods of pydantic's are deprecated and unused.
        warnings.filterwarnings("ignore", 'Field name ".*" shadows an attribute', UserWarning)
        made = create_model(f"{name}Hparams", __base__=Hparams, __doc__=inspect.getdoc(component), **derived)
    setattr(made, DERIVED_FROM, component)
    return made


def signature_of(component: Callable[..., Any]) -> inspect.Signature:
    """The signature of a class or function.

    Raises:
        RegistrationError: it has none that Python can tell.
    """
    try:
        return inspect.signature(component)
    except (TypeError, ValueError) as error:
        raise RegistrationError(f"{_name_of(component)} cannot be registered: {error}") from error


def _name_of(component: Any) -> str:
    if isinstance(component, functools.partial):
        return _name_of(component.func)
    return str(getattr(component, "__name__", type(component).__name__))


def _field(
    component: Callable[..., Any],
    parameter: inspect.Parameter,
    hints: Mapping[str, Any],
    translate: Translate,
    auto: Collection[str],
) -> tuple[Any, FieldInfo] | None:
    required = parameter.default is parameter.empty
    annotation = hints.get(parameter.name, parameter.empty)
    if annotation is parameter.empty or annotation is Any:
        annotation = _type_of_default(parameter.default)
    data = data_type(annotation, translate)
    default = None if required else plain_default(parameter.default)
    if not _can_be_field(parameter.name):
        if required:
            raise RegistrationError(
                f"{_name_of(component)}: a blueprint cannot set an argument called '{parameter.name}'; "
                "call it otherwise or give it a default"
            )
        return None
    if data is None or default is _NOT_DATA:
        if required:
            raise RegistrationError(
                f"{_name_of(component)}: a blueprint cannot fill the argument '{parameter.name}' of type "
                f"{annotation}; give it a default or a type that YAML can write"
            )
        return None
    has_own = _has_ranges_of_its_own(data) or not _is_number(data)
    about: dict[str, Any] = {} if has_own else dict(RANGES.get(parameter.name, {}))
    if required and parameter.name in auto:
        return Annotated[data, AutoField()], Field(AUTO, **about)
    # A default that contradicts its own annotation (`x: int = None`) is what the author accepts.
    if not required and default is None and data is not None:
        data = data | None if not isinstance(data, str) else data
    return data, Field(... if required else default, **about)


def _can_be_field(name: str) -> bool:
    # `name` selects the component, and what pydantic and Hparams need for themselves is no field either.
    return not (name == "name" or name in RESERVED or name.startswith("_") or name in _PYDANTIC)


_PYDANTIC: Final = frozenset(name for name in dir(BaseModel) if name.startswith("model_"))


class _NotData:
    pass


_NOT_DATA: Final[Any] = _NotData()


def plain_default(default: Any) -> Any:
    """A default value as data, or a marker where it is none."""
    if isinstance(default, Enum):
        return default.value
    if default is None or isinstance(default, str | int | float | bool | Path | Hparams):
        return default
    if isinstance(default, list | tuple | set | frozenset):
        parts = [plain_default(part) for part in default]
        return _NOT_DATA if any(part is _NOT_DATA for part in parts) else type(default)(parts)
    if isinstance(default, dict):
        return default
    return _NOT_DATA


def _type_of_default(default: Any) -> Any:
    for scalar in (bool, int, float, str):
        if isinstance(default, scalar):
            return scalar
    return JsonValue


def data_type(annotation: Any, translate: Translate) -> Any:  # noqa: PLR0911 -- one return per kind of annotation
    """The part of an annotation that a blueprint can write, or None where nothing is left."""
    if annotation is None or annotation is types.NoneType:
        return types.NoneType
    if annotation is Any:
        return JsonValue
    if (translated := translate(annotation)) is not None:
        return translated
    origin = get_origin(annotation)
    if origin in {Union, types.UnionType}:
        return _union(get_args(annotation), translate)
    if origin is Literal or annotation in {int, float, bool, str, JsonValue}:
        return annotation
    if origin is Annotated:
        inner = data_type(get_args(annotation)[0], translate)
        return None if inner is None else Annotated[(inner, *annotation.__metadata__)]
    if origin in _CONTAINERS or annotation in _CONTAINERS:
        return _container(origin or annotation, get_args(annotation), translate)
    if isinstance(annotation, type) and issubclass(annotation, Enum | Path | BaseModel):
        return annotation
    return None


def _union(members: Sequence[Any], translate: Translate) -> Any:
    kept = [data for member in members if (data := data_type(member, translate)) is not None]
    real = [each for each in kept if each is not types.NoneType]
    return Union[tuple(kept)] if real else None  # noqa: UP007 -- built from a tuple


def _container(origin: Any, args: Sequence[Any], translate: Translate) -> Any:
    made = _CONTAINERS[origin]
    if not args:
        return dict[str, JsonValue] if made is dict else list[JsonValue] if made is list else made
    inner = [each if each is Ellipsis else data_type(each, translate) for each in args]
    return None if any(each is None for each in inner) else made[tuple(inner)]


def _has_ranges_of_its_own(annotation: Any) -> bool:
    return get_origin(annotation) is Annotated


def _is_number(annotation: Any) -> bool:
    members = get_args(annotation) if get_origin(annotation) in {Union, types.UnionType} else (annotation,)
    return all(member in {int, float, types.NoneType} for member in members)


# What a module may import for type checkers only, and still use in its annotations.
_ABSTRACT: Final = {name: getattr(collections.abc, name) for name in collections.abc.__all__}


def hints_of(component: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a constructor's or function's arguments; `object` for those that cannot be evaluated."""
    function = _function_of(component)
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):  # names that only a type checker sees
        return dict(_hints_one_by_one(function))


def _function_of(component: Any) -> Any:
    """What holds the annotations of a class, a function, a partial function or an object that can be called."""
    if isinstance(component, type):
        has_own = component.__init__ is not object.__init__  # type: ignore[misc]  # only looked at
        return component.__init__ if has_own else component.__new__  # type: ignore[misc]  # as above
    if isinstance(component, functools.partial):
        return _function_of(component.func)
    return component if inspect.isroutine(component) else type(component).__call__


def _hints_one_by_one(function: Any) -> Iterable[tuple[str, Any]]:
    scope = _ABSTRACT | getattr(inspect.unwrap(function), "__globals__", {})
    for name, annotation in getattr(function, "__annotations__", {}).items():
        probe = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            yield name, typing.get_type_hints(probe, scope, include_extras=True)[name]
        except (NameError, TypeError, AttributeError):
            # Such a type is not data; `object` says so to `data_type`.
            yield name, object
