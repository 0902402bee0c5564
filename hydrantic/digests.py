"""Digests of contents, to tell whether something has changed."""

from __future__ import annotations

import hashlib
from pathlib import Path


def digest(*contents: bytes) -> str:
    """A digest of several contents, each with its length, so that no two lists of them share one."""
    found = hashlib.blake2b(digest_size=16)
    for content in contents:
        found.update(len(content).to_bytes(8, "big"))
        found.update(content)
    return found.hexdigest()


def digest_of(file: Path) -> str:
    """A digest of a file's content; empty where it cannot be read."""
    try:
        return digest(file.read_bytes())
    except OSError:
        return ""
