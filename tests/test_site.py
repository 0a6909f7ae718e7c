"""The documentation as a site, the notebook, the workflow and the images: whole, and in step with the package."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def nav_pages(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    values = entry.values() if isinstance(entry, dict) else entry
    return [page for one in values for page in nav_pages(one)]


def test_every_page_of_the_navigation_exists_and_every_page_can_be_reached() -> None:
    pages = nav_pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert [page for page in pages if not (ROOT / "docs" / page).is_file()] == []
    assert len(set(pages)) == len(pages)
    linked = "\n".join((ROOT / "docs" / page).read_text(encoding="utf-8") for page in pages)
    linked += (ROOT / "README.md").read_text(encoding="utf-8")
    there = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert [page for page in there if page not in pages and Path(page).name not in linked] == []


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    home = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert 'href="from-trl/"' in home
    guide = (tmp_path / "site" / "guides" / "notebook" / "index.html").read_text(encoding="utf-8")
    assert "/blob/main/examples/quickstart.ipynb" in guide


def test_the_notebook_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its cells in one namespace, at toy size; what a cell ends with is evaluated, as a notebook shows it."""
    import ast

    notebook = json.loads((ROOT / "examples" / "quickstart.ipynb").read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    sources = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in notebook["cells"] if cell["cell_type"] == "code")
    toy = {
        "data.validation.limit": 6, "data.test": None, "rollout.prompts_per_step": 2, "rollout.group_size": 4,
        "evaluation.samples_per_problem": 1, "data.train.limit": 60,
    }  # fmt: skip
    assert sources[0].count("STEPS = 100") == 1
    sources[0] = sources[0].replace("STEPS = 100", "STEPS = 2") + f"\nrecipe = frugalrl.change(recipe, {toy!r})"
    monkeypatch.chdir(tmp_path)
    known: dict[str, Any] = {}
    last: Any = None
    for source in sources:
        tree = ast.parse(source)
        *body, end = tree.body
        exec(compile(ast.Module(body, []), "cell", "exec"), known)
        if isinstance(end, ast.Expr):
            last = eval(compile(ast.Expression(end.value), "cell", "eval"), known)
        else:
            exec(compile(ast.Module([end], []), "cell", "exec"), known)
    assert last is None  # of the last cell, which prints
    assert len(known["rewards"]) == 2
    printed = capsys.readouterr().out
    assert "2/2" in printed
    assert "correct" in printed
    assert (tmp_path / "runs" / "notebook" / "report.html").is_file()


def test_the_workflow_runs_what_a_developer_runs() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    assert set(workflow[True]) == {"push", "pull_request"}  # YAML 1.1 reads the key `on` as true
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        commands = [step["run"] for step in job["steps"] if "run" in step]
        assert all(set(step) & {"uses", "run"} for step in job["steps"])
        made = {word for command in commands for word in re.findall(r"\bmake ([a-z]+)", command)}
        assert "test" in made
        assert made <= targets


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_an_image_copies_files_that_exist_and_starts_the_command(name: str) -> None:
    """Its syntax as far as instructions go; it is built nowhere here."""
    text = (ROOT / "docker" / f"{name}.Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    known = {"FROM", "ARG", "RUN", "COPY", "WORKDIR", "ENTRYPOINT", "CMD"}
    assert {line.split()[0] for line in lines} <= known
    assert lines[0].startswith("FROM python:3.")
    for line in lines:
        if line.startswith("COPY"):
            *sources, _ = line.split()[1:]
            assert [one for one in sources if not (ROOT / one).exists()] == []
    assert 'ENTRYPOINT ["frugalrl"]' in lines
