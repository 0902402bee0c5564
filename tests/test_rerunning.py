"""Repeating a run, and telling where it came to other numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import hydrantic
from hydrantic.cli.main import main
from hydrantic.errors import BlueprintError, Interrupted, RunFailed, UsageError
from hydrantic.fitting import fit, resume
from hydrantic.project import close_shelf
from hydrantic.rerunning import Rerun, rerun
from hydrantic.rundir import RunRecord
from hydrantic.sweeping.sweep import sweep
from tests.projects import project, write
from tests.test_continuation import SHELF

pytestmark = pytest.mark.usefixtures("scratch")

BLUEPRINT = """
    data: {name: digits, split: [200, 50, 50]}
    model: {name: mlp, hidden_dims: [8], dropout: 0.5}
    loss: cross_entropy
    metrics: {accuracy: }
    loggers: {csv: }
    trainer: {max_epochs: 2}
    """

MINE = """
    from torch import nn
    from hydrantic import register_model

    @register_model("mine")
    class Mine(nn.Module):
        def __init__(self, in_features: int, out_features: int, slope: float = 0.1):
            super().__init__()
            self.layers = nn.Sequential(
                nn.Flatten(), nn.Linear(in_features, 8), nn.LeakyReLU(slope), nn.Linear(8, out_features)
            )

        def forward(self, x):
            return self.layers(x)
    """


BREAKS = """
    from torch import nn
    from hydrantic import register_model

    @register_model("breaks")
    class Breaks(nn.Module):
        def __init__(self, in_features: int, out_features: int):
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(in_features, out_features))
            self.calls = 0

        def forward(self, x):
            self.calls += self.training
            if self.calls > AFTER:
                raise ValueError("it broke\\n\\x1b[31m")
            return self.layers(x)
    """


REMEMBERS = """
    import torch
    from torch import nn
    from hydrantic import register_model

    @register_model("remembers")
    class Remembers(nn.Module):
        def __init__(self, in_features: int, out_features: int):
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(in_features, out_features))
            self.seen = {"batches": 0, "firsts": [torch.zeros(2)]}

        def forward(self, x):
            self.seen = {"batches": self.seen["batches"] + STEP, "firsts": [x.flatten()[:2]]}
            return self.layers(x)

        def get_extra_state(self):
            return self.seen

        def set_extra_state(self, state):
            self.seen = state
    """


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project in which a person stands."""
    project(tmp_path, mine=MINE)
    write(tmp_path / "a.yaml", BLUEPRINT)
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(before)


def _told(found: Rerun) -> list[str]:
    return [each.what for each in found.differences]


def _edit(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


def _record(run: Path, **fields: Any) -> None:
    file = run / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | fields), "utf-8")


def test_a_run_with_dropout_is_matched_bit_for_bit_and_both_are_kept(here: Path) -> None:
    run = fit("a.yaml")
    found = hydrantic.rerun(run.path)
    assert found.matched
    assert found.differences == ()
    assert (found.trace.rows, found.weights, found.unfinished) == (3, "", "")
    assert found.run.path != run.path
    assert found.run.metrics == run.metrics
    record = json.loads((found.run.path / "run.json").read_text("utf-8"))
    assert record["rerun_of"] == str(run.path)
    assert str(found).startswith("matched bit for bit: ")


def test_what_a_model_keeps_besides_tensors_is_compared_too(here: Path) -> None:
    write(here / "registry" / "remembers.py", REMEMBERS.replace("STEP", "1"))
    run = fit(write(here / "b.yaml", BLUEPRINT.replace("mlp, hidden_dims: [8], dropout: 0.5", "remembers")))
    assert rerun(run.path).matched
    close_shelf()
    write(here / "registry" / "remembers.py", REMEMBERS.replace("STEP", "2"))
    found = rerun(run.path)
    assert not found.matched
    assert found.weights == "1 of 3 tensors differ, the first network._extra_state"


def test_a_trace_that_cannot_be_read_is_told_before_anything_is_trained(here: Path) -> None:
    run = fit("a.yaml")
    (run.path / "metrics.csv").write_text(f"step,epoch,loss\n1,0,{'1' * 200_000}\n")
    with pytest.raises(UsageError, match=r"metrics\.csv cannot be read: field larger than field limit"):
        rerun(run.path)
    assert len(list(run.path.parent.iterdir())) == 1


def test_it_runs_on_as_many_threads_as_the_run_did(here: Path) -> None:
    torch.set_num_threads(2)
    run = fit("a.yaml")
    torch.set_num_threads(1)
    found = rerun(run.path)
    assert found.matched
    assert "threads" not in _told(found)
    assert json.loads((found.run.path / "run.json").read_text("utf-8"))["threads"] == 2
    assert torch.get_num_threads() == 1


