"""LaTeX in the spellings that math-verify's grammar reads rightly; what it would drop becomes part of a name.

It reads ``f'(x)`` as f(x), ``A^T`` as A, and refuses ``S_{\\triangle ABC}``. Here a letter with primes, a
transpose sign or an index of several signs becomes a letter with a number for an index, drawn from a hash of them.
"""

import hashlib
import re

_GREEK_NAMES = """
alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta kappa lambda mu nu xi rho sigma tau upsilon phi
varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell triangle
"""
_GREEK = frozenset(f"\\{name}" for name in _GREEK_NAMES.split())
_TOKEN = re.compile(r"\\[A-Za-z]+|[A-Za-z]|.", re.DOTALL)
_SUFFIX = re.compile(
    r"(?: ?_ ?(?P<index>\{(?:[^{}]|\{[^{}]*\}){1,40}\}|\\[A-Za-z]+|[A-Za-z0-9]))?"
    r"(?P<primes>'{1,4})?"
    r"(?P<transposed> ?\^ ?(?:\{ ?(?:T|\\top|\\ast|\*|\\circ ?T) ?\}|T(?![A-Za-z])|\\top(?![A-Za-z])|\*))?"
)
_PLAIN_INDEX = re.compile(r"[A-Za-z0-9]|\{ ?[A-Za-z0-9][A-Za-z0-9+-]{0,7} ?\}")
_FUNCTIONS = re.compile(r"(?<![\\A-Za-z])(sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt)(?![A-Za-z])")
_DECIMAL = re.compile(r"(?<![\w.\\])(\d{0,300})\.(\d{1,300})(?![\d.]|\\overline|[eE]-?\d)")
_GCD = re.compile(r"\\(?:gcd|lcm)(?![A-Za-z])|\{ ?(?:gcd|lcm) ?\}")
_LETTER = re.compile(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])")


def for_parser(text: str, cased: bool = False) -> str:
    """A cleaned value in spellings that the grammar knows.

    cased: whether capital letters are other names than small ones, which the parser does not tell apart.
    """
    text = re.sub(r"(?<=\{) | (?=\})", "", re.sub(r"\\bar(?=\s?\{)", r"\\overline", text))
    text = _DECIMAL.sub(_as_fraction, text)
    text = _FUNCTIONS.sub(r"\\\1", text)
    text = re.sub(r"\\log ?_ ?(?:\{ ?e ?\}|e(?![A-Za-z]))", r"\\ln ", text)
    text = _with_names(text, cased)
    text = re.sub(r"(?<![\\A-Za-z])E ?(?=_)", r"\\Xi", text)  # it knows E as Euler's number alone
    text = re.sub(r"(\d+(?:\.\d+)?) ?\^ ?\\circ", r"(\\frac{\1\\pi}{180})", text)
    return re.sub(r"\\sqrt ?\(([^()]*)\)", r"\\sqrt{\1}", text)


def _as_fraction(decimal: re.Match[str]) -> str:
    """A decimal as the fraction it is; the parser would keep 15 digits of it."""
    whole, decimals = decimal.groups()
    return f"(\\frac{{{int(whole + decimals)}}}{{{10 ** len(decimals)}}})"


def is_opaque(text: str) -> bool:
    """Whether the grammar would read another value: a gcd of letters is 1 to it, a double factorial two of them."""
    if "!!" in text:
        return True
    return _GCD.search(text) is not None and _LETTER.search(_GCD.sub("", text)) is not None


def uses_both_cases(text: str) -> bool:
    """Whether a letter occurs in a text in both upper and lower case."""
    letters = {token for token in _TOKEN.findall(text) if len(token) == 1 and token.isalpha()}
    return any(letter.isupper() and letter.lower() in letters for letter in letters)


def _with_names(text: str, cased: bool) -> str:
    written: list[str] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        token = found.group() if found else text[at]
        at += len(token)
        if not (token in _GREEK or (len(token) == 1 and token.isalpha())):
            written.append(token)
            continue
        suffix = _SUFFIX.match(text, at)
        index, primes, transposed = suffix.group("index", "primes", "transposed") if suffix else (None, None, None)
        is_capital = cased and token.isupper()
        if not (primes or transposed or is_capital) and (index is None or _PLAIN_INDEX.fullmatch(index)):
            written.append(token)
            continue
        at = suffix.end() if suffix else at
        signs = re.sub(r"[{} ]|\\text", "", f"{index or ''}{primes or ''}{transposed or ''}") + "^" * is_capital
        written.append(f"{token}_{{{int(hashlib.sha256(signs.encode()).hexdigest()[:8], 16)}}}")
    return "".join(written)
