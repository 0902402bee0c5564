"""What differs between two of a run, a blueprint and a checkpoint: resolved values, metrics, and what they ran with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hydrantic.errors import BlueprintError, UsageError
from hydrantic.finding import Found, find_run
from hydrantic.project import Project
from hydrantic.records import Record, local_time, numbers, record_of, seconds_of
from hydrantic.rundir import plain_json
from hydrantic.source import KeyPath, display, dotted

MISSING: Final = "\N{EN DASH}"
"""What stands where a side has no such value."""

_SETTINGS: Final = ("platform", "device", "processes", "threads")
"""Fields of a record that say what a run ran on."""


_AUTO: Final = "auto"
"""What stands for a value that the data supplies."""

_COMMIT: Final = 12
"""So many signs tell a commit from every other."""


class Missing:
    """The place of a value that a side does not have."""

    def __repr__(self) -> str:
        return MISSING


NOTHING: Final = Missing()


@dataclass(frozen=True)
class Side:
    """One of the two that are compared."""

    label: str
    kind: str
    """`run`, `checkpoint` or `blueprint`."""
    values: Mapping[str, Any] = field(repr=False)
    """The resolved blueprint."""
    state: str = ""
    """How it stands, of a run; else what it is."""
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The fields of its record."""
    best: Mapping[str, float] = field(default_factory=dict)
    """The metrics at the best checkpoint."""
    final: Mapping[str, float] = field(default_factory=dict)
    """The last value of every logged name."""
    circumstances: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Versions, commit, the data's fingerprint and the machine, by name; empty where they are not recorded."""
    components: Mapping[str, str] = field(default_factory=dict, repr=False)
    """A hash of each component's source."""
    objective: tuple[str, str] | None = None
    note: str | None = None
    """Which run was taken, where a person left that open."""


@dataclass(frozen=True)
class Change:
    """Something that the sides do not share; `NOTHING` where one has none."""

    key: str
    a: Any
    b: Any

    @property
    def is_block(self) -> bool:
        """Whether a whole component is another one, or there on one side alone."""
        return isinstance(self.a, Mapping) or isinstance(self.b, Mapping)


@dataclass(frozen=True)
class Comparison:
    """What differs between two sides."""

    a: Side
    b: Side
    values: tuple[Change, ...]
    best: tuple[Change, ...]
    final: tuple[Change, ...]
    circumstances: tuple[Change, ...]
    components: tuple[Change, ...]

    @property
    def is_same(self) -> bool:
        """Whether nothing differs."""
        return not (self.values or self.best or self.final or self.circumstances or self.components)


# -- the sides ---------------------------------------------------------------------------------------------------------


def side(named: str | Path, project: Project | None = None) -> Side:
    """What a person names: a blueprint's file, a run, a folder whose latest run it is, or a checkpoint.

    Arguments:
        named: the path.
        project: whose components a blueprint may use.

    Raises:
        UsageError: it is none of these, or tells too little to be compared.
        BlueprintError: the blueprint has problems.
    """
    path = Path(named)
    if path.suffix in {".yaml", ".yml"} and not path.is_dir():
        return _of_blueprint(path, project)
    found = find_run(path)
    return _of_run(found) if found.named is None else _of_checkpoint(found, found.named)


def _of_blueprint(file: Path, project: Project | None) -> Side:
    from hydrantic.checking import check

    plan = check(file, project=project)
    return Side(display(file), "blueprint", _plain(plan.resolved()), "blueprint", objective=plan.objective)


def _of_run(found: Found) -> Side:
    assert found.directory is not None  # no checkpoint was named
    record = record_of(found.directory)
    values = values_of(record)
    if not values:
        raise UsageError(f"{found.label} cannot be compared: {record.error or 'its blueprint cannot be read'}")
    return Side(
        found.label, "run", values, record.state, record.fields, _at_the_best(record), record.final,
        _circumstances(record.fields), _sources(record.fields.get("components")), record.objective, found.note,
    )  # fmt: skip


