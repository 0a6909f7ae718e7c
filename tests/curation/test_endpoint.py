"""A solver behind a server: bounded, retried, cached, and clear about what went wrong."""

import pytest

from frugalrl.config.curation_schema import Band, EndpointSolver
from frugalrl.curation import endpoint as module
from frugalrl.curation.endpoint import Endpoint
from frugalrl.curation.sample_cache import SampleCache
from frugalrl.curation.sampling import Question, answered, judgement, pass_rates
from frugalrl.curation.solver import REFUSED, Ask
from frugalrl.errors import ModelError
from tests.curation.fake_endpoint import fake_endpoint


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(module, "_FIRST_PAUSE_SECONDS", 0.01)


def settings(url: str, **more) -> EndpointSolver:
    return EndpointSolver(kind="endpoint", url=url, model="solver", **more)


def ask_all(solver: Endpoint, texts: list[str]) -> list[str]:
    found = dict(solver.answers([Ask(text, 0) for text in texts]))
    return [found[at].completion for at in range(len(texts))]


def test_answers_belong_to_their_questions_and_requests_are_bounded():
    with fake_endpoint(lambda text, _: f"said: {text}") as (url, asked):
        solver = Endpoint(settings(url, template="Q {problem}", system="S", concurrency=3), 0, None)
        assert ask_all(solver, [f"q{n}" for n in range(20)]) == [f"said: Q q{n}" for n in range(20)]
    assert asked.most <= 3
    body = asked.bodies[0]
    assert body["messages"][0] == {"role": "system", "content": "S"}
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("solver", 0.7, 4096)
    assert len({one["seed"] for one in asked.bodies}) == 20
    assert all("Authorization" not in headers for headers in asked.headers)


def test_a_key_is_sent_and_never_part_of_the_hash():
    with fake_endpoint(lambda text, _: "ok") as (url, asked):
        with_key, without = Endpoint(settings(url), 0, "secret"), Endpoint(settings(url), 0, None)
        ask_all(with_key, ["q"])
    assert asked.headers[0]["Authorization"] == "Bearer secret"
    assert with_key.asked == without.asked
    assert Endpoint(settings(url), 1, None).asked != without.asked


def test_what_may_pass_is_tried_again():
    with fake_endpoint(lambda text, number: 503 if number < 2 else "done") as (url, asked):
        assert ask_all(Endpoint(settings(url, retries=2, concurrency=1), 0, None), ["q"]) == ["done"]
    assert len(asked.bodies) == 3


def test_a_server_that_stays_away_is_a_clear_error():
    with fake_endpoint(lambda text, _: "x") as (url, _):
        pass
    with pytest.raises(ModelError, match=r"cannot be reached: .*Start the server or mend the url"):
        ask_all(Endpoint(settings(url, retries=1), 0, None), ["q"])


@pytest.mark.parametrize(("status", "attempts"), [(401, 1), (404, 1), (500, 3)])
def test_a_status_that_does_not_pass_ends_the_run_with_the_servers_words(status, attempts):
    says = pytest.raises(ModelError, match=f"answers {status} for the model 'solver'.*as told")
    with fake_endpoint(lambda text, _: status) as (url, asked), says:
        ask_all(Endpoint(settings(url, retries=2, concurrency=1), 0, None), ["q"])
    assert len(asked.bodies) == attempts


def test_a_server_that_is_no_such_server_says_so():
    with fake_endpoint(lambda text, _: "x") as (url, _):
        wrong = Endpoint(settings(url), 0, None)
        with pytest.raises(ModelError, match="no chat completion"):
            wrong._read({"detail": "hello"})


def test_a_refused_problem_is_refused_and_the_others_go_on():
    with fake_endpoint(lambda text, _: 400 if "long" in text else "fine") as (url, _):
        solver = Endpoint(settings(url, concurrency=1), 0, None)
        found = dict(solver.answers([Ask("short", 0), Ask("long", 0), Ask("short 2", 0)]))
    assert [found[at].finish_reason for at in range(3)] == ["stop", REFUSED, "stop"]


def test_when_everything_is_refused_it_is_the_settings():
    with fake_endpoint(lambda text, _: 400) as (url, asked), pytest.raises(ModelError, match="answers 400"):
        ask_all(Endpoint(settings(url, concurrency=1), 0, None), [f"q{n}" for n in range(30)])
    assert len(asked.bodies) <= 6


BANDS = (Band(name="hard", low=0, high=0.5), Band(name="easy", low=0.5, high=1))


def rates_of(url, folder, pool, questions, samples=4, **more):
    with SampleCache(folder) as cache:
        solver = Endpoint(settings(url), 0, None)
        return pass_rates(
            questions, solver, "s", samples=samples, bands=BANDS, stop_early=more.pop("stop_early", True), cache=cache,
            pool=pool, tick=lambda done: None,
        )  # fmt: skip


def test_nothing_is_sampled_twice_and_certain_problems_stop_early(tmp_path, patient_pool):
    """Four samples; hard is at most 2 of 4. Never right: certain after 2. Always right: after 3."""

    def reply(text: str, number: int) -> str:
        return "\\boxed{2}" if text.startswith("solved") else "\\boxed{7}"

    questions = [Question("solved", "2"), Question("unsolved", "2")]
    with fake_endpoint(reply) as (url, asked):
        first = rates_of(url, tmp_path, patient_pool, questions)
        assert len(asked.bodies) == 3 + 2
        again = rates_of(url, tmp_path, patient_pool, questions)
        assert len(asked.bodies) == 5
        all_four = rates_of(url, tmp_path, patient_pool, questions, stop_early=False)
        assert len(asked.bodies) == 8
    assert [(one.correct, one.samples, one.band) for one in first] == [(3, 3, "easy"), (0, 2, "hard")]
    assert again == first
    assert [(one.correct, one.samples, one.band) for one in all_four] == [(4, 4, "easy"), (0, 4, "hard")]


def test_another_gold_is_judged_anew_without_sampling(tmp_path, patient_pool):
    with fake_endpoint(lambda text, _: "\\boxed{\\frac12}") as (url, asked):
        assert rates_of(url, tmp_path, patient_pool, [Question("q", "7")])[0].band == "hard"
        sampled = len(asked.bodies)
        assert rates_of(url, tmp_path, patient_pool, [Question("q", "0.5")])[0].band == "easy"
        assert len(asked.bodies) == sampled + 1  # easy needs one sample more to be certain


def test_what_was_answered_before_a_failure_is_kept(tmp_path, patient_pool):
    says = pytest.raises(ModelError, match="401")
    with fake_endpoint(lambda text, number: "\\boxed{1}" if number < 3 else 401) as (url, _), says:
        rates_of(url, tmp_path, patient_pool, [Question(f"q{n}", "1") for n in range(8)], samples=1)
    with SampleCache(tmp_path) as cache:
        assert len(cache) == 3


def test_a_judges_last_word_counts(tmp_path):
    def reply(text: str, _: int) -> str:
        return {"a": "KEEP or DROP? I say **drop**.", "b": "Keep", "c": "Hm."}[text]

    with fake_endpoint(reply) as (url, _), SampleCache(tmp_path) as cache:
        solver = Endpoint(settings(url, template="{problem}"), 0, None)
        samples = answered(solver, [(text, 0) for text in "abc"], cache)
    assert [judgement(sample) for sample in samples] == [False, True, None]
