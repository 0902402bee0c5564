"""Reports of runs that never ran: what a page tells, and that nothing of what it tells can harm."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from hydrantic.errors import UsageError
from hydrantic.reporting import report
from tests.runs_on_disk import blueprint, curves, run, trained
from tests.sweeping.sweeps import job, written

EVIL = "<script>alert('x')</script>\"&amp;"
EVIL_COLUMN = "training/<script>alert('x')</script>"


def page(*named: Path, into: Path | None = None, **options: Any) -> str:
    """The text of a report that evaluates nothing."""
    options = {"evaluation": False} | options
    return report(list(named), into or named[0].parent / "report.html", **options).read_text("utf-8")


class Read(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "hr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text += data + " "

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]


def charts(text: str) -> dict[str, Any]:
    found = [json.loads(each) for each in re.findall(r'<script type="application/json">(.*?)</script>', text)]
    return {each["title"]: each for each in found}


# -- the page ----------------------------------------------------------------------------------------------------------


def test_a_page_refers_to_nothing_outside_and_may_run_nothing_else(tmp_path: Path) -> None:
    text = page(trained(tmp_path / "mlp"))
    read = Read(text)
    assert read.open == []
    links = [
        str(value) for _, each in read.elements for name, value in each.items() if name in {"src", "href", "action"}
    ]
    assert all(link.startswith("#") for link in links)
    assert not [name for _, each in read.elements for name in each if name.startswith("on") or name == "style"]
    (policy,) = [each["content"] for each in read.named("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "url(" not in text
    assert "@import" not in text


def test_headings_and_places_of_the_contents_are_in_order(tmp_path: Path) -> None:
    read = Read(page(trained(tmp_path / "mlp")))
    assert len(read.named("h1")) == 1
    ids = [each["id"] for each in read.named("section")]
    assert [f"#{each}" for each in ids] == [each["href"] for each in read.named("a") if each.get("class") != "skip"]
    every = [value for _, each in read.elements if (value := each.get("id"))]
    assert len(every) == len(set(every))
    assert all(each.get("aria-label") for each in read.named("svg") if each.get("role") == "img")


def test_a_page_of_one_run_is_small(tmp_path: Path) -> None:
    folder = run(tmp_path / "long")
    names = [f"{stage}/m{at}" for stage in ("training", "validation") for at in range(8)]
    curves(folder, [{"step": at, "epoch": at // 100, **dict.fromkeys(names, at**0.5)} for at in range(5000)])
    assert len(page(folder)) < 300_000


@pytest.mark.parametrize("epoch", ["NaN", "Infinity", 1e308])
def test_an_epoch_of_the_best_checkpoint_that_is_none_is_not_told(tmp_path: Path, epoch: Any) -> None:
    best = {"epoch": epoch, "validation/loss": 0.5}
    text = page(trained(tmp_path / "a", best_metrics=best, best_checkpoint="checkpoints/best.ckpt", attempt=[1]))
    assert "kept after epoch" not in text
    assert charts(text)["loss"]["mark"] is None


# -- one run -----------------------------------------------------------------------------------------------------------


def test_a_run_is_told_whole(tmp_path: Path) -> None:
    origins = {"optimizer.lr": "blueprints/digits.yaml:7", "model.hidden_dims": "command line"}
    folder = trained(
        tmp_path / "mlp", origins=origins, command=["/x/hydrantic/__main__.py", "fit", "a.yaml", "name=a b"],
        best_checkpoint="checkpoints/best.ckpt",
    )  # fmt: skip
    (folder / "log.txt").write_text("\x1b[31mepoch 1\x1b[0m\nepoch 2\n")
    text = page(folder)
    shown = " ".join(Read(text).text.split())
    for each in (
        "digits finished", "test/loss 0.6", "blueprints/digits.yaml:7", "hydrantic fit a.yaml 'name=a b'",
        "0123456789abcdef", "torch 2.13.0", "model/mlp aa", "epoch 1 epoch 2",
        "checkpoints/best.ckpt , kept after epoch 4",
    ):  # fmt: skip
        assert each in shown, each
    assert charts(text)["loss"]["mark"] == 4
    assert [each["name"] for each in charts(text)["loss"]["series"]] == ["training", "validation"]
    assert charts(text)["loss"]["series"][0]["x"] == [1, 2, 3, 4, 5]
    assert shown.count(" command line ") == 1
    assert "default" in shown


def test_a_run_without_origins_still_knows_its_command_line(tmp_path: Path) -> None:
    shown = Read(page(run(tmp_path / "mlp", command=["hydrantic", "fit", "a.yaml", "+optimizer.lr=0.001"]))).text
    assert "Its record does not hold where they came from" in shown
    assert shown.count("command line") == 2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status": "failed", "error": {"type": "ValueError", "message": "no\nluck"}}, "ValueError: no\nluck"),
        ({"status": "interrupted"}, "hydrantic resume"),
        ({"status": "pruned"}, "gave it up"),
        ({"status": "running"}, "It has not ended yet"),
        ({"status": "running", "pid": 2**22 + 5}, "ended without a word"),
        ({"status": EVIL}, "&lt;script&gt;"),
    ],
)
def test_a_run_that_has_not_finished_says_so(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    text = page(run(tmp_path / "mlp", loss=None, **fields))
    assert said in text
    assert "Nothing was logged" in text


@pytest.mark.parametrize("contents", ["", "{", "[]", "{}", '{"status": 3}', '{"status": "finished", "metrics": [1]}'])
def test_a_broken_record_hides_nothing_else(tmp_path: Path, contents: str) -> None:
    broken = trained(tmp_path / "broken", values=blueprint(optimizer__lr=0.25))
    (broken / "run.json").write_text(contents)
    text = page(trained(tmp_path / "sound"), broken, into=tmp_path / "both.html")
    assert "0.25" in Read(text).text
    assert [each["name"] for each in charts(text)["validation/loss"]["series"]] == ["sound", "broken"]


def test_broken_files_are_named(tmp_path: Path) -> None:
    folder = trained(tmp_path / "mlp")
    (folder / "blueprint.yaml").unlink()
    (folder / "metrics.csv").write_bytes(b"step,epoch,a\n1,2,\xff\n3,x,9\n4,")
    (folder / "log.txt").write_bytes(b"\xff\xfe\x00")
    assert "blueprint.yaml cannot be read" in page(folder)


def test_values_that_are_no_numbers_are_shown(tmp_path: Path) -> None:
    folder = run(tmp_path / "mlp", metrics={"validation/loss": "NaN", "test/loss": "Infinity", "x": None})
    curves(
        folder, [{"step": at, "epoch": at, "validation/loss": value} for at, value in enumerate(("1", "nan", "-inf"))]
    )
    text = page(folder)
    assert charts(text)["loss"]["series"][0]["y"] == [1, None, None]
    assert "\N{INFINITY}" in text


def test_nothing_in_a_runs_files_becomes_markup(tmp_path: Path) -> None:
    values = blueprint() | {"description": EVIL, "vars": {EVIL: EVIL, "list": [{EVIL: 1}]}, "name": EVIL}
    folder = run(
        tmp_path / EVIL.replace("/", "_"), values=values, status="failed", error={"type": EVIL, "message": EVIL},
        metrics={f"test/{EVIL}": 1.0}, origins={f"vars.{EVIL}": EVIL}, git={"commit": EVIL},
        command=["hydrantic", EVIL],
        versions={EVIL: EVIL}, components={EVIL: EVIL}, host=EVIL, best_checkpoint=EVIL, started=EVIL, seed=EVIL,
    )  # fmt: skip
    curves(folder, [{"step": 1, "epoch": 0, EVIL_COLUMN: 0.5}])
    (folder / "log.txt").write_text(f"{EVIL}\n\x1b]8;;http://evil\x07link\x1b]8;;\x07\n</pre></code>{EVIL}")
    for text in (page(folder), page(folder, trained(tmp_path / "other"), into=tmp_path / "both.html")):
        read = Read(text)
        assert read.open == []
        assert "alert('x')" in read.text
        kinds = [each.get("type") for each in read.named("script")]
        assert set(kinds) <= {"application/json", None}
        assert kinds.count(None) == 1
        assert "\x1b" not in text


def test_only_the_end_of_a_long_log_is_shown(tmp_path: Path) -> None:
    folder = run(tmp_path / "mlp")
    (folder / "log.txt").write_text("\n".join(f"line {at}" for at in range(100_000)))
    text = page(folder)
    assert "line 99999" in text
    assert "line 90000" not in text
    assert len(text) < 300_000


# -- several runs ------------------------------------------------------------------------------------------------------


def test_runs_are_compared_in_what_differs(tmp_path: Path) -> None:
    for at, lr in enumerate((0.1, 0.01)):
        trained(tmp_path / f"run-{at}", values=blueprint(optimizer__lr=lr), loss=lr)
    text = page(tmp_path / "run-0", tmp_path / "run-1", into=tmp_path / "both.html")
    shown = " ".join(Read(text).text.split())
    assert "digits: 2 runs" in shown
    assert "optimizer.lr 2 values 0.1, 0.01" in shown
    assert "model.dropout" not in shown
    assert [each["name"] for each in charts(text)["validation/loss"]["series"]] == ["run-0", "run-1"]
    assert "Problems" not in shown


def test_a_broken_run_among_others_is_told(tmp_path: Path) -> None:
    broken = trained(tmp_path / "broken")
    (broken / "run.json").write_text("{")
    text = page(trained(tmp_path / "sound"), broken, into=tmp_path / "both.html")
    assert "run.json is not JSON" in Read(text).text


def test_two_hundred_runs_fit_on_a_page(tmp_path: Path) -> None:
    runs = [trained(tmp_path / f"run-{at:03}", 50, values=blueprint(optimizer__lr=at / 7)) for at in range(200)]
    text = page(*runs, into=tmp_path / "all.html")
    assert "Only the first 40 of 200 runs have curves here." in text
    assert text.count("run-199") >= 1
    assert len(text) < 2_000_000


# -- sweeps ------------------------------------------------------------------------------------------------------------


def swept(folder: Path) -> Path:
    jobs = [job(at, loss, state="finished", optimizer__lr=lr, model__name=name) for at, (loss, lr, name) in enumerate(
        [(0.5, 0.1, "mlp"), (0.3, 0.01, EVIL), (0.9, 0.001, "mlp")]
    )]  # fmt: skip
    failed = job(3, None, state="failed", error=f"ValueError: {EVIL}", optimizer__lr=1.0, model__name="mlp")
    written(folder, *jobs, failed, job(4, None, state="planned", optimizer__lr=3.0, model__name="mlp"))
    trained(folder / "1")
    return folder


def test_a_sweep_is_told_with_its_best_job_and_its_failures(tmp_path: Path) -> None:
    text = page(swept(tmp_path / "sweep-1"))
    read = Read(text)
    assert read.open == []
    shown = " ".join(read.text.split())
    for each in (
        "Job 1 is the best among 3 finished jobs",
        "3 finished",
        "1 failed",
        f"ValueError: {EVIL}",
        "Parallel",
    ):
        assert each in shown, each
    assert len([each for each in read.named("path") if "job" in str(each.get("class"))]) == 3
    assert charts(text)["validation/loss"]["series"][0]["name"] == "job 1"


def test_a_sweep_without_results_has_a_page(tmp_path: Path) -> None:
    folder = written(tmp_path / "sweep-1", job(0, None, state="planned"))
    assert "There is nothing to draw" in page(folder)
    folder = written(tmp_path / "sweep-2", job(0, 0.5, x=1), objective=None)
    assert "the sweep has no objective" in page(folder)


def test_values_that_are_far_off_do_not_press_the_others_together(tmp_path: Path) -> None:
    jobs = [job(at, value, x=at) for at, value in enumerate((0.5, 0.6, 0.7, 0.8, 0.9, 1e12))]
    assert "values far worse than the others lie at the end" in page(written(tmp_path / "sweep-1", *jobs))


# -- where it is written -----------------------------------------------------------------------------------------------


def test_a_page_lies_where_a_person_looks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, other = trained(tmp_path / "runs" / "one"), trained(tmp_path / "runs" / "other")
    assert report(one, evaluation=False) == one / "report.html"
    assert report([one, other], evaluation=False).absolute() == tmp_path / "report.html"
    assert report([one, one], evaluation=False) == one / "report.html"
    sweep = swept(tmp_path / "sweep-1")
    assert report(sweep) == sweep / "report.html"
    assert not list(tmp_path.rglob("*.tmp"))


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    one, sweep = trained(tmp_path / "one"), swept(tmp_path / "sweep-1")
    for named, said in (
        ([], "which run?"), ([tmp_path / "nothing"], "there is no run"), ([one, sweep], "a report tells of one sweep"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=re.escape(said)):
            report(named)
    for file, said in ((tmp_path, "is a folder"), (tmp_path / "no" / "x.html", "there is no folder")):
        with pytest.raises(UsageError, match=said):
            report(one, file, evaluation=False)


def test_a_run_without_weights_says_so(tmp_path: Path) -> None:
    assert "The run kept no weights" in page(run(tmp_path / "mlp"), evaluation=True)
