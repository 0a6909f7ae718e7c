"""Answers as text: one spelling for what LaTeX and Unicode spell in many ways, and cuts at the top level.

`clean` changes only what never changes a value: spacing commands, dollar signs, sizes of brackets, Unicode look-
alikes of LaTeX commands, font commands. It refuses (None) what a reader could not see as it is stored: control
characters, lone surrogates, overrides of the writing direction. Compatibility folding (NFKC) is deliberately not
used: it turns a superscript 5 into a 5.

Everything here is linear in the text and evaluates nothing.
"""

import re
import unicodedata

_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
_SYMBOLS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ",
    "∙": r"\cdot ", "÷": r"\div ", "∕": "/", "⁄": "/", "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ",
    "≠": r"\ne ", "≈": r"\approx ", "±": r"\pm ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ",
    "°": r"^\circ ", "º": r"^\circ ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "θ": r"\theta ", "α": r"\alpha ",
    "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ", "μ": r"\mu ", "φ": r"\phi ", "ω": r"\omega ",
    "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}",
    "⅕": r"\frac{1}{5}", "⅛": r"\frac{1}{8}", "′": "'", "’": "'", "‘": "'", "“": '"', "”": '"', "，": ",",
    "：": ":", "；": ";", "…": r"\ldots ", "℃": r"^\circ C", "℉": r"^\circ F", "¢": r"\text{ cents}", "％": "%",
    "∣": r"\mid ", "∀": r"\forall ", "∃": r"\exists ", "△": r"\triangle ", "∠": r"\angle ", "ℕ": r"\mathbb{N}",
    "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}", "⟨": "(", "⟩": ")", "→": r"\to ",
}  # fmt: skip
_FULL_WIDTH = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_TRANSLATION = _INVISIBLE | _FULL_WIDTH | {ord(symbol): latex for symbol, latex in _SYMBOLS.items()}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ", "0123456789-+n")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")

_SPACING = re.compile(
    r"\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits|nolimits|thinspace|medspace|enspace)(?![A-Za-z])"
    r"|\\q?quad|(?<!\\)\\[,;:! ]|~"
)
_TEXT_COMMAND = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal|up|md)?|mbox|hbox|mathrm|operatorname\*?|mathit|mathsf|mathtt|textsc|rm)"
    r"(?![A-Za-z])\s?(?=\{)"
)
_FONT_COMMAND = re.compile(
    r"\\(?:mathbf|boldsymbol|bold|bm|pmb|mathnormal|underline|emph|mathcal|mathfrak)(?![A-Za-z])\s?"
)
_SYNONYMS = {
    r"\\[dtc]frac(?![A-Za-z])": r"\\frac", r"\\[dt]binom(?![A-Za-z])": r"\\binom",
    r"\\(?:leq|leqslant)(?![A-Za-z])": r"\\le", r"\\(?:geq|geqslant)(?![A-Za-z])": r"\\ge",
    r"\\neq(?![A-Za-z])": r"\\ne", r"\\gt(?![A-Za-z])": ">", r"\\lt(?![A-Za-z])": "<",
    r"\\(?:degree|degrees)(?![A-Za-z])": r"^\\circ", r"\^\s?\{\s?\\circ\s?\}": r"^\\circ", r"\\(?:lbrace|\{)": r"\\{",
    r"\\(?:rbrace|\})": r"\\}", r"\\lbrack(?![A-Za-z])": "[", r"\\rbrack(?![A-Za-z])": "]",
    r"\\varnothing(?![A-Za-z])": r"\\emptyset", r"\\c?dots(?![A-Za-z])": r"\\ldots",
    r"\\(?:thickapprox|simeq|approxeq)(?![A-Za-z])": r"\\approx", r"\\imath(?![A-Za-z])": "i", r"\\%": "%",
    r"\\ast(?![A-Za-z])": "*", r"\\(?:cent|textcent)(?![A-Za-z])": r"\\text{ cents}",
    r"\\(?:textdegree|celsius)(?![A-Za-z])": r"^\\circ", r"\\(?:vert|lvert|rvert)(?![A-Za-z])": "|",
    r"\\(?:overrightarrow|vec)(?![A-Za-z])": r"\\vec", r"\\arctg(?![A-Za-z])": r"\\arctan",
    r"\\tg(?![A-Za-z])": r"\\tan", r"\\ctg(?![A-Za-z])": r"\\cot",
    r"\^ ?\\prime(?![A-Za-z])": "'", r"\^ ?\{ ?\\prime ?\}": "'", r"\^ ?\{ ?\\prime ?\\prime ?\}": "''",
    r"\\langle(?![A-Za-z])": "(", r"\\rangle(?![A-Za-z])": ")",
    r"<=": r"\\le ", r">=": r"\\ge ", r"!=": r"\\ne ", r"\\lor(?![A-Za-z])": r"\\text{ or }",
    r"\\(?:land|wedge)(?![A-Za-z])": r"\\text{ and }", r"\\(?:to|rightarrow)(?![A-Za-z])": r"\\to",
}  # fmt: skip
_SINGLE_LETTER = re.compile(r"\\text\{\s*([eid0-9])\s*\}|(?<![\d})])(?<![\d})] )\\text\{\s*([A-Za-z])\s*\}")
"""An upright letter or digit; behind a number it is a unit (metres, grams) and stays marked."""
_GLUED = re.compile(
    r"\\(pi|sin(?!h)|cos(?!h|ec)|tan(?!h)|cot(?!h)|sec|csc(?!h)|ln|log|triangle(?!left|right|down|q)"
    r"|leq(?!slant|q)|geq(?!slant|q))(?=[A-Za-z])"
)
"""Commands that lost the space behind them, as in ``\\pir^2``."""
_NEEDS_CLEANING = re.compile(r"[\\${<>!~]")
_SYNONYM_PATTERNS = [(re.compile(pattern), replacement) for pattern, replacement in _SYNONYMS.items()]
_SYSTEM = re.compile(
    r"\\left ?\\\{ ?\\begin ?\{ ?(?:array|aligned|matrix|cases) ?\} ?(?:\{[lcr| ]*\})?(.*?)"
    r"\\end ?\{ ?(?:array|aligned|matrix|cases) ?\} ?\\right ?\.",
    re.DOTALL,
)
_WORD_INDEX = re.compile(r"_ ?\{ ?\\text ?\{ ?([A-Za-z]{1,20}) ?\} ?\}")
_TAKES_ARGUMENTS = re.compile(r"\\(?:frac|binom|sqrt|vec|bar|overline|hat|dot|ddot)(?![A-Za-z])")
_ARGUMENTS = {"\\frac": 2, "\\binom": 2} | dict.fromkeys(
    ("\\sqrt", "\\vec", "\\bar", "\\overline", "\\hat", "\\dot", "\\ddot"), 1
)
_ARGUMENT = re.compile(
    r"[A-Za-z0-9]|\\(?:pi|theta|alpha|beta|gamma|delta|lambda|mu|phi|varphi|omega|sigma|rho|tau|ell)"
)
_THOUSANDS = re.compile(r"(?<![\w.,^])[1-9]\d{0,2}(?:(?:,\d{3})+|(?: \d{3})+)(?!,?\d)")
_TIGHT_COMMA = re.compile(r",(?! )")
_BRACKET = re.compile(r"\\[{}]|(?<!\\)[(){}\[\]]")
_OPENERS, _CLOSERS = "([{", ")]}"
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|.", re.DOTALL)


