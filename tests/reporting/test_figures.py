"""Figures say what they show, draw only what is there, and are told apart without colour."""

from xml.etree import ElementTree

import pytest

from frugalrl.reporting.figures import (
    DARK_CSS,
    FIGURE_CSS,
    Point,
    Series,
    describe,
    interval_bar,
    legend,
    line_chart,
    nice_ticks,
    running_mean,
    share_bar,
)

SVG = "{http://www.w3.org/2000/svg}"
RISING = Series("rising", [Point(0, 0.2, 0.1, 0.3), Point(10, 0.5, 0.4, 0.6), Point(20, 0.8, 0.7, 0.9)])


def lines_of(svg: str) -> list[ElementTree.Element]:
    paths = ElementTree.fromstring(svg).iter(f"{SVG}path")
    return [path for path in paths if path.get("class", "").startswith("line c")]


def test_a_chart_is_xml_with_a_title_and_a_description_in_words():
    root = ElementTree.fromstring(line_chart("Accuracy", [RISING], percent=True))
    assert root.find(f"{SVG}title").text == "Accuracy"
    words = "rising: from 20.0 % at 0 to 80.0 % at 20, lowest 20.0 %, highest 80.0 %."
    assert root.find(f"{SVG}desc").text == words


def test_higher_values_stand_higher_and_later_ones_further_right():
    (line,) = lines_of(line_chart("x", [Series("s", [Point(0, 0.0), Point(5, 1.0)])]))
    (x0, y0), (x1, y1) = (map(float, part.split()) for part in line.get("d")[1:].split("L"))
    assert x0 < x1
    assert y0 > y1


def test_points_with_intervals_get_a_band_and_whiskers():
    svg = line_chart("x", [RISING])
    assert svg.count('class="band') == 1
    assert svg.count("whisker") == 3
    assert "band" not in line_chart("x", [Series("s", [Point(0, 1.0), Point(1, 2.0)])])


def test_a_missing_value_breaks_the_line():
    (line,) = lines_of(line_chart("x", [Series("s", [Point(0, 1.0), Point(1, None), Point(2, 2.0), Point(3, 1.0)])]))
    assert line.get("d").count("M") == 2


@pytest.mark.parametrize("points", [[], [Point(0, None)], [Point(3, 1.0)], [Point(0, 5.0), Point(1, 5.0)]])
def test_little_or_nothing_to_draw_is_no_error(points):
    ElementTree.fromstring(line_chart("x", [Series("s", points)]))


def test_without_values_the_figure_says_so():
    assert "no values" in line_chart("x", [Series("s", [Point(0, None)])])


def test_twelve_series_differ_without_their_colours():
    series = [Series(f"run {slot}", [Point(0, 0.1 * slot), Point(1, 0.2)], slot) for slot in range(12)]
    drawn = {(line.get("class"), line.get("stroke-dasharray")) for line in lines_of(line_chart("x", series))}
    assert len(drawn) == 12
    assert len({dash for css, dash in drawn}) == 6


def test_names_are_escaped():
    bad = '<script>"&'
    for svg in (line_chart(bad, [Series(bad, [Point(0, 1.0)])]), legend([bad])):
        assert "<script>" not in svg
        ElementTree.fromstring(svg)


def test_colours_of_light_and_dark_pages_are_both_defined():
    assert (FIGURE_CSS.count("--s0:"), DARK_CSS.count("--s0:")) == (1, 1)
    assert DARK_CSS.startswith("@media screen and (prefers-color-scheme:dark)"), "paper is light"


def test_a_running_mean_looks_back_only():
    points = [Point(step, float(step)) for step in range(5)]
    assert [point.y for point in running_mean(points, 2)] == [0.0, 0.5, 1.5, 2.5, 3.5]
    assert [point.y for point in running_mean([Point(0, 1.0), Point(1, None), Point(2, 3.0)], 3)] == [1.0, None, 2.0]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 100, [0, 25, 50, 75, 100]), (0.42, 0.91, [0.4, 0.6, 0.8, 1.0]), (-1.0, 1.0, [-1, -0.5, 0, 0.5, 1])],
)
def test_ticks_are_round_and_enclose_the_values(low, high, ticks):
    assert nice_ticks(low, high) == ticks


def test_steps_have_whole_ticks_inside_their_range():
    assert nice_ticks(1, 100, whole=True) == [25, 50, 75, 100]
    assert nice_ticks(1, 2, whole=True) == [1, 2]
    assert nice_ticks(7, 7, whole=True) == [7]


def test_a_bar_is_as_long_as_its_share():
    (bar,) = ElementTree.fromstring(share_bar(0.25).replace("<svg ", f'<svg xmlns="{SVG[1:-1]}" ')).iter(f"{SVG}rect")
    assert float(bar.get("width")) == 30.0
    assert 'cx="60.0"' in interval_bar(0.5, 0.25, 0.75)


def test_a_description_names_series_without_values():
    assert describe([Series("empty", [])]) == "empty: no values."
