"""Imports run one way, as the design says; `import zoo` stays light."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("zoo", "tuning", "applications")

# What a part of the house may import of ours. Parts are matched by the longest prefix.
ALLOWED = {
    "zoo.registry": set(),
    "zoo.files": set(),
    "zoo.messages": set(),
    "zoo.options": set(),
    "zoo.signals": set(),
    "zoo.graph": set(),
    "zoo.quickly": set(),
    "zoo.drawing": {"zoo.quickly"},
    "zoo.layers": {"zoo.layers"},
    "zoo.models": {"zoo.registry", "zoo.layers"},
    "zoo.models.__init__": {"zoo.models", "zoo.registry", "zoo.builder"},
    "zoo.models.stub": {"zoo.registry", "zoo.builder", "zoo.files"},
    "zoo.builder": {"zoo.registry", "zoo.layers", "zoo.graph", "zoo.drawing", "zoo.weights"},
    "zoo.weights.commands": {"zoo"},
    "zoo.weights.loaders": {"zoo.weights", "zoo.registry", "zoo.graph", "zoo.drawing"},
    "zoo.weights": {"zoo.weights", "zoo.files", "zoo.messages", "zoo.drawing", "zoo.data.pictures", "zoo.data.errors"},
    "zoo.data": {"zoo.data", "zoo.files", "zoo.messages"},
    "zoo.training": {"zoo.training", "zoo.weights", "zoo.files", "zoo.graph", "zoo.signals", "zoo.quickly"},
    "zoo.report": {"zoo.report", "zoo.files"},
    "zoo.deploy.commands": {"zoo"},
    "zoo.deploy.sources": {"zoo"},
    "zoo.deploy.benchmark": {"zoo"},
    "zoo.deploy": {"zoo.deploy", "zoo.files", "zoo.messages", "zoo.graph", "zoo.weights", "zoo.runs"},
    "zoo": {"zoo"},
    "tuning": {"tuning", "zoo"},
    "applications": {"applications", "zoo", "tuning"},
}
KERAS_ONLY = ("zoo.registry", "zoo.layers", "zoo.models", "zoo.builder", "zoo.graph")


def modules():
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts), path


def imported(name: str, path: Path) -> set[str]:
    """Dotted names that a file imports anywhere, also inside functions, but not for type checking alone."""
    found = set()

    class Visitor(ast.NodeVisitor):
        def visit_If(self, node):
            if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
                self.generic_visit(node)

        def visit_Import(self, node):
            found.update(alias.name for alias in node.names)

        def visit_ImportFrom(self, node):
            assert node.level == 0, f"{name} imports relatively"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (ROOT / Path(*inner.split("."))).with_suffix(".py").exists() or (
                    ROOT / Path(*inner.split("."))
                ).is_dir()
                found.add(inner if is_module else node.module)

    Visitor().visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def within(name: str, parts) -> bool:
    return any(name == part or name.startswith(part + ".") for part in parts)


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_run_one_way(name, path):
    ours = {item for item in imported(name, path) if within(item, PACKAGES)}
    rule = max((part for part in ALLOWED if within(name, [part])), key=len)
    if rule == "zoo.models" and name.endswith("__init__"):
        rule = "zoo.models.__init__"
    if ALLOWED[rule] == {"zoo"}:
        assert within(name, ["zoo"])
        assert not {item for item in ours if not within(item, ["zoo"])}
    else:
        assert {item for item in ours if not within(item, ALLOWED[rule])} == set()


def test_no_application_imports_another():
    for name, path in modules():
        if name.startswith("applications."):
            own = ".".join(name.split(".")[:2])
            others = {item for item in imported(name, path) if within(item, ["applications"])}
            assert {item for item in others if not within(item, [own])} == set()


def test_families_do_not_import_each_other():
    families = [name for name, _ in modules() if name.count(".") == 3 and not name.endswith("__init__")
                and name.startswith("zoo.models.")]  # fmt: skip
    assert "zoo.models.image.resnet" in families
    for name, path in modules():
        if name in families:
            assert not {item for item in imported(name, path) if within(item, ["zoo.models"])}


def test_networks_do_not_know_tensorflow():
    checked = [(name, imported(name, path)) for name, path in modules() if within(name, KERAS_ONLY)]
    assert len(checked) > 8
    for name, found in checked:
        assert not {item for item in found if within(item, ["tensorflow", "torch", "jax"])}, name


def test_the_rules_find_a_wrong_import(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def f():\n    from zoo import models\n    import zoo.training.trainer\n")
    assert imported("zoo.data.wrong", wrong) == {"zoo.models", "zoo.training.trainer"}


def test_import_zoo_is_light():
    script = (
        "import json, sys, keras\n"
        "before = set(sys.modules)\n"  # Keras itself imports what it finds of them
        "import zoo; zoo.create_model\n"
        "print(json.dumps([[name for name in set(sys.modules) - before if '.' not in name], len(zoo.list_models())]))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    new, count = json.loads(answer)
    assert "zoo" in new
    others = {name for name in new if name not in sys.stdlib_module_names and not name.startswith("_")}
    assert others == {"zoo"}
    assert count >= 20


def test_import_zoo_alone_loads_no_keras():
    script = "import sys, zoo; print([name for name in ('keras', 'tensorflow', 'numpy') if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert answer.strip() == "[]"
