"""The launcher for clusters under Slurm: submitit submits the jobs of a sweep as one array."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

from hydrantic import Ended, Engine, Hparam, Hparams, InvalidField, Launcher, UsageError, register_launcher
from hydrantic.sweeping.engine import environment_of_python, python

from .child import ended, read_note
from .slurm_task import Task, note_of

_FOLDER: Final = "slurm"
_COMMAND_SECONDS: Final = 60
_LOOK: Final = 0.2
_ASK: Final = 2.0
_ASK_SELDOM: Final = 20.0
_SILENCE: Final = 30.0
_LETTING_GO: Final = 90.0
_MOST: Final = 1001  # of an array, where nobody has said otherwise

_FINAL: Final = frozenset({0, 1, 2})
UNDER_WAY: Final = frozenset({
    "PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "SUSPENDED", "STOPPED", "RESIZING",
    "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD",
})  # fmt: skip
"""States in which Slurm may still run a job."""

_WORDS: Final[Mapping[str, str]] = {
    "CANCELLED": "was cancelled",
    "TIMEOUT": "reached its time limit",
    "NODE_FAIL": "lost its node",
    "OUT_OF_MEMORY": "ran out of memory",
    "PREEMPTED": "gave way to another",
    "BOOT_FAIL": "found no node that booted",
    "DEADLINE": "reached its deadline",
    "FAILED": "failed",
    "REVOKED": "was revoked",
}

_TOO_OFTEN: Final = "timed-out too many times"  # submitit's words
_OF_SLURM: Final = ("srun: ", "slurmstepd")

# Nothing that ends a line or a quotation, or means anything to a shell: the values stand in a script.
_WORD: Final = r"^[\w][\w.+:/@-]*$"
_LIST: Final = r"^[\w][\w.,:+=/@*&|()\[\]-]*$"
_TEXT: Final = r"^[\w][\w .,:+=/@()-]*$"
_MEMORY: Final = r"^[0-9]+[KMGT]?B?$"

Word = Annotated[str, Hparam(pattern=_WORD, max_length=200)]
List = Annotated[str, Hparam(pattern=_LIST, max_length=1000)]
Text = Annotated[str, Hparam(pattern=_TEXT, max_length=1000)]
Memory = Annotated[str, Hparam(pattern=_MEMORY)]
Positive = Annotated[int, Hparam(ge=1)]
NotNegative = Annotated[int, Hparam(ge=0)]


class SlurmHparams(Hparams):
    """What is asked of Slurm for each job; what is left out is the cluster's default."""

    timeout_min: Positive = 60
    """Minutes that a job may take; it then saves its state and is queued again, see `max_num_timeout`."""
    partition: List | None = None
    """Partition, or several with commas between them."""
    qos: Word | None = None
    """Quality of service."""
    account: Word | None = None
    """Account that is charged."""
    nodes: Positive = 1
    """Nodes of each job."""
    tasks_per_node: Positive = 1
    """Processes of each job on each node; more than one for training on several devices."""
    cpus_per_task: Positive | None = None
    """Cores of each process; it computes with as many threads."""
    gpus_per_node: NotNegative | None = None
    """GPUs of each job on each node."""
    gpus_per_task: NotNegative | None = None
    """GPUs of each process."""
    cpus_per_gpu: Positive | None = None
    """Cores for each GPU; needs `gpus_per_task`."""
    mem_gb: Annotated[float, Hparam(gt=0)] | None = None
    """Memory of each job on each node, in GiB."""
    mem_per_cpu: Memory | None = None
    """Memory for each core, such as `2GB`."""
    mem_per_gpu: Memory | None = None
    """Memory for each GPU, such as `40GB`."""
    gres: List | None = None
    """Other resources of a node, such as `gpu:a100:2`."""
    constraint: List | None = None
    """Features that a node must have, such as `a100|h100`."""
    exclude: List | None = None
    """Nodes to stay off, such as `node[1-3]`."""
    comment: Text | None = None
    """A comment for whoever looks at the queue."""
    job_name: Word = "hydrantic"
    """Name of the jobs in the queue."""
    array_parallelism: Positive = 256
    """How many jobs run at a time, at most."""
    signal_delay_s: Positive = 120
    """How many seconds before the time limit a job is told to save its state."""
    max_num_timeout: NotNegative = 3
    """How many times a job that reached its time limit is queued again."""


