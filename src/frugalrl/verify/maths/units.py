"""Units behind a value: split off, known by their dimension, and converted where two sides name different ones.

A unit may be left away on either side. Two known units of one kind are compared in one of them (5 m is 500 cm);
two of different kinds make two different answers. Up to four words after a number count as a unit ("12 red
apples") unless one of them could change the meaning ("5 or 6", "5 is wrong", "101 base two").
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from frugalrl.verify.maths.exact_numbers import TooLargeError, read_number

_NO_UNIT_WORDS = """
or and not no nor is isn are was be to than except from if but else minus plus times over divided by wrong incorrect
false between less more fewer least most greater below above negative half third quarter hundred thousand million
billion trillion dozen score gross mod modulo pi sin cos tan log ln exp squared cubed base factorial choose remainder
root point doubled tripled halved twice thrice halves thirds quarters fourths fifths sixths sevenths eighths ninths
tenths hundredths thousandths maybe perhaps possibly probably likely guess unsure ish then either neither instead
rather actually percent percentage
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
first second third fourth fifth sixth seventh eighth ninth tenth
"""
_NO_UNITS = frozenset(_NO_UNIT_WORDS.split()) - {"second"}
_Dimension = tuple[tuple[str, int], ...]
_TABLE = """
m m:1 1 meter metre metres
mm m:1 1/1000 millimeter millimetre
cm m:1 1/100 centimeter centimetre
dm m:1 1/10 decimeter decimetre
km m:1 1000 kilometer kilometre
in m:1 254/10000 inch inches
ft m:1 3048/10000 foot feet
yd m:1 9144/10000 yard
mi m:1 1609344/1000 mile
g g:1 1 gram gm gramme
kg g:1 1000 kilogram kilo
mg g:1 1/1000 milligram
lb lb:1 1 pound lbs
oz oz:1 1 ounce
ton ton:1 1 tonne
l m:3 1/1000 liter litre L
ml m:3 1/1000000 milliliter millilitre mL
gal gal:1 1 gallon
s s:1 1 second sec
ms s:1 1/1000 millisecond
min s:1 60 minute
h s:1 3600 hour hr
day s:1 86400
week s:1 604800
month month:1 1
year month:1 12 yr
usd usd:1 1 dollar buck USD
cent usd:1 1/100
eur eur:1 1 euro EUR
gbp gbp:1 1 GBP quid
yen yen:1 1 JPY
yuan yuan:1 1 RMB CNY
inr inr:1 1 rupee
degree angle:1 1 deg
radian radian:1 1 rad
celsius celsius:1 1
fahrenheit fahrenheit:1 1
kelvin kelvin:1 1 K
mph m:1,s:-1 1609344/3600000
kph m:1,s:-1 1000/3600 kmh kmph
newton g:1,m:1,s:-2 1000 N
joule g:1,m:2,s:-2 1000 J
watt g:1,m:2,s:-3 1000 W
volt volt:1 1 V
pascal g:1,m:-1,s:-2 1000 Pa
hertz s:-1 1 Hz
acre acre:1 1
hectare m:2 10000 ha
"""
"""Symbol, dimension, factor to the dimension's own unit, other spellings (plurals in -s are understood)."""


@dataclass(frozen=True)
class Unit:
    """A unit as far as it is known. The empty one stands for none."""

    words: str = ""
    """In one spelling; of what is not known, the words themselves."""
    dimension: _Dimension | None = None
    """None: not known, compatible with everything."""
    factor: Fraction = field(default=Fraction(1))
    """To the dimension's own units."""

    @property
    def is_known(self) -> bool:
        """Whether its kind can be told from others."""
        return self.dimension is not None


def _known_units() -> Mapping[str, tuple[str, dict[str, int], Fraction]]:
    known = {}
    for line in _TABLE.strip().splitlines():
        symbol, dimension, factor, *spellings = line.split()
        powers = {name: int(power) for name, power in (part.split(":") for part in dimension.split(","))}
        value = Fraction(factor)
        for spelling in (symbol, *spellings):
            known[spelling] = (symbol, powers, value)
    return known


_KNOWN = _known_units()