def test_other_loggers_than_the_metrics_file_are_left_out(here: Path) -> None:
    run = fit("a.yaml", ["loggers.csv=null", "+loggers.tensorboard=null"])
    assert (run.path / "tensorboard").is_dir()
    found = rerun(run.path)
    assert found.matched
    assert not (found.run.path / "tensorboard").exists()


def test_a_record_of_another_form_is_told_and_no_obstacle(here: Path) -> None:
    run = fit("a.yaml")
    _record(run.path, threads=10**400, modules={"a": {"b": 1}}, components={"a": [1]}, versions=5)
    found = rerun(run.path)
    assert found.matched
    assert "threads" in [each.what for each in found.differences]


def test_an_edited_blueprint_is_told_and_where_it_leads_away(here: Path) -> None:
    run = fit("a.yaml")
    _edit(run.path / "blueprint.yaml", "seed: 42", "seed: 43")
    found = rerun(run.path)
    assert not found.matched
    assert "seed, edited in blueprint.yaml" in _told(found)
    assert found.trace.departure is not None
    assert found.trace.departure.row == 0
    assert found.weights is not None
    assert "tensors differ" in found.weights
    words = str(found)
    assert "did not match" in words
    assert "seed, edited in blueprint.yaml: it was 42, and is 43 now" in words


def test_a_changed_source_is_told_although_the_numbers_are_the_same(here: Path) -> None:
    run = fit("a.yaml", ["model=mine"])
    close_shelf()
    write(here / "registry" / "mine.py", MINE + "    # nothing\n")
    found = rerun(run.path)
    assert found.matched
    assert [str(each) for each in found.differences] == ["model/mine: its source has changed"]


def test_a_changed_component_parts_the_traces(here: Path) -> None:
    run = fit("a.yaml", ["model=mine"])
    close_shelf()
    write(here / "registry" / "mine.py", MINE.replace("slope: float = 0.1", "slope: float = 0.2, bias: bool = True"))
    _edit(run.path / "blueprint.yaml", "slope: 0.1", "slope: 0.3")
    found = rerun(run.path)
    assert not found.matched
    [changed] = [each for each in found.differences if each.what == "model/mine"]
    assert changed.words == (
        "the field 'bias' is new (true by default); the default of 'slope' was 0.1, and is 0.2 now; "
        "its source has changed"
    )


def test_a_changed_module_that_a_component_imports_is_told(here: Path) -> None:
    write(here / "registry" / "sizes.py", "WIDTH = 8\n")
    mine = MINE.replace("Linear(in_features, 8)", "Linear(in_features, WIDTH)").replace("(8, out", "(WIDTH, out")
    write(here / "registry" / "mine.py", f"    from .sizes import WIDTH\n{mine}")
    run = fit("a.yaml", ["model=mine"])
    close_shelf()
    write(here / "registry" / "sizes.py", "WIDTH = 16\n")
    found = rerun(run.path)
    assert not found.matched
    assert [str(each) for each in found.differences] == ["registry/sizes.py: it has changed"]


def test_a_source_is_compared_where_no_checkpoint_was_kept(here: Path) -> None:
    run = fit("a.yaml", ["model=mine", "checkpoint=null"])
    close_shelf()
    write(here / "registry" / "mine.py", MINE + "    # nothing\n")
    found = rerun(run.path)
    assert found.matched
    assert found.weights is None
    assert [str(each) for each in found.differences] == ["model/mine: its source has changed"]


def test_changed_data_is_told_by_its_fingerprint(here: Path) -> None:
    rows = "".join(f"{i},{i % 7},{'yes' if i % 2 else 'no'}\n" for i in range(60))
    write(here / "t.csv", "a,b,y\n" + rows)
    blueprint = "data: {name: csv, path: t.csv, target: y}\nmodel: linear\nloss: cross_entropy\nloggers: {}\n"
    write(here / "b.yaml", blueprint + "trainer: {max_epochs: 1}\n")
    run = fit("b.yaml")
    _edit(here / "t.csv", "\n7,0,", "\n7,3,")
    found = rerun(run.path)
    assert not found.matched
    assert "data" in _told(found)


