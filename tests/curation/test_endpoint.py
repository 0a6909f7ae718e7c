"""A solver behind a server: bounded, retried, cached, and clear about what went wrong."""

import threading

import pytest

from frugalrl.clients.backoff import pause_seconds, retry_after_seconds
from frugalrl.config.curation_schema import Band, EndpointSolver
from frugalrl.curation.bands import PassRate, Unrated
from frugalrl.curation.endpoint import Endpoint
from frugalrl.curation.model_steps import judgement
from frugalrl.curation.sample_cache import SampleCache
from frugalrl.curation.sampling import Question, answered, pass_rates
from frugalrl.curation.solver import FAILED, REFUSED, Ask
from frugalrl.errors import ModelError
from tests.fake_texts import CLOSED, Completion, Raw, Status, text_server


class FastClock:
    """Time that passes only while somebody waits, and remembers for how long."""

    def __init__(self) -> None:
        self.time, self.waited = 1_700_000_000.0, []
        self.lock = threading.Lock()

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float, stopped: threading.Event) -> bool:
        with self.lock:
            self.time += seconds
            self.waited.append(seconds)
        return stopped.is_set()


def solver_at(url: str, clock: FastClock | None = None, **more) -> Endpoint:
    return Endpoint(settings(url, **more), 0, None, clock or FastClock())


def settings(url: str, **more) -> EndpointSolver:
    return EndpointSolver(kind="endpoint", url=url, model="solver", **more)


def ask_all(solver: Endpoint, texts: list[str]) -> list[str]:
    found = dict(solver.answers([Ask(text, 0) for text in texts]))
    return [found[at].completion for at in range(len(texts))]


def test_answers_belong_to_their_questions_and_requests_are_bounded():
    with text_server(lambda text, _: f"said: {text}") as (url, asked):
        solver = Endpoint(settings(url, template="Q {problem}", system="S", concurrency=3), 0, None)
        assert ask_all(solver, [f"q{n}" for n in range(20)]) == [f"said: Q q{n}" for n in range(20)]
    assert asked.most <= 3
    body = asked.bodies[0]
    assert body["messages"][0] == {"role": "system", "content": "S"}
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("solver", 0.7, 4096)
    assert len({one["seed"] for one in asked.bodies}) == 20
    assert all("Authorization" not in headers for headers in asked.headers)


def test_a_key_is_sent_and_never_part_of_the_hash():
    with text_server(lambda text, _: "ok") as (url, asked):
        with_key, without = Endpoint(settings(url), 0, "secret"), Endpoint(settings(url), 0, None)
        ask_all(with_key, ["q"])
    assert asked.headers[0]["Authorization"] == "Bearer secret"
    assert with_key.asked == without.asked
    assert Endpoint(settings(url), 1, None).asked != without.asked


def test_what_may_pass_is_tried_again():
    with text_server(lambda text, number: 503 if number < 2 else "done") as (url, asked):
        clock = FastClock()
        assert ask_all(solver_at(url, clock, retries=2, concurrency=1), ["q"]) == ["done"]
    assert len(asked.bodies) == 3
    first, second = clock.waited
    assert 0.5 <= first <= 1.0 <= second <= 2.0


def test_a_server_that_stays_away_is_a_clear_error():
    with text_server(lambda text, _: "x") as (url, _):
        pass
    says = (
        r"5 problems in a row failed; the last time it said no connection: .*Check that it runs.* resume with --resume"
    )
    with pytest.raises(ModelError, match=says):
        ask_all(solver_at(url), [f"q{n}" for n in range(6)])


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_status_of_the_settings_ends_the_run_at_once_with_the_servers_words(status):
    says = pytest.raises(ModelError, match=f"with the model 'solver' answers {status}: .*as told")
    with text_server(lambda text, _: status) as (url, asked), says:
        ask_all(solver_at(url, retries=2, concurrency=1), ["q"])
    assert len(asked.bodies) == 2  # the problem, and a trivial one


@pytest.mark.parametrize("body", ['{"detail": "hello"}', "<html>Sign in</html>", "[]", '"x"'])
def test_a_server_that_is_no_such_server_says_so(body):
    says = pytest.raises(ModelError, match=r"answers 200 with .*url \(which ends in /v1\)")
    with text_server(lambda text, _: Raw(body)) as (url, asked), says:
        ask_all(solver_at(url, concurrency=1), ["q"])
    assert len(asked.bodies) == 2


# ------------------------------------------------------------------------------------ one problem that fails

