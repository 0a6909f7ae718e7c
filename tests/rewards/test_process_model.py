"""The seam for a learned process reward model, with a small classifier made here."""

import pytest
import torch

from frugalrl.config.schema import RewardTerm
from frugalrl.errors import ModelError
from frugalrl.rewards.process_model import load_step_scorer, process_model_reward, process_model_settings, steps_of
from frugalrl.rewards.rubric import build_rubric, score_group
from tests.rewards.reward_builders import group_of

REASONING = "<think>\nadd them\n\nwrong step\n\nso four\n</think>\n4"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A sequence and a token classifier of one layer, whose bias says "right" with probability 0.75."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["<unk>", "add", "them", "wrong", "step", "so", "four", "What", "is"]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<unk>")
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=2,
    )
    made = {}
    for kind, classifier in (
        ("sequence", transformers.BertForSequenceClassification),
        ("token", transformers.BertForTokenClassification),
    ):
        torch.manual_seed(0)
        model = classifier(config)
        with torch.no_grad():
            model.classifier.weight.zero_()
            model.classifier.bias.copy_(torch.tensor([0.0, 3.0]).log().nan_to_num(neginf=0.0))
        made[kind] = tmp_path_factory.mktemp(kind)
        model.save_pretrained(made[kind])
        fast.save_pretrained(made[kind])
    return made


@pytest.mark.parametrize("kind", ["sequence", "token"])
def test_each_step_gets_the_probability_of_the_right_label(folders, kind):
    scorer = load_step_scorer(process_model_settings(str(folders[kind]), kind))
    assert scorer("What is it", steps_of(REASONING, False)) == pytest.approx([0.75] * 3)
    assert scorer("What is it", []) == []


def test_another_label_can_mean_right(folders):
    scorer = load_step_scorer(process_model_settings(str(folders["token"]), "token", right_label=0))
    assert scorer("What is it", ["add them"]) == pytest.approx([0.25])


def test_steps_beyond_the_cap_are_cut_off_at_the_front(folders):
    scorer = load_step_scorer(process_model_settings(str(folders["token"]), "token", max_tokens=4))
    assert len(scorer("What is it", steps_of(REASONING, False))) == 2


def test_steps_are_the_paragraphs_of_the_reasoning():
    assert steps_of(REASONING, False) == ["add them", "wrong step", "so four"]
    assert steps_of("add them\n</think>\nx\n\ny", True) == ["add them"]


@pytest.mark.parametrize(("aggregate", "reward"), [("min", 0.2), ("last", 0.5), ("mean", 0.5), ("product", 0.08)])
def test_scores_become_one_reward(aggregate, reward):
    assert process_model_reward([0.8, 0.2, 0.5], aggregate) == pytest.approx(reward)
    assert process_model_reward([], aggregate) is None


def test_it_runs_as_a_term_of_a_rubric(folders):
    args = {"model": str(folders["sequence"]), "aggregate": "product"}
    rubric = build_rubric([RewardTerm(name="process_model", args=args)], 100)
    [scored] = score_group(rubric, group_of([REASONING])).completions
    assert scored.reward == pytest.approx(0.75**3)


def test_a_model_that_is_missing_or_lacks_the_label_is_named(folders, tmp_path):
    with pytest.raises(ModelError, match="cannot be loaded"):
        build_rubric([RewardTerm(name="process_model", args={"model": str(tmp_path)})], 100)
    with pytest.raises(ModelError, match="has 2 labels"):
        load_step_scorer(process_model_settings(str(folders["token"]), "token", right_label=2))
