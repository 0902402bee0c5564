"""Putting problems into words: what is wrong, where, and what was meant."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hydrantic.patterns import misfit
from hydrantic.problems import Problem
from hydrantic.scalars import parse_scalar
from hydrantic.source import Source, display, dotted
from hydrantic.suggestions import did_you_mean, nearest
from hydrantic.texts import counted, cut, listed, on_one_line, visible

_CODE_KEYS: Final = "a blueprint selects components by `name:` and is never code; register the class and write its name"
_TYPES: Final = {
    "int": "an integer", "float": "a number", "bool": "true or false", "string": "text", "str": "text",
    "list": "a list", "tuple": "a list", "dict": "a mapping", "set": "a list", "mapping": "a mapping",
    "model": "a mapping", "path": "the path of a local file",
}  # fmt: skip
_NOUNS: Final = {"data": "data module", "metrics": "metric", "callbacks": "callback", "loggers": "logger"}
_UNCOUNTED: Final = {"text", "null"}


def message(problem: Problem) -> str:
    """What is wrong and what to write instead, without the place."""
    code, facts = problem.code, {name: _unbroken(name, fact) for name, fact in problem.facts.items()}
    if code == "value:string_pattern_mismatch":
        return _misfit(problem.facts)
    if code.startswith("value:"):
        return _value(code.removeprefix("value:"), facts)
    words = _WORDS.get(code)
    return f"{code}: {dict(facts)}" if words is None else words(facts)


def _unbroken(name: str, fact: Any) -> Any:
    """A fact on one line, lest a blueprint's text pass for a report; what code says may have several."""
    return on_one_line(fact) if isinstance(fact, str) and name not in {"message", "reason"} else fact


def suggestion(problem: Problem) -> str | None:
    """What was most likely meant, as it should be written; None where nothing is near."""
    asked = _ASKED.get(problem.code)
    known = problem.facts.get("known")
    if asked is None or not known:
        return problem.facts.get("near") or None
    name = str(problem.facts[asked])
    return nearest(_last(name) if problem.code == "unknown-name" else name, known)


_ASKED: Final = {
    "unknown-field": "field", "unknown-name": "name", "unknown-option": "name", "unknown-group": "group",
    "unknown-monitor": "name", "alias-unknown": "anchor", "interpolation-unknown": "reference",
}  # fmt: skip
"""The fact that holds the name which is unknown, by code."""


def _last(name: str) -> str:
    """The last part of a dotted path: `torch.optim.AdmW` is `AdmW` misspelt."""
    return name.rpartition(".")[2]


def _a(kind: Any) -> str:
    """The kind of a component or a value with its article."""
    noun = _NOUNS.get(str(kind), str(kind))
    if noun in _UNCOUNTED:
        return noun
    return f"an {noun}" if noun[:1] in "aeio" else f"a {noun}"


def report(problems: Sequence[Problem], texts: Mapping[Path, str] | None = None) -> str:
    """All problems with their places, ready for the terminal; `texts` supplies excerpts that are not on disk."""
    return visible(f"{_headline(sorted(problems, key=_place))}\n\n") + paragraphs(problems, texts)


def paragraphs(problems: Sequence[Problem], texts: Mapping[Path, str] | None = None) -> str:
    """All problems with their places, without a headline."""
    return visible("\n".join(_paragraph(problem, texts or {}) for problem in sorted(problems, key=_place)))


Invalid = tuple[int, tuple[str, ...], tuple[Problem, ...]]
"""The number, overrides and problems of a job."""
_SHOWN_JOBS = 3
_SKIPPING = " (--skip-invalid leaves them out, in Python skip_invalid=True)"


