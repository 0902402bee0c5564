from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hydrantic.components import choose
from hydrantic.errors import HydranticError, Interrupted, RunFailed, UsageError
from hydrantic.project import Project
from hydrantic.sweeping.drafts import Draft, Order, drafted
from hydrantic.sweeping.engine import Ended, Engine
from hydrantic.sweeping.ledger import JobRecord, Ledger, read_ledger
from hydrantic.sweeping.outcome import told_by_its_run
from hydrantic.sweeping.resumption import resume
from hydrantic.sweeping.running import Running
from hydrantic.sweeping.space import Range
from hydrantic.sweeping.sweep import sweep
from hydrantic.sweeping.view import View
from hydrantic.sweeping.words import command
from tests.projects import DIGITS, write
from tests.sweeping.sweeps import LOSS, job, written

pytestmark = [pytest.mark.usefixtures("scratch")]

FRAGILE = """
    import sys

    from torch import nn

    from hydrantic import register_model


    @register_model("fragile")
    class Fragile(nn.Module):
        def __init__(self, in_features: int, out_features: int, end: str, token: str):
            super().__init__()
            if end == "exits":
                sys.exit(f"cannot use {token}")
            raise RuntimeError(f"cannot use {token}")
    """


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project to stand in."""
    write(tmp_path / "blueprints" / "digits.yaml", DIGITS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def draft(place: Path, section: str, *overrides: str, test: bool = True) -> Draft:
    """The draft of a sweep whose blueprint has another section."""
    file = place / "blueprints" / "digits.yaml"
    write(file, f"{DIGITS}{section}\n")
    return drafted(Order(file, overrides, Project.find().open(), place / "runs", test))


def refusal(place: Path, section: str, *overrides: str, test: bool = True) -> str:
    """What is said of a sweep that cannot be."""
    with pytest.raises(HydranticError) as caught:
        draft(place, section, *overrides, test=test).check(View())
    return str(caught.value)


# what a blueprint sweeps


def test_an_empty_section_sweeps_nothing(place: Path) -> None:
    assert "nothing is swept" in refusal(place, "sweep:")
    assert draft(place, "sweep:", "seed=1,2").check(View()) == 2


@pytest.mark.parametrize("key", ["hydra.launcher.processes", "hydra/launcher", "sweep.name", "+sweep.name"])
def test_what_makes_a_sweep_is_not_swept(place: Path, key: str) -> None:
    said = refusal(place, f"sweep: {{name: grid, params: {{{key}: [1, 2]}}}}")
    assert "says how the whole sweep is made" in said
    assert "digits.yaml:7:" in said


def test_a_wrong_value_is_told_where_the_blueprint_sweeps_it(place: Path) -> None:
    said = refusal(place, "sweep: {name: grid, params: {seed: [1, x]}}")
    assert "1 of 2 jobs cannot run" in said
    assert "digits.yaml:7:36: seed: must be an integer" in said
    assert "command line" not in said
    said = refusal(place, "sweep: {name: grid, params: {seed: [1, 2]}}", "seed=1,y")
    assert "command line: seed=y: must be an integer" in said


def test_a_range_that_cannot_be_gone_through_is_told_where_it_is_given(place: Path) -> None:
    said = refusal(place, "", "optimizer.lr=interval(0.1,1)")
    assert said.startswith("1 problem\n\ncommand line: optimizer.lr=interval(0.1,1): ")


def test_an_objective_of_the_test_needs_one(place: Path) -> None:
    section = "objective: {metric: test/loss, mode: min}"
    assert "not measured without a test" in refusal(place, section, "seed=1,2", test=False)
    assert draft(place, section, "seed=1,2").check(View()) == 2


def test_an_empty_list_in_python_is_told_by_its_key(place: Path) -> None:
    with pytest.raises(UsageError, match="'seed' is to be swept over nothing"):
        sweep("blueprints/digits.yaml", {"seed": []})


# secrets


def test_a_secret_that_is_swept_stays_a_reference(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2hunter2")
    write(place / "pyproject.toml", '[tool.hydrantic]\nenv = ["TOKEN"]\n')
    section = """
        vars: {token: "${oc.env:TOKEN}"}
        sweep: {name: grid, params: {description: ["${oc.env:TOKEN}", "a ${vars.token} b", plain]}}
        """
    lines = "\n".join(line.strip() for line in section.splitlines())
    jobs = draft(place, lines).jobs(View())
    assert [each.params["description"] for each in jobs] == ["${oc.env:TOKEN}", "a ${oc.env:TOKEN} b", "plain"]
    assert not [each for each in jobs if "hunter2" in each.text or "hunter2" in str(each.overrides)]


def test_whatever_ends_a_job_is_told_without_secrets(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2hunter2")
    write(place / "pyproject.toml", '[tool.hydrantic]\nenv = ["TOKEN"]\n')
    write(place / "registry" / "__init__.py", "")
    write(place / "registry" / "fragile.py", FRAGILE)
    model = ("model=fragile", "model.token=${oc.env:TOKEN}", "model.end=exits,raises")
    exits, raises = sweep("blueprints/digits.yaml", model)
    assert (exits.state, exits.record.error) == ("failed", "SystemExit: cannot use ***")
    assert raises.state == "failed"
    assert "cannot be built: RuntimeError: cannot use ***" in raises.record.error
    assert "1 problem in" not in raises.record.error
    files = [file for file in exits.path.parent.rglob("*") if file.is_file()]
    assert not [file for file in files if b"hunter2" in file.read_bytes()]


# records that are damaged, forged or old

FRESH = {"sweeper": {"name": "grid"}, "launcher": {"name": "local", "fork": False}}


def sweep_of(place: Path, *jobs: JobRecord, **about: Any) -> Path:
    """The directory of a sweep of this project, which starts no process before there is a job to run."""
    return written(place / "runs" / "s", *jobs, **{"project": str(place)} | FRESH | about)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"launcher": {"name": "lokal"}}, "no launcher is called 'lokal'"),
        ({"launcher": {"name": "local", "_target_": "os.system"}}, "local has no field '_target_'"),
        ({"launcher": 3}, "must be the name of a launcher"),
        ({"sweeper": {"name": "optuna"}}, "ledger.jsonl cannot be obeyed: it lacks 'space'"),
        ({"project": "/elsewhere"}, "began in the project /elsewhere"),
        ({"jobs": 3}, "was cut off while its 3 jobs were being written"),
    ],
)
def test_a_ledger_that_cannot_be_obeyed_is_refused(place: Path, about: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        resume(sweep_of(place, job(0, state="planned", directory=place / "runs" / "s" / "0"), **about))
    assert message in str(caught.value)


def test_a_project_that_is_named_may_be_another(place: Path) -> None:
    directory = sweep_of(place, job(0, 0.5), project="/elsewhere")
    assert [each.state for each in resume(directory, project=place)] == ["finished"]


def test_a_job_without_its_files_does_not_keep_the_others_from_running(place: Path) -> None:
    directory = sweep_of(place, *(job(number, state="planned") for number in range(3)), job(3, 0.5))
    outside = place / "outside"
    write(outside / "job.json", "{}")
    (directory / "0").symlink_to(outside)
    write(directory / "1" / "job.json", '{"number": 1')
    done = resume(directory)
    assert [each.state for each in done] == ["failed", "failed", "failed", "finished"]
    assert "does not lie in the sweep's directory" in done[0].record.error
    assert "job.json cannot be read" in done[1].record.error
    assert "No such file or directory" in done[2].record.error
    assert (outside / "job.json").read_text() == "{}"


@pytest.mark.parametrize("status", [["finished"], {"a": 1}, 3, None])
def test_a_record_that_is_none_tells_of_no_end(tmp_path: Path, status: Any) -> None:
    write(tmp_path / "run.json", json.dumps({"status": status}))
    assert told_by_its_run(JobRecord(0, tmp_path), None) is None


def test_values_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    write(
        tmp_path / "run.json", json.dumps({"status": "finished", "metrics": {"a": "x", "b": None, "c": "nan", "d": 1}})
    )
    told = told_by_its_run(JobRecord(0, tmp_path), ("d", "min"))
    assert told is not None
    assert sorted(told.metrics) == ["c", "d"]
    assert told.value == 1


def test_a_study_is_found_again_where_its_sweep_was_moved_to(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    space, objective = {"x": Range(0.0, 1.0)}, ("validation/loss", "min")
    made = choose("sweeper", {"name": "optuna", "n_trials": 3}).build()
    (tmp_path / "then").mkdir()
    study = made.study(space, objective, tmp_path / "then")
    study.tell(study.ask().number, "finished", 0.5)
    study.close()
    shutil.move(tmp_path / "then", tmp_path / "now")
    again = made.study(space, objective, tmp_path / "now", (), "then")
    assert again.ask().number == 1
    again.close()
    assert not (tmp_path / "then").exists()


# the end of a sweep


class Told(Engine):
    """An engine whose jobs end in the way that they are told to."""

    capacity = 2

    def __init__(self, *ends: Sequence[Ended] | Exception) -> None:
        self._ends = list(ends)
        self.stops = 0

    def start(self, jobs: Sequence[Path]) -> Sequence[str]:
        return ["1"] * len(jobs)

    def ended(self, seconds: float) -> Sequence[Ended]:
        end = self._ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end

    def stop(self) -> None:
        self.stops += 1


class Stopped(Told):
    """An engine while whose first start a person presses Ctrl-C, twice."""

    def start(self, jobs: Sequence[Path]) -> Sequence[str]:
        os.kill(os.getpid(), signal.SIGINT)
        return super().start(jobs)

    def stop(self) -> None:
        super().stop()
        if self.stops == 1:
            os.kill(os.getpid(), signal.SIGINT)


def running(directory: Path, engine: Engine) -> Running:
    """A sweep of two jobs that run in an engine."""
    written(directory, *(job(number, state="planned") for number in range(2)))
    made = Running(directory, engine, Ledger(directory), View(), (LOSS["metric"], LOSS["mode"]))
    made.queue.extend(read_ledger(directory).jobs)
    return made


def test_a_job_that_was_stopped_before_it_began_is_not_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "mit Abstand"
    engine = Stopped([Ended(directory / "0", -15)], [Ended(directory / "1", -9)])
    with pytest.raises(Interrupted):
        running(directory, engine).run()
    assert [each.state for each in read_ledger(directory).jobs] == ["interrupted", "interrupted"]
    said = capsys.readouterr().err
    assert "once more to kill them" in said
    assert "killing the running jobs" in said
    assert "lost" not in said
    assert f"`{command('resume', directory)}` goes on" in said
    assert "mit Abstand'" in said


def test_an_engine_that_is_gone_ends_the_sweep_with_its_jobs_noted(tmp_path: Path) -> None:
    ends = [Ended(tmp_path / "0", None, "it died"), Ended(tmp_path / "1", None, "it died")]
    with pytest.raises(RunFailed, match=r"there is no engine any more; `hydrantic sweep resume .*` goes on"):
        running(tmp_path, Told(UsageError("there is no engine any more"), ends)).run()
    assert [each.state for each in read_ledger(tmp_path).jobs] == ["interrupted", "interrupted"]


def test_nobody_need_look_on(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    view = View(stream)
    view.begin(1, 1)
    view.ended(job(0, state="failed", error="broken"))
    view.close()
    with suppress(BrokenPipeError):
        stream.close()
