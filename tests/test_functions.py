"""Functions that a recipe names: found by name or path, given what they take, and refused in one sentence."""

import sys

import pytest

from frugalrl.errors import RecipeError
from frugalrl.functions import ADVANTAGE_RULES, SAMPLERS, SURROGATES, bound_function, import_function, known_name

TABLE = {"ours": "tests.test_functions.loss"}
SECTION = {"clip_low": 0.2, "clip_high": 0.3}


def loss(inputs, *, clip_low, alpha=1.0):
    return inputs, clip_low, alpha


def needy(inputs, beta):
    return inputs, beta


def generous(inputs, **settings):
    return settings


def bound(name="ours", args=None, asked=()):
    return bound_function(name, TABLE, "surrogate", ("inputs",), SECTION, args or {}, asked)


@pytest.mark.parametrize("table", [SURROGATES, ADVANTAGE_RULES, SAMPLERS])
def test_every_name_in_a_table_is_a_function(table):
    for path in table.values():
        assert callable(import_function(path, "function"))


def test_a_function_gets_the_keys_it_names_and_its_own_arguments():
    assert bound(args={"alpha": 2.0})("x") == ("x", 0.2, 2.0)
    assert bound("tests.test_functions.loss")("x") == ("x", 0.2, 1.0)
    assert bound("tests.test_functions.needy", {"beta": 3})("x") == ("x", 3)
    assert bound("tests.test_functions.generous", {"any": 1})("x") == {"any": 1}


@pytest.mark.parametrize(
    ("name", "args", "asked", "says"),
    [
        ("ours", {"alhpa": 1.0}, (), "no argument 'alhpa'. Did you mean 'alpha'"),
        ("ours", {"clip_low": 0.1}, (), "is a key of its section. Set it there"),
        ("ours", {}, ("clip_high",), "takes no clip_high, which the recipe sets"),
        ("tests.test_functions.needy", {}, (), "needs beta. Add it to its args"),
        ("tests.test_functions.TABLE", {}, (), "is not a function"),
        ("tests.test_functions.nothing", {}, (), "cannot be imported: .*nothing"),
        ("no_such_module_at_all.f", {}, (), "cannot be imported: No module named"),
        ("pytest.ini.f", {}, (), "cannot be imported"),
    ],
)
def test_what_cannot_work_is_one_sentence(name, args, asked, says):
    with pytest.raises(RecipeError, match=says) as caught:
        bound(name, args, asked)
    assert "\n" not in str(caught.value)


def test_too_few_positional_arguments_are_refused():
    with pytest.raises(RecipeError, match=r"takes 1 positional arguments, and is called with \(memory, draw\)"):
        bound_function("tests.test_functions.loss", {}, "sampler", ("memory", "draw"), {}, {})


def test_a_module_that_fails_while_it_is_imported_is_named_with_its_error(tmp_path, monkeypatch):
    (tmp_path / "broken_surrogate.py").write_text("raise RuntimeError('no licence')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    with pytest.raises(RecipeError, match=r"'broken_surrogate.f' cannot be imported: RuntimeError: no licence"):
        import_function("broken_surrogate.f", "surrogate")


def test_the_current_folder_is_searched_last(tmp_path, monkeypatch):
    """A file of the user's that has a library's name shadows nothing; a module that only lies there is found."""
    (tmp_path / "colorsys.py").write_text("def rgb_to_hls(*a):\n    return 'shadowed'\n")
    (tmp_path / "beside_the_recipe.py").write_text("def reward():\n    return 7\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    assert import_function("beside_the_recipe.reward", "reward")() == 7
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    assert import_function("colorsys.rgb_to_hls", "reward")(0, 0, 0) == (0.0, 0.0, 0.0)


def test_names_are_those_of_the_table_or_a_path():
    assert known_name("ours", TABLE, "surrogate") == "ours"
    assert known_name("mine.f", TABLE, "surrogate") == "mine.f"
    with pytest.raises(ValueError, match="did you mean 'ours'"):
        known_name("our", TABLE, "surrogate")
    with pytest.raises(ValueError, match="known: ours"):
        known_name("mine.f", TABLE, "preset", dotted=False)
