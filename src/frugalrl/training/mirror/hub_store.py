"""A private repository of the Hub as a mirror: `hf://org/name`.

Files that are put together are one commit, so a checkpoint is there as a whole or not at all. A repository keeps what
was removed in its history; `HfApi().super_squash_history` frees the space once the run is over.
"""

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from frugalrl.errors import RecipeError
from frugalrl.training.mirror.store import Entry

HUB_SCHEME = "hf://"


class HubStore:
    """Files of a model repository."""

    seconds_between = 600.0
    """The Hub allows a limited number of commits an hour."""

    def __init__(self, url: str, repository: str, client: Any) -> None:
        """client: a `huggingface_hub.HfApi`, or what answers as it does."""
        self.url, self._repository, self._client = url, repository, client
        self._exists = False

    def names(self) -> list[str]:
        if not self._client.repo_exists(self._repository):
            return []
        return sorted(name for name in self._client.list_repo_files(self._repository) if name != ".gitattributes")

    def put(self, entries: Sequence[Entry]) -> None:
        from huggingface_hub import CommitOperationAdd

        if not self._exists:
            self._client.create_repo(self._repository, private=True, exist_ok=True)
            self._exists = True
        added = [
            CommitOperationAdd(name, source if isinstance(source, bytes) else str(source)) for name, source in entries
        ]
        self._commit(added, f"{entries[-1][0]}")

    def read(self, name: str) -> bytes:
        return Path(self._client.hf_hub_download(self._repository, name)).read_bytes()

    def get(self, name: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._client.hf_hub_download(self._repository, name), target)

    def remove(self, names: Collection[str]) -> None:
        from huggingface_hub import CommitOperationDelete

        self._commit([CommitOperationDelete(name) for name in names], "Removed what the run no longer keeps")

    def _commit(self, operations: Sequence[Any], message: str) -> None:
        if operations:
            self._client.create_commit(self._repository, operations, commit_message=message)


def open_hub_store(url: str) -> HubStore:
    """The store of ``hf://org/name``. Raises RecipeError for another shape."""
    from huggingface_hub import HfApi

    repository = url.removeprefix(HUB_SCHEME).strip("/")
    if repository.count("/") != 1:
        raise RecipeError(f"training.mirror is {url!r}. Give a repository of the Hub as hf://org/name.")
    return HubStore(url, repository, HfApi())


def hub_user() -> Mapping[str, Any]:
    """Who is logged in, by `name`, and in `orgs` with their roles. Raises huggingface_hub's error if nobody is."""
    from huggingface_hub import HfApi

    user: Mapping[str, Any] = HfApi().whoami()
    return user