def values_of(record: Record) -> Mapping[str, Any]:
    """The resolved blueprint of a run, from its file: JSON lacks some numbers."""
    from hydrantic.reading import read_document

    try:
        return read_document(record.directory / "blueprint.yaml").plain()
    except (BlueprintError, OSError):
        return record.values


def _of_checkpoint(found: Found, file: Path) -> Side:
    from hydrantic.contents import read

    state, contents = read(file)
    record = None if found.directory is None else record_of(found.directory)
    reached = {} if record is None else _metrics_at(record.directory, state.get("global_step"))
    fields = {} if record is None else record.fields
    about = f"epoch {state.get('epoch', '?')}, step {state.get('global_step', '?')}"
    circumstances = _circumstances({**fields, "data": contents.facts.fingerprint or fields.get("data")})
    objective = None if record is None else record.objective
    values = _plain(contents.blueprint)
    return Side(
        display(file), "checkpoint", values, about, {}, {}, reached, circumstances, _sources(contents.components),
        objective,
    )  # fmt: skip


def _metrics_at(run: Path, step: Any) -> dict[str, float]:
    """The last value of each name that had been logged when a run had made this many steps."""
    from hydrantic.metrics_table import read_curves

    reached = {}
    for name, curve in read_curves(run).items():
        values = [value for at, value in zip(curve.steps, curve.values, strict=True) if at < int(step or 0)]
        if values and curve.stage != "test":
            reached[name] = values[-1]
    return reached


def _at_the_best(record: Record) -> dict[str, float]:
    return {name: value for name, value in numbers(record.fields.get("best_metrics")).items() if name != "epoch"}


def _circumstances(fields: Mapping[str, Any]) -> dict[str, Any]:
    versions, git = fields.get("versions"), fields.get("git")
    known = versions if isinstance(versions, Mapping) else {}
    found = {f"version of {name}": value for name, value in known.items()}
    if isinstance(git, Mapping) and git.get("commit"):
        found["commit"] = f"{str(git['commit'])[:_COMMIT]}{' with changes' if git.get('dirty') else ''}"
    found["data"] = fields.get("data")
    found |= {name: fields.get(name) for name in _SETTINGS}
    return {name: value for name, value in found.items() if value is not None}


def _sources(components: Any) -> dict[str, str]:
    """The hash of each component's source, whichever way it was recorded."""
    if not isinstance(components, Mapping):
        return {}
    hashes = {name: each.get("source") if isinstance(each, Mapping) else each for name, each in components.items()}
    return {name: str(each) for name, each in hashes.items() if each}


def _plain(values: Any) -> Any:
    """Values as a file holds them: tuples as lists."""
    if isinstance(values, Mapping):
        return {str(key): _plain(part) for key, part in values.items()}
    return [_plain(part) for part in values] if isinstance(values, list | tuple) else values


def as_listed(one: Side) -> Record:
    """A side as a row of a table beside others."""
    fields = {"metrics": one.final, "best_metrics": one.best, **one.record}
    return Record(Path(one.label), one.label, one.state, fields=fields, values=one.values)


# -- what differs ------------------------------------------------------------------------------------------------------


def compared(a: Side, b: Side) -> Comparison:
    """What differs between two sides; the order of keys does not count, nor what only one of them can know."""
    return Comparison(
        a,
        b,
        values=tuple(each for each in _changes(a.values, b.values, ()) if not _is_supplied(each, a, b)),
        best=tuple(_measured(a.best, b.best)) if _tells_more(a) or _tells_more(b) else (),
        final=tuple(_measured(*_at_the_end(a, b))),
        circumstances=_where_both_know(a.circumstances, b.circumstances),
        components=_where_both_know(a.components, b.components),
    )


def _at_the_end(a: Side, b: Side) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """The last metrics of both; what had not been logged when a checkpoint was written is no difference."""
    if "checkpoint" not in (a.kind, b.kind):
        return a.final, b.final
    both = a.final.keys() & b.final.keys()
    return tuple({name: value for name, value in each.final.items() if name in both} for each in (a, b))  # type: ignore[return-value]  # two


