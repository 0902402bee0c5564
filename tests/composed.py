"""Folders of groups made at random, for comparing what composes with what Hydra makes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import yaml

FOLDER = "<folder>"
"""Stands in a text for the folder that everything lies in."""

HEADERS = ("", "", "", "# @package _global_\n", "# @package m.n\n", "# @package _group_\n", "# @package q._group_\n")
LEAVES: Mapping[str, tuple[Any, ...]] = {
    "s": (1, 2.5, "text", True, None, "???", "${t}", 1e-3),
    "t": (1, "other", False),
    "l": ([], [1], [2, "x"], [{"a": 1}]),
}
OVERRIDES = (
    "db=b", "db=far", "db=deep/c", "db=[b,a]", "db=[]", "~db", "~db=a", "+exp=e", "+exp=nest/f", "exp=e",
    "+exp=[e,nest/f]", "+exp=nest/deep/g", "srv=b", "srv@m=b", "srv@m=near", "+srv@z=a", "+srv@z.y=near", "~srv@m",
    "++srv=b", "+srv=[a,b]", "metrics=[one,two]", "metrics=two", "~metrics", "sub@db.sub=x", "db/sub=y", "+db/sub=x",
    "db/sub@db=y", "opt=there", "s=3", "++s=4", "+u=5", "m.s=null", "++m.q.r=1", "l=[7]", "++l=[1,{a: b}]", "~l",
    "++m={s: 9, z: {y: 1}}", "+n={m: {t: 3}}", "~s", "~m", "~t=1", "++db.s=x", "db.s=1", "~db.s", "++k='1'",
    "++k=[a,{b: 1e-3}]", "t=str(2)", "db.l.0=9", "++hydra.run.dir=x", "hydra.sweep.subdir=y", "metrics.one.s=2",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Files by their way, and overrides of the blueprint `main.yaml`."""

    files: Mapping[str, str]
    overrides: tuple[str, ...]


def generated(random: Random) -> Case:
    """Groups that inherit, nest and refer to each other, in the folder `conf` and in `further`."""
    files: dict[str, str] = {}
    for group in ("db", "srv"):
        for name in ("a", "b", "deep/c"):
            files[f"conf/{group}/{name}.yaml"] = _option(random, group, name)
        files[f"conf/{group}/base.yaml"] = random.choice(HEADERS[:4]) + _dumped(_tree(random))
        for name in ("x", "y"):
            files[f"conf/{group}/sub/{name}.yaml"] = random.choice(HEADERS) + _dumped(_leaf(random))
    for name in ("one", "two"):
        files[f"conf/metrics/{name}.yaml"] = _dumped({name: _leaf(random) or None})
    for name in ("e", "nest/f", "nest/deep/g"):
        files[f"conf/exp/{name}.yaml"] = _experiment(random)
    files["further/db/far.yaml"] = _dumped(_tree(random), random.choice([None, ["a"], ["base", "_self_"]]))
    files["further/db/a.yaml"] = _dumped({"s": "hidden"})
    files["further/srv/near.yaml"] = random.choice(HEADERS) + _dumped(_tree(random))
    far = random.random() < 0.5  # whether the folder `further` is on the search path
    files["conf/main.yaml"] = _main(random, far)
    usual = [each for each in OVERRIDES if far or not {"far", "near"} & set(re.split("[@=.]", each))]
    overrides = random.sample(usual, random.choice([0, 1, 1, 1, 2, 2, 3]))
    if far and random.random() < 0.3:
        overrides.insert(0, f"hydra.searchpath=[{FOLDER}/further]")
    return Case(files, tuple(overrides))


def _main(random: Random, far: bool) -> str:
    items: list[Any] = [{"db": random.choice(["a", "a", "b", "deep/c", ["a", "b"], *["far"] * far])}]
    items += _some(
        random, [{"srv@m": random.choice(["a", "b", *["near"] * far])}, {"optional srv": random.choice(["none", "a"])}]
    )
    items += _some(random, [{"metrics": random.choice(["one", ["one", "two"], ["two", "one"], []])}])
    items += _some(random, ["db/base", "srv/base@p", "/db/base@_global_", {"optional opt": random.choice([None, "x"])}])
    items += _some(random, [{"exp": random.choice([None, "e", "nest/f"])}, {"db/sub@db": "x"}])
    random.shuffle(items)
    if random.random() < 0.7:
        items.insert(random.randint(0, len(items)), "_self_")
    if random.random() < 0.2:
        items.append({"override db/sub@db": "y"})
    body = _tree(random)
    if far:
        body["hydra"] = {"searchpath": [f"file://{FOLDER}/further"]}
    return _dumped(body, items)


def _option(random: Random, group: str, name: str) -> str:
    other = "srv" if group == "db" else "db"
    inherited = random.choice(
        ["base", f"/{group}/base", "base@_here_", "base@inner", "base@_global_", f"/{other}/base"]
    )
    nested = random.choice([{"sub": "x"}, {"sub": ["x", "y"]}, {"optional sub": "none"}, {"sub@_global_.z": "y"}])
    items: list[Any] | None = random.choice(
        [None, None, [inherited], [nested], [inherited, nested], [{f"/{other}@in": "base"}]]
    )
    if items is not None and random.random() < 0.6:
        items = [*items]
        items.insert(random.randint(0, len(items)), "_self_")
    return random.choice(HEADERS) + _dumped(_tree(random), items)


def _experiment(random: Random) -> str:
    adding = _some(random, [{"/srv@fromexp": "a"}, "/db/base@fromexp", "_self_"])
    overriding = [{"override /db": random.choice(["a", "b", "deep/c", ["b", "a"]])}]
    rare = [
        {"override /srv@m": "b"},
        {"override /metrics": ["two"]},
        {"override /db/sub@db": "y"},
        {"override /db": None},
    ]
    items = [
        *adding,
        *(overriding if random.random() < 0.5 else []),
        *(random.sample(rare, random.choice([0, 0, 0, 1]))),
    ]
    header = random.choice(["# @package _global_\n", "# @package _global_\n---\n", "# @package _global_\n", ""])
    return header + _dumped(_tree(random), items)


def _some(random: Random, items: Sequence[Any]) -> list[Any]:
    return [each for each in items if random.random() < 0.35]


def _leaf(random: Random) -> dict[str, Any]:
    return {name: random.choice(values) for name, values in LEAVES.items() if random.random() < 0.5}


def _tree(random: Random) -> dict[str, Any]:
    tree = _leaf(random)
    if random.random() < 0.4:
        tree["m"] = _leaf(random)
    if random.random() < 0.3:
        tree["n"] = {"m": _leaf(random)}
    return tree


def _dumped(body: Mapping[str, Any], defaults: list[Any] | None = None) -> str:
    whole = {**({"defaults": defaults} if defaults else {}), **body}
    return yaml.safe_dump(whole, sort_keys=False) if whole else ""
