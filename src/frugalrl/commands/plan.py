"""`frugalrl plan RECIPE`: memory, hours and dollars before a run, on one machine or several, with intervals."""

import argparse
import json
from typing import Any

from frugalrl.commands.running import show, show_verbatim
from frugalrl.errors import RecipeError


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "plan",
        help="memory, hours and dollars of a recipe, before it costs anything",
        description="Reads the recipe and the model's configuration, and prints what the run needs on each card: peak "
        "memory by part, disk, tokens, seconds of a step, hours and dollars with intervals, and what would make it fit "
        "or cheaper. docs/plan.md says how to read it.",
    )
    parser.add_argument("recipe", help="a YAML file, or the name of a shipped one: see `frugalrl recipes`")
    parser.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", help="replace a value of the recipe; may be repeated"
    )
    parser.add_argument("--gpu", nargs="+", default=[], metavar="NAME", help="cards to compare, e.g. A40 H100")
    parser.add_argument(
        "--usd-per-hour", nargs="+", default=[], metavar="PRICE", help="of one card: 0.44, or A40=0.44 H100=2.5"
    )
    parser.add_argument(
        "--measure", action="store_true", help="measure this machine for half a minute, and plan for it"
    )
    parser.add_argument(
        "--try",
        dest="tries",
        action="append",
        default=[],
        metavar="'A.B=C D.E=F'",
        help="compare with these settings, too; may be repeated",
    )
    parser.add_argument(
        "--mean-tokens", type=float, help="tokens of a completion on average (default: see docs/plan.md)"
    )
    parser.add_argument(
        "--lengths", metavar="FILE", help="completions as .jsonl with `tokens`: results of an evaluation"
    )
    parser.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="as many cards share the run, a process on each, as with torchrun --nproc-per-node N (default: as many as "
        "devices.train names, or one)",
    )
    parser.add_argument(
        "--instant",
        action="store_true",
        help="memory from the closed formula alone, without running the code on fake tensors (some seconds)",
    )
    parser.add_argument("--json", dest="as_json", action="store_true", help="print one JSON object instead of text")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the plan. Raises UserErrors for recipe, model, card and file."""
    from frugalrl import api
    from frugalrl.planning.forecast.text import comparison_text, plan_text

    rows = api.plan(
        arguments.recipe,
        changes=arguments.set,
        gpus=arguments.gpu,
        usd_per_hour=_prices(arguments.usd_per_hour),
        measure=arguments.measure,
        tries=[one.split() for one in arguments.tries],
        mean_tokens=arguments.mean_tokens,
        lengths=arguments.lengths,
        instant=arguments.instant,
        processes=arguments.processes,
    )
    if arguments.as_json:
        show_verbatim(json.dumps([{"name": name, **plan.to_json()} for name, plan in rows], indent=1))
        return 0
    show(plan_text(rows[0][1]) if len(rows) == 1 else comparison_text(rows))
    return 0


def _prices(given: list[str]) -> float | dict[str, float] | None:
    """One price for all, or one by card. Raises RecipeError for what is neither."""
    if not given:
        return None
    try:
        if len(given) == 1 and "=" not in given[0]:
            return float(given[0])
        return {name: float(price) for name, _, price in (one.partition("=") for one in given)}
    except ValueError:
        shown = " ".join(given)
        raise RecipeError(f"--usd-per-hour {shown!r} is no price. Give 0.44, or A40=0.44 H100=2.5.") from None
