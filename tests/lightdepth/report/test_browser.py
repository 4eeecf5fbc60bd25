"""The report in a real browser; skipped where there is none."""

import base64
import shutil

import cv2
import pytest

from lightdepth.report.page import heading, page, picture, plots
from lightdepth.report.scatter import Point, scatter_svg
from lightdepth.report.table import html_table
from lightdepth_runtime.table import Column, Table, number

selenium = pytest.importorskip("selenium", reason="selenium is not installed")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="no chromium with chromedriver on this machine")
PHONE_WIDTH = 375


@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser, tum, tmp_path):
    """Open a page with every kind of part at phone width."""
    image = cv2.imread(str(next((tum / "freiburg3_cabinet").glob("*_rgb.jpg"))))
    png = base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()
    rows = [[name, number(v, ".2f"), *["wide"] * 12] for name, v in (("b", 10.0), ("c", None), ("a", 9.0))]
    drawing = scatter_svg([Point("a model of a long name", 3, 0.1), Point("b", 300, 0.2)], "ms", "AbsRel")
    parts = [
        heading("x" * 80),
        html_table(Table("wide", [Column(name) for name in ("model", "ms", *"abcdefghijkl")], rows)),
        plots([(drawing, "left"), (drawing, "right")]),
        picture(f"data:image/png;base64,{png}", "a room"),
        html_table(Table("small", [Column("one")], [["1"]])),
    ]
    path = tmp_path / "page.html"
    path.write_text(page("A page", parts), encoding="utf-8")
    size = {"width": PHONE_WIDTH, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(path.as_uri())
    return browser


def first_column(browser):
    script = "return [...document.querySelectorAll('table')[0].tBodies[0].rows].map((r) => r.cells[0].textContent)"
    return browser.execute_script(script)


def test_the_page_loads_without_console_messages_and_with_its_pictures(opened):
    assert opened.get_log("browser") == []
    widths = opened.execute_script("return [...document.images].map((image) => image.naturalWidth)")
    assert widths == [160]


def test_a_phone_scrolls_tables_and_pictures_inside_the_page_not_the_page(opened):
    assert opened.execute_script("return document.documentElement.scrollWidth") <= PHONE_WIDTH
    assert opened.execute_script("return document.querySelector('.scroll').scrollWidth") > PHONE_WIDTH


def test_a_click_sorts_by_value_and_a_second_one_turns_the_order(opened):
    button = opened.find_elements("css selector", "thead button")[1]
    opened.execute_script("arguments[0].click()", button)
    assert first_column(opened) == ["a", "b", "c"], "9 before 10, unknown last"
    opened.execute_script("arguments[0].click()", button)
    assert first_column(opened) == ["b", "a", "c"]


def test_dark_and_light_follow_the_reader(opened):
    colours = []
    for value in ("light", "dark"):
        features = {"features": [{"name": "prefers-color-scheme", "value": value}]}
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
        colours.append(opened.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(255, 255, 255)", "rgb(18, 22, 27)"]
