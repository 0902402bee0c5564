"""Repeating a run from its record, and telling whether it came to the same numbers, to the last bit."""

from __future__ import annotations

import platform
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hydrantic.checking import prepare
from hydrantic.errors import HydranticError, RunFailed, UsageError
from hydrantic.finding import Found, checkpoint_folder, file_below, find_run
from hydrantic.fitting import NotBegun, execute, follow, gathered, silent_if_following
from hydrantic.identity import changes, components_of, files_of, identities, own_modules
from hydrantic.plan import Plan
from hydrantic.project import Project
from hydrantic.reading import read_document
from hydrantic.rundir import RunDirectory, RunRecord, git_state, plain_json, runs_root, source_hashes, versions
from hydrantic.source import KeyPath, display, dotted
from hydrantic.texts import counted, cut, on_one_line, visible
from hydrantic.traces import Comparison, compared, read_trace
from hydrantic.yaml_text import to_inline_yaml

if TYPE_CHECKING:
    from torch import Tensor

    from hydrantic.build import Draft
    from hydrantic.processes import Team
    from hydrantic.run import Run

_TEST: Final = "test/"
_SHOWN: Final = 40
_MOST: Final = 4
_UNLOGGED: Final = ("++loggers=null",)
"""Nothing is logged twice: a logger that is not installed here, or its password, is not missed."""


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it was recorded: `str()` words it."""

    what: str
    """Such as `torch`, `git commit`, `data`, `model/mine`, or the path of a value in the blueprint."""
    recorded: Any
    present: Any
    words: str = ""
    """More than the two values tell, such as which fields of a component have changed."""

    def to_plain(self) -> dict[str, Any]:
        """The difference as a record for a program."""
        return {"what": self.what, "recorded": self.recorded, "present": self.present, "words": str(self)}

    def __str__(self) -> str:
        if self.words:
            return f"{self.what}: {self.words}"
        was, now = (cut(to_inline_yaml(each), _SHOWN) for each in (self.recorded, self.present))
        return f"{self.what}: it was {was}, and is {now} now"


@dataclass(frozen=True)
class Rerun:
    """A run and its repetition, compared."""

    of: Path
    """The directory of the run that was repeated."""
    run: Run
    """The repetition."""
    differences: tuple[Difference, ...]
    """What is not as it was when the run was recorded: versions, commit, sources, data, machine, blueprint."""
    notes: tuple[str, ...]
    """What else bears on the comparison, a line each."""
    trace: Comparison
    """How much of the run's metrics.csv was repeated."""
    results: tuple[Difference, ...]
    """The final and best metrics that came out otherwise."""
    weights: str | None
    """How the weights of the best checkpoint differ: empty where they are equal, None where there are none to
    compare."""
    unfinished: str = ""
    """How the recorded run ended, where it did not come to its end."""
    failure: str = ""
    """The error that both ended with."""

    @property
    def repeated(self) -> bool:
        """Whether everything that was recorded came out the same, be it the whole run or its beginning."""
        return self.trace.departure is None and not self.results and not self.weights

    @property
    def matched(self) -> bool:
        """Whether the whole run was repeated, bit for bit."""
        return self.repeated and not self.unfinished

    def to_plain(self) -> dict[str, Any]:
        """The comparison as a record for a program."""
        departure = self.trace.departure
        record: dict[str, Any] = {
            "of": str(self.of),
            "run": str(self.run.path),
            "matched": self.matched,
            "repeated": self.repeated,
            "unfinished": self.unfinished or None,
            "failure": self.failure or None,
            "rows": self.trace.rows,
            "values": self.trace.values,
            "departure": None if departure is None else departure.to_plain(),
            "metrics": [each.to_plain() for each in self.results],
            "weights": {None: "not compared", "": "equal"}.get(self.weights, self.weights),
            "differences": [each.to_plain() for each in self.differences],
            "notes": list(self.notes),
        }
        plain: dict[str, Any] = plain_json(record)
        return plain

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        departure, rows = self.trace.departure, counted(self.trace.rows, "row")
        if self.repeated:
            weights = "" if self.weights is None else ", and the weights of the best checkpoint"
            what = f"{counted(self.trace.values, 'value')} in {rows} of metrics.csv{weights}"
            ending = f"; but the run itself is not whole: it {self.unfinished}" if self.unfinished else ""
            yield f"matched bit for bit: {what}{ending}{', with the same error as now' if self.failure else ''}"
            return
        yield "did not match"
        if departure is not None:
            yield f"  first at {departure}"
            yield f"  {departure.row} of {rows} before it are equal"
        else:
            yield f"  all {rows} of metrics.csv are equal"
        yield from (f"  {each}" for each in self.results[:_MOST])
        if len(self.results) > _MOST:
            yield f"  and {counted(len(self.results) - _MOST, 'further metric')} of the end"
        if self.weights:
            yield f"  the weights of the best checkpoint: {self.weights}"
        if self.differences:
            yield "  what may have caused it:"
            yield from (f"    {each}" for each in self.differences)