@register_launcher("slurm", aliases=["submitit_slurm"])
class Slurm(Launcher):
    """Runs the jobs on a cluster under Slurm, as one array; the sweep's folder has to be on a shared file system.

    A job that reaches its time limit, or has to give way to another, saves its state and goes on when it is its turn.

    Arguments:
        hparams: what is asked of Slurm for each job.

    Raises:
        InvalidField: a job would be told to save its state as soon as it starts.
    """

    def __init__(self, hparams: SlurmHparams) -> None:
        if hparams.signal_delay_s >= hparams.timeout_min * 60:
            raise InvalidField(
                "signal_delay_s",
                f"is {hparams.signal_delay_s}, but a job has {hparams.timeout_min * 60} seconds in all (timeout_min is "
                f"{hparams.timeout_min}): it would have to save its state as soon as it starts",
            )
        self.hparams = hparams

    def open(self, sweep: Path, jobs: int | None) -> Engine:
        """See whether there is a Slurm to submit jobs to.

        Raises:
            UsageError: submitit is not installed, Slurm is not there, or it cannot handle the sweep's path.
        """
        try:
            import submitit
        except ImportError as error:
            hint = "the launcher 'slurm' needs submitit, which is not installed: pip install 'hydrantic[slurm]'"
            raise UsageError(hint) from error
        _require_slurm()
        folder = sweep.absolute() / _FOLDER
        if set("%'\"\\\n\r") & set(str(folder)):
            raise UsageError(f"Slurm cannot write below {folder}: no %, quotes, backslashes or line breaks, please")
        # In a folder that nobody could know of before: what submitit leaves for the nodes is unpickled there.
        executor = submitit.SlurmExecutor(
            folder=folder / secrets.token_hex(8),
            max_num_timeout=self.hparams.max_num_timeout,
            python=shlex.join([*_setting(environment_of_python()), *python()]),
        )
        executor.update_parameters(**parameters(self.hparams))
        most = _longest_array()
        fits = jobs is None or jobs <= most
        return SlurmEngine(executor, folder, None if fits else min(most, self.hparams.array_parallelism))


_NAMES: Final = {"timeout_min": "time", "tasks_per_node": "ntasks_per_node"}


def parameters(hparams: SlurmHparams) -> dict[str, Any]:
    """The fields as submitit's executor for Slurm takes them."""
    left_out = {"max_num_timeout", "mem_gb"}
    said = {name: value for name, value in hparams.items() if value is not None and name not in left_out}
    found: dict[str, Any] = {_NAMES.get(name, name): value for name, value in said.items()}
    if hparams.mem_gb is not None:
        found["mem"] = f"{round(hparams.mem_gb * 1024)}MB"
    if hparams.cpus_per_task is not None:  # since Slurm 22.05 srun does not look at what sbatch was told of this
        found["srun_args"] = [f"--cpus-per-task={hparams.cpus_per_task}"]
    return found


def _setting(environment: Mapping[str, str]) -> list[str]:
    return ["env", *(f"{name}={value}" for name, value in environment.items())] if environment else []


def _require_slurm() -> None:
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise UsageError(
            "there is no Slurm here: the command `sbatch` was not found; start the sweep on a cluster's login node, "
            "or leave `hydra/launcher=slurm` out"
        )
    code, words = _asked("sinfo", "--noheader", "--format=%P")
    if code:
        raise UsageError(f"Slurm does not answer: {_last_line(words)}")


def _longest_array() -> int:
    """How many jobs the cluster lets an array have."""
    _, words = _asked("scontrol", "show", "config")
    said = [line.partition("=")[2].strip() for line in words.splitlines() if line.startswith("MaxArraySize")]
    return max(1, int(said[0])) if said and said[0].isdigit() else _MOST


@contextmanager
def _outside_of_jobs() -> Iterator[None]:
    """Hide the variables of a job of Slurm's that the sweep itself runs in: new jobs would take them for their own."""
    theirs = ("SLURM_", "SLURMD_", "SRUN_", "SBATCH_")
    hidden = {name: text for name, text in os.environ.items() if name.startswith(theirs) and name != "SLURM_CONF"}
    if "SLURM_JOB_ID" not in hidden:
        yield
        return
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


