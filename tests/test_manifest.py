"""The manifest: what is known of components without importing them, and when that is renewed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hydrantic import manifest
from hydrantic.checking import check, prepare
from hydrantic.components import hparams_of
from hydrantic.digests import digest
from hydrantic.errors import BlueprintError, UsageError
from hydrantic.manifest import Manifest, cache_folder, current, fresh
from hydrantic.project import Project
from hydrantic.registries import forget_installed, reading, registry
from hydrantic.traits import traits_of
from tests.projects import project, write

pytestmark = pytest.mark.usefixtures("scratch")

ROOT = Path(__file__).parent.parent
WIDE = """
    from torch import nn
    from hydrantic import register_model

    @register_model("wide", aliases=["broad"])
    class Wide(nn.Module):
        \"\"\"A wide one.

        Arguments:
            width: how wide.
        \"\"\"

        def __init__(self, in_features: int, out_features: int, width: int = 8) -> None:
            super().__init__()
    """
BLUEPRINT = "data: digits\nmodel: {name: wide, width: 9}\nloss: cross_entropy\n"


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that holds the installed part and nothing else."""
    current(Project(None))
    (kept,) = (file for file in cache_folder().glob("installed-*.json") if file.stem in _keys_now())
    monkeypatch.setenv("HYDRANTIC_CACHE", str(tmp_path / "cache"))
    write(tmp_path / "cache" / kept.name, "").write_bytes(kept.read_bytes())
    return tmp_path / "cache"


def _keys_now() -> list[str]:
    return [key for _, key in manifest._keys(Project(None))]


