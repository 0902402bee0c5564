"""Reports as a person sees them: in a real headless browser, opened from a file, without a network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hydrantic.reporting import report
from tests.browser.chromium import NotToBeHad, chromium, colour_scheme, complaints, requests, width
from tests.projects import DIGITS, write
from tests.runs_on_disk import blueprint, curves, run, trained
from tests.sweeping.sweeps import job, written

pytestmark = pytest.mark.browser

PAGES = ("one", "numbers", "several", "sweep", "harmful")
EVIL = "<img src=x onerror=\"document.title='harmed'\"><script>document.title='harmed'</script>"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    try:
        with chromium(tmp_path_factory.mktemp("profile")) as running:
            yield running
    except NotToBeHad as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report of each kind."""
    from hydrantic.fitting import fit

    folder = tmp_path_factory.mktemp("reports")
    overrides = ["trainer.max_epochs=4", "data.batch_size=256"]
    classes = fit(write(folder / "digits.yaml", DIGITS), overrides, directory=folder / "digits")
    text = "data: diabetes\nmodel: linear\nloss: mse\nmetrics: {mae: }\nloggers: {}\ntrainer: {max_epochs: 2}\n"
    numbers = fit(write(folder / "diabetes.yaml", text), directory=folder / "diabetes")
    several = [
        trained(folder / f"run-{at}", 6, falling=0.4 + at / 20, values=blueprint(optimizer__lr=lr), loss=lr)
        for at, lr in enumerate((0.02, 0.1, 0.003))
    ]
    jobs = [job(at, 1 / (at + 1), optimizer__lr=10.0**-at, model__name="mlp") for at in range(5)]
    sweep = written(folder / "sweep-1", *jobs, job(5, None, state="failed", error="no luck", optimizer__lr=9.0))
    for at in range(5):
        trained(sweep / str(at))
    return {
        "one": report(classes.path),
        "numbers": report(numbers.path),
        "several": report(several, folder / "several.html"),
        "sweep": report(sweep),
        "harmful": report(_harmful(folder / "harmful")),
    }


def _harmful(folder: Path) -> Path:
    """A run whose every text would like to be more."""
    values = blueprint() | {"description": EVIL, "name": EVIL, "vars": {EVIL: EVIL}}
    run(folder, values=values, status="failed", error={"type": "Error", "message": EVIL}, metrics={EVIL: 0.5})
    curves(
        folder, [{"step": at, "epoch": at, "training/<script>document.title='harmed'</script>": at} for at in (1, 2)]
    )
    (folder / "log.txt").write_text(EVIL)
    return folder


@pytest.fixture
def see(browser: Any, pages: dict[str, Path]) -> Any:
    """Opens a page on a wide, light screen."""

    def opened(name: str) -> Any:
        colour_scheme(browser, "light")
        width(browser, 1280)
        browser.get(pages[name].as_uri())
        settle(browser)
        return browser

    return opened


