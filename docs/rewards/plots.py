"""Draws the plots of these pages as SVG, from the reward functions themselves: `python docs/rewards/plots.py`.

Without arguments it writes beside itself. A plot is a few polylines on a grid, so no plotting library is needed.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from frugalrl.rewards.format import tag_count_reward
from frugalrl.rewards.length import cosine_reward, group_length_rewards, soft_overlong_reward
from frugalrl.rewards.open_rs import open_rs_cosine
from frugalrl.rewards.process import process_reward
from frugalrl.rewards.process_model import process_model_reward
from frugalrl.rewards.reasoning_steps import reasoning_steps_reward
from frugalrl.text.language import language_reward
from frugalrl.text.repetition import repetition_reward
from frugalrl.verify.steps.derivation import Derivation

WIDTH, HEIGHT, MARGIN = 560, 280, 48
COLOURS = ("#1f6fb4", "#c8452d", "#3a8f4d", "#8250a6")
Curve = tuple[str, Callable[[float], float | None]]


@dataclass(frozen=True)
class Plot:
    """Curves over one axis. `points` says where they are evaluated; None as a value leaves a gap."""

    x_label: str
    y_range: tuple[float, float]
    points: Sequence[float]
    curves: Sequence[Curve]
    steps: bool = False


def steps_up_to(last: int, every: int = 1) -> list[float]:
    return [float(n) for n in range(0, last + 1, every)]


TAGS = ("<think>\n", "a\n</think>\n", "\n<answer>\n", "4\n</answer>")
PLOTS = {
    "cosine": Plot("completion tokens, bound 3,584", (-0.6, 1.1), steps_up_to(7168, 64), [
        ("right", lambda n: cosine_reward(True, int(n), 3584)),
        ("wrong", lambda n: cosine_reward(False, int(n), 3584)),
        ("right, as Open-RS released it", lambda n: open_rs_cosine(1.0, int(n), 3584)),
    ]),
    "length": Plot("tokens, in a group of 100 to 200", (-0.6, 0.6), steps_up_to(100), [
        ("right", lambda n: group_length_rewards([True] * 3, [100, 100 + int(n), 200])[1]),
        ("wrong", lambda n: group_length_rewards([True, False, True], [100, 100 + int(n), 200])[1]),
    ]),
    "soft_overlong": Plot("completion tokens", (-1.1, 0.1), steps_up_to(24576, 128), [
        ("bound 20,480, cache 4,096", lambda n: soft_overlong_reward(int(n), 20480, 4096)),
    ]),
    "repetition": Plot("times a phrase of 5 words is said in 60 words", (-1.1, 0.1), steps_up_to(12), [
        ("n-grams of 3", lambda n: repetition_reward(phrase_text(int(n)), 3)),
        ("n-grams of 6", lambda n: repetition_reward(phrase_text(int(n)), 6)),
    ]),
    "reasoning_steps": Plot("marked steps", (0.0, 1.1), steps_up_to(6), [
        ("steps_for_full 3", lambda n: reasoning_steps_reward("\n".join(f"{i}. so" for i in range(int(n))), False)),
    ], steps=True),
    "tag_count": Plot("tags written, in order", (0.0, 1.1), steps_up_to(4), [
        ("not prefilled", lambda n: tag_count_reward("".join(TAGS[: int(n)]), False)),
        ("prefilled <think>", lambda n: tag_count_reward("".join(TAGS[1 : int(n)]), True)),
    ], steps=True),
    "language": Plot("sentences of 20 in another language", (0.0, 1.1), steps_up_to(20), [
        ("share", lambda n: language_reward(1 - n / 20)),
        ("strict", lambda n: language_reward(1 - n / 20, strict=True)),
    ]),
    "process": Plot("numbers of the problem that reach the answer, of 6", (0.0, 1.1), steps_up_to(6), [
        ("all 3 hold", lambda n: process_reward(Derivation(3, int(n > 0) * 3, 0, 6, int(n)))),
        ("1 more is wrong", lambda n: process_reward(Derivation(4, int(n > 0) * 3, 1, 6, int(n)))),
    ], steps=True),
    "process_model": Plot("score of the one bad step among 5 of 0.9", (0.0, 1.1), [n / 50 for n in range(46)], [
        (name, lambda x, name=name: process_model_reward([0.9, 0.9, x, 0.9, 0.9], name))
        for name in ("min", "mean", "last", "product")
    ]),
    "code": Plot("tests passed, of 8", (0.0, 1.1), steps_up_to(8), [
        ("all or nothing", lambda n: float(n == 8)),
        ("partial_credit", lambda n: n / 8),
    ], steps=True),
    "format": Plot("times </think> is closed", (0.0, 1.1), steps_up_to(3), [
        ("reward", lambda n: float(n == 1)),
    ], steps=True),
}  # fmt: skip


def phrase_text(times: int) -> list[str]:
    """Sixty words, the first of them a phrase said so many times."""
    return (["p", "q", "r", "s", "t"] * times + [f"w{index}" for index in range(60)])[:60]


def draw(plot: Plot) -> str:
    low, high = plot.y_range
    first, last = plot.points[0], plot.points[-1]

    def place(x: float, y: float) -> str:
        across = MARGIN + (x - first) / (last - first) * (WIDTH - 2 * MARGIN)
        return f"{across:.1f},{HEIGHT - MARGIN - (y - low) / (high - low) * (HEIGHT - 2 * MARGIN):.1f}"

    size = f'width="{WIDTH}" height="{HEIGHT}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">']
    parts.append(f'<rect {size} fill="white"/>')
    for tick in [n / 2 for n in range(-2, 3) if low <= n / 2 <= high]:
        start, end = place(first, tick), place(last, tick)
        parts.append(f'<polyline points="{start} {end}" stroke="#ddd"/>')
        parts.append(f'<text x="8" y="{float(start.split(",")[1]) + 4:.1f}">{tick:g}</text>')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = first + share * (last - first)
        parts.append(f'<text x="{place(x, low).split(",")[0]}" y="{HEIGHT - 30}" text-anchor="middle">{x:g}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escaped(plot.x_label)}</text>')
    for number, (name, curve) in enumerate(plot.curves):
        colour = COLOURS[number]
        values = [(x, curve(x)) for x in plot.points]
        if plot.steps:
            parts += [
                f'<circle cx="{place(x, y).split(",")[0]}" cy="{place(x, y).split(",")[1]}" r="4" fill="{colour}"/>'
                for x, y in values
                if y is not None
            ]
        line = " ".join(place(x, y) for x, y in values if y is not None)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{MARGIN + number * 150}" y="20" fill="{colour}">{escaped(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, plot in PLOTS.items():
        (folder / f"{name}.svg").write_text(draw(plot))
