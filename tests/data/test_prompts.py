"""From problems to token ids through the chat template."""

import pytest

from frugalrl.config.schema import PromptSettings
from frugalrl.data.prompts import build_prompts, messages_for
from frugalrl.errors import DataError, ModelError
from frugalrl.text.reasoning import prefills_think
from frugalrl.types import Problem

PROBLEM = Problem("p", "What is {problem} + 1?", "2")


def test_the_problem_stands_in_the_template_even_if_it_holds_braces():
    settings = PromptSettings(system="Be exact.", template="Solve: {problem} Box it: \\boxed{}.")
    system, user = messages_for(PROBLEM.text, settings)
    assert system == {"role": "system", "content": "Be exact."}
    assert user["content"] == "Solve: What is {problem} + 1? Box it: \\boxed{}."


def test_a_prompt_ends_where_the_model_begins(tokenizer):
    (prompt,) = build_prompts(tokenizer, [PROBLEM], PromptSettings(), 500)
    assert prompt.text.endswith("<|im_start|>assistant\n<think>\n")
    assert prefills_think(prompt.text)
    assert tokenizer.decode(prompt.token_ids) == prompt.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [("...<think>\n", True), ("...assistant\n", False), ("Use <think> and </think>. assistant\n", False)],
)
def test_an_open_think_is_seen(text, expected):
    assert prefills_think(text) is expected


def test_a_prompt_too_long_is_an_error_that_names_it_or_is_left_out(tokenizer):
    long = Problem("long", "word " * 200, "1")
    with pytest.raises(DataError, match=r"problem long has .* at most 100 are allowed\. Take a model"):
        build_prompts(tokenizer, [PROBLEM, long], PromptSettings(), 100)
    assert [p.problem.id for p in build_prompts(tokenizer, [PROBLEM, long], PromptSettings(), 100, True)] == ["p"]
    with pytest.raises(DataError, match="No problem is left"):
        build_prompts(tokenizer, [long], PromptSettings(), 100, skip_long=True)


def test_a_tokenizer_without_chat_template_is_refused(tokenizer):
    import copy

    bare = copy.deepcopy(tokenizer)
    bare.chat_template = None
    with pytest.raises(ModelError, match="no chat template"):
        build_prompts(bare, [PROBLEM], PromptSettings(), 500)
