"""A task in one file of the user's own, from its dotted path to rewards and an evaluation on disk; and its page."""

import re
from pathlib import Path

from frugalrl.config.schema import EvaluationSettings, ProblemSource, PromptSettings, RewardTerm
from frugalrl.data.prompts import build_prompts
from frugalrl.evaluation.records import Subject
from frugalrl.evaluation.runner import evaluate, load_evaluation, save_evaluation
from frugalrl.rewards.rubric import build_rubric, score_groups
from frugalrl.rollout.collect import collect_groups
from frugalrl.rollout.engine import SamplingParams
from frugalrl.rollout.scripted_engine import ScriptedEngine
from frugalrl.tasks.loading import load_problems
from frugalrl.tasks.registry import task_named
from tests.tasks import parity_task

PATH = "tests.tasks.parity_task.TASK"
PAGE = Path(__file__).parents[2] / "docs" / "tasks" / "README.md"


def test_the_task_of_the_page_is_rewarded_and_evaluated(tokenizer, tmp_path):
    """The engine says "odd" for an even seed and "even" for an odd one; of the test split all numbers are odd."""
    problems = load_problems(ProblemSource(source=PATH, split="test", limit=4, seed=1))
    prompts = build_prompts(tokenizer, problems, PromptSettings(template=task_named(PATH).prompt), 256)
    assert prompts[0].text.count("One word.") == 1
    says = [(*tokenizer(f"It is {word}.")["input_ids"], tokenizer.eos_token_id) for word in ("odd", "even")]
    engine = ScriptedEngine(lambda prompt, seed: says[seed % 2])

    groups = collect_groups(engine, tokenizer, prompts, 3, SamplingParams(32), (0, 1))
    scored = score_groups(build_rubric([RewardTerm(name="accuracy")], 32), groups)
    rewards = [[one.reward for one in group.completions] for group in scored]
    assert rewards == [[float(one.seed % 2 == 0) for one in group.completions] for group in groups]

    settings = EvaluationSettings(samples_per_problem=8, max_completion_tokens=32)
    evaluation = evaluate(engine, tokenizer, prompts, settings, 32)
    assert evaluation.correct == [[record.seed % 2 == 0 for record in own] for own in evaluation.records]
    assert 0 < evaluation.accuracy.value < 1
    assert {record.reason for record in evaluation.flat} == {"last_word"}
    file = tmp_path / "test-step-000000.jsonl"
    save_evaluation(evaluation, file, Subject("test", "scripted", 0, "w", "p", "float32", "cpu"))
    assert load_evaluation(prompts, file) == evaluation


def test_the_page_shows_the_file_that_runs_here():
    [shown] = re.findall(r"```python\n# parity_task.py\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    source = Path(parity_task.__file__).read_text(encoding="utf-8")
    assert shown.strip() == source.split('"""\n', 1)[1].strip()