def _asked(*command: str) -> tuple[int, str]:
    """Exit code of a command of Slurm's, and what it says: its answer, or its complaint."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False)  # noqa: S603 -- a command of Slurm's and job ids
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, done.stderr if done.returncode else done.stdout


@dataclass
class _Submitted:
    """A job that Slurm has."""

    id: str
    unheard_since: float | None = None
    """Since when Slurm has had no more to do with it, while it has left no exit code."""
    state: str = "PENDING"


@dataclass
class SlurmEngine(Engine):
    """Submits jobs with submitit, and learns from the queue, the accounts and the jobs themselves how they end.

    Arguments:
        executor: submitit's, with a folder of its own in `folder`.
        folder: for the files of Slurm and submitit of this sweep, and for the exit codes of its jobs.
        capacity: how many jobs it takes at a time; None where Slurm's queue takes all.
    """

    executor: Any
    folder: Path
    capacity: int | None = None
    _running: dict[Path, _Submitted] = field(default_factory=dict)
    _stops: int = 0
    _left_behind: dict[str, str] | None = None
    """The jobs that an earlier process of the sweep left in Slurm's hands, with their states."""
    _has_submitted: bool = False
    _asked_at: float = float("-inf")
    _began: float = field(default_factory=time.monotonic)

    def start(self, jobs: Sequence[Path]) -> Sequence[str]:
        """Submit jobs as one array; their tickets are Slurm's job ids.

        Raises:
            UsageError: Slurm refuses them.
        """
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        if not jobs:
            return []
        if not self._has_submitted and self.folder.is_dir():  # an earlier process has submitted some
            self._end_strays()
        self._has_submitted = True
        try:
            with _outside_of_jobs(), self.executor.batch():
                submitted = [self.executor.submit(Task(job, self.folder)) for job in jobs]
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            raise UsageError(f"Slurm refuses the jobs: {_complaint(str(error))}") from error
        self._running |= {job: _Submitted(each.job_id) for job, each in zip(jobs, submitted, strict=True)}
        self._began = time.monotonic()
        return [each.job_id for each in submitted]

    def adopt(self, job: Path, ticket: str) -> bool:
        """Take over a job of this sweep that Slurm still has.

        Raises:
            UsageError: Slurm does not answer.
        """
        if self._left_behind is None:
            self._left_behind = under_way_from(self.folder)
        state = self._left_behind.get(ticket)
        if state is None or read_note(note_of(self.folder, ticket)) in _FINAL:
            return False
        self._running[job] = _Submitted(ticket, state=state)
        return True

    def _end_strays(self) -> None:
        """Cancel the jobs that an earlier process submitted and was killed before it could note them."""
        adopted = {each.id for each in self._running.values()}
        until = time.monotonic() + _LETTING_GO
        while strays := [each for each in under_way_from(self.folder) if each not in adopted]:
            if time.monotonic() > until:
                raise UsageError(f"Slurm does not let go of jobs that this sweep left behind: {', '.join(strays)}")
            _asked("scancel", "--quiet", *strays)
            time.sleep(_ASK)

    def ended(self, seconds: float) -> Sequence[Ended]:
        """Look until one has ended, or the time is over."""
        until = time.monotonic() + seconds
        while not (over := self._over()) and (left := until - time.monotonic()) > 0:
            time.sleep(min(_LOOK, left))
        for each in over:
            del self._running[each.job]
        return over

    def _over(self) -> list[Ended]:
        self._ask()
        found = (self._end(job, submitted) for job, submitted in self._running.items())
        return [each for each in found if each is not None]

    def _ask(self) -> None:
        """Ask Slurm how the jobs stand, less often the longer they take."""
        now = time.monotonic()
        pause = min(max(_ASK, (now - self._began) / 30), _ASK_SELDOM)
        if not self._running or now - self._asked_at < pause:
            return
        self._asked_at = now
        if (found := states([each.id for each in self._running.values()])) is None:
            return  # the controller is away for a moment
        for each in self._running.values():
            each.state = found.get(each.id, "UNKNOWN")
            if each.state in UNDER_WAY:
                each.unheard_since = None
            elif each.unheard_since is None:
                each.unheard_since = now

    def _end(self, job: Path, submitted: _Submitted) -> Ended | None:
        is_over = submitted.unheard_since is not None
        code = read_note(note_of(self.folder, submitted.id))
        # A job that was asked to stop may yet be queued again.
        if code is not None and (is_over or code in _FINAL):
            return ended(job, code, self._stops)
        if submitted.unheard_since is None:
            return None
        # What the job has left may reach a shared file system later than the state reaches the accounts.
        patience = 0.0 if submitted.state == "CANCELLED" else _ASK if submitted.state in _WORDS else _SILENCE
        if time.monotonic() - submitted.unheard_since < patience:
            return None
        return Ended(job, None, self._reason(submitted))

    def _reason(self, submitted: _Submitted) -> str:
        what = _WORDS.get(submitted.state, f"is gone without a word ({submitted.state})")
        words = f"Slurm's job {submitted.id} {what}"
        said = [] if submitted.state == "CANCELLED" else self._log(submitted.id)
        if any(_TOO_OFTEN in line for line in said):
            return f"{words}: it reached its time limit more often than max_num_timeout allows"
        own = [line for line in said if not line.startswith(_OF_SLURM)] or said
        return f"{words}: {own[-1]}" if own else words

    def _log(self, id_: str) -> list[str]:
        """What the first process of a job and those around it have complained of."""
        log = next(self.folder.glob(f"*/{id_}_0_log.err"), None)
        return [] if log is None else log.read_text("utf-8", "replace").strip().splitlines()

    def stop(self) -> None:
        """Cancel all: running ones save their state, unless this is the second time."""
        self._stops += 1
        ids = [each.id for each in self._running.values()]
        if ids and self._stops > 1:  # to the processes themselves; Slurm would wait for the first request to be obeyed
            _asked("scancel", "--quiet", "--signal=KILL", *(f"{each}.0" for each in ids))
        if ids:
            _asked("scancel", "--quiet", *ids)
        self._asked_at = float("-inf")

    def close(self) -> None:
        """Cancel what is still queued or running."""
        if self._running:
            _asked("scancel", *(each.id for each in self._running.values()))
            self._running.clear()


