"""Describing components: importing every one of a shelf, once, and writing down what there is to know of it.

`hydrantic.manifest` runs this in a process of its own, so that whatever a component's module does or prints when it is
imported stays there.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import re
import site
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from hydrantic.blueprint import WIRINGS, Blueprint, trainer_hparams
from hydrantic.components import hparams_of
from hydrantic.digests import digest_of
from hydrantic.errors import HydranticError
from hydrantic.forms import Fields
from hydrantic.imports import import_lightning
from hydrantic.manifest.descriptions import Description
from hydrantic.manifest.watching import Watch
from hydrantic.model.hparams import ModelHparams
from hydrantic.project import ProjectShelf, open_shelf
from hydrantic.registries import KINDS, PROJECT, BrokenComponent, Entry, entry_points, registry
from hydrantic.spec import fields_of, is_told, judges_by_type
from hydrantic.traits import Traits, traits_of

Name = tuple[str, str]
"""A kind and a name."""

Find = Callable[[str, str], Entry | None]
"""Finds the component of a kind and a name."""

Step = Callable[[int, int, str], None]
"""Is told how many components are described, how many there are, and which is the next."""


def describe_installed(step: Step = lambda *_: None) -> dict[str, Any]:
    """The part of the manifest that holds the components of installed distributions, hydrantic's own among them."""
    import_lightning()
    names = [(kind, point.name) for kind, plural in KINDS.items() for point in entry_points(plural)]
    settings = {"trainer": fields_of(trainer_hparams()), "sections": sections()}
    return _part(list(dict.fromkeys(names)), _installed, step) | settings


def sections() -> Fields:
    """The sections of a blueprint as fields; `wiring` holds what the blocks of one have beside a component's own."""
    found = fields_of(Blueprint)
    for section, hparams in WIRINGS.items():
        found[section]["wiring"] = fields_of(hparams)
    return found


def describe_project(shelf: ProjectShelf, step: Step = lambda *_: None) -> dict[str, Any]:
    """The part of the manifest that holds the components of an open project's shelf."""
    import_lightning()
    names = [(kind, name) for kind in KINDS for name in shelf.names(kind)]
    # Names that are made at run time show only when every module that makes some is imported.
    made = [(kind, name) for kind in KINDS for name in _made_at_run_time(kind, shelf)]
    return _part(list(dict.fromkeys([*names, *made])), _near, step)


def _made_at_run_time(kind: str, shelf: ProjectShelf) -> Iterator[str]:
    try:
        shelf.load(kind, "")
    except HydranticError:  # what the module does not register cannot be told
        return
    yield from registry(kind).of_shelf(PROJECT)


def _near(kind: str, name: str) -> Entry | None:
    return registry(kind).get(name)


def _installed(kind: str, name: str) -> Entry | None:
    return registry(kind).installed(name)


def _part(names: Sequence[Name], find: Find, step: Step) -> dict[str, Any]:
    described = []
    for done, (kind, name) in enumerate(names):
        step(done, len(names), f"{kind} {name}")
        described.append(dataclasses.asdict(describe(kind, name, find)))
    return {"components": described, "dependencies": _dependencies(), "variables": {}}


def describe(kind: str, name: str, find: Find = _near) -> Description:
    """The description of a component, or of why it cannot be imported."""
    try:
        entry = find(kind, name)
        return _broken(kind, name, "it is gone") if entry is None else _described(entry)
    except BrokenComponent as error:
        return _broken(kind, name, str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- a component's class may do anything when it is looked at
        return _broken(kind, name, f"{type(error).__name__}: {error}")


def _broken(kind: str, name: str, reason: str) -> Description:
    return Description(kind, name, shelf="", told=False, broken=reason, judged=dataclasses.asdict(Traits()))


def _described(entry: Entry) -> Description:
    hparams, source = hparams_of(entry), entry.source
    traits = traits_of(entry)
    fields = fields_of(hparams, free=tuple(ModelHparams.model_fields) if traits.carries_groups else ())
    return Description(
        kind=entry.kind,
        name=entry.name,
        shelf=entry.shelf,
        aliases=tuple(each for each in entry.aliases if each != entry.name),
        dotted=tuple(sorted({p.dotted for p in entry_points(KINDS[entry.kind]) if p.name == entry.name}))
        if entry.shelf != PROJECT
        else (),
        summary=entry.summary,
        doc=_doc(entry.component),
        file=None if source.file is None else str(source.file),
        line=source.line,
        title=hparams.__name__,
        fields=fields,
        told=is_told(fields) and judges_by_type(hparams),
        judged=dataclasses.asdict(traits),
    )


_SECTION = re.compile(r"^(Args|Arguments|Parameters|Attributes|Example|Examples|Raises|Returns|Note|Shape|Inputs):?$")


def _doc(component: Any) -> str:
    """The docstring down to the first section, directive or formula."""
    kept: list[str] = []
    for line in (inspect.getdoc(component) or "").splitlines():
        if _SECTION.match(line.strip()) or line.startswith((".. ", ":param", ">>>")) or "::" in line[-2:]:
            break
        kept.append(line)
    return "\n".join(kept).strip()


def _dependencies() -> dict[str, str]:
    """The imported files, with their digests, that no installed version stands for: projects, editable installs."""
    found, outside = {}, _outside()
    for module in list(sys.modules.values()):
        name = str(getattr(module, "__file__", None) or "")  # not always a path: torch has modules that it only names
        real = os.path.realpath(name)
        is_own = not real.startswith(outside) and not _is_shelf_of(module)
        if is_own and real.endswith(".py") and Path(name).is_absolute():
            found[real] = digest_of(Path(real))
    return dict(sorted(found.items()))


def _outside() -> tuple[str, ...]:
    """The folders of what is installed."""
    places = {*site.getsitepackages(), site.getusersitepackages(), *sysconfig.get_paths().values()}
    return tuple(os.path.realpath(str(place)) + os.sep for place in (*places, Path(__file__).parent.parent))


def _is_shelf_of(module: Any) -> bool:
    """Whether a module belongs to a shelf that the manifest's key stands for already."""
    name = module.__name__
    return name.startswith(("hydrantic.", "registry.")) or name in {"hydrantic", "registry", "__main__"}


def main() -> None:
    """Describe the shelf that the command line names, and answer on stdout: lines of progress, then the part."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else is printed meanwhile is no answer
    what, root = sys.argv[1], Path(sys.argv[2])
    # What was put on the path since that process began counts for what is installed, too.
    sys.path += [each for each in json.loads(sys.argv[3]) if each not in sys.path]

    def step(done: int, of: int, of_name: str) -> None:
        _answer(answers, {"done": done, "of": of, "next": of_name})

    _answer(answers, {"part": describe_installed(step) if what == "installed" else _watched(root, step)})


def _watched(root: Path, step: Step) -> dict[str, Any]:
    """The part of a project, with what else its modules look at."""
    import_lightning()
    watch = Watch(root, _outside())
    watch.start()
    part = describe_project(open_shelf(root / "registry"), step)
    return part | {"dependencies": part["dependencies"] | watch.files, "variables": watch.variables}


def _answer(answers: IO[str], answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
