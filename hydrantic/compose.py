"""From a blueprint and its overrides to one document, with Hydra's override grammar and defaults list."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

from hydra import version
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ConfigDefault, GroupDefault, InputDefault, ResultDefault
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.types import Override, OverrideType, Quote, QuotedString
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydrantic.document import (
    CODE_KEYS,
    LIMITS,
    Document,
    Limits,
    Node,
    Page,
    expanded,
    from_plain,
    is_reference,
    key_text,
    kind_of,
    measure,
    merged,
    placed,
    read_page,
    with_child,
    without,
)
from hydrantic.problems import Problems
from hydrantic.scalars import parse_scalar
from hydrantic.source import KeyPath, Source, dotted

HYDRA_KEYS = ("run.dir", "sweep", "launcher", "sweeper")
"""What a blueprint may set in its `hydra:` node."""

_HYDRA_SECTIONS = ("hydra/launcher", "hydra/sweeper")
_SUFFIXES = (".yaml", ".yml")
_OWN = "(this file)"  # the option that stands for the blueprint's own block of a section
_END_OF_SECTIONS = "(sections)"
_MAX_LOADS = 2_000
_MAX_RUNS = 200
_BARE_TILDE = re.compile(r"=[ \t]*~[ \t]*$")  # YAML's other null, which Hydra's grammar does not know
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


class Groups(Protocol):
    """What compose asks of the registries: their names are options of the sections of a blueprint."""

    def names(self, section: str) -> tuple[str, ...]:
        """The registered component names of a section."""

    def sections(self) -> Mapping[str, bool]:
        """The sections that hold components; True for those that map labels to components."""


def compose(
    file: Path, overrides: Sequence[str] = (), groups: Groups | None = None, limits: Limits = LIMITS
) -> Document:
    """Compose a blueprint: its defaults list, its groups' options and the overrides, merged in Hydra's order.

    Args:
        file: the blueprint; options are searched in its folder and nowhere else.
        overrides: overrides in Hydra's grammar, such as `model=cnn`, `optimizer.lr=0.1`, `+experiment=quick`.
        groups: the registries, whose names are options without a file; None for files alone.
        limits: how large a file and the composed blueprint may be.

    Returns:
        The document; interpolations stand in it as they were written.

    Raises:
        BlueprintError: with every problem found in the files and the overrides.
    """
    problems = Problems()
    repository = _Repository(file, _Sections(groups), limits, problems)
    requests = _Requests(repository, problems)
    for text in overrides:
        requests.take(text)
    page = repository.page
    if page is None or page.root is None:
        if page is not None:
            problems.add("file-empty", Source(file))
        problems.raise_any()
    before = len(problems)
    with _hydra_version():
        results = _Defaults(repository, requests.choices, problems).results()
    root = _merge_results(results, repository)
    complete = len(problems) == before
    for change in requests.changes:
        if change.type is OverrideType.DEL and not complete:
            continue  # what it deletes may stand in an option that could not be read
        root = _Change(change, repository.sections, limits, problems).applied(root)
    _check_hydra_node(root, problems)
    _check_size(root, limits, problems)
    problems.raise_any()
    return Document(root, repository.texts, file)


@contextmanager
def _hydra_version() -> Iterator[None]:
    """Hydra reads its compatibility version from one global; leave it as it was."""
    base = version.VersionBase.instance()
    before = base.version_base
    version.setbase("1.3")
    try:
        yield
    finally:
        base.version_base = before


class _Sections:
    """The sections of a blueprint that hold components, with the names registered for each."""

    def __init__(self, groups: Groups | None) -> None:
        self._groups = groups
        self._labelled = dict(groups.sections()) if groups is not None else {}
        self.all = tuple(dict.fromkeys((*self._labelled, *(_HYDRA_SECTIONS if groups is not None else ()))))

    def is_labelled(self, section: str) -> bool:
        """Whether the section maps labels to components."""
        return self._labelled.get(section, False)

    def names(self, section: str) -> tuple[str, ...]:
        """The registered names of a section; none where the registries do not know it."""
        return self._groups.names(section) if self._groups is not None and section in self._labelled else ()

    def has(self, section: str, name: str) -> bool:
        """Whether `name` is a component; launchers and sweepers are judged later unless they are registered."""
        return name in self.names(section) or (section in _HYDRA_SECTIONS and section not in self._labelled)

    def split(self, path: str) -> tuple[str, str] | None:
        """The section and the name in `section/name`."""
        found = (section for section in self.all if path.startswith(section + "/"))
        return next(((section, path[len(section) + 1 :]) for section in found), None)

    def is_component(self, path: KeyPath) -> bool:
        """Whether a component stands at `path`: at a section, or at a label of a labelled section."""
        section = "/".join(str(part) for part in path)
        if section in self.all:
            return not self.is_labelled(section)
        return len(path) > 1 and self.is_labelled("/".join(str(part) for part in path[:-1]))


def _path_of(group: str) -> KeyPath:
    return tuple(part for part in re.split(r"[./]", group) if part)


class _TooManyOptions(Exception):
    """The defaults lists load more options than any blueprint needs."""


class _Repository(IConfigRepository):
    """Options for Hydra's defaults list: the blueprint, the YAML files below its folder, registered names."""

    def __init__(self, file: Path, sections: _Sections, limits: Limits, problems: Problems) -> None:
        self.file = file
        self.sections = sections
        self.texts: dict[Path, str] = {}
        self.requested: dict[str, Source] = {}
        self.loads: list[str] = []
        self._limits = limits
        self._problems = problems
        self._results: dict[str, ConfigResult | None] = {}
        self._contents: dict[str, Node] = {}
        self._folder = file.parent
        self.primary = file.stem if re.fullmatch(r"[\w .-]+", file.stem) else "(blueprint)"
        self.page = self._read(file)
        body = self.page.root if self.page is not None and self.page.root is not None else Node({}, Source(file))
        self._defaults = self._read_defaults(body, "")
        self.body = without(body, ("defaults",))
        self.slots = self._find_slots()

    def _read(self, file: Path) -> Page | None:
        page = read_page(file, self._limits, self._problems)
        if page is not None:
            self.texts[file] = page.text
        return page

    def _find_slots(self) -> dict[str, str | None]:
        """Each section that the blueprint's defaults list does not mention, and the option that holds its own block."""
        mentioned = {
            item.group.removeprefix("/")
            for item in self._defaults
            if isinstance(item, GroupDefault) and item.group and item.package is None and not item.override
        }
        free = [section for section in self.sections.all if section not in mentioned]
        return {section: _OWN if self.own_block(section) is not None else None for section in free}

    def own_block(self, section: str) -> Node | None:
        """What the blueprint itself writes for a section."""
        node: Node | None = self.body
        for part in _path_of(section):
            node = node.child(part) if node is not None else None
        return node

    # Hydra's interface; Hydra passes arguments by these names.

    def load_config(self, config_path: str) -> ConfigResult | None:
        """The header and defaults list of an option, or None where there is no such option."""
        self.loads.append(config_path)
        if len(self.loads) > _MAX_LOADS:
            raise _TooManyOptions
        if config_path == self.primary:
            return self._primary_result()
        if config_path not in self._results:
            self._results[config_path] = self._load(config_path)
        return self._results[config_path]

    def group_exists(self, config_path: str) -> bool:
        """Whether a section or a folder with YAML files has this name."""
        if config_path in self.sections.all:
            return True
        folder = self._inside(config_path)
        return folder is not None and folder.is_dir() and _holds_yaml(folder)

    def config_exists(self, config_path: str) -> bool:
        """Whether there is such an option."""
        return config_path == self.primary or self.load_config(config_path) is not None

    def get_group_options(self, group_name: str, results_filter: ObjectType | None = ObjectType.CONFIG) -> list[str]:
        """The options of a group: registered names and files."""
        folder = self._folder if group_name == "" else self._inside(group_name)
        if folder is None or not folder.is_dir():
            return sorted(self.sections.names(group_name))
        files = [
            file
            for suffix in _SUFFIXES
            for depth in ("", "*/" * bool(group_name))
            for file in folder.glob(depth + "*" + suffix)
        ]
        options = {file.relative_to(folder).with_suffix("").as_posix() for file in files}
        return sorted(options | set(self.sections.names(group_name)))

    def get_sources(self) -> list[ConfigSource]:
        """None: Hydra lists them in messages that are not shown."""
        return []

    def get_schema_source(self) -> ConfigSource:
        """Never called: schemas are hydrantic's own."""
        raise NotImplementedError

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        """Never called: there is no search path."""
        raise NotImplementedError

    # What the merge asks.

    def content(self, config_path: str) -> Node:
        """What an option contributes."""
        return self._contents.get(config_path, Node({}, Source(self.file)))

    def place_of(self, config_path: str) -> Source:
        """Where an option was asked for."""
        return self.requested.get(config_path, Source(self.file))

    def place_of_group(self, key: str) -> Source:
        """Where an option of a group was asked for."""
        group = key.split("@", maxsplit=1)[0]
        found = (place for path, place in self.requested.items() if path.rpartition("/")[0] == group)
        return next(found, Source(self.file))

    def give_up(self, config_path: str) -> None:
        """Note that an option does not exist and go on as if it were empty."""
        self._results[config_path] = _result(config_path, None, [])
        split = self.sections.split(config_path)
        place = self.place_of(config_path)
        if split is not None:
            section, name = split
            known = tuple(self.get_group_options(section))
            self._problems.add("unknown-name", place, _path_of(section), kind=section, name=name, known=known)
            return
        group, _, name = config_path.rpartition("/")
        known = tuple(option for option in self.get_group_options(group) if group or option != self.primary)
        self._problems.add("unknown-option", place, _path_of(group), group=group, name=name, known=known)

    def has_file(self, config_path: str) -> bool:
        """Whether an option is a file."""
        return self._option_file(config_path) is not None

    def _primary_result(self) -> ConfigResult:
        slots: list[InputDefault] = [GroupDefault(group=name, value=option) for name, option in self.slots.items()]
        own = list(self._defaults)
        if not any(item.is_self() for item in own):
            own.append(ConfigDefault(path="_self_"))
        text = self.page.text if self.page is not None else ""
        header = self._package(text, self.file)
        return _result(self.primary, header, [*slots, ConfigDefault(path=_END_OF_SECTIONS), *own])

    def _load(self, config_path: str) -> ConfigResult | None:
        if config_path == _END_OF_SECTIONS or config_path.endswith("/" + _OWN):
            return _result(config_path, None, [])
        if self._inside(config_path) is None:
            self._problems.add("option-outside", self.place_of(config_path), option=config_path)
            return _result(config_path, None, [])
        file = self._option_file(config_path)
        if file is not None:
            return self._load_file(config_path, file)
        split = self.sections.split(config_path)
        if split is None or not self.sections.has(*split):
            return None
        self._contents[config_path] = self._registered(*split)
        return _result(config_path, None, [])

    def _registered(self, section: str, name: str) -> Node:
        place = self.requested.get(f"{section}/{name}") or Source(label=f"group option {section}={name}")
        if self.sections.is_labelled(section):
            return Node({name: Node(None, place, place)}, place)
        return Node({"name": Node(name, place, place)}, place)

    def _load_file(self, config_path: str, file: Path) -> ConfigResult:
        page = self._read(file)
        if page is None or page.root is None:
            return _result(config_path, self._package(page.text, file) if page is not None else None, [])
        items = self._read_defaults(page.root, config_path.rpartition("/")[0])
        self._contents[config_path] = without(page.root, ("defaults",))
        return _result(config_path, self._package(page.text, file), items)

    def _inside(self, config_path: str) -> Path | None:
        """The path below the blueprint's folder, or None where it would lead outside."""
        parts = config_path.split("/")
        if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
            return None
        path = self._folder.joinpath(*parts)
        try:
            inside = path.resolve().is_relative_to(self._folder.resolve())
        except (OSError, RuntimeError):
            return None
        return path if inside else None

    def _option_file(self, config_path: str) -> Path | None:
        names = [config_path] if config_path.endswith(_SUFFIXES) else [config_path + suffix for suffix in _SUFFIXES]
        paths = (self._inside(name) for name in names)
        return next((path for path in paths if path is not None and path.is_file()), None)

    def _package(self, text: str, file: Path) -> str | None:
        """The package in a file's `# @package` header."""
        for number, line in enumerate(text.splitlines(), 1):
            words = line.strip().lstrip("#").split()
            if line.strip() and not re.match(r"\s*#\s*@", line):
                return None
            if words and words[0] == "@package":
                if len(words) == 2:
                    return words[1]
                self._problems.add("package-header", Source(file, number, 1, len(line)), text=line.strip())
        return None

    def _read_defaults(self, root: Node, group: str) -> list[InputDefault]:
        defaults = root.child("defaults")
        if defaults is None or defaults.value is None:
            return []
        if not isinstance(defaults.value, list):
            self._problems.add("defaults-not-a-list", defaults.source, ("defaults",), kind=kind_of(defaults))
            return []
        items = [self._read_item(item, group, index) for index, item in enumerate(defaults.value)]
        return [item for item in items if item is not None]

    def _read_item(self, node: Node, group: str, index: int) -> InputDefault | None:
        try:
            item = _default_item(node)
        except ValueError:
            item = None
        if item is None:
            self._problems.add("defaults-item", node.source, ("defaults", index), kind=kind_of(node))
            return None
        for path in _requested_paths(item, group):
            self.requested.setdefault(path, node.source)
            if _is_hydra_path(path):
                self._problems.add("hydra-node", node.source, ("defaults", index), key=path, allowed=HYDRA_KEYS)
                return None
        return item


