"""Where a run goes on, and what it leaves alone: folders that were copied, a person's own files, several at once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hydrantic import build
from hydrantic.build import Draft
from hydrantic.errors import Interrupted, UsageError
from hydrantic.fitting import fit, resume
from hydrantic.plan import Plan
from tests.projects import project, write
from tests.test_exact import NETWORK, SHELF, record

pytestmark = pytest.mark.usefixtures("scratch")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder, in which they stand, with a project and a blueprint."""
    monkeypatch.chdir(tmp_path)
    project(tmp_path, parts=SHELF)
    write(tmp_path / "b.yaml", NETWORK)
    return tmp_path


def interrupted(here: Path, order: str, *overrides: str) -> Path:
    """The directory of a run to which a signal came."""
    (here / "orders.txt").write_text(order)
    with pytest.raises(Interrupted):
        fit("b.yaml", overrides, directory=here / "cut")
    return here / "cut"


def names(run: Path) -> list[str]:
    return sorted(file.name for file in (run / "checkpoints").iterdir())


def copied_without_times(run: Path) -> None:
    """Let the checkpoints have the times of a copy, in the order of their names backwards: the last is the oldest."""
    for at, name in enumerate(reversed(names(run))):
        os.utime(run / "checkpoints" / name, (at, at))


@pytest.mark.parametrize("monitor", ["null", "validation/loss"])
def test_checkpoints_of_earlier_steps_stay_whenever_they_were_copied(here: Path, monitor: str) -> None:
    run = fit("b.yaml", [f"checkpoint.monitor={monitor}", "checkpoint.save_top_k=-1"], directory=here / "run").path
    before = names(run)
    copied_without_times(run)
    resume(run, ["trainer.max_epochs=4"])
    assert len(before) == 4
    assert set(before) < set(names(run))


def test_a_persons_own_copy_stays(here: Path) -> None:
    run = interrupted(here, "batch 20 SIGTERM")
    best = next(name for name in names(run) if name != "last.ckpt")
    shutil.copy(run / "checkpoints" / best, run / "checkpoints" / "paper.ckpt")
    (run / "checkpoints" / "notes.ckpt").write_text("mine")
    resume(run)
    assert {"paper.ckpt", "notes.ckpt"} < set(names(run))


def test_an_older_last_checkpoint_gives_way_to_a_later_one(here: Path) -> None:
    run = interrupted(here, "batch 11 SIGTERM", "checkpoint.save_last=false", "checkpoint.save_top_k=-1")
    last = (run / "checkpoints" / "last.ckpt").read_bytes()
    (here / "orders.txt").write_text("batch 8 SIGTERM")
    with pytest.raises(Interrupted):
        resume(run)
    (run / "checkpoints" / "last.ckpt").write_bytes(last)  # as it were had the second one been a kill
    resume(run)
    assert (record(run)["attempt"], record(run)["resumed_from_step"]) == (3, 16)


def test_a_run_that_another_process_has_gone_on_with_is_left_alone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = interrupted(here, "batch 20 SIGTERM")
    draft: Callable[[Plan], Draft] = build.draft

    def slow(plan: Plan) -> Draft:
        drafted = draft(plan)
        monkeypatch.setattr(build, "draft", draft)
        resume(run)  # meanwhile
        return drafted

    monkeypatch.setattr(build, "draft", slow)
    with pytest.raises(UsageError, match="is a run that another process has just gone on with"):
        resume(run)
    rows = (run / "metrics.csv").read_text("utf-8").splitlines()
    assert record(run)["status"] == "finished"
    assert len(rows) == 1 + 3 + 1  # the names, three epochs, the test


def test_fewer_best_checkpoints_can_be_asked_for(here: Path) -> None:
    run = fit("b.yaml", ["checkpoint.save_top_k=3"], directory=here / "run").path
    assert len(names(run)) == 4
    resume(run, ["checkpoint.save_top_k=1", "trainer.max_epochs=6"])
    assert len(names(run)) == 2
    best = torch.load(run / record(run)["best_checkpoint"], weights_only=True)
    assert best["global_step"] == 6 * 8


@pytest.mark.parametrize("said", ["x", None, float("nan"), [1]])
def test_an_edited_record_does_not_keep_a_run_from_going_on(here: Path, said: object) -> None:
    run = interrupted(here, "batch 20 SIGTERM")
    fields = record(run) | {"attempt": said, "seconds": said}
    (run / "run.json").write_text(json.dumps(fields), "utf-8")
    resume(run)
    assert (record(run)["attempt"], record(run)["status"]) == (2, "finished")
