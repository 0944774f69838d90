"""The benchmark measures forms side by side, says which are faster, and refuses what it cannot measure."""

import importlib.util
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from zoo import cli
from zoo.deploy import benchmark
from zoo.deploy.benchmark import measuring, peers, process


def row(who, form, batch=1, p50=10.0, precision="float32", **facts):
    facts = {"p95_ms": 1.5 * p50, "images_per_s": 1e3 * batch / p50, "peak_mb": 500.0, "import_s": 3.0, "build_s": 0.5,
             "ready_s": 1.0, "params": 60000, "calls": 20, **facts}  # fmt: skip
    return benchmark.Measured(benchmark.Form(who, form, precision), batch, p50, **facts)


BROKEN = benchmark.Form("timm", "eager", "float32")  # without PyTorch, or with it, timm has no LeNet-5


@pytest.fixture(scope="module")
def compared():
    rows = [BROKEN, *benchmark.forms("lenet5", ["tensorflow"], ["float32"])]
    return benchmark.compare("lenet5", rows, batch_sizes=[4, 1], threads=1, repeats=2, seconds=0.01)


def test_what_is_measured(compared):
    assert [(str(row.form), row.batch) for row in compared.measured] == [
        ("zoo, tensorflow, float32", 1),
        ("zoo, tensorflow, float32", 4),
    ]
    assert compared.shape == (32, 32, 1)
    for found in compared.measured:
        assert found.params == 60000
        assert found.calls >= 2 * measuring.LEAST_CALLS
        assert 0 < found.p50_ms <= found.p95_ms < 5e3
        assert found.images_per_s == pytest.approx(1e3 * found.batch / found.p50_ms, rel=0.9)
        assert 100 < found.peak_mb < 4000
        assert min(found.import_s, found.build_s, found.ready_s) > 0
    assert benchmark.Comparison.from_dict(json.loads(json.dumps(compared.to_dict()))) == compared


def test_one_that_fails_is_named_beside_those_that_run(compared):
    assert compared.failed[BROKEN] in ("ModuleNotFoundError: No module named 'torch'", "KeyError: 'lenet5'")
    assert f"- timm, eager, float32: failed, {compared.failed[BROKEN]}" in benchmark.markdown(compared)


def test_where_nothing_could_be_made_ready_it_says_why():
    with pytest.raises(benchmark.MeasurementError, match="No form of lenet5 could be run. timm, eager, float32: "):
        benchmark.compare("lenet5", [BROKEN], repeats=1)


def test_forms_are_named_once():
    found = benchmark.forms("resnet50", ["tensorflow", "tensorflow"], ["float32"] * 2, ["keras.applications"] * 2)
    assert [str(form) for form in found] == [
        "zoo, tensorflow, float32", "keras.applications, compiled function, float32",
    ]  # fmt: skip


def test_an_engine_that_is_asked_for_needs_what_int8_needs(monkeypatch):
    pytest.importorskip("openvino")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "nncf" else find(name))
    with pytest.raises(ValueError, match="int8 for openvino needs nncf, which is not installed"):
        benchmark.forms("lenet5", ["openvino"], ["float32", "int8"])
    assert "int8" not in {form.precision for form in benchmark.forms("lenet5", None, ["float32", "int8"])
                          if form.form == "openvino"}  # fmt: skip


def test_no_form_is_refused(monkeypatch):
    from zoo.deploy import engines

    monkeypatch.setattr(engines, "installed", lambda: ("tensorflow",))
    with pytest.raises(ValueError, match="No engine that is installed computes in int8. Installed: tensorflow"):
        benchmark.forms("lenet5", None, ["int8"])


@pytest.mark.slow
def test_a_network_of_words_gets_words():
    rows = benchmark.forms("kim_cnn_rand", ["tensorflow"], ["float32"])
    (found,) = benchmark.compare("kim_cnn_rand", rows, batch_sizes=[2], repeats=1, seconds=0.01).measured
    assert found.p50_ms > 0


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_our_network_by_way_of_keras_is_a_peer(runtime):
    pytest.importorskip(runtime)
    rows = benchmark.forms("squeezenet1_1", [runtime], ["float32"], [runtime])
    found = benchmark.compare("squeezenet1_1", rows, batch_sizes=[1], repeats=1, seconds=0.01)
    assert (found.failed, [row.form for row in found.measured]) == ({}, rows)