def rerun(
    run: str | Path, *, project: str | Path | None = None, runs: str | Path | None = None, test: bool = True
) -> Rerun:
    """Train what a run's `blueprint.yaml` says once more, in a directory of its own, and compare the two.

    It computes on as many threads as the run did. It logs to its own `metrics.csv` alone: the loggers of the blueprint
    have what it says already.

    Arguments:
        run: the run's directory, or a folder of runs, which means the latest of them.
        project: the folder whose `registry/` may be used; by default the project that holds the working directory.
        runs: the folder of all runs, where the repetition is kept.
        test: whether the test is repeated, where the run had one.

    Raises:
        UsageError: there is no such run, or its record is broken.
        BlueprintError: its blueprint cannot be run any more, such as for a component or a file that is gone.
        RunFailed: training raised an error; the directory of the repetition records it.
        Interrupted: SIGINT or SIGTERM arrived; the state was saved.
    """
    with silent_if_following():
        home = Project.find(explicit=None if project is None else Path(project))
        root = runs_root(None if runs is None else Path(runs), home.root)
        return _Repetition(_Original.of(find_run(run)), home, root, test).carried_out()


@dataclass(frozen=True)
class _Original:
    """What is kept of the run that is repeated."""

    directory: Path
    record: Mapping[str, Any]
    components: Mapping[str, Any]
    """The identities of its components; empty where it kept no checkpoint."""

    @classmethod
    def of(cls, found: Found) -> _Original:
        directory = found.directory
        if directory is None:
            raise UsageError(f"{found.label} is a checkpoint alone; `hydrantic rerun` needs the directory of its run")
        record = found.record
        if not isinstance(record.get("status"), str):
            raise UsageError(f"{display(directory / 'run.json')} is not the record of a run: it has no status")
        if not (directory / "blueprint.yaml").is_file():
            raise UsageError(f"the run in {display(directory)} has no blueprint.yaml, so it cannot be repeated")
        read_trace(directory)  # what cannot be compared is told before anything is trained
        return cls(directory, record, {})

    @property
    def is_tested(self) -> bool:
        """Whether the run came to its test."""
        return any(name.startswith(_TEST) for name in _mapping(self.record.get("metrics")))

    @property
    def unfinished(self) -> str:
        """How it ended, where it did not come to its end."""
        status = self.record["status"]
        said = {"finished": "", "failed": "failed", "interrupted": "was interrupted", "pruned": "was given up"}
        return said.get(status, "never came to its end")

    @property
    def error(self) -> str | None:
        """What it failed with, if it did."""
        return _error(self.record)

    @property
    def best(self) -> Path | None:
        """Its best checkpoint, where that is still there."""
        return _best(self.directory, self.record)


def _best(directory: Path, record: Mapping[str, Any]) -> Path | None:
    name = record.get("best_checkpoint")
    return file_below(directory, name) if isinstance(name, str) else None


def _error(record: Mapping[str, Any]) -> str | None:
    said = _mapping(record.get("error"))
    return on_one_line(f"{said.get('type')}: {said.get('message')}") if said else None


def _last(original: _Original) -> Path | None:
    return file_below(original.directory, f"{checkpoint_folder(original.record)}/last.ckpt")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


