# %% [markdown]
# # Training with a reward of one's own, in a notebook
#
# The cells (`# %%`) run one after the other in Jupyter, VS Code or Spyder, and the file runs as a script. Five
# small steps of GRPO on the shipped tiny model take seconds on a CPU.

# %%
import tempfile
from pathlib import Path

import frugalrl

# %% [markdown]
# A recipe is a shipped name, a file or a mapping. A change is checked at once, and gives another recipe.

# %%
quickstart = frugalrl.load_recipe("quickstart")
recipe = frugalrl.change(
    quickstart,
    {
        "training.steps": 5,
        "data.validation": None,
        "data.test.limit": 20,
        "rollout.prompts_per_step": 4,
        "rollout.group_size": 4,
        "rollout.max_completion_tokens": 96,
        "optimizer.warmup_fraction": 0.0,
        "evaluation.samples_per_problem": 1,
    },
)
print(f"{recipe.name}: {recipe.training.steps} steps, rewards {', '.join(term.name for term in recipe.rewards)}")

try:
    frugalrl.change(recipe, {"training.step": 20})
except frugalrl.UserError as error:
    print(error)

# %% [markdown]
# A reward is a function with TRL's signature; a pair gives it a weight. `on_step` gets the metrics of each step.


# %%
def brevity(completions, **columns):
    """From 0 for an empty completion to -1 for 400 characters or more."""
    return [-min(1.0, len(text) / 400) for text in completions]


NAME = f"reward/{__name__}.brevity"


def show_step(step):
    print(f"step {step['step']:>2}  reward {step['reward/mean']:.3f}  brevity {step[NAME]:+.3f}")


folder = Path(tempfile.mkdtemp()) / "run"
run = frugalrl.train(recipe, rewards=[*recipe.rewards, (brevity, 0.2)], on_step=show_step, out=folder)

# %% [markdown]
# The last line of a cell shows the result as a small table; here it is printed. `run.metrics` goes into
# `pandas.DataFrame` as it is.

# %%
print(f"steps {run.summary.steps}, base and kept model on {run.summary.base.n} problems: {run.summary.verdict}")
print(f"{len(run.metrics)} lines of metrics, {len(run._repr_html_())} characters of HTML")
run  # noqa: B018 - what a notebook shows

# %% [markdown]
# Base against kept model, problem by problem, and the page with everything.

# %%
print(frugalrl.compare(run.folder).summary)
print(frugalrl.report(run.folder).page.name)

# %% [markdown]
# One answer against a gold, and the model on a benchmark.

# %%
print(frugalrl.verify("x = 0.5", "1/2").label, frugalrl.verify(r"so it is \boxed{\frac{1}{2}}", "0.5").label)
evaluated = frugalrl.evaluate(run.model, "arithmetic", limit=5, k=2, max_tokens=96, out=folder.parent / "results")
print([(one["benchmark"], one["problems"], one["k"]) for one in evaluated.metrics])
