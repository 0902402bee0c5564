"""The one view of a sweep that runs: how far it is, what runs now, and at once what went wrong."""

from __future__ import annotations

import csv
import io
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TextIO

from hydrantic.source import display
from hydrantic.sweeping.ledger import JobRecord
from hydrantic.sweeping.words import (
    STYLES,
    brief,
    cells,
    clock,
    columns_of,
    duration,
    fitted,
    is_coloured,
    padded,
    painted,
    plain,
    reason,
    shortened,
    told,
)
from hydrantic.texts import counted

_SECONDS_BETWEEN_REDRAWS: Final = 0.2
_SECONDS_BETWEEN_LINES: Final = 10.0
_DELAY_OF_PLANNING: Final = 1.0
_MOST_RUNNING: Final = 8
_BAR: Final = 20
_TAIL: Final = 4096
_BAD: Final = ("failed", "lost")


class View:
    """Shows on a terminal one line for the sweep and one for each running job; elsewhere a line for each ended job.

    Arguments:
        stream: where to write; stderr by default.
        now: the clock, in seconds.
    """

    def __init__(self, stream: TextIO | None = None, *, now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr or io.StringIO()  # a program without a console has none
        self._now = now
        self._screen = _Screen(self._stream) if _redraws(self._stream) else None
        self._planning: _Count | None = None
        self._jobs: _Jobs | None = None
        self._next = 0.0

    def planning(self, total: int | None) -> None:
        """Jobs begin to be composed and planned; a bar is shown if that takes longer than a second."""
        self._planning = _Count(total, self._now())
        self._next = self._now() + _DELAY_OF_PLANNING

    def planned(self, count: int) -> None:
        """So many jobs are planned by now."""
        if self._planning is not None:
            self._planning.done = count
            self.tick()

    def begin(
        self,
        total: int | None,
        capacity: int | None,
        *,
        objective: tuple[str, str] | None = None,
        ended: Sequence[JobRecord] = (),
    ) -> None:
        """The jobs begin to run.

        Arguments:
            total: how many there are, where that is known; with those that have ended before.
            capacity: how many run at a time, where that is known.
            objective: logged name and mode of what is optimised; without it, no best job is shown.
            ended: jobs that need not run, because they did before the sweep was resumed.
        """
        self._planning = None
        self._jobs = _Jobs(total, capacity, objective, self._now())
        for job in ended:
            self._jobs.count(job)
        self._jobs.earlier = len(ended)
        self._next = self._now() + (0.0 if self._screen else _SECONDS_BETWEEN_LINES)
        self.tick()

    def started(self, job: JobRecord) -> None:
        """A job runs."""
        if self._jobs is not None:
            self._jobs.running[job.number] = _RunningJob(job, self._now())

    def ended(self, job: JobRecord) -> None:
        """A job has ended; one that failed is told of at once."""
        if self._jobs is not None:
            self._jobs.take_out(job, self._now())
        if job.state in _BAD:
            self._print(self._failure(job))
        elif self._screen is None and self._jobs is not None:
            self._print(self._jobs.line_of(job))
        self._schedule_line()

    def tick(self) -> None:
        """Show how things stand, unless that was done a moment ago."""
        now = self._now()
        if now < self._next:
            return
        if self._screen is not None:
            self._next = now + _SECONDS_BETWEEN_REDRAWS
            self._screen.draw(self._lines)
        elif self._jobs is not None:
            self._schedule_line()
            self._print(" ".join(self._jobs.total_parts(now)))

    def say(self, text: str) -> None:
        """Print something a person should read, above what is redrawn."""
        self._print("\n".join(plain(line) for line in text.splitlines()))

    def close(self) -> None:
        """Leave nothing on the terminal but a line that says what came of it."""
        if self._screen is not None:
            self._screen.clear()
        jobs, self._jobs, self._planning = self._jobs, None, None
        if jobs is not None and jobs.done > jobs.earlier:
            self._print(jobs.summary(self._now()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _schedule_line(self) -> None:
        if self._screen is None:
            self._next = self._now() + _SECONDS_BETWEEN_LINES

    def _print(self, text: str) -> None:
        if self._screen is not None:
            self._screen.clear()
        with suppress(OSError):  # the terminal has been closed, or a pipe: the jobs go on
            print(text, file=self._stream, flush=True)

    def _failure(self, job: JobRecord) -> str:
        time_ = f" after {duration(job.seconds)}" if job.seconds is not None else ""
        head = f"job {job.number} {job.state}{time_}: {told(job)}"
        if self._screen is not None and self._screen.is_coloured:
            head = painted(head, STYLES[job.state])
        where = [] if job.is_invalid else [plain(display(job.directory))]
        return "\n  ".join([head, reason(job), *where])

    def _lines(self, width: int, height: int) -> list[str]:
        screen = self._screen
        assert screen is not None  # only a terminal is drawn on
        if self._jobs is not None:
            return list(self._jobs.lines(width, height, self._now(), screen))
        if self._planning is not None:
            return [self._planning.line(width, self._now(), screen)]
        return []


def _redraws(stream: TextIO) -> bool:
    """Whether lines can be drawn over: on a terminal that moves its cursor."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


class _Screen:
    """The last lines of a terminal, drawn again and again in place."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn: list[int] = []
        self.is_coloured = is_coloured(stream)
        self.has_blocks = _can_write("━╸", stream)

    def draw(self, lines_of: Callable[[int, int], list[str]]) -> None:
        """Draw lines in the place of those drawn before; none may be wider than the terminal."""
        width, height = self._size()
        lines = lines_of(width - 1, height)
        # Each line is cleared by itself: to clear the whole would flicker, and some terminals keep what was cleared.
        self._write(self._back(width) + "\n".join(line + "\x1b[K" for line in lines) + "\x1b[J")
        self._drawn = [_width_of(line) for line in lines]

    def clear(self) -> None:
        """Take the lines away."""
        if self._drawn:
            self._write(self._back(self._size()[0]) + "\x1b[J")
            self._drawn = []

    def _back(self, width: int) -> str:
        """What moves the cursor to where the first line began; a terminal made narrower has broken the lines."""
        rows = sum(max(math.ceil(drawn / max(width, 1)), 1) for drawn in self._drawn)
        return "\r" + (f"\x1b[{rows - 1}A" if rows > 1 else "")

    def _write(self, text: str) -> None:
        with suppress(OSError):  # as above: nobody looks any more
            self._stream.write(text)
            self._stream.flush()

    def _size(self) -> tuple[int, int]:
        """What the terminal says of itself now, for it may have become narrower; a guess where it says nothing."""
        try:
            columns, rows = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            columns, rows = 0, 0
        return max(columns or columns_of(self._stream), 2), rows or 24


def _width_of(line: str) -> int:
    """The columns that a line takes, its colours left out."""
    bare = line
    while "\x1b[" in bare:
        before, _, after = bare.partition("\x1b[")
        bare = before + after.partition("m")[2]
    return cells(bare)


def _can_write(text: str, stream: TextIO) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _bar(share: float, screen: _Screen) -> str:
    """A bar that is filled so far, in halves where the terminal has letters for them."""
    if not screen.has_blocks:
        full = round(_BAR * share)
        return f"[{'=' * full}{' ' * (_BAR - full)}]"
    halves = round(2 * _BAR * share)
    filled = "━" * (halves // 2) + "╸" * (halves % 2)
    rest = "─" * (_BAR - len(filled))
    return painted(filled, "green") + painted(rest, "faint") if screen.is_coloured else filled + rest


@dataclass
class _Count:
    """Things that are counted."""

    total: int | None
    began: float
    done: int = 0

    def line(self, width: int, now: float, screen: _Screen) -> str:
        of = f"/{self.total:,}" if self.total else ""
        text = f"planning  {self.done:,}{of} jobs"
        if not self.total or width < len(text) + _BAR + 12:
            return fitted(text, width)
        left = (now - self.began) / self.done * (self.total - self.done) if self.done else None
        tail = "" if left is None else f"  {clock(left)} left"
        return f"planning  {_bar(self.done / self.total, screen)}  {self.done:,}{of} jobs{tail}"


@dataclass
class _RunningJob:
    """A job that runs, and the last that its metrics told."""

    job: JobRecord
    began: float
    _seen: tuple[int, int] = (0, 0)
    _said: str = ""

    def said(self) -> str:
        """Its epoch, step and latest validation metrics, as its `metrics.csv` tells them."""
        file = self.job.directory / "metrics.csv"
        try:
            found = file.stat()
        except OSError:  # not yet
            return self._said
        seen = found.st_mtime_ns, found.st_size
        if seen != self._seen:
            self._seen = seen
            self._said = latest(file) or self._said
        return self._said


def latest(file: Path) -> str:
    """The last epoch, step and validation metrics in a `metrics.csv`, of which only the end is read."""
    try:
        head, rows = _ends_of(file)
    except (OSError, csv.Error):
        return ""
    columns = next(csv.reader([head]), [])
    told_ = [dict(zip(columns, row, strict=True)) for row in csv.reader(rows) if len(row) == len(columns)]
    if not told_:
        return ""
    last = next((row for row in reversed(told_) if _is_of_training(row)), told_[-1])  # a test counts one epoch more
    names = [name for name in columns if name.startswith("validation/")]
    values = {name: next((row[name] for row in reversed(told_) if row[name]), "") for name in names}
    epoch = f"epoch {int(last['epoch']) + 1}" if last.get("epoch", "").isdecimal() else ""
    step = f"step {last['step']}" if last.get("step", "").isdecimal() else ""
    said = [f"{name.partition('/')[2]} {_brief(value)}" for name, value in values.items() if value]
    return plain("  ".join(part for part in (epoch, step, *said[:3]) if part))


def _is_of_training(row: Mapping[str, str]) -> bool:
    return any(value and name.startswith(("training/", "validation/")) for name, value in row.items())


def _ends_of(file: Path) -> tuple[str, list[str]]:
    """The first line of a file, and the whole lines among its last bytes."""
    with file.open("rb") as lines:
        head = lines.readline(_TAIL).decode("utf-8", "replace").rstrip("\n")
        start = lines.tell()
        size = lines.seek(0, os.SEEK_END)
        begin = max(size - _TAIL, start)
        lines.seek(begin)
        text = lines.read(_TAIL).decode("utf-8", "replace")
    whole = text[: text.rfind("\n") + 1].splitlines()
    return head, whole[1:] if begin > start else whole


def _brief(value: str) -> str:
    try:
        return brief(float(value))
    except ValueError:
        return value


@dataclass
class _Jobs:
    """What became of the jobs so far."""

    total: int | None
    capacity: int | None
    objective: tuple[str, str] | None
    began: float
    running: dict[int, _RunningJob] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    best: JobRecord | None = None
    earlier: int = 0
    _times: list[float] = field(default_factory=list)

    @property
    def done(self) -> int:
        """How many have ended."""
        return self.counts.total()

    def count(self, job: JobRecord) -> None:
        """Count a job that has ended, which may be the best so far."""
        self.counts[job.state] += 1
        if self._is_best(job):
            self.best = job

    def take_out(self, job: JobRecord, now: float) -> None:
        """A job runs no more."""
        begun = self.running.pop(job.number, None)
        if begun is not None:
            self._times.append(now - begun.began)
        self.count(job)

    def _is_best(self, job: JobRecord) -> bool:
        if self.objective is None or job.state != "finished" or job.value is None or math.isnan(job.value):
            return False
        if self.best is None or self.best.value is None:
            return True
        return job.value > self.best.value if self.objective[1] == "max" else job.value < self.best.value

    def seconds_left(self, now: float) -> float | None:
        """How long the rest will take if it takes as long as what has ended; None where nothing tells."""
        if self.total is None or not self._times:
            return None
        each = sum(self._times) / len(self._times)
        begun = sum(max(each - (now - job.began), 0.0) for job in self.running.values())
        waiting = max(self.total - self.done - len(self.running), 0)
        at_a_time = max(min(self.capacity or self.total, self.total), len(self.running), 1)
        return max((begun + waiting * each) / min(at_a_time, max(waiting + len(self.running), 1)), 0.0)

    def total_parts(self, now: float) -> Iterator[str]:
        """The line that sums up, part by part, what matters most first."""
        yield f"{self._of()} done,"
        states = [f"{len(self.running)} running", *(f"{self.counts[s]} {s}" for s in _BAD if self.counts[s])]
        yield ", ".join(states) + ","
        left = self.seconds_left(now)
        yield clock(now - self.began) + (" elapsed" if left is None else f" elapsed, {clock(left)} left")
        if self.best is not None:
            yield f"  best {self._best()}"

    def _of(self) -> str:
        return f"{self.done:,}" if self.total is None else f"{self.done:,}/{self.total:,}"

    def _best(self) -> str:
        return "" if self.best is None else f"{self._valued(self.best)}  {shortened(self.best.overrides)}"

    def _valued(self, job: JobRecord) -> str:
        """The objective with a job's value; empty where there is none."""
        if self.objective is None or job.value is None:
            return ""
        return f"{plain(self.objective[0])} {brief(job.value)}"

    def lines(self, width: int, height: int, now: float, screen: _Screen) -> Iterator[str]:
        """The line that sums up, and one for each running job."""
        yield self._total_line(width, now, screen)
        room = max(min(_MOST_RUNNING, height - 2), 0)
        shown = list(self.running.values())[:room]
        yield from _running_lines(shown, width, now, screen)
        hidden = len(self.running) - len(shown)
        if hidden and room:
            yield fitted(f"  and {hidden:,} more", width)

    def _total_line(self, width: int, now: float, screen: _Screen) -> str:
        left = self.seconds_left(now)
        known = [("running", len(self.running)), *((s, self.counts[s]) for s in ("failed", "lost", "pruned"))]
        parts = [(self._of(), "bold"), *((f"{number:,} {state}", STYLES[state]) for state, number in known if number)]
        parts.append((clock(now - self.began) + ("" if left is None else f", {clock(left)} left"), ""))
        if self.best is not None:
            parts += [(f"best {self._valued(self.best)}", ""), (shortened(self.best.overrides), "")]
        bar, room = "", width
        if self.total and width >= 60:
            bar = _bar(min(self.done / self.total, 1.0), screen) + "  "
            room = width - _width_of(bar)
        return bar + _joined([part for part in parts if part[0]], room, screen)

    def line_of(self, job: JobRecord) -> str:
        """A job that has ended, in one line."""
        time_ = f" in {duration(job.seconds)}" if job.seconds is not None else ""
        parts = (f"{self._of()}  job {job.number} {job.state}{time_}:", self._valued(job), told(job))
        return "  ".join(part for part in parts if part)

    def summary(self, now: float) -> str:
        """What came of the sweep, in one line; the best job stands in the summary of whoever ran it."""
        states = ", ".join(f"{self.counts[state]:,} {state}" for state in STYLES if self.counts[state])
        is_whole = self.total is None or self.done >= self.total
        jobs = counted(self.done, "job") if is_whole else f"{self.done:,} of {self.total:,} jobs"
        return f"{jobs} in {duration(now - self.began)}: {states}"


def _joined(parts: Sequence[tuple[str, str]], room: int, screen: _Screen) -> str:
    """The parts one after the other as far as they fit, the last one cut."""
    said: list[str] = []
    for text, style in parts:
        cut = fitted(text, room)
        if cut != text and room < 16 and said:
            break
        said.append(painted(cut, style) if screen.is_coloured and style else cut)
        room -= cells(cut) + 2
        if room <= 0:
            break
    return "  ".join(said)


def _running_lines(jobs: Sequence[_RunningJob], width: int, now: float, screen: _Screen) -> Iterator[str]:
    """A line for each running job: number, what sets it apart, how far it is, how long it runs."""
    if not jobs:
        return
    heads = [f"{each.job.number:>{max(len(str(job.job.number)) for job in jobs)}}" for each in jobs]
    times = [clock(now - each.began) for each in jobs]
    said = [each.said() or "starting" for each in jobs]
    fixed = max(map(len, heads)) + max(map(len, times)) + 8
    names = [shortened(each.job.overrides) for each in jobs]
    room = max(width - fixed, 0)
    name_width = min(max(map(cells, names)), max(room - min(max(map(cells, said)), room // 2), 0))
    for head, time_, name, progress in zip(heads, times, names, said, strict=True):
        tail = fitted(progress, max(room - name_width, 0))
        text = f"  {head}  {padded(fitted(name, name_width), name_width)}  "
        line = f"{text}{padded(time_, max(map(len, times)), to_right=True)}  {tail}".rstrip()
        yield _coloured_line(fitted(line, width), len(text), screen)


def _coloured_line(line: str, at: int, screen: _Screen) -> str:
    """The line with how far a job is standing back behind what it is."""
    return line[:at] + painted(line[at:], "faint") if screen.is_coloured and len(line) > at else line