@pytest.fixture
def never_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever has to be described anew fails the test."""

    def fail(*_: object) -> None:
        pytest.fail("a part of the manifest was made anew")

    monkeypatch.setattr(manifest, "_renewed", fail)


def names_and_fields(found: Manifest, kind: str = "model") -> dict[str, list[str]]:
    return {each.name: list(each.fields) for each in found.all(kind) if each.shelf == "project"}


def test_without_a_project_the_manifest_has_every_installed_component() -> None:
    found = current(Project(None))
    for kind in ("model", "optimizer", "layer", "logger"):
        assert found.names(kind) == registry(kind).names()
        assert found.lookups(kind) == registry(kind).lookups()


def test_it_tells_of_a_component_what_the_component_itself_tells() -> None:
    found = current(Project(None)).named("optimizer", "torch.optim.AdamW")
    assert found is not None
    real = registry("optimizer").get("adamw")
    assert (found.name, found.shelf, found.summary) == ("adamw", "hydrantic", real.summary)
    assert found.source == real.source
    assert list(found.hparams.model_fields) == list(hparams_of(real).model_fields)
    assert found.traits == traits_of(real)


def test_traits_are_kept() -> None:
    found = current(Project(None))
    assert found.named("data", "digits").traits.task == "multiclass"  # type: ignore[union-attr]  # it is there
    assert found.named("loss", "mse").traits.tasks == ("regression",)  # type: ignore[union-attr]  # it is there


def test_a_projects_components_are_found_by_name_and_alias(tmp_path: Path) -> None:
    found = current(project(tmp_path, models=WIDE))
    assert names_and_fields(found) == {"wide": ["in_features", "out_features", "width"]}
    assert found.named("model", "broad") is found.named("model", "wide")
    wide = found.named("model", "wide")
    assert wide is not None
    assert wide.fields["width"] == {"type": "int", "default": 8, "meaning": "how wide."}
    assert wide.source.file == tmp_path / "registry" / "models.py"


@pytest.mark.usefixtures("own_cache", "never_made")
def test_what_was_kept_is_used_again(tmp_path: Path) -> None:
    assert fresh(Project(None)) is not None
    assert fresh(project(tmp_path, models=WIDE)) is None


def test_a_shelf_that_changes_is_described_anew(tmp_path: Path) -> None:
    home = project(tmp_path, models=WIDE)
    current(home)
    assert fresh(home) is not None
    write(tmp_path / "registry" / "models.py", WIDE.replace("width: int", "depth: int"))
    assert fresh(home) is None
    assert names_and_fields(current(home)) == {"wide": ["in_features", "out_features", "depth"]}
    write(tmp_path / "registry" / "more.py", WIDE.replace("wide", "wider").replace("broad", "broader"))
    assert list(names_and_fields(current(home))) == ["wide", "wider"]
    (tmp_path / "registry" / "models.py").unlink()
    assert list(names_and_fields(current(home))) == ["wider"]


def test_a_file_that_a_shelf_imports_from_elsewhere_in_the_project_counts_too(tmp_path: Path) -> None:
    write(tmp_path / "settings.py", "WIDTH = 8\n")
    shelf = WIDE.replace("from torch", "from settings import WIDTH\n    from torch").replace("= 8", "= WIDTH")
    home = project(tmp_path, models=shelf)
    assert current(home).named("model", "wide").fields["width"]["default"] == 8  # type: ignore[union-attr]  # there
    write(tmp_path / "settings.py", "WIDTH = 32\n")
    assert fresh(home) is None
    assert current(home).named("model", "wide").fields["width"]["default"] == 32  # type: ignore[union-attr]  # there


def test_another_installed_version_makes_everything_out_of_date(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own_cache.is_dir()
    assert fresh(Project(None)) is not None
    (tmp_path / "site" / "torchthings-1.0.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert fresh(Project(None)) is None


@pytest.mark.usefixtures("own_cache")
def test_a_shelf_that_is_found_only_by_a_path_of_this_process_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "site" / "shelf_of_others-1.0.dist-info"
    write(info / "METADATA", "Metadata-Version: 2.1\nName: shelf-of-others\nVersion: 1.0\n")
    write(info / "entry_points.txt", "[hydrantic_models]\nothers = shelf_of_others:Wide\n")
    write(tmp_path / "site" / "shelf_of_others.py", WIDE.replace('"wide", aliases=["broad"]', '"others"'))
    monkeypatch.syspath_prepend(tmp_path / "site")
    forget_installed()
    others = current(Project(None)).named("model", "others")
    assert others is not None
    assert (others.shelf, others.broken) == ("shelf-of-others", "")


@pytest.mark.parametrize("damage", [lambda _: b"", lambda kept: kept[:-10], lambda kept: kept.replace(b"mlp", b"mpl")])
def test_a_damaged_cache_is_not_believed(own_cache: Path, damage: Callable[[bytes], bytes]) -> None:
    (kept,) = own_cache.iterdir()
    kept.write_bytes(damage(kept.read_bytes()))
    assert fresh(Project(None)) is None


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_described_apart", lambda *_: {"components": [], "dependencies": {}, "trainer": {}})
    monkeypatch.setenv("HYDRANTIC_CACHE", str(write(tmp_path / "file", "") / "cache"))
    assert current(Project(None)).names("model") == ()
    assert fresh(Project(None)) is None


def test_where_no_process_can_be_started_the_shelf_is_described_in_this_one(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own_cache.is_dir()
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    assert list(names_and_fields(current(project(tmp_path, models=WIDE)))) == ["wide"]


def test_several_that_need_it_at_once_each_get_it(own_cache: Path, tmp_path: Path) -> None:
    home = project(tmp_path, models=WIDE)
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from hydrantic.manifest import current; from hydrantic.project import Project\n"
        f"from pathlib import Path; print([e.name for e in current(Project(Path({str(home.root)!r}))).all('model')])"
    )
    with ThreadPoolExecutor(3) as threads:
        texts = list(threads.map(lambda _: subprocess.check_output([sys.executable, "-c", code], text=True), range(3)))
    assert len(set(texts)) == 1
    assert "'wide'" in texts[0]
    assert len(list(own_cache.glob("project-*.json"))) == 1
    assert list(own_cache.glob(".*")) == []


def test_old_parts_go(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "KEPT", 3)
    for number in range(5):
        manifest._keep(f"project-{number}", {"components": [], "dependencies": {}})
        os.utime(own_cache / f"project-{number}.json", (number + 1e9, number + 1e9))
    assert len(list(own_cache.iterdir())) == 3
    assert (own_cache / "project-4.json").is_file()


def test_what_a_module_prints_or_wants_to_read_disturbs_nobody(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    noisy = "print('hello')\n    import os; os.write(1, b'raw')\n    import sys; assert sys.stdin.read() == ''\n"
    found = current(project(tmp_path, models=WIDE.replace("from torch", f"{noisy}\n    from torch")))
    assert list(names_and_fields(found)) == ["wide"]
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def f(:", "SyntaxError"),
    ],
)
def test_a_broken_module_is_named_and_breaks_no_other(tmp_path: Path, broken: str, reason: str) -> None:
    lost = f"{broken}\nfrom hydrantic import register_model\nregister_model('lost')(int)\n"
    found = current(project(tmp_path, models=WIDE, lost=lost))
    assert "wide" in found.names("model")
    if reason != "SyntaxError":
        assert reason in found.named("model", "lost").broken  # type: ignore[union-attr]  # it is listed
    with pytest.raises(BlueprintError, match=reason):
        check(
            write(tmp_path / "a.yaml", BLUEPRINT.replace("{name: wide, width: 9}", "lost")), project=Project(tmp_path)
        )


def test_a_process_that_dies_leaves_the_rest_to_this_one(tmp_path: Path, own_cache: Path) -> None:
    assert own_cache.is_dir()
    dies = f"import os, sys\n    if {os.getpid()} != os.getpid(): os._exit(1)\n"
    found = current(project(tmp_path, models=WIDE.replace("from torch", f"{dies}\n    from torch")))
    assert list(names_and_fields(found)) == ["wide"]


def test_a_module_that_never_ends_is_given_up(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_cache.is_dir()
    monkeypatch.setattr(manifest, "PATIENCE", 1)
    ends_never = "import threading\n    threading.Event().wait()\n"
    with pytest.raises(UsageError, match=r"registry cannot be read: importing .* took more than 1 seconds"):
        current(project(tmp_path, models=WIDE.replace("from torch", f"{ends_never}\n    from torch", 1)))


def test_a_process_that_a_module_starts_holds_nobody_up(tmp_path: Path) -> None:
    waited = tmp_path / "waited"
    ends = f"time.sleep(20); open({str(waited)!r}, 'w'); os._exit(0)"
    starts = f"import os, time\n    if os.fork() == 0:\n        {ends}\n"
    found = current(project(tmp_path, models=WIDE.replace("from torch", f"{starts}\n    from torch", 1)))
    assert list(names_and_fields(found)) == ["wide"]
    assert not waited.exists()


@pytest.mark.parametrize(
    "forge",
    [
        lambda part: part.pop("trainer"),
        lambda part: part["components"].append({}),
        lambda part: part["components"][0].update(kind="nothing"),
        lambda part: part["components"][0].update(fields={"a": {"type": {"union": []}}}),
        lambda part: part["sections"].update(model={"type": ["int"]}),
        lambda part: part.update(dependencies=[]),
        lambda part: part.update(variables={"A": 1}),
    ],
)
def test_a_part_of_another_form_is_not_believed(own_cache: Path, forge: Callable[[dict[str, Any]], object]) -> None:
    (kept,) = own_cache.iterdir()
    part = json.loads(kept.read_bytes().partition(b"\n")[2])
    forge(part)
    body = json.dumps(part).encode()
    kept.write_bytes(digest(body).encode() + b"\n" + body)
    assert fresh(Project(None)) is None


def test_a_component_whose_traits_nobody_knows_is_judged_by_its_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    found = current(Project(None))
    mlp = found.named("model", "mlp")
    assert mlp is not None
    assert found.find("model", "mlp") is not None
    monkeypatch.setitem(mlp.judged, "of_another_version", 1)  # type: ignore[arg-type]  # it was made from a dict
    mlp.__dict__.pop("traits", None)
    assert found.find("model", "mlp") is None


def test_what_only_has_the_name_of_a_module_is_passed_over(tmp_path: Path) -> None:
    home = project(tmp_path, models=WIDE)
    os.mkfifo(tmp_path / "registry" / "pipe.py")
    (tmp_path / "registry" / "folder.py").mkdir()
    (tmp_path / "registry" / "nowhere.py").symlink_to("nothing")
    assert list(names_and_fields(current(home))) == ["wide"]


def test_a_zip_on_the_path_that_changes_makes_everything_out_of_date(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own_cache.is_dir()
    monkeypatch.syspath_prepend(tmp_path / "shelf.zip")
    before = _keys_now()
    write(tmp_path / "shelf.zip", "")
    assert _keys_now() != before


def test_names_that_are_made_at_run_time_are_known(tmp_path: Path) -> None:
    shelf = """
        from torch import nn
        from hydrantic import register_model

        for width in (2, 4):
            register_model(f"wide{width}")(type(f"Wide{width}", (nn.Identity,), {}))
        """
    assert list(names_and_fields(current(project(tmp_path, models=shelf)))) == ["wide2", "wide4"]


def test_a_project_may_hide_an_installed_component(tmp_path: Path) -> None:
    shelf = WIDE.replace('"wide", aliases=["broad"]', '"mlp"')
    found = current(project(tmp_path, models=shelf))
    assert [each.shelf for each in found.all("model") if each.name == "mlp"] == ["project"]
    assert found.hidden("model", "mlp").shelf == "hydrantic"  # type: ignore[union-attr]  # it is hidden
    assert found.hidden("model", "cnn") is None
    dotted = found.find("model", "hydrantic.registry.models.mlp.MLP")
    assert dotted is not None
    assert (dotted.shelf, dotted.name) == ("hydrantic", "hydrantic.registry.models.mlp.MLP")


def test_fields_that_only_code_can_judge_are_judged_by_that_code(tmp_path: Path) -> None:
    shelf = """
        from pydantic import field_validator
        from torch import nn
        from hydrantic import Hparams, register_model

        class EvenHparams(Hparams):
            width: int = 8

            @field_validator("width")
            @classmethod
            def _even(cls, width: int) -> int:
                if width % 2:
                    raise ValueError("must be even")
                return width

        @register_model("wide")
        class Wide(nn.Module):
            def __init__(self, hparams: EvenHparams) -> None:
                super().__init__()
        """
    home = project(tmp_path, models=shelf)
    assert current(home).named("model", "wide").told is False  # type: ignore[union-attr]  # it is listed
    with pytest.raises(BlueprintError, match=r"model\.width: must be even"):
        check(write(tmp_path / "a.yaml", BLUEPRINT), project=home)


def test_a_listed_component_says_so_and_is_built_all_the_same() -> None:
    with reading(current(Project(None))):
        entry = registry("layer").get("leaky_relu")
    assert entry.component is None
    assert repr(entry).startswith("<layer 'leaky_relu' from ")
    plan = check(ROOT / "blueprints" / "mlp.yaml", project=Project(ROOT))
    assert plan.model.entry.description is not None
    assert plan.model.with_fields(in_features=4, out_features=2).build() is not None


@pytest.mark.parametrize("file", sorted((ROOT / "blueprints").glob("*.yaml")), ids=lambda file: file.stem)
def test_a_shipped_blueprint_is_planned_alike_with_and_without_its_components(file: Path) -> None:
    home = Project(ROOT)
    listed, real = check(file, project=home), prepare(file, project=home)
    assert listed.resolved() == real.resolved()
    assert listed.style == real.style
    assert listed.objective == real.objective


def test_the_cache_lies_where_the_environment_says_or_in_the_users_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HYDRANTIC_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("HYDRANTIC_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder().is_relative_to(tmp_path)


def test_the_manifest_holds_plain_data_alone() -> None:
    current(Project(None))
    for file in cache_folder().glob("*.json"):
        part: dict[str, Any] = json.loads(file.read_bytes().partition(b"\n")[2])
        assert part.keys() <= {"components", "dependencies", "variables", "trainer", "sections"}