def _holds_yaml(folder: Path) -> bool:
    """Whether a folder or one of its folders holds a YAML file; a folder of data is no group."""
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except OSError:
        return False
    if any(entry.name.endswith(_SUFFIXES) for entry in found):
        return True
    folders = [Path(entry.path) for entry in found if entry.is_dir()]
    return any(next(path.glob("*" + suffix), None) for path in folders for suffix in _SUFFIXES)


def _result(config_path: str, package: str | None, defaults: list[InputDefault]) -> ConfigResult:
    """What Hydra needs to know of an option; its content is merged here and not by Hydra."""
    config = OmegaConf.create()
    return ConfigResult("hydrantic", config_path, config, {"package": package}, defaults_list=defaults)


def _default_item(node: Node) -> InputDefault | None:
    """One item of a defaults list as Hydra's type, or None where it is none."""
    if isinstance(node.value, str):
        path, _, package = node.value.partition("@")
        return ConfigDefault(path=path, package=package or None) if path else None
    if not isinstance(node.value, dict) or len(node.value) != 1:
        return None
    (key, option), *_ = node.value.items()
    *words, target = key.split(" ")
    group, _, package = target.partition("@")
    value = option.plain()
    is_option = value is None or isinstance(value, str)
    is_options = isinstance(value, list) and all(isinstance(item, str) for item in value)
    if not group.strip("/") or not set(words) <= {"override", "optional"} or not (is_option or is_options):
        return None
    return GroupDefault(
        group=group, value=value, package=package or None, optional="optional" in words, override="override" in words
    )


