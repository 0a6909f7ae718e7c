"""What of a folder goes to the Hub, and getting it there with the Hub's own client.

Decisions:
- Only what is named here is uploaded: no checkpoints, no optimizer, no logs, nothing that says whose machine it was.
- The card is the one that was written with the honest numbers; a folder without one is refused.
- A report is a static Space: its page becomes index.html.
"""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from frugalrl.errors import OutputError
from frugalrl.files import atomic_write
from frugalrl.hub import hub_is_reachable

Kind = Literal["model", "adapter", "dataset", "report"]
KINDS: tuple[Kind, ...] = ("model", "adapter", "dataset", "report")
_WEIGHTS = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "README.md")
_DATA = ("*.parquet", "*.jsonl", "data/*.parquet", "README.md", "report.md", "report.html", "manifest.json")
_REPO_TYPES = {"model": "model", "adapter": "model", "dataset": "dataset", "report": "space"}


@dataclass(frozen=True)
class Parcel:
    """What would be uploaded."""

    kind: Kind
    folder: Path
    files: tuple[str, ...]
    """Relative to the folder."""
    size_bytes: int

    @property
    def repo_type(self) -> str:
        """As the Hub calls it."""
        return _REPO_TYPES[self.kind]


def parcel_of(source: Path, kind: Kind | None = None) -> Parcel:
    """What of a folder would be uploaded, as what. Raises OutputError for what is none of the kinds."""
    if not source.exists():
        raise OutputError(f"There is nothing at {source}. Name a run, a model, a data set's folder or a report.")
    found = kind or _kind(source)
    folder, patterns = _place(source, found)
    files = tuple(sorted({_relative(file, folder) for one in patterns for file in folder.glob(one) if file.is_file()}))
    needed = {"model": "config.json", "adapter": "adapter_config.json"}.get(found)
    if needed is not None and needed not in files:
        raise OutputError(f"{folder} holds no {found}: {needed} is missing. Name another folder, or another --kind.")
    if found == "report" and not any(name.endswith(".html") for name in files):
        raise OutputError(f"{source} holds no report.html. Make one with: frugalrl report {source}")
    if found != "report" and "README.md" not in files:
        raise OutputError(f"{folder} has no card. Write a README.md that says what it is; a bare upload helps nobody.")
    return Parcel(found, folder, files, sum((folder / name).stat().st_size for name in files))


def push(parcel: Parcel, repo: str, private: bool, api: Any = None) -> str:
    """Make the repository if need be, upload, and return its address. Raises OutputError.

    api: stands in for the Hub's client in tests.
    """
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise OutputError(f"{repo!r} is no repository. Give ORG/NAME.")
    client = api if api is not None else _client()
    extra = {"space_sdk": "static"} if parcel.repo_type == "space" else {}
    with tempfile.TemporaryDirectory() as scratch:
        folder, files = _prepared(parcel, Path(scratch))
        try:
            made = client.create_repo(repo, repo_type=parcel.repo_type, private=private, exist_ok=True, **extra)
            client.upload_folder(
                repo_id=repo,
                repo_type=parcel.repo_type,
                folder_path=str(folder),
                allow_patterns=list(files),
                commit_message=f"Upload {parcel.kind} with frugalrl",
            )
        except Exception as error:  # the client raises many kinds, all of them about the Hub, rights or the network
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise OutputError(
                f"The upload to {repo} failed: {first.rstrip('.')}. Check the name and your rights, and log in with "
                "`hf auth login`; what was uploaded is kept, so try again."
            ) from error
    return str(made)


def _client() -> Any:
    import huggingface_hub

    if not hub_is_reachable():
        raise OutputError("The Hub cannot be reached from here, so nothing was uploaded. Check the connection.")
    if huggingface_hub.get_token() is None:
        raise OutputError("There is no token for the Hub, so nothing was uploaded. Log in with: hf auth login")
    return huggingface_hub.HfApi()


def _kind(source: Path) -> Kind:
    if source.is_file() and source.suffix == ".html":
        return "report"
    if (source / "adapter_config.json").is_file():
        return "adapter"
    if (source / "config.json").is_file() or (source / "model" / "config.json").is_file():
        return "model"
    if any(source.glob("*.parquet")) or any(source.glob("data/*.parquet")) or any(source.glob("*.jsonl")):
        return "dataset"
    raise OutputError(f"{source} is no run, model, data set or report. Say what it is with --kind.")


def _place(source: Path, kind: Kind) -> tuple[Path, Sequence[str]]:
    """The folder of what is uploaded, and the patterns of its files."""
    if kind == "report":
        if source.is_file():
            return source.parent, (source.name, source.with_suffix(".md").name)
        return source, ("report.html", "report.md")
    if kind == "dataset":
        return source, _DATA
    inside = source / kind
    return (inside if inside.is_dir() else source), _WEIGHTS


def _relative(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _prepared(parcel: Parcel, scratch: Path) -> tuple[Path, Sequence[str]]:
    """The folder to upload; a report is copied, since its page has another name on the Hub."""
    if parcel.kind != "report":
        return parcel.folder, parcel.files
    page = next(name for name in parcel.files if name.endswith(".html"))
    shutil.copyfile(parcel.folder / page, scratch / "index.html")
    card = next((parcel.folder / name for name in parcel.files if name.endswith(".md")), None)
    told = card.read_text(encoding="utf-8") if card is not None else ""
    with atomic_write(scratch / "README.md") as file:
        file.write(f"---\ntitle: {parcel.folder.name}\nsdk: static\npinned: false\n---\n\n{told}")
    return scratch, ("index.html", "README.md")