def report_jobs(count: int, invalid: Sequence[Invalid]) -> str:
    """What is wrong with jobs of a sweep; what is wrong with several in the same way is said of the first."""
    groups: dict[tuple[Any, ...], list[Invalid]] = {}
    for each in invalid:
        alike = tuple(sorted((problem.code, *problem.path, *_place(problem)[1:3]) for problem in each[2]))
        groups.setdefault(alike, []).append(each)
    told = [f"{_jobs(members)}\n{paragraphs(members[0][2])}" for members in groups.values()]
    cannot = f"{len(invalid)} of {counted(count, 'job')} cannot run, so none was started"
    return "\n\n".join([f"{cannot}{_SKIPPING if len(invalid) < count else ''}", *told])


def _jobs(members: Sequence[Invalid]) -> str:
    shown = [f"job {number}: {' '.join(overrides)}" for number, overrides, _ in members[:_SHOWN_JOBS]]
    further = len(members) - len(shown)
    return visible("\n".join([*shown, f"and {counted(further, 'further job')}"] if further else shown))


def _place(problem: Problem) -> tuple[bool, str, int, int]:
    source = problem.source
    return source.file is None, str(source.file or ""), source.line, source.column


def _headline(problems: Sequence[Problem]) -> str:
    files = list(dict.fromkeys(display(each.source.file) for each in problems if each.source.file is not None))
    where = f" in {listed(files, 3)}" if files else ""
    return f"{counted(len(problems), 'problem')}{where}"


def _paragraph(problem: Problem, texts: Mapping[Path, str]) -> str:
    path = (
        "" if problem.source.on_command_line or not problem.path else f"{cut(on_one_line(dotted(problem.path)), 80)}: "
    )
    return f"{problem.source}: {path}{message(problem)}{excerpt(problem.source, texts)}"


def excerpt(source: Source, texts: Mapping[Path, str]) -> str:
    """The line of a place with the place underlined, on lines of its own; nothing where there is no such line."""
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
    # Tabs and what cannot be seen are one character wide here, so that the marks stand below what they mark.
    line = lines[number - 1].replace("\t", " ")[:160] if number <= len(lines) else None
    return None if line is None else "".join("?" if visible(sign) != sign else sign for sign in line)


def _value(kind: str, facts: Mapping[str, Any]) -> str:
    limits, value = facts["limits"], facts["value"]
    if kind == "missing" and str(facts["field"]).isdigit():
        return f"must have at least {int(facts['field']) + 1} elements"
    if kind == "missing":
        what = "section" if facts["owner"] == "a blueprint" else "field"
        return f"{facts['owner']} needs the {what} '{facts['field']}'"
    if kind in _EMPTY and limits.get("min_length") == 1:
        return "must not be empty"
    if kind in _LIMITS:
        return _LIMITS[kind].format(**{name: _number(each) for name, each in limits.items()})
    wanted = [each for one in ({"type": kind, **facts}, *facts.get("also", ())) for each in _wanted(one)]
    if len(wanted) > _MANY and isinstance(value, str):
        return f"'{value}' is none of the {len(wanted)} choices{did_you_mean(value, wanted)}"
    if wanted:
        return f"must be {_or(wanted)}, not {_shown(value)}{_hint(kind, value)}"
    text = str(facts["message"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:] if not text.startswith(tuple("0123456789")) else text


_MANY: Final = 16
"""How many choices are too many to be listed."""


def _wanted(facts: Mapping[str, Any]) -> list[str]:
    """What a value must be: the choices there are, or a type in words."""
    kind = str(facts["type"])
    if kind == "is_instance_of":
        kind = {"Sequence": "list_type"}.get(str(facts["limits"].get("class")), kind)
    if kind == "literal_error":
        return re.split(", | or ", str(facts["limits"]["expected"]).replace("'", ""))
    return [words for name, words in _TYPES.items() if kind in {f"{name}_type", f"{name}_parsing"}]


def _misfit(facts: Mapping[str, Any]) -> str:
    pattern = str(facts["limits"]["pattern"])
    return misfit(pattern, str(facts["value"])) or _FORMS.get(pattern) or f"must have the form {pattern}"


_FORMS: Final = {
    r"^[0-9]+[KMGT]?B?$": "must be an amount of memory, such as 512MB or 2GB",
    r"^(auto|local|(ray://)?[\w.-]+:\d+)$": "must be auto, local, or a host and a port, such as node1:6379",
    r"^(sqlite:///|postgresql|mysql|.*\.(journal|log)$)": "must be FILE.journal, sqlite:///FILE.db, or "
    "postgresql://USER@HOST/DATABASE or the same with mysql",
    r"^https?://[^@\s]+$": "must be an address such as http://localhost:5000, without a user's name or password",
}
"""What texts of forms that a list of characters does not tell have to look like."""


_EMPTY: Final = {"string_too_short", "too_short"}
_LIMITS: Final = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} elements, not {actual_length}",
    "too_long": "must have at most {max_length} elements, not {actual_length}",
    "finite_number": "must be a finite number",
}


