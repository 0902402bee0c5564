"""What a CSV file holds: its separator, and of each column what kind of values, in one pass."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Final, Literal, NoReturn, TypeAlias

from hydrantic.errors import UsageError
from hydrantic.source import display
from hydrantic.suggestions import nearest
from hydrantic.texts import counted, cut

Kind: TypeAlias = Literal["empty", "number", "mixed", "dates", "decimal comma", "text"]

_PLACEHOLDERS: Final = frozenset(
    {"?", "-", "--", ".", "none", "missing", "unknown", "n.a.", "na", "nan", "null", "nil", "#n/a", "#na", "<na>",
     "(null)", "inf", "-inf", "+inf", "infinity", "-infinity"}
)  # fmt: skip
"""What people write among numbers where there is no number, in lower case."""

_SEPARATORS: Final = (",", ";", "\t", "|")
_DATE: Final = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}( .*)?")
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d[\d.]*,\d+([eE][+-]?\d+)?")
_ID: Final = re.compile(
    r"(?i:(.*[\W_])?(id|uuid|guid)|index|idx|key|no|nr|number|row|row_?(id|nr|num|number|names?))|.*[a-z](ID|Id)"
)
_CODE: Final = re.compile(r"(?=\D*\d)\S{1,40}")
_OTHER_FORMATS: Final = {
    b"PK\x03\x04": "a workbook or an archive; export the table from there as CSV",
    b"\xd0\xcf\x11\xe0": "an old workbook; export the table from there as CSV",
    b"\x1f\x8b": "compressed; unpack it first (gunzip)",
    b"PAR1": "a Parquet file; export the table from there as CSV",
    b"\xff\xfe": "in UTF-16; save it as UTF-8",
    b"\xfe\xff": "in UTF-16; save it as UTF-8",
}
_CELLS_AT_ONCE: Final = 200_000


@dataclass(frozen=True)
class Marks:
    """How a table writes a missing value, and how many categories a column may have."""

    missing: frozenset[str]
    categories: int


@dataclass
class Column:
    """What is known of a column after the rows that were read."""

    name: str
    marks: Marks
    present: int = 0
    """Number of values that are there."""
    absent: int = 0
    """Number of values that are not."""
    strays: int = 0
    """Number of values that are no numbers, where these are few different ones."""
    spaced: set[str] = field(default_factory=set)
    """Marks of missing values with spaces around them."""
    odd: set[str] = field(default_factory=set)
    """Some of the values that are no numbers."""
    has_numbers: bool = False
    is_unique: bool = True
    """Whether every value so far is another."""
    _seen: set[str] = field(default_factory=set)

    @property
    def kind(self) -> Kind:
        """What kind of values there are."""
        if not self.present:
            return "empty"
        if not self.odd:
            return "number"
        if any("," in each for each in self.odd) and all(_DECIMAL_COMMA.fullmatch(each) for each in self.odd):
            return "decimal comma"
        if self.has_numbers:
            return "mixed"
        return "dates" if all(_DATE.fullmatch(each) for each in self.odd) else "text"

    @property
    def is_constant(self) -> bool:
        """Whether there is no second value."""
        return len(self._seen) < 2

    @property
    def has_few_values(self) -> bool:
        """Whether its values can be categories."""
        return len(self._seen) <= self.marks.categories

    @property
    def is_id(self) -> bool:
        """Whether it obviously names the rows: different in each, and called so or a code such as `p017`."""
        if self.absent or not self.is_unique or self.kind not in {"text", "number"}:
            return False
        if self.is_named_id:
            return self.kind == "text" or all(each.isdigit() for each in self._seen)
        return self.kind == "text" and all(_CODE.fullmatch(each) for each in self._seen)

    @property
    def is_named_id(self) -> bool:
        """Whether it is called like a name for the rows."""
        return _ID.fullmatch(self.name) is not None

    @property
    def placeholders(self) -> frozenset[str]:
        """What stands for a missing value among its numbers; nothing where something else is among them, too."""
        found = frozenset(self.odd) if self.kind == "mixed" else frozenset()
        return found if all(each.lower() in _PLACEHOLDERS for each in found) else frozenset()

    @property
    def missing(self) -> int:
        """Number of missing values, placeholders among them."""
        return self.absent + (self.strays if self.placeholders else 0)

    @property
    def example(self) -> str:
        """One of its odd values."""
        return min(self.odd, default="")

    def read(self, cells: Sequence[str]) -> None:
        """Take in some rows' values."""
        distinct = set(cells)
        values = set(map(str.strip, distinct))
        gone = 0
        if "" in values or not values.isdisjoint(self.marks.missing):
            absent = {each for each in distinct if not each.strip() or each.strip() in self.marks.missing}
            gone = sum(cells.count(each) for each in absent)
            self.spaced |= {each for each in absent if each.strip() and each not in self.marks.missing}
            values -= self.marks.missing | {""}
        self.absent += gone
        self.present += len(cells) - gone
        self._judge(values, cells)
        self._remember(values, len(cells) - gone)

    def _judge(self, values: set[str], cells: Sequence[str]) -> None:
        odd = set() if are_numbers(values) else {each for each in values if not are_numbers([each])}
        if 0 < len(odd) <= len(_PLACEHOLDERS):
            self.strays += sum(each.strip() in odd for each in cells)
        self.has_numbers = self.has_numbers or len(odd) < len(values)
        if len(self.odd) <= self.marks.categories:
            # The odd ones out tell more than the many: a date column with one text in it is none.
            self.odd |= odd
        elif any(_DATE.fullmatch(each) for each in self.odd):
            self.odd |= {each for each in odd if not _DATE.fullmatch(each)}

    def _remember(self, values: set[str], count: int) -> None:
        if self.is_unique and (len(values) < count or not self._seen.isdisjoint(values)):
            self.is_unique = False
        many = len(self._seen) > self.marks.categories
        if not many or (self.is_unique and (self.odd or self.is_named_id)):
            self._seen |= values