def _requested_paths(item: InputDefault, group: str) -> list[str]:
    """The config paths that an item of a defaults list in `group` asks for."""
    if isinstance(item, ConfigDefault):
        names = [item.path or ""]
    elif isinstance(item, GroupDefault):
        values = item.value if isinstance(item.value, list) else [item.value]
        names = [f"{item.group}/{value}" for value in values]
    return [name[1:] if name.startswith("/") else f"{group}/{name}".lstrip("/") for name in names]


def _is_hydra_path(path: str) -> bool:
    allowed = any(path == section or path.startswith(section + "/") for section in _HYDRA_SECTIONS)
    return (path == "hydra" or path.startswith("hydra/")) and not allowed


# Overrides


def _text_cast(*args: Any, value: Any = None) -> Any:
    """Hydra's `str(...)`, its result marked as quoted: what a person casts to text is not read as a scalar again."""
    return _quoted(_FUNCTIONS_STR(*args, value=value))


def _quoted(value: Any) -> Any:
    if isinstance(value, str):
        return QuotedString(value, Quote.single)
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    return {key: _quoted(item) for key, item in value.items()} if isinstance(value, dict) else value


_FUNCTIONS = create_functions()
_FUNCTIONS_STR = _FUNCTIONS.functions["str"]
_FUNCTIONS.functions["str"] = _text_cast
_PARSER = OverridesParser(_FUNCTIONS)


