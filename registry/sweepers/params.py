"""What a blueprint sweeps: the field `params`, and how the keys in it are gone through."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from hydrantic import Choice, Hparam, Hparams, InvalidField, Range, Space


class ParamsHparams(Hparams):
    """Which keys a sweep changes."""

    params: dict[str, JsonValue] = Hparam(default_factory=dict)
    """Values by key, as in `optimizer.lr: [1e-3, 1e-4]`: a list, or text such as `1,2,3` or `range(1, 10, 3)`."""


def listed(space: Space) -> Mapping[str, tuple[str, ...]]:
    """Every value of each key.

    Raises:
        InvalidField: there are none, or too many to go through them one by one.
    """
    if not space:
        raise InvalidField("params", "nothing is swept: write keys with several values, as in {seed: [1, 2, 3]}")
    return {key: _values(key, each) for key, each in space.items()}


def _values(key: str, dimension: Choice | Range) -> tuple[str, ...]:
    values = dimension.values if isinstance(dimension, Choice) else dimension.texts()
    if values is None:
        raise InvalidField(
            "params",
            f"{key}: the values {_told(dimension)} cannot be gone through one by one; write steps, as in "
            "range(start, stop, step), or choose the sweeper random or optuna",
        )
    if not values:
        raise InvalidField("params", f"{key}: there is no value to choose from")
    return values


def _told(dimension: Choice | Range) -> str:
    return f"from {dimension.low:g} to {dimension.high:g}" if isinstance(dimension, Range) else "that are given"
