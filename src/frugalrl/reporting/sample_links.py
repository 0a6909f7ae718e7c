"""Links within a page to the samples with some filters set; `assets/page/browser.js` reads them."""

from html import escape
from urllib.parse import urlencode


def to_samples(count: int, **filters: str) -> str:
    """A number that opens the list of samples with these filters, by the browser's names; no link for nothing."""
    return f'<a href="#samples?{escape(urlencode(filters))}">{count:,}</a>' if count else "0"
