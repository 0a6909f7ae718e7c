"""Does a base follow a prompt that asks for a language? `python benchmarks/question_prompts.py --data FOLDER`.

The tiny base and the bilingual one of benchmarks/question_data.py, without a system prompt and under two of them: the
share of completions with a sentence that is not in English, and the accuracy, on the 306 test problems, a sample each
at temperature 0.6. FOLDER is that of the bases (`runs/questions/data`), which is made where it is missing.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from doc_tables import put
from question_data import IN_CHINESE, make_bilingual_base
from question_runs import BENCH, asked_under, evaluate_once
from question_second import IN_ENGLISH
from questions import RECORD

from frugalrl.evaluation.results import Results, read_results
from frugalrl.text.language import label_sentences
from frugalrl.text.language_id import load_identifier

PROMPTS = RECORD.with_name("question_prompts.json")
SYSTEMS = (None, IN_ENGLISH, IN_CHINESE)


def main() -> None:
    """Evaluate both bases under each prompt, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("runs/questions/data"))
    parser.add_argument("--record", action="store_true", help="also write docs/ and benchmarks/records")
    chosen = parser.parse_args()
    make_bilingual_base(chosen.data)
    bases = {"tiny base": "builtin:tiny", "bilingual base": chosen.data / "bilingual" / "model"}
    rows = [{"base": name, "system": one, **seen(model, one)} for name, model in bases.items() for one in SYSTEMS]
    if chosen.record:
        PROMPTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        put("what-works.md", "prompts", prompt_table(rows))
    print(prompt_table(rows))


def seen(model: str | Path, system: str | None) -> dict[str, float]:
    """Accuracy and share not in English of a model under a system prompt."""
    with TemporaryDirectory() as folder:
        bench = BENCH if system is None else asked_under(system, Path(folder) / "asked")
        evaluate_once(model, bench, Path(folder) / "end")
        results = read_results(Path(folder) / "end" / f"{BENCH}.jsonl")
    return {"accuracy": fmean(one.is_correct for one in results.samples), "foreign": foreign(results)}


def foreign(results: Results) -> float:
    """The share of completions with a sentence that is not in English."""
    identify = load_identifier()
    labels = [[label for _, label in label_sentences(one.text, identify, "en")] for one in results.samples]
    return fmean("foreign" in one for one in labels)


def prompt_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown, in percent."""
    lines = ["| base | system prompt | not in English | accuracy |", "|---|---|---|---|"]
    for row in rows:
        said = f'"{row["system"]}"' if row["system"] else "none"
        lines.append(f"| {row['base']} | {said} | {100 * row['foreign']:.1f} | {100 * row['accuracy']:.1f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