_POWER = r"(?: ?\^ ?(?:\{ ?-?\d ?\}|\d))?"
_UNIT_TAIL = re.compile(rf"(?:\\text\{{[^{{}}]*\}}{_POWER}[ /.*]*|\\cdot ?|\\times ?|/ ?)+")
_UPRIGHT = rf" ?(?:\\text\{{([^{{}}]*)\}}|([A-Za-z]{{1,3}})) ?({_POWER}) ?"
_UNIT_FRACTION = re.compile(rf"\\frac ?\{{{_UPRIGHT}\}} ?\{{{_UPRIGHT}\}}$")
_BARE_TAIL = re.compile(rf" ?((?:[A-Za-z]{{2,24}}|[A-Za-z](?=/))(?:[ /][A-Za-z]{{1,24}}){{0,3}}{_POWER})$")
_LETTER_TAIL = re.compile(rf" ([mgshlLNJWVK]{_POWER})$")
_DEGREES = re.compile(
    r" ?\^ ?\\circ ?(?:(C|F)|\\text\{ ?(C|F|Celsius|Fahrenheit) ?\}|(Celsius|Fahrenheit))?$", re.IGNORECASE
)
_SCALES = {"c": "celsius", "f": "fahrenheit"}
_PART = re.compile(r"(?P<per>/|\bper\b)|(?P<word>[A-Za-z]+)(?: ?\^ ?\{? ?(?P<power>-?\d) ?\}?)?")
_CURRENCIES = {"$": "usd", "€": "eur", "£": "gbp", "¥": "yen", "₹": "inr", "₽": "rub"} | {
    "\\pounds": "gbp",
    "\\euro": "eur",
}
_CURRENCY = "€£¥₹₽"
_SIGN = re.compile(r"\\\$|[€£¥₹₽]|\\(?:pounds|euro)(?![A-Za-z])")
_MAX_TAIL = 120


def currency_sign(text: str) -> str:
    """The currency that a stored text names by a sign: ``\\$5``, ``$5``, ``€5``; empty for none or several."""
    signs = {_CURRENCIES.get(sign) or _CURRENCIES.get(sign[-1], "") for sign in _SIGN.findall(text)}
    if re.match(r"\s*\$? ?USD ?\d", text):
        signs.add("usd")
    unpaired = text.replace("\\$", "")
    if unpaired.count("$") % 2 and re.search(r"\$ ?[\d.]", unpaired):
        signs.add("usd")
    return signs.pop() if len(signs) == 1 else ""


def split_unit(text: str) -> tuple[str, Unit]:
    """A cleaned answer as value and unit; the unit is empty if there is none."""
    text = text.strip(_CURRENCY + " ")
    if degrees := _DEGREES.search(text, max(0, len(text) - _MAX_TAIL)):
        value = text[: degrees.start()].strip()
        scale = next((group[0].lower() for group in degrees.groups() if group), "")
        return (value, read_unit(_SCALES.get(scale, "degree"))) if is_number(value) else (text, Unit())
    if len(text) <= _MAX_TAIL:
        text = _UNIT_FRACTION.sub(_in_one_line, text)
    start = text.find("\\text{")
    if start > 0 and len(text) - start <= _MAX_TAIL and _UNIT_TAIL.fullmatch(text, start):
        value = re.sub(r"(?:\\cdot|\\times)$", "", text[:start].rstrip()).rstrip()
        return (value, read_unit(text[start:])) if _may_be_unit(text[start:]) and value else (text, Unit())
    tail = _BARE_TAIL.search(text, max(0, len(text) - _MAX_TAIL)) or _letter_tail(text)
    if tail:
        value, words = text[: tail.start()].strip(), tail.group(1)
        if not value or not (value[-1].isalnum() or value[-1] in ")}.%") or not _may_be_unit(words):
            return text, Unit()
        unit = read_unit(words)
        if len(words.partition("/")[0]) == 1 and not unit.is_known:
            return text, Unit()
        if not unit.is_known and not _is_word(words, is_apart=tail.group().startswith(" ")):
            return text, Unit()
        if is_number(value) or (unit.is_known and tail.group().startswith(" ")):
            return value, unit
    return text, Unit()


def _is_word(words: str, is_apart: bool) -> bool:
    """Whether a tail begins with a word, and is no product of letters as in ``2xy`` and ``2 x y``."""
    first = re.split("[ /]", words, maxsplit=1)[0]
    has_vowel = any(char in "aeiouAEIOU" for char in first)
    return first in ("of", "in", "on") or (has_vowel and len(first) >= (3 if is_apart else 4))


