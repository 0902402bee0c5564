"""The options that a blueprint can be composed of: its own blocks, YAML files in its folders, registered names."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from hydra._internal.config_repository import IConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ConfigDefault, GroupDefault, InputDefault
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import OmegaConf

from hydrantic.compose.search import Pages, SearchPath
from hydrantic.document import Node, kind_of, without
from hydrantic.problems import Problems
from hydrantic.reading import Page
from hydrantic.sections import WITHIN_HYDRA
from hydrantic.source import KeyPath, Source

HYDRA_KEYS: Final = ("run.dir", "sweep.dir", "sweep.subdir", "launcher", "sweeper", "searchpath")
"""What a blueprint may set in its `hydra:` node."""
SEARCHPATH: Final[KeyPath] = ("hydra", "searchpath")
"""Where a blueprint names further folders that hold options."""
OWN: Final = "(this file)"  # the option that stands for the blueprint's own block of a section
END_OF_SECTIONS: Final = "(sections)"
MAX_LOADS: Final = 2_000


class Groups(Protocol):
    """What compose asks of the registries: their names are options of the sections of a blueprint."""

    def names(self, section: str) -> tuple[str, ...]:
        """The registered component names of a section."""

    def sections(self) -> Mapping[str, bool]:
        """The config groups that hold components; True for those that map labels to components."""


class Sections:
    """The sections of a blueprint that hold components, with the names registered for each."""

    def __init__(self, groups: Groups | None) -> None:
        self._groups = groups
        self._labelled = dict(groups.sections()) if groups is not None else {}
        self.all = tuple(self._labelled)

    def is_labelled(self, section: str) -> bool:
        """Whether the section maps labels to components."""
        return self._labelled.get(section, False)

    def names(self, section: str) -> tuple[str, ...]:
        """The registered names of a section; none where the registries do not know it."""
        return self._groups.names(section) if self._groups is not None and section in self._labelled else ()

    def has(self, section: str, name: str) -> bool:
        """Whether `name` is a component of a section."""
        return name in self.names(section)

    def split(self, path: str) -> tuple[str, str] | None:
        """The section and the name in `section/name`."""
        found = (section for section in self.all if path.startswith(section + "/"))
        return next(((section, path[len(section) + 1 :]) for section in found), None)

    def is_component(self, path: KeyPath) -> bool:
        """Whether a component stands at `path`: at a section, or at a label of a labelled section."""
        section = "/".join(str(part) for part in path)
        if section in self._labelled:
            return not self._labelled[section]
        return len(path) > 1 and self.is_labelled("/".join(str(part) for part in path[:-1]))


def path_of(group: str) -> KeyPath:
    """The key path of a group or package: `hydra/launcher` is `("hydra", "launcher")`."""
    return tuple(part for part in re.split(r"[./]", group) if part)


class TooManyOptions(Exception):
    """The defaults lists load more options than any blueprint needs."""


class Repository(IConfigRepository):
    """Options for Hydra's defaults list: the blueprint, the YAML files below its folder, registered names."""

    def __init__(
        self,
        page: Page | None,
        file: Path,
        searchpath: SearchPath,
        pages: Pages,
        sections: Sections,
        problems: Problems,
    ) -> None:
        self.file = file
        self.page = page
        self.sections = sections
        self.searchpath = searchpath
        self.texts = {page.file: page.text} if page is not None and page.text else {}
        self.requested: dict[str, Source] = {}
        self.asked: dict[Path, Source] = {}
        self.listed: dict[str, Node] = {}
        self.loads: list[str] = []
        self._pages = pages
        self._problems = problems
        self._results: dict[str, ConfigResult | None] = {}
        self._contents: dict[str, Node] = {}
        self.primary = file.stem if re.fullmatch(r"[\w .-]+", file.stem) else "(blueprint)"
        body = page.root if page is not None and page.root is not None else Node({}, Source(file))
        self._defaults = self._read_defaults(body, ("",))
        self.body = without(body, ("defaults",))
        self.slots = self._find_slots()

    def _find_slots(self) -> dict[str, str | None]:
        """Each section that the blueprint's defaults list does not mention, and the option that holds its own block.

        None holds a block that refines what the blueprint's own defaults list overrides.
        """
        chosen = [each for each in self._defaults if isinstance(each, GroupDefault) and each.group and not each.package]
        mentioned = {str(each.group).removeprefix("/") for each in chosen if not each.override}
        overridden = {str(each.group).removeprefix("/") for each in chosen if each.override}
        own = {section for section in self.sections.all if self.own_block(section) is not None} - overridden
        return {section: OWN if section in own else None for section in self.sections.all if section not in mentioned}

    @property
    def stands_alone(self) -> bool:
        """Whether the blueprint is composed of nothing else, so that there is no list to be worked out."""
        return not self._defaults and self.page is not None and "@package" not in self.page.text

    def own_block(self, section: str) -> Node | None:
        """What the blueprint itself writes for a section."""
        node: Node | None = self.body
        for part in path_of(section):
            node = node.child(part) if node is not None else None
        return node

    # Hydra's interface; Hydra passes arguments by these names.

    def load_config(self, config_path: str) -> ConfigResult | None:
        """The header and defaults list of an option, or None where there is no such option."""
        self.loads.append(config_path)
        if len(self.loads) > MAX_LOADS:
            raise TooManyOptions
        if config_path == self.primary:
            return self._primary_result()
        if config_path not in self._results:
            self._results[config_path] = self._load(config_path)
        return self._results[config_path]

    def group_exists(self, config_path: str) -> bool:
        """Whether a section or a folder with YAML files has this name."""
        return config_path in self.sections.all or self.searchpath.is_group(config_path)

    def config_exists(self, config_path: str) -> bool:
        """Whether there is such an option."""
        return config_path == self.primary or self.load_config(config_path) is not None

    def get_group_options(self, group_name: str, results_filter: ObjectType | None = ObjectType.CONFIG) -> list[str]:
        """The options of a group: registered names and files."""
        return sorted({*self.searchpath.options(group_name), *self.sections.names(group_name)})

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
            self._problems.add("unknown-name", place, path_of(section), kind=section, name=name, known=known)
            return
        group, _, name = config_path.rpartition("/")
        known = tuple(option for option in self.get_group_options(group) if group or option != self.primary)
        self._problems.add("unknown-option", place, path_of(group), group=group, name=name, known=known)

    def has_file(self, config_path: str) -> bool:
        """Whether an option is a file."""
        return self.searchpath.file(config_path) is not None

    def file_of(self, config_path: str) -> Path | None:
        """The file of an option; None for a registered name."""
        return self.file if config_path == self.primary else self.searchpath.file(config_path)

    def _primary_result(self) -> ConfigResult:
        slots: list[InputDefault] = [GroupDefault(group=name, value=option) for name, option in self.slots.items()]
        own = list(self._defaults)
        if not any(item.is_self() for item in own):
            own.append(ConfigDefault(path="_self_"))
        text = self.page.text if self.page is not None else ""
        header = self._package(text, self.file)
        return _result(self.primary, header, [*slots, ConfigDefault(path=END_OF_SECTIONS), *own])

    def _load(self, config_path: str) -> ConfigResult | None:
        if config_path == END_OF_SECTIONS or config_path.endswith("/" + OWN):
            return _result(config_path, None, [])
        if not self.searchpath.holds(config_path):
            self._problems.add("option-outside", self.place_of(config_path), option=config_path)
            return _result(config_path, None, [])
        file = self.searchpath.file(config_path)
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
        page = self._pages.read(file, self._problems)
        if page is not None:
            self.texts[file] = page.text
        self.asked[file] = self.place_of(config_path)
        if page is None or page.root is None:
            return _result(config_path, self._package(page.text, file) if page is not None else None, [])
        items = self._read_defaults(page.root, _groups_of(config_path))
        self._contents[config_path] = without(page.root, ("defaults",))
        return _result(config_path, self._package(page.text, file), items)

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

    def _read_defaults(self, root: Node, groups: tuple[str, ...]) -> list[InputDefault]:
        defaults = root.child("defaults")
        if defaults is None or defaults.value is None:
            return []
        if not isinstance(defaults.value, list):
            self._problems.add("defaults-not-a-list", defaults.source, ("defaults",), kind=kind_of(defaults))
            return []
        items = [self._read_item(item, groups, index) for index, item in enumerate(defaults.value)]
        return [item for item in items if item is not None]

    def _read_item(self, node: Node, groups: tuple[str, ...], index: int) -> InputDefault | None:
        try:
            item = _default_item(node)
        except ValueError:
            item = None
        if item is None:
            self._problems.add("defaults-item", node.source, ("defaults", index), kind=kind_of(node))
            return None
        for path in (path for group in groups for path in _requested_paths(item, group)):
            self.requested.setdefault(path, node.source)
            if is_hydra_path(posixpath.normpath(path)):
                self._problems.add("hydra-node", node.source, ("defaults", index), key=path, allowed=HYDRA_KEYS)
                return None
            if isinstance(item, GroupDefault) and isinstance(item.value, str) and not item.override:
                # What the list chooses, for the case that something else is chosen instead.
                self.listed.setdefault(path.removesuffix(f"/{item.value}"), Node(item.value, node.source))
        return item


def _groups_of(config_path: str) -> tuple[str, ...]:
    """The groups that an option may have been chosen from: `slurm/kyiv` of one group is `kyiv` of one below it."""
    parts = config_path.split("/")
    first = 2 if parts[0] == "hydra" else 1
    return tuple("/".join(parts[:count]) for count in range(first, len(parts))) or ("",)


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


def is_hydra_path(path: str) -> bool:
    """Whether a path names something of Hydra's own that a blueprint may not choose."""
    allowed = any(path == section or path.startswith(section + "/") for section in WITHIN_HYDRA)
    return (path == "hydra" or path.startswith("hydra/")) and not allowed
