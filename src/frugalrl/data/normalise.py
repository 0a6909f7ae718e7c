r"""A problem's text as tokens: a canonical spelling for what LaTeX, Unicode and editors spell in many ways.

Removed is what never changes a problem: dollars and brackets of formulas, sizes, spacing, fonts, case, punctuation,
drawing code, images, a contest's tag or a leading number. Kept is what may: numbers, operators, relations, words.

Decisions:
- ``\frac{a+b}{c}`` and ``(a+b)/c`` are one spelling; braces of exponents and roots become round brackets where they
  hold more than one symbol, so that ``2^{x+1}`` is not ``2^x+1``.
- Points (``ABC``) and products in formulas (``xyz``) are single letters; "two" to "twelve" are digits.
- "Express your answer as ..." says how to write the answer, not what is asked: `without_answer_format` takes it out.

Not covered: the layout of matrices and tables; a macro that a text defines itself.
"""

import html
import re
import unicodedata
from sys import intern

_SYMBOLS = {
    "−": "-", "–": "-", "‐": "-", "‑": "-", "×": "*", "·": "*", "⋅": "*", "∙": "*", "•": " ", "∗": "*", "÷": "/",
    "∕": "/", "⁄": "/", "π": " pi ", "∞": " infty ", "⩽": "≤", "⩾": "≥", "≦": "≤", "≧": "≥", "≈": " approx ",
    "∪": " cup ", "∩": " cap ", "∈": " in ", "∅": " emptyset ", "°": " degree ", "º": " degree ", "√": " sqrt ",
    "∠": " angle ", "△": " triangle ", "⊥": " perp ", "∥": " parallel ", "⊙": " odot ", "∑": " sum ", "∏": " prod ",
    "∫": " int ", "′": "'", "’": "'", "‘": "'", "“": '"', "”": '"', "—": " ", "…": " ", "⋯": " ", "│": "|", "∣": "|",
    "⌊": " lfloor ", "⌋": " rfloor ", "⌈": " lceil ", "⌉": " rceil ", "≅": " cong ", "∼": " sim ", "→": " to ",
    "½": " 1/2 ", "¼": " 1/4 ", "¾": " 3/4 ", "⅓": " 1/3 ", "⅔": " 2/3 ", "№": " ", "％": "%", "£": " ", "€": " ",
}  # fmt: skip
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
_TRANSLATION = _INVISIBLE | {ord(symbol): plain for symbol, plain in _SYMBOLS.items()}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ", "0123456789-+n")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ]+")
# Commands whose backslash was read as an escape on the way: a form feed and "rac", a tab and "imes".
_BROKEN_ESCAPE = re.compile("\x0c(?=rac|orall)|\t(?=imes|ext|heta|riangle|frac)|\x08(?=egin|inom|eta|ar)|\r(?=ight)")
_ESCAPES = {"\x0c": "\\f", "\t": "\\t", "\x08": "\\b", "\r": "\\r"}

_FIGURES = re.compile(
    r"\[(?P<tag>asy|img|youtube|geogebra|hide)[^\]]*\].*?\[/(?P=tag)\]|\\begin\{(?P<env>asy|tikzpicture|figure)\}.*?"
    r"\\end\{(?P=env)\}|!\[[^\]]*\]\([^)]*\)|\\includegraphics(?:\[[^\]]*\])?\{[^}]*\}|https?://[^\s)\]}]+|<img[^>]*>",
    re.DOTALL | re.IGNORECASE,
)
_TAG = re.compile(
    r"</?(?:p|br|b|i|u|em|strong|div|span|center|sub|sup|hr|ul|ol|li)\b[^>]*>|\[/?[biu]\]|\*\*|__+|\*(?=[A-Za-z]+\*)|\*(?<=[A-Za-z]\*)(?=[\s.,])"
)