@dataclass(frozen=True)
class Survey:
    """A CSV file as it was read."""

    file: Path
    separator: str
    columns: tuple[Column, ...]
    rows: int
    header_is_data: bool

    def column(self, name: str) -> Column:
        """The column called `name`."""
        return next(each for each in self.columns if each.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in the order of the file."""
        return tuple(each.name for each in self.columns)


def survey(file: Path, marks: Marks) -> Survey:
    """Read a CSV file once.

    Arguments:
        file: the file, in UTF-8, with a header.
        marks: what stands for a missing value, and how many categories are looked for.

    Raises:
        UsageError: the file is missing, empty, no CSV file in UTF-8, without rows or ragged, or has but one column.
    """
    refuse_other_files(file)
    try:
        separator = find_separator(file)
        header = _header(file, separator)
        columns = tuple(Column(name, marks) for name in header)
        rows = sum(_read(columns, chunk) for chunk in _chunks(file, separator, header))
    except UnicodeDecodeError as error:
        raise UsageError(_not_in_utf8(file)) from error
    except csv.Error as error:
        raise UsageError(f"{display(file)} is no CSV file: {error}") from error
    except OSError as error:
        raise UsageError(f"{display(file)} cannot be read: {error.strerror or error}") from error
    if not rows:
        raise UsageError(f"{display(file)} has a header and no rows")
    return Survey(file, separator, columns, rows, looks_like_data(header))


def _read(columns: Sequence[Column], chunk: Sequence[Sequence[str]]) -> int:
    for column, cells in zip(columns, zip(*chunk, strict=True), strict=True):
        column.read(cells)
    return len(chunk)


def are_numbers(values: Collection[str]) -> bool:
    """Whether all texts are finite numbers, as the table reads them: with a point, without `_` and other digits."""
    try:
        finite = all(map(math.isfinite, map(float, values)))
    except ValueError:
        return False
    together = "".join(values)
    return finite and "_" not in together and together.isascii()


def looks_like_data(header: Sequence[str]) -> bool:
    """Whether a header is likely the first row of a table without one; numbered columns and years are a header."""
    numbers = [each for each in header if are_numbers([each])]
    counted = all(later == earlier + 1 for earlier, later in pairwise(map(float, numbers)))
    return 2 * len(numbers) >= len(header) and not (counted and len(numbers) > 1)


def find_separator(file: Path) -> str:
    """The character between two values: the one that splits the first lines into the most columns, all alike.

    Where none splits them alike, the one that splits the header most.
    """
    found = {each: [len(row) for row in islice(_records(file, each), 100) if row] for each in _SEPARATORS}
    even = {each: sizes[0] for each, sizes in found.items() if sizes and set(sizes) == {sizes[0]} != {1}}
    first = {each: sizes[0] for each, sizes in found.items() if sizes}
    best = even or first
    return max(best, key=lambda each: best[each]) if best else ","


def _records(file: Path, separator: str) -> Iterator[list[str]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        yield from csv.reader(lines, delimiter=separator)


def _header(file: Path, separator: str) -> tuple[str, ...]:
    header = tuple(name.strip() for name in next(_records(file, separator), []))
    if not any(header):
        raise UsageError(f"{display(file)} has no header: its first line must name the columns")
    if len(header) == 1:
        raise UsageError(
            f"{display(file)} has one column, '{shown(header[0])}'; a table needs a column to predict and others to "
            "predict it from, with ',', ';', '|' or a tab between them"
        )
    hint = "; or is its first line no header?" if looks_like_data([each for each in header if each]) else ""
    if "" in header:
        raise UsageError(
            f"{display(file)} has a column without a name, number {header.index('') + 1}; give it one, or leave out "
            f"the index when you save the table{hint}"
        )
    twice = next((name for name in header if header.count(name) > 1), None) if len(set(header)) < len(header) else None
    if twice is not None:
        count = header.count(twice)
        raise UsageError(
            f"{display(file)} has {count} columns called '{shown(twice)}'; give each a name of its own{hint}"
        )
    return header


def _chunks(file: Path, separator: str, header: Sequence[str]) -> Iterator[list[list[str]]]:
    """The rows that are not blank, many at a time."""
    at_once = max(1, _CELLS_AT_ONCE // len(header))
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, delimiter=separator)
        next(reader)
        rows = _even_rows(reader, file, len(header))
        while chunk := list(islice(rows, at_once)):
            yield chunk


def _even_rows(reader: Iterable[list[str]], file: Path, width: int) -> Iterator[list[str]]:
    for row in reader:
        if len(row) == width:
            if any(row):
                yield row
        elif len(row) > 1 or "".join(row).strip():
            _refuse_ragged(file, getattr(reader, "line_num", 0), len(row), width)


def _refuse_ragged(file: Path, line: int, values: int, width: int) -> NoReturn:
    raise UsageError(f"{display(file)}: line {line} has {counted(values, 'value')}, but the header has {width} columns")


def refuse_other_files(file: Path) -> None:
    """Refuse what is obviously no CSV file, without reading more than its beginning.

    Raises:
        UsageError: there is no such file, or it is empty, a folder, or something else than text in UTF-8.
    """
    if not _is_text(str(file.absolute())):
        raise UsageError(f"--data {os.fsencode(file)!r}: the path is no text in UTF-8; rename the file")
    if file.is_dir():
        raise UsageError(f"--data {display(file)}: it is a folder; name a CSV file in it")
    if not file.is_file():
        raise UsageError(f"--data {display(file)}: there is no such file{_near(file)}")
    try:
        with file.open("rb") as content:
            start = content.read(8192)
    except OSError as error:
        raise UsageError(f"{display(file)} cannot be read: {error.strerror or error}") from error
    if not start.strip():
        raise UsageError(f"{display(file)} is empty")
    for magic, what in _OTHER_FORMATS.items():
        if start.startswith(magic):
            raise UsageError(f"{display(file)} is no CSV file in UTF-8: it is {what}")
    if b"\0" in start:
        raise UsageError(f"{display(file)} is no CSV file: it is no text")
    if b"\r" in start and b"\n" not in start:
        raise UsageError(f"{display(file)} ends its lines with a lone carriage return; save it with Unix line ends")


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _near(file: Path) -> str:
    names = [each.name for each in file.parent.iterdir() if each.is_file()] if file.parent.is_dir() else []
    near = nearest(file.name, names)
    return "" if near is None else f"; did you mean {display(file.with_name(near))}?"


def _not_in_utf8(file: Path) -> str:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if _is_no_utf8(line):
                return (
                    f"{display(file)} is not in UTF-8 (line {number}: {shown(line.decode('latin-1'))}); save it as "
                    "UTF-8, or convert it: iconv -f windows-1252 -t utf-8"
                )
    return f"{display(file)} is not in UTF-8; save it as UTF-8"


def _is_no_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def shown(text: str) -> str:
    """A name or value of a file on one line, and not too long."""
    return cut("".join(each for each in " ".join(text.split()) if each.isprintable()), 40)
