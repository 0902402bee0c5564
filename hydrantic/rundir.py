"""A run's directory: where it lies, the record of how the run went, and the log of what it printed."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import math
import os
import platform
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Thread
from typing import IO, Any, Final, Literal, Self, TextIO, cast

from hydrantic.errors import UsageError
from hydrantic.source import display

Status = Literal["running", "finished", "failed", "interrupted", "pruned"]
"""How a run stands; one that says `running` while its process is gone has died, a `pruned` one a study gave up."""

_RECORDED_DISTRIBUTIONS: Final = ("torch", "lightning", "hydrantic", "numpy")
_LONGEST_NAME: Final = 200
_GIT_TIMEOUT: Final = 2.0


def write_atomically(path: Path, text: str | bytes) -> None:
    """Replace the contents of a file so that a reader, or a crash at any moment, finds the old or the new ones.

    Arguments:
        path: the file; its folder exists.
        text: the new contents; text is written as UTF-8.

    Raises:
        OSError: the folder is not writable or the disk is full; the old file is untouched.
    """
    contents = text.encode("utf-8") if isinstance(text, str) else text
    with replacing(path) as file:
        file.write(contents)


def swap_contents(path: Path, text: str | bytes) -> None:
    """As `write_atomically`, but the new contents may be lost where the power fails; ten times as fast."""
    contents = text.encode("utf-8") if isinstance(text, str) else text
    with _swapping(path) as file:
        file.write(contents)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A binary file in the folder of `path` that takes its place once the block ends without an error."""
    with _swapping(path) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


@contextlib.contextmanager
def _swapping(path: Path) -> Iterator[IO[bytes]]:
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def runs_root(explicit: Path | None, project: Path | None) -> Path:
    """The folder that holds all runs: the explicit one, else HYDRANTIC_RUNS, else `runs` in the project.

    Arguments:
        explicit: what the command line says.
        project: the root of the project, or None for the working directory.
    """
    if explicit is not None:
        return explicit
    if named := os.environ.get("HYDRANTIC_RUNS"):
        return Path(named)
    return (project or Path.cwd()) / "runs"


