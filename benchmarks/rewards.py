"""What the meter and the equality checker say of written solutions: `python benchmarks/rewards.py DATA_FOLDER`.

Prints, for each set, how many solutions raise an alarm of the meter and how long it takes, then how many stated
equalities hold. Model-like text and drift: `language_meter.py`. Right against wrong solutions: `process_reward.py`.
"""

import gzip
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from frugalrl.text.language_id import load_identifier
from frugalrl.text.meter import meter_text
from frugalrl.verify.steps.equalities import stated_equalities

WRITTEN = (
    "bench/math500.jsonl",
    "pool/math_train_7500.jsonl.gz",
    "bench/gsm8k_test.jsonl",
    "pool/gsm8k_train_7473.jsonl.gz",
    "bench/olympiadbench.jsonl",
)


def rows_of(path: Path) -> list[dict[str, Any]]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in data.decode().split("\n") if line.strip()]


def alarms(solutions: list[str]) -> str:
    identify = load_identifier()
    start = time.process_time()
    reports = [meter_text(text, identify) for text in solutions]
    microseconds = 1e6 * (time.process_time() - start) / len(solutions)
    ringing = sum(bool(report.alarms) for report in reports)
    kinds = dict(Counter(alarm for report in reports for alarm in report.alarms))
    share = ringing / len(solutions)
    return f"{len(solutions)} solutions, {ringing} with an alarm ({share:.2%}) {kinds}, {microseconds:.0f} us each"


def equalities(solutions: list[str]) -> str:
    held = Counter(found.holds for text in solutions for found in stated_equalities(text))
    return f"equalities: {held[True]} hold, {held[False]} do not, {held[None]} left open"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for name in WRITTEN:
        texts = [row["solution"] for row in rows_of(folder / name)]
        print(f"{name}: {alarms(texts)}; {equalities(texts)}")