def settle(browser: Any) -> None:
    """Wait until what has changed is drawn."""
    browser.execute_script("return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def all_(browser: Any, selector: str) -> list[Any]:
    return list(browser.find_elements("css selector", selector))


def first(browser: Any, selector: str) -> Any:
    return all_(browser, selector)[0]


def hover(browser: Any, element: Any, share: float) -> None:
    """Move the pointer to a place in an element, by its share of the width."""
    from selenium.webdriver.common.action_chains import ActionChains

    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    offset = round((share - 0.5) * element.size["width"])
    ActionChains(browser).move_to_element_with_offset(element, offset, 0).perform()
    settle(browser)


def ground(browser: Any) -> int:
    """How light the page's ground is, from 0 to 765."""
    script = "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
    return int(sum(browser.execute_script(script)))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_for_nothing_and_complains_of_nothing(see: Any, name: str, pages: dict[str, Path]) -> None:
    requests(see(name))
    browser = see(name)
    assert set(requests(browser)) == {pages[name].as_uri()}
    assert complaints(browser) == []
    assert "harmed" not in browser.title or "<script>" in browser.title
    assert browser.execute_script("return document.documentElement.classList.contains('js')")


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("pixels", [360, 800, 1600])
def test_a_page_is_never_wider_than_the_screen(see: Any, name: str, pixels: int) -> None:
    browser = see(name)
    width(browser, pixels)
    settle(browser)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= pixels


@pytest.mark.parametrize("name", PAGES)
def test_what_is_said_is_readable_in_light_and_dark(see: Any, name: str) -> None:
    browser = see(name)
    assert ground(browser) > 600
    first(browser, "#theme").click()
    assert ground(browser) < 200
    first(browser, "#theme").click()
    assert ground(browser) > 600
    colour_scheme(browser, "dark")
    browser.refresh()
    assert ground(browser) < 200
    ink = "return getComputedStyle(document.body).color.match(/\\d+/g).slice(0, 3).map(Number)"
    assert sum(browser.execute_script(ink)) > 500


def test_curves_are_there_and_tell_their_values(see: Any) -> None:
    browser = see("one")
    lines = all_(browser, "figure.chart:first-child .curve[data-line]")
    assert [line.get_attribute("d").count("L") for line in lines] == [3, 3]
    assert all(line.size["width"] > 200 for line in lines)
    plot = first(browser, "figure.chart .plot svg")
    tip = first(browser, "figure.chart .tip")
    assert not tip.is_displayed()
    hover(browser, plot, 0.95)
    told = tip.text.splitlines()
    assert told[0].startswith("epoch 4, step ")
    data = json.loads(browser.execute_script("return document.querySelector('figure.chart script').textContent"))
    for line, series in zip(told[1:], data["series"], strict=True):
        name, _, value = line.rpartition(" ")
        assert name == series["name"]
        assert float(value) == pytest.approx(series["y"][-1], rel=1e-3)


def test_the_keys_tell_values_too(see: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = see("one")
    plot = first(browser, "figure.chart .plot svg")
    browser.execute_script("arguments[0].focus()", plot)
    plot.send_keys(Keys.ARROW_RIGHT)
    readout = first(browser, "figure.chart .readout")
    assert readout.get_attribute("textContent").startswith("epoch 1,")
    plot.send_keys(Keys.END)
    assert readout.get_attribute("textContent").startswith("epoch 4,")


def test_a_curve_can_be_hidden_and_shown(see: Any) -> None:
    browser = see("one")
    button = first(browser, "figure.chart .legend button")
    line = "figure.chart:first-child [data-line='0']"
    assert first(browser, line).is_displayed()
    button.click()
    assert not first(browser, line).is_displayed()
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert first(browser, line).is_displayed()


def test_a_chart_has_a_scale_of_decades_and_can_be_looked_at_closer(see: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    browser = see("several")
    line = "figure.chart:first-child .curve[data-line='0']"
    before = first(browser, line).get_attribute("d")
    first(browser, "figure.chart .log").click()
    assert first(browser, line).get_attribute("d") != before
    assert complaints(browser) == []
    plot, whole = first(browser, "figure.chart .plot svg"), first(browser, "figure.chart .whole")
    assert not whole.is_displayed()
    ActionChains(browser).move_to_element_with_offset(plot, -60, 0).click_and_hold().move_by_offset(160, 0).perform()
    assert all_(browser, "figure.chart:first-child .brush")
    ActionChains(browser).release().perform()
    settle(browser)
    closer = first(browser, line).get_attribute("d").count("L")
    assert 0 < closer < 5
    whole.click()
    assert first(browser, line).get_attribute("d").count("L") == 5


def test_a_table_is_sorted_by_a_click(see: Any) -> None:
    browser = see("several")
    head = next(each for each in all_(browser, "thead th") if each.text == "lr")
    at = all_(browser, "#runs thead th").index(head)

    def column() -> list[float]:
        return [float(row.find_elements("css selector", "th, td")[at].text) for row in all_(browser, "#runs tbody tr")]

    assert column() == [0.02, 0.1, 0.003]
    head.find_element("css selector", "button").click()
    assert column() == [0.003, 0.02, 0.1]
    assert head.get_attribute("aria-sort") == "ascending"
    head.find_element("css selector", "button").click()
    assert column() == [0.1, 0.02, 0.003]


def test_a_run_is_hidden_in_all_charts_at_once(see: Any) -> None:
    browser = see("several")
    lines = "figure.chart [data-line='1']"
    assert all(each.is_displayed() for each in all_(browser, lines))
    first(browser, "button[data-run='1']").click()
    assert len(all_(browser, lines)) == 2
    assert not any(each.is_displayed() for each in all_(browser, lines))


def test_a_job_is_lit_in_the_picture_and_in_the_table(see: Any) -> None:
    browser = see("sweep")
    assert len(all_(browser, ".parallel path.job")) == 5
    row = first(browser, "tr[data-job='3']")
    hover(browser, row, 0.5)
    (lit,) = all_(browser, ".parallel .job.on")
    assert lit.get_attribute("data-job") == "3"
    assert "chosen" in row.get_attribute("class")


def test_defaults_can_be_left_out_of_the_blueprint(see: Any) -> None:
    browser = see("one")
    rows = [each for each in all_(browser, "#values tbody tr") if each.is_displayed()]
    first(browser, "button[data-few]").click()
    left = [each.text for each in all_(browser, "#values tbody tr") if each.is_displayed()]
    assert 10 < len(left) < len(rows)
    assert not [each for each in left if each.endswith("default")]
    assert any("command line" in each for each in left)


def test_the_confusion_matrix_and_the_residuals_are_drawn(see: Any) -> None:
    cells = all_(see("one"), ".matrix tbody td")
    assert len(cells) == 100
    assert sum(int(each.text) for each in cells if each.text.isdecimal()) == 180
    browser = see("numbers")
    assert len(all_(browser, "circle.point")) == 44
    assert all(each.size["height"] > 0 for each in all_(browser, "rect.bar"))


@pytest.mark.parametrize("name", PAGES)
def test_on_paper_nothing_is_cut_off_or_asks_for_a_click(see: Any, name: str) -> None:
    browser = see(name)
    colour_scheme(browser, "dark", media="print")
    assert not any(each.is_displayed() for each in all_(browser, "nav, .tools, #theme, .only-js"))
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert printed["data"].startswith("JVBER")  # %PDF
    assert (
        browser.execute_script("return getComputedStyle(document.body).color.match(/\\d+/g).slice(0, 3).map(Number)[0]")
        < 90
    )


def test_without_scripts_everything_is_there(tmp_path: Path, pages: dict[str, Path]) -> None:
    try:
        with chromium(tmp_path / "profile", "--blink-settings=scriptEnabled=false") as browser:
            browser.get(pages["one"].as_uri())
            lines = all_(browser, "figure.chart:first-child .curve[data-line]")
            assert [line.get_attribute("d").count("L") for line in lines] == [3, 3]
            assert all(line.size["width"] > 200 for line in lines)
            assert not any(each.is_displayed() for each in all_(browser, "#theme, .tools, .only-js"))
    except NotToBeHad as reason:
        pytest.skip(str(reason))
