"""What may be handed to a parser at all: text of known LaTeX commands and plain characters.

A list of what is allowed, not of attacks. Whatever else a model writes (Python, TeX programming, attribute
access, other scripts) is no mathematics, and no process ever tries to evaluate it.
"""

import re

_COMMAND_NAMES = """
frac sqrt pi infty cdot times div pm mp sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan log ln exp
lg e i circ alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma
tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega binom le ge ne lt gt in
notin cup cap setminus emptyset mathbb lfloor rfloor lceil rceil begin end sum prod int lim to max min gcd lcm det
bmod pmod mod ldots prime overline bar vec hat ell hbar mid vert lvert rvert Re Im arg partial text limits subset
complement backslash approx equiv dot ddot odot triangle perp parallel top star dagger angle
"""
_COMMANDS = frozenset(_COMMAND_NAMES.split())
_ENVIRONMENT_NAMES = "matrix pmatrix bmatrix vmatrix Bmatrix Vmatrix smallmatrix array cases aligned align"
_ENVIRONMENTS = frozenset(_ENVIRONMENT_NAMES.split())
_FORBIDDEN = re.compile(r"__|[`@#;?\"&]{2}|[^\x20-\x7e]|\\def|\\newcommand|\d ?_")
"""Among them numbers in a base, whose subscript the parser drops."""
_LONG_RUN = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{7,}")


def is_admissible(text: str) -> bool:
    """Whether a text holds only commands and characters that mean mathematics."""
    if _FORBIDDEN.search(text) or _LONG_RUN.search(text):
        return False
    if any(name not in _COMMANDS for name in re.findall(r"\\([A-Za-z]+)", text)):
        return False
    return all(name in _ENVIRONMENTS for name in re.findall(r"\\begin ?\{([^{}]*)\}", text))