def read_override(text: str) -> Override:
    """Parse one override with Hydra's grammar.

    Raises:
        ValueError: with Hydra's reason in short.
    """
    try:
        return _PARSER.parse_override(_BARE_TILDE.sub("=null", text))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except (HydraException, ValueError, AssertionError, ArithmeticError) as error:
        first = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise ValueError(first.split(" expecting ")[0][:160]) from None


def override_value(value: Any) -> Any:
    """An override's parsed value as plain data; unquoted text means what it means in a file."""
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, str):
        return parse_scalar(value)
    if isinstance(value, list):
        return [override_value(item) for item in value]
    if isinstance(value, dict):
        return {key_text(key): override_value(item) for key, item in value.items()}
    return value


@dataclass(frozen=True, slots=True)
class _Set:
    """One change that an override makes to the composed tree; `replace` puts a mapping in place of another."""

    text: str
    type: OverrideType
    path: KeyPath
    value: Any
    replace: bool = False
    bare: bool = False

    @property
    def source(self) -> Source:
        return Source.override(self.text)


class _Requests:
    """The overrides, sorted into choices of group options and changes of values."""

    def __init__(self, repository: _Repository, problems: Problems) -> None:
        self.choices: list[Override] = []
        self.changes: list[_Set] = []
        self._repository = repository
        self._sections = repository.sections
        self._problems = problems

    def take(self, text: str) -> None:
        """Sort in one override, or note what is wrong with it."""
        place = Source.override(text)
        if _CONTROL.search(text):
            self._problems.add("override-syntax", place, text=text, reason="control character")
            return
        try:
            override = read_override(text)
        except ValueError as error:
            self._problems.add("override-syntax", place, text=text, reason=str(error))
            return
        self._sort(override, text, place)

    def _sort(self, override: Override, text: str, place: Source) -> None:
        key = override.key_or_group
        path = _path_of(key)
        if not path:
            self._problems.add("override-syntax", place, text=text, reason="no key")
        elif override.is_sweep_override():
            self._problems.add("sweep-without-multirun", place, path, key=key, text=text)
        elif _is_hydra_path(key) and "/" in key:
            self._problems.add("hydra-node", place, path, key=key, allowed=HYDRA_KEYS)
        elif not self._repository.group_exists(key):
            self._sort_value(override, text, place)
        elif key in self._sections.all:
            self._sort_section(override, text, place)
        else:
            self._sort_group(override, text, place)

    def _sort_value(self, override: Override, text: str, place: Source) -> None:
        key = override.key_or_group
        if override.package is None and "/" not in key:
            self._change(override, text)
            return
        known = tuple(sorted({*self._sections.all, *_folders(self._repository.file.parent)}))
        self._problems.add("unknown-group", place, _path_of(key), group=key, known=known)

    def _change(self, override: Override, text: str) -> None:
        bare = override.is_delete() and override.value_type is None
        path, value = _path_of(override.key_or_group), override_value(override._value)
        self.changes.append(_Set(text, override.type, path, value, bare=bare))

    def _sort_group(self, override: Override, text: str, place: Source) -> None:
        value = override.value()
        texts = value if isinstance(value, list) else [value]
        if override.is_delete() or (texts and all(isinstance(item, str) for item in texts)):
            self._choose(override, place)
        else:
            self._change(override, text)

    def _sort_section(self, override: Override, text: str, place: Source) -> None:
        section, value = override.key_or_group, override.value()
        names = value if isinstance(value, list) else [value]
        if override.package is not None:
            self._choose(override, place)
        elif override.is_delete():
            self._delete_section(override, text)
        elif value is None or isinstance(value, dict) or any(isinstance(n, str) and "${" in n for n in names):
            self._change(override, text)
        elif not names:
            empty: Any = {} if self._sections.is_labelled(section) else []
            self.changes.append(_Set(text, OverrideType.CHANGE, _path_of(section), empty, replace=True))
        elif not all(isinstance(name, str) for name in names):
            self._problems.add("option-not-text", place, _path_of(section), section=section, value=value)
        else:
            self._choose_section(override, text, place, [str(name) for name in names])

    def _delete_section(self, override: Override, text: str) -> None:
        section, name = override.key_or_group, override.value()
        if self._sections.is_labelled(section) and isinstance(name, str):
            label = _Set(text, OverrideType.DEL, (*_path_of(section), name), None, bare=True)
            self.changes.append(label)
        else:
            self._change(override, text)

    def _choose_section(self, override: Override, text: str, place: Source, names: list[str]) -> None:
        section = override.key_or_group
        is_label = self._sections.is_labelled(section)
        files = [self._repository.has_file(f"{section}/{name}") for name in names]
        if isinstance(override.value(), list) and not is_label and not all(files):
            self._problems.add("option-list", place, _path_of(section), section=section, names=tuple(names))
        elif is_label and override.is_add() and not any(files):
            self._add_labels(section, names, text, place)
        else:
            written = self._repository.slots.get(section, _OWN) is not None
            plus = override.is_add() and written and not is_label
            if plus:
                self._problems.add("override-exists", place, _path_of(section), key=section, text=text)
                return
            self._choose(dataclasses.replace(override, type=OverrideType.CHANGE), place)

    def _add_labels(self, section: str, names: list[str], text: str, place: Source) -> None:
        for name in names:
            if self._sections.has(section, name):
                path = (*_path_of(section), name)
                self.changes.append(_Set(text, OverrideType.FORCE_ADD, path, None))
            else:
                known = tuple(self._repository.get_group_options(section))
                self._problems.add("unknown-name", place, _path_of(section), kind=section, name=name, known=known)

    def _choose(self, override: Override, place: Source) -> None:
        if override.is_force_add():
            override = dataclasses.replace(override, type=OverrideType.CHANGE)
        value = override.value()
        for name in value if isinstance(value, list) else [value]:
            self._repository.requested[f"{override.key_or_group}/{name}"] = place
        self.choices.append(override)


