"""One completion has one verdict: as a reward, in an evaluation of training, in `eval` and in `score`."""

import argparse
import gzip
import json

import pytest

from frugalrl.commands import score
from frugalrl.config.schema import EvaluationSettings, ProblemSource, PromptSettings, RewardTerm
from frugalrl.data.prompts import build_prompts
from frugalrl.evaluation.benchmark_loading import load_benchmark
from frugalrl.evaluation.results import ResultsHeader, ResultsWriter
from frugalrl.evaluation.runner import evaluate, run_benchmark
from frugalrl.rewards.rubric import build_rubric, score_group
from frugalrl.rollout.engine import SamplingParams
from frugalrl.rollout.scripted_engine import ScriptedEngine
from frugalrl.tasks.loading import load_problems
from frugalrl.tasks.logic import generate, logic_problem
from frugalrl.types import Completion, RolloutGroup
from frugalrl.verify.code.sandbox import isolation_problem
from tests.conftest import write_jsonl

HEADER = ResultsHeader("own", "m", None, "h", "p", "d", 0.0, 1.0, 64, 0, "float32", "0.1.0", "0.9.0", 1.0)
SAMPLING = SamplingParams(max_completion_tokens=4000, temperature=0.0)
PHRASE = "Preamble: calculate:\n\nthe frequency $(v)$ in Hz, to 4 decimal places."
PUZZLE = logic_problem(next(generate(1, "train")), 0, "train")
MBPP = {"problem": "Add.", "answer": "def add(a, b): ...", "test_list": ["assert add(1, 2) == 3"]}
RIGHT, WRONG = (f"```python\ndef add(a, b):\n    return a {sign} b\n```" for sign in "+-")

CASES = [
    ({"problem": PHRASE, "answer": "4.4677"}, "\\boxed{4.4677\\times 10^{14}}", "correct"),
    ({"problem": "Else?", "answer": "4.4677"}, "\\boxed{4.4677\\times 10^{14}}", "incorrect"),
    ({"problem": "How much?", "answer": "4.2", "error": "1e-1"}, "\\boxed{4.3}", "correct"),
    ({"problem": "How much?", "answer": "4.2", "error": "1e-1"}, "\\boxed{4.31}", "incorrect"),
    ({"problem": "How many?", "answer": "30", "unit": "%"}, "\\boxed{30\\%}", "correct"),
    ({"problem": "How long?", "answer": "$5$", "unit": "cm"}, "\\boxed{5 cm}", "correct"),
    ({"problem": "A root of x^2 = 4?", "answer": ["2", "-2"]}, "\\boxed{-2}", "correct"),
    ({"problem": "A root of x^2 = 4?", "answer": ["2", "-2"]}, "\\boxed{4}", "incorrect"),
    ({"problem": "Pad?", "answer": "025"}, "\\boxed{25}", "correct"),
    ({"problem": "Half?", "answer": "\\frac{1}{2}"}, "\\boxed{0.5}", "correct"),
    ({"problem": "Half?", "answer": "\\frac{1}{2}"}, "It is 0.5", "incorrect"),
    ({"problem": "Two boxes?", "answer": "2"}, "First \\boxed{1}. No, wrong. It must be \\boxed{2}", "correct"),
    ({"problem": "Unread?", "answer": "\\frac{1}{"}, "\\boxed{3}", "unknown"),
    ({"problem": PUZZLE.text, "answer": PUZZLE.gold, **PUZZLE.columns}, f"\\boxed{{{PUZZLE.gold}}}", "correct"),
    ({"problem": PUZZLE.text, "answer": PUZZLE.gold, **PUZZLE.columns}, "\\boxed{nobody}", "incorrect"),
    (MBPP, RIGHT, "correct"),
    (MBPP, WRONG, "incorrect"),
    (MBPP, "\\boxed{def add(a, b): ...}", "incorrect"),
]  # fmt: skip


def in_training(engine, tokenizer, prompts, texts):
    settings = EvaluationSettings(samples_per_problem=1, temperature=0.0, max_completion_tokens=4000)
    found = evaluate(engine, tokenizer, prompts, settings, 4000)
    assert [record.text for record in found.flat] == texts
    return [(record.verdict, record.reason, record.extracted) for record in found.flat]