def clean(text: str) -> str | None:
    """A text in its plain spelling; None if it holds characters that are not what they look like."""
    text = text.replace("\t", " ").replace("\n", " ").replace("\r", " ").translate(_TRANSLATION)
    if not text.isascii():
        text = _fold_unicode(text)
        if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn") for char in text):
            return None
    elif not text.isprintable():
        return None
    if _NEEDS_CLEANING.search(text):
        text = _clean_latex(text)
    return re.sub(r" {2,}", " ", text.rstrip("\\")).strip()


def _clean_latex(text: str) -> str:
    if 0 < text.count("\\begin") <= 2:
        text = _SYSTEM.sub(r"\\begin{cases}\1\\end{cases}", text)
    if "\\begin" not in text:
        text = re.sub(r"\\\\(?=[A-Za-z{},;!%])", r"\\", text)  # escaped twice on its way through JSON
    else:
        text = re.sub(r"(?<!\\)\\(?=[-\d])", r"\\\\", text)  # a row's end that lost a backslash
    text = _GLUED.sub(r"\\\1 ", text.replace("{}", ""))
    text = text.replace("\\$", " ").replace("$", " ").replace("\\(", " ").replace("\\)", " ")
    text = text.replace("\\[", " ").replace("\\]", " ") if "\\begin" not in text else text
    text = re.sub(r"(?<=\d)\s?(?:\{,\}|,\s?\\!|\\,|\\!)\s?(?=\d{3}(?!\d))", ",", text)
    text = re.sub(r"(?<=\d)\{,\}(?=\d)", ".", text)
    text = _SPACING.sub(" ", text)
    text = _TEXT_COMMAND.sub(r"\\text", text)
    text = _FONT_COMMAND.sub(" ", text)
    for pattern, replacement in _SYNONYM_PATTERNS:
        text = pattern.sub(replacement, text)
    text = _WORD_INDEX.sub(r"_{\1}", with_braced_arguments(text))
    return _SINGLE_LETTER.sub(lambda match: f" {match.group(1) or match.group(2)} ", text)


def _fold_unicode(text: str) -> str:
    """Superscripts as powers, subscripts, square roots, and every kind of space as a space."""
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ]+", lambda match: "^{" + match.group().translate(_SUPERSCRIPTS) + "}", text)
    text = re.sub("[₀₁₂₃₄₅₆₇₈₉]+", lambda match: "_{" + match.group().translate(_SUBSCRIPTS) + "}", text)
    text = re.sub(r"√\s?(\d+|[A-Za-z]|(?=[({]))", lambda match: _root(match.group(1)), text)
    return "".join(" " if unicodedata.category(char) == "Zs" else char for char in text)


def _root(radicand: str) -> str:
    return f"\\sqrt{{{radicand}}}" if radicand else "\\sqrt"