@dataclass(frozen=True)
class RunDirectory:
    """The directory of one run."""

    path: Path
    group: str | None = None
    """What the run is a part of: the name of a sweep's folder."""
    number: int | None = None
    """Which job of the sweep it is."""
    is_own: bool = True
    """Whether the directory was made for this run, so that it goes where the run cannot begin."""
    known_as: str | None = None
    """What the run was called when it began, if its directory may have been renamed since."""

    @classmethod
    def create(cls, root: Path, name: str) -> Self:
        """Make a new directory `<root>/<name>/<time>-<4 hex>` for a run.

        Arguments:
            root: the folder of all runs; made where it is missing.
            name: the blueprint's name; characters that a folder cannot have become `_`.

        Raises:
            UsageError: the name is empty or leads elsewhere, or the root is not writable; nothing is left behind.
        """
        folder = root.absolute() / folder_name(name)
        made = _missing_parents(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return cls(_make_exclusively(folder))
        except OSError as error:
            _remove_empty(made)
            raise UsageError(
                f"cannot write runs to {root}: {error.strerror or error}; "
                "choose another folder with --runs DIR or the environment variable HYDRANTIC_RUNS"
            ) from error

    @classmethod
    def at(cls, path: Path) -> Self:
        """Make the directory `path` itself that of a run, or take it if it holds none yet.

        Raises:
            UsageError: it holds a run, or cannot be made.
        """
        refuse_taken(path)
        made = _missing_parents(path.absolute())
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            _remove_empty(made)
            raise UsageError(f"{path} cannot be the directory of a run: {error.strerror or error}") from error
        return cls(path.absolute(), is_own=bool(made))

    @classmethod
    def again(cls, path: Path, record: Mapping[str, Any]) -> Self:
        """The directory of a run that goes on, by its record; it may have been moved."""
        return cls(path.absolute(), record.get("group"), is_own=False, known_as=record.get("id"))

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the directory, so that no other process carries out a run in it; a process that dies holds nothing.

        Raises:
            UsageError: another process holds it, or it cannot be written.
        """
        lock = self.path / ".lock"
        try:
            file = lock.open("a")
        except OSError as error:
            raise UsageError(f"{display(self.path)} cannot be written: {error.strerror or error}") from error
        with file:
            # Who held it before may have removed it meanwhile, and another have made it anew.
            if not _locked(file) or not _is_still(lock, file):
                raise UsageError(f"{display(self.path)} is a run that another process is carrying out just now")
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # left behind it does no harm
                    lock.unlink()

    def discard(self) -> None:
        """Remove what a run has written that could not begin."""
        if not self.is_own:
            for file in (self.blueprint_file, self.record_file, self.log_file):
                file.unlink(missing_ok=True)
            return
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):  # it holds other runs
            self.path.parent.rmdir()

    @property
    def id(self) -> str:
        """The run's own name, unlike that of any other: its folder's, or its sweep's and its number there."""
        return self.known_as or (self.path.name if self.group is None else f"{self.group}-{self.number}")

    @property
    def blueprint_file(self) -> Path:
        """The resolved blueprint."""
        return self.path / "blueprint.yaml"

    @property
    def record_file(self) -> Path:
        """The record of the run."""
        return self.path / "run.json"

    @property
    def metrics_file(self) -> Path:
        """The metrics, one row per step."""
        return self.path / "metrics.csv"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def log_file(self) -> Path:
        """What the run printed."""
        return self.path / "log.txt"


def _locked(file: IO[str]) -> bool:
    """Lock a file for this process; on a file system that has no locks nobody is kept out."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def _is_still(path: Path, file: IO[str]) -> bool:
    """Whether an open file is the one that lies there."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:
        return False


def refuse_taken(path: Path) -> None:
    """Refuse a directory that holds a run.

    Raises:
        UsageError: it does.
    """
    if (path / "run.json").exists():
        raise UsageError(f"{path} holds a run already; choose another directory")


def folder_name(name: str) -> str:
    """The name as a folder can carry it: letters of any script, spaces and most signs stay.

    Raises:
        UsageError: nothing is left of it, or it means another folder.
    """
    safe = "".join("_" if _is_unsafe(char) else char for char in unicodedata.normalize("NFC", name)).strip()
    safe = _shortened(safe)
    if not safe or set(safe) == {"."}:
        raise UsageError(f"a run cannot be named {name!r}; give the blueprint a name with `name: ...`")
    return safe


def _is_unsafe(char: str) -> bool:
    return char in '/\\:*?"<>|' or unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _shortened(name: str) -> str:
    return name.encode("utf-8")[:_LONGEST_NAME].decode("utf-8", errors="ignore").rstrip(" ")


def _make_exclusively(folder: Path) -> Path:
    while True:
        path = folder / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}-{secrets.token_hex(2)}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path


def _missing_parents(folder: Path) -> list[Path]:
    return [each for each in (folder, *folder.parents) if not each.exists()]


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):  # another run may use it by now
            folder.rmdir()


