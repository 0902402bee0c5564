"""Planning with the manifest and planning with the components themselves agree, and where they do not, `fit` wins."""

from __future__ import annotations

import copy
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from hydrantic.checking import _composed_for_real, check, prepare
from hydrantic.errors import BlueprintError
from hydrantic.manifest import current, fresh
from hydrantic.plan import Plan
from hydrantic.planning import make_plan
from hydrantic.project import Project, close_shelf
from tests.projects import DIGITS, project, write

pytestmark = pytest.mark.usefixtures("scratch")

ROOT: Final = Path(__file__).parent.parent
CHANGING: Final = """
    from pathlib import Path
    from torch import nn
    from hydrantic import register_model

    if Path(__file__).with_name("wide").exists():
        register_model("w" + "ide")(nn.Linear)
    """
"""A shelf that becomes another one by a file that is only looked for, not read."""


@pytest.fixture
def misinformed(tmp_path: Path) -> Project:
    """A project of which the manifest says what is so no more."""
    home = project(tmp_path, models=CHANGING)
    current(home)
    (tmp_path / "registry" / "wide").touch()
    return home


def test_a_name_that_the_manifest_lacks_does_not_keep_a_run_from_starting(misinformed: Project, tmp_path: Path) -> None:
    assert fresh(misinformed) is not None
    file = write(tmp_path / "a.yaml", DIGITS)
    assert prepare(file, ["model=wide"], project=misinformed).model.name == "wide"
    written = write(tmp_path / "b.yaml", DIGITS.replace("mlp", "wide"))
    assert prepare(written, project=misinformed).model.name == "wide"


def test_a_name_that_is_made_at_run_time_is_found_without_a_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hydrantic.checking.fresh", lambda _: None)
    home = project(
        tmp_path, models="from torch import nn\nimport hydrantic\nhydrantic.register_model('a' + 'b')(nn.Linear)"
    )
    assert prepare(write(tmp_path / "a.yaml", DIGITS), ["model=ab"], project=home).model.name == "ab"


def test_a_field_that_the_manifest_lacks_does_not_keep_a_run_from_starting(tmp_path: Path) -> None:
    shelf = """
        from pathlib import Path
        from torch import nn
        from hydrantic import register_model

        if Path(__file__).with_name("wide").exists():
            @register_model("changing")
            class Changing(nn.Linear):
                def __init__(self, in_features: int, out_features: int, wide: int = 1) -> None: ...
        else:
            @register_model("changing")
            class Changing(nn.Linear):
                def __init__(self, in_features: int, out_features: int, narrow: int = 1) -> None: ...
        """
    home = project(tmp_path, models=shelf)
    current(home)
    (tmp_path / "registry" / "wide").touch()
    file = write(tmp_path / "a.yaml", DIGITS.replace("mlp", "{name: changing, wide: 2}"))
    assert prepare(file, project=home).model.hparams["wide"] == 2


def test_a_validator_may_raise_anything(tmp_path: Path) -> None:
    shelf = """
        from pydantic import field_validator
        from torch import nn
        from hydrantic import Hparams, register_model

        class WideHparams(Hparams):
            width: int = 8

            @field_validator("width", mode="before")
            @classmethod
            def _whole(cls, width: object) -> int:
                return int(width)

        @register_model("wide")
        class Wide(nn.Module):
            def __init__(self, hparams: WideHparams) -> None:
                super().__init__()
        """
    home = project(tmp_path, models=shelf)
    file = write(tmp_path / "a.yaml", DIGITS.replace("mlp", "{name: wide, width: [1]}"))
    with pytest.raises(BlueprintError, match=r"model: wide cannot judge its fields: TypeError: int\(\) argument"):
        check(file, project=home)


VALUES: Final[tuple[Any, ...]] = (
    0, 1, -1, 2, 0.5, 1.0, -0.5, 1e300, float("inf"), True, False, None, "", "a", "auto", "relu", "1", "???", "mean",
    "${trainer.max_epochs}", "${model.hidden_dims}", "${nope}", "${optimizer.lr}", "validation/loss", [], [1], ["a"],
    [0.8, 0.1, 0.1], {}, {"a": 1}, {"name": "relu"}, {"name": "nope"}, {"name": "gelu", "approximate": "tanh"},
    {"module_name": "torch.nn.ReLU", "kwargs": {}}, ["relu", "gelu"], "../x", "missing.csv", {1: 2}, "adamw",
)  # fmt: skip
CHOICES: Final = (
    "model=cnn", "model=linear", "optimizer=sgd", "scheduler=cosine", "loss=mse", "metrics=f1", "data=iris",
    "model.dropout=2", "optimizer.lr=-1", "trainer.max_epochs=x", "~loss", "+vars.x=1", "model={name: mlp}", "seed=1",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_a_blueprint_is_judged_alike_with_and_without_its_components(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    shutil.copytree(ROOT / "tests" / "goldens", tmp_path, dirs_exist_ok=True)
    shutil.copytree(ROOT / "blueprints", tmp_path, dirs_exist_ok=True)
    sources = [each for file in sorted(tmp_path.glob("*.yaml")) if (each := _read(file)) is not None]
    file, home = tmp_path / "case.yaml", Project(tmp_path)
    for _ in range(20):
        tree = copy.deepcopy(dice.choice(sources))
        for _ in range(dice.choice((1, 1, 2, 3))):
            _mutate(tree, dice)
        file.write_text(yaml.safe_dump(tree, sort_keys=False), "utf-8")
        overrides = dice.sample(CHOICES, dice.choice((0, 0, 1, 2)))
        listed = _outcome(lambda: check(file, overrides, project=home))  # noqa: B023 -- called at once
        real = _outcome(lambda: _planned_for_real(file, overrides, home))  # noqa: B023 -- as above
        assert listed == real, file.read_text("utf-8")


def _read(file: Path) -> dict[str, Any] | None:
    try:
        found = yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError, TypeError):
        return None
    return found if isinstance(found, dict) and "data" in found else None


def _mutate(tree: dict[Any, Any], dice: random.Random) -> None:
    """Change, rename or remove one value somewhere in a blueprint."""
    key = dice.choice(list(tree) or ["x"])
    below = tree.get(key)
    if isinstance(below, dict) and below and dice.random() < 0.75:
        _mutate(below, dice)
    elif dice.random() < 0.15:
        tree.pop(key, None)
    elif dice.random() < 0.15:
        tree[f"{key}x"] = tree.pop(key, None)
    else:
        tree[key] = dice.choice(VALUES)


def _outcome(plan: Callable[[], Plan]) -> Any:
    close_shelf()
    try:
        return repr(plan().resolved())
    except BlueprintError as error:
        return sorted((each.code, str(each.source), str(each.path)) for each in error.problems)


def _planned_for_real(file: Path, overrides: list[str], home: Project) -> Plan:
    home.open()
    document, problems = _composed_for_real(file, overrides, home)
    return make_plan(document, home, problems)