def _number(value: Any) -> Any:
    return f"{value:g}" if isinstance(value, float) else value


def _hint(kind: str, value: Any) -> str:
    wanted = kind.partition("_")[0]
    if not isinstance(value, str):
        scalar = isinstance(value, bool | int | float)
        return "; quote it to make it text" if wanted in {"string", "str"} and scalar else ""
    if wanted == "bool" and value.lower() in _TRUTHS:
        return f"; write {_TRUTHS[value.lower()]}"
    if wanted in {"int", "float"} and isinstance(_scalar(value), int | float):
        return "; write it without quotes"
    if wanted in {"int", "float"} and value.strip("+-").isdigit():
        return "; write it without leading zeros"
    return ""


_TRUTHS: Final = dict.fromkeys(("yes", "on", "y", "1", "true"), "true") | dict.fromkeys(
    ("no", "off", "n", "0", "false"), "false"
)


def _scalar(text: str) -> Any:
    try:
        return parse_scalar(text)
    except ValueError:  # a number that is too long
        return None


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text '{cut(value, 60)}'"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else repr(value)


def _or(names: Sequence[str]) -> str:
    *others, last = dict.fromkeys(names)
    return f"{', '.join(others)} or {last}" if others else last


def _unknown_field(facts: Mapping[str, Any]) -> str:
    what = "section" if facts["owner"] == "a blueprint" else "field"
    hint = did_you_mean(str(facts["field"]), facts["known"], "it has")
    if what == "section" and nearest(str(facts["field"]), facts["known"]) is None:
        hint += "; values of your own go into `vars:`"
    if choice := facts.get("choice"):
        hint = f", which is another component's; {choice} chooses anew and drops such fields"
    return f"{facts['owner']} has no {what} '{facts['field']}'{hint}"


def _unknown_name(facts: Mapping[str, Any]) -> str:
    kind, name = str(facts["kind"]), str(facts["name"])
    beside = shlex.quote(str(facts["beside"])) if facts.get("beside") else ""
    hint = f"; a shelf lies beside that file: run in {beside}, or use --project {beside}" if beside else ""
    if "." in name and not beside and nearest(_last(name), facts["known"]) is None:
        hint = "; a dotted name is looked up like any other and never imported"
    hint += "".join(f"; {each}" for each in facts.get("unread", ()))
    origin = _from_training(facts.get("trained")) or _from_where(facts.get("packed"))
    near = "" if origin else did_you_mean(_last(name), facts["known"])
    return f"no {_NOUNS.get(kind, kind)} is called '{name}'{near}{hint}{origin}"


def _from_where(packed: Mapping[str, Any] | None) -> str:
    """How to get a component that a packed blueprint names."""
    if packed is None:
        return ""
    if name := packed["distribution"]:
        release = packed["version"]
        return f"; it came from {name} {release or ''}".rstrip() + f": pip install '{_exactly(name, release)}'"
    sha = f" (sha256 {packed['source_hash'][:12]}...)" if packed["source_hash"] else ""
    further = "".join(f" and {file}" for file in packed["imports"])
    files = on_one_line(f"{packed['file'] or 'their registry/'}{sha}{further}")
    return f"; it is the sender's own: ask for {files}, and put that into the registry/ of your project"


