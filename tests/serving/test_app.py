"""What a served model answers to good requests and bad ones."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor

from hydrantic.answers import answers
from hydrantic.errors import UsageError
from hydrantic.facts import Facts
from hydrantic.fitting import fit
from hydrantic.opening import Opened, open_run
from hydrantic.serving import Terms, create_app_of
from tests.exporting.test_exporting import SHORT, TABLE
from tests.projects import write
from tests.serving.asking import Answered, ask

ROW = {"width": 1.5, "height": 2, "colour": "red", "wet": True}


def opened_on(folder: Path, data: str, loss: str = "cross_entropy") -> Opened:
    """A model that was trained on data."""
    text = f"data: {data}\nloss: {loss}\n{SHORT}"
    return open_run(fit(write(folder / "served.yaml", text), runs=folder / "runs", test=False).path)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """Trained on a table with categories, truth values and missing values."""
    folder = tmp_path_factory.mktemp("table")
    write(folder / "t.csv", TABLE)
    return opened_on(folder, f"{{name: csv, path: {folder}/t.csv, target: kind, missing: mean, standardize: true}}")


@pytest.fixture(scope="module")
def app(table: Opened) -> Any:
    """That model, served."""
    return create_app_of(table, Terms(max_body=0.01))


def asked(app: Any, *words: Any, **more: Any) -> Answered:
    return asyncio.run(ask(app, *words, **more))


def wrong(app: Any, body: Any) -> list[tuple[list[Any], str]]:
    """Where and what is wrong with a request."""
    found = asked(app, "/predict", body)
    assert found.status == 422
    return [(each["loc"], each["msg"]) for each in found.json["detail"]]


# -- answers ----------------------------------------------------------------------------------------------------------


def test_rows_by_column_names_get_what_the_model_says_of_them(app: Any, table: Opened) -> None:
    rows = [ROW, {"width": None, "height": 0.25, "colour": "green", "wet": False}, {**ROW, "colour": None, "wet": None}]
    found = asked(app, "/predict", {"rows": rows})
    assert found.status == 200
    raw = torch.tensor([[1.5, 2, 0, 1, 1], [torch.nan, 0.25, 1, 0, 0], [1.5, 2, 0, 0, torch.nan]])
    said = answers(table.model(table.data.preprocessing(raw)), table.facts)  # type: ignore[operator]
    assert [each["prediction"] for each in found.json["predictions"]] == said.classes
    assert said.probabilities is not None
    shares = [list(each["probabilities"].values()) for each in found.json["predictions"]]
    torch.testing.assert_close(torch.tensor(shares), said.probabilities)
    assert list(found.json["predictions"][0]["probabilities"]) == ["cat", "dog", "emu"]
    assert (found.json["model"], found.json["task"]) == ("served", "multiclass")


def test_a_row_of_the_file_is_encoded_as_training_did(table: Opened) -> None:
    data: Any = table.data
    row = {"width": 1.34, "height": 4.0, "colour": "green", "wet": True}  # the last but 25th of the file
    [inputs] = data.preprocessing(data.encode_rows([row]))
    assert torch.equal(inputs, data.samples.inputs[34])


def test_requests_that_come_together_get_their_own_answers(app: Any) -> None:
    async def many() -> list[Answered]:
        rows = [{**ROW, "width": number / 10} for number in range(20)]
        return await asyncio.gather(*(ask(app, "/predict", {"rows": [row]}) for row in rows))

    shares = [each.json["predictions"][0]["probabilities"]["cat"] for each in asyncio.run(many())]
    alone = [asked(app, "/predict", {"rows": [{**ROW, "width": n / 10}]}) for n in range(20)]
    assert shares == pytest.approx([each.json["predictions"][0]["probabilities"]["cat"] for each in alone])
    assert len(set(shares)) == 20


def test_health_and_what_the_model_is_can_be_asked(app: Any) -> None:
    assert asked(app, "/health").json == {"status": "ok"}
    about = asked(app, "/").json
    assert about["names"] == ["cat", "dog", "emu"]
    assert asked(app, "/predict", about["request"]).status == 200


def test_the_description_tells_the_types_of_requests_and_answers(app: Any) -> None:
    described = asked(app, "/openapi.json").json
    schemas = json.loads(json.dumps(described["components"]["schemas"]).replace("#/components/schemas/", "#/$defs/"))

    def check(what: Any, name: str) -> None:
        jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schemas}).validate(what)

    check({"rows": [ROW]}, "Request")
    check(asked(app, "/predict", {"rows": [ROW]}).json, "Response")
    check(asked(app, "/predict", {}).json, "ProblemsReply")
    for row in ({**ROW, "colour": "rod"}, {**ROW, "more": 1}, {**ROW, "wet": "yes"}):
        with pytest.raises(jsonschema.ValidationError):
            check({"rows": [row]}, "Request")


def test_inputs_without_names_are_arrays_of_their_shape(tmp_path: Path) -> None:
    app = create_app_of(opened_on(tmp_path, "{name: digits, split: [100, 50, 50]}"), Terms())
    example = asked(app, "/").json["request"]
    assert torch.tensor(example["rows"]).shape == (1, 1, 8, 8)
    assert asked(app, "/predict", example).json["predictions"][0]["prediction"] in set("0123456789")
    example["rows"][0][0][3].pop()
    assert wrong(app, example) == [(["rows", 0, 0, 3], "List should have at least 8 items after validation, not 7")]


def test_whatever_it_was_trained_in_a_model_is_served(tmp_path: Path) -> None:
    text = f"data: iris\nloss: cross_entropy\n{SHORT}"
    run = fit(write(tmp_path / "a.yaml", text), ["trainer.precision=64-true"], runs=tmp_path / "runs", test=False)
    app = create_app_of(open_run(run.path), Terms())
    row = dict.fromkeys(open_run(run.path).facts.feature_names or (), 1.0)
    assert asked(app, "/predict", {"rows": [row]}).status == 200


def test_numbers_are_told_by_the_targets_name(tmp_path: Path) -> None:
    app = create_app_of(opened_on(tmp_path, "diabetes", "mse"), Terms())
    example = asked(app, "/").json["request"]
    assert list(example["rows"][0]) == ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]
    [reply] = asked(app, "/predict", example).json["predictions"]
    assert list(reply["prediction"]) == ["progression"]


# -- bad requests -----------------------------------------------------------------------------------------------------


def test_every_wrong_value_is_told_with_its_place(app: Any) -> None:
    row = {"width": "1.5", "height": 1, "colour": "rod", "wet": 1, "more": 2}
    assert wrong(app, {"rows": [ROW, row]}) == [
        (["rows", 1, "width"], "Input should be a valid number"),
        (["rows", 1, "colour"], "Input should be 'green' or 'red'"),
        (["rows", 1, "wet"], "Input should be a valid boolean"),
        (["rows", 1, "more"], "Extra inputs are not permitted"),
    ]


@pytest.mark.parametrize(
    ("body", "where", "what"),
    [
        (
            b'{"rows": [{"width": NaN, "height": 1, "colour": null, "wet": null}]}',
            ["rows", 0, "width"],
            "finite number",
        ),
        (b'{"rows": [{"width": 1e300, "height": 1, "colour": null, "wet": null}]}', ["rows", 0], "too large"),
        (b'{"rows": [{"height": 1, "colour": null, "wet": null}]}', ["rows", 0, "width"], "required"),
        (b'{"rows": [{"height": ', [], "Invalid JSON"),
        (b"\xff\xfe", [], "Invalid JSON"),
        (b"[" * 5000, [], "Invalid JSON"),
        (b"", [], "Invalid JSON"),
        (b'{"rows": []}', ["rows"], "at least 1 item"),
        (b'{"row": []}', ["rows"], "required"),
        (b"[]", [], "object"),
    ],
)
def test_a_request_that_is_none_is_refused(app: Any, body: bytes, where: list[Any], what: str) -> None:
    place, message = wrong(app, body)[0]
    assert place == where
    assert what in message


def test_of_many_problems_the_first_are_told(app: Any) -> None:
    problems = wrong(app, {"rows": [{**ROW, "height": "x"}] * 100})
    assert len(problems) == 21
    assert problems[-1] == ([], "and 80 more")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(app: Any, kind: str) -> None:
    found = asked(app, "/predict", {"rows": [ROW]}, headers={"content-type": kind})
    assert (found.status, found.json["detail"][0]["loc"]) == (422, ["header", "content-type"])


@pytest.mark.parametrize("parts", [1, 40])
def test_a_body_that_is_too_large_is_refused(app: Any, parts: int) -> None:
    found = asked(app, "/predict", b" " * 20_000, parts=parts)
    assert (found.status, found.json["detail"]) == (413, "the body has more than 10,485 bytes")


def test_what_is_not_there_is_not_found(app: Any) -> None:
    assert asked(app, "/nothing").status == 404
    assert asked(app, "/predict").status == 405
    assert asked(app, "/health", b"").status == 405


def test_ones_own_machine_is_not_answered_under_another_name(app: Any) -> None:
    assert asked(app, "/health", headers={"host": "attacker.example"}).status == 400
    assert asked(app, "/health", headers={"host": "[::1]:8000"}).status == 200


# -- models of all kinds ----------------------------------------------------------------------------------------------


class Stub(LightningModule):
    """Answers as it is told to."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, inputs: Tensor) -> Any:
        return self.answer(inputs)


