"""The documentation says what the code is: generated pages, links, paths, keys and recipes on its pages.

Not covered: whether a sentence is true, and what a command prints.
"""

import ast
import importlib.util
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from frugalrl.cli import main
from frugalrl.config.curation_schema import CurationSpec
from frugalrl.config.loading import load_recipe
from frugalrl.config.schema import SftRecipe, TrainRecipe
from frugalrl.evaluation.benchmarking import default_folder

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "frugalrl"
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks/README.md", ROOT / "examples/README.md"]
)
HISTORY = {"CHANGELOG.md", "lab-log.md"}
"""What was true when it was written: files that have moved since keep the names that they had."""
OWN_FILES = {"my_rewards.py", "parity_task.py", "my_file.py"}
"""Files of a reader's own, in examples."""
LLAMA_CPP_FILES = {"/vendor/llama.cpp/convert_hf_to_gguf.py", "convert_lora_to_gguf.py"}
"""Scripts of llama.cpp, which docs/data.md tells how to get."""
RECIPES: dict[str, type[BaseModel]] = {"train": TrainRecipe, "sft": SftRecipe, "curate": CurationSpec}
DATA_FILES = (".jsonl", ".json", ".yaml", ".md", ".py", ".html", ".parquet", ".safetensors")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
living = pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name not in HISTORY], ids=lambda page: page.relative_to(ROOT).as_posix()
)


@cache
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ------------------------------------------------------------------------------------------- generated pages


@pytest.mark.parametrize("name", ["recipe.md", "rooms.md"])
def test_a_generated_page_is_current(name: str) -> None:
    written = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert written == generator().pages()[name], "run python docs/generate.py"


@pytest.mark.parametrize("kind", RECIPES)
def test_every_key_of_a_recipe_has_a_description(kind: str) -> None:
    sections = dict.fromkeys(section for section, _ in generator()._sections(RECIPES[kind]))
    assert len(sections) > 5
    missing = [
        f"{one.__name__}.{key}" for one in sections for key, field in one.model_fields.items() if not field.description
    ]
    assert missing == []


# ----------------------------------------------------------------------------------------------------- links


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


@cache
def anchors(page: Path) -> frozenset[str]:
    """Of its headings, as GitHub makes them."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ +(.+?) *$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return frozenset(found)


def test_an_anchor_is_what_github_makes_of_a_heading(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Limits (`verify/workers`)\n\n## pass@k and majority@k\n\n## A [link](x.md)\n\n## A link\n\n```\n# no\n```\n"
    )
    assert anchors(page) == {"limits-verifyworkers", "passk-and-majorityk", "a-link", "a-link-1"}


@pages
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def cells(row: str) -> int:
    """Of a table's row: bars that neither stand in code nor are escaped."""
    return len(re.sub(r"`[^`]*`|\\\\\|", "", row).strip().strip("|").split("|"))


@pages
def test_every_table_is_whole(page: Path) -> None:
    """A head, a rule and rows of as many cells, with nothing between them: a blank line would end the table."""
    broken = []
    for block in re.split(r"\n(?!\|)", prose(page)):
        rows = [line for line in block.split("\n") if line.startswith("|")]
        if rows and (len(rows) < 2 or not re.fullmatch(r"[|:\- ]+", rows[1]) or len({cells(row) for row in rows}) > 1):
            broken.append(rows[0])
    assert broken == []


# ------------------------------------------------------------------------------------------ files and modules


@cache
def files() -> tuple[str, ...]:
    folders = ("src", "tests", "benchmarks", "examples", "docs")
    return tuple(path.relative_to(ROOT).as_posix() for folder in folders for path in (ROOT / folder).rglob("*.py"))


def is_a_file(name: str) -> bool:
    """Whether a path, or its end, is that of a file of ours."""
    return any(file == name or file.endswith(f"/{name}") for file in files())


@living
def test_every_python_file_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"[\w./-]*\w\.py\b", page.read_text(encoding="utf-8")))
    others = OWN_FILES | LLAMA_CPP_FILES
    assert [name for name in sorted(named) if name not in others and not is_a_file(name.removeprefix("../"))] == []