def _from_training(trained: Mapping[str, Any] | None) -> str:
    """Where a component is to be had that a model was trained with."""
    if trained is None:
        return ""
    if name := trained.get("distribution"):
        return on_one_line(f"; it came from {name} {trained.get('version') or ''}".rstrip())
    file = on_one_line(str(trained["file"] or "the registry/"))
    return f"; it came from {file} of the project that the model was trained in; --project DIR names that project"


def _exactly(name: str, release: str | None) -> str:
    return f"{name}=={release.partition('+')[0]}" if release else name


def _other_version(facts: Mapping[str, Any]) -> str:
    name, packed = str(facts["name"]), str(facts["packed"])
    remedy = "" if name == "python" else f": pip install '{_exactly(name, packed)}' gives the same"
    return f"it was packed with {name} {packed}, and {facts['present']} is installed here; numbers may differ{remedy}"


def _other_origin(facts: Mapping[str, Any]) -> str:
    version = facts["version"]
    came = "the sender's own" if facts["packed"] is None else f"from {facts['packed']} {version or ''}".rstrip()
    here = f"your project's own, {facts['place']}" if facts["present"] is None else f"from {facts['present']}"
    return f"{facts['name']} was {came}, and is {here} here"


def _other_source(facts: Mapping[str, Any]) -> str:
    remedy = f"; ask the sender for {facts['file']}" if facts["file"] else ""
    before = f"another source, whose sha256 begins with {facts['hash']}"
    return f"{facts['name']}, here {facts['present']}, had {before}{remedy}"


def _other_import(facts: Mapping[str, Any]) -> str:
    how = "differs here" if facts["is_here"] else "is not here"
    file, sha = on_one_line(str(facts["file"])), facts["hash"]
    return f"{file}, which {facts['name']} imports, {how}; ask the sender for it (sha256 {sha}...)"


def _other_fields(facts: Mapping[str, Any]) -> str:
    return f"{facts['name']} has other fields here: {'; '.join(facts['changes']) or 'in what is not told here'}"


def _unknown_option(facts: Mapping[str, Any]) -> str:
    group, name = str(facts["group"]), str(facts["name"])
    if not group:
        near = nearest(name, facts["known"])
        return f"there is no {name}.yaml beside the blueprint" + (f"; did you mean '{near}'?" if near else "")
    return f"the group '{group}' has no option '{name}'{did_you_mean(name, facts['known'])}"


def _override_syntax(facts: Mapping[str, Any]) -> str:
    text, reason = str(facts["text"]), str(facts["reason"])
    if "=" not in text and not text.startswith("~"):
        return "is no override; write key=value"
    if text.startswith("="):
        return "is no override: the key before the = is missing"
    if unknown := re.search(r"Unknown function '(.+?)'", reason):
        return f"there is no function '{unknown[1]}'; text with brackets needs quotes of its own"
    if evaluated := re.search(r"while evaluating '(.+?)': (.+)", reason):
        return f"{evaluated[1]} cannot be evaluated: {evaluated[2]}"
    near = re.search(r"at(?: input)?:? '(.*)'", reason)
    where = f" at {near[1]!r}" if near and near[1].strip() and "EOF" not in near[1] else ""
    return (
        f"cannot be read{where}: close every bracket and quote; text with spaces, signs or accents "
        "needs quotes of its own, as in \"key='some text'\""
    )


def _interpolation_size(facts: Mapping[str, Any]) -> str:
    allowed = f"{facts['allowed']:,}"
    return {
        "chain": f"a chain of more than {allowed} interpolations",
        "steps": f"the blueprint has more than {allowed} interpolations to resolve",
        "nodes": f"interpolation produces more than {allowed} values",
        "depth": f"interpolation nests values more than {allowed} deep",
        "characters": f"interpolation produces more than {allowed} characters",
    }[str(facts["what"])]