def served(answer: Any, facts: Facts) -> Any:
    """The application of a model that answers so."""
    opened: Any = type("Opened", (), {})()
    opened.model, opened.data, opened.facts = Stub(answer), LightningDataModule(), facts
    opened.plan = type("Plan", (), {"name": "stub"})
    return create_app_of(opened, Terms(max_batch=2))


def test_labels_are_told_by_their_names() -> None:
    facts = Facts(task="multilabel", input_shape=(2,), target_names=("wet", "cold"), num_labels=2)
    [reply] = asked(served(lambda x: x, facts), "/predict", {"rows": [[1.0, -1.0]]}).json["predictions"]
    assert reply["prediction"] == ["wet"]
    assert reply["probabilities"] == pytest.approx({"wet": 0.731, "cold": 0.269}, abs=1e-3)


def test_outputs_whose_meaning_nothing_tells_are_told_as_they_are() -> None:
    app = served(lambda x: {"twice": 2 * x, "sum": x.sum(1)}, Facts(task="multiclass", num_classes=3, input_shape=(2,)))
    found = asked(app, "/predict", {"rows": [[1, 2], [3, 4], [5, 6]]}).json["predictions"]
    assert found[2] == {"outputs": {"twice": [10.0, 12.0], "sum": 11.0}}