POISON = [
    500,
    403,
    Raw("<html>bad gateway</html>"),
    Raw('{"choices": []}'),
    Raw('{"error": {"code": 502, "message": "upstream is away"}}'),
    Raw('{"error": "overloaded"}'),
    Raw('{"choices": [{"message": {"content": null}, "finish_reason": "error"}]}'),
    Raw('{"choices": [{"finish_reason": "stop"}]}'),
    Raw('{"choices": [null]}'),
    Raw("[" * 100_000),
    CLOSED,
]


@pytest.mark.parametrize("poison", POISON, ids=lambda one: str(one)[:40])
def test_a_problem_whose_request_always_fails_is_marked_and_the_others_are_answered(poison):
    with text_server(lambda text, _: poison if "poison" in text else "fine") as (url, asked):
        solver = solver_at(url, retries=2, concurrency=1)
        found = dict(solver.answers([Ask(text, 0) for text in ("a", "poison", "b", "c")]))
    assert [found[at].finish_reason for at in range(4)] == ["stop", FAILED, "stop", "stop"]
    tries = 1 if poison == 403 else 3
    assert f"({tries} tr" in found[1].said
    assert sum("poison" in body["messages"][-1]["content"] for body in asked.bodies) == tries


def test_several_failures_in_a_row_are_the_problems_as_long_as_an_earlier_one_is_answered_again():
    with text_server(lambda text, _: 500 if "poison" in text else "fine") as (url, asked):
        solver = solver_at(url, retries=0, concurrency=1)
        texts = ["a", *(f"poison {n}" for n in range(12)), "b"]
        found = dict(solver.answers([Ask(text, 0) for text in texts]))
    assert [found[at].finish_reason for at in range(14)] == ["stop", *[FAILED] * 12, "stop"]
    again = [
        body["messages"][-1]["content"] for body in asked.bodies if "poison" not in body["messages"][-1]["content"]
    ]
    assert len(again) == 2 + 2  # the answered one was asked again after the fifth and the tenth failure


def test_a_server_that_dies_ends_the_run_and_no_problem_is_marked_for_it():
    with text_server(lambda text, number: "fine" if number < 3 else 503) as (url, _):
        solver = solver_at(url, retries=1, concurrency=1)
        answers = solver.answers([Ask(f"q{n}", 0) for n in range(50)])
        says = "5 problems in a row failed, and so did one that was answered before; the last time it said 503"
        with pytest.raises(ModelError, match=says):
            list(answers)


@pytest.mark.parametrize("poison", [500, 403, 400, Raw("<html>")], ids=str)
def test_a_run_that_has_only_hopeless_problems_left_can_be_resumed(poison):
    """What was answered before is cached, so that the first replies of a resumed run are all of failures."""
    with text_server(lambda text, _: poison if "poison" in text else "2") as (url, _):
        solver = solver_at(url, retries=1, concurrency=2)
        found = [answer.finish_reason for _, answer in solver.answers([Ask(f"poison {n}", 0) for n in range(14)])]
    assert found == [REFUSED if poison == 400 else FAILED] * 14


def test_a_key_that_is_revoked_in_the_middle_ends_the_run():
    with text_server(lambda text, number: "fine" if number < 3 else 401) as (url, asked):
        solver = solver_at(url, concurrency=1)
        with pytest.raises(ModelError, match=r"in a row failed.*401"):
            list(solver.answers([Ask(f"q{n}", 0) for n in range(50)]))
    assert 3 + 5 + 1 <= len(asked.bodies) < 20


def test_retry_after_is_honored_in_seconds_and_as_a_date_and_by_all_requests():
    wait = {0: "90", 1: "Tue, 14 Nov 2023 22:18:20 GMT", 2: "90000"}

    def reply(text: str, number: int) -> str | Status:
        return Status(429, {"Retry-After": wait[number]}) if number in wait else "fine"

    clock = FastClock()
    with text_server(reply) as (url, asked):
        assert ask_all(solver_at(url, clock, concurrency=1), ["q"]) == ["fine"]
    assert len(asked.bodies) == 4
    first, second, third = clock.waited
    assert 90 <= first <= 99
    date = 1_700_000_300 - (1_700_000_000 + first)  # what was left until the date when the answer came
    assert date <= second <= 1.1 * date
    assert 600 <= third <= 660


