"""Writing several files or none, and never over one that is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from hydrantic.errors import UsageError
from hydrantic.source import display


@dataclass(frozen=True)
class Written:
    """Which files were written, and which were there and left alone."""

    new: tuple[Path, ...]
    kept: tuple[Path, ...]


@contextmanager
def written(files: Mapping[Path, str]) -> Iterator[Written]:
    """Write the files that are not there yet; where that or the body fails, take all of them away again.

    Arguments:
        files: text by path; missing folders are made.

    Raises:
        UsageError: a file cannot be written.
    """
    new = {file: text for file, text in files.items() if not _is_there(file)}
    folders: list[Path] = []
    done: list[Path] = []
    try:
        for file, text in new.items():
            _make(file.parent, folders)
            _write(file, text, done)
        yield Written(tuple(new), tuple(file for file in files if file not in new))
    except BaseException:
        _take_away(done, folders)
        raise


def _is_there(file: Path) -> bool:
    try:
        return file.exists() or file.is_symlink()
    except OSError:  # it will be told when it is written
        return False


def _make(folder: Path, made: list[Path]) -> None:
    missing = [each for each in (folder, *folder.parents) if not each.is_dir()]
    for each in reversed(missing):
        try:
            each.mkdir()
        except OSError as error:
            raise _cannot(each, error) from error
        made.append(each)


def _write(file: Path, text: str, done: list[Path]) -> None:
    try:
        with file.open("x", encoding="utf-8", newline="\n") as out:
            done.append(file)
            out.write(text)
    except OSError as error:
        raise _cannot(file, error) from error


def _cannot(path: Path, error: OSError) -> UsageError:
    reason = "there is a file of that name" if isinstance(error, FileExistsError) else error.strerror or str(error)
    return UsageError(f"cannot write {display(path)}: {reason}; nothing was written, choose another folder")


def _take_away(files: list[Path], folders: list[Path]) -> None:
    for file in files:
        with suppress(OSError):
            file.unlink()
    for folder in reversed(folders):
        rmtree(folder / "__pycache__", ignore_errors=True)
        with suppress(OSError):  # something else was put there
            folder.rmdir()
