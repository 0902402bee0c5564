"""Reading a CSV file as columns of text, with errors that name the line."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from hydrantic import InvalidField

ROW = "\0row"
"""Name of the column that counts the rows of the file from 0."""


@dataclass(frozen=True)
class TextTable:
    """The columns of a CSV file as text, missing values as null; blank lines are left out."""

    path: Path
    separator: str
    frame: Any
    """A `polars.DataFrame` with one text column per column of the file, and `ROW`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in the order of the file."""
        return tuple(name for name in self.frame.columns if name != ROW)

    def where(self, mask: Any) -> TextTable:
        """The rows for which a boolean series is true."""
        return TextTable(self.path, self.separator, self.frame.filter(mask))

    def lines(self, rows: Iterable[int]) -> str:
        """The lines of the file on which some of its rows begin, in words: `line 7`, `lines 2, 5 and 9`."""
        wanted = set(rows)
        found = [str(line) for row, line, _ in _records(self.path, self.separator) if row in wanted]
        return f"line {found[0]}" if len(found) == 1 else f"lines {', '.join(found[:-1])} and {found[-1]}"


def read_text_table(path: Path, separator: str, missing: Iterable[str]) -> TextTable:
    """The rows of a CSV file with a header.

    Arguments:
        path: the file, in UTF-8.
        separator: the character between two values.
        missing: what stands for a missing value.

    Raises:
        InvalidField: the file is missing, empty, no UTF-8, without rows or ragged, or a column has no name of its own.
    """
    import polars

    if not path.is_file():
        raise InvalidField("path", f"there is no file {path}")
    header = _header(path, separator)
    try:
        frame = polars.read_csv(
            path, separator=separator, infer_schema=False, null_values=sorted(missing), glob=False,
            new_columns=list(header),
        ).with_row_index(ROW)  # fmt: skip
    except polars.exceptions.NoDataError:
        raise InvalidField("path", f"{path} is empty") from None
    except (polars.exceptions.PolarsError, OSError) as error:
        _explain(path, separator, header, error)
    text = [polars.col(name).str.strip_chars().replace("", None) for name in header]
    frame = frame.with_columns(text).filter(~polars.all_horizontal(polars.col(header).is_null()))
    if frame.is_empty():
        raise InvalidField("path", f"{path} has a header and no rows")
    if frame[header[-1]].null_count():
        # To polars, a row that is too short has missing values.
        _refuse_ragged(path, separator, header)
    return TextTable(path, separator, frame)


def text_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> TextTable:
    """Rows that come from no file as the columns of text that they would be in one.

    Arguments:
        columns: names of the columns, each a key of every row.
        rows: numbers, truth values, texts, and None where a value is missing.
    """
    import polars

    texts = {name: [_as_text(row[name]) for row in rows] for name in columns}
    frame = polars.DataFrame(texts, schema=dict.fromkeys(columns, polars.String))
    return TextTable(Path("request"), ",", frame.with_row_index(ROW))


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else repr(float(value))


def _header(path: Path, separator: str) -> tuple[str, ...]:
    header = tuple(name.strip() for name in next((cells for _, _, cells in _records(path, separator, skip=0)), []))
    if not any(header):
        raise InvalidField("path", f"{path} is empty" if path.stat().st_size == 0 else f"{path} has no header")
    for name in header:
        if header.count(name) > 1:
            what = f"has {header.count(name)} columns called '{name}'" if name else "has columns without a name"
            raise InvalidField("path", f"{path} {what}; give each column a name of its own")
    if "" in header:
        raise InvalidField("path", f"{path} has a column without a name, number {header.index('') + 1}; give it one")
    return header


def _records(path: Path, separator: str, skip: int = 1) -> Iterator[tuple[int, int, list[str]]]:
    """Number of the row below the header, line on which it begins, and cells of each record."""
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=separator)
            for row, cells in enumerate(reader, start=-1):
                if row >= skip - 1:
                    yield row, line, cells
                line = reader.line_num + 1
    except UnicodeDecodeError:
        raise InvalidField("path", f"{path} is not in UTF-8 ({_undecodable(path)}); save it as UTF-8") from None
    except csv.Error as error:
        raise InvalidField("path", f"{path} is no CSV file: {error} (near line {line})") from None


def _undecodable(path: Path) -> str:
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            return f"line {number}"
    return "its end"


def _explain(path: Path, separator: str, header: tuple[str, ...], error: Exception) -> NoReturn:
    _refuse_ragged(path, separator, header)
    raise InvalidField("path", f"{path} cannot be read: {str(error).splitlines()[0]}") from None


def _refuse_ragged(path: Path, separator: str, header: tuple[str, ...]) -> None:
    for _, line, cells in _records(path, separator):
        is_blank = len(cells) <= 1 and not "".join(cells).strip()
        if len(cells) != len(header) and not is_blank:
            values = "1 value" if len(cells) == 1 else f"{len(cells)} values"
            raise InvalidField("path", f"{path}: line {line} has {values}, but the header has {len(header)} columns")
