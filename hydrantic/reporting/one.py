"""The report of one run: results, curves, predictions, the blueprint with origins, the environment, and the log."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from hydrantic.metrics_table import Curve
from hydrantic.records import local_time
from hydrantic.reporting.charts import Chart, Series, drawn
from hydrantic.reporting.markup import Html, Part, joined, tag
from hydrantic.reporting.material import Material, leaves
from hydrantic.reporting.page import Section, page
from hydrantic.reporting.scales import is_drawable, number
from hydrantic.reporting.tables import Cell, pairs, scrolled, table
from hydrantic.source import KeyPath, dotted
from hydrantic.sweeping.words import duration
from hydrantic.texts import counted
from hydrantic.yaml_text import to_inline_yaml

if TYPE_CHECKING:
    from hydrantic.reporting.evaluation import Evaluation

STAGES: Final = ("training", "validation", "test")
_MOST_CHARTS: Final = 40
_MOST_CARDS: Final = 8
_DEEPEST: Final = 5


def page_of_run(run: Material, evaluation: Evaluation | str | None) -> str:
    """The page about one run.

    Arguments:
        run: what its directory tells.
        evaluation: what its best checkpoint says of samples that it was not trained on; or why nothing can be said of
            that; or None where nobody asked.
    """
    sections = [
        Section("results", "Results", _results(run)),
        Section("curves", "Curves", _curves(run)),
        *([] if evaluation is None else [Section("predictions", "Predictions", _predictions(evaluation))]),
        Section("blueprint", "Blueprint", _blueprint(run)),
        Section("environment", "Environment", _environment(run)),
        Section("log", "Log", _log(run)),
    ]
    return page(f"{run.name}: {run.id}", header(run), sections)


# -- above everything --------------------------------------------------------------------------------------------------


def header(run: Material) -> Html:
    """Name, state, times and what went wrong."""
    description = run.blueprint.get("description")
    facts = [
        ("run", run.id),
        ("began", local_time(run.fields.get("started"))),
        ("took", None if run.run.seconds is None else duration(run.run.seconds)),
        ("seed", None if run.fields.get("seed") is None else str(run.fields["seed"])),
    ]
    return joined(
        tag("div", tag("h1", run.name), state(run.state), class_="top"),
        tag("p", str(description), class_="about") if description else None,
        tag("ul", [tag("li", f"{name} ", tag("b", said)) for name, said in facts if said], class_="facts"),
        notices(run),
    )


def state(word: str) -> Html:
    """How a run or a job stands."""
    return tag("span", word, class_=f"state {word if word.isalpha() else 'unknown'}")


_MEANINGS: Final[Mapping[str, str]] = {
    "died": "Its process has ended without a word: it was killed, or the machine went down.",
    "interrupted": "It was stopped before its end; its state is kept, and `hydrantic resume` goes on with it.",
    "pruned": "The study gave it up before its end.",
    "running": "It has not ended yet: this page shows how far it had come.",
    "planned": "It has not begun.",
}


def notices(run: Material) -> list[Html]:
    """What a person should know before reading further."""
    said = [] if run.state == "broken" else [run.run.error] if run.run.error else []
    bad = [*said, *run.faults, *([_MEANINGS["died"]] if run.state == "died" else [])]
    mild = [_MEANINGS[run.state]] if run.state in _MEANINGS and run.state != "died" else []
    return [_notice(bad, "notice")] * bool(bad) + [_notice(mild, "notice mild")] * bool(mild)


def _notice(lines: Sequence[str], class_: str) -> Html:
    return tag("div", [tag("p", line) for line in lines], class_=class_, role="note")


# -- results -----------------------------------------------------------------------------------------------------------


def _results(run: Material) -> Part:
    metrics = run.metrics
    if not metrics:
        return tag("p", "Nothing was logged.")
    shown = _headline(metrics)
    cards = [tag("div", tag("dt", name), tag("dd", number(value))) for name, value in list(shown.items())[:_MOST_CARDS]]
    return joined(tag("dl", cards, class_="cards"), _explained(run), _metrics(run, metrics))


def _headline(metrics: Mapping[str, float]) -> dict[str, float]:
    for stage in ("test", "validation"):
        if found := {name: value for name, value in metrics.items() if name.startswith(f"{stage}/")}:
            return found
    return dict(metrics)


def _explained(run: Material) -> Html | None:
    checkpoint = run.fields.get("best_checkpoint")
    if not checkpoint:
        return None
    epoch = _epoch_of_best(run)
    when = "" if epoch is None else f", kept after epoch {int(epoch) + 1}"
    has_test = any(name.startswith("test/") for name in run.metrics)
    words = "The test was made with the best checkpoint" if has_test else "The best checkpoint is"
    return tag("p", f"{words}, ", tag("code", str(checkpoint)), f"{when}.")


def _epoch_of_best(run: Material) -> float | None:
    """The epoch of the best checkpoint; None where the record tells none, or no number."""
    epoch = run.at_best.get("epoch")
    return epoch if epoch is not None and is_drawable(epoch) else None


def _metrics(run: Material, metrics: Mapping[str, float]) -> Html:
    names = list(dict.fromkeys(_without_stage(name) for name in metrics))
    best = run.at_best
    columns: list[tuple[str, Callable[[str], float | None]]] = [
        ("training, last", lambda name: metrics.get(f"training/{name}", metrics.get(name))),
        ("validation, last", lambda name: metrics.get(f"validation/{name}")),
        ("validation, best checkpoint", lambda name: best.get(f"validation/{name}")),
        ("test", lambda name: metrics.get(f"test/{name}")),
    ]
    used = [(head, value) for head, value in columns if any(value(name) is not None for name in names)]
    rows = [[Cell(name), *Cell.alike([value(name) for _, value in used])] for name in names]
    return table(["metric", *(head for head, _ in used)], rows)


def _without_stage(name: str) -> str:
    stage, _, rest = name.partition("/")
    return rest if stage in STAGES and rest else name


# -- curves ------------------------------------------------------------------------------------------------------------


def _curves(run: Material) -> Part:
    groups = grouped(run.curves)
    if not groups:
        return tag("p", "There are no curves: nothing was logged more than for the test.")
    best = _epoch_of_best(run) if run.fields.get("best_checkpoint") else None
    mark = None if best is None else best + 1
    shown = list(groups.items())[:_MOST_CHARTS]
    charts = [drawn(Chart(name, _series(curves), mark, _tested(run, name))) for name, curves in shown]
    rest = len(groups) - len(shown)
    more = tag("p", f"{counted(rest, 'further logged name')} left out.") if rest else None
    hint = "Point at a curve for its values, drag across it to look closer; the arrow keys do as well."
    dashed = " The dashed line marks the best checkpoint." if mark is not None else ""
    return joined(tag("p", hint, dashed, class_="only-js"), tag("div", charts, class_="tiles"), more)


def grouped(curves: Mapping[str, Curve]) -> dict[str, list[Curve]]:
    """The curves of training and validation by what they tell of; those of the test are single values."""
    groups: dict[str, list[Curve]] = {}
    for name, curve in curves.items():
        if not name.startswith("test/"):
            groups.setdefault(_without_stage(name), []).append(curve)
    return groups


def _series(curves: Sequence[Curve]) -> list[Series]:
    ordered = sorted(curves, key=lambda curve: (STAGES.index(curve.stage) if curve.stage in STAGES else 3, curve.name))
    return [Series(curve.stage or curve.name, curve, at) for at, curve in enumerate(ordered)]


def _tested(run: Material, name: str) -> str:
    value = run.metrics.get(f"test/{name}")
    return "" if value is None else f"test {number(value)}"


# -- predictions -------------------------------------------------------------------------------------------------------


def _predictions(evaluation: Evaluation | str) -> Part:
    if isinstance(evaluation, str):
        return joined(tag("p", "The model could not be evaluated here:"), _notice([evaluation], "notice mild"))
    from hydrantic.reporting.figures import pictures

    intro = (
        f"What the best checkpoint says of the {counted(evaluation.samples, 'sample')} of the {evaluation.split} "
        "split, computed for this page."
    )
    changed = _notice(["Changed since the run:", *evaluation.notes], "notice mild") if evaluation.notes else None
    return joined(tag("p", intro), changed, pictures(evaluation))


# -- the blueprint -----------------------------------------------------------------------------------------------------


def _blueprint(run: Material) -> Part:
    if not run.blueprint:
        return tag("p", "There is no blueprint that could be read.")
    known = run.fields.get("origins")
    said = known if isinstance(known, Mapping) else _from_command(run)
    origins = {str(key): str(origin) for key, origin in said.items()}
    rows = list(_rows(run.blueprint, origins, "default" if said is known else ""))
    heads = [tag("th", name, scope="col") for name in ("key", "value", "from")]
    whole = tag(
        "table", tag("thead", tag("tr", heads)), tag("tbody", rows), class_="blueprint", id="values"
    )  # fmt: skip
    note = "Every value of the run, its defaults written out, and where it came from."
    if not isinstance(known, Mapping):
        note = "Every value of the run. Its record does not hold where they came from, but for the command line."
    button = tag("button", "without defaults", type="button", aria_pressed="false", data_few="values", class_="only-js")
    text = (
        tag("details", tag("summary", "as YAML"), _text_block(run.text, "the blueprint as YAML")) if run.text else None
    )
    return joined(tag("p", note), tag("p", button), scrolled(whole, "the values of the blueprint"), text)


def _from_command(run: Material) -> dict[str, str]:
    command = run.fields.get("command")
    words = [str(each) for each in command] if isinstance(command, list) else []
    return {word.lstrip("+~").partition("=")[0]: "command line" for word in words if "=" in word}


def _rows(values: Mapping[str, Any], origins: Mapping[str, str], otherwise: str) -> Iterator[Html]:
    seen: set[KeyPath] = set()
    held = {path[:length] for path, _ in leaves(values) if _origin(path, origins) for length in range(len(path))}
    for path, value in leaves(values):
        for length in range(1, len(path)):
            if (above := path[:length]) not in seen:
                seen.add(above)
                yield _row(above, "", "", "branch holds" if above in held else "branch")
        origin = _origin(path, origins)
        yield _row(path, to_inline_yaml(value), origin or otherwise, "set" if origin else None)


def _row(path: KeyPath, value: str, origin: str, class_: str | None) -> Html:
    name = tag("th", str(path[-1]), scope="row", class_=f"i{min(len(path) - 1, _DEEPEST)}", title=dotted(path))
    return tag("tr", name, tag("td", value), tag("td", origin), class_=class_)


def _origin(path: KeyPath, origins: Mapping[str, str]) -> str:
    """Where a value came from, or what it is a part of."""
    return next((said for length in range(len(path), 0, -1) if (said := origins.get(dotted(path[:length])))), "")


# -- where and how -----------------------------------------------------------------------------------------------------


def _environment(run: Material) -> Part:
    fields = run.fields
    rows: list[tuple[str, Part]] = [
        ("command", _code(command_of(fields.get("command")))),
        ("directory", tag("code", str(run.directory))),
        ("git commit", _git(fields.get("git"))),
        ("host", _text(fields.get("host"))),
        ("platform", _text(fields.get("platform"))),
        ("device", _text(fields.get("device"))),
        ("processes", _text(fields.get("processes"))),
        ("threads", _text(fields.get("threads"))),
        ("attempt", _text(fields.get("attempt")) if fields.get("attempt") not in (None, 1) else ""),
        ("began", _text(fields.get("started"))),
        ("ended", _text(fields.get("ended"))),
    ]
    versions = [(str(name), _text(said)) for name, said in _items(fields.get("versions"))]
    data = [("fingerprint of the data", _code(_text(fields.get("data"))))]
    hashes = [
        (str(name), tag("code", str(said)[:16], title=str(said))) for name, said in _items(fields.get("components"))
    ]
    left = tag("div", tag("h3", "Process"), pairs(rows), tag("h3", "Versions"), pairs(versions))
    right = tag(
        "div", tag("h3", "Data"), pairs(data), tag("h3", "Components, by the hash of their source"), pairs(hashes)
    )
    return tag("div", left, right, class_="columns")


def command_of(words: Any) -> str:
    """A command line as it can be copied into a shell."""
    if not isinstance(words, list) or not words:
        return ""
    first, *rest = map(str, words)
    program = PurePath(first)
    is_ours = program.name == "hydrantic" or program.parts[-2:] == ("hydrantic", "__main__.py")
    return shlex.join(["hydrantic" if is_ours else first, *rest])


def _items(said: Any) -> list[tuple[Any, Any]]:
    return list(said.items()) if isinstance(said, Mapping) else []


def _text(said: Any) -> str:
    return "" if said is None else str(said)


def _code(text: str) -> Html | None:
    return tag("code", text) if text else None


def _git(said: Any) -> Part:
    if not isinstance(said, Mapping) or not said.get("commit"):
        return ""
    changed = ", with changes that were not committed" if said.get("dirty") else ""
    return joined(tag("code", str(said["commit"])), changed)


def _log(run: Material) -> Part:
    if not run.log:
        return tag("p", "It has printed nothing.")
    return _text_block(run.log, "what the run printed")


def _text_block(text: str, label: str) -> Html:
    return tag("pre", tag("code", text), tabindex="0", role="group", aria_label=label)
