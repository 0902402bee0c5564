"""Fields that hold a path: one that is read lies where the blueprint says, one that is written lies in the run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from hydrantic.hparams import Hparams


@dataclass(frozen=True)
class PathRule:
    """What a path of a blueprint may be: a local file to read, or a place below the run's directory to write."""

    role: Literal["input", "output"]

    def check(self, value: str | Path) -> Path:
        """The path, if the rule allows it.

        Raises:
            pydantic_core.PydanticCustomError: it is a URL, or would be written outside the run's directory.
        """
        text = str(value)
        if "://" in text or "\0" in text or not text:
            raise PydanticCustomError("local_path", "must be the path of a local file, not a URL")
        path = Path(text)
        if self.role == "output" and (path.is_absolute() or ".." in path.parts or text.startswith("~")):
            raise PydanticCustomError("run_path", "must lie below the run's directory: a relative path without '..'")
        try:
            return path.expanduser()
        except RuntimeError:
            home = {"home": path.parts[0]}
            raise PydanticCustomError("home_path", "there is no home folder '{home}'", home) from None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        text_or_path = core_schema.union_schema(
            [core_schema.str_schema(strict=True), core_schema.is_instance_schema(Path)],
            custom_error_type="path_type",
            custom_error_message="must be a path",
        )
        return core_schema.no_info_after_validator_function(
            self.check, text_or_path, serialization=core_schema.to_string_ser_schema()
        )


InputPath: TypeAlias = Annotated[Path, PathRule("input")]
"""A local file or folder that a component reads; relative to the file that writes it, or to the working directory."""

OutputPath: TypeAlias = Annotated[Path, PathRule("output")]
"""A place that a component writes to, relative to the run's directory and never outside it."""


def rule_of(annotation: Any) -> PathRule | None:
    """The rule of a field's annotation, or None where it is no path."""
    return next((each for each in getattr(annotation, "__metadata__", ()) if isinstance(each, PathRule)), None)


def input_paths(hparams: type[Hparams]) -> list[str]:
    """The fields that hold the path of something to read."""
    rules = {name: each for name, field in hparams.model_fields.items() for each in field.metadata}
    return [name for name, each in rules.items() if isinstance(each, PathRule) and each.role == "input"]
