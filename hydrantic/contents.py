"""What a checkpoint says of the run that it is of: blueprint, components, the data's facts and its fitted state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from hydrantic.checkpoints import AtomicCheckpointIO, CheckpointError, read_checkpoint
from hydrantic.facts import FACT_NAMES, Facts
from hydrantic.identity import Identity
from hydrantic.source import display

KEY: Final = "hydrantic"
"""The entry of a checkpoint that holds this."""
FORMAT: Final = 1


@dataclass(frozen=True)
class Contents:
    """Everything but weights and the state of training."""

    blueprint: Mapping[str, Any]
    """The resolved blueprint of the run."""
    components: Mapping[str, Identity]
    """What its components were; see `hydrantic.identity`."""
    facts: Facts
    """What the data stated when the run began."""
    data: Mapping[str, Any] | None = field(default=None, repr=False)
    """The data module's state, such as fitted preprocessing; None where it keeps none."""
    data_key: str = ""
    """Where Lightning keeps that state in a checkpoint: the data module's class."""

    def to_plain(self) -> dict[str, Any]:
        """Plain types, which a checkpoint can hold under `KEY`."""
        facts = self.facts.stated().items()
        return {
            "format": FORMAT,
            "blueprint": dict(self.blueprint),
            "components": {name: dict(each) for name, each in self.components.items()},
            "facts": {name: list(value) if isinstance(value, tuple) else value for name, value in facts},
            "data_key": self.data_key,
        }

    @classmethod
    def of(cls, state: Mapping[str, Any], file: Path) -> Self:
        """What a checkpoint that was read says.

        Raises:
            CheckpointError: it is none of a run of hydrantic, or of a later format.
        """
        said = state.get(KEY)
        if not isinstance(said, Mapping) or "blueprint" not in said:
            raise CheckpointError(
                f"{display(file)} is a checkpoint, but not of a run of hydrantic: it carries no blueprint"
            )
        if said.get("format") != FORMAT:
            raise CheckpointError(f"{display(file)} was written by a later hydrantic (format {said.get('format')})")
        parts = [state["state_dict"], *(said.get(name) for name in ("blueprint", "components", "facts"))]
        if not all(isinstance(each, Mapping) for each in parts):
            raise CheckpointError(
                f"{display(file)} is no checkpoint of a run, or was changed since: its contents are broken"
            )
        key = str(said.get("data_key"))
        return cls(said["blueprint"], said["components"], _facts(said["facts"]), state.get(key), key)


def read(file: Path) -> tuple[dict[str, Any], Contents]:
    """A checkpoint's whole state, and what it says of its run.

    Raises:
        CheckpointError: it is missing, damaged, foreign, or holds more than tensors and plain types.
    """
    state = read_checkpoint(file)
    return state, Contents.of(state, file)


class DescribedCheckpoints(AtomicCheckpointIO):
    """Writes checkpoints that carry their contents, also those that hold no more than weights.

    Arguments:
        contents: what they carry.
        stops: see `AtomicCheckpointIO`.
    """

    def __init__(self, contents: Contents, *, stops: bool = True) -> None:
        super().__init__(stops=stops)
        self._plain = contents.to_plain()

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Add the contents, and save."""
        super().save_checkpoint({**checkpoint, KEY: self._plain}, path, storage_options)


def _facts(plain: Mapping[str, Any]) -> Facts:
    known: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in plain.items() if name in FACT_NAMES
    }
    return Facts(**known, extra={name: value for name, value in plain.items() if name not in FACT_NAMES})