def _tells_more(one: Side) -> bool:
    """Whether the best checkpoint is not that of the end."""
    return any(not _is_same(value, one.final.get(name)) for name, value in one.best.items())


def _changes(a: Any, b: Any, path: KeyPath) -> Iterator[Change]:
    if _is_same(a, b):
        return
    if not (isinstance(a, Mapping) and isinstance(b, Mapping)) or (path and _is_replaced(a, b)):
        yield Change(dotted(path), a, b)
        return
    for key in dict.fromkeys([*a, *b]):
        yield from _changes(a.get(key, NOTHING), b.get(key, NOTHING), (*path, key))


_SUPPLIED: Final = ("model", "loss", "metrics")
"""Sections whose fields the data may supply."""


def _is_supplied(change: Change, a: Side, b: Side) -> bool:
    """Whether a blueprint leaves to the data what the other side has from it."""
    said = [each for each, one in ((change.a, a), (change.b, b)) if one.kind == "blueprint"]
    return said == [_AUTO] and change.key.split(".")[0] in _SUPPLIED


def _is_replaced(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return "name" in a and "name" in b and a["name"] != b["name"]


def _is_same(a: Any, b: Any) -> bool:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_is_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_is_same, a, b))
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b):
        return True
    return isinstance(a, bool) is isinstance(b, bool) and bool(a == b)


def _measured(a: Mapping[str, float], b: Mapping[str, float]) -> Iterator[Change]:
    if not a or not b:
        return
    for name in dict.fromkeys([*a, *b]):
        if not _is_same(a.get(name), b.get(name)):
            yield Change(name, a.get(name, NOTHING), b.get(name, NOTHING))


def _where_both_know(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Change, ...]:
    return tuple(Change(name, a[name], b[name]) for name in a if name in b and not _is_same(a[name], b[name]))


# -- for programs ------------------------------------------------------------------------------------------------------


def as_record(found: Comparison) -> dict[str, Any]:
    """A comparison, for a program to read; a value that a side lacks is left out of its change."""
    record = {
        "same": found.is_same,
        "a": _side_record(found.a),
        "b": _side_record(found.b),
        **{
            what: [_change_record(each) for each in getattr(found, what)]
            for what in ("values", "best", "final", "circumstances", "components")
        },
    }
    plain: dict[str, Any] = plain_json(record)
    return plain


def _side_record(one: Side) -> dict[str, Any]:
    return {"label": one.label, "kind": one.kind, "state": one.state}


def _change_record(change: Change) -> dict[str, Any]:
    sides = {"a": change.a, "b": change.b}
    return {"key": change.key} | {name: value for name, value in sides.items() if value is not NOTHING}


# -- for people --------------------------------------------------------------------------------------------------------


def tell(found: Comparison, width: int, *, is_coloured: bool = False) -> str:
    """A comparison, for a person.

    Arguments:
        found: what differs.
        width: columns of the terminal.
        is_coloured: whether colours may be used.
    """
    return _Page(width, is_coloured).told(found)


_GROUPS: Final[Mapping[str, str]] = {
    "best": "metrics at the best checkpoint",
    "final": "metrics at the end",
    "circumstances": "ran with",
    "components": "components whose source differs",
}