def test_what_the_machine_and_the_versions_were_is_compared(here: Path) -> None:
    run = fit("a.yaml")
    git = {"commit": "0" * 40, "dirty": True}
    versions = json.loads((run.path / "run.json").read_text("utf-8"))["versions"]
    _record(run.path, host="elsewhere", git=git, versions=versions | {"torch": "1.0"}, device="cuda:0", processes=2)
    found = rerun(run.path)
    assert found.matched  # what differs may still come to the same
    assert _told(found) == ["torch", "git commit", "host", "device", "processes"]
    assert str(found.differences[0]).startswith("torch: it was '1.0', and is ")
    assert any("not committed" in note for note in found.notes)


def test_of_an_interrupted_run_the_part_that_is_there_is_compared(here: Path) -> None:
    run = fit("a.yaml")
    lines = (run.path / "metrics.csv").read_text("utf-8").splitlines(keepends=True)
    (run.path / "metrics.csv").write_text("".join(lines[:2]) + lines[2][:5], "utf-8")
    _record(run.path, status="interrupted", metrics={}, best_metrics={})
    found = rerun(run.path)
    assert found.repeated
    assert not found.matched
    assert found.trace.rows == 1
    assert "the run itself is not whole: it was interrupted" in str(found)


@pytest.mark.parametrize("after", [6, 2], ids=["in its second epoch", "before a row was written"])
def test_a_run_that_failed_and_fails_again_is_compared(
    here: Path, after: int, capsys: pytest.CaptureFixture[str]
) -> None:
    write(here / "registry" / "breaks.py", BREAKS.replace("AFTER", str(after)))
    with pytest.raises(RunFailed):
        fit("a.yaml", ["model=breaks"])
    capsys.readouterr()
    assert main(["rerun", "runs/a"]) == 1
    printed = capsys.readouterr()
    assert "the run failed: ValueError: it broke\n\\x1b[31m" in printed.err
    assert "the run failed (ValueError: it broke\\n\\x1b[31m)" in printed.out
    assert printed.out.endswith("but the run itself is not whole: it failed, with the same error as now\n")


def test_a_run_that_failed_otherwise_than_now_is_no_match(here: Path) -> None:
    write(here / "registry" / "breaks.py", BREAKS.replace("AFTER", "6"))
    with pytest.raises(RunFailed):
        fit("a.yaml", ["model=breaks"])
    [run] = (here / "runs" / "a").iterdir()
    _record(run, error={"type": "OSError", "message": "disk"})
    found = rerun(run)
    assert not found.repeated
    assert found.failure == ""
    assert "how it ended: it was 'OSError: disk', and is " in str(found)
    assert json.loads((found.run.path / "run.json").read_text("utf-8"))["status"] == "failed"


def test_a_run_that_came_to_its_end_and_fails_now_has_failed(here: Path) -> None:
    run = fit("a.yaml", ["model=mine"])
    close_shelf()
    write(here / "registry" / "mine.py", MINE.replace("return self.layers(x)", "raise ValueError(3)"))
    with pytest.raises(RunFailed, match="ValueError: 3"):
        rerun(run.path)


def test_a_logger_whose_password_is_not_at_hand_is_not_missed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here / "pyproject.toml", "[tool.hydrantic]\nenv = ['NOTE']\n")
    monkeypatch.setenv("NOTE", "a")
    run = fit("a.yaml", ["+loggers.wandb={mode: disabled, notes: '${oc.env:NOTE}'}"])
    monkeypatch.delenv("NOTE")
    found = rerun(run.path)
    assert found.matched
    assert found.differences == ()


@pytest.mark.parametrize("raises", [False, True], ids=["interrupted", "failed"])
def test_a_run_that_was_resumed_is_a_whole_one(here: Path, raises: bool) -> None:
    project(here, parts=SHELF)
    with pytest.raises(RunFailed if raises else Interrupted):
        fit("a.yaml", [f"+callbacks.stops={{at: 6, raises: {str(raises).lower()}}}"], directory="cut")
    assert resume("cut").metrics["test/loss"] > 0
    found = rerun("cut")
    assert found.matched
    assert any("resumed from step" in note for note in found.notes)


def test_a_repetition_that_was_interrupted_stays_one_when_it_goes_on(here: Path) -> None:
    project(here, parts=SHELF)
    (here / "happened").touch()
    run = fit("a.yaml", ["+callbacks.stops={at: 6}"])
    (here / "happened").unlink()
    with pytest.raises(Interrupted):
        rerun(run.path, runs="again")
    assert resume("again/a").metrics == run.metrics
    [again] = (here / "again" / "a").iterdir()
    assert RunRecord.read(again / "run.json").fields["rerun_of"] == str(run.path)