_CONTEST = (
    r"(?:AIME|AMC|AHSME|AJHSME|IMO|USAMO|USAJMO|HMMT|PUMaC|CMIMC|BMT|SMT|Putnam|APMO|ARML|Olympiad|Competition|Contest"
    r"|Tournament|League|Exam|Examination|Test|Championship|Mock|Paper|China|Province|City|School|Shortlist|Cup)"
)
_PREAMBLE = re.compile(
    r"\s*(?:"
    r"(?:problem|question|exercise|example|task|subproblem|p|q|ex)\s?\.?\s?\#?\d{1,4}[a-z]?(?:[.-]\d{1,3})*\s?(?:[.:)]|$"
    r"|(?=[\[(]\s?\d+\s?p)|\s(?=[A-Z$\\]))"
    r"|preamble\s?:"
    r"|\d{1,4}\s?[.)、]\s?(?=[A-Z$\\(\[])(?!\s?[^\sA-Za-z$\\(\[])"
    r"|[(\[]\s?(?:worth\s)?\d{1,3}\s?(?:points?|pts?\.?|marks?|分)\s?[)\]]"
    r"|[(（](?:this|the|full)[^()]{0,40}\b(?:score|points|marks)\b[^()]{0,40}[)）]"
    r"|\[\s?\d{1,3}\s?\](?=\s?[A-Z])"
    r"|[(\[][^()\[\]$\\=+]{0,60}\b(?:19|20)\d\d\b[^()\[\]$\\=+]{0,80}[)\]]"
    r"|(?:19|20)\d\d\s(?:[A-Z]\w*\s){1,4}(?:problem|question)\s\#?\d+\s?[.:]"
    r")\s*",
    re.IGNORECASE,
)
_TRAILING_SOURCE = re.compile(
    rf"\s*[(\[](?=[^()\[\]$]*\b(?:19|20)\d\d\b)(?=[^()\[\]$]*\b{_CONTEST}\b)[^()\[\]$]{{4,120}}[)\]]\s*\.?\s*$",
    re.IGNORECASE,
)
_POINTS = re.compile(r"[(\[]\s?\d{1,3}\s?(?:points?|pts?\.?|marks?)\s?[)\]]", re.IGNORECASE)
_ANSWER_FORMAT = re.compile(
    r"(?:(?<=[.?!)\]$])|(?<=\n)|^)\s*(?:please\s+)?(?:\(|then\s+)?"
    r"(?:(?:express|give|write|enter|leave|state|provide|submit|round|report|put|simplify|list)\s+(?:all\s+(?:of\s+)?)?"
    r"(?:your|the)\s+(?:final\s+)?answers?\b(?:\(s\))?|(?:express|give|write|enter)\s+it\s+(?:as|in)\b"
    r"|your\s+(?:final\s+)?answer\s+should\s+be\b|assume\s+that\s+your\s+answer\b"
    r"|answer\s+(?:in|as|with)\b|note:?\s+your\s+answer\b)"
    r"(?:[^.?!\n]|\.(?=[\d.])|[.!](?=\S))*(?:[.?!]|$|(?=\n))\)?",
    re.IGNORECASE,
)

_MATHS = re.compile(r"\$\$.+?\$\$|\$[^$]+\$|\\\(.+?\\\)|\\\[.+?\\\]", re.DOTALL)
_TEXT_COMMANDS = (
    r"text(?:bf|it|rm|sf|tt|sc|normal|up|md)?|mbox|hbox|mathrm|operatorname\*?|mathit|mathsf|mathtt|underline|emph"
)
_LETTER_RUN = re.compile(rf"\\(?:{_TEXT_COMMANDS}|begin|end)\s*\{{[^{{}}]*\}}|\\[A-Za-z]+|[A-Za-z]{{2,}}")
_FUNCTIONS = frozenset(
    "sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan log ln lg exp lim max min sup inf gcd lcm det sqrt "  # noqa: SIM905
    "frac mod deg and or if for pi the of is cm mm km kg ft in is to where with such that when".split()
)
_POINT_RUN = re.compile(
    r"\b(?!(?:NOT|CANNOT|EXCEPT|LEAST|MOST|TRUE|FALSE|MUST|COULD|AND|OR|ALL|ONLY|ANY|EACH|BOTH|THE|ONE)\b)[A-Z]{2,6}(?![A-Za-z])"
)

