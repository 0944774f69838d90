import importlib
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import zoo
from zoo import cli


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run made by the command line itself."""
    out = tmp_path_factory.mktemp("cli") / "run"
    assert (
        cli.main(["train", "simple_cnn", "--out", str(out), "--epochs", "4", "--seed", "2", "--batch-size", "64"]) == 0
    )
    return out


def call(capsys, *arguments):
    """Exit code, standard output and standard error."""
    try:
        code = cli.main(list(map(str, arguments)))
    except SystemExit as exit_:
        code = exit_.code
    streams = capsys.readouterr()
    return code, streams.out, streams.err


def test_list(capsys):
    code, out, _ = call(capsys, "list", "--names")
    assert code == 0
    assert out.splitlines() == zoo.list_models()
    code, out, _ = call(capsys, "list", "resnet1*", "--family", "resnet_v2")
    assert code == 0
    assert "resnet152_v2" in out
    assert "60,185,128" in out
    assert "resnet152 " not in out
    code, out, _ = call(capsys, "list", "nothing*")
    assert (code, "0 models" in out) == (0, True)


def test_info(capsys):
    code, out, _ = call(capsys, "info", "resnet50")
    assert code == 0
    for text in ("25,557,032", "4,089,184,256", "427×427", "stride32", "1512.03385", "stage4_block3_conv3", "7×7×2048"):
        assert text in out
    code, out, _ = call(capsys, "info", "resnet50", "--image-size", "64x96", "--no-layers")
    assert code == 0
    assert "2×3×2048" in out
    assert "stage4_block3_conv3" not in out


def test_info_of_a_network_that_pools_into_bins(capsys):
    code, out, _ = call(capsys, "info", "alexnet", "--image-size", "100x80", "--no-layers")
    assert code == 0
    assert "not uniform" in out
    assert "61,100,840" in out


@pytest.mark.parametrize("name", ["lenet5", "simple_cnn", "resnet18_v2", "alexnet"])
def test_info_works_for_every_kind(capsys, name):
    code, out, _ = call(capsys, "info", name, "--no-layers")
    assert code == 0
    assert zoo.model_card(name).paper.url in out
    assert zoo.model_card(name).note[:40] in out


def test_train_says_what_it_did(folder, capsys):
    config = json.loads((folder / "config.json").read_text())
    assert config["seed"] == 2
    assert config["training"]["epochs"] == 4
    assert config["training"]["batch_size"] == 64
    assert (folder / "report.html").exists()


def test_evaluate(folder, capsys):
    code, out, _ = call(capsys, "evaluate", folder, "--data", "digits", "--split", "test")
    assert code == 0
    assert out.startswith("digits test: accuracy ")
    code, out, _ = call(capsys, "evaluate", folder, "--json")
    scores = json.loads(out)
    assert scores["examples"] == 359
    assert scores["accuracy"] > 0.8


def test_predict(folder, capsys, tmp_path):
    bunch = load_digits()
    Image.fromarray(np.rint(bunch.images[0] * 255 / 16).astype("uint8")).save(tmp_path / "zero.png")
    code, out, _ = call(capsys, "predict", folder, tmp_path / "zero.png", "--top", "3")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].endswith("zero.png")
    assert len(lines) == 4
    assert lines[1].split() == [lines[1].split()[0], "%", "0"]
    code, out, _ = call(capsys, "predict", folder, tmp_path / "zero.png", "--json")
    (answers,) = json.loads(out).values()
    assert answers[0][0] == "0"
    assert sum(p for _, p in answers) <= 1.0001


def test_an_engine_gives_the_same_scores(folder, capsys):
    _, out, _ = call(capsys, "evaluate", folder, "--json")
    plain = json.loads(out)
    _, out, err = call(capsys, "evaluate", folder, "--json", "--engine", "tensorflow")
    found = json.loads(out)
    for name in ("loss", "accuracy"):
        assert found.pop(name) == pytest.approx(plain.pop(name), rel=1e-5)
    assert found == plain
    assert err == ""
    code, _, err = call(capsys, "evaluate", folder, "--precision", "bfloat16")
    assert (code, "--precision is an engine's. Give --engine." in err) == (2, True)


def test_export(folder, capsys, tmp_path):
    code, out, _ = call(capsys, "export", folder, "--to", "saved_model", "--out", tmp_path / "out", "--examples", "9")
    assert code == 0
    assert "read by tensorflow and compared on 9 examples: differs from Keras by " in out
    assert "from JPEG files by " in out


def test_report(folder, capsys):
    (folder / "report.html").unlink()
    code, out, _ = call(capsys, "report", folder)
    assert code == 0
    assert out.strip() == str(folder / "report.html")
    assert (folder / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "--family", "vgk"], "zoo list: error: There is no family 'vgk'."),
        (["info", "resnet51"], "zoo info: error: There is no model named 'resnet51'. Did you mean"),
        (["info", "lenet5", "--image-size", "8"], "zoo info: error: lenet5 needs an input of at least (32, 32, 1)."),
        (["info", "lenet5", "--image-size", "8x"], "argument --image-size: expected a size such as 32 or 32x48"),
        (["train", "resnet20"], "zoo train: error: the following arguments are required: --out"),
        (["train", "resnet20", "--out", "{tmp}/x", "--data", "cifar"], "Data is digits, tfds:NAME, folder:PATH, "),
        (["train", "resnet20", "--out", "{tmp}/x", "--set", "alpha=2"], "resnet20 has no argument 'alpha'."),
        (["train", "resnet20", "--out", "{tmp}/x", "--set", "alpha"], "expected KNOB=VALUE, received 'alpha'"),
        (["train", "resnet20", "--out", "{tmp}/x", "--epochs", "0"], "epochs must be at least 1."),
        (["train", "resnet20", "--out", "{tmp}/x", "--data", "folder:{tmp}/no"], "/no is no folder."),
        (["train", "resnet20", "--out", "/proc/x/y"], "No such file or directory"),
        (["evaluate", "{tmp}"], "is no finished run: it has no config.json."),
        (["predict", "{tmp}", "a.png"], "is no finished run"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_bad_input_ends_with_2_and_one_line(capsys, tmp_path, arguments, message):
    code, out, err = call(capsys, *[text.replace("{tmp}", str(tmp_path)) for text in arguments])
    assert code == 2
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_a_bad_picture_is_named(folder, capsys, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"x")
    code, _, err = call(capsys, "predict", folder, tmp_path / "bad.png")
    assert code == 2
    assert err == f"zoo predict: error: {tmp_path}/bad.png cannot be used: it is no picture of a known format " \
        "(BMP, GIF, JPEG, PNG, WEBP).\n"  # fmt: skip


def test_the_traceback_comes_on_request():
    with pytest.raises(ValueError, match="There is no model"):
        cli.main(["--traceback", "info", "resnet51"])


def test_every_option_has_help():
    import argparse

    (commands,) = [a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction)]
    assert set(commands.choices) >= {"list", "info", "train", "evaluate", "predict", "export", "report"}
    for name, parser in commands.choices.items():
        for action in parser._actions:
            assert action.help, (name, action.dest)
            if (
                action.option_strings
                and action.nargs != 0
                and not action.required
                and "--help" not in action.option_strings
            ):
                assert "default" in action.help or isinstance(action, argparse.BooleanOptionalAction), (
                    name,
                    action.dest,
                )


def test_defaults_in_the_help_are_those_of_the_settings():
    import argparse
    import dataclasses

    from zoo.runs import Settings

    (commands,) = [a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction)]
    helps = {action.dest: action.help for action in commands.choices["train"]._actions}
    with_option = [field for field in dataclasses.fields(Settings) if field.name in helps and field.name != "model"]
    assert len(with_option) > 18  # `--set` reaches the others
    for field in with_option:
        if field.default is not None:
            assert f"(default: {field.default})" in helps[field.name], field.name


def test_other_packages_add_commands(monkeypatch, capsys):
    class EntryPoint:
        @staticmethod
        def load():
            def add(commands):
                parser = commands.add_parser("hello", help="say hello")
                parser.set_defaults(run=lambda arguments: print("hello"))

            return add

    monkeypatch.setattr(cli.importlib.metadata, "entry_points", lambda group: [EntryPoint] * (group == "zoo.commands"))
    assert call(capsys, "hello")[:2] == (0, "hello\n")


def test_python_m_zoo_is_the_same_command():
    done = subprocess.run([sys.executable, "-m", "zoo", "info", "nope"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "zoo info: error: There is no model named 'nope'. zoo.list_models() lists all " \
        f"{len(zoo.list_models())}.\n"  # fmt: skip
    done = subprocess.run([sys.executable, "-m", "zoo", "--help"], capture_output=True, text=True, check=True)
    assert "list, train, evaluate, predict" in done.stdout


def test_help_needs_no_tensorflow():
    script = "import sys; from zoo import cli\ntry: cli.main(['train', '--help'])\nexcept SystemExit: pass\n"
    script += "print('tensorflow' in sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "False"
    assert "--patience" in done.stdout


def test_a_missing_package_is_named_with_its_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "soundfile", None)

    def add(name):
        def added(commands):
            commands.add_parser("need").set_defaults(run=lambda arguments: importlib.import_module(name))

        return added

    assert cli.main(["need"], add=[add("soundfile")]) == 2
    assert 'Run: pip install "cnn-zoo[audio]"' in capsys.readouterr().err
    with pytest.raises(ModuleNotFoundError):  # a fault of ours, which needs its traceback
        cli.main(["need"], add=[add("zoo.nowhere")])


def test_options_of_evaluation_that_would_do_nothing_are_refused(folder, capsys):
    assert cli.main(["evaluate", str(folder), "--batch-size", "8"]) == 2
    assert "--batch-size is for published weights; a run has its own" in capsys.readouterr().err
    assert cli.main(["evaluate", str(folder), "--precision", "bfloat16"]) == 2
    assert "--precision is an engine's. Give --engine" in capsys.readouterr().err


def test_files_are_read_before_an_engine_is_made_ready(folder, capsys, monkeypatch):
    monkeypatch.setattr("zoo.deploy.commands.Predictor", None)
    assert cli.main(["predict", str(folder), "nowhere.png", "--engine", "auto"]) == 2
    assert "nowhere.png" in capsys.readouterr().err