def test_one_that_dies_in_a_round_is_named_and_the_others_go_on(monkeypatch):
    class Told:
        """A process that answers, or dies at its second measurement."""

        def __init__(self, command, task, threads):
            self.dies, self.measured = task["form"] == "openvino", 0

        def ask(self, question, **arguments):
            if question == "measure":
                self.measured += 1
                if self.dies and self.measured == 2:
                    raise benchmark.MeasurementError("the process was killed by SIGABRT")
                return [0.002, 0.002]
            facts = {"import_s": 1.0, "build_s": 1.0, "params": 3}
            return facts if question == "build" else {"ready_s": 1.0, "peak_bytes": 1e6}

        def close(self):
            pass

    monkeypatch.setattr(measuring, "Process", Told)
    rows = [benchmark.Form("zoo", name, "float32") for name in ("openvino", "tensorflow")]
    found = benchmark.compare("lenet5", rows, repeats=3)
    assert found.failed == {rows[0]: "the process was killed by SIGABRT"}
    assert [(row.form, row.batch, row.p50_ms, row.calls) for row in found.measured] == [
        (rows[1], 1, 2.0, 6), (rows[1], 16, 2.0, 6),
    ]  # fmt: skip
    with pytest.raises(benchmark.MeasurementError, match="No form of lenet5 could be run. zoo, openvino"):
        benchmark.compare("lenet5", rows[:1])


def test_rounds_are_summed_up_by_hand():
    rounds = [[0.010, 0.030, 0.020], [0.050, 0.050], [0.040, 0.030, 0.020, 0.010]]
    facts = {"peak_bytes": 3e8, "import_s": 1, "build_s": 2, "ready_s": 3, "params": 4}
    found = measuring._summary(benchmark.Form("zoo", "tensorflow", "float32"), 2, rounds, facts)
    assert found.p50_ms == pytest.approx(25)  # of 20, 50 and 25
    assert found.p95_ms == pytest.approx(50)
    assert found.images_per_s == pytest.approx(2 * 4 / 0.1)  # of 2 * 3 / 0.06, 2 * 2 / 0.1 and 2 * 4 / 0.1
    assert (found.peak_mb, found.calls) == (300, 9)


def test_the_table_and_its_sentences():
    rows = (
        row("zoo", "tensorflow", p50=12), row("zoo", "openvino", p50=5), row("timm", "eager", p50=10),
        row("timm", "compiled", p50=8), row("zoo", "openvino", batch=16, p50=70),
    )  # fmt: skip
    comparison = benchmark.Comparison("lenet5", (32, 32, 1), rows, {})
    text = benchmark.markdown(comparison)
    assert "| zoo, openvino | float32 | 1 | 5.00 | 7.50 | 200.0 | 500 | 3.0 | 0.50 | 1.0 |" in text
    assert text.endswith("batch 1: openvino 5.00 ms, best peer (timm, compiled) 8.00 ms: 1.60 times")
    assert [(ours.p50_ms, theirs.p50_ms) for ours, theirs in benchmark.ratios(comparison)] == [(5, 8)]
    picture = np.asarray(Image.open(io.BytesIO(benchmark.picture(comparison))))
    assert picture.shape[1] > 2 * picture.shape[0]
    assert len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 20


def test_the_machine_is_told():
    facts = benchmark.machine()
    assert facts["processors"] >= 1
    assert facts["versions"]["keras"]
    page = benchmark.page([], facts, "zoo benchmark lenet5")
    assert page.startswith("# Benchmark\n\n    zoo benchmark lenet5\n\n")
    assert facts["date"] in page
    told = "other work was done too"
    assert told in benchmark.page([], {**facts, "load": 1.7}, "zoo benchmark lenet5")
    assert told not in benchmark.page([], {**facts, "load": 0.1}, "zoo benchmark lenet5")


