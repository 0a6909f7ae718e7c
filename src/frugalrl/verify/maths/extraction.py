"""Where in a completion its answer is read: text in, answer text out.

The policy, an argument everywhere (`AnswerPolicy`), by default:

- Only what follows the last ``</think>`` counts. Reasoning that was opened (by the completion or by the prompt's
  template) and never closed leaves no answer, whatever boxes it holds.
- The last ``\\boxed{...}`` is the answer: later words overrule earlier ones ("wait, actually"). Boxes with
  nothing but a comma or an "and" between them are one answer in parts, so that a list of boxes is compared as a
  list and guesses strung together are worth nothing.
- A box that never closes is no box. Without a box there is no answer; ``without_box="stated"`` reads one from
  ``####``, "the answer is", a last line ``A:``, or a formula at its end instead, for completions of prompts that did
  not ask for a box.

Every function takes time linear in its text. What an answer means is for `comparison` to say.
"""

import re
from dataclasses import dataclass
from typing import Literal

BOX = "\\boxed"
_BOX_START = re.compile(r"\\boxed(?![A-Za-z])[ \t]{0,4}")
_BETWEEN_PARTS = re.compile(
    r"(?:[\s$,;.&]|\\\(|\\\)|\\\[|\\\]|\\quad|\\qquad|\\text\s?\{\s*(?:and|or)\s*\}|\b(?:and|or)\b){1,40}"
)
_JOINING = re.compile(r"[,;]|\band\b|\bor\b|\{\s*(?:and|or)\s*\}")
_STATED = re.compile(
    r"####|(?:final |correct )?answer(?: is| are|:|\*\*:| :| =)[ \t]*:?|^[ \t]*A:", re.IGNORECASE | re.MULTILINE
)
_FORMULA_CLOSERS = {"\\)": "\\(", "\\]": "\\["}
MAX_WHOLE_CHARS = 120
"""Text without box, marker or formula is read whole as an answer up to this length: a bare "12 apples"."""


@dataclass(frozen=True)
class AnswerPolicy:
    """How the answer is found. The default is the one a model trains under."""

    several_boxes: Literal["last", "first", "refuse"] = "last"
    """Which of several boxed answers counts; `refuse` makes more than one an incorrect answer."""
    without_box: Literal["refuse", "stated"] = "refuse"
    """Whether an answer may be stated in words instead of a box."""
    percent: Literal["by_question", "as_gold", "points"] = "by_question"
    """How a percent sign on the answer to a bare gold is read: see `percentages`. By the question, or always so."""


DEFAULT_POLICY = AnswerPolicy()


@dataclass(frozen=True)
class Extraction:
    """An answer, or why there is none."""

    answer: str | None
    reason: str
    """``"boxed"`` or ``"stated"`` with an answer; ``"no_box"``, ``"unclosed_reasoning"`` ... without."""


def extract_answer(completion: str, reasoning_open: bool = False, policy: AnswerPolicy = DEFAULT_POLICY) -> Extraction:
    """The answer a completion gives under a policy."""
    text = text_after_reasoning(completion, reasoning_open)
    if text is None:
        return Extraction(None, "unclosed_reasoning")
    answers = _boxed_answers(text, first=policy.several_boxes == "first")
    if answers:
        if policy.several_boxes == "refuse" and len(answers) > 1:
            return Extraction(None, "several_boxes")
        answer = answers[0].strip()
        return Extraction(answer, "boxed") if answer else Extraction(None, "empty_box")
    if policy.without_box == "refuse":
        return Extraction(None, "no_box")
    stated = stated_answer(text)
    return Extraction(stated, "stated") if stated else Extraction(None, "no_answer")


def text_after_reasoning(completion: str, reasoning_open: bool) -> str | None:
    """What follows the last ``</think>``; the whole text if no reasoning was opened; None if it never closed."""
    _, closing, after = completion.rpartition("</think>")
    if not closing:
        return None if reasoning_open or "<think>" in completion else completion
    return None if "<think>" in after else after


def last_boxed(text: str) -> str | None:
    """The content of the last ``\\boxed{...}`` with matching braces (or ``\\boxed5``), or None."""
    spans = _box_spans(text)
    return text[spans[-1].start : spans[-1].end].strip() if spans else None