@dataclass(frozen=True)
class _Page:
    """A page that tells of a comparison."""

    width: int
    is_coloured: bool

    def told(self, found: Comparison) -> str:
        parts = [self._heads(found)]
        if found.is_same:
            parts.append(["nothing differs"])
        parts.append(self._values(found.values))
        parts += [self._group(name, getattr(found, name), found) for name in _GROUPS]
        return "\n\n".join("\n".join(lines) for lines in parts if lines)

    def _heads(self, found: Comparison) -> list[str]:
        return [
            self._painted(f"{sign} {name}  {each.label}", style) + self._painted(f"  {_about(each)}", "")
            for sign, name, each, style in (("-", "A", found.a, "red"), ("+", "B", found.b, "green"))
        ]

    def _values(self, changes: Sequence[Change]) -> list[str]:
        single = [each for each in changes if not each.is_block]
        lines = self._rows("values", [(each.key, _said(each.a), _said(each.b)) for each in single])
        for each in changes:
            if each.is_block:
                lines += [f"{self._painted(each.key, 'bold')}", *self._block("-", each.a), *self._block("+", each.b)]
        return lines

    def _block(self, sign: str, value: Any) -> Iterator[str]:
        """A component and its fields, on as many lines as they take."""
        from textwrap import wrap

        style = "red" if sign == "-" else "green"
        text = _said(value)
        if isinstance(value, Mapping):
            fields = ", ".join(f"{key}: {_said(part)}" for key, part in value.items() if key != "name")
            text = f"{_said(value.get('name', ''))}{' ' if value.get('name') and fields else ''}{fields}"
        for at, line in enumerate(wrap(text, max(self.width - 6, 30), break_on_hyphens=False) or [""]):
            yield self._painted(f"  {sign if not at else ' '} {line}", style)

    def _group(self, name: str, changes: Sequence[Change], found: Comparison) -> list[str]:
        if name == "components":
            return (
                [self._painted(_GROUPS[name], "bold"), *(self._painted(f"  {each.key}", "") for each in changes)]
                if changes
                else []
            )
        if name == "circumstances":
            return self._rows(_GROUPS[name], [(each.key, _said(each.a), _said(each.b)) for each in changes])
        rows = [(each.key, *_numbers(each), _difference(each)) for each in changes]
        return self._rows(_GROUPS[name], rows, ("A", "B", "B \N{MINUS SIGN} A"))

    def _rows(self, title: str, rows: Sequence[Sequence[str]], heads: Sequence[str] = ("A", "B")) -> list[str]:
        """A title and rows below it, their columns below each other, cut where the terminal is too narrow."""
        if not rows:
            return []
        from hydrantic.sweeping.words import cells, fitted, padded

        table = [(title, *heads), *((f"  {row[0]}", *row[1:]) for row in rows)]
        widths = [max(cells(row[at]) for row in table) for at in range(len(table[0]))]
        while sum(widths) + 2 * len(widths) - 2 > self.width and max(widths) > 16:
            widths[widths.index(max(widths))] -= 1
        is_metric = len(heads) > 2
        lines = []
        for row in table:
            parts = [
                self._painted(padded(fitted(cell, width), width, to_right=is_metric and at > 0), style)
                for at, (cell, width, style) in enumerate(zip(row, widths, self._styles(row is table[0]), strict=False))
            ]
            lines.append("  ".join(parts).rstrip())
        return lines

    def _styles(self, is_head: bool) -> tuple[str, ...]:
        return ("bold", "faint", "faint", "faint") if is_head else ("", "red", "green", "")

    def _painted(self, text: str, style: str) -> str:
        from hydrantic.sweeping.words import painted, plain

        safe = plain(text)
        return painted(safe, style) if self.is_coloured and style else safe


def _about(one: Side) -> str:
    """How a side stands, in a few words."""
    from hydrantic.sweeping.words import duration

    began, seconds = local_time(one.record.get("started")), seconds_of(one.record)
    took = [] if seconds is None else [duration(seconds)]
    return ", ".join([one.state, *([began] if began else []), *took])


def _said(value: Any) -> str:
    from hydrantic.sweeping.words import spoken

    return MISSING if value is NOTHING else spoken(value)


def _numbers(change: Change) -> tuple[str, str]:
    """Both values with as many digits as tell them apart, four at least."""
    known = [each for each in (change.a, change.b) if each is not NOTHING]
    digits = next((n for n in range(4, 17) if len({f"{each:.{n}g}" for each in known}) == len(known)), 17)
    written = [MISSING if each is NOTHING else f"{each:.{digits}g}" for each in (change.a, change.b)]
    return written[0], written[1]


def _difference(change: Change) -> str:
    if NOTHING in (change.a, change.b):
        return ""
    return f"{change.b - change.a:+.3g}"
