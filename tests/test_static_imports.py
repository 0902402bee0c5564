"""What Python files import, found by reading them."""

from __future__ import annotations

from pathlib import Path

from hydrantic.static_imports import definition_at, imported_files
from tests.projects import write


def test_files_are_followed_through_every_form_of_import(tmp_path: Path) -> None:
    shelf = tmp_path / "registry"
    mine = write(shelf / "deep" / "mine.py", "from ..sizes import WIDTH\nfrom . import near\nimport torch\n")
    sizes = write(shelf / "sizes.py", "import registry.further.units\nfrom registry.deep import mine\n")
    near = write(shelf / "deep" / "near.py", "from json import loads\nfrom ...outside import x\n")
    units = write(shelf / "further" / "units" / "__init__.py", "broken(")
    write(shelf / "unused.py", "")
    write(tmp_path / "outside.py", "")
    write(tmp_path.parent / "outside.py", "")
    assert imported_files(mine, shelf) == [near, units, sizes]
    assert imported_files(shelf / "nowhere.py", shelf) == []


def test_a_definition_is_found_with_what_it_and_its_module_import() -> None:
    text = "import torch.nn\n\n@decorated\nclass A:\n    import json\n\nclass B:\n    import csv\n"
    assert definition_at(text, 4) == ("@decorated\nclass A:\n    import json", {"torch", "json"})
    assert definition_at(text, 99) == ("", {"torch"})