def _unsuited(facts: Mapping[str, Any]) -> str:
    return (
        f"the {facts['kind']} '{facts['owner']}' is for {_or(facts['tasks'])} data, "
        f"but the data '{facts['data']}' is {facts['task']}"
    )


def _unsuited_fact(facts: Mapping[str, Any]) -> str:
    reason = _value(str(facts["type"]), facts)
    return f"{facts['owner']} does not suit the data '{facts['data']}': its {facts['field']} {reason}"


def _no_such_file(facts: Mapping[str, Any]) -> str:
    file = display(Path(facts["file"]))
    return f"there is no file '{facts['value']}'" + (f" ({file})" if file != facts["value"] else "")


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
    return (
        f"{facts['owner']} needs '{facts['field']}', which the data '{facts['data']}' does not state "
        f"(it states {known}); set it"
    )


def _unknown_reference(facts: Mapping[str, Any]) -> str:
    reference, near = str(facts["reference"]), str(facts["nearest"])
    last = reference.removeprefix(f"{near}.") if near else reference
    where = f"'{near}' has" if near else "there is"
    return f"'{reference}' points nowhere: {where} no '{last.partition('.')[0]}'{did_you_mean(last, facts['known'])}"


_WIRED: Final = {"input": "the model's outputs", "target": "the batch's targets"}


def _whose(facts: Mapping[str, Any]) -> str:
    """The component that a failing part of a model belongs to, with the part."""
    owner = f"the {facts['kind']} '{facts['owner']}'"
    return f"{owner}: its {facts['part']}" if facts["part"] else owner


def _dimension(facts: Mapping[str, Any]) -> str:
    """Which dimension of an input has the wrong size, and where that is from."""
    origin = f", {facts['origin']}" if facts["origin"] else ""
    return f"dimension {facts['dimension']} of its input {facts['shape']} is {facts['got']}{origin}"


def _wide(facts: Mapping[str, Any]) -> str:
    what = "the model" if facts["is_key"] else f"the model '{facts['model']}'"
    return f"{what} puts out {counted(facts['size'], 'value')} for each sample {facts['shape']}"


def _last_batch(facts: Mapping[str, Any]) -> str:
    size = counted(facts["size"], "sample")
    instead = "; data.drop_last=true leaves it out" if facts["drop_last"] else ""
    return (
        f"the last batch of an epoch has {size} ({facts['samples']} in batches of {facts['batch_size']}), and "
        f"{facts['message']}{instead}"
    )


def _with(before: str, text: str) -> str:
    return f"{before} {text}" if text else ""


def _beside(*texts: str) -> str:
    """Further facts in brackets; those that there are."""
    there = ", ".join(text for text in texts if text)
    return f" ({there})" if there else ""


_LOCAL_FOLDERS: Final = "options are searched in local folders only, such as ../shared or file:///srv/shared"

Words = Callable[[Mapping[str, Any]], str]

