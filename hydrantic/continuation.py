"""A run that is to go on: what there is to go on from, and whether it would still be the same run."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hydrantic.contents import Contents
from hydrantic.continuity import Change, breaking, changed_values, left_behind, lengthens
from hydrantic.errors import UsageError
from hydrantic.exact import KEY as EXACT
from hydrantic.identity import changes, identities
from hydrantic.liveness import has_gone
from hydrantic.paths import input_paths
from hydrantic.plan import Plan
from hydrantic.requeueing import has_been_requeued
from hydrantic.resuming import Resumable, latest_checkpoint
from hydrantic.rundir import RunDirectory, versions
from hydrantic.source import display

if TYPE_CHECKING:
    from hydrantic.build import Draft
    from hydrantic.processes import Team

_MAY_DIFFER: Final = "the numbers may differ from here on"


def refuse_alive(directory: RunDirectory, earlier: Mapping[str, Any]) -> None:
    """Refuse to go on with a run whose process is still there, on this machine.

    Raises:
        UsageError: it is.
    """
    if earlier.get("status") != "running" or earlier.get("host") != socket.gethostname():
        return
    if not has_gone(earlier, directory.record_file.stat().st_mtime) and earlier.get("pid") != os.getpid():
        raise UsageError(f"{display(directory.path)} is still running, as process {earlier.get('pid')}")


def _nothing_to_go_on_from(directory: RunDirectory, notes: list[str]) -> str:
    """Said where starting anew would remove weights that somebody may need."""
    why = "".join(f"\n  {each}" for each in notes[:-1]) or "\n  they hold too little of its state"
    return (
        f"no checkpoint of {display(directory.path)} lets training go on:{why}\n"
        f"begin a new run instead: hydrantic fit {shlex.quote(display(directory.blueprint_file))}"
    )


@dataclass(frozen=True)
class Continuation:
    """A run that is to go on, and what has changed of it."""

    directory: RunDirectory
    earlier: Mapping[str, Any]
    folder: Path
    found: Resumable | None
    changes: tuple[Change, ...]
    notes: list[str]

    @classmethod
    def of(cls, directory: RunDirectory, earlier: Mapping[str, Any], plan: Plan) -> Continuation:
        """Look at what there is.

        Raises:
            UsageError: the run is finished, or would become another one.
            CheckpointError: its last checkpoint is one of another program.
        """
        kept, notes = plan.blueprint.checkpoint, list[str]()
        folder = directory.checkpoints if kept is None else directory.path / kept.dirpath
        found = latest_checkpoint(folder, notes)
        if found is None and any(folder.glob("*.ckpt")):
            raise UsageError(_nothing_to_go_on_from(directory, notes))
        contents = None if found is None else Contents.of(found[1], found[0])
        before = earlier.get("blueprint") if contents is None else contents.blueprint
        changes = changed_values(before, plan.resolved()) if isinstance(before, Mapping) else ()
        again = cls(directory, earlier, folder, found, changes, notes)
        again._refuse_changes(plan)
        again._refuse_finished(plan)
        again._refuse_shorter(plan)
        if contents is not None:
            again._refuse_other_components(contents, plan)
        notes += [*left_behind(changes, plan.resolved()), *again._other_versions(), *again._of_sweep()]
        return again

    @property
    def noted(self) -> dict[str, Any]:
        """What its record says that this attempt would not find out again."""
        return {name: self.earlier[name] for name in ("rerun_of",) if name in self.earlier}

    def _refuse_finished(self, plan: Plan) -> None:
        if self.earlier.get("status") != "finished" or lengthens(self.changes) or has_been_requeued():
            return
        epochs = plan.trainer["max_epochs"]
        longer = f"trainer.max_epochs={2 * epochs}" if isinstance(epochs, int) and epochs > 0 else "trainer.max_steps=N"
        raise UsageError(
            f"{self._shown} is finished; "
            f"`hydrantic resume {shlex.quote(self._shown)} {longer}` would train it for longer"
        )

    def _refuse_changes(self, plan: Plan) -> None:
        if wrong := [each for each in breaking(self.changes) if not each.is_of(self._compared(plan))]:
            lines = "".join(f"\n  {each}" for each in wrong)
            blueprint = shlex.quote(display(self.directory.blueprint_file))
            raise UsageError(
                f"{self._shown} would become another run:{lines}\n"
                f"begin a new one instead: hydrantic fit {blueprint} key=value ...\n"
                "(`hydrantic resume --help` lists what may change while a run goes on)"
            )

    def _compared(self, plan: Plan) -> tuple[str, ...]:
        """The keys of files that may lie elsewhere now: whether they are the same, their fingerprint tells later."""
        if self.found is None or self.earlier.get("data") is None:
            return ()
        return tuple(f"data.{name}" for name in input_paths(type(plan.data.hparams)))

    def _refuse_shorter(self, plan: Plan) -> None:
        """Refuse an end before what has been trained: the run would not be what its blueprint says."""
        if self.found is None:
            return
        state = self.found[1]
        begun = state["loops"]["fit_loop"]["epoch_progress"]["current"]["ready"]
        for name, unit, at in (("max_epochs", "epoch", begun), ("max_steps", "step", state["global_step"])):
            most = plan.trainer[name]
            if isinstance(most, int) and 0 <= most < at:
                raise UsageError(
                    f"{self._shown} has come to {unit} {at} already; trainer.{name}={most} ends before that"
                )

    def _refuse_other_components(self, contents: Contents, plan: Plan) -> None:
        before, now = contents.components, identities(plan)
        told = changes({name: each for name, each in before.items() if name.partition("/")[0] != "logger"}, now)
        other = {name for name, each in before.items() if name in now and each.get("schema") != now[name].get("schema")}
        if wrong := [line for line in told if line.partition(":")[0] in other]:
            raise UsageError(f"components of {self._shown} have other fields now:" + "".join(f"\n  {w}" for w in wrong))
        self.notes.extend(f"{line}; {_MAY_DIFFER}" for line in told if "no part any more" not in line)

    def _other_versions(self) -> list[str]:
        before = self.earlier.get("versions")
        pairs = [(n, before.get(n), v) for n, v in versions().items()] if isinstance(before, Mapping) else []
        return [f"{name} was {old} and is {new} now; {_MAY_DIFFER}" for name, old, new in pairs if old != new]

    def _of_sweep(self) -> list[str]:
        is_counted = self.directory.group is not None and self.earlier.get("status") == "finished"
        return (
            [f"it is a job of {self.directory.group}, whose table keeps what it had come to there"]
            if is_counted
            else []
        )

    def refuse_other(self, drafted: Draft, team: Team) -> None:
        """Refuse to go on with other data or another number of processes.

        Raises:
            UsageError: they are others.
        """
        before, now = self.earlier.get("data"), drafted.facts.fingerprint
        if self.found is None:
            return
        if before != now:
            raise UsageError(f"{self._shown} was trained on other data: its fingerprint was {before} and is {now} now")
        processes = len(self.found[1][EXACT]["processes"])
        if processes != team.place.world:
            raise UsageError(
                f"{self._shown} was trained by {processes} processes together, and there are {team.place.world} now"
            )

    @property
    def _shown(self) -> str:
        return display(self.directory.path)
