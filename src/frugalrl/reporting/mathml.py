"""LaTeX to MathML that a page may contain. The only importer of latex2mathml.

A completion is text that nobody has vetted, so what the library makes of it is read again as XML, and only elements and
attributes of presentation MathML pass; what does not pass is shown as it was written.
"""

import functools
import re
from xml.etree import ElementTree

_SPACE = "{http://www.w3.org/1998/Math/MathML}"
_NAMES = """math mrow mi mn mo mtext ms mspace mfrac msqrt mroot mstyle msub msup msubsup munder mover munderover
    mmultiscripts mprescripts mtable mtr mtd menclose mpadded mphantom mfenced none"""
_ELEMENTS = frozenset(_NAMES.split())
_ALLOWED = """display displaystyle scriptlevel mathvariant stretchy fence form separator lspace rspace minsize maxsize
    symmetric largeop movablelimits accent accentunder linethickness width height depth notation columnalign rowspacing
    columnspacing columnlines rowlines open close separators"""
_ATTRIBUTES = frozenset(_ALLOWED.split())
_UNSAFE = re.compile(r"\\(?:href|class|style|cssId|require|html)")
_MOST_CHARS = 1_500


@functools.lru_cache(maxsize=50_000)
def mathml(latex: str) -> str | None:
    """Inline MathML; None for what cannot be converted, or is not only formulas."""
    if len(latex) > _MOST_CHARS or _UNSAFE.search(latex):
        return None
    from latex2mathml.converter import convert

    try:
        root = ElementTree.fromstring(convert(latex))
    except Exception:  # whatever a converter raises on half a formula: it is shown as it was written
        return None
    for node in root.iter():
        if node.tag.removeprefix(_SPACE) not in _ELEMENTS or not _ATTRIBUTES.issuperset(node.attrib):
            return None
        if (node.text or "").startswith("\\"):  # a command that the library does not know
            return None
        node.tag = node.tag.removeprefix(_SPACE)
    return ElementTree.tostring(root, encoding="unicode")