def gold_from_solution(solution: str) -> str | None:
    """The last box of a written solution, or what follows ``####`` (GSM8K); None if it has neither."""
    boxed = last_boxed(solution)
    if boxed:
        return boxed
    _, marker, after = solution.rpartition("####")
    return (after.strip().splitlines() or [""])[0].strip() or None if marker else None


def unboxed(gold: str) -> str:
    """A gold without the box around it; of several boxes the last, read as an answer's would be."""
    if BOX not in gold:
        return gold
    answers = _boxed_answers(gold, first=False)
    return answers[0] if answers else gold


def stated_answer(text: str) -> str | None:
    """An answer given without a box: after the last marker, a formula, or a short text whole."""
    starts = [match.end() for match in _STATED.finditer(text)]
    if starts:
        line = (text[starts[-1] :].strip().splitlines() or [""])[0].strip()
        return _end_of_statement(line) or None
    whole = text.strip()
    is_short = len(whole) <= MAX_WHOLE_CHARS
    formula = _last_formula(whole, must_end=not is_short)
    return formula or (whole if whole and is_short else None)


def _end_of_statement(line: str) -> str:
    """A line up to its first sentence end, without emphasis; a formula at its start is the answer by itself."""
    line = line.strip("*_ \t")
    formula = re.match(r"\$([^$\n]{1,2000})\$|\\\((.{1,2000}?)\\\)|\\\[(.{1,2000}?)\\\]", line)
    if formula:
        return next(group for group in formula.groups() if group is not None).strip()
    return re.split(r"[.!?](?=\s|$)|<\|", line, maxsplit=1)[0].strip("*_ \t")


def _last_formula(text: str, must_end: bool) -> str | None:
    """The content of the last ``$...$``, ``\\(...\\)`` or ``\\[...\\]``, or None.

    must_end: in a long text only a formula that ends it is its answer; any other is a step on the way.
    """
    ends = [(text.rfind(closer), closer) for closer in ("$", "\\)", "\\]")]
    end, closer = max(ends)
    if end <= 0 or (must_end and text[end + len(closer) :].strip(" .,;*\n")):
        return None
    body = text[:end].rstrip("$") if closer == "$" else text[:end]
    opener = _FORMULA_CLOSERS.get(closer, "$")
    start = body.rfind(opener)
    return body[start + len(opener) :].strip(" \n=") or None if start >= 0 else None


# ------------------------------------------------------------------------------------------------- boxes


@dataclass(frozen=True)
class _Span:
    """One box: content from `start` to `end`, the whole of it from `outer_start` to `outer_end`."""

    outer_start: int
    start: int
    end: int
    outer_end: int


def _boxed_answers(text: str, first: bool) -> list[str]:
    """The chosen answer first, then whatever else was boxed (its number is all a caller may use)."""
    spans = _box_spans(text)
    if not spans:
        return []
    groups: list[list[_Span]] = []
    for span in spans:
        if groups and _joined(text, groups[-1][-1].outer_end, span.outer_start):
            groups[-1].append(span)
        else:
            groups.append([span])
    answers = [", ".join(text[span.start : span.end] for span in group) for group in groups]
    return answers if first else answers[::-1]


def _joined(text: str, end: int, start: int) -> bool:
    """Whether two boxes stand together as parts of one answer."""
    between = text[end:start]
    if len(between) > 60 or not _BETWEEN_PARTS.fullmatch(between):
        return False
    return _JOINING.search(between) is not None


def _box_spans(text: str) -> list[_Span]:
    """Outermost closed boxes in order; a box that never closes is passed over, those inside it are not."""
    closers = _matching_braces(text)
    spans: list[_Span] = []
    for match in _BOX_START.finditer(text):
        at = match.end()
        if spans and at < spans[-1].outer_end:
            continue
        if text[at : at + 1] == "{":
            if at in closers:
                spans.append(_Span(match.start(), at + 1, closers[at], closers[at] + 1))
        elif text[at : at + 1].isalnum():
            spans.append(_Span(match.start(), at, at + 1, at + 1))
    return spans


def _matching_braces(text: str) -> dict[int, int]:
    """Position of every opening brace that closes -> position of its closer. Escaped braces do not count."""
    opened: list[int] = []
    closers: dict[int, int] = {}
    for match in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        if match.group() == "{":
            opened.append(match.start())
        elif match.group() == "}" and opened:
            closers[opened.pop()] = match.start()
    return closers