_WORDS: Final[Mapping[str, Words]] = {
    # the file
    "file-missing": lambda f: "there is no such file" + _other_file(f),
    "file-is-folder": lambda f: "is a folder; name a YAML file in it",
    "file-not-regular": lambda f: "is not a regular file",
    "file-unreadable": lambda f: f"cannot be read: {f['reason']}",
    "file-empty": lambda f: "is empty; a blueprint needs at least `data:`, `model:` and `loss:`",
    "not-utf8": lambda f: f"the byte 0x{f['value']:02x} is no UTF-8; save the file as UTF-8",
    "not-a-mapping": lambda f: f"must be a mapping (key: value), not {_kind(f)}",
    "limit": _limit,
    "control-character": lambda f: f"the control character U+{f['codepoint']:04X} cannot stand in YAML; remove it",
    "yaml-syntax": lambda f: f"is no valid YAML: {f['reason']}",
    "tab-indentation": lambda f: "this line is indented with a tab; YAML wants spaces",
    "several-documents": lambda f: "a second document begins here; a blueprint is one (remove the ---)",
    "alias-recursive": lambda f: f"the alias *{f['anchor']} stands inside its own anchor",
    "alias-unknown": lambda f: f"there is no anchor &{f['anchor']}{did_you_mean(str(f['anchor']), f['known'])}",
    "key-not-text": lambda f: f"a key must be text, not {_a(f['kind'])}",
    "code-key": lambda f: f"'{f['key']}' would call code: {_CODE_KEYS}",
    "duplicate-key": lambda f: f"the key '{f['key']}' is there already, at {f['first']}",
    "merge-key": lambda f: f"<< merges a mapping or a list of mappings, not {_a(f['kind'])}",
    "number-too-long": lambda f: f"a number of {f['digits']} digits is too long",
    "tag-mismatch": lambda f: f"'{f['text']}' is not what its tag {f['tag'].rpartition(':')[2]} says",
    "yaml-tag": lambda f: f"the tag {f['tag']} is refused: {_CODE_KEYS}",
    # composition
    "unknown-name": _unknown_name,
    "unknown-option": _unknown_option,
    "option-outside": lambda f: f"'{f['option']}' lies outside the blueprint's folder",
    "package-header": lambda f: f"is no package header that can be used: {f['text']}",
    "defaults-not-a-list": lambda f: f"must be a list, not {_a(f['kind'])}",
    "defaults-item": lambda f: "an item must be the name of an option or one `group: option`, "
    f"not {'a mapping of several' if f['kind'] == 'mapping' else _a(f['kind'])}",
    "defaults-cycle": lambda f: f"options include each other: {' -> '.join(f['cycle'])}",
    "defaults-invalid": lambda f: f"cannot be composed: {f['reason']}",
    "hydra-node": lambda f: f"'{f['key']}' is refused; of Hydra's own settings a blueprint may set "
    f"{listed(tuple(f['allowed']))}",
    "searchpath-not-folders": lambda f: "must be a list of folders, such as [../shared]",
    "searchpath-refused": lambda f: f"'{f['folder']}' is refused: "
    + ("interpolation is not resolved here; write the folder itself" if "${" in f["folder"] else _LOCAL_FOLDERS),
    "searchpath-missing": lambda f: f"there is no folder '{f['folder']}'",
    "searchpath-elsewhere": lambda f: "has no effect in this file; write it into the blueprint itself, or use "
    "--config-dir on the command line",
    "not-plain": lambda f: f"must be plain data (text, numbers, lists, mappings), not {_a(f['type'])}",
    "sweep-of-sweeps": lambda f: f"'{f['section']}' says how the whole sweep is made; give it one value",
    "sweep-empty": lambda f: f"gives no value: {f['what']} is empty",
    "sweep-nothing-matches": lambda f: f"gives no value: '{f['key']}' has no option like {_or(f['include'])}",
    "sweep-tag": lambda f: f"the tag '{f['tag']}' means nothing here; there is tag(log, interval(low, high))",
    "sweep-bounds": lambda f: str(f["reason"]),
    "sweep-value": lambda f: str(f["reason"]),
    "override-syntax": _override_syntax,
    "sweep-without-multirun": lambda f: "gives several values; a run has one: add -m for a sweep",
    "unknown-group": lambda f: f"there is no group '{f['group']}'{did_you_mean(str(f['group']), f['known'])}",
    "option-not-text": lambda f: f"'{f['section']}=' selects by name, not by {_shown(f['value'])}",
    "option-list": lambda f: f"'{f['section']}' holds one component, not {len(f['names'])}; choose one",
    "override-exists": lambda f: f"'{f['key']}' is set already; leave out the +",
    "group-twice": lambda f: f"'{f['group']}' is chosen more than once",
    "override-unmatched": lambda f: f"no defaults list chooses '{f['key']}', so there is nothing to override"
    + (f"; +{f['text']} adds it" if "text" in f else ""),
    "override-nothing-to-delete": lambda f: f"there is no '{f['key']}' to remove",
    "override-delete-mismatch": lambda f: f"'{f['key']}' is {_shown(f['actual'])}, not {_shown(f['value'])}; "
    f"~{f['key']} removes it whatever it is",
    "option-missing": lambda f: f"'{f['group']}' must be chosen: {listed(tuple(f['known']))}",
    "override-no-element": lambda f: f"'{f['key']}' has no element {f['index']}; it has {f['length']}",
    "override-through-scalar": lambda f: f"'{f['key']}' is {_a(f['kind'])}, so nothing can be set below it",
    # interpolation
    "interpolation-syntax": lambda f: "is no interpolation that can be read: write ${section.field} with both braces, "
    "or \\${ where you mean the text itself",
    "interpolation-unknown": _unknown_reference,
    "interpolation-cycle": lambda f: f"refers to itself: {' -> '.join(f['chain'])}",
    "interpolation-not-text": lambda f: f"{_a(f['kind'])} cannot stand inside text; refer to one of its values",
    "interpolation-argument": lambda f: f"{f['resolver']} {f['reason']}",
    "resolver-refused": lambda f: f"the resolver '{f['name']}' is refused: interpolation runs no code; "
    f"there are {listed(tuple(f['allowed']))}",
    "env-not-allowed": lambda f: f"the environment variable {f['name']} may not be read; allow it in pyproject.toml: "
    f"[tool.hydrantic] env = [\"{f['name']}\"]",
    "env-missing": lambda f: f"the environment variable {f['name']} is not set",
    "interpolation-too-large": _interpolation_size,
    # components
    "unknown-field": _unknown_field,
    "not-a-component": lambda f: f"must be the name of {_a(f['kind'])} or a mapping with `name`, "
    f"not {_shown(f['value'])}",
    "not-a-name": lambda f: f"must be the name of {_a(f['kind'])}, not {_shown(f['value'])}",
    "no-name": lambda f: f"needs a `name` that chooses {_a(f['kind'])}: {listed(f['known'])}",
    "given-twice": lambda f: f"means the same as '{f['other']}', which is there too; keep one of them",
    "broken-component": lambda f: str(f["reason"]),
    "no-such-file": _no_such_file,
    "refused-field": lambda f: str(f["message"]),
    "refused": lambda f: f"the {_NOUNS.get(f['kind'], f['kind'])} '{f['owner']}' cannot be built: {f['message']}",
    "refused-by-trainer": lambda f: f"Lightning's Trainer refuses its arguments: {f['message']}",
    # the plan
    "said-elsewhere": lambda f: f"'{f['field']}' is not set here: {f['instead']}",
    "requirement": lambda f: f"'{f['requirement']}' is not met: {f['reason']}",
    "no-loss": lambda f: f"the model '{f['model']}' computes no loss of its own: choose one with `loss:`",
    "no-optimizer": lambda f: f"the model '{f['model']}' needs an optimizer",
    "has-own-loss": lambda f: f"the model '{f['model']}' computes its own loss; leave this section out",
    "trains-itself": lambda f: f"the model '{f['model']}' is a LightningModule with its own training; "
    "this section would have no effect: leave it out",
    "unknown-monitor": lambda f: f"nothing logs '{f['name']}'{did_you_mean(str(f['name']), f['known'])}",
    "name-no-folder": lambda f: f"a run cannot be named '{f['name']}': its folder is called so",
    "folder-outside": lambda f: (
        f"'{f['value']}' leads out of the folder of all runs: a file names a folder in it, the command line any"
    ),
    "filename-with-folder": lambda f: "must be the name of a file, without folders",
    "no-monitor": lambda f: f"{f['count']} checkpoints can only be chosen by a monitor",
    "no-effect": lambda f: f"has no effect, since {f['reason']}; leave it out",
    "more-than-all": lambda f: f"is {f['value']}, more than trainer.max_epochs, which is {f['most']}",
    "validation-off": lambda f: f"'{f['monitor']}' is never logged: {f['reason']}, so there is no validation",
    "beyond-epoch": lambda f: f"is {f['value']} batches, but an epoch of '{f['data']}' has {f['batches']}",
    "not-given": lambda f: "must be given: ??? stands for a value that is still to be chosen",
    "label-taken": lambda f: f"the label '{f['label']}' is that of the loss; give this metric another",
    "not-supplied": _not_supplied,
    "unsuited": _unsuited,
    "unsuited-fact": _unsuited_fact,
    "contradicts-data": _contradiction,
    "starts-processes": lambda f: f"'{f['strategy']}' starts processes in its own way, which leaves them without the "
    "run's directory; hydrantic starts them itself: trainer.strategy=ddp",
    "other-processes": lambda f: f"asks for {f['count']} processes on each machine, but {f['started']} were started; "
    "`auto` takes those there are",
    "other-machines": lambda f: f"asks for {f['count']} machines, but this runs on {f['started']}: start its processes "
    "on each with torchrun or srun",
    "no-validation": lambda f: f"'{f['monitor']}' is never logged: the data '{f['data']}' has no validation part "
    "(its split leaves none)",
    # what was packed
    "packed-version": _other_version,
    "packed-origin": _other_origin,
    "packed-source": _other_source,
    "packed-import": _other_import,
    "packed-fields": _other_fields,
    "packed-data": lambda f: "the data is not that of the sender, whose fingerprint was "
    f"{cut(f['packed'], 16)}; here it is {cut(f['present'], 16)}",
    # one batch
    "no-batch": lambda f: f"the data module '{f['data']}' gives no batch: {f['message']}{_beside(f['at'])}",
    "not-a-pair": lambda f: f"a batch of '{f['data']}' is {f['given'] or 'empty'}, but must be inputs and targets, or "
    f"a mapping: {f['message']}",
    "field-misfits": lambda f: f"is {f['wanted']}, but {_dimension(f)}",
    "part-misfits": lambda f: f"{_whose(f)} has {f['attribute']}={f['wanted']}, but {_dimension(f)}"
    f"{_beside(*f['keys'], f['at'])}",
    "index-beyond": lambda f: f"{_whose(f)} has rows for the indices 0 to {f['rows'] - 1}, but the first batch has "
    f"{f['index']}{_beside(*f['keys'], f['at'])}",
    "fails": lambda f: f"{_whose(f)} fails{_with(' on', f['given'])}: {f['message']}{_beside(*f['keys'], f['at'])}",
    "fails-on": lambda f: f"the {_NOUNS.get(f['kind'], f['kind'])} '{f['owner']}' fails on outputs {f['outputs']}"
    f"{_beside(f['origin'])} and targets {f['targets']}: {f['message']}{_beside(f['at'])}",
    "several-tensors": lambda f: f"the {f['kind']} '{f['owner']}' fails on {_WIRED[f['field']]} {f['parts']}; "
    f"name the part that it reads with `{f['field']}:` ({f['message']})",
    "no-such-part": lambda f: f"{_WIRED[f['field']]} have no '{f['key']}'; "
    f"there is {', '.join(f['known']) or f['parts']}",
    "wrong-width": lambda f: f"{_wide(f)}, but the data '{f['data']}' has out_features={f['wanted']} for the loss "
    f"'{f['loss']}'",
    "broadcast": lambda f: f"outputs {f['outputs']} and targets {f['targets']} differ in shape: the loss "
    f"'{f['owner']}' would compare each with each, which is hardly meant",
    "not-one-number": lambda f: f"the {f['kind']} '{f['owner']}' gives {f['given']} as '{f['value']}', not one number",
    "no-own-loss": lambda f: f"the model '{f['model']}' computes no loss: compute_metrics must return a mapping with "
    f"'loss'{_with('; it has', ', '.join(f['names']))}",
    "last-batch": _last_batch,
}  # fmt: skip


def _kind(facts: Mapping[str, Any]) -> str:
    return _a(facts["kind"]) if "kind" in facts else _shown(facts["value"])