def compact(text: str) -> str:
    """A cleaned text without the spaces that mean nothing: those not between two letters or two digits."""
    return re.sub(r"(?<![A-Za-z0-9]) | (?![A-Za-z0-9])", "", text).rstrip(".")


def bare_text(text: str) -> str:
    """Words alone, for comparing text answers: no commands, case, punctuation, or articles."""
    text = re.sub(r"\\text(?=\{)|\\[A-Za-z]+", " ", text).casefold()
    words = re.sub(r"[^\w]+|_", " ", text).split()
    return " ".join(word for word in words if word not in ("a", "an", "the"))


def with_braced_arguments(text: str) -> str:
    """``\\frac{1+a}c``, ``\\frac\\pi 2``, ``\\sqrt x`` with the braces that TeX supplies itself."""
    if not _TAKES_ARGUMENTS.search(text):
        return text
    tokens = _TOKEN.findall(text)
    wanted = [0]  # arguments still to come, for each open brace
    written: list[str] = []
    in_option = False
    for at, token in enumerate(tokens):
        if in_option:
            in_option = token != "]"
        elif token in _ARGUMENTS:
            wanted[-1] = _ARGUMENTS[token]
        elif token == "{":
            wanted[-1] = max(0, wanted[-1] - 1)
            wanted.append(0)
        elif token == "}":
            wanted = wanted[:-1] or [0]
        elif wanted[-1] and token == "[":
            in_option = True
        elif wanted[-1] and token != " ":
            is_argument = _ARGUMENT.fullmatch(token) and not _starts_number(tokens, at, written)
            wanted[-1] = wanted[-1] - 1 if is_argument else 0
            token = f"{{{token}}}" if is_argument else token
        written.append(token)
    return "".join(written)


def _starts_number(tokens: list[str], at: int, written: list[str]) -> bool:
    """Whether more digits follow a root's digit: ``\\sqrt12`` is left unchanged."""
    before = "".join(written[-2:]).rstrip()
    return before.endswith("\\sqrt") and tokens[at].isdigit() and "".join(tokens[at + 1 : at + 2]).isdigit()


def join_thousands(text: str) -> str:
    """A cleaned text with the numbers outside its brackets written without separators: "4,800 litres" as "4800 litres".

    Left alone where a comma that touches both neighbours separates something else too: "1,200,x".
    """
    if not _THOUSANDS.search(text):
        return text
    pieces: list[str] = []
    depth = start = 0
    for match in _BRACKET.finditer(text):
        is_opener = match.group() in ("{", "\\{", "(", "[")
        if depth == 0 or (depth == 1 and not is_opener):
            pieces.append(text[start : match.start()])  # outside, inside, outside, ...
            start = match.start()
        depth = max(0, depth + (1 if is_opener else -1))
    pieces.append(text[start:])
    if _TIGHT_COMMA.search(" ".join(_THOUSANDS.sub("0", piece) for piece in pieces[::2])):
        return text
    pieces[::2] = [_THOUSANDS.sub(lambda match: re.sub("[, ]", "", match.group()), piece) for piece in pieces[::2]]
    return "".join(pieces)


def is_balanced(text: str) -> bool:
    """Whether braces and brackets close in a proper order; intervals may mix round and square ones."""
    opened: list[str] = []
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token in ("{", "\\{", "(", "["):
            opened.append(token)
        elif token in ("}", "\\}"):
            if not opened or opened.pop() != ("{" if token == "}" else "\\{"):
                return False
        elif token in (")", "]") and (not opened or opened.pop() not in ("(", "[")):
            return False
    return not opened


def nesting_depth(text: str) -> int:
    """The deepest nesting of brackets of any kind."""
    depth = deepest = 0
    for char in text:
        if char in _OPENERS:
            depth += 1
            deepest = max(deepest, depth)
        elif char in _CLOSERS:
            depth -= 1
    return deepest


def split_top(text: str, separators: re.Pattern[str]) -> list[str]:
    """Pieces between the separators that stand outside every bracket."""
    pieces: list[str] = []
    depth = start = at = 0
    while at < len(text):
        if depth == 0:
            found = separators.match(text, at)
            if found and found.end() > at:
                pieces.append(text[start:at])
                start = at = found.end()
                continue
        match = _TOKEN.match(text, at)
        token = match.group() if match else text[at]
        if token in ("{", "\\{", "(", "["):
            depth += 1
        elif token in ("}", "\\}", ")", "]"):
            depth -= 1
        at += len(token)
    pieces.append(text[start:])
    return [piece.strip() for piece in pieces]


def enclosed(text: str) -> tuple[str, str, str] | None:
    """(opener, inside, closer) if one pair of brackets encloses the whole text, else None."""
    opener = "\\{" if text.startswith("\\{") else text[:1]
    if opener not in ("(", "[", "{", "\\{"):
        return None
    depth = 0
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token in ("{", "\\{", "(", "["):
            depth += 1
        elif token in ("}", "\\}", ")", "]"):
            depth -= 1
            if depth == 0:
                if match.end() != len(text):
                    return None
                return opener, text[len(opener) : match.start()].strip(), token
    return None
