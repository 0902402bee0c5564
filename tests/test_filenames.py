"""Names of files that show logged values."""

from __future__ import annotations

import pytest

from hydrantic.filenames import file_safe, filled, leads_elsewhere, names_in


def test_a_template_tells_the_names_that_it_shows() -> None:
    assert names_in("{epoch:02d}-{validation/loss:.4f}-x") == ("epoch", "validation/loss")


@pytest.mark.parametrize("template", ["../{epoch}", "a/b", "a\\b", "{epoch}/x"])
def test_a_template_with_folders_leads_elsewhere(template: str) -> None:
    assert leads_elsewhere(template)


@pytest.mark.parametrize("template", ["{validation/loss:.4f}", "best", "a.b-{epoch}"])
def test_a_slash_within_a_logged_name_is_no_folder(template: str) -> None:
    assert not leads_elsewhere(template)


def test_a_value_stands_behind_its_name_unless_the_template_has_one() -> None:
    assert filled("{a/b}-c={d:.1f}", lambda name, style: f"{len(name)}{style}") == "a_b=3-c=1.1f"


def test_what_a_file_cannot_carry_becomes_an_underscore() -> None:
    assert file_safe("validation/loss of größe") == "validation_loss_of_größe"