@dataclass
class _Repetition:
    """One repetition from its first moment to its last."""

    original: _Original
    home: Project
    root: Path
    test: bool
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def carried_out(self) -> Rerun:
        from hydrantic.process import settings_as_they_were

        plan = prepare(self.original.directory / "blueprint.yaml", _UNLOGGED, project=self.home)
        self._embed()
        with settings_as_they_were(), gathered(plan, threads=self.original.record.get("threads")) as team:
            run = self._trained(plan, team)
        return self._compared(run)

    def _embed(self) -> None:
        """Read of a checkpoint of the run what its components and its blueprint were."""
        from hydrantic.checkpoints import CheckpointError
        from hydrantic.contents import read

        kept = self.original.best or _last(self.original)
        if kept is None:
            return
        try:
            _, contents = read(kept)
        except CheckpointError as error:
            self.notes.append(f"nothing of its checkpoint is compared: {error}")
            return
        record = {"blueprint": contents.blueprint, **self.original.record}
        self.original = replace(self.original, record=record, components=contents.components)

    def _trained(self, plan: Plan, team: Team) -> Run:
        from hydrantic.build import draft
        from hydrantic.run import Run
        from hydrantic.training import Terms

        drafted = draft(plan)
        self._compare_conditions(drafted)
        tests = self.test and (self.original.is_tested or bool(self.original.unfinished))
        terms = Terms(test=tests, noted={"rerun_of": str(self.original.directory.absolute())})
        if not team.place.leads:
            follow(drafted, terms, team)
            raise SystemExit(0)
        self._tell()
        place = RunDirectory.create(self.root, plan.name)
        try:
            with place.held():
                return execute(drafted, place, self.home, terms, team)
        except NotBegun as error:
            place.discard()
            raise error.reason from error.reason.__cause__
        except RunFailed as error:
            if self.original.error is None:
                raise  # it came to its end then
            print(visible(str(error)), file=sys.stderr)  # it may be what is to be repeated
            return Run(place.path, plan, project=self.home.root)

    def _compare_conditions(self, drafted: Draft) -> None:
        record, plan = self.original.record, drafted.plan
        self.differences += _edits(self.original)
        self.differences += _changed_values(_recorded(record), _present(self.home, drafted))
        self.differences += _changed_components(self.original, plan)
        self.differences += _changed_modules(record)
        self.notes += _notes(self.original, plan)

    def _tell(self) -> None:
        print(f"repeating {display(self.original.directory)}", file=sys.stderr)
        same = "everything is as it was recorded: versions, commit, sources, data, machine"
        for line in [str(each) for each in self.differences] or [same]:
            print(f"  {visible(on_one_line(line))}", file=sys.stderr)

    def _compared(self, run: Run) -> Rerun:
        record = RunRecord.read(run.path / "run.json").fields
        for name in ("device", "processes"):
            self.differences += _changed_values(_only(self.original.record, name), _only(record, name))
        has_test = any(name.startswith(_TEST) for name in run.metrics)
        left_out = () if has_test or not self.original.is_tested else (_TEST,)
        if left_out:
            self.notes.append("the test was left out")
        unfinished, error = self.original.unfinished, self.original.error
        failure = error if error is not None and error == _error(record) else ""
        traces = (read_trace(each, without=left_out) for each in (self.original.directory, run.path))
        trace = compared(*traces, to_the_end=not unfinished or bool(failure))
        results = _ends(self.original, record) if unfinished else _results(self.original.record, record, left_out)
        weights = None if unfinished else self._weights(run, record)
        return Rerun(
            self.original.directory, run, tuple(self.differences), tuple(self.notes), trace, tuple(results), weights,
            unfinished, failure,
        )  # fmt: skip

    def _weights(self, run: Run, record: Mapping[str, Any]) -> str | None:
        """How the weights of the best checkpoints differ; None where the first run has none any more."""
        from hydrantic.checkpoints import CheckpointError, read_checkpoint

        before, after = self.original.best, _best(run.path, record)
        if before is None:
            if self.original.record.get("best_checkpoint"):
                self.notes.append("its best checkpoint is gone, so the weights are not compared")
            return None
        if after is None:
            return "there are none now"
        try:
            recorded = read_checkpoint(before)["state_dict"]
        except CheckpointError:  # said already
            return None
        return _changed_weights(recorded, read_checkpoint(after)["state_dict"])


def _changed_weights(recorded: Mapping[str, Any], present: Mapping[str, Any]) -> str:
    if recorded.keys() != present.keys():
        return f"other tensors: {', '.join(sorted(recorded.keys() ^ present.keys())[:3])}"
    parted = [name for name, value in recorded.items() if not _same(value, present[name])]
    return f"{len(parted)} of {counted(len(recorded), 'tensor')} differ, the first {parted[0]}" if parted else ""


def _same(before: Any, after: Any) -> bool:
    """Whether two parts of a state are equal; a module may keep more than tensors, as its extra state."""
    from torch import Tensor

    if type(before) is not type(after):
        return False
    if isinstance(before, Tensor):
        return _same_bits(before, after)
    if isinstance(before, Mapping):
        return before.keys() == after.keys() and all(_same(part, after[name]) for name, part in before.items())
    if isinstance(before, list | tuple):
        return len(before) == len(after) and all(map(_same, before, after))
    return bool(before == after)


def _same_bits(before: Tensor, after: Tensor) -> bool:
    """Whether two tensors are equal to the last bit; a NaN is equal to itself then."""
    import torch

    if before.shape != after.shape or before.dtype != after.dtype:
        return False
    first, second = (each.contiguous().reshape(-1).view(torch.uint8) for each in (before, after))
    return torch.equal(first, second)


