"""From a recipe's `training.mirror` to the store behind it."""

from frugalrl.training.mirror.hub_store import HUB_SCHEME, open_hub_store
from frugalrl.training.mirror.store import Store
from frugalrl.training.mirror.url_store import open_url_store


def open_store(url: str) -> Store:
    """Raises RecipeError for a URL that nothing here can open."""
    return open_hub_store(url) if url.startswith(HUB_SCHEME) else open_url_store(url)