@pytest.mark.slow
def test_a_job_of_a_sweep_is_repeated_in_a_directory_of_its_own(here: Path) -> None:
    found = sweep("a.yaml", ["optimizer.lr=1e-3,1e-2"])
    job = found.path / "1"
    repeated = rerun(job)
    assert repeated.matched
    assert repeated.run.path.parent == here / "runs" / "a"
    assert RunRecord.read(repeated.run.path / "run.json").fields["rerun_of"] == str(job)


def test_a_run_that_never_ended_is_not_whole_either(here: Path) -> None:
    run = fit("a.yaml")
    _record(run.path, status="running")
    assert rerun(run.path).unfinished == "never came to its end"


def test_the_test_is_repeated_where_the_run_had_one(here: Path) -> None:
    untested = fit("a.yaml", test=False)
    found = rerun(untested.path)
    assert found.matched
    assert not any(name.startswith("test/") for name in found.run.metrics)
    tested = rerun(fit("a.yaml").path, test=False)
    assert tested.matched
    assert tested.notes == ("the test was left out",)


def test_a_metric_of_the_record_that_differs_is_told(here: Path) -> None:
    run = fit("a.yaml")
    metrics = json.loads((run.path / "run.json").read_text("utf-8"))["metrics"]
    _record(run.path, metrics=metrics | {"test/loss": 0.5})
    found = rerun(run.path)
    assert not found.matched
    assert found.trace.departure is None
    assert [each.what for each in found.results] == ["test/loss"]
    assert "all 3 rows of metrics.csv are equal" in str(found)


def test_weights_that_are_gone_are_not_compared(here: Path) -> None:
    run = fit("a.yaml")
    for file in (run.path / "checkpoints").iterdir():
        file.unlink()
    found = rerun(run.path)
    assert found.matched
    assert found.weights is None
    assert any("its best checkpoint is gone" in note for note in found.notes)


def test_a_damaged_checkpoint_is_told_and_the_rest_is_compared(here: Path) -> None:
    run = fit("a.yaml")
    assert run.checkpoint is not None
    run.checkpoint.write_bytes(b"nothing")
    found = rerun(run.path)
    assert found.matched
    assert any("nothing of its checkpoint is compared" in note for note in found.notes)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda run: (run / "run.json").unlink(), "run.json"),
        (lambda run: (run / "run.json").write_text("{"), "is not the record of a run"),
        (lambda run: (run / "run.json").write_text("{}"), "has no status"),
        (lambda run: (run / "blueprint.yaml").unlink(), "has no blueprint.yaml"),
    ],
)
def test_what_is_no_run_is_refused(here: Path, spoil: Any, words: str) -> None:
    run = here / "runs" / "x" / "1"
    write(run / "run.json", '{"status": "finished"}')
    write(run / "blueprint.yaml", BLUEPRINT)
    spoil(run)
    with pytest.raises(UsageError, match=words):
        rerun(run)


def test_a_component_that_is_gone_is_a_problem_of_the_blueprint(here: Path) -> None:
    run = fit("a.yaml", ["model=mine"])
    close_shelf()
    (here / "registry" / "mine.py").unlink()
    with pytest.raises(BlueprintError, match="no model is called 'mine'"):
        rerun(run.path)
    assert len(list((here / "runs" / "a").iterdir())) == 1


def test_the_command_says_it_and_ends_accordingly(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit("a.yaml")
    capsys.readouterr()
    assert main(["rerun", str(run.path)]) == 0
    printed = capsys.readouterr()
    assert "everything is as it was recorded" in printed.err
    assert printed.out.splitlines()[-1].startswith("matched bit for bit: ")
    _edit(run.path / "blueprint.yaml", "dropout: 0.5", "dropout: 0.25")
    assert main(["rerun", str(run.path), "--json", "--runs", "elsewhere"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert record["matched"] is False
    assert record["departure"]["rows_before"] == 0
    assert record["differences"][0]["what"] == "model.dropout, edited in blueprint.yaml"
    assert Path(record["run"]).is_relative_to(here / "elsewhere")
    assert main(["rerun", "nowhere"]) == 2
    assert "there is no run nowhere" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_of_two_processes_is_repeated_by_two(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    processes = {**os.environ, "PYTHONPATH": str(Path(hydrantic.__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    hydrantic_ = [sys.executable, "-m", "hydrantic"]
    options = ["trainer.devices=2", "trainer.accelerator=cpu"]
    subprocess.run([*hydrantic_, "fit", "a.yaml", *options], env=processes, check=True, capture_output=True)
    done = subprocess.run([*hydrantic_, "rerun", "runs/a"], env=processes, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "matched bit for bit" in done.stdout
    records = [RunRecord.read(run / "run.json").fields for run in (here / "runs" / "a").iterdir()]
    assert [each["processes"] for each in records] == [2, 2]
