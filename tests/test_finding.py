"""What a person may name where a run is meant."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hydrantic.errors import UsageError
from hydrantic.finding import find_run, runs_below
from tests.projects import write


def run(folder: Path, started: str = "2026-11-21T09:30:12Z", **fields: object) -> Path:
    """The directory of a run with its best and its last checkpoint."""
    record = {"status": "finished", "started": started, "best_checkpoint": "checkpoints/best.ckpt"} | fields
    write(folder / "run.json", json.dumps(record))
    for name in ("best", "last"):
        write(folder / "checkpoints" / f"{name}.ckpt", name)
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder, in which they stand."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("said", ["runs/ä b/one", "runs/ä b/one/", "./runs/../runs/ä b/one", "runs/ä b/one/run.json"])
def test_a_run_is_named_by_its_directory_or_its_record(said: str) -> None:
    one = run(Path("runs/ä b/one"))
    found = find_run(said)
    assert found.directory is not None
    assert found.directory.samefile(one)
    assert (found.best.read_text(), found.last.read_text()) == ("best", "last")
    assert found.note is None


def test_a_link_to_a_run_is_the_run(here: Path) -> None:
    run(here / "elsewhere" / "one")
    (here / "mine").symlink_to("elsewhere/one")
    assert find_run("mine").best.read_text() == "best"


def test_a_checkpoint_knows_the_run_around_it() -> None:
    one = run(Path("runs/a/one"))
    found = find_run(one / "checkpoints" / "last.ckpt")
    assert found.directory == one
    assert found.best == found.last == one / "checkpoints" / "last.ckpt"


def test_a_checkpoint_that_has_left_its_run_has_no_record(here: Path) -> None:
    write(here / "sent.ckpt", "")
    found = find_run("sent.ckpt")
    assert found.directory is None
    assert found.recorded == {}
    with pytest.raises(UsageError, match=r"sent\.ckpt is a checkpoint alone"):
        _ = found.record


def test_a_folder_of_runs_is_its_latest_run_which_is_told() -> None:
    run(Path("runs/a/z"), "2026-11-21T09:30:12Z")
    latest = run(Path("runs/b/y"), "2026-11-21T09:30:13Z")
    found = find_run("runs")
    assert found.directory == latest
    assert found.note == "the latest run in runs: runs/b/y"


def test_a_job_of_a_sweep_is_a_run_but_never_the_latest_of_a_folder() -> None:
    run(Path("runs/a/sweep-1/0"), "2026-11-21T10:00:00Z")
    write(Path("runs/a/sweep-1/ledger.jsonl"), "{}\n")
    single = run(Path("runs/a/one"))
    assert find_run("runs/a/sweep-1/0").directory == Path("runs/a/sweep-1/0")
    assert find_run("runs/a").directory == find_run("runs").directory == single
    assert runs_below(Path("runs/a")) == [single]


@pytest.mark.parametrize("said", ["runs/a/sweep-1", "runs/a", "runs"])
def test_a_sweep_is_many_runs(said: str) -> None:
    run(Path("runs/a/sweep-1/0"))
    write(Path("runs/a/sweep-1/ledger.jsonl"), "{}\n")
    with pytest.raises(UsageError, match=r"runs/a/sweep-1 is a sweep of many runs; name one of its jobs, such as .*/0"):
        find_run(said)


def test_what_is_no_run_is_refused(here: Path) -> None:
    (here / "empty").mkdir()
    with pytest.raises(UsageError, match="there is no run runs/x"):
        find_run("runs/x")
    with pytest.raises(UsageError, match=r"empty is not the directory of a run: it has no run\.json"):
        find_run("empty")


@pytest.mark.parametrize("text", ["{", "[1]", ""])
def test_where_the_record_is_broken_a_checkpoint_is_pointed_to(text: str) -> None:
    one = run(Path("one"))
    write(one / "run.json", text)
    with pytest.raises(
        UsageError, match=r"one/run\.json is not the record.*name a checkpoint instead: one/checkpoints/"
    ):
        _ = find_run("one").best
    assert find_run("one").recorded == {}


def test_a_directory_without_a_record_points_to_its_checkpoints() -> None:
    one = run(Path("one"))
    (one / "run.json").unlink()
    with pytest.raises(UsageError, match=r"it has no run\.json; name a checkpoint instead: one/checkpoints/"):
        find_run("one")


def test_a_run_that_kept_nothing_says_how_it_stands() -> None:
    one = run(Path("one"), status="failed", best_checkpoint=None)
    for file in one.glob("checkpoints/*"):
        file.unlink()
    with pytest.raises(UsageError, match=r"the run in one, which is recorded as failed, kept no weights$"):
        _ = find_run("one").best


def test_a_best_checkpoint_that_was_deleted_is_told_with_what_is_left() -> None:
    one = run(Path("one"))
    (one / "checkpoints" / "best.ckpt").unlink()
    message = "kept no weights: checkpoints/best.ckpt is not there; name a checkpoint instead: one/checkpoints/last"
    with pytest.raises(UsageError, match=re.escape(message)):
        _ = find_run("one").best


@pytest.mark.parametrize("best", ["../other.ckpt", "x" * 5000, "\0"], ids=["outside", "long", "null"])
def test_a_record_that_leads_out_of_the_run_is_not_followed(here: Path, best: str) -> None:
    write(here / "other.ckpt", "")
    run(here / "one", best_checkpoint=best)
    with pytest.raises(UsageError, match="kept no weights"):
        _ = find_run("one").best


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("runs/a/one/metrics.csv", "runs/a/one/metrics.csv is a file of a run; name its directory, runs/a/one"),
        ("runs/a/one/checkpoints", "the run is runs/a/one"),
        ("a.yaml", "a.yaml is a blueprint, not a run; name the directory of a run that it has made"),
        ("https://example.org/a.ckpt", "https://example.org/a.ckpt is an address"),
    ],
)
def test_what_is_taken_for_a_run_by_mistake_is_answered_with_what_to_name(said: str, answer: str) -> None:
    write(run(Path("runs/a/one")) / "metrics.csv", "step\n")
    write(Path("a.yaml"), "data: iris\n")
    with pytest.raises(UsageError, match=re.escape(answer)):
        find_run(said)


def test_a_record_of_too_many_layers_is_none() -> None:
    one = run(Path("runs/a/one"))
    (one / "run.json").write_text("[" * 100_000)
    assert find_run("runs").directory == one
    with pytest.raises(UsageError, match="is not the record of a run"):
        _ = find_run("runs").best


@pytest.mark.parametrize(
    ("dirpath", "folder"), [("kept", "kept"), (None, "checkpoints"), (7, "checkpoints"), ("a\0", "checkpoints")]
)
def test_the_last_checkpoint_lies_where_the_blueprint_says(dirpath: object, folder: str) -> None:
    one = run(Path("one"), blueprint={"checkpoint": {"dirpath": dirpath}})
    write(one / "kept" / "last.ckpt", "last")
    assert find_run("one").last == one / folder / "last.ckpt"