def test_the_process_that_measures_others_is_light():
    """What a peer's form needs in memory must not count TensorFlow."""
    code = (
        "import sys, zoo.deploy.benchmark.child\n"
        "print([name for name in ('keras', 'tensorflow', 'matplotlib') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_a_process_that_dies_says_its_last_words(tmp_path):
    script = tmp_path / "dies.py"
    script.write_text("import sys\nsys.exit('out of luck')")
    with process.Process((str(script),), {}) as dead, pytest.raises(process.MeasurementError) as caught:
        dead.ask("ready")
    assert str(caught.value) == "the process ended with code 1: out of luck"


@pytest.mark.parametrize(
    ("name", "expected"), [("SIGKILL", "SIGKILL, as the system does for want of memory"), ("SIGABRT", "SIGABRT")]
)
def test_a_process_that_is_killed_says_by_what(tmp_path, name, expected):
    script = tmp_path / "dies.py"
    script.write_text(
        "import os, signal, sys\n"
        "print('could not find a GPU', file=sys.stderr, flush=True)\n"
        f"os.kill(os.getpid(), signal.{name})"
    )
    with process.Process((str(script),), {}) as dead, pytest.raises(process.MeasurementError) as caught:
        dead.ask("ready")
    assert str(caught.value) == f"the process was killed by {expected}"


def test_numbers_are_refused():
    rows = [benchmark.Form("zoo", "tensorflow", "float32")]
    with pytest.raises(ValueError, match="repeats must be above 0. Received: 0"):
        benchmark.compare("lenet5", rows, repeats=0)
    with pytest.raises(ValueError, match=r"threads must be 1 to \d+, the processors here. Received: 0"):
        benchmark.compare("lenet5", rows, threads=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["lenet6"], "There is no model named 'lenet6'. Did you mean"),
        (["lenet5", "--engine", "tensorrt"], "engine must be one of 'tensorflow', 'openvino'"),
        (["lenet5", "--precision", "float8"], "A precision must be one of float32, bfloat16, int8. Received: float8"),
        (["lenet5", "--engine", "litert", "--precision", "bfloat16"], "litert does not compute in bfloat16."),
        (["lenet5", "--engine", "tensorflow", "--precision", "int8"], "saved_model has no int8. Formats that have: "),
        (["lenet5", "--peer", "caffe"], "A peer must be one of keras.applications, torchvision, timm, openvino, "),
        (["lenet5", "--peer", "timm"], "timm has no lenet5 that is the same network as ours. It has: densenet121,"),
        (["lenet5", "--batch", "1,0"], "expected whole numbers above 0 such as 1,16, received '1,0'"),
    ],
)  # fmt: skip
def test_the_command_refuses(options, message, capsys):
    try:
        code = cli.main(["benchmark", *options])
    except SystemExit as exit_:
        code = exit_.code
    assert code == cli.BAD_INPUT
    assert message in capsys.readouterr().err


def test_a_peer_that_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="The peer timm needs packages that are not installed: pip install torch timm"):
        peers.check("timm", "resnet50")


def test_the_command(tmp_path, capsys, compared, monkeypatch):
    asked = {}
    monkeypatch.setattr(measuring, "compare", lambda model, rows, **options: asked.update(options) or compared)
    out = tmp_path / "out"
    assert cli.main(["benchmark", "lenet5", "--engine", "tensorflow", "--batch", "1,4", "--out", str(out)]) == 0
    assert asked["batch_sizes"] == [1, 4]
    printed = capsys.readouterr().out
    assert printed == (out / "benchmark.md").read_text()
    assert "### lenet5, 32×32×1" in printed
    facts = json.loads((out / "benchmark.json").read_text())
    assert facts["comparisons"][0] == json.loads(json.dumps(compared.to_dict()))
    assert (out / "lenet5.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_same_network_of_keras_applications_is_measured_beside_ours():
    rows = benchmark.forms("mobilenet_v2", ["tensorflow"], ["float32"], ["keras.applications"])
    found = benchmark.compare("mobilenet_v2", rows, batch_sizes=[1], repeats=1, seconds=0.01)
    assert found.failed == {}
    (pair,) = benchmark.ratios(found)
    assert [str(one.form) for one in pair] == [
        "zoo, tensorflow, float32",
        "keras.applications, compiled function, float32",
    ]
    assert pair[0].params == pair[1].params == 3504872


def test_openvino_does_not_report_its_use():
    """Its converter would send an event, and wait for an answer, each time."""
    importlib.import_module("zoo.deploy.engines")
    telemetry = pytest.importorskip("openvino.tools.ovc.telemetry_utils")
    assert telemetry.tm.__name__.endswith("telemetry_stub")
