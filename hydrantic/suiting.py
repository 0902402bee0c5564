"""Whether data suits the model of a run: its files are there, and it is of the kind that the model was trained on."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from hydrantic.compose.sweeps import override_text
from hydrantic.errors import UsageError
from hydrantic.facts import Facts
from hydrantic.opening import Opened
from hydrantic.paths import input_paths
from hydrantic.source import display


def refuse_gone(opened: Opened) -> None:
    """Refuse data whose files are not where they were when the run was made; a person's own paths speak for themselves.

    Raises:
        UsageError: a file is not there; the message says how to name its present place.
    """
    component = opened.plan.data
    for name in input_paths(type(component.hparams)):
        file = component.hparams[name]
        source = opened.plan.document.source(component.places.get(name, (*component.path, name)))
        if isinstance(file, Path) and not source.on_command_line and not file.exists():
            raise UsageError(
                f"the data of {opened.found.label} is not there any more: there is no {display(file)}; "
                f"say where it is, or name other data: data.{name}=FILE"
            )


def refuse_unlike(opened: Opened, found: Facts) -> None:
    """Refuse data that the model was not made for: other inputs, other classes, other targets; or that has changed.

    Raises:
        UsageError: it is such data; the message says each difference.
    """
    if unlike := list(_differences(opened.facts, found)):
        raise UsageError(
            f"the data does not suit the model of {opened.found.label}:" + "".join(f"\n  {each}" for each in unlike)
        )
    if is_other(opened, found) and not any(map(_OF_DATA.match, opened.overrides)):
        raise UsageError(
            f"the data is not what {opened.found.label} was trained on any more: its fingerprint was "
            f"{opened.facts.fingerprint}, and is {found.fingerprint} now, so that nobody can tell which samples it was "
            f"trained on; to take all of it, those among them, name it: {_naming(opened)}"
        )


_OF_DATA: Final = re.compile(r"[+~]*data[.=@]")


def _naming(opened: Opened) -> str:
    """The override that names the data as it is."""
    component = opened.plan.data
    for name in input_paths(type(component.hparams)):
        file = display(Path(os.path.normpath(component.hparams[name])))
        override = f"data.{name}={override_text(file)}"
        return f'"{override}"' if "'" in override and not _IN_DOUBLE_QUOTES & {*override} else shlex.quote(override)
    return f"data={component.name}"


_IN_DOUBLE_QUOTES: Final = frozenset('"$`\\!')
"""What a shell changes between double quotes."""


def note_on_parts(opened: Opened) -> tuple[str, ...]:
    """A note where overrides divide the data in another way than in training, whose samples may be anywhere then."""
    before, after = opened.blueprint["data"], opened.plan.resolved()["data"]
    if all(before.get(name) == after.get(name) for name in _DIVIDING):
        return ()
    return ("the data is divided in another way than in training: samples that it was trained on may be among these",)


_DIVIDING: Final = ("split", "split_seed", "stratify")


def _differences(trained: Facts, found: Facts) -> Iterator[str]:
    """What of the data decides on the model and is not as it was; what counts samples may be anything."""
    if _differ(trained.input_shape, found.input_shape):
        yield f"inputs of shape {_shape(found.input_shape)}, not {_shape(trained.input_shape)}"
    elif _differ(trained.in_features, found.in_features):
        yield f"{found.in_features} input values, not {trained.in_features}"
    if _differ(trained.feature_names, found.feature_names):
        yield from _renamed("inputs", trained.feature_names or (), found.feature_names or ())
    if _kind(trained) != _kind(found) and trained.task and found.task:
        yield f"its task is {found.task}, not {trained.task}"
    elif _differ(trained.class_names, found.class_names):
        yield from _renamed("classes", trained.class_names or (), found.class_names or ())
    elif trained.num_classes and found.num_classes and found.num_classes > trained.num_classes:
        yield f"{found.num_classes} classes, not {trained.num_classes}"
    elif _kind(trained) != _CLASSES and _differ(trained.out_features, found.out_features):
        yield f"{found.out_features} target values, not {trained.out_features}"
    if _differ(trained.target_names, found.target_names):
        yield from _renamed("targets", trained.target_names or (), found.target_names or ())


def _renamed(what: str, trained: tuple[str, ...], found: tuple[str, ...]) -> Iterator[str]:
    if missing := [name for name in trained if name not in found]:
        yield f"{what} that are missing: {', '.join(missing[:10])}"
    if further := [name for name in found if name not in trained]:
        yield f"{what} that are unknown: {', '.join(further[:10])}"
    if not missing and not further:
        yield f"{what} in another order: {', '.join(found[:10])}"


_CLASSES: Final = "classes"


def _kind(facts: Facts) -> str | None:
    """The task; of two classes or of more is one, since a few samples may not show them all."""
    return _CLASSES if facts.task in {"binary", "multiclass"} else facts.task


def _differ(trained: Any, found: Any) -> bool:
    return trained is not None and found is not None and trained != found


def _shape(shape: tuple[int, ...] | None) -> str:
    return f"({', '.join(map(str, shape or ()))})"


def is_other(opened: Opened, found: Facts) -> bool:
    """Whether data is another than the run was trained on, as far as it states what it is."""
    before = opened.facts.fingerprint
    return before is not None and found.fingerprint is not None and before != found.fingerprint