def in_eval(engine, tokenizer, prompts, path):
    with ResultsWriter(path, HEADER, {}) as writer:
        run_benchmark(engine, tokenizer, prompts, writer, 1, SAMPLING, 0, 7, lambda progress: None)
        return [(record.verdict, record.reason, record.extracted) for record in writer.samples]


def as_reward(prompts, texts):
    rubric, found = build_rubric([RewardTerm(name="accuracy")], 4000), []
    for prompt, text in zip(prompts, texts, strict=True):
        group = RolloutGroup(prompt, (Completion(text, (1,), (0.0,), "stop", (0,), 0),))
        verdict = score_group(rubric, group).completions[0].verdict
        found.append((verdict.label, verdict.reason, verdict.extracted))
    return found


def in_score(rows, prompts, texts, tmp_path):
    file, out = tmp_path / "scored.jsonl", tmp_path / "out.jsonl"
    answered = zip(rows, prompts, texts, strict=True)
    write_jsonl(file, [{**row, "prompt": prompt.text, "completion": text} for row, prompt, text in answered])
    parser = argparse.ArgumentParser()
    score.register(parser.add_subparsers())
    arguments = parser.parse_args(["score", str(file), "--out", str(out), "--without-box", "refuse"])
    assert arguments.func(arguments) == 0
    found = map(json.loads, out.read_text().splitlines())
    return [(one["verdict"], one["reason"], one["extracted"]) for one in found]


def judged_everywhere(tokenizer, tmp_path, rows, texts):
    """The verdicts by each way; problems are told apart by their prompts, which leave the reasoning open."""
    texts = [f"So.\n</think>\n{text}" for text in texts]
    rows = [{**row, "id": str(number), "problem": f"{number}. {row['problem']}"} for number, row in enumerate(rows)]
    path = write_jsonl(tmp_path / "own.jsonl", rows)
    trained, evaluated = load_problems(ProblemSource(source=str(path))), load_benchmark(str(path), None).problems
    assert [one.check for one in trained] == [one.check for one in evaluated]
    prompts = build_prompts(tokenizer, trained, PromptSettings(), max_prompt_tokens=100_000)
    ids = [(*tokenizer(text)["input_ids"], tokenizer.eos_token_id) for text in texts]
    says = {prompt.token_ids: own for prompt, own in zip(prompts, ids, strict=True)}
    engine = ScriptedEngine(lambda prompt, seed: says[prompt])
    return (
        in_training(engine, tokenizer, prompts, texts),
        in_eval(engine, tokenizer, prompts, tmp_path / "results.jsonl"),
        as_reward(prompts, texts),
        in_score(rows, prompts, texts, tmp_path),
    )


def test_every_form_of_answer_has_one_verdict(tokenizer, tmp_path):
    can_run_code = isolation_problem() is None
    rows, texts, expected = zip(*(case for case in CASES if can_run_code or case[0] is not MBPP), strict=True)
    ways = judged_everywhere(tokenizer, tmp_path, rows, list(texts))
    assert [verdict for verdict, _, _ in ways[0]] == list(expected)
    assert ways[0] == ways[1] == ways[2] == ways[3]


@pytest.mark.parametrize("name", ["upstream_test_pairs", "nemo_skills_150", "hostile_sample"])
def test_real_and_hostile_answers_have_one_verdict(tokenizer, tmp_path, shared_data, name):
    """Timeouts apart: which answers take too long is the machine's doing, whoever asks."""
    file = next((shared_data / "grading").glob(f"{name}.jsonl*"))
    lines = (gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()).splitlines()
    pairs = [json.loads(line) for line in lines][:80]
    pairs = [one for one in pairs if str(one["gold"]).strip() and _survives(tokenizer, _text_of(one))]
    assert len(pairs) >= 40
    texts = [_text_of(one) for one in pairs]
    rows = [{"problem": "?", "answer": str(one["gold"])} for one in pairs]
    ways = [
        [verdict if verdict[0] != "unknown" else None for verdict in way]
        for way in judged_everywhere(tokenizer, tmp_path, rows, texts)
    ]
    for found in zip(*ways, strict=True):
        known = {one for one in found if one is not None}
        assert len(known) <= 1


def _text_of(pair):
    return pair.get("completion") or f"\\boxed{{{pair['prediction']}}}"


def _survives(tokenizer, text):
    """Special tokens inside a text are not shown, and very long texts are none of this test's business."""
    ids = tokenizer(text)["input_ids"]
    return len(ids) < 4000 and tokenizer.decode(ids, skip_special_tokens=True) == text
