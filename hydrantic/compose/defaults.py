"""Which options are composed, and in what order: Hydra's defaults list."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from hydra._internal.defaults_list import create_defaults_list
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from hydrantic.compose.options import END_OF_SECTIONS, MAX_LOADS, OWN, Repository, TooManyOptions, path_of
from hydrantic.problems import Problems
from hydrantic.source import Source

_MAX_RUNS = 200


class DefaultsList:
    """Runs Hydra's defaults list until it succeeds or cannot, noting each option that does not exist."""

    def __init__(self, repository: Repository, choices: list[Override], problems: Problems) -> None:
        self._repository = repository
        self._choices = choices
        self._problems = problems
        self._given_up: set[str] = set()

    def results(self) -> Results:
        """The options in merge order; those of the blueprint alone where a problem forbids more."""
        if not self._choices and self._repository.stands_alone:
            return self._own_file()
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
            except TooManyOptions:
                place = Source(self._repository.file)
                self._problems.add("limit", place, ("defaults",), what="options", allowed=MAX_LOADS)
                break
            except (ValueError, AssertionError, OmegaConfBaseException) as error:
                self._note_invalid(str(error) or type(error).__name__)
                break
        return self._own_file()

    def _own_file(self) -> Results:
        """The blueprint alone, so that the problems of the overrides are found as well."""
        primary, slots = self._repository.primary, self._repository.slots
        paths = [*(f"{section}/{OWN}" for section in slots), END_OF_SECTIONS]
        own = ResultDefault(primary, package="", is_self=True, primary=True)
        return Results([*(ResultDefault(config_path=path) for path in paths), own], frozenset())

    def _run(self) -> Results:
        found = create_defaults_list(
            self._repository, self._repository.primary, list(self._choices), prepend_hydra=False, skip_missing=False
        )
        chosen = frozenset(section for section in self._repository.slots if section in found.overrides.override_choices)
        self._check_order(found.defaults)
        return Results(found.defaults, chosen)

    def _check_order(self, defaults: list[ResultDefault]) -> None:
        """A block of the blueprint refines an option chosen before it; chosen after it, the two would be mixed."""
        primary = next(
            (i for i, d in enumerate(defaults) if d.is_self and d.config_path == self._repository.primary), 0
        )
        for later in defaults[primary:]:
            key = later.override_key or ""
            if key in self._given_up:
                place = self._repository.place_of(later.config_path or "")
                self._problems.add("group-twice", place, path_of(key), group=key)

    def _mended(self, message: str) -> bool:
        """Whether another run may succeed after a change that `message` asks for."""
        if match := re.match(r"Could not override '(.+?)'", message):
            return self._append(match[1])
        if match := re.match(r"Multiple values for (\S+?)\. |(\S+) appears more than once", message):
            return self._free_section(match[1] or match[2])
        if match := re.search(r"Could not override '(.+?)'", message):
            key = match[1]
            self._problems.add("override-unmatched", self._repository.place_of_group(key), path_of(key), key=key)
        elif match := re.match(r"Could not delete '(.+?)(=.*)?'", message):
            key = match[1]
            place = self._repository.place_of_group(key)
            self._problems.add("override-nothing-to-delete", place, path_of(key), key=key)
        elif match := re.match(r"You must specify '(.+?)'", message):
            group = match[1]
            known = tuple(self._repository.get_group_options(group.split("@")[0]))
            place = self._repository.place_of_group(group)
            self._problems.add("option-missing", place, path_of(group), group=group, known=known)
        else:
            self._note_invalid(message)
        return False

    def _append(self, key: str) -> bool:
        """Add an option of a group that no defaults list mentions: `experiment=x` means `+experiment=x`.

        With a package it does not, as in Hydra: one that is misspelt would be a section of its own.
        """
        for index, choice in enumerate(self._choices):
            if choice.get_key_element() == key and choice.package is not None:
                text = str(choice.input_line).lstrip("+")
                place = self._repository.place_of_group(key)
                self._problems.add("override-unmatched", place, path_of(key), key=key, text=text)
            elif choice.get_key_element() == key:
                self._choices[index] = dataclasses.replace(choice, type=OverrideType.ADD)
                return True
        return False

    def _free_section(self, key: str) -> bool:
        """Leave a section to the defaults list that mentions it, in another file than the blueprint."""
        if key not in self._repository.slots:
            self._problems.add("group-twice", self._repository.place_of_group(key), path_of(key), group=key)
            return False
        if self._repository.slots.pop(key) is not None:
            self._given_up.add(key)
        return True

    def _note_cycle(self) -> None:
        loads = [path for path, after in pairwise(self._repository.loads) if path != after]
        loads = loads or [self._repository.loads[-1] if self._repository.loads else self._repository.primary]
        last = loads[-1]
        before = [index for index, path in enumerate(loads[:-1]) if path == last]
        turn = loads[before[-1] : -1] if before else [last]
        # Where the recursion ended is chance: the cycle begins with whatever of it was loaded first.
        first = min(turn, key=loads.index)
        cycle = (*turn[turn.index(first) :], *turn[: turn.index(first)], first)
        self._problems.add("defaults-cycle", self._repository.place_of(first), ("defaults",), cycle=cycle)

    def _note_invalid(self, message: str) -> None:
        reason = " ".join(line.strip() for line in message.strip().splitlines()[:2])
        place = self._repository.body.source
        self._problems.add("defaults-invalid", Source(place.file), ("defaults",), reason=reason)


@dataclass(frozen=True, slots=True)
class Chosen:
    """One option in merge order."""

    option: str
    """Its path, such as `model/big` or `experiment/cmnist/cnn`; the blueprint's own is its name."""
    package: str
    """Where its content is put."""
    parent: str
    """The option whose defaults list asks for it; nothing for the blueprint itself."""
    is_self: bool
    """Whether it is an option's own content beside what its defaults list asks for."""
    file: Path | None
    """The file that it is; None for a registered name."""


@dataclass(frozen=True, slots=True)
class Results:
    """The options in merge order and the sections whose option was chosen by an override."""

    options: list[ResultDefault]
    chosen: frozenset[str]

    def seen(self, repository: Repository) -> tuple[Chosen, ...]:
        """The options as a person sees them, without those that only keep the order."""
        paths = ((each, each.config_path or "") for each in self.options)
        return tuple(
            Chosen(path, each.package or "", each.parent or "", each.is_self, repository.file_of(path))
            for each, path in paths
            if path and not path.endswith((OWN, END_OF_SECTIONS))
        )