def _folders(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_dir() and _holds_yaml(path)] if folder.is_dir() else []


# The defaults list


class _Defaults:
    """Runs Hydra's defaults list until it succeeds or cannot, noting each option that does not exist."""

    def __init__(self, repository: _Repository, choices: list[Override], problems: Problems) -> None:
        self._repository = repository
        self._choices = choices
        self._problems = problems
        self._given_up: set[str] = set()

    def results(self) -> _Results:
        """The options in merge order; those of the blueprint alone where a problem forbids more."""
        for _ in range(_MAX_RUNS):
            self._repository.loads.clear()
            try:
                return self._run()
            except MissingConfigException as error:
                self._repository.give_up(error.missing_cfg_file or "")
            except ConfigCompositionException as error:
                if not self._mended(str(error)):
                    break
            except RecursionError:
                self._note_cycle()
                break
            except _TooManyOptions:
                place = Source(self._repository.file)
                self._problems.add("limit", place, ("defaults",), what="options", allowed=_MAX_LOADS)
                break
            except (ValueError, AssertionError, OmegaConfBaseException) as error:
                self._note_invalid(str(error) or type(error).__name__)
                break
        return self._own_file()

    def _own_file(self) -> _Results:
        """The blueprint alone, so that the problems of the overrides are found as well."""
        primary, slots = self._repository.primary, self._repository.slots
        paths = [*(f"{section}/{_OWN}" for section in slots), _END_OF_SECTIONS]
        own = ResultDefault(primary, package="", is_self=True, primary=True)
        return _Results([*(ResultDefault(path) for path in paths), own], frozenset())

    def _run(self) -> _Results:
        found = create_defaults_list(
            self._repository, self._repository.primary, list(self._choices), prepend_hydra=False, skip_missing=False
        )
        chosen = frozenset(section for section in self._repository.slots if section in found.overrides.override_choices)
        self._check_order(found.defaults)
        return _Results(found.defaults, chosen)

    def _check_order(self, defaults: list[ResultDefault]) -> None:
        """A block of the blueprint refines an option chosen before it; chosen after it, the two would be mixed."""
        primary = next(
            (i for i, d in enumerate(defaults) if d.is_self and d.config_path == self._repository.primary), 0
        )
        for later in defaults[primary:]:
            key = later.override_key or ""
            if key in self._given_up:
                place = self._repository.place_of(later.config_path or "")
                self._problems.add("group-twice", place, _path_of(key), group=key)

    def _mended(self, message: str) -> bool:
        """Whether another run may succeed after a change that `message` asks for."""
        if match := re.match(r"Could not override '(.+?)'", message):
            return self._append(match[1])
        if match := re.match(r"Multiple values for (\S+?)\. |(\S+) appears more than once", message):
            return self._free_section(match[1] or match[2])
        if match := re.search(r"Could not override '(.+?)'", message):
            key = match[1]
            self._problems.add("override-unmatched", self._repository.place_of_group(key), _path_of(key), key=key)
        elif match := re.match(r"Could not delete '(.+?)(=.*)?'", message):
            key = match[1]
            place = self._repository.place_of_group(key)
            self._problems.add("override-nothing-to-delete", place, _path_of(key), key=key)
        elif match := re.match(r"You must specify '(.+?)'", message):
            group = match[1]
            known = tuple(self._repository.get_group_options(group.split("@")[0]))
            place = self._repository.place_of_group(group)
            self._problems.add("option-missing", place, _path_of(group), group=group, known=known)
        else:
            self._note_invalid(message)
        return False

    def _append(self, key: str) -> bool:
        """Add an option of a group that no defaults list mentions: `experiment=x` means `+experiment=x`."""
        for index, choice in enumerate(self._choices):
            if choice.get_key_element() == key:
                self._choices[index] = dataclasses.replace(choice, type=OverrideType.ADD)
                return True
        return False

    def _free_section(self, key: str) -> bool:
        """Leave a section to the defaults list that mentions it, in another file than the blueprint."""
        if key not in self._repository.slots:
            self._problems.add("group-twice", self._repository.place_of_group(key), _path_of(key), group=key)
            return False
        if self._repository.slots.pop(key) is not None:
            self._given_up.add(key)
        return True

    def _note_cycle(self) -> None:
        loads = [
            path
            for path, after in zip(self._repository.loads, self._repository.loads[1:], strict=False)
            if path != after
        ]
        last = loads[-1] if loads else self._repository.primary
        before = [index for index, path in enumerate(loads[:-1]) if path == last]
        cycle = tuple(loads[before[-1] :]) if before else (last,)
        self._problems.add("defaults-cycle", self._repository.place_of(last), ("defaults",), cycle=cycle)

    def _note_invalid(self, message: str) -> None:
        reason = " ".join(line.strip() for line in message.strip().splitlines()[:2])
        place = self._repository.body.source
        self._problems.add("defaults-invalid", Source(place.file), ("defaults",), reason=reason)


