"""What may differ when a run goes on: all that decides how long it trains, and nothing that decides what it learns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hydrantic.source import dotted

MAY_CHANGE: Final = (
    "description", "requires", "vars", "objective", "loggers", "hydra", "early_stopping",
    "checkpoint.every_n_steps", "checkpoint.on_error", "checkpoint.save_top_k", "checkpoint.save_last",
    "checkpoint.filename",
    "trainer.max_epochs", "trainer.min_epochs", "trainer.max_steps", "trainer.min_steps", "trainer.max_time",
    "trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.log_every_n_steps", "trainer.profiler",
    "trainer.num_sanity_val_steps", "trainer.detect_anomaly", "trainer.limit_test_batches",
    "trainer.limit_predict_batches",
)  # fmt: skip
"""The keys of a blueprint that may change while a run goes on, with everything below them."""

LENGTHS: Final = (
    "trainer.max_epochs", "trainer.min_epochs", "trainer.max_steps", "trainer.min_steps", "trainer.max_time",
    "early_stopping",
)  # fmt: skip
"""Those that decide when training ends."""
_STOPPING: Final = ("early_stopping", "trainer.max_time")


@dataclass(frozen=True)
class Change:
    """A value of a blueprint that differs."""

    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.key}: was {_said(self.before)}, would be {_said(self.after)}"

    def is_of(self, keys: tuple[str, ...]) -> bool:
        """Whether it is one of these keys, or below one."""
        return any(self.key == each or self.key.startswith(f"{each}.") for each in keys)


def changed_values(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """What differs between two resolved blueprints; of blocks that both have, the values in them.

    Arguments:
        before: of the run.
        after: as it would go on.
    """
    return tuple(_changes(before, after, ()))


def breaking(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """Those with which a run would become another one."""
    return tuple(each for each in changes if not each.is_of(MAY_CHANGE))


def lengthens(changes: tuple[Change, ...]) -> bool:
    """Whether they let training end at another time."""
    return any(each.is_of(LENGTHS) for each in changes)


def forgets_stop(changes: tuple[Change, ...]) -> bool:
    """Whether they change what may have told training to stop."""
    return any(each.is_of(_STOPPING) for each in changes)


def left_behind(changes: tuple[Change, ...], blueprint: Mapping[str, Any]) -> tuple[str, ...]:
    """Notes on the scheduler's values that may have followed a length which has been changed."""
    scheduler = blueprint.get("scheduler")
    lengths = {each.before: each.key for each in changes if each.is_of(LENGTHS) and isinstance(each.before, int)}
    values = scheduler.items() if isinstance(scheduler, Mapping) else ()
    return tuple(
        f"scheduler.{name} stays {value}, though {lengths[value]} has changed: a schedule cannot change under way"
        for name, value in values
        if isinstance(value, int) and not isinstance(value, bool) and value in lengths and value > 1
    )


def _changes(before: Any, after: Any, path: tuple[str, ...]) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            yield from _changes(before.get(key), after.get(key), (*path, str(key)))
    elif before != after:
        yield Change(dotted(path), before, after)


def _said(value: Any) -> str:
    from hydrantic.yaml_text import to_yaml

    text = to_yaml({"value": value}).strip().removeprefix("value:").strip()
    return " ".join(text.split())