@cache
def names_in(file: Path) -> frozenset[str]:
    """What a module defines or imports at its top level, and the members of its classes."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
    return frozenset(found)


def is_in_the_package(path: str) -> bool:
    """Whether a dotted path below `frugalrl` is a package, a module, or a name in one."""
    parts = path.split(".")
    for length in range(len(parts), -1, -1):
        place = PACKAGE.joinpath(*parts[:length])
        file = place.with_suffix(".py") if length else place / "__init__.py"
        file = file if file.is_file() else place / "__init__.py"
        if file.is_file():
            rest = parts[length:]
            return not rest or rest[0] in names_in(file)
    return False


def recipe_keys(kind: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for section, where in generator()._sections(kind):
        place = where.replace("[]", "")
        yield from (f"{place}.{key}".lstrip(".") for key in section.model_fields)


@living
def test_every_module_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"\bfrom frugalrl\.([\w.]+) import", text)) | set(re.findall(r"`frugalrl\.([\w.]+)", text))
    assert [one for one in sorted(named) if not is_in_the_package(one)] == []


@living
def test_what_is_named_below_a_room_is_a_module_or_a_recipes_key(page: Path) -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    keys = {key for kind in RECIPES.values() for key in recipe_keys(kind)}
    wrong = []
    for token in set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)(?:\(\))?`", prose(page))):
        room = token.partition(".")[0]
        if room in rooms and not token.endswith(DATA_FILES) and token not in keys and not is_in_the_package(token):
            wrong.append(token)
    assert wrong == []


@living
def test_what_is_named_as_a_part_of_a_module_stands_in_it(page: Path) -> None:
    """`module.name`, and `file.py`: `name`, `name`; a module may be named without its package."""
    text, wrong = prose(page), []
    keys = {key for kind in RECIPES.values() for key in recipe_keys(kind)}
    for module, name in re.findall(r"`([a-z_]+)\.([a-zA-Z_]\w+)(?:\(\))?`", text):
        is_key = any(key == f"{module}.{name}" or key.endswith(f".{module}.{name}") for key in keys)
        places = [] if is_key or f".{name}" in DATA_FILES else list(PACKAGE.rglob(f"{module}.py"))
        wrong += [f"{module}.{name}"] if places and not any(name in names_in(place) for place in places) else []
    for file, names in re.findall(r"`([\w/]+\.py)`: ((?:`\w+`(?:, )?)+)", text):
        place = next(ROOT / one for one in files() if one.endswith(file))
        wrong += [f"{file}: {name}" for name in re.findall(r"\w+", names) if name not in names_in(place)]
    assert wrong == []


# -------------------------------------------------------------------------------------------------- metrics


def metrics_of_the_glossary(heading: str) -> set[str]:
    """The names in the first column of the table below a heading."""
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    table = glossary.partition(f"### {heading}")[2].partition("\n#")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_metric_of_the_glossary_is_written_by_the_code_and_the_other_way_round() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    of_steps, of_evaluations = metrics_of_the_glossary("A training step"), metrics_of_the_glossary("An evaluation")
    prefixes = {name.partition("/")[0] for name in of_steps if "/" in name}
    assert {"loss", "policy", "guard", "completion", "meter"} <= prefixes
    families = {f"{prefix}/" for prefix in re.findall(r'f"([a-z]+)/\{', code)}  # time/{phase}, reward/{name}
    stale = {name for name in of_steps if f'"{name}"' not in code and not name.startswith(tuple(families))}
    assert stale == set()
    assert {name for name in of_evaluations if f'"{name.removeprefix("SPLIT/")}"' not in code} == set()
    sft = (PACKAGE / "training" / "sft.py").read_text(encoding="utf-8")
    assert {name for name in metrics_of_the_glossary("Supervised fine-tuning") if f'"{name}"' not in sft} == set()
    written = {name for prefix in prefixes for name in re.findall(rf'"({prefix}/[a-z_]+)"', code)}
    assert written - of_steps - metrics_of_the_glossary("Supervised fine-tuning") == set()


# ------------------------------------------------------------------------------------------------- commands


def test_every_command_on_a_page_exists_and_has_the_options_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    given: dict[str, set[str]] = {}
    for page in PAGES:
        if page.name not in HISTORY:
            lines = page.read_text(encoding="utf-8").replace("\\\n", " ")
            for command, rest in re.findall(
                r"(?:^ {4}|^|[`(])(?:\$ )?frugalrl ([a-z-]+)([^`#\n]*)", lines, re.MULTILINE
            ):
                given.setdefault(command, set()).update(re.findall(r"(?<![\w-])--[a-z-]+", rest))
    assert {"train", "eval", "compare", "curate", "score"} <= set(given)
    for command, options in given.items():
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0, command
        known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
        assert options <= known, command


def test_the_readme_names_no_folder_that_its_commands_do_not_make() -> None:
    """In order: `train NAME` makes runs/NAME, then runs/NAME-2; `eval` makes evaluations/MODEL."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    made = {"runs/quickstart"}  # by make quickstart
    for command, rest in re.findall(r"^frugalrl ([a-z-]+)([^#\n]*)", readme, re.MULTILINE):
        named = re.findall(r"(?:runs|evaluations)/[\w.-]+", rest)
        assert set(named) <= made, f"{command}{rest}"
        first = rest.split()[0] if rest.split() else ""
        if command in ("train", "sft") and "--resume" not in rest:
            name = Path(first).stem
            made.add(f"runs/{name}-2" if f"runs/{name}" in made else f"runs/{name}")
        if command == "eval":
            made.add(default_folder(first).as_posix())
    assert len(made) > 3


# -------------------------------------------------------------------------------------------------- recipes


def yaml_blocks() -> list[Any]:
    found = []
    for page in PAGES:
        blocks = [text for language, text in FENCE.findall(page.read_text(encoding="utf-8")) if language == "yaml"]
        found += [pytest.param(text, id=f"{page.name}-{number}") for number, text in enumerate(blocks)]
    return found


SMALLEST = {
    "name": "smallest",
    "data": {"train": {"source": "arithmetic", "limit": 8}},
    "rewards": [{"name": "accuracy"}],
    "training": {"steps": 1},
}


@pytest.mark.parametrize("text", yaml_blocks())
def test_every_recipe_on_a_page_is_one(text: str, tmp_path: Path) -> None:
    """A whole recipe as it stands; a part of one in the smallest recipe."""
    values = yaml.safe_load(text)
    kind = next((name for name, key in (("sft", "phases"), ("curate", "pools")) if key in values), "train")
    if "name" not in values:
        assert kind == "train"
        data = {**SMALLEST["data"], **values.get("data", {})}  # type: ignore[dict-item]
        values = {**SMALLEST, **values, "data": data}
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert isinstance(load_recipe(file, RECIPES[kind]), RECIPES[kind])


def test_there_are_recipes_on_the_pages() -> None:
    assert len(yaml_blocks()) >= 8