@dataclass(frozen=True, slots=True)
class _Results:
    """The options in merge order and the sections whose option was chosen by an override."""

    options: list[ResultDefault]
    chosen: frozenset[str]


def _merge_results(results: _Results, repository: _Repository) -> Node:
    """Merge the options' contents in order, each in its package."""
    paths = [option.config_path for option in results.options]
    end = paths.index(_END_OF_SECTIONS)
    sections, others = results.options[:end], results.options[end + 1 :]
    root = Node({}, repository.body.source)
    for option in others:
        if option.is_self and option.config_path == repository.primary:
            root = _merge_sections(root, sections, results.chosen, repository)
            root = _merged_at(root, option.package, _own_body(repository, paths), repository)
        else:
            root = _merged_at(root, option.package, repository.content(option.config_path or ""), repository)
    return _in_order(root, repository.body)


def _in_order(root: Node, body: Node) -> Node:
    """The tree with its keys in the order in which the blueprint writes them, and the others after them."""
    items = dict(root.children())
    order = [*(key for key, _ in body.children() if key in items), *items]
    return dataclasses.replace(root, value={str(key): items[key] for key in order})


def _own_body(repository: _Repository, paths: list[str | None]) -> Node:
    """The blueprint without the blocks that another choice replaces."""
    body = repository.body
    for section, option in repository.slots.items():
        if option is not None and f"{section}/{_OWN}" not in paths:
            body = without(body, _path_of(section))
    return body


