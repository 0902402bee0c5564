"""Renewing the manifest in the background, for whoever cannot wait for it."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Final

from hydrantic.manifest import cache_folder, current, keys, was_described
from hydrantic.project import Project

AGAIN: Final = 600
"""Seconds after which a renewal that came to nothing is tried again although nothing has changed."""
_HERE: Final = Path(__file__).resolve().parent.parent


def renew(project: Project) -> bool:
    """Start renewing the manifest of a project, unless that is under way, and return at once.

    Returns:
        Whether it was started.
    """
    # The components of a project are code. What runs it for the first time is a command, and not a key pressed.
    renewed = project if was_described(project) else Project(None)
    try:
        return _started(renewed)
    except (OSError, RuntimeError, ImportError):  # a cache that cannot be written, a system without such locks
        return False


def _started(project: Project) -> bool:
    import fcntl

    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "renewal.lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # the process that renews it holds the lock until it ends
            return False
        wanted = " ".join(keys(project))
        lock.seek(0)
        if lock.read() == wanted and time.time() - os.fstat(lock.fileno()).st_mtime < AGAIN:
            return False
        lock.truncate(0)
        lock.write(wanted)
        lock.flush()
        _detach(project, lock.fileno())
    return True


def _detach(project: Project, lock: int) -> None:
    code = f"import sys; sys.path.insert(0, {str(_HERE.parent)!r})\nfrom hydrantic.manifest.renewal import main; main()"
    root = "" if project.root is None else str(project.root)
    os.set_inheritable(lock, True)
    # Nobody will wait for this process, which a Popen would complain of.
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", "-c", code, root, json.dumps(sys.path)],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in (0, 1, 2)],
    )


def main() -> None:
    """Renew the manifest of the project that the command line names, under the path to modules that it names."""
    os.setsid()  # it outlives the terminal
    os.nice(10)
    root, path = sys.argv[1:]
    sys.path[:] = json.loads(path)  # what is installed there is a part of what the manifest is kept under
    current(Project(Path(root) if root else None))
