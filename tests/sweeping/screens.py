"""A terminal of a given size, and what a person sees on it."""

from __future__ import annotations

import fcntl
import math
import os
import pty
import re
import select
import struct
import termios
from typing import Final

_PIECES: Final = re.compile(r"\x1b\[(\d*)(;\d+)*([A-Za-z])|(.)", re.DOTALL)


class Screen:
    """A real terminal (a pty), whose `stream` is written to; its lines break anew when its width changes."""

    def __init__(self, columns: int, rows: int = 24) -> None:
        self._ours, theirs = pty.openpty()
        self._theirs = theirs
        self.resize(columns, rows)
        self.stream = os.fdopen(theirs, "w", encoding="utf-8")
        self.raw = ""
        self._lines = [""]
        self._line, self._at = 0, 0

    def resize(self, columns: int, rows: int = 24) -> None:
        """Change its size, as a person does with the mouse."""
        self._width = columns or 10_000
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> None:
        """Take it away."""
        self.stream.close()
        os.close(self._ours)

    def seen(self) -> list[str]:
        """The lines that are there now, without empty ones at the end."""
        self._take_in()
        rows = [row.rstrip() for line in self._lines for row in self._broken(line)]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def _broken(self, line: str) -> list[str]:
        return [line[at : at + self._width] for at in range(0, len(line), self._width)] or [""]

    def _take_in(self) -> None:
        text = b""
        while select.select([self._ours], [], [], 0)[0]:
            text += os.read(self._ours, 65536)
        new = text.decode()
        self.raw += new
        for found in _PIECES.finditer(new):
            number, _, command, char = found.groups()
            self._obey(command, int(number or 1)) if command else self._write(char)

    def _write(self, char: str) -> None:
        if char == "\r":
            self._at -= self._at % self._width
        elif char == "\n":
            self._down()
        else:
            line = self._lines[self._line].ljust(self._at)
            self._lines[self._line] = line[: self._at] + char + line[self._at + 1 :]
            self._at += 1

    def _down(self) -> None:
        self._line += 1
        if self._line == len(self._lines):
            self._lines.append("")

    def _obey(self, command: str, number: int) -> None:
        if command == "A":
            for _ in range(number):
                self._up()
        elif command in {"K", "J"}:
            self._lines[self._line] = self._lines[self._line][: self._at]
            if command == "J":
                del self._lines[self._line + 1 :]
        else:
            assert command == "m", command

    def _up(self) -> None:
        column = self._at % self._width
        if self._at >= self._width:
            self._at -= self._width
            return
        self._line -= 1
        assert self._line >= 0, "above what there is"
        rows = max(math.ceil(len(self._lines[self._line]) / self._width), 1)
        self._at = (rows - 1) * self._width + column