_GONE = frozenset(
    "left right big bigg bigl bigr bigm biggl biggr Big Bigg Bigl Bigr Bigm Biggl Biggr displaystyle textstyle "  # noqa: SIM905
    "scriptstyle limits nolimits quad qquad thinspace medspace enspace text textbf textit textrm textsf texttt textsc "
    "textnormal mbox hbox mathrm operatorname mathit mathsf mathtt underline emph mathbf boldsymbol bold bm pmb "
    "mathnormal mathcal mathfrak mathbb mathscr bf rm it cal tt sf ldots cdots dots dotsb dotsc dotsm "
    "dotsi dotso vdots ddots noindent newline hline hfill par centering item phantom hphantom vphantom widehat "
    "wideparen overarc hat bar "
    "overline overrightarrow vec lbrace rbrace colon smallskip medskip bigskip null strut".split()
)
_COMMANDS = {
    **dict.fromkeys(_GONE, " "),
    **dict.fromkeys(("frac", "dfrac", "tfrac", "cfrac"), "\\frac"),
    **dict.fromkeys(("binom", "dbinom", "tbinom"), " binom "),
    **dict.fromkeys(("le", "leq", "leqslant", "leqq"), "≤"),
    **dict.fromkeys(("ge", "geq", "geqslant", "geqq"), "≥"),
    **dict.fromkeys(("ne", "neq"), "≠"),
    **dict.fromkeys(("cdot", "times", "ast"), "*"),
    **dict.fromkeys(("lvert", "rvert", "mid", "vert", "lVert", "rVert", "Vert"), "|"),
    **dict.fromkeys(("bmod", "pmod", "mod"), " mod "),
    **dict.fromkeys(("rightarrow", "longrightarrow", "to"), " to "),
    **dict.fromkeys(("circ", "degree", "degrees"), " degree "),
    **dict.fromkeys(("equal", "equals"), "="),
    "sqrt": "\\sqrt", "gt": ">", "lt": "<", "div": "/", "pm": "±", "plus": "+", "minus": "-", "equiv": "≡",
    "prime": "'", "varphi": " phi ", "varepsilon": " epsilon ", "vartheta": " theta ", "emptyset": " emptyset ",
    "varnothing": " emptyset ",
}  # fmt: skip
_COMMAND = re.compile(
    r"\\(?:(?:begin|end)\{[^{}]*\}(?:\{[lcr|\s]*\})?|[hv]space\*?\{[^{}]*\}|(?:label|tag)\{[^{}]*\}|([A-Za-z]+)\*?|[^A-Za-z])"
)
_NOT_EQUAL = re.compile(r"\\not\s*=")
_THOUSANDS = re.compile(r"(\d)(?:,|\{,\}|\\,|\\!|,\\!|\\ )(?=\d{3}(?!\d))")
_GREEK_FRACTION = re.compile(
    r"\\[dtc]?frac\s*(\\(?:pi|alpha|beta|gamma|theta|lambda|phi))\s*([A-Za-z0-9])(?![A-Za-z0-9])"
)
_SHORT_FRACTION = re.compile(
    r"\\frac\s?([A-Za-z0-9])\s?([A-Za-z0-9])(?!\w)|\\frac\s?(\d)\s?(\d)|\\frac\s?([A-Za-z0-9])(?=\s?\{)"
)
_FRACTION = re.compile(r"\\frac\s*\{([^{}]*)\}\s*(?:\{([^{}]*)\}|([A-Za-z0-9]))")
_SCRIPT = re.compile(r"(\^|_|\\sqrt)\s*\{([^{}]*)\}")
_BARE_GROUP = re.compile(r"(?<![c}^_t\]\s])\{([^{}]*)\}|(?<=\{)\s*\{([^{}]*)\}(?=\s*\})")
_ROOT = re.compile(r"\\sqrt\s*\[([^\]]*)\]")
_ATOM = re.compile(r"\s*(?:\\?[A-Za-z]+|[\d.]+)\s*|\s*")
# The literal first and its lookbehind after it: a lookbehind in front would be tried at every character.
_HYPHEN = re.compile(r"-(?:(?<=[a-z]{2}-)\s?(?=[a-z]{2})|(?=[a-z]{3})|(?<=\s-)\s(?=[a-z]{3}[a-z]* [a-z])|-+)")
_APOSTROPHE = re.compile(r"'(?:(?<=[a-z]')s\b|(?<=n')t\b|(?<=[a-z]{2}s')(?=\s))")
_SPELLINGS = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "ten": "10", "eleven": "11", "twelve": "12", "degrees": "degree", "percent": "%", "cannot": "not",
}  # fmt: skip
_TOKEN = re.compile(
    r"[a-z]+|\d+(?:\.\d+)?|[-+*/^=<>|%≤≥≠≡±()\[\]]|!(?<=[\da-z]!)|'+(?<=[a-z]')|\.(?<![\da-z)]\.)\d+"
    r"|[\u3040-\u30ff\u3400-\u9fff]|[^\W\d_a-z]+"
)


