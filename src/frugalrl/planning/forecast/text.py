"""A plan as lines for people: one machine in full, several machines or settings side by side. Pure."""

from collections.abc import Sequence

from frugalrl.planning.forecast.budget import Interval
from frugalrl.planning.forecast.plan import Plan


def plan_text(plan: Plan) -> str:
    """Everything about one machine."""
    held, sampling, updating, on_host = (
        ", ".join(f"{name} {size:.2g}" for name, size in parts.items())
        for parts in (plan.memory.held, plan.memory.sampling, plan.memory.updating, plan.memory.on_host)
    )
    room = "fits" if plan.fits else "DOES NOT FIT"
    steps = ", ".join(f"{name} {seconds:.2g} s" for name, seconds in plan.step_seconds.items() if seconds > 0)
    total = sum(plan.hours_by_phase.values())
    shares = ", ".join(f"{name} {hours / total:.0%}" for name, hours in plan.hours_by_phase.items() if hours > 0)
    lines = [
        f"{plan.place}",
        f"  memory   {plan.peak_gb:.1f} GB at the peak of {plan.memory_gb:g}: {room}",
        f"           always: {held}",
        f"           rollout {plan.rollout_gb:.1f} GB, besides: {sampling or 'nothing, servers sample'}",
        f"           update {plan.update_gb:.1f} GB, besides: {updating}",
        *([f"           host memory: {on_host}"] if on_host else []),
        f"           {_source_of_memory(plan)}",
        f"  devices  {plan.devices}",
        *_server(plan),
        f"  disk     {plan.disk_gb:.1f} GB for checkpoints, model and results",
        f"  tokens   {plan.training_tokens / 1e6:.3g} M sampled for training, {plan.evaluation_tokens / 1e6:.3g} M for "
        f"evaluations; {plan.lengths}",
        f"  a step   {sum(plan.step_seconds.values()):.3g} s: {steps}",
        f"  time     {_time(plan.hours)} ({shares})",
        f"  money    {_money(plan)}",
        f"  depends  most on {plan.dominates}",
    ]
    lines += [f"  budget   {over.message}: {over.fix}" for over in plan.budget]
    for advice in plan.advice:
        sets = " ".join(f"--set {one}" for one in advice.sets)
        lines.append(f"  advice   {sets}  {advice.effect}")
    return "\n".join(lines)


def comparison_text(rows: Sequence[tuple[str, Plan]]) -> str:
    """A line for each machine or setting; the cheapest and the fastest of those that fit are marked."""
    fitting = [(name, plan) for name, plan in rows if plan.fits]
    fastest = min(fitting, key=lambda row: row[1].hours.value, default=None)
    priced = [row for row in fitting if row[1].usd is not None]
    cheapest = min(priced, key=lambda row: row[1].usd.value if row[1].usd else 0.0, default=None)
    cells = [("", "peak GB", "of", "time", "dollars", "")]
    for name, plan in rows:
        marks = [
            *(["cheapest"] if cheapest is not None and cheapest[1] is plan else []),
            *(["fastest"] if fastest is not None and fastest[1] is plan else []),
            *([] if plan.fits else [f"does not fit: {plan.needed_gb - plan.memory_gb:+.1f} GB; {_fix(plan)}"]),
        ]
        usd = "-" if plan.usd is None else _shown(plan.usd)
        peak, room = f"{plan.peak_gb:.1f}", f"{plan.memory_gb:g}"
        cells.append((name, peak, room, _time(plan.hours), usd, ", ".join(marks)))
    widths = [max(len(row[at]) for row in cells) for at in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def _server(plan: Plan) -> list[str]:
    """What a vLLM server holds on each of its cards."""
    server = plan.server
    if server is None:
        return []
    held = f"weights {server.weights:.2g}, computing {server.computing:.2g}, cache {server.cache:.2g}"
    fits = "" if plan.server_fits else f"; DOES NOT FIT: a sequence has up to {plan.server_tokens:,}"
    return [f"  server   {server.total:.1f} GB of its card: {held} for {server.cache_tokens:,} tokens{fits}"]


def _source_of_memory(plan: Plan) -> str:
    """Where the peaks are from, and how far the formula is from them."""
    if plan.traced is None:
        return "peaks by the formula"
    phases = "both peaks are" if plan.traced.rollout_gb is not None else "the update's peak is"
    apart = [plan.memory.update_gb / plan.update_gb, plan.memory.rollout_gb / plan.rollout_gb]
    return f"{phases} the program's own code on fake tensors; the formula is {max(apart, key=_off) - 1:+.1%} off"


def _off(ratio: float) -> float:
    return abs(ratio - 1)


def _fix(plan: Plan) -> str:
    return " ".join(f"--set {one}" for one in plan.advice[0].sets) if plan.advice else "take a larger card"


def _shown(interval: Interval) -> str:
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _time(hours: Interval) -> str:
    """In hours, or in minutes where it is less than one."""
    factor, unit = (1.0, "h") if hours.value >= 1 else (60.0, "min")
    scaled = Interval(*(factor * one for one in (hours.value, hours.low, hours.high)))
    return f"{scaled.value:.1f} {unit} [{scaled.low:.1f}, {scaled.high:.1f}]"


def _money(plan: Plan) -> str:
    if plan.usd is None:
        return plan.price_source
    cards = f"{plan.cards} cards; " if plan.cards > 1 else ""
    return f"${_shown(plan.usd)} ({cards}{plan.price_source})"