@dataclass
class RunRecord:
    """The record of a run, `run.json`: valid JSON at every moment.

    Numbers that JSON does not have are written as the strings "NaN", "Infinity" and "-Infinity".
    """

    path: Path
    fields: dict[str, Any] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic, repr=False)
    _git: Future[dict[str, Any]] | None = field(default=None, repr=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The record that a file holds.

        Raises:
            UsageError: there is no such file, or it is no record.
        """
        try:
            fields = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"{path} is not the record of a run: {error}") from error
        if not isinstance(fields, dict):
            raise UsageError(f"{path} is not the record of a run: it holds no mapping")
        return cls(path, fields)

    def start(
        self,
        *,
        name: str,
        seed: int | None,
        project: Path | None = None,
        sources: Mapping[str, Path | str] | None = None,
        seconds_before: float = 0.0,
        **further: Any,
    ) -> None:
        """Write the record of a run that begins now.

        Arguments:
            name: the blueprint's name.
            seed: the seed of the run.
            project: the folder whose git commit is recorded; looked up in the background.
            sources: the file of each component that the run uses, by `kind/name`; their sha256 is recorded.
            seconds_before: how long earlier attempts have taken.
            further: more fields, such as `device` and `data`, the data's fingerprint.
        """
        self._began = time.monotonic() - seconds_before
        self._git = _in_background(git_state, project or Path.cwd())
        self.fields = {
            "status": "running",
            "name": name,
            "seed": seed,
            "started": _now(),
            "ended": None,
            "seconds": None,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "versions": versions(),
            "platform": platform.platform(),
            "command": sys.argv,
            "git": None,
            "components": source_hashes(sources or {}),
            **further,
        }
        self._write()

    def update(self, **fields: Any) -> None:
        """Set some fields and write the record; a loss of power may take them back."""
        self.fields.update(fields)
        self._take_git(wait=0.0)
        swap_contents(self.path, self._text())

    def finish(
        self,
        status: Status,
        *,
        error: BaseException | None = None,
        rewrite: Callable[[str], str] = str,
        **fields: Any,
    ) -> None:
        """Write how the run ended.

        Arguments:
            status: `finished`, `failed`, `interrupted` or `pruned`.
            error: what a failed run raised.
            rewrite: what to make of its message, such as hiding secrets.
            fields: the last fields, such as `best_checkpoint`, `metrics` and `best_metrics`.
        """
        self._take_git(wait=_GIT_TIMEOUT)
        failure = None if error is None else {"type": type(error).__name__, "message": rewrite(str(error))}
        ended = {"status": status, "ended": _now(), "seconds": round(time.monotonic() - self._began, 3)}
        self.fields.update(ended | {"error": failure} | fields)
        self._write()

    def _take_git(self, wait: float) -> None:
        if self._git is None or not (wait or self._git.done()):
            return
        with contextlib.suppress(TimeoutError):
            self.fields["git"] = self._git.result(wait) or None
            self._git = None

    def _write(self) -> None:
        write_atomically(self.path, self._text())

    def _text(self) -> str:
        return json.dumps(plain_json(self.fields), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def plain_json(value: Any) -> Any:  # one return per kind of value
    """The value as JSON can hold it: numbers without a JSON form become strings, tensors numbers or lists."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else "NaN" if math.isnan(value) else ("Infinity", "-Infinity")[value < 0]
    if isinstance(value, Mapping):
        return {str(key): plain_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_json(part) for part in value]
    if callable(to_list := getattr(value, "tolist", None)):  # tensors and arrays, without importing either library
        return plain_json(to_list())
    return str(value)


def versions() -> dict[str, str | None]:
    """The versions of Python and of what a run's numbers depend on; imports none of it."""
    return {"python": platform.python_version()} | {name: _version(name) for name in _RECORDED_DISTRIBUTIONS}


@functools.cache
def _version(distribution: str) -> str | None:
    if distribution == "hydrantic":
        import hydrantic

        return str(hydrantic.__version__)  # also right in a bare checkout
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def source_hashes(sources: Mapping[str, Path | str]) -> dict[str, str]:
    """The sha256 of each component's source file, by `kind/name`; files that cannot be read are left out."""
    import hashlib

    hashes: dict[Path, str] = {}
    found: dict[str, str] = {}
    for name, source in sorted(sources.items()):
        path = Path(source)
        if path not in hashes and path.is_file():
            hashes[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        if path in hashes:
            found[name] = hashes[path]
    return found


def git_state(folder: Path) -> dict[str, Any]:
    """The commit of the folder's git repository and whether files differ from it; empty where there is none."""
    lines = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), None)
    if commit is None or commit == "(initial)":
        return {}
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}


