"""Figures as files of their own: whole SVG, a legend, one line a setting."""

from xml.etree import ElementTree

from figure_files import figure_file, mean_of_seeds

from frugalrl.reporting.figures import Point, Series

SVG = "{http://www.w3.org/2000/svg}"


def test_the_mean_is_over_the_steps_that_every_seed_has():
    series = mean_of_seeds("two seeds", 0, [{0: 0.2, 10: 0.4, 20: 0.9}, {0: 0.4, 10: 0.8}])
    assert [(point.x, round(point.y, 3)) for point in series.points] == [(0, 0.3), (10, 0.6)]


def test_every_seed_is_drawn_behind_and_they_are_not_joined():
    series = mean_of_seeds("two seeds", 0, [{0: 0.2, 10: 0.4}, {0: 0.4, 10: 0.8}])
    text = figure_file("Accuracy", [series])
    faint = [path for path in ElementTree.fromstring(text).iter(f"{SVG}path") if "faint" in path.get("class", "")]
    assert [path.get("d").count("M") for path in faint] == [2]


def test_the_file_is_whole_fixed_in_colour_and_names_its_lines():
    series = [Series(f"a < {slot}", [Point(0, 0.1), Point(1, 0.2)], slot) for slot in range(3)]
    text = figure_file("Tokens & time", series, percent=True)
    root = ElementTree.fromstring(text)
    texts = [one.text for one in root.iter(f"{SVG}text")]
    assert root.tag == f"{SVG}svg"
    assert "prefers-color-scheme" not in text
    assert ".fig .c0{stroke:#0b62a8;fill:#0b62a8}" in text
    assert "var(" not in text
    assert texts[0] == "Tokens & time"
    assert texts[-3:] == ["a < 0", "a < 1", "a < 2"]


def test_the_picture_is_described_in_words():
    root = ElementTree.fromstring(figure_file("KL", [Series("run", [Point(0, 1.0), Point(5, 3.0)])]))
    assert "run: from 1 at 0 to 3 at 5" in next(root.iter(f"{SVG}desc")).text
