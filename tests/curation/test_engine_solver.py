"""The tiny model as a solver: real samples, the same whatever is asked beside them; and progress that says how long."""

import pytest

from frugalrl.config.curation_schema import PASS_RATE_BANDS, EndpointSolver, EngineSolver
from frugalrl.curation.engine_solver import InProcess
from frugalrl.curation.progress import Progress
from frugalrl.curation.sample_cache import SampleCache
from frugalrl.curation.sampling import Question, pass_rates
from frugalrl.curation.solver import REFUSED, Ask
from frugalrl.curation.steps import make_solver
from frugalrl.errors import ModelError
from frugalrl.tasks.arithmetic import generate
from tests.rollout.fake_vllm import fake_server


@pytest.fixture(scope="module")
def tiny() -> InProcess:
    settings = EngineSolver(kind="engine", template="{problem}", max_completion_tokens=128, max_sequences=16)
    return InProcess(settings, seed=0, say=print)


def test_a_server_that_rolls_out_with_this_model_answers_as_the_model_does_here(tiny, tiny_policy):
    """The fake draws as the torch engine does. Another template of the server's could not be told from here."""
    asks = [Ask(question.text, sample) for question in problems(3) for sample in range(2)]
    with fake_server(tiny_policy.model) as (url, _):
        settings = EndpointSolver(
            kind="endpoint", url=f"{url}/v1", model="tiny", api="tokens", tokenizer="builtin:tiny",
            template="{problem}", max_completion_tokens=128,
        )  # fmt: skip
        served = make_solver(settings, seed=0, say=print)
        assert dict(served.answers(asks)) == dict(tiny.answers(asks))
    chat = settings.model_copy(update={"api": "chat", "tokenizer": None})
    assert served.asked != make_solver(chat, seed=0, say=print).asked
    with pytest.raises(ValueError, match="needs the model's tokenizer"):
        EndpointSolver(kind="endpoint", url=url, model="m", api="tokens")


def problems(count: int) -> list[Question]:
    stream = generate(3, "test", difficulties=(1,))
    return [Question(problem.text, str(problem.answer)) for problem, _ in zip(stream, range(count), strict=False)]


def test_the_tiny_model_solves_some_arithmetic_and_nothing_is_sampled_twice(tiny, tmp_path, patient_pool):
    def rates():
        with SampleCache(tmp_path) as cache:
            found = list(pass_rates(
                problems(8), tiny, "tiny", 2, PASS_RATE_BANDS, stop_early=True, cache=cache, pool=patient_pool,
                tick=lambda done: None,
            ))  # fmt: skip
            return found, len(cache)

    first, drawn = rates()
    assert any(rate.correct for rate in first)
    again, still = rates()
    assert (again, still) == (first, drawn)


def test_an_answer_depends_on_its_question_alone(tiny):
    texts = [question.text for question in problems(3)]
    together = dict(tiny.answers([Ask(text, number) for text in texts for number in (0, 1)]))
    alone = dict(tiny.answers([Ask(texts[2], 1)]))
    assert alone[0] == together[5]


def test_a_prompt_beyond_the_context_is_refused(tiny):
    found = dict(tiny.answers([Ask("1 + 1 " * 5000, 0), Ask("Compute 1 + 1.", 0)]))
    assert found[0].finish_reason == REFUSED
    assert found[1].finish_reason != REFUSED


def test_a_model_without_room_for_a_prompt_is_an_error():
    with pytest.raises(ModelError, match="leaves no room for a prompt"):
        InProcess(EngineSolver(kind="engine", max_completion_tokens=100_000), seed=0, say=print)


def test_progress_speaks_now_and_then_with_an_eta():
    """A hundred rows, one a second: lines after 3, 8, 13 ... seconds, none at the end."""
    now = [0.0]
    lines: list[str] = []
    progress = Progress("step", 100, lines.append, clock=lambda: now[0])
    for done in range(1, 101):
        now[0] = float(done)
        progress(done)
    assert lines[:2] == [
        "  step 3/100  3s elapsed, about 1m37s remaining",
        "  step 8/100  8s elapsed, about 1m32s remaining",
    ]
    assert len(lines) == 20
