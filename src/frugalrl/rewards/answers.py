"""From a completion and a gold answer to a verdict. The only importer of math-verify."""

import re


def gold_from_solution(solution: str) -> str | None:
    """The last box of a written solution, or what follows ``####`` (GSM8K); None if it has neither."""
    boxed = last_boxed(solution)
    if boxed is not None:
        return boxed
    marked = re.findall(r"####\s*(.+)", solution)
    return marked[-1].strip() if marked else None


def last_boxed(text: str) -> str | None:
    """The content of the last ``\\boxed{...}`` with matching braces, or None."""
    start = text.rfind("\\boxed{")
    while start >= 0:
        content = _balanced(text, start + len("\\boxed{"))
        if content is not None:
            return content.strip()
        start = text.rfind("\\boxed{", 0, start)
    return None


def _balanced(text: str, start: int) -> str | None:
    """The text from `start` to the brace that closes the one before it, or None if none does."""
    depth = 1
    for at in range(start, len(text)):
        if text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return text[start:at]
    return None
