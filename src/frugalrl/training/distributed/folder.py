"""The folder of a run that several processes share: the first opens and locks it, all must be able to see it."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from frugalrl.config.schema import SftRecipe, TrainRecipe
from frugalrl.errors import OutputError
from frugalrl.training.distributed.world import World
from frugalrl.training.state.run_folder import RECIPE_FILE, OpenedFolder, open_run_folder

_VISIBLE_SECONDS = 15.0
"""A network file system may take this long to show a new file to another machine."""


@contextmanager
def open_shared_folder(
    world: World, recipe: SftRecipe | TrainRecipe, out: Path | None, resume: bool
) -> Iterator[OpenedFolder]:
    """`open_run_folder` in the first process; the others are told its name. Raises OutputError in all of them."""
    with ExitStack() as stack:
        opened: list[OpenedFolder] = []

        def by_main() -> list[Any]:
            opened.append(stack.enter_context(open_run_folder(recipe, out, resume)))
            checkpoint = opened[0].checkpoint
            return [str(opened[0].path.resolve()), checkpoint and str(checkpoint.resolve()), opened[0].message]

        path, checkpoint, message = world.main(by_main)
        if not opened:
            opened.append(OpenedFolder(Path(path), checkpoint and Path(checkpoint), message))
        if world.size > 1:
            _refuse_unseen(world, opened[0].path)
        yield opened[0]


def _refuse_unseen(world: World, path: Path) -> None:
    """Raise OutputError in all processes if one does not see the folder: it would not find checkpoints later."""

    def look() -> None:
        deadline = time.monotonic() + _VISIBLE_SECONDS
        while not (path / RECIPE_FILE).is_file():
            if time.monotonic() > deadline:
                raise OutputError(
                    f"The run folder {path} cannot be seen by process {world.rank}, on another machine. Give a folder "
                    "on a file system that all machines share with --out."
                )
            time.sleep(0.2)

    world.each(look)