_SPACE = re.compile(r" (?:(?<!\d )|(?!\d))")


def words(text: str) -> tuple[str, ...]:
    r"""The normalised tokens of a problem: words, numbers, symbols, in order.

    ``words(r"1. Find $\dfrac{1}{2}+x$.") == ("find", "1", "/", "2", "+", "x")``. Equal tokens of all texts are one
    object, so that a tokenised pool takes a fifth of the memory.
    """
    return tuple([intern(_SPELLINGS.get(token, token)) for token in _TOKEN.findall(_plain(text))])


def canonical(text: str) -> str:
    """The key of exact duplicates: the tokens, with spaces only between two numbers, and the code of a drawing."""
    code = figure_code(text)
    return key_of(words(text)) + (f" figure {code}" if code else "")


def key_of(tokens: tuple[str, ...]) -> str:
    """Tokens as one string in which "x y" and "xy", or "anti clockwise" and "anticlockwise", are the same."""
    return _SPACE.sub("", " ".join(tokens))


def without_variable_names(tokens: tuple[str, ...]) -> tuple[str, ...]:
    """Single letters by the order in which they first occur: v0, v1 and so on; the article "a" is no variable.

    Renaming the variables of a problem leaves the result as it is.
    """
    names: dict[str, str] = {}
    renamed = []
    for at, token in enumerate(tokens):
        if len(token) == 1 and token.isalpha() and token.isascii() and not _is_article(tokens, at):
            token = names.setdefault(token, f"v{len(names)}")
        renamed.append(token)
    return tuple(renamed)


def without_answer_format(text: str) -> str:
    """The text without sentences that only say how to write the answer; unchanged if nothing else is left."""
    rest = _ANSWER_FORMAT.sub(" ", text)
    return rest if len(rest.split()) > 3 else text


def without_figures(text: str) -> str:
    """The text without drawing code, images and addresses."""
    return _FIGURES.sub(" ", text)


def with_blank_figures(text: str) -> str:
    """The text with drawing code and images replaced by spaces, so that all other characters keep their position."""
    return _FIGURES.sub(lambda match: " " * len(match.group()), text) if "[" in text or "\\" in text else text


def figure_code(text: str) -> str:
    """The drawing code of a text without its spaces; empty if there is none. Another drawing is another problem."""
    if "[asy]" not in text.lower():
        return ""
    return re.sub(r"\s+", "", " ".join(match.group() for match in _FIGURES.finditer(text)))


def without_preamble(text: str) -> str:
    """The text without what precedes or follows the problem: its number, points, contest and year."""
    for _ in range(3):
        found = _PREAMBLE.match(text)
        if not found or found.end() == len(text):
            break
        text = text[found.end() :]
    if text.rstrip(" .\n")[-1:] in (")", "]"):
        text = text[:-160] + _TRAILING_SOURCE.sub("", text[-160:])
    return _POINTS.sub(" ", text)