def _merge_sections(root: Node, options: list[ResultDefault], chosen: frozenset[str], repository: _Repository) -> Node:
    """Merge the chosen options of sections; each replaces what stood there before, which its node remembers."""
    before = {section: _replaced(root, section, repository) for section in sorted(chosen)}
    for section in before:
        root = without(root, _path_of(section))
    for option in options:
        path = option.config_path or ""
        if not path.endswith("/" + _OWN):
            root = _merged_at(root, option.package, repository.content(path), repository)
    for section, node in before.items():
        if node is not None:
            root = _remember(root, _path_of(section), node)
    return root


def _replaced(root: Node, section: str, repository: _Repository) -> Node | None:
    node: Node | None = root
    for part in _path_of(section):
        node = node.child(part) if node is not None else None
    return repository.own_block(section) or node


def _remember(root: Node, path: KeyPath, was: Node) -> Node:
    if not path:
        return dataclasses.replace(root, was=was)
    below = root.child(path[0])
    return root if below is None else with_child(root, path[0], _remember(below, path[1:], was))


def _merged_at(root: Node, package: str | None, content: Node, repository: _Repository) -> Node:
    path = _path_of(package or "")
    return merged(root, placed(path, content), repository.sections.is_component)


# Changes of values


class _Refused(Exception):
    """An override cannot be applied; the problem was noted."""


