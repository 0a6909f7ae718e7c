"""What is published: the wheel in an empty environment and any folder, the sdist whole, the page of a package index."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
import yaml

import frugalrl

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that is built from what the sdist holds."""
    place = tmp_path_factory.mktemp("built")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("the files of the package are known from git only")
    tree = place / "tree"
    packed = subprocess.run(
        ["tar", "cf", "-", *listed.stdout.split("\n")[:-1]], cwd=ROOT, capture_output=True, check=True
    )
    tree.mkdir()
    subprocess.run(["tar", "xf", "-"], cwd=tree, input=packed.stdout, check=True)
    make(tree, "build_sdist", place)
    with tarfile.open(next(place.glob("*.tar.gz"))) as archive:
        archive.extractall(place / "unpacked", filter="data")
    make(next((place / "unpacked").iterdir()), "build_wheel", place)
    return place


def make(tree: Path, what: str, out: Path) -> None:
    code = f"from setuptools import build_meta; build_meta.{what}({str(out)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=tree, check=True, capture_output=True)


@pytest.fixture(scope="module")
def installed(built: Path) -> Path:
    """The command in an environment that holds the wheel and, through a path, what it depends on; no checkout."""
    place = built / "environment"
    venv.create(place, with_pip=False)
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), "install", "--quiet", "--no-deps",
         "--no-index", "--disable-pip-version-check", str(next(built.glob("*.whl")))],
        check=True, capture_output=True,
    )  # fmt: skip
    (site,) = place.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return place / "bin" / "frugalrl"


def run(command: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [str(command), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


def metadata(built: Path) -> Message:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        name = next(one for one in wheel.namelist() if one.endswith("/METADATA"))
        return message_from_bytes(wheel.read(name))


def test_the_installed_command_knows_its_recipes_in_any_folder(installed: Path, tmp_path: Path) -> None:
    listed = run(installed, "recipes", folder=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert "frugalrl train quickstart" in listed.stdout
    dry = run(installed, "train", "open-rs2", "--dry-run", folder=tmp_path)
    assert "12 x 6 = 72" in dry.stdout, dry.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_installed_command_trains_and_says_what_came_of_it(installed: Path, tmp_path: Path) -> None:
    small = [
        "training.steps=1", "data.train.limit=16", "data.validation.limit=3", "data.test=null",
        "rollout.prompts_per_step=2", "rollout.group_size=2", "evaluation.samples_per_problem=1",
        "rollout.max_completion_tokens=16",
    ]  # fmt: skip
    done = run(installed, "train", "quickstart", *(word for one in small for word in ("--set", one)), folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "runs" / "quickstart" / "report.html").is_file()
    log = (tmp_path / "runs" / "quickstart" / "log.txt").read_text()
    assert "Run folder: runs/quickstart" in log
    assert "1/1" in log


def test_the_page_of_a_package_index_has_no_link_that_leads_nowhere(built: Path) -> None:
    text = metadata(built).get_payload()
    assert isinstance(text, str)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert len(links) > 20
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    for link in links:
        path = re.sub(r"https://github.com/frugalrl/frugalrl/(?:blob|tree)/main/", "", link).partition("#")[0]
        assert path.startswith("https://") or (ROOT / path).exists(), link


def test_the_metadata_says_who_where_and_what(built: Path) -> None:
    known = metadata(built)
    assert known["Author"] == "frugalrl contributors"
    assert {one.partition(",")[0] for one in known.get_all("Project-URL", [])} >= {
        "Homepage",
        "Source",
        "Documentation",
    }
    assert len(known.get_all("Classifier", [])) > 5
    extras = set(known.get_all("Provides-Extra", []))
    assert {"lora", "mlflow", "tensorboard", "trackio", "wandb", "docs", "dev"} <= extras


def test_every_extra_and_dependency_has_its_tested_version_or_is_optional() -> None:
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[<>=!~ ]", one)[0].lower().replace("_", "-") for one in wanted}
    assert names - pinned == set()


def test_the_sdist_holds_what_a_reader_and_a_tester_need(built: Path) -> None:
    (tree,) = (built / "unpacked").iterdir()
    for name in ("README.md", "docs/data.md", "docs/reference/recipe.md", "examples/README.md", "recipes/open-rs1.yaml",
                 "tests/test_wheel.py", "constraints.txt", "CITATION.cff", "Makefile"):  # fmt: skip
        assert (tree / name).is_file(), name
    assert not list(tree.rglob("__pycache__"))


def test_the_citation_is_yaml_with_the_packages_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == frugalrl.__version__
    assert cited["cff-version"] == "1.2.0"