def _git(folder: Path, *arguments: str) -> list[str]:
    # Without optional locks a run never disturbs a git command that the person runs meanwhile.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 -- fixed arguments
            command, capture_output=True, text=True, timeout=_GIT_TIMEOUT, stdin=subprocess.DEVNULL, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def _in_background(function: Callable[[Path], dict[str, Any]], argument: Path) -> Future[dict[str, Any]]:
    future: Future[dict[str, Any]] = Future()

    def work() -> None:
        try:
            future.set_result(function(argument))
        except BaseException as error:  # noqa: BLE001 -- handed to whoever asks for the result
            future.set_exception(error)

    Thread(target=work, name="hydrantic-git", daemon=True).start()
    return future


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_streams_before: list[TextIO] = []


def terminal() -> TextIO:
    """The stream that reaches the person and not the log: what a progress bar redraws itself on."""
    return _streams_before[-1] if _streams_before else sys.stderr


_CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Log:
    """Writes everything that a run prints, logs or warns about into a file too, line by line.

    Used as a context manager; `recording(path)` makes one. What is printed still reaches the terminal as it is.
    """

    def __init__(self, path: Path, rewrite: Callable[[str], str] = str) -> None:
        self.path = path
        self._rewrite = rewrite
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        file = self.path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
        self._stack.callback(_close, file)
        _streams_before.append(sys.stderr)
        self._stack.callback(_streams_before.pop)
        before = sys.stdout, sys.stderr
        out, err = (cast("TextIO", _Tee(stream, file, self._rewrite)) for stream in before)
        self._stack.enter_context(contextlib.redirect_stdout(out))
        self._stack.enter_context(contextlib.redirect_stderr(err))
        self._redirect_logging(before, {before[0]: out, before[1]: err})
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _redirect_logging(self, before: tuple[TextIO, TextIO], now: Mapping[TextIO, TextIO]) -> None:
        # Handlers made earlier hold the streams of that time; those made while recording must not keep ours.
        for handler in _stream_handlers():
            if handler.stream in before:
                handler.setStream(now[handler.stream])
        originals = {id(tee): stream for stream, tee in now.items()}

        def restore() -> None:
            for handler in _stream_handlers():
                if id(handler.stream) in originals:
                    handler.setStream(originals[id(handler.stream)])

        self._stack.callback(restore)


def _close(file: TextIO) -> None:
    with contextlib.suppress(OSError):  # what the disk had no room for
        file.close()


def recording(path: Path, rewrite: Callable[[str], str] = str) -> Log:
    """A context manager that keeps what is printed inside it in the file `path`, which it appends to.

    Arguments:
        path: the file.
        rewrite: what to make of a text before it is written, such as hiding secrets.
    """
    return Log(path, rewrite)


def _stream_handlers() -> list[logging.StreamHandler[Any]]:
    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    handlers = {id(h): h for each in loggers if isinstance(each, logging.Logger) for h in each.handlers}
    return [h for h in handlers.values() if isinstance(h, logging.StreamHandler)]


def _is_redraw(text: str) -> bool:
    return text.startswith("\r") and not text.endswith("\n")


class _Tee:
    """A text stream that also writes what it gets to a file; everything else it leaves to the stream."""

    def __init__(self, stream: TextIO, file: TextIO, rewrite: Callable[[str], str]) -> None:
        self._stream = stream
        self._file = file
        self._rewrite = rewrite

    def write(self, text: str) -> int:
        if not self._file.closed and not _is_redraw(text):
            with contextlib.suppress(OSError):  # a disk that is full: the person still reads it
                self._file.write(self._rewrite(_CONTROL.sub("", text)))
        return self._stream.write(text)

    def writelines(self, lines: Sequence[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
