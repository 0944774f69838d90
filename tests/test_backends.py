"""Networks are the same functions under Keras's JAX backend as under its TensorFlow backend.

A backend is chosen when Keras is imported, so each has a process of its own: this file, run as a script.
"""

import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

# What the cheapest network of a backbone does not show: layers of our own.
EXTRA = {
    "alexnet, paper": ("alexnet", {"variant": "paper", "hidden_units": 64}),
    "googlenet, paper": ("googlenet", {"variant": "paper"}),
    "squeezenet, dilated": ("squeezenet1_0", {"output_stride": 4, "bypass": "complex"}),
    "inception v3, dilated": ("inception_v3", {"output_stride": 8}),
}


# Knobs that make networks for sound, text and boards small; their numbers of words and units say nothing of a backend.
SMALL = {
    "abdel_hamid": {"hidden_units": 32},
    "alphago": {"filters": 8, "hidden_layers": 3, "legal_planes": [1]},
    "alphagozero": {"filters": 8, "blocks": 2},
    "clark_storkey": {"tied": True},
    "maddison": {"filters": 8, "hidden_layers": 3},
    "dpcnn": {"vocabulary": 50, "dimensions": 20, "filters": 16, "blocks": 3},
    "kim_cnn": {"vocabulary": 50, "dimensions": 20, "filters": 8},
    "vdcnn": {"hidden_units": 64},
}


PARTS = 2


def other_networks():
    """The cheapest network of each backbone for sound, text, signals and boards: name, knobs, an input."""
    from representatives import backbone, cheapest

    import zoo
    from zoo import registry

    for seed, modality in enumerate(("audio", "text", "signal", "board")):
        rng = np.random.default_rng(seed)
        for name in cheapest(backbone, zoo.list_models(modality=modality)):
            card = zoo.model_card(name)
            shape = card.input_shape if modality == "audio" else (max(card.min_size, 128), *card.input_shape[1:])
            shape = (1014,) if card.family == "char_cnn" else shape
            shape = (7, 7, card.input_shape[-1]) if modality == "board" else shape
            example = rng.integers(0, 50, (1, *shape)) if modality == "text" else rng.uniform(-1, 1, (1, *shape))
            known = registry.keyword_parameters(registry.entry(name).backbone)
            knobs = {key: value for key, value in SMALL.get(card.family, {}).items() if key in known}
            yield name, knobs, example.astype("int32" if modality == "text" else "float32")


def networks():
    """The cheapest image network of each backbone, then the extra ones: name, model, knobs."""
    from representatives import backbone, cheapest

    import zoo

    for name in cheapest(backbone, zoo.list_models(modality="image")):
        small = {"hidden_units": 64} if zoo.model_card(name).family in ("alexnet", "vgg") else {}
        yield name, name, small
    for name, (model, knobs) in EXTRA.items():
        yield name, model, knobs


def draw_nothing():
    """Initial weights are zeros in this process: JAX compiles the drawing of each shape, and others are set anyway."""
    import keras

    for kind in (keras.initializers.VarianceScaling, keras.initializers.RandomNormal, keras.initializers.RandomUniform):
        kind.__call__ = lambda self, shape, dtype=None, **options: np.zeros(shape, dtype or "float32")


def outputs(part, parts):
    """What each network says of one picture; weights and picture are functions of the network's place in the list.

    Of so many parts of the networks one, as JAX takes minutes to compile all of them.
    """
    import zoo

    results = {}
    for seed, (label, name, knobs) in [*enumerate(networks())][part::parts]:
        rng = np.random.default_rng(seed)
        card = zoo.model_card(name)
        size = max(card.min_size, 32) if not knobs else 75
        shape = (size, size, card.input_shape[-1])
        model = zoo.create_model(name, classes=10, input_shape=shape, classifier_activation=None, **knobs)
        model.set_weights([values(rng, variable) for variable in model.weights])
        results[label] = model.predict_on_batch(rng.uniform(-1, 1, (1, *shape)).astype("float32"))
    for seed, (name, knobs, example) in [*enumerate(other_networks())][part::parts]:
        rng = np.random.default_rng(seed)
        card = zoo.model_card(name)
        # Logits, where there are any; behind a mask most are a number for "never".
        has_logits = card.activation is not None and "legal_planes" not in knobs
        arguments = {"classifier_activation": None} if has_logits else {}
        if card.activation is not None and card.modality != "board":  # whose moves are as many as its points
            arguments["classes"] = 5
        model = zoo.create_model(name, input_shape=example.shape[1:], **arguments, **knobs)
        model.set_weights([values(rng, variable) for variable in model.weights])
        answer = model.predict_on_batch(example)
        answers = answer if isinstance(answer, dict) else {"": answer}
        results |= {f"{name} {key}".strip(): value for key, value in answers.items()}
    return results


def values(rng, variable):
    """Random weights that keep the scale of the activations."""
    shape = tuple(variable.shape)
    if variable.name in ("gamma", "moving_variance"):
        return rng.uniform(0.5, 1.5, shape)
    fan_in = np.prod(shape[:2] if "depthwise" in variable.path else shape[:-1])
    return rng.normal(size=shape) * (np.sqrt(2 / fan_in) if len(shape) > 1 else 0.1)


@pytest.mark.jax
def test_outputs_under_jax_are_those_under_tensorflow(tmp_path):
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")

    def results_of(backend, part):
        path = tmp_path / f"{backend}{part}.npz"
        environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
        subprocess.run([sys.executable, __file__, path, str(part), str(PARTS)], env=environment, check=True)
        with np.load(path) as arrays:
            return dict(arrays)

    results = {}
    with ThreadPoolExecutor(2) as pool:
        for backend in ("jax", "tensorflow"):
            found = pool.map(results_of, [backend] * PARTS, range(PARTS))
            results[backend] = {name: array for part in found for name, array in part.items()}
    assert set(results["jax"]) == set(results["tensorflow"])
    assert len(results["jax"]) > 28
    for name, expected in results["tensorflow"].items():
        difference = np.abs(results["jax"][name] - expected).max() / np.abs(expected).max()
        print(f"{name}: {difference:.1e}")
        assert difference < 1e-4, name


if __name__ == "__main__":
    draw_nothing()
    arrays = outputs(int(sys.argv[2]), int(sys.argv[3]))
    if os.environ["KERAS_BACKEND"] == "jax":
        assert "tensorflow" not in sys.modules, "the networks need no TensorFlow under another backend"
    np.savez(sys.argv[1], **arrays)
