"""Which files of a folder are a split: shards, Hub snapshots, `curate`'s own folders, and `save_to_disk`.

Decisions:
- A Hub snapshot's card (README.md) decides where it lists `configs` with `data_files`.
- Otherwise the names do, as on the Hub: `train-00000-of-00002.parquet`, `data/train.jsonl`, `test/part-0.parquet`.
  Where some files name a split, only those of the split that is asked for are read; where none does, all are.
- The same rows in two formats (`train.jsonl` beside `train.parquet`) are read once, from the first of `SUFFIXES`.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from frugalrl.config.loading import front_matter
from frugalrl.data.tables import KINDS, SUFFIXES
from frugalrl.errors import DataError

SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_NOT_DATA = {"dataset_info.json", "dataset_infos.json", "state.json", "dataset_dict.json", "manifest.json"}


def files_of(folder: Path, split: str, subset: str | None) -> list[Path]:
    """The data files of a split of a folder, in order. Raises DataError if there is none, saying what there is."""
    folder = snapshot_of(folder)
    declared = _declared(folder, split, subset)
    if declared is not None:
        return declared
    if subset is not None and (folder / subset).is_dir():
        folder = folder / subset
    files = _one_format([file for file in sorted(folder.rglob("*")) if _is_data(file, folder)])
    if not files:
        raise DataError(f"The folder {folder} holds no {' or '.join(KINDS)} file. Check the path.")
    named = {file: name for file in files if (name := split_of(file.relative_to(folder))) is not None}
    if not named:
        return files
    chosen = [file for file, name in named.items() if name == _canonical(split)]
    if not chosen:
        there = ", ".join(sorted(set(named.values())))
        raise DataError(f"The folder {folder} has no split {split!r}, only {there}. Name one of them, or a file.")
    return chosen


def splits_in(folder: Path) -> list[str]:
    """The splits that a folder names, in the order of use; none where its files name none."""
    folder = snapshot_of(folder)
    card = folder / "README.md"
    declared = front_matter(card).get("configs") if card.is_file() else None
    if isinstance(declared, list) and len(declared) == 1 and isinstance(declared[0], dict):
        return list(_patterns(declared[0].get("data_files")))
    found = {split_of(file.relative_to(folder)) for file in folder.rglob("*") if _is_data(file, folder)}
    return [split for split in SPLITS if split in found]


def snapshot_of(folder: Path) -> Path:
    """The folder of the rows: inside the Hub client's cache (`datasets--org--name`), the newest snapshot."""
    snapshots = folder / "snapshots"
    if not snapshots.is_dir():
        return folder
    main = folder / "refs" / "main"
    named = snapshots / main.read_text(encoding="utf-8").strip() if main.is_file() else None
    if named is not None and named.is_dir():
        return named
    return max(
        (one for one in snapshots.iterdir() if one.is_dir()), key=lambda one: one.stat().st_mtime, default=folder
    )


def is_table(file: Path) -> bool:
    """Whether a file below a folder can hold rows, those of `save_to_disk` included."""
    return file.is_file() and file.name.endswith((*SUFFIXES, ".arrow")) and file.name not in _NOT_DATA


def is_saved_to_disk(folder: Path) -> bool:
    """Whether `datasets.save_to_disk` wrote a folder."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    )


def split_of(path: Path) -> str | None:
    """The split that the name of a file, or of the nearest folder above it, names; None if neither does."""
    for part in reversed(path.parts):
        words = set(re.split(r"[^a-z]+", part.lower()))
        for split, names in SPLITS.items():
            if words & set(names):
                return split
    return None


def _canonical(split: str) -> str:
    return next((name for name, others in SPLITS.items() if split in others), split)


def _is_data(file: Path, folder: Path) -> bool:
    parts = file.relative_to(folder).parts
    hidden = any(part.startswith((".", "_")) for part in parts)
    return file.name.endswith(SUFFIXES) and not hidden and file.name not in _NOT_DATA and file.is_file()


def _one_format(files: Sequence[Path]) -> list[Path]:
    """Without files that hold the same rows in another format: same folder and name, another suffix."""
    kept: dict[Path, Path] = {}
    for file in files:
        suffix = next(one for one in SUFFIXES[::-1] if file.name.endswith(one))
        stem = file.with_name(file.name.removesuffix(suffix))
        rank = SUFFIXES.index(suffix)
        other = kept.get(stem)
        if other is None or rank < min(at for at, one in enumerate(SUFFIXES) if other.name.endswith(one)):
            kept[stem] = file
    return list(kept.values())


def _declared(folder: Path, split: str, subset: str | None) -> list[Path] | None:
    """The files that the folder's card names for a split; None if it names none at all."""
    card = folder / "README.md"
    configs = front_matter(card).get("configs") if card.is_file() else None
    if not isinstance(configs, list):
        return None
    sets = {str(one.get("config_name", "default")): one for one in configs if isinstance(one, dict)}
    if subset is not None and subset not in sets:
        raise DataError(f"The data set in {folder} has no subset {subset!r}, only {', '.join(sets)}. Name one of them.")
    chosen = sets.get(subset or "default") or (next(iter(sets.values())) if len(sets) == 1 else None)
    if chosen is None:
        raise DataError(f"The data set in {folder} has the subsets {', '.join(sets)}. Name one with `subset`.")
    patterns = _patterns(chosen.get("data_files"))
    if not patterns:
        return None
    if split not in patterns:
        raise DataError(
            f"The data set in {folder} has no split {split!r}, only {', '.join(patterns)}. Name one of them."
        )
    files = [file for pattern in patterns[split] for file in sorted(folder.glob(pattern)) if _is_data(file, folder)]
    if not files:
        raise DataError(f"The card of {folder} names {', '.join(patterns[split])}, which is not there. Fetch it again.")
    return _one_format(files)


def _patterns(data_files: Any) -> dict[str, list[str]]:
    """Globs by split, from the forms that a card may have."""
    if isinstance(data_files, str):
        return {"train": [data_files]}
    if isinstance(data_files, dict):
        return {str(split): [path] if isinstance(path, str) else list(path) for split, path in data_files.items()}
    found: dict[str, list[str]] = {}
    for one in data_files if isinstance(data_files, list) else []:
        split, path = (one.get("split", "train"), one.get("path")) if isinstance(one, dict) else ("train", one)
        found.setdefault(str(split), []).extend([path] if isinstance(path, str) else path or [])
    return found