def _only(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {name: record[name]} if record.get(name) is not None else {}


def _results(before: Mapping[str, Any], after: Mapping[str, Any], without: tuple[str, ...]) -> list[Difference]:
    """The final and best metrics that differ."""
    found = []
    for what, label in (("metrics", ""), ("best_metrics", "best ")):
        recorded, present = (
            {name: value for name, value in _mapping(each.get(what)).items() if not name.startswith(without or "\0")}
            for each in (before, after)
        )
        names = dict.fromkeys((*recorded, *present))
        parted = [name for name in names if recorded.get(name) != present.get(name)]
        found += [Difference(f"{label}{name}", recorded.get(name), present.get(name)) for name in parted]
    return found


def _ends(original: _Original, after: Mapping[str, Any]) -> list[Difference]:
    """The error of a run that failed, where the repetition did not fail with it."""
    if original.error in {None, _error(after)}:
        return []
    return [Difference("how it ended", original.error, _error(after) or after.get("status"))]


def _recorded(record: Mapping[str, Any]) -> dict[str, Any]:
    """The circumstances of a run, as its record tells them."""
    git = _mapping(record.get("git"))
    known = {
        **_mapping(record.get("versions")),
        "git commit": git.get("commit"),
        **{name: record.get(name) for name in ("platform", "host", "data", "threads")},
    }
    return {name: value for name, value in known.items() if value is not None}


def _present(home: Project, drafted: Draft) -> dict[str, Any]:
    from hydrantic.process import threads

    return {
        **versions(),
        "git commit": git_state(home.root or Path.cwd()).get("commit"),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "data": drafted.facts.fingerprint,
        "threads": threads(),
    }


def _changed_values(recorded: Mapping[str, Any], present: Mapping[str, Any]) -> list[Difference]:
    return [
        Difference(name, value, present.get(name)) for name, value in recorded.items() if present.get(name) != value
    ]


def _changed_components(original: _Original, plan: Plan) -> list[Difference]:
    """The components that are not what they were: by their identities, or where none were kept, by their sources."""
    present = identities(plan)
    if original.components:
        kept = {name: each for name, each in original.components.items() if not _is_logger(name)}
        told = (line.partition(": ") for line in changes(kept, present))
        return [
            Difference(name, _version(original.components.get(name)), _version(present.get(name)), words)
            for name, _, words in told
        ]
    before, after = _mapping(original.record.get("components")), source_hashes(files_of(components_of(plan)))
    changed = [name for name, source in before.items() if after.get(name) != source and not _is_logger(name)]
    words = {name: "its source has changed" if name in after else "it takes no part any more" for name in changed}
    return [Difference(name, before[name], after.get(name), words[name]) for name in changed if "/" in name]


def _is_logger(name: str) -> bool:
    return name.startswith("logger/")


def _changed_modules(record: Mapping[str, Any]) -> list[Difference]:
    """The files of the project's shelf that components import and that are not what they were."""
    told = list(_mapping(record.get("components")).values())
    before, after = _mapping(record.get("modules")), source_hashes(own_modules())
    changed = [name for name, source in before.items() if source not in told and after.get(name, source) != source]
    return [Difference(name, before[name], after[name], "it has changed") for name in changed]


def _version(identity: Any) -> str | None:
    said = _mapping(identity)
    return said.get("version") or said.get("source")


def _edits(original: _Original) -> list[Difference]:
    """What was changed in `blueprint.yaml` since the run wrote it."""
    said = original.record.get("blueprint")
    if not isinstance(said, Mapping):
        return []
    try:
        written = read_document(original.directory / "blueprint.yaml").plain()
    except HydranticError:  # it was planned, so it can be read
        return []
    before, after = (dict(_leaves(plain_json(each), ())) for each in (said, written))
    paths = [path for path in dict.fromkeys((*before, *after)) if before.get(path) != after.get(path)]
    return [
        Difference(f"{dotted(path)}, edited in blueprint.yaml", before.get(path), after.get(path)) for path in paths
    ]


def _leaves(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _leaves(part, (*path, str(key)))
    else:
        yield path, value


def _notes(original: _Original, plan: Plan) -> Iterator[str]:
    record = original.record
    if original.unfinished:
        why = f" ({cut(original.error, _SHOWN * 2)})" if original.error else ""
        yield f"the run {original.unfinished}{why}: what it has recorded is compared, which is not the whole of it"
    if isinstance(record.get("attempt"), int) and record["attempt"] > 1:
        yield f"the run was resumed from step {record.get('resumed_from_step')} (attempt {record['attempt']})"
    if _mapping(record.get("git")).get("dirty"):
        yield "the run was made with changes that were not committed, which its commit does not tell"
    if plan.trainer["max_time"] is not None:
        yield "the blueprint ends training by the clock (trainer.max_time), which no repetition can"