def test_pauses_double_up_to_two_minutes_and_never_fall_below_half():
    assert [pause_seconds(attempt, None, 1.0) for attempt in range(9)] == [1, 2, 4, 8, 16, 32, 64, 120, 120]
    assert [pause_seconds(attempt, None, 0.0) for attempt in range(9)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert pause_seconds(0, 30.0, 0.0) == 30.0


@pytest.mark.parametrize(("header", "seconds"), [(None, None), ("", None), ("soon", None), ("-3", 0.0), ("1.5", 1.5)])
def test_a_header_that_cannot_be_read_asks_for_nothing(header, seconds):
    assert retry_after_seconds(header, 0.0) == seconds


@pytest.mark.parametrize(
    "reply",
    [
        Raw('{"choices": [{"message": {"content": "", "refusal": "no"}, "finish_reason": "stop"}]}'),
        Raw('{"choices": [{"message": {"content": "par"}, "finish_reason": "content_filter"}]}'),
        Raw('{"error": {"code": "400", "message": "context length exceeded"}}'),
        413,
    ],
    ids=["refusal", "filter", "error-in-200", "413"],
)
def test_a_refusal_is_one_however_it_is_said(reply):
    with text_server(lambda text, _: reply if "long" in text else "fine") as (url, _):
        found = dict(solver_at(url, concurrency=1).answers([Ask("short", 0), Ask("long", 0)]))
    assert [found[at].finish_reason for at in range(2)] == ["stop", REFUSED]
    assert found[1].said


def test_tokens_are_taken_where_the_server_tells_them():
    with text_server(lambda text, _: "fine") as (url, _):
        (answer,) = (answer for _, answer in solver_at(url).answers([Ask("q", 0)]))
    assert (answer.tokens, answer.prompt_tokens) == (7, 11)


def test_a_refused_problem_is_refused_and_the_others_go_on():
    with text_server(lambda text, _: 400 if "long" in text else "fine") as (url, _):
        solver = Endpoint(settings(url, concurrency=1), 0, None)
        found = dict(solver.answers([Ask("short", 0), Ask("long", 0), Ask("short 2", 0)]))
    assert [found[at].finish_reason for at in range(3)] == ["stop", REFUSED, "stop"]


def test_when_everything_is_refused_it_is_the_settings():
    with (
        text_server(lambda text, _: 400) as (url, asked),
        pytest.raises(ModelError, match="refuses every problem; the last time it said 400"),
    ):
        ask_all(Endpoint(settings(url, concurrency=1), 0, None), [f"q{n}" for n in range(30)])
    assert len(asked.bodies) <= 8


BANDS = (Band(name="hard", low=0, high=0.5), Band(name="easy", low=0.5, high=1))


def rates_of(url, folder, pool, questions, samples=4, **more):
    with SampleCache(folder) as cache:
        solver = solver_at(url, **more.pop("solver", {}))
        return list(pass_rates(
            questions, solver, "s", samples=samples, bands=BANDS, stop_early=more.pop("stop_early", True), cache=cache,
            pool=pool, tick=lambda done: None, **more,
        ))  # fmt: skip


def test_nothing_is_sampled_twice_and_certain_problems_stop_early(tmp_path, patient_pool):
    """Four samples; hard is at most 2 of 4. Never right: certain after 2. Always right: after 3."""

    def reply(text: str, number: int) -> str:
        return "\\boxed{2}" if text.startswith("solved") else "\\boxed{7}"

    questions = [Question("solved", "2"), Question("unsolved", "2")]
    with text_server(reply) as (url, asked):
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
    with text_server(lambda text, _: "\\boxed{\\frac12}") as (url, asked):
        assert rates_of(url, tmp_path, patient_pool, [Question("q", "7")])[0].band == "hard"
        sampled = len(asked.bodies)
        assert rates_of(url, tmp_path, patient_pool, [Question("q", "0.5")])[0].band == "easy"
        assert len(asked.bodies) == sampled + 1  # easy needs one sample more to be certain


def test_what_was_answered_before_a_failure_is_kept(tmp_path, patient_pool):
    says = pytest.raises(ModelError, match="401")
    with text_server(lambda text, number: "\\boxed{1}" if number < 3 else 401) as (url, _), says:
        rates_of(url, tmp_path, patient_pool, [Question(f"q{n}", "1") for n in range(20)], samples=1)
    with SampleCache(tmp_path) as cache:
        assert len(cache) == 3


def test_a_judges_last_word_counts(tmp_path):
    def reply(text: str, _: int) -> str:
        return {"a": "KEEP or DROP? I say **drop**.", "b": "Keep", "c": "Hm."}[text]

    with text_server(reply) as (url, _), SampleCache(tmp_path) as cache:
        solver = Endpoint(settings(url, template="{problem}"), 0, None)
        samples = answered(solver, [(text, 0) for text in "abc"], cache)
    assert [judgement(sample) for sample in samples] == [False, True, None]


# -------------------------------------------------------------------------------- what a solver's samples come to


def test_a_failed_problem_has_no_rate_and_is_asked_again_by_the_next_run(tmp_path, patient_pool):
    questions = [Question(text, "1") for text in ("a", "poison", "b")]
    with text_server(lambda text, _: 500 if "poison" in text else "\\boxed{1}") as (url, asked):
        found = rates_of(url, tmp_path, patient_pool, questions, samples=1, solver={"retries": 1, "concurrency": 1})
        assert [type(one) for one in found] == [PassRate, Unrated, PassRate]
        assert (found[1].why, found[1].said) == ("failed", "500: as told (2 tries)")
        before = len(asked.bodies)
    with text_server(lambda text, _: "\\boxed{1}") as (url, asked):
        again = rates_of(url, tmp_path, patient_pool, questions, samples=1)
        assert before == 4
        assert [body["messages"][-1]["content"].split()[0] for body in asked.bodies] == ["poison"]
    assert [one.band for one in again] == ["easy"] * 3


def test_a_refusal_is_not_cached(tmp_path, patient_pool):
    questions = [Question("a", "1"), Question("long", "1")]
    with text_server(lambda text, _: 400 if "long" in text else "\\boxed{1}") as (url, _):
        first = rates_of(url, tmp_path, patient_pool, questions, samples=1, solver={"concurrency": 1})
    with text_server(lambda text, _: "\\boxed{1}") as (url, asked):
        second = rates_of(url, tmp_path, patient_pool, questions, samples=1)
    assert first[1].why == "refused"
    assert isinstance(second[1], PassRate)
    assert len(asked.bodies) == 1


def test_too_many_failures_end_the_run_with_one_sentence(tmp_path, patient_pool):
    questions = [Question(f"{'poison' if n % 2 else 'fine'} {n}", "1") for n in range(40)]
    says = (
        r"requests of 4 of 40 problems to the solver s failed permanently, more than most_failed allows \(3\); .* 500"
    )
    with text_server(lambda text, _: 500 if "poison" in text else "\\boxed{1}") as (url, _):
        with pytest.raises(ModelError, match=says):
            rates_of(url, tmp_path, patient_pool, questions, samples=1, solver={"retries": 0})
        allowed = rates_of(url, tmp_path, patient_pool, questions, samples=1, solver={"retries": 0, "most_failed": 0.5})
        assert sum(isinstance(one, Unrated) for one in allowed) == 20
        with pytest.raises(ModelError, match="every one of them"):
            rates_of(url, tmp_path, patient_pool, questions[1:2], solver={"retries": 0, "most_failed": 1.0})


def test_answers_that_are_cut_off_or_empty_are_no_wrong_answers(tmp_path, patient_pool):
    """Four samples: all cut off; all empty; one wrong and the others cut off; cut off but right."""

    def reply(text: str, number: int) -> Completion:
        if "always cut" in text:
            return Completion("so far", "length")
        if "empty" in text:
            return Completion("  ", "stop")
        if "right" in text:
            return Completion("\\boxed{1} and", "length")
        return Completion("\\boxed{7}" if number % 4 == 0 else "so", "stop" if number % 4 == 0 else "length")

    for text, why in (("always cut", "no_full_answer"), ("empty", "no_full_answer"), ("mixed", None), ("right", None)):
        with text_server(reply) as (url, _):
            args = (url, tmp_path, patient_pool, [Question(text, "1")])
            (found,) = rates_of(*args, stop_early=False, solver={"concurrency": 1})
            (as_wrong,) = rates_of(*args, stop_early=False, cut_off="wrong")
        assert found.counts.samples == 4
        assert (found.counts.truncated, found.counts.empty) == {
            "always cut": (4, 0), "empty": (0, 4), "mixed": (3, 0), "right": (4, 0)
        }[text]  # fmt: skip
        assert (found.why if isinstance(found, Unrated) else None) == why
        assert as_wrong.band == ("easy" if text == "right" else "hard")
        assert (found.counts.completion_tokens, found.counts.prompt_tokens) == (28, 44)
