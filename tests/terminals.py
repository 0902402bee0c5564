"""Real shells on a terminal of their own, for tests of completion."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent
PATIENCE = 30.0

COMMANDS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}

OWN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""

# Ctrl-X Ctrl-P prints the line as it stands, in <<angle brackets>>; Ctrl-U clears it.
SETUP = {
    "bash": r"""
        PS1='$ '; bind 'set completion-query-items 0'; bind 'set page-completions off'
        bind 'set enable-bracketed-paste off'; bind 'set show-all-if-ambiguous on'
        bind -x '"\C-x\C-p": printf "<<%s>>\n" "$READLINE_LINE"'
        """,
    "zsh": r"""
        PS1='$ '; bindkey -e; unsetopt prompt_cr prompt_sp; unset zle_bracketed_paste; LISTMAX=1000
        show() { print -r -- "<<$BUFFER>>"; }; zle -N show; bindkey '^X^P' show; bindkey '^U' kill-whole-line
        """,
    "fish": r"""
        function fish_prompt; echo '$ '; end
        bind \cx\cp 'printf "<<%s>>\n" (commandline | string collect)'
        """,
}


def command(folder: Path) -> Path:
    """The command `hydrantic` of this checkout, in a folder to be put on the PATH."""
    file = folder / "hydrantic"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.append({str(CHECKOUT)!r})\n"
        "from hydrantic.cli.main import main\nsys.exit(main())\n",
        encoding="utf-8",
    )
    file.chmod(0o755)
    return file


class Terminal:
    """An interactive shell; `complete` types a line and a TAB."""

    def __init__(self, shell: str, setup: str, folder: Path, environment: Mapping[str, str]) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", OWN_TERMINAL, *COMMANDS[shell]],
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, start_new_session=True,
            env={**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **environment},
        )  # fmt: skip
        os.close(theirs)
        self._terminal, self._read = ours, b""
        for line in (*SETUP[shell].splitlines(), *setup.splitlines(), "echo REA''DY"):
            self._write(line.strip() + "\n")
        self._until(b"READY\r?\n")

    def complete(self, line: str) -> str:
        """The line after a TAB at its end."""
        self._write(f"\x15{line}\t\x18\x10")
        return self._until(b"<<(.*?)>>")[1].decode()

    def screen(self, line: str) -> str:
        """What is shown after a TAB at the end of a line, without what moves the cursor and sets colours."""
        self._write(f"\x15{line}\t\x18\x10")
        return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", " ", self._until(b".*?<<(.*?)>>")[0].decode())

    def close(self) -> None:
        """End the shell."""
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)

    def _write(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def _until(self, pattern: bytes) -> re.Match[bytes]:
        end = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self._read, re.DOTALL)) is None:
            if time.monotonic() > end:
                raise AssertionError(f"the shell does not answer: {self._read[-2000:]!r}")
            if select.select([self._terminal], [], [], 0.1)[0]:
                self._read += os.read(self._terminal, 65536)
        self._read = self._read[found.end() :]
        return found