def test_a_number_that_is_none_is_told_as_null() -> None:
    app = served(lambda x: x.log(), Facts(task="regression", input_shape=(1,)))
    found = asked(app, "/predict", {"rows": [[-1], [0], [1]]}).json["predictions"]
    assert [each["prediction"] for each in found] == [{"0": None}, {"0": None}, {"0": 0.0}]


def test_a_model_that_fails_on_a_request_says_no_more_than_that() -> None:
    def fail(x: Tensor) -> Tensor:
        if float(x.max()) > 100:
            raise RuntimeError("a secret")
        return x

    app = served(fail, Facts(task="regression", input_shape=(1,)))

    async def both() -> list[Any]:
        return await asyncio.gather(
            ask(app, "/predict", {"rows": [[101]]}), ask(app, "/predict", {"rows": [[1], [1]]}), return_exceptions=True
        )

    failed, fine = asyncio.run(both())
    assert isinstance(failed, RuntimeError)  # the server behind logs it, after the client was answered
    assert fine.status == 200


def test_data_that_does_not_say_what_its_inputs_are_is_refused() -> None:
    with pytest.raises(UsageError, match=r"needs facts.. with an input_shape, or row_fields.. and encode_rows"):
        served(lambda x: x, Facts(task="regression"))


def test_a_model_that_does_not_take_its_datas_inputs_is_refused() -> None:
    with pytest.raises(UsageError, match="does not take inputs of the shape that its data states"):
        served(lambda x: x @ torch.zeros(3, 1), Facts(task="regression", input_shape=(2,)))
