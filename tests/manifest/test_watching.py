"""What a project's modules look at when they are imported makes the manifest out of date when it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydrantic.manifest import current, fresh
from hydrantic.manifest.watching import Watch, digest_of_variable
from tests.projects import project, write

pytestmark = pytest.mark.usefixtures("scratch")

SHELF = """
    import json, os
    from pathlib import Path
    from torch import nn
    from hydrantic import register_model

    WIDTH = json.loads((Path(__file__).parent.parent / "width.json").read_text())

    @register_model("wide" if os.environ.get("OF_THIS_SHELF") else "narrow")
    class Wide(nn.Linear):
        def __init__(self, in_features: int, out_features: int, width: int = WIDTH) -> None:
            super().__init__(in_features, out_features)
    """


def test_a_file_that_is_read_and_a_variable_that_is_asked_for_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OF_THIS_SHELF", raising=False)
    write(tmp_path / "width.json", "8")
    home = project(tmp_path, models=SHELF)
    part = current(home).parts[0]
    assert part["variables"] == {"OF_THIS_SHELF": ""}
    assert list(part["dependencies"]) == [str(tmp_path / "width.json")]
    assert fresh(home) is not None
    monkeypatch.setenv("OF_THIS_SHELF", "1")
    assert fresh(home) is None
    write(tmp_path / "width.json", "16")
    wide = current(home).named("model", "wide")
    assert wide is not None
    assert wide.fields["width"]["default"] == 16


def test_the_value_of_a_variable_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THIS_SHELF", "a secret")
    assert "secret" not in digest_of_variable("OF_THIS_SHELF")
    assert digest_of_variable("OF_THIS_SHELF") != digest_of_variable("OF_NO_SHELF") == ""


def test_a_file_that_is_not_there_yet_counts_and_one_that_is_data_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hydrantic.manifest.watching.LARGEST", 2)
    small, large, missing = write(tmp_path / "small", "ab"), write(tmp_path / "large", "abc"), tmp_path / "missing"
    watch = Watch(tmp_path, (), {str(small), str(large), str(missing)})
    assert list(watch.files) == [str(missing), str(small)]
    assert watch.files[str(missing)] == ""