def _complaint(text: str) -> str:
    """The line in which sbatch says what is wrong."""
    lines = [line.strip() for line in text.splitlines() if "sbatch: error:" in line]
    return "; ".join(line.partition("sbatch: error:")[2].strip() for line in lines) or _last_line(text)


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it says nothing")


def under_way_from(folder: Path) -> dict[str, str]:
    """The states of the jobs that were submitted from a sweep's folder and that Slurm may still run.

    Raises:
        UsageError: Slurm does not answer.
    """
    code, queue = _asked(
        "squeue", "--noheader", "--array", "--states=all", f"--user={os.getuid()}", "--format=%i|%T|%o"
    )
    if code:
        raise UsageError(f"Slurm does not answer: {_last_line(queue)}")
    rows = (line.split("|", 2) for line in queue.splitlines() if line.count("|") > 1)
    home = folder.resolve()
    return {id_: state for id_, state, script in rows if state in UNDER_WAY and _lies_in(script, home)}


def _lies_in(script: str, folder: Path) -> bool:
    return script.startswith("/") and folder in Path(script).resolve().parents


def states(ids: Sequence[str]) -> dict[str, str] | None:
    """The state of each job that Slurm knows; None where it does not answer.

    The queue knows those that ended within minutes too; of the others the accounts tell, where the cluster keeps any.
    """
    asked = ",".join(dict.fromkeys(each.partition("_")[0] for each in ids))
    code, queue = _asked("squeue", "--noheader", "--array", "--states=all", f"--jobs={asked}", "--format=%i|%T")
    if code and "Invalid job id" not in queue:
        return None
    found = {} if code else _rows(queue)
    if any(each not in found for each in ids):
        code, accounts = _asked(
            "sacct", "--noheader", "--allocations", "--parsable2", f"--jobs={asked}", "--format=JobID,State"
        )
        found = ({} if code else _rows(accounts)) | found
    return found


def _rows(text: str) -> dict[str, str]:
    rows = (line.split("|") for line in text.splitlines() if line.count("|") == 1)
    return {name.strip(): state.split()[0] for name, state in rows if state.strip()}
