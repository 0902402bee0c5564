"""Packing a blueprint for somebody else, and what is told at theirs."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
import yaml

import hydrantic
from hydrantic import manifest
from hydrantic.checking import check
from hydrantic.cli.main import main
from hydrantic.errors import BlueprintError, UsageError
from hydrantic.fitting import fit
from hydrantic.packing import pack
from hydrantic.project import close_shelf
from tests.projects import DIGITS, project, write
from tests.test_identity import MINE

pytestmark = pytest.mark.usefixtures("scratch")

OWN = DIGITS.replace("model: mlp", "model: {name: mine, width: 4}")
TORCH = torch.__version__.partition("+")[0]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The sender's folder, in which they stand."""
    # Shelves are described in this process, as where no further one may be started: many are made here.
    monkeypatch.setattr(manifest, "_described_apart", lambda *_: None)
    folder = tmp_path / "sender"
    write(folder / "a.yaml", DIGITS)
    monkeypatch.chdir(folder)
    yield folder
    close_shelf()


@pytest.fixture
def own(here: Path) -> Path:
    """A blueprint of a component of the sender's own."""
    project(here, mine=MINE)
    return write(here / "own.yaml", OWN)


@pytest.fixture
def there(tmp_path: Path, here: Path) -> Path:
    """The receiver's folder."""
    folder = tmp_path / "receiver"
    folder.mkdir()
    return folder


def _stand(folder: Path, patch: pytest.MonkeyPatch) -> None:
    close_shelf()
    patch.chdir(folder)


