"""One job of a sweep: trains the blueprint in its directory, which becomes the directory of the run.

`python -m hydrantic.sweeping.job DIRECTORY` runs it. Nothing reaches a terminal: `log.txt` gets what the job prints,
and `stderr.txt` what is written past Python, such as the last words of a process that crashes.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from hydrantic.errors import HydranticError, Interrupted, Pruned, RunFailed, UsageError
from hydrantic.processes import launched
from hydrantic.project import Project
from hydrantic.rundir import RunDirectory, RunRecord, Status, recording
from hydrantic.secrets import hide
from hydrantic.sweeping.ledger import FILE

if TYPE_CHECKING:
    from lightning.pytorch import Callback

    from hydrantic.plan import Plan
    from hydrantic.training import Terms

DONE, FAILED, WRONG = 0, 1, 2
OVER: Final = frozenset({"finished", "pruned"})
"""What the record of a job says that need not run again."""


def run_job(directory: Path) -> int:
    """Run the job in a directory that holds `blueprint.yaml` and `job.json`; its `run.json` says how it ended.

    A job that was cut short goes on from its last checkpoint; one that is over is not run again. Where srun or torchrun
    has started several processes for it, all but the first only take part.

    Returns:
        The exit code: 0 done or given up by the study, 1 failed, 2 the blueprint or the directory is wrong,
        130 interrupted, 143 terminated.
    """
    path = directory.absolute()
    place = launched()
    if place is not None and not place.leads:
        with _silently(Path(os.devnull)), _stoppable():
            return DONE if _status(path) in OVER else _ended(path, record=False)
    with _silently(path / "stderr.txt"), _stoppable():
        return DONE if _status(path) in OVER else _ended(path, record=True)


def _ended(path: Path, *, record: bool) -> int:
    """Run the job, and return its exit code; `record` says whether this process is the one that records its end."""
    code, end = _outcome(path)
    if record and end is not None:
        _note_end(path, "interrupted" if code > WRONG else "failed", end)
    return code


def _outcome(path: Path) -> tuple[int, BaseException | None]:
    try:
        _train(_Order.read(path))
    except Pruned:
        return DONE, None
    except Interrupted as stop:
        return stop.exit_code, stop
    except KeyboardInterrupt as stop:
        return 128 + signal.SIGINT, stop
    except RunFailed as error:
        return FAILED, error
    except HydranticError as error:
        return WRONG, error
    except SystemExit as stop:
        reason = stop.__context__  # Lightning exits where a component raises KeyboardInterrupt
        return FAILED, reason if isinstance(reason, KeyboardInterrupt) else stop
    except BaseException as error:  # noqa: BLE001 -- whatever it is, the record has to say so
        return FAILED, error
    return DONE, None


@dataclass(frozen=True)
class _Order:
    """What `job.json` says."""

    directory: RunDirectory
    project: Project
    test: bool
    report: Mapping[str, Any] | None
    threads: int | None

    @classmethod
    def read(cls, path: Path) -> _Order:
        file = path / "job.json"
        try:
            fields = json.loads(file.read_text("utf-8"))
            root = fields["project"]
            return cls(
                directory=RunDirectory(path, fields["sweep"], fields["number"], is_own=False),
                project=Project(None) if root is None else Project.find(explicit=Path(root)),
                test=fields["test"],
                report=fields["report"],
                threads=fields["threads"],
            )
        except (OSError, ValueError, TypeError, KeyError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"{path} is not the directory of a job: {type(error).__name__}: {error}") from error


def _train(order: _Order) -> None:
    from hydrantic.process import settings_as_they_were, use_threads

    with settings_as_they_were():
        if order.threads is not None:
            use_threads(order.threads)
        place = launched()
        if place is None or place.leads:
            _lead(order)
        else:
            _follow(order)


def _lead(order: _Order) -> None:
    from hydrantic.checking import prepare_checked
    from hydrantic.fitting import NotBegun, execute, gathered

    log = order.directory.log_file
    with recording(log):
        plan = prepare_checked(order.directory.blueprint_file, order.project)
    from hydrantic.build import draft

    with gathered(plan, threads=_recorded(order.directory.path).get("threads")) as team:
        with recording(log):
            drafted = draft(plan)
        try:
            with order.directory.held():
                execute(drafted, order.directory, order.project, _terms(order, plan), team)
        except NotBegun as error:
            raise error.reason from error


def _terms(order: _Order, plan: Plan) -> Terms:
    from hydrantic.resuming import next_attempt
    from hydrantic.training import Terms

    kept = plan.blueprint.checkpoint
    folder = order.directory.checkpoints if kept is None else order.directory.path / kept.dirpath
    attempt = next_attempt(order.directory, folder)
    return Terms(order.test, _reporters(order), attempt, told=None)


def _follow(order: _Order) -> None:
    from hydrantic.checking import prepare_checked
    from hydrantic.fitting import follow, gathered

    plan = prepare_checked(order.directory.blueprint_file, order.project)
    from hydrantic.build import draft
    from hydrantic.training import Terms

    with gathered(plan, threads=_recorded(order.directory.path).get("threads")) as team:
        follow(draft(plan), Terms(order.test, told=None), team)


def _reporters(order: _Order) -> tuple[Callback, ...]:
    """What tells the study of the sweeper that proposed this job how training goes.

    Raises:
        BlueprintError: it refers to what the project does not let be read of the environment.
    """
    report = order.report
    if report is None:
        return ()
    from hydrantic.planning import without_references
    from hydrantic.registries import registry

    without_references(report, order.project)
    sweeper: Any = registry("sweeper").get(report["sweeper"]).component
    return (sweeper.reporter({**report, "folder": str(_sweep_of(order.directory.path))}),)


def _sweep_of(job: Path) -> Path:
    """The folder of a job's sweep as it lies now, whatever its records say."""
    return next((folder for folder in job.parents if (folder / FILE).is_file()), job.parent)