def _in_one_line(fraction: re.Match[str]) -> str:
    """``\\frac{\\text{m}}{\\text{s}^2}`` as ``\\text{m/s^2}``, if it is a fraction of known units."""
    top, top_letters, top_power, bottom, bottom_letters, bottom_power = (group or "" for group in fraction.groups())
    unit = f"{top}{top_letters}{top_power}/{bottom}{bottom_letters}{bottom_power}"
    braced = re.sub(r"[{} ]", "", unit)
    is_unit = read_unit(unit).is_known and is_number(fraction.string[: fraction.start()].strip())
    return f"\\text{{{braced}}}" if is_unit else fraction.group()


def _letter_tail(text: str) -> re.Match[str] | None:
    """A unit of one letter, after a number that is not a plausible coefficient: three digits or a point."""
    tail = _LETTER_TAIL.search(text, max(0, len(text) - _MAX_TAIL))
    return tail if tail and re.fullmatch(r"-?(?:[\d ]{3,}|[\d ]*\.\d+)", text[: tail.start()]) else None


def read_unit(text: str) -> Unit:
    """A unit from its words: ``cm^2`` and "square centimeters", ``m/s`` and "meters per second"."""
    plain = re.sub(r"\\text|\\cdot|\\times|[{}]", " ", re.sub(r"\^ ?\{ ?(-?\d) ?\}", r"^\1", text))
    powers: dict[str, int] = {}
    factor, sign, raised, is_known = Fraction(1), 1, 1, True
    words: list[str] = []
    parts = list(_PART.finditer(plain))
    for at, found in enumerate(parts):
        word = found.group("word")
        if word is None or word.lower() == "per":
            sign = -1
        elif word.lower() in ("square", "sq", "squared", "cubic", "cu"):
            raised = 2 if word[0].lower() == "s" else 3
        elif word.lower() in ("degree", "degrees", "deg") and any(
            later.group("word") and later.group("word").lower() in _TEMPERATURES for later in parts[at + 1 :]
        ):
            continue
        else:
            symbol, dimension, size = _known_unit(word)
            power = int(found.group("power") or raised) * sign
            raised = 1
            words.append(symbol + (f"^{power}" if power != 1 else ""))
            is_known = is_known and bool(dimension)
            factor *= size**power
            for name, exponent in dimension.items():
                powers[name] = powers.get(name, 0) + exponent * power
    known = tuple(sorted((name, power) for name, power in powers.items() if power))
    return Unit(" ".join(words), known if is_known and words else None, factor)


_TEMPERATURES = ("celsius", "fahrenheit", "c", "f")


def _known_unit(word: str) -> tuple[str, Mapping[str, int], Fraction]:
    lower = word.lower()
    for spelling in (word, lower, lower.removesuffix("s"), lower.removesuffix("es")):
        if spelling in _KNOWN and (len(spelling) > 1 or spelling == word):
            return _KNOWN[spelling]
    return lower, {}, Fraction(1)


def conversion(answer: Unit, gold: Unit) -> Fraction | None:
    """What an answer's value is multiplied by to be in the gold's unit; None if the two are of different kinds."""
    if answer.dimension is None or gold.dimension is None:
        return Fraction(1)
    if answer.dimension == gold.dimension:
        return answer.factor / gold.factor
    temperatures = {(("celsius", 1),), (("fahrenheit", 1),)}
    angle = (("angle", 1),)
    if angle in (answer.dimension, gold.dimension) and {answer.dimension, gold.dimension} & temperatures:
        return Fraction(1)  # "30 degrees" for 30 °C
    if {answer.words, gold.words} == {"lb", "gbp"}:
        return Fraction(1)  # "5 pounds" for £5
    return None


def _words(unit: str) -> list[str]:
    return re.findall(r"[a-z]+", unit.replace("\\text", " ").replace("\\cdot", " ").replace("\\times", " ").lower())


def _may_be_unit(unit: str) -> bool:
    words = _words(unit)
    if words[:1] == ["squared"] and len(words) == 2:
        words = words[1:]
    return 0 < len(words) <= 4 and not any(word in _NO_UNITS for word in words)


def is_number(text: str) -> bool:
    """Whether a text is plain arithmetic."""
    try:
        return read_number(text) is not None
    except TooLargeError:
        return False