class _Change:
    """Applies one override to the composed tree."""

    def __init__(self, change: _Set, sections: _Sections, limits: Limits, problems: Problems) -> None:
        self._change = change
        self._sections = sections
        self._limits = limits
        self._problems = problems

    def applied(self, root: Node) -> Node:
        """The changed tree; the same tree where the override is refused."""
        try:
            node = self._node()
            return self._at(root, self._change.path, node)
        except _Refused:
            return root

    def _node(self) -> Node:
        change = self._change
        node = dataclasses.replace(from_plain(change.value, change.source), key=change.source)
        nodes, depth = measure(node)
        if len(change.path) + depth > self._limits.depth:
            self._refuse("limit", what="depth", allowed=self._limits.depth)
        if nodes > self._limits.nodes:
            self._refuse("limit", what="nodes", allowed=self._limits.nodes)
        code = next((key for key in (*change.path, *_keys(node)) if key in CODE_KEYS), None)
        if code is not None:
            self._refuse("code-key", key=code)
        return node

    def _refuse(self, code: str, **facts: Any) -> NoReturn:
        self._problems.add(code, self._change.source, self._change.path, **facts)
        raise _Refused

    def _at(self, node: Node, path: KeyPath, new: Node) -> Node:
        """`node` with the change applied at `path` below it."""
        here = self._change.path[: len(self._change.path) - len(path)]
        node = self._container(node, here)
        part = path[0]
        below = node.child(part)
        if isinstance(node.value, list) and below is None:
            self._refuse("override-no-element", key=dotted(here), index=str(part), length=len(node.value))
        if len(path) == 1:
            return self._last(node, part, below, new)
        if below is None and self._change.type is OverrideType.DEL:
            self._refuse("override-nothing-to-delete", key=dotted(self._change.path))
        below = below or Node({}, self._change.source, self._change.source)
        return with_child(node, part, self._at(below, path[1:], new))

    def _container(self, node: Node, path: KeyPath) -> Node:
        """The node as something that has elements: an empty mapping for null, a block for a component's name."""
        if isinstance(node.value, dict | list):
            return node
        if self._change.type is OverrideType.DEL:
            self._refuse("override-nothing-to-delete", key=dotted(self._change.path))
        if node.value is None:
            return dataclasses.replace(node, value={})
        shorthand = isinstance(node.value, str) and not is_reference(node) and self._sections.is_component(path)
        if not shorthand:
            self._refuse("override-through-scalar", key=dotted(path), value=node.value, kind=kind_of(node))
        return expanded(node)

    def _last(self, node: Node, part: str | int, below: Node | None, new: Node) -> Node:
        if self._change.type is OverrideType.DEL:
            return self._deleted(node, part, below)
        is_container = isinstance(new.value, dict | list)
        written = below is not None and below.value is not None
        if self._change.type is OverrideType.ADD and written and not is_container:
            self._refuse("override-exists", key=dotted(self._change.path), text=self._change.text)
        if below is None or self._change.replace:
            return with_child(node, part, dataclasses.replace(new, was=below))
        shorthand = self._sections.is_component
        child = merged(below, new, shorthand, self._change.path) if new.value != "???" else new
        return with_child(node, part, child)

    def _deleted(self, node: Node, part: str | int, below: Node | None) -> Node:
        if below is None:
            self._refuse("override-nothing-to-delete", key=dotted(self._change.path))
        if not self._change.bare and not self._is_value(below):
            self._refuse(
                "override-delete-mismatch",
                key=dotted(self._change.path), value=self._change.value, actual=below.plain(),
            )  # fmt: skip
        return with_child(node, part, None)

    def _is_value(self, node: Node) -> bool:
        """Whether the node holds what the override says; a component may be meant by its name."""
        name = node.child("name")
        if self._change.value is None or self._change.value == node.plain():
            return True
        is_block = self._sections.is_component(self._change.path) and name is not None
        return is_block and name is not None and name.value == self._change.value


def _keys(node: Node) -> Iterator[str | int]:
    for key, child in node.children():
        yield key
        yield from _keys(child)


def _check_hydra_node(root: Node, problems: Problems) -> None:
    """Refuse what Hydra would import or fetch; the allowed keys choose folders, a launcher and a sweeper."""
    hydra = root.child("hydra")
    if hydra is None or hydra.value is None:
        return
    if not isinstance(hydra.value, dict):
        problems.add("hydra-node", hydra.source, ("hydra",), key="hydra", allowed=HYDRA_KEYS)
        return
    for key, node in hydra.value.items():
        inner = node.value if key == "run" and isinstance(node.value, dict) else {}
        if key not in ("run", "sweep", "launcher", "sweeper"):
            problems.add("hydra-node", node.place, ("hydra", key), key=f"hydra.{key}", allowed=HYDRA_KEYS)
        for name in inner.keys() - {"dir"}:
            path = ("hydra", key, name)
            problems.add("hydra-node", inner[name].place, path, key=f"hydra.{key}.{name}", allowed=HYDRA_KEYS)


def _check_size(root: Node, limits: Limits, problems: Problems) -> None:
    nodes, depth = measure(root)
    if nodes > limits.nodes:
        problems.add("limit", Source(root.source.file), what="nodes", allowed=limits.nodes)
    if depth > limits.depth:
        problems.add("limit", Source(root.source.file), what="depth", allowed=limits.depth)
