"""Where a study is stored: a journal file, SQLite or a database server, which several machines may share."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from hydrantic import Hparam, HydranticError, InvalidField, UsageError

from .quietly import quietly

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

FILE: Final = "study.journal"
"""Where a study is stored that is stored nowhere else, in the folder of the sweep."""

StorageText: TypeAlias = Annotated[str, Hparam(pattern=r"^(sqlite:///|postgresql|mysql|.*\.(journal|log)$)")]
"""A place for studies, at a glance; `Place` looks closer."""

_FILE: Final = r"[^:?#%$\s][^:?#%$\n]*"
# What a driver is told behind `?` could make it read local files; `$` would have a job read the environment.
_SERVER: Final = r"(postgresql(\+psycopg|\+psycopg2)?|mysql(\+pymysql|\+mysqldb)?)://[^?#$\s]+(\?sslmode=[a-z-]+)?"
_PLACE: Final = re.compile(rf"{_FILE}\.(journal|log)|sqlite:///{_FILE}|{_SERVER}")
_REFERENCE: Final = re.compile(r"\$\{oc\.env:(\w+)\}")
_PASSWORD: Final = re.compile(r"^\w[\w+]*://[^/@]*?:(?P<password>.*)@")
_PATIENCE: Final = 60
"""Seconds to wait for a server, or for another process that writes."""
_DRIVERS: Final = {"postgresql": ("psycopg", "psycopg2"), "mysql": ("pymysql", "MySQLdb")}
"""Modules that reach a server, in the order in which they are looked for."""
_REMEDIES: Final = {"postgresql": "pip install psycopg2-binary", "mysql": "pip install PyMySQL"}


@dataclass(frozen=True)
class Place:
    """Where a study is stored, in words that a record may hold."""

    storage: str | None
    """What the blueprint says; what came from the environment as `${oc.env:NAME}`."""
    folder: Path
    """The folder of the sweep; files lie below the one that holds it."""

    @classmethod
    def of(cls, storage: str | None, folder: Path) -> Place:
        """The place that a blueprint names.

        Raises:
            InvalidField: a file would lie elsewhere, or a password is written in the blueprint.
        """
        place = cls(storage, folder.absolute())
        if storage is None:
            return place
        if place._address(storage) != storage:  # a file
            return place
        return cls(_referenced(storage), folder.absolute())

    def address(self, environment: Mapping[str, str]) -> str:
        """What Optuna calls the place.

        Raises:
            UsageError: a variable of the environment is not set.
        """
        if self.storage is None:
            return str(self.folder / FILE)
        return self._address(_REFERENCE.sub(lambda found: _value(found[1], environment), self.storage))

    def _address(self, storage: str) -> str:
        if _PLACE.fullmatch(storage) is None:
            raise InvalidField(
                "storage",
                "must be FILE.journal, sqlite:///FILE.db, or postgresql://USER@HOST/DATABASE or the same with mysql",
            )
        scheme, separator, rest = storage.rpartition("://")
        if separator and scheme != "sqlite":
            return storage
        path = Path(rest.removeprefix("/") if separator else rest)
        if path.is_absolute() or ".." in path.parts or str(path).startswith("~"):
            raise InvalidField(
                "storage",
                f"{path} must lie below the folder of the blueprint's runs: a relative path without '..'; "
                "several machines share it by sharing that folder, or by a database server",
            )
        return f"{'sqlite:///' if separator else ''}{self.folder.parent / path}"

    def __str__(self) -> str:
        return self.storage or str(self.folder / FILE)


def _referenced(url: str) -> str:
    """The address of a server with what the environment holds of it as `${oc.env:NAME}`."""
    found = _PASSWORD.match(url)
    begin, end = found.span("password") if found is not None else (0, len(url))
    for name, value in sorted(os.environ.items(), key=lambda item: -len(item[1])):
        at = url.find(value) if value and name.isidentifier() else -1
        if 0 <= at <= begin and at + len(value) >= end:
            return f"{url[:at]}${{oc.env:{name}}}{url[at + len(value) :]}"
    if found is None:
        return url
    raise InvalidField(
        "storage", "a password does not belong in a blueprint: write ${oc.env:NAME} and set the variable NAME"
    )


def _value(name: str, environment: Mapping[str, str]) -> str:
    if (found := environment.get(name)) is None:
        raise UsageError(f"the study's storage needs the environment variable {name}, which is not set")
    return found


def opened(place: Place) -> BaseStorage:
    """The storage at a place, made where there is none yet.

    Raises:
        UsageError: it cannot be reached.
    """
    with reaching(place), quietly() as optuna:
        address = place.address(os.environ)
        if "://" not in address:
            Path(address).parent.mkdir(parents=True, exist_ok=True)
            _mend(Path(address))
            journal: BaseStorage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(address))
            return journal
        if address.startswith("sqlite"):
            Path(address.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        waits = {"timeout" if address.startswith("sqlite") else "connect_timeout": _PATIENCE}
        engine = {"pool_pre_ping": True, "connect_args": waits}
        tables: BaseStorage = optuna.storages.RDBStorage(_with_driver(address), engine_kwargs=engine)
        return tables


def _with_driver(address: str) -> str:
    """The address with a driver that is installed, where it names none."""
    scheme, separator, rest = address.partition("://")
    driver = next((each for each in _DRIVERS.get(scheme, ()) if find_spec(each) is not None), None)
    return address if driver is None else f"{scheme}+{driver.lower()}{separator}{rest}"


def closed(storage: BaseStorage) -> None:
    """Let go of a storage's connections."""
    storage.remove_session()
    if (engine := getattr(storage, "engine", None)) is not None:
        engine.dispose()


@contextmanager
def reaching(place: Place) -> Iterator[None]:
    """Tell in words what happens when a storage cannot be used.

    Raises:
        UsageError: in place of what Optuna, its database or the file system raises.
    """
    try:
        yield
    except HydranticError:
        raise
    except ImportError as error:
        remedies = (remedy for dialect, remedy in _REMEDIES.items() if str(place).startswith(dialect))
        remedy = next(remedies, "pip install 'hydrantic[optuna]'")
        raise UsageError(f"the study needs a package that is not installed: {_first_line(error)}: {remedy}") from error
    except Exception as error:
        raise UsageError(f"the study in {place} cannot be used: {explained(error, place)}") from error


def explained(error: BaseException, place: Place) -> str:
    """Why a study at a place failed, in a line without secrets."""
    cause = error.__cause__ if error.__cause__ is not None else error
    said = cause.strerror if isinstance(cause, OSError) else None
    text = said or f"{type(cause).__name__}: {_first_line(cause)}"
    for name in _REFERENCE.findall(str(place)):
        text = text.replace(os.environ.get(name) or "***", "***")
    return re.sub(r"://[^/@\s]*@", "://***@", text)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _mend(journal: Path) -> None:
    """Take away the line that a kill tore at the end of a journal; Optuna could not read what comes after it."""
    if not journal.exists() or _is_whole(journal):
        return
    from optuna.storages.journal import JournalFileSymlinkLock

    lock = JournalFileSymlinkLock(str(journal))
    lock.acquire()
    try:
        if not _is_whole(journal):  # it was no other process, just writing
            os.truncate(journal, journal.read_bytes().rfind(b"\n") + 1)
    finally:
        with suppress(RuntimeError):
            lock.release()


def _is_whole(journal: Path) -> bool:
    with journal.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        return not size or file.seek(size - 1) < 0 or file.read(1) == b"\n"