def _is_article(tokens: tuple[str, ...], at: int) -> bool:
    """Whether an "a" precedes a word, as articles do, and is not next to an operator."""
    if tokens[at] != "a" or at + 1 == len(tokens):
        return False
    following, before = tokens[at + 1], tokens[at - 1] if at else "start"
    is_word = len(following) > 1 and following.isalpha() and following not in _FUNCTIONS
    return is_word and (len(before) > 1 and not before[0].isdigit())


def _plain(text: str) -> str:
    """Lower-case text in which every token of `_TOKEN` has its normal form."""
    if "&" in text:
        text = html.unescape(text)
    text = _BROKEN_ESCAPE.sub(lambda match: _ESCAPES[match.group()], text)
    if not text.isascii():
        text = _SUPERSCRIPT.sub(lambda match: "^{" + match.group().translate(_SUPERSCRIPTS) + "}", text)
        text = unicodedata.normalize("NFKC", text.translate(_TRANSLATION)).translate(_TRANSLATION)
        text = "".join(char for char in unicodedata.normalize("NFD", text) if unicodedata.category(char) != "Mn")
    text = without_preamble(_TAG.sub(" ", without_figures(text))).replace("\\$", " ")
    text = _THOUSANDS.sub(r"\1", text)
    if "$" in text or "\\" in text:
        text = _MATHS.sub(_letters_apart, text)
    text = _POINT_RUN.sub(lambda match: " ".join(match.group()), text)
    if "\\" in text or "^" in text:
        text = _plain_formulas(text)
    text = text.lower()
    if "-" in text:
        text = _HYPHEN.sub(" ", text)
    return _APOSTROPHE.sub(lambda match: " not" if match.group() == "'t" else " ", text) if "'" in text else text


def _plain_formulas(text: str) -> str:
    if "\\not" in text:
        text = _NOT_EQUAL.sub("≠", text)
    if "frac" in text:
        text = _GREEK_FRACTION.sub(r"\\frac{\1}{\2}", text)
    text = _COMMAND.sub(_plain_command, text)
    if "\\frac" in text:
        text = _SHORT_FRACTION.sub(_braced, text)
    text = _ROOT.sub(r" \1 \\sqrt", text)
    for _ in range(8):
        text, fractions = _FRACTION.subn(lambda m: f" {_grouped(m[1])}/{_grouped(m[2] or m[3] or '')} ", text)
        text, scripts = _SCRIPT.subn(_plain_script, text)
        text, groups = _BARE_GROUP.subn(lambda m: f" {m[1] or m[2] or ''} ", text)
        if not fractions and not scripts and not groups:
            break
    return text.replace("^  degree", " degree").replace("^ degree", " degree").replace("^'", "'")


def _plain_command(match: re.Match[str]) -> str:
    name = match[1]
    if name is None:
        return {"\\%": "%", "\\|": "|"}.get(match.group(), " ")
    return _COMMANDS.get(name) or f" {name} "


def _plain_script(match: re.Match[str]) -> str:
    inside = match[2].strip()
    if match[1] == "_" or not inside:
        return f" {inside} "
    return f"{match[1]} {_grouped(inside)} "


def _braced(match: re.Match[str]) -> str:
    parts = [part for part in match.groups() if part]
    return "\\frac" + "".join(f"{{{part}}}" for part in parts)


def _grouped(inside: str) -> str:
    return inside if _ATOM.fullmatch(inside) else f"({inside})"


def _letters_apart(match: re.Match[str]) -> str:
    """A formula with its products of letters apart: ``xyz`` is x, y, z; functions and words in text groups stay."""
    return " " + _LETTER_RUN.sub(_apart, match.group()) + " "


def _apart(match: re.Match[str]) -> str:
    run = match.group()
    if run.startswith("\\") or run in _FUNCTIONS or len(run) > 4:
        return run
    return " ".join(run)