def _said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(list(words))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def _sha(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()


def _changed(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


# -- at the sender's --------------------------------------------------------------------------------------------------


def test_one_file_holds_the_complete_blueprint_and_what_it_comes_from(here: Path) -> None:
    parcel = pack("a.yaml", ["optimizer.lr=0.5"], output="x.yaml")
    written = yaml.safe_load((here / "x.yaml").read_text("utf-8"))
    assert written == parcel.blueprint
    assert written["optimizer"]["lr"] == 0.5
    assert written["model"]["hidden_dims"] == [128, 128]
    assert written["requires"] == [f"hydrantic~={hydrantic.__version__}", f"torch~={TORCH}"]
    mlp = written["packed"]["components"]["model/mlp"]
    assert (mlp["distribution"], mlp["version"]) == ("hydrantic", hydrantic.__version__)
    assert len(mlp["source_hash"]) == 64
    assert mlp["fields"]["dropout"] == "number, at least 0, less than 1; default 0.0"
    assert "layer/relu" in written["packed"]["components"]
    assert written["packed"]["versions"]["torch"] == torch.__version__
    assert "run" not in written["packed"]
    assert parcel.notes == ()


def test_it_is_checked_and_fitted_like_any_other_and_the_section_leaves_no_trace_in_the_run(here: Path) -> None:
    pack("a.yaml", output="x.yaml")
    assert check("x.yaml").resolved() | {"requires": []} == check("a.yaml").resolved()
    run = fit("x.yaml")
    assert run.metrics == fit("a.yaml").metrics
    assert "packed" not in (run.path / "blueprint.yaml").read_text("utf-8")


def test_nothing_of_a_record_is_taken_for_an_interpolation(here: Path) -> None:
    run = fit("a.yaml")
    file = run.path / "run.json"
    record, text = json.loads(file.read_text("utf-8")), "${oc.env:NO_SUCH_VARIABLE}"
    said = {"versions": record["versions"] | {"torch": text}, "data": text, "metrics": {text: text}}
    file.write_text(json.dumps(record | said), "utf-8")
    packed = pack(run.path, output="x.yaml").blueprint["packed"]
    told = "$ {oc.env:NO_SUCH_VARIABLE}"
    assert (packed["data"], packed["run"]["metrics"]) == (told, {told: told})
    assert "torch" not in packed["versions"]
    check("x.yaml")


def test_packing_what_was_packed_says_how_it_is_now(here: Path) -> None:
    first = pack("a.yaml", output="x.yaml").blueprint
    second = pack("x.yaml").blueprint
    assert {**second["packed"], "when": ""} == {**first["packed"], "when": ""}
    assert second["requires"] == first["requires"]


def test_a_run_brings_its_results_and_what_its_components_were(here: Path, own: Path) -> None:
    run = fit("own.yaml")
    close_shelf()
    _changed(here / "registry" / "mine.py", "nn.Flatten()", "nn.Flatten(1)")
    packed = pack(run.path).blueprint["packed"]
    assert packed["run"]["id"] == run.path.name
    assert packed["run"]["metrics"] == pytest.approx(dict(run.metrics))
    record = json.loads((run.path / "run.json").read_text("utf-8"))
    assert packed["data"] == record["data"]
    assert packed["components"]["model/mine"]["source_hash"] == record["components"]["model/mine"]


def test_a_run_with_other_values_is_no_longer_that_run(here: Path) -> None:
    run = fit("a.yaml")
    packed = pack(run.path, ["optimizer.lr=0.5"]).blueprint
    assert packed["optimizer"]["lr"] == 0.5
    assert not {"run", "data"} & packed["packed"].keys()


def test_of_a_run_what_was_trained_is_packed_whatever_its_file_says_by_now(here: Path) -> None:
    run = fit("a.yaml")
    _changed(run.path / "blueprint.yaml", "dropout: 0.0", "dropout: 0.5")
    assert pack(run.path).blueprint["model"]["dropout"] == 0.0
    for file in (run.path / "checkpoints").iterdir():
        file.unlink()
    assert pack(run.path).blueprint["model"]["dropout"] == 0.5


def test_a_checkpoint_alone_can_be_packed(here: Path) -> None:
    run = fit("a.yaml")
    assert run.checkpoint is not None
    alone = run.checkpoint.rename(here / "alone.ckpt")
    assert pack(alone).blueprint["model"] == pack(run.path).blueprint["model"]


def test_components_of_ones_own_are_named_for_the_sender_and_the_receiver(here: Path, own: Path) -> None:
    parcel = pack("own.yaml")
    assert parcel.notes == ("model/mine comes from registry/mine.py, which is yours alone: send that file along",)
    assert "# model/mine is the sender's own: it needs registry/mine.py in the folder registry/." in parcel.text
    assert parcel.blueprint["packed"]["components"]["model/mine"]["file"] == "registry/mine.py"


def test_what_a_component_of_ones_own_imports_goes_with_it(
    here: Path, there: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project(here, mine="from .parts import sizes\n" + dedent(MINE), other="")
    write(here / "registry" / "parts" / "__init__.py", "")
    sizes = write(here / "registry" / "parts" / "sizes.py", "WIDTH = 4\n")
    write(here / "own.yaml", OWN)
    parcel = pack("own.yaml", output=there / "x.yaml")
    files = "registry/mine.py and registry/parts/__init__.py and registry/parts/sizes.py"
    assert parcel.notes == (f"model/mine comes from {files}, which are yours alone: send those files along",)
    _stand(there, monkeypatch)
    assert (
        f"ask for registry/mine.py (sha256 {_sha(here / 'registry' / 'mine.py')[:12]}...) and registry/parts/"
        in (_said(capsys, "check", "x.yaml")[2])
    )
    shutil.copytree(here / "registry", there / "registry")
    close_shelf()
    assert _said(capsys, "check", "x.yaml") == (0, "x.yaml: no problems\n", "")
    close_shelf()
    write(there / "registry" / "parts" / "sizes.py", "WIDTH = 5\n")
    code, out, _ = _said(capsys, "check", "x.yaml")
    assert code == 0
    assert "registry/parts/sizes.py, which model/mine imports, differs here; ask the sender for it" in out
    assert _sha(sizes)[:12] in out


def test_no_file_outside_of_the_receivers_shelf_is_looked_at(sent: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outside = write(sent.parent / "secret.txt", "42")
    imports = f"      imports: {{../secret.txt: {_sha(outside)}, registry/../secret.txt: {_sha(outside)}}}\n"
    _changed(sent, "      file: registry/mine.py\n", f"      file: registry/mine.py\n{imports}")
    _, out, _ = _said(capsys, "check", "x.yaml")
    assert out.count("secret.txt, which model/mine imports, is not here") == 2


@pytest.mark.parametrize("name", ["registry/\\0.py", f"registry/{'x' * 300}.py", "registry/loop.py", "registry"])
def test_what_cannot_be_a_file_of_the_receivers_is_not_here(
    sent: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(sent.parent / "registry" / "__init__.py", "")
    (sent.parent / "registry" / "loop.py").symlink_to("loop.py")
    _changed(
        sent, "      file: registry/mine.py\n", f'      file: registry/mine.py\n      imports: {{"{name}": "0"}}\n'
    )
    _, out, err = _said(capsys, "check", "x.yaml")
    assert "which model/mine imports, is not here" in out + err


def test_of_the_runs_of_a_folder_the_latest_is_packed_and_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit("a.yaml")
    code, out, err = _said(capsys, "pack", "runs/a", "-o", "x.yaml")
    assert (code, out) == (0, "packed: x.yaml\n")
    assert err == f"the latest run in runs/a: runs/a/{run.path.name}\n"


def test_a_job_of_a_sweep_is_named_with_its_sweep(here: Path) -> None:
    fit("a.yaml", directory=here / "runs" / "a" / "sweep-1" / "7")
    assert pack("runs/a/sweep-1/7").blueprint["packed"]["run"]["id"] == "sweep-1/7"


def test_a_command_to_copy_holds_no_other_command(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "x.yaml", DIGITS + """requires: ["acme; os_name != '$(touch x)'"]\n""")
    code, _, err = _said(capsys, "check", "x.yaml")
    assert code == 2
    command = re.search("pip install (.*)", err)
    assert command is not None
    assert shlex.split(command[1]) == ["acme; os_name != '$(touch x)'"]


def test_a_key_that_breaks_the_line_is_shown_on_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "x.yaml", DIGITS + """packed: {format: 1, versions: {"a\\nx.yaml: no problems": "1"}}\n""")
    assert "packed.versions.a\\nx.yaml: no problems: " in _said(capsys, "check", "x.yaml")[2]


def test_what_an_optional_component_needs_is_asked_for_as_an_extra(here: Path) -> None:
    sweep = "sweep: {name: optuna, params: {optimizer.lr: 'interval(1e-4, 1e-1)'}}\n"
    write(here / "b.yaml", f"{DIGITS.replace('loggers: {}', 'loggers: {tensorboard: }')}{sweep}")
    required = pack("b.yaml").blueprint["requires"]
    assert required[0] == f"hydrantic[optuna,tensorboard]~={hydrantic.__version__}"
    assert pack("b.yaml").blueprint["sweep"]["name"] == "optuna"


def test_what_the_blueprint_required_stays_unless_it_is_said_more_exactly(here: Path) -> None:
    write(here / "b.yaml", f"{DIGITS}requires: ['Hydrantic[plot]>=0.1', pyyaml>=5]\n")
    assert pack("b.yaml").blueprint["requires"] == [
        f"hydrantic[plot]~={hydrantic.__version__}", f"torch~={TORCH}", "pyyaml>=5",
    ]  # fmt: skip


CSV = "model: linear\nloss: cross_entropy\nloggers: {}\ntrainer: {max_epochs: 1}\n"
ROWS = "a,b,y\n" + "".join(f"{i},{i % 7},{'yes' if i % 2 else 'no'}\n" for i in range(60))


def test_a_path_below_the_file_is_written_relative_to_it(
    here: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here / "data" / "t.csv", ROWS)
    write(here / "b.yaml", f"data: {{name: csv, path: data/t.csv, target: y}}\n{CSV}")
    parcel = pack("b.yaml", output="x.yaml")
    assert parcel.blueprint["data"]["path"] == "data/t.csv"
    assert parcel.notes == ()
    before = fit("b.yaml").metrics
    (there / "data").mkdir()
    for name in ("x.yaml", "data/t.csv"):
        os.link(here / name, there / name)
    _stand(there, monkeypatch)
    assert fit("x.yaml").metrics == before


def test_a_path_that_lies_elsewhere_is_marked_in_the_file_and_told(here: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", ROWS)
    write(here / "b.yaml", f"data: {{name: csv, path: ../t.csv, target: y}}\n{CSV}")
    parcel = pack("b.yaml")
    assert f"path: {file}  # set this to where t.csv lies on your machine" in parcel.text
    assert parcel.notes == (f"data.path is {file}, which does not lie below the packed file: it has to be set there",)


def test_a_reference_to_the_environment_stays_one(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(here)
    write(here / "pyproject.toml", '[tool.hydrantic]\nenv = ["PLACE"]\n')
    monkeypatch.setenv("PLACE", str(write(here / "secret-place.csv", ROWS)))
    write(here / "b.yaml", f"data: {{name: csv, path: '${{oc.env:PLACE}}', target: y}}\n{CSV}")
    parcel = pack("b.yaml")
    assert parcel.blueprint["data"]["path"] == "${oc.env:PLACE}"
    assert "secret-place" not in parcel.text + "".join(parcel.notes)


def test_a_file_that_is_there_is_kept_unless_it_is_to_be_replaced(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(here / "x.yaml", "mine\n")
    assert _said(capsys, "pack", "a.yaml", "-o", "x.yaml")[::2] == (
        2, "x.yaml is there already; choose another name, or let it be replaced: --force\n",
    )  # fmt: skip
    assert (here / "x.yaml").read_text("utf-8") == "mine\n"
    assert _said(capsys, "pack", "a.yaml", "-o", "x.yaml", "--force") == (0, "packed: x.yaml\n", "")
    assert "packed:" in (here / "x.yaml").read_text("utf-8")


def test_without_a_file_it_is_printed_and_notes_go_elsewhere(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _said(capsys, "pack", "own.yaml", "model.width=3")
    assert code == 0
    assert yaml.safe_load(out)["model"]["width"] == 3
    assert err.startswith("note: model/mine comes from registry/mine.py")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere"], "there is no such file"),
        (["."], "is not the directory of a run"),
        (["nowhere.yaml"], "there is no such file"),
        (["a.yaml", "model.widht=3"], "mlp has no field 'widht'"),
        ([], "which blueprint?"),
        (["a.yaml", "-o", "no/such/x.yaml"], "cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_packed_is_refused(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = _said(capsys, "pack", *words)
    assert code == 2
    assert told in err


def test_a_run_of_which_nothing_is_left_is_refused(here: Path) -> None:
    write(here / "runs" / "a" / "1" / "run.json", '{"status": "finished"}')
    with pytest.raises(UsageError, match="nothing to pack"):
        pack("runs/a/1")


# -- at the receiver's ------------------------------------------------------------------------------------------------


@pytest.fixture
def sent(own: Path, there: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file `x.yaml` at the receiver's, who stands there and has the sender's component as well."""
    pack(own, output=there / "x.yaml")
    project(there, mine=MINE)
    _stand(there, monkeypatch)
    return there / "x.yaml"


def test_where_nothing_differs_nothing_is_told(sent: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _said(capsys, "check", "x.yaml") == (0, "x.yaml: no problems\n", "")


def test_a_missing_component_of_the_sender_is_asked_for_by_file(sent: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sent.parent / "registry" / "mine.py").unlink()
    code, _, err = _said(capsys, "check", "x.yaml")
    assert code == 2
    assert "x.yaml:" in err
    assert "no model is called 'mine'" in err
    assert "it is the sender's own: ask for registry/mine.py (sha256 " in err
    assert "put that into the registry/ of your project" in err


def test_a_missing_component_of_a_distribution_says_how_to_get_it(
    sent: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _changed(sent, "name: mine", "name: theirs")
    _changed(
        sent,
        "    model/mine:\n      file: registry/mine.py\n",
        "    model/theirs:\n      distribution: acme\n      version: 1.2\n",
    )
    _changed(sent, "requires: [", "requires: [acme~=1.2, ")
    _changed(sent, "      version: 1.2\n", "      version: '1.2'\n")
    code, _, err = _said(capsys, "check", "x.yaml")
    assert code == 2
    assert "'acme~=1.2' is not met: it is not installed; pip install 'acme~=1.2'" in err
    assert "no model is called 'theirs'" in err
    assert "it came from acme 1.2: pip install 'acme==1.2'" in err


def test_other_fields_and_another_source_are_notes_that_stop_nothing(
    sent: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _changed(sent.parent / "registry" / "mine.py", "depth: float = 1.0", "depth: float = 2.0, wide: bool = False")
    code, out, err = _said(capsys, "check", "x.yaml")
    assert (code, err) == (0, "")
    assert out.startswith("x.yaml: no problems, 2 notes\n")
    assert "the field 'wide' is new (true or false; default false)" in out
    assert "'depth' was [number; default 1.0], and is [number; default 2.0] here" in out
    assert "model/mine, here " in out
    assert "ask the sender for registry/mine.py" in out
    records = json.loads(_said(capsys, "check", "x.yaml", "--json")[1])
    assert sorted((each["code"], each["severity"], each["file"]) for each in records) == [
        ("packed-fields", "note", "x.yaml"), ("packed-source", "note", "x.yaml"),
    ]  # fmt: skip


def test_a_field_that_is_gone_is_a_problem_and_the_notes_tell_why(
    sent: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _changed(sent.parent / "registry" / "mine.py", ", depth: float = 1.0", "")
    code, _, err = _said(capsys, "check", "x.yaml")
    assert code == 2
    assert "mine has no field 'depth'" in err
    assert "what differs from where it was packed:" in err
    assert "no field 'depth' here" in err


def test_another_version_is_a_note(sent: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _changed(sent, f"torch: {torch.__version__}", "torch: 2.13.99")
    _changed(sent, "python: ", "python: 1.")
    code, out, _ = _said(capsys, "check", "x.yaml")
    assert code == 0
    assert f"it was packed with torch 2.13.99, and {torch.__version__} is installed here" in out
    assert "pip install 'torch==2.13.99' gives the same" in out
    assert "it was packed with python 1." in out


def test_a_component_of_other_origin_is_a_note(sent: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _changed(sent, "      file: registry/mine.py\n", "      distribution: acme\n      version: '1.2'\n")
    _, out, _ = _said(capsys, "check", "x.yaml")
    assert "model/mine was from acme 1.2, and is your project's own, registry/mine.py" in out


def test_what_an_override_leaves_out_is_not_compared(sent: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _changed(sent.parent / "registry" / "mine.py", "depth: float = 1.0", "depth: float = 2.0")
    assert _said(capsys, "check", "x.yaml", "model=linear")[1] == "x.yaml: no problems\n"


def test_other_data_shows_where_it_is_read(
    here: Path, there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pack(fit("a.yaml").path, output=there / "x.yaml")
    _stand(there, monkeypatch)
    assert _said(capsys, "check", "x.yaml", "--deep")[1].startswith("x.yaml: no problems\n")
    data = yaml.safe_load((there / "x.yaml").read_text("utf-8"))["packed"]["data"]
    _changed(there / "x.yaml", f"  data: {data}", "  data: another")
    assert "the data is not that of the sender" in _said(capsys, "check", "x.yaml", "--deep")[1]
    assert _said(capsys, "check", "x.yaml")[1] == "x.yaml: no problems\n"


MALFORMED: list[Any] = [
    3, [], "text", {}, {"format": 2}, {"format": True}, {"format": 1, "components": 3},
    {"format": 1, "components": {"model/mlp": None}}, {"format": 1, "components": {"model/mlp": {"fields": {"a": 1}}}},
    {"format": 1, "components": {"x": {"distribution": "a'; b"}}},
    {"format": 1, "components": {"x": {"version": "a b"}}},
    {"format": 1, "versions": {"torch": [1]}}, {"format": 1, "versions": {"a b": "1"}}, {"format": 1, "nothing": 1},
    {"format": 1, "run": {}}, {"format": 1, "when": "x" * 501},
]  # fmt: skip


@pytest.mark.parametrize("section", MALFORMED, ids=str)
def test_a_section_that_was_edited_wrongly_is_a_problem_with_its_place(
    here: Path, section: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write(here / "b.yaml", DIGITS + yaml.safe_dump({"packed": section}))
    code, _, err = _said(capsys, "check", "b.yaml")
    assert code == 2
    assert re.search(r"^b\.yaml:\d+:\d+: packed", err, re.MULTILINE)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "section",
    [
        None,
        {"format": 1},
        {"format": 1, "components": {"x": {}, "model/": {}, "nothing/at/all": {}, "model/${x}": {}}},
        {"format": 1, "components": {"model/mlp": {"fields": {"a": "?"}, "schema_hash": "x", "source_hash": "y"}}},
        {"format": 1, "versions": {"torch": "not-a-version", "no-such": "1"}},
    ],
    ids=str,
)
def test_a_section_that_says_odd_things_stops_nothing(here: Path, section: Any) -> None:
    write(here / "b.yaml", DIGITS + yaml.safe_dump({"packed": section}))
    assert main(["check", "b.yaml"]) == 0


def test_nothing_that_the_section_names_is_imported(here: Path) -> None:
    write(here / "registry" / "trap.py", 'raise SystemExit("imported")\n# register_model("trap")\n')
    section = {"format": 1, "components": {"model/trap": {"file": "registry/trap.py"}, "model/os.system": {}}}
    write(here / "b.yaml", DIGITS + yaml.safe_dump({"packed": section}))
    assert main(["check", "b.yaml"]) == 0
    with pytest.raises(BlueprintError):
        pack("b.yaml", ["model=trap"])
