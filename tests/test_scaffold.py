"""Scaffolding: what is found out about a table, the blueprint that suits it, and files written together or not."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hydrantic.errors import UsageError
from hydrantic.fitting import fit
from hydrantic.run import Run
from hydrantic.scaffold import blueprint_stem, scaffolded
from hydrantic.scaffold.blueprints import batch_size, epochs, path_from, steps
from hydrantic.scaffold.files import written
from hydrantic.scaffold.survey import Marks, are_numbers, find_separator, looks_like_data, survey
from hydrantic.scaffold.tables import Table, read_table
from tests.projects import write
from tests.tiny import names

pytestmark = pytest.mark.usefixtures("scratch")

MARKS = Marks(frozenset({"NA", "nan"}), 50)


def table_file(folder: Path, header: str, row: Callable[[int], str], rows: int = 60, name: str = "table.csv") -> Path:
    text = "\n".join([header, *(row(number) for number in range(rows)), ""])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def noise(seed: int = 1) -> Iterator[float]:
    chance = random.Random(seed)
    while True:
        yield round(chance.gauss(0, 1), 3)


def block(table: Table, folder: Path) -> dict[str, Any]:
    """The blueprint for a table, written into a new project and read as YAML."""
    with scaffolded(folder, table) as scaffold:
        pass
    content: dict[str, Any] = yaml.safe_load(scaffold.blueprint.read_text("utf-8"))
    return content


def refusal(file: Path, target: str | None = None) -> str:
    with pytest.raises(UsageError) as refused:
        read_table(file, target)
    return str(refused.value)


def trained(table: Table, folder: Path, *overrides: str) -> Run:
    with scaffolded(folder, table) as scaffold:
        pass
    return fit(scaffold.blueprint, ["loggers={}", *overrides], project=folder, runs=folder / "runs")


# What a file holds.


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found(tmp_path: Path, separator: str) -> None:
    file = write(tmp_path / "a.csv", separator.join("abc") + "\n" + separator.join(["1.5", "x y", "z"]) + "\n")
    assert find_separator(file) == separator


def test_a_separator_within_quotes_is_none(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", 'a;b\n"1,2,3";4\n"5,6,7";8\n')
    assert find_separator(file) == ";"


def test_numbers_are_those_that_the_table_reads() -> None:
    assert are_numbers(["1", "-2.5", "1e-3", ".5", "+7"])
    assert not any(are_numbers([each]) for each in ("1_000", "1,5", "inf", "nan", "", "x", "\u0661"))


@pytest.mark.parametrize(
    ("header", "expected"),
    [(["5.1", "3.5", "setosa"], True), (["a", "b", "c"], False), (["0", "1", "2", "label"], False),
     (["2019", "2020", "2021"], False), (["a", "1", "x"], False), (["7", "y"], True)],
)  # fmt: skip
def test_a_header_of_numbers_looks_like_data_unless_it_counts(header: list[str], expected: bool) -> None:
    assert looks_like_data(header) is expected


def test_each_column_is_known_by_its_values(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.csv",
        """\
        number,text,when,marked,mixed,comma,nothing,key
        1.5,a,2024-01-01,3,1,"1,5",,k1
        NA,b,2024-01-02,?,x,2,,k2
        2,a,2024-01-03,4,2,"3,5",,k3
        """,
    )
    columns = {each.name: each for each in survey(file, MARKS).columns}
    kinds = {name: each.kind for name, each in columns.items()}
    assert kinds == {
        "number": "number", "text": "text", "when": "dates", "marked": "mixed", "mixed": "mixed",
        "comma": "decimal comma", "nothing": "empty", "key": "text",
    }  # fmt: skip
    assert [columns[name].missing for name in ("number", "text", "marked", "nothing")] == [1, 0, 1, 3]
    assert columns["marked"].placeholders == {"?"}
    assert columns["mixed"].placeholders == set()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("id", "{}", True), ("PassengerId", "{}", True), ("user_id", "u{}", True), ("plant", "p{}", True),
     ("paid", "{}", False), ("id", "{}.5", False), ("id", "same", False), ("note", "see {}", False),
     ("x", "{}", False)],
)  # fmt: skip
def test_an_id_is_different_in_every_row_and_called_or_written_so(
    tmp_path: Path, name: str, value: str, expected: bool
) -> None:
    file = table_file(tmp_path, f"{name},y", lambda n: f"{value.format(n)},{n % 2}", rows=200)
    assert survey(file, MARKS).columns[0].is_id is expected


# The blueprint that suits.


def flowers(folder: Path) -> Path:
    """Three kinds of flowers with numbered rows, a date and some missing values."""
    draw = noise()

    def row(number: int) -> str:
        kind = number % 3
        length = "" if number % 20 == 0 else f"{kind + next(draw) / 4:.2f}"
        return f"{number},{length},{next(draw)},{['low', 'high'][number % 2]},2024-05-{number % 28 + 1:02},kind {kind}"

    return table_file(folder, "row_id,length,width,place,seen,kind", row, rows=150)


def test_a_table_of_classes_gets_what_suits_classes(tmp_path: Path) -> None:
    content = block(read_table(flowers(tmp_path), None), tmp_path / "p")
    data = content["data"]
    assert (data["target"], data["id"], data["missing"]) == ("kind", "row_id", "mean")
    assert data["features"] == ["length", "width", "place"]
    assert data["path"] == "../../table.csv"
    assert content["loss"] == "cross_entropy"
    assert set(content["metrics"]) == {"accuracy", "f1"}


def test_the_blueprint_of_classes_beats_the_most_frequent_class(tmp_path: Path) -> None:
    run = trained(read_table(flowers(tmp_path), None), tmp_path / "p", "trainer.max_epochs=20")
    assert run.metrics["test/accuracy"] > 0.7  # each class has a third of the rows


def prices(folder: Path, unit: float = 1.0) -> Path:
    draw = noise()

    def row(number: int) -> str:
        size, age = next(draw), next(draw)
        price = unit * (300_000 + 80_000 * (size - age * age / 2))
        return f"{size};{age};{price!r}"

    return table_file(folder, "size;age;price", row, rows=400)


@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e9])
def test_the_blueprint_of_numbers_beats_their_mean_whatever_their_unit(tmp_path: Path, unit: float) -> None:
    table = read_table(prices(tmp_path, unit), None)
    run = trained(table, tmp_path / "p", "trainer.max_epochs=30")
    assert run.metrics["test/r2"] > 0.5


def test_a_table_of_numbers_gets_what_suits_numbers(tmp_path: Path) -> None:
    content = block(read_table(prices(tmp_path), None), tmp_path / "p")
    assert content["data"]["separator"] == ";"
    assert (content["loss"], set(content["metrics"])) == ("mse", {"mae", "r2"})
    assert content["model"]["name"] == "in_units"
    assert 200_000 < content["model"]["mean"] < 300_000
    assert (tmp_path / "p" / "registry" / "in_units.py").is_file()


def test_a_table_of_two_classes_gets_what_suits_two(tmp_path: Path) -> None:
    draw = noise()
    file = table_file(tmp_path, "a,b,y", lambda n: f"{next(draw) + n % 2},{next(draw)},{['no', 'yes'][n % 2]}")
    content = block(read_table(file, None), tmp_path / "p")
    assert (content["loss"], set(content["metrics"])) == ("bce_with_logits", {"accuracy", "f1", "auroc"})


def test_another_column_can_be_the_target(tmp_path: Path) -> None:
    table = read_table(flowers(tmp_path), "place")
    assert (table.choice.target, table.facts.task) == ("place", "binary")
    assert "kind" in table.choice.features


def test_rows_without_a_target_are_dropped_and_with_them_columns_that_would_cost_many(tmp_path: Path) -> None:
    file = table_file(
        tmp_path, "a,b,y", lambda n: f"{n if n % 2 else ''},{n % 7},{'' if n % 10 == 0 else 'pq'[n % 3 == 0]}"
    )
    table = read_table(file, None)
    assert (table.choice.missing, table.rows) == ("drop", 54)
    assert set(table.choice.left_out) == {"a"}


def test_marks_among_numbers_are_missing_values(tmp_path: Path) -> None:
    file = table_file(tmp_path, "a,b,y", lambda n: f"{'?' if n % 9 == 0 else n},{n % 7},{n % 2}")
    content = block(read_table(file, None), tmp_path / "p")
    assert content["data"]["missing"] == "mean"
    assert "?" in content["data"]["missing_values"]


def test_few_values_of_which_some_look_like_numbers_are_categories(tmp_path: Path) -> None:
    file = table_file(tmp_path, "code,b,y", lambda n: f"{['A1', '250', '7'][n % 3]},{n},{n % 2}")
    assert block(read_table(file, None), tmp_path / "p")["data"]["categorical"] == ["code"]


@pytest.mark.parametrize("name", ["off", "~", "1e3", "#x", "${oc.env:HOME}", "012", "null", "- a", "a: b", "'", "ä ö"])
def test_any_name_of_a_column_can_be_the_target(tmp_path: Path, name: str) -> None:
    from hydrantic.checking import check

    file = table_file(tmp_path, f"a,{name}", lambda n: f"{n},{n % 2}")
    with scaffolded(tmp_path / "p", read_table(file, None)) as scaffold:
        assert check(scaffold.blueprint).data.hparams["target"] == name


def test_a_blueprint_explains_itself_within_the_line(tmp_path: Path) -> None:
    with scaffolded(tmp_path / "p", read_table(flowers(tmp_path), None)) as scaffold:
        text = scaffold.blueprint.read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=../.hydrantic/blueprint.schema.json\n# ")
    assert "3 classes: kind 0, kind 1, kind 2" in text
    assert "seen holds dates such as 2024-05-01" in text
    assert max(map(len, text.splitlines())) <= 120


def test_sizes_follow_the_number_of_rows() -> None:
    rows = (7, 105, 700, 7_000, 700_000)
    assert [batch_size(each) for each in rows] == [16, 16, 32, 64, 1024]
    assert [epochs(each) for each in rows] == [100, 100, 100, 45, 10]
    assert steps(105) == 7


def test_the_path_leads_from_the_blueprint_to_the_file(tmp_path: Path) -> None:
    assert path_from(tmp_path / "p" / "blueprints", tmp_path / "my data" / "ä.csv") == "../../my data/ä.csv"


@pytest.mark.parametrize(
    ("file", "stem"),
    [("plants.csv", "plants"), ("Größe (1).csv", "größe_1"), ("a.b.csv", "a_b"), ("!.csv", "table"),
     ("digits.csv", "digits_table")],
)  # fmt: skip
def test_a_blueprint_is_named_after_its_table(file: str, stem: str) -> None:
    assert blueprint_stem(Path(file)) == stem


# What cannot be used.


BAD_CONTENT = {
    "is empty": b"",
    "is empty\n": b"\n\n",
    "has one column, 'a'": b"a\n1\n2\n",
    "has a header and no rows": b"a,b\n",
    "2 rows are too few": b"a,b\n1,x\n2,y\n",
    "has no header": b",,\n1,2,3\n",
    "has 2 columns called 'a'": b"a,a,y\n1,2,3\n",
    "2 columns called '1'; give each a name of its own; or is its first line no header?": b"1,1,y\n1,2,3\n",
    "has a column without a name, number 1": b",a\n1,2\n",
    "line 3 has 1 value, but the header has 2 columns": b"a,b\n1,2\n3\n",
    "is not in UTF-8 (line 2: 1,Gr\u00f6\u00dfe)": "a,b\n1,Gr\u00f6\u00dfe\n".encode("latin-1"),
    "it is in UTF-16": "a,b\n1,2\n".encode("utf-16"),
    "it is a workbook": b"PK\x03\x04",
    "it is compressed": b"\x1f\x8b\x08",
    "it is no text": b"a,b\n\0\0",
    "a lone carriage return": b"a,b\r1,2\r",
    "is no CSV file: field larger than field limit": b"a,b\n" + b"1" * 200_000 + b",2\n",
}


@pytest.mark.parametrize(("said", "content"), BAD_CONTENT.items(), ids=[each.strip() for each in BAD_CONTENT])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, said: str, content: bytes) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    assert said.strip() in refusal(tmp_path / "bad.csv")


BAD_TARGETS: dict[str, Callable[[int], str]] = {
    "has the same value in every row; choose another with --target NAME: a": lambda n: "7",
    "is text, and different in every row": lambda n: f"word {n}",
    "is text with more than 50 different values": lambda n: f"word {n % 55}",
    "holds dates such as 2024-01-01": lambda n: f"2024-01-{n % 28 + 1:02}",
    "has no values at all": lambda n: "",
    "holds numbers, but also 'x 0'": lambda n: f"x {n}" if n % 9 == 0 else f"{n}",
}


@pytest.mark.parametrize(("said", "value"), BAD_TARGETS.items(), ids=list(BAD_TARGETS))
def test_a_column_that_cannot_be_predicted_is_refused(tmp_path: Path, said: str, value: Callable[[int], str]) -> None:
    file = table_file(tmp_path, "a,y", lambda n: f"{n},{value(n)}")
    assert "'y', which is the last column, cannot be predicted: it " + said in refusal(file)


def test_the_last_column_is_no_target_where_it_names_the_rows(tmp_path: Path) -> None:
    file = table_file(tmp_path, "a,b,id", lambda n: f"{n % 5},{n % 3},{n}")
    assert refusal(file).endswith("it names the rows; choose another with --target NAME: a, b")
    assert read_table(file, "id").facts.task == "regression"


def test_an_unknown_target_is_answered_with_the_nearest(tmp_path: Path) -> None:
    assert refusal(flowers(tmp_path), "kinds").endswith("has no such column; did you mean 'kind'?")


def test_a_table_without_inputs_says_why_each_column_is_none(tmp_path: Path) -> None:
    file = table_file(tmp_path, "when,note,y", lambda n: f"2024-01-{n % 28 + 1:02},word {n},{n % 2}")
    said = refusal(file)
    assert "has no column to predict 'y' from" in said
    assert "\n  when: holds dates" in said
    assert "\n  note: is text, and different in every row" in said


def test_decimal_commas_are_refused_with_a_command_that_turns_them_into_points(tmp_path: Path) -> None:
    file = table_file(tmp_path, "a;price;y", lambda n: f"{n};{n},5;{n % 2}", name="it.csv")
    said = refusal(file)
    assert "column 'price' holds numbers with a comma, such as 0,5" in said
    code = said.partition('-c "')[2].removesuffix('"')
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert read_table(tmp_path / "it-points.csv", None).choice.features == ("a", "price")


def test_numbers_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    file = table_file(tmp_path, "a,b,y", lambda n: f"{n},1e300,{n % 2}")
    assert refusal(file).endswith("column 'b' holds numbers too large for 32-bit floats (line 2)")


def test_a_table_that_the_data_component_refuses_is_refused_in_its_words(tmp_path: Path) -> None:
    file = table_file(tmp_path, "a,b,y", lambda n: f"{n},{n % 3},{n % 2}")
    file.write_text(file.read_text("utf-8").replace("59,2,1", '59,2,"1'), encoding="utf-8")
    assert str(file.name) in refusal(file)


def test_a_missing_file_is_answered_with_the_nearest(tmp_path: Path) -> None:
    flowers(tmp_path)
    assert "there is no such file; did you mean" in refusal(tmp_path / "tabel.csv")
    assert "it is a folder" in refusal(tmp_path)


def test_a_path_that_is_no_text_is_refused(tmp_path: Path) -> None:
    assert "no text in UTF-8; rename the file" in refusal(tmp_path / "\udcff.csv")


# The files.


def test_files_are_written_and_what_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    with written({tmp_path / "a": "new", tmp_path / "sub" / "b": "new"}) as done:
        pass
    assert (done.new, done.kept) == ((tmp_path / "sub" / "b",), (tmp_path / "a",))
    assert (tmp_path / "a").read_text() == "mine"
    assert (tmp_path / "sub" / "b").read_text() == "new"


def test_where_something_fails_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "z").write_text("a file, no folder")
    said = "there is a file of that name; nothing was written"
    with pytest.raises(UsageError, match=said), written({tmp_path / "new" / "a": "", tmp_path / "z" / "b": ""}):
        pass
    assert names(tmp_path) == ["z"]


def test_where_the_body_fails_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), written({tmp_path / "new" / "deep" / "a": ""}):
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_link_that_leads_nowhere_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "gone")
    with written({tmp_path / "a": "new"}) as done:
        pass
    assert done.new == ()
    assert not (tmp_path / "gone").exists()


def test_a_table_in_a_project_adds_its_blueprint_alone(tmp_path: Path) -> None:
    (tmp_path / "p" / "blueprints").mkdir(parents=True)
    with scaffolded(tmp_path / "p", read_table(flowers(tmp_path), None)) as scaffold:
        pass
    assert scaffold.written.new == (tmp_path / "p" / "blueprints" / "table.yaml",)


def test_a_blueprint_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    mine = write(tmp_path / "p" / "blueprints" / "table.yaml", "data: digits\n")
    table, said = read_table(flowers(tmp_path), None), "is there already and stays as it is"
    with pytest.raises(UsageError, match=said), scaffolded(tmp_path / "p", table):
        pass
    assert mine.read_text() == "data: digits\n"


def test_a_project_that_has_the_model_of_units_keeps_its_own(tmp_path: Path) -> None:
    table = read_table(prices(tmp_path), None)
    own = write(tmp_path / "p" / "registry" / "all.py", 'register_model("in_units")\n')
    with scaffolded(tmp_path / "p", table) as scaffold:
        pass
    assert [each.name for each in scaffold.written.new] == ["table.yaml"]
    assert own.is_file()


def test_another_module_in_the_place_of_the_model_of_units_is_told(tmp_path: Path) -> None:
    write(tmp_path / "p" / "registry" / "in_units.py", "")
    table, said = read_table(prices(tmp_path), None), "registers no model 'in_units'"
    with pytest.raises(UsageError, match=said), scaffolded(tmp_path / "p", table):
        pass
    assert names(tmp_path / "p") == ["registry"]
