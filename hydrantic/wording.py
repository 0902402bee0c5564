"""Putting problems into words: what is wrong, where, and what was meant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hydrantic.problems import Problem
from hydrantic.source import display, dotted
from hydrantic.suggestions import did_you_mean, nearest

_CODE_KEYS: Final = "a blueprint selects components by `name:` and is never code; register the class and write its name"
_TYPES: Final = {
    "int": "an integer", "float": "a number", "bool": "true or false", "string": "text", "str": "text",
    "list": "a list", "tuple": "a list", "dict": "a mapping", "set": "a list", "mapping": "a mapping",
}  # fmt: skip


def message(problem: Problem) -> str:
    """What is wrong and what to write instead, without the place."""
    code, facts = problem.code, problem.facts
    if code.startswith("value:"):
        return _value(code.removeprefix("value:"), facts)
    words = _WORDS.get(code)
    return f"{code}: {dict(facts)}" if words is None else words(facts)


def suggestion(problem: Problem) -> str | None:
    """The accepted name that a misspelt one most likely means."""
    facts = problem.facts
    name = facts.get("field") if problem.code == "unknown-field" else facts.get("name")
    return nearest(str(name), facts["known"]) if name is not None and "known" in facts else None


def report(problems: Sequence[Problem], texts: Mapping[Path, str] | None = None) -> str:
    """All problems with their places, ready for the terminal; `texts` supplies excerpts that are not on disk."""
    in_order = sorted(problems, key=_place)
    return "\n".join([_headline(in_order), "", *(_paragraph(problem, texts or {}) for problem in in_order)])


def _place(problem: Problem) -> tuple[bool, str, int, int]:
    source = problem.source
    return source.file is None, str(source.file or ""), source.line, source.column


def _headline(problems: Sequence[Problem]) -> str:
    files = list(dict.fromkeys(display(each.source.file) for each in problems if each.source.file is not None))
    where = f" in {', '.join(files[:3])}{', ...' if len(files) > 3 else ''}" if files else ""
    return f"{len(problems)} problem{'' if len(problems) == 1 else 's'}{where}"


def _paragraph(problem: Problem, texts: Mapping[Path, str]) -> str:
    path = "" if problem.source.on_command_line or not problem.path else f"{dotted(problem.path)}: "
    return f"{problem.source}: {path}{message(problem)}{_excerpt(problem, texts)}"


def _excerpt(problem: Problem, texts: Mapping[Path, str]) -> str:
    source = problem.source
    line = _line(source.file, source.line, texts)
    if line is None or not source.column or not line.strip():
        return ""
    number = f"{source.line:>5} | "
    width = max(1, min(source.width, len(line) - source.column + 1))
    marks = " " * (source.column - 1) + "^" * width
    return f"\n{number}{line}\n{' ' * (len(number) - 2)}| {marks}"


def _line(file: Path | None, number: int, texts: Mapping[Path, str]) -> str | None:
    if file is None or not number:
        return None
    try:
        text = texts[file] if file in texts else file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    lines = text.splitlines()
    # A tab is one character wide here, so that the marks stand below what they mark.
    return lines[number - 1].replace("\t", " ")[:160] if number <= len(lines) else None


# -- values -----------------------------------------------------------------------------------------------------------


def _value(kind: str, facts: Mapping[str, Any]) -> str:
    limits, value = facts["limits"], facts["value"]
    if kind == "missing":
        return f"{facts['owner']} needs the field '{facts['field']}'"
    if kind in _LIMITS:
        return _LIMITS[kind].format(**{name: _number(each) for name, each in limits.items()})
    if kind == "literal_error":
        return f"must be {_or(str(limits['expected']))}, not {_shown(value)}"
    for name, words in _TYPES.items():
        if kind in {f"{name}_type", f"{name}_parsing"}:
            return f"must be {words}, not {_shown(value)}{_hint(name, value)}"
    text = str(facts["message"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:] if not text.startswith(tuple("0123456789")) else text


_LIMITS: Final = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "may have only letters, digits, '_' and '-'",
    "too_short": "must have at least {min_length} elements, not {actual_length}",
    "too_long": "must have at most {max_length} elements, not {actual_length}",
    "finite_number": "must be a finite number",
}


def _number(value: Any) -> Any:
    return f"{value:g}" if isinstance(value, float) else value


def _hint(wanted: str, value: Any) -> str:
    if not isinstance(value, str):
        return "; quote it to make it text" if wanted in {"string", "str"} and value is not None else ""
    if wanted == "bool" and value.lower() in {"yes", "no", "on", "off", "y", "n", "0", "1"}:
        return f"; write {'true' if value.lower() in {'yes', 'on', 'y', '1'} else 'false'}"
    if wanted in {"int", "float"} and value.strip("+-").lstrip("0").isdigit():
        return "; write it without quotes and leading zeros"
    return ""


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text '{value if len(value) <= 60 else value[:57] + '...'}'"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else repr(value)


def _or(expected: str) -> str:
    return expected.replace("'", "")


# -- problems by code -------------------------------------------------------------------------------------------------


def _unknown_field(facts: Mapping[str, Any]) -> str:
    return f"{facts['owner']} has no field '{facts['field']}'{did_you_mean(str(facts['field']), facts['known'], 'it has')}"


def _unknown_name(facts: Mapping[str, Any]) -> str:
    kind = str(facts["kind"])
    kind = {"metrics": "metric", "callbacks": "callback", "loggers": "logger"}.get(kind, kind)
    beside = facts.get("beside")
    hint = f"; a shelf lies beside that file: run in {beside}, or use --project {beside}" if beside else ""
    return f"no {kind} is called '{facts['name']}'{did_you_mean(str(facts['name']), facts['known'])}{hint}"


def _limit(facts: Mapping[str, Any]) -> str:
    allowed = f"{facts['allowed']:,}"
    return {
        "bytes": f"a blueprint may have at most {allowed} bytes",
        "depth": f"values may be nested at most {allowed} deep",
        "nodes": f"a blueprint may have at most {allowed} values, aliases counted as often as they are used",
        "options": f"the defaults lists load more than {allowed} options",
    }.get(str(facts["what"]), f"at most {allowed} {facts['what']}")


def _other_file(facts: Mapping[str, Any]) -> str:
    return f"; did you mean {facts['near']}?" if facts.get("near") else ""


def _contradiction(facts: Mapping[str, Any]) -> str:
    return (
        f"is {_plain(facts['value'])}, but the data '{facts['data']}' says {_plain(facts['fact'])}; "
        f"leave the field out, and the data supplies it"
    )


def _plain(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _not_supplied(facts: Mapping[str, Any]) -> str:
    known = ", ".join(facts["known"]) or "nothing"
    return f"{facts['owner']} needs '{facts['field']}', which the data '{facts['data']}' does not state (it states {known}); set it"


def _unknown_reference(facts: Mapping[str, Any]) -> str:
    reference, near = str(facts["reference"]), str(facts["nearest"])
    last = reference.removeprefix(f"{near}.") if near else reference
    where = f"'{near}' has" if near else "there is"
    return f"'{reference}' points nowhere: {where} no '{last.partition('.')[0]}'{did_you_mean(last, facts['known'])}"


def _known(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


Words = Callable[[Mapping[str, Any]], str]

_WORDS: Final[Mapping[str, Words]] = {
    # the file
    "file-missing": lambda f: "there is no such file" + _other_file(f),
    "file-is-folder": lambda f: "is a folder; name a YAML file in it",
    "file-not-regular": lambda f: "is not a regular file",
    "file-unreadable": lambda f: f"cannot be read: {f['reason']}",
    "file-empty": lambda f: "is empty; a blueprint needs at least `data:`, `model:` and `loss:`",
    "not-utf8": lambda f: f"is not UTF-8: byte {f['byte']} is 0x{f['value']:02x}; save the file as UTF-8",
    "not-a-mapping": lambda f: f"must be a mapping (key: value), not {_kind(f)}",
    "limit": _limit,
    "control-character": lambda f: f"has the control character U+{f['codepoint']:04X}",
    "yaml-syntax": lambda f: f"is no valid YAML: {f['reason']}",
    "tab-indentation": lambda f: "is indented with a tab; YAML wants spaces",
    "several-documents": lambda f: "a second document begins here; a blueprint is one (remove the ---)",
    "alias-recursive": lambda f: f"the alias *{f['anchor']} stands inside its own anchor",
    "alias-unknown": lambda f: f"there is no anchor &{f['anchor']}{did_you_mean(str(f['anchor']), f['known'])}",
    "key-not-text": lambda f: f"a key must be text, not {f['kind']}",
    "code-key": lambda f: f"'{f['key']}' would call code: {_CODE_KEYS}",
    "duplicate-key": lambda f: f"the key '{f['key']}' is there already, at {f['first']}",
    "merge-key": lambda f: f"<< merges a mapping or a list of mappings, not {f['kind']}",
    "number-too-long": lambda f: f"a number of {f['digits']} digits is too long",
    "tag-mismatch": lambda f: f"'{f['text']}' is not what its tag {f['tag'].rpartition(':')[2]} says",
    "yaml-tag": lambda f: f"the tag {f['tag']} is refused: {_CODE_KEYS}",
    # composition
    "unknown-name": _unknown_name,
    "unknown-option": lambda f: f"the group '{f['group']}' has no option '{f['name']}'{did_you_mean(str(f['name']), f['known'])}",
    "option-outside": lambda f: f"'{f['option']}' lies outside the blueprint's folder",
    "package-header": lambda f: f"is no package header that can be used: {f['text']}",
    "defaults-not-a-list": lambda f: f"must be a list, not {f['kind']}",
    "defaults-item": lambda f: f"an item is an option's name or `group: option`, not {f['kind']}",
    "defaults-cycle": lambda f: f"options include each other: {' -> '.join(f['cycle'])}",
    "defaults-invalid": lambda f: f"cannot be composed: {f['reason']}",
    "hydra-node": lambda f: f"'{f['key']}' is refused; of Hydra's own settings a blueprint may set {_known(tuple(f['allowed']))}",
    "override-syntax": lambda f: f"is no override: {f['reason']}",
    "sweep-without-multirun": lambda f: "gives several values; a sweep is wanted for that (-m)",
    "unknown-group": lambda f: f"there is no group '{f['group']}'{did_you_mean(str(f['group']), f['known'])}",
    "option-not-text": lambda f: f"'{f['section']}=' selects by name, not by {_shown(f['value'])}",
    "option-list": lambda f: f"'{f['section']}' holds one component, not {len(f['names'])}",
    "override-exists": lambda f: f"'{f['key']}' is set already; leave out the +",
    "group-twice": lambda f: f"'{f['group']}' is chosen more than once",
    "override-unmatched": lambda f: f"nothing chooses '{f['key']}' that could be overridden",
    "override-nothing-to-delete": lambda f: f"there is no '{f['key']}' to remove",
    "override-delete-mismatch": lambda f: f"'{f['key']}' is {_shown(f['actual'])}, not {_shown(f['value'])}",
    "option-missing": lambda f: f"'{f['group']}' must be chosen: {_known(tuple(f['known']))}",
    "override-no-element": lambda f: f"'{f['key']}' has no element {f['index']}; it has {f['length']}",
    "override-through-scalar": lambda f: f"'{f['key']}' is {f['kind']}, so nothing can be set below it",
    # interpolation
    "interpolation-syntax": lambda f: f"the interpolation cannot be read: {f['reason']}",
    "interpolation-unknown": _unknown_reference,
    "interpolation-cycle": lambda f: f"refers to itself: {' -> '.join(f['chain'])}",
    "interpolation-not-text": lambda f: f"{f['kind']} cannot stand inside text",
    "interpolation-argument": lambda f: f"{f['resolver']}: {f['reason']}",
    "resolver-refused": lambda f: f"the resolver '{f['name']}' is refused; there is {_known(tuple(f['allowed']))}",
    "env-not-allowed": lambda f: f"the environment variable {f['name']} may not be read; allow it in pyproject.toml: "
    f"[tool.hydrantic] env = [\"{f['name']}\"]",
    "env-missing": lambda f: f"the environment variable {f['name']} is not set",
    "interpolation-too-large": lambda f: f"interpolation produces more than {f['allowed']:,} {f['what']}",
    # components
    "unknown-field": _unknown_field,
    "not-a-component": lambda f: f"must be the name of a {f['kind']} or a mapping with `name`, not {_shown(f['value'])}",
    "not-a-name": lambda f: f"must be the name of a {f['kind']}, not {_shown(f['value'])}",
    "no-name": lambda f: f"says no `name`; one of {_known(f['known'])}",
    "given-twice": lambda f: f"'{f['field']}' is given twice",
    "broken-component": lambda f: str(f["reason"]),
    "no-such-file": lambda f: f"there is no file '{f['value']}' ({display(Path(f['file']))})",
    "refused-field": lambda f: str(f["message"]),
    "refused": lambda f: f"{f['owner']} refuses its fields: {f['message']}",
    # the plan
    "said-elsewhere": lambda f: f"'{f['field']}' is not set here: {f['instead']}",
    "requirement": lambda f: f"'{f['requirement']}' is not met: {f['reason']}",
    "no-loss": lambda f: f"the model '{f['model']}' computes no loss of its own: choose one with `loss:`",
    "no-optimizer": lambda f: f"the model '{f['model']}' needs an optimizer",
    "has-own-loss": lambda f: f"the model '{f['model']}' computes its own loss; leave this section out",
    "trains-itself": lambda f: f"the model '{f['model']}' is a LightningModule with its own training; "
    "this section would have no effect: leave it out",
    "not-supplied": _not_supplied,
    "contradicts-data": _contradiction,
}  # fmt: skip


def _kind(facts: Mapping[str, Any]) -> str:
    return str(facts["kind"]) if "kind" in facts else _shown(facts["value"])
