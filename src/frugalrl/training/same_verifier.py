"""A resumed run's stored evaluations against today's verifier: one selection never rests on two verifiers.

What was judged by other code is judged again, in memory. If each verdict comes out as it is stored, the two are one
verifier as far as this run goes, and it goes on; else the resume is refused. The files are left as they are in both
cases: the log, the checkpoint's hashes and the choice of the best step rest on them.
"""

from pathlib import Path

from frugalrl.errors import OutputError
from frugalrl.evaluation.regrading import Settings, regrade
from frugalrl.evaluation.results import read_results
from frugalrl.evaluation.verifier_identity import verifier_digest
from frugalrl.training.evaluating import lost_evaluations
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run


def refuse_other_verifier(run: Run, progress: Progress) -> None:
    """Raise OutputError if today's verifier would judge the run's evaluations otherwise; a line where it would not."""
    note = run.world.main(lambda: _checked(run, progress))
    if note:
        run.show(note)


def _checked(run: Run, progress: Progress) -> str:
    lost = lost_evaluations(run, progress)  # which are made again, by today's
    files = [run.evaluations / name for name in progress.evaluations if name not in lost]
    others = [file for file in files if _is_of_another_verifier(file)]
    changed = {file.name: count for file in others if (count := _changed(file))}
    if changed:
        counts = ", ".join(f"{name} {count}" for name, count in changed.items())
        raise OutputError(
            f"Today's verifier judges answers of this run's evaluations otherwise ({counts}), and a run never mixes "
            f"two. See which with `frugalrl regrade {run.folder}`; resume with the version that began the run (its "
            "environment.json names it), or start a new one with another --out."
        )
    if not others:
        return ""
    return f"   {len(others)} evaluations were judged by another version of the verifier; today's agrees everywhere."


def _is_of_another_verifier(file: Path) -> bool:
    """A file of format 1 does not say who judged it."""
    return read_results(file).header.verifier not in ("", verifier_digest())


def _changed(file: Path) -> int:
    """How many verdicts would be others."""
    limit = read_results(file).header.verifier_limit_seconds
    found = regrade(file, Settings(cpu_seconds=limit))
    return sum(one.before.verdict != one.after.verdict for one in found.changes)