# How it ended.


def _status(path: Path) -> str:
    return str(_recorded(path).get("status"))


def _recorded(path: Path) -> Mapping[str, Any]:
    """What `run.json` says; nothing before the job has begun."""
    try:
        return RunRecord.read(path / "run.json").fields
    except UsageError:
        return {}


def _note_end(path: Path, status: Status, error: BaseException) -> None:
    """Say in `run.json` how the job ended, unless the run itself has said so."""
    file = RunDirectory(path).record_file
    with contextlib.suppress(OSError):  # a disk that is full: there is no place left to say it
        try:
            record = RunRecord.read(file)
        except UsageError:
            record = RunRecord(file)
        if _is_said(record.fields, status):
            return
        hiding = _hiding(path)
        _log(path, error, hiding)
        record.fields["pid"] = os.getpid()
        record.finish(status, error=None if status == "interrupted" else error, rewrite=hiding)


def _is_said(fields: Mapping[str, Any], status: Status) -> bool:
    """Whether the run itself has said how it ended; what is no error, such as an exit, it does not name."""
    is_told = status == "interrupted" or fields.get("error") is not None
    return is_told and fields.get("pid") == os.getpid() and fields.get("status") == status


def _hiding(path: Path) -> Callable[[str], str]:
    """What takes out of a text whatever the environment may have supplied to a blueprint."""
    try:
        names = _Order.read(path).project.environment
    except HydranticError:  # then nothing was supplied
        return str
    return partial(hide, secrets=[os.environ[name] for name in names if name in os.environ])


def _log(path: Path, error: BaseException, hiding: Callable[[str], str]) -> None:
    expected = isinstance(error, HydranticError | Interrupted | KeyboardInterrupt)
    words = f"{error or type(error).__name__}\n" if expected else "".join(traceback.format_exception(error))
    with RunDirectory(path).log_file.open("a", encoding="utf-8", errors="backslashreplace") as log:
        log.write(hiding(words))


# What surrounds it.


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Let a signal raise `Interrupted` wherever the run itself does not say what it does."""

    def stop(number: int, _: FrameType | None) -> NoReturn:
        raise Interrupted(number)

    if threading.current_thread() is not threading.main_thread():
        yield  # nothing but the main thread receives signals
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextlib.contextmanager
def _silently(crashes: Path) -> Iterator[None]:
    """Send what is written past Python's streams to a file, and what is printed nowhere; both end with the block."""
    with contextlib.ExitStack() as stack:
        sys.stdout.flush()
        sys.stderr.flush()
        nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        file = stack.enter_context(crashes.open("ab", buffering=0))
        stack.callback(_remove_if_empty, crashes)
        for descriptor, target in ((1, nowhere.fileno()), (2, file.fileno())):
            stack.callback(_put_back, os.dup(descriptor), descriptor)
            os.dup2(target, descriptor)
        stack.enter_context(contextlib.redirect_stdout(nowhere))
        stack.enter_context(contextlib.redirect_stderr(nowhere))
        stack.callback(_stop_watching, faulthandler.is_enabled())
        faulthandler.enable(file)
        yield


def _put_back(saved: int, descriptor: int) -> None:
    os.dup2(saved, descriptor)
    os.close(saved)


def _stop_watching(was_enabled: bool) -> None:
    faulthandler.disable()
    if was_enabled and sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)


def _remove_if_empty(file: Path) -> None:
    if file.is_file() and file.stat().st_size == 0:
        file.unlink()


def main() -> int:
    """Run the job whose directory the command line names."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        print("usage: python -m hydrantic.sweeping.job DIRECTORY", file=sys.stderr)
        return WRONG
    return run_job(Path(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
