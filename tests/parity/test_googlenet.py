"""GoogLeNet against torchvision, with the auxiliary classifiers."""

import pytest

import zoo

torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")

BRANCHES = {"branch1": "1x1", "branch2.0": "3x3_reduce", "branch2.1": "3x3", "branch3.0": "5x5_reduce",
            "branch3.1": "5x5", "branch4.1": "pool_proj"}  # fmt: skip
DENSE = {"fc": "logits", "aux1.fc1": "aux1_hidden", "aux1.fc2": "aux1", "aux2.fc1": "aux2_hidden", "aux2.fc2": "aux2"}


def our_name(name):
    """`inception3a.branch2.0.conv` is our `inception3a_3x3_reduce_conv`."""
    if name in DENSE:
        return DENSE[name]
    unit, kind = name.rsplit(".", 1)
    module, _, branch = unit.partition(".")
    return f"{module}_{BRANCHES[branch]}_{kind}" if branch in BRANCHES else f"{module}_{kind}"


@pytest.mark.parametrize("size", [(224, 224), (193, 257)])
def test_outputs_are_those_of_torchvision(peer, size):
    net = peer.torchvision().models.googlenet(aux_logits=True, init_weights=False)
    peer.randomise_torch(net)
    model = zoo.create_model("googlenet", aux=True, input_shape=(*size, 3), classifier_activation=None)
    modules = {our_name(name): module for name, module in net.named_modules() if not list(module.children())
               and hasattr(module, "weight")}  # fmt: skip
    assert set(modules) == {layer.name for layer in model.layers if layer.weights}
    for name in ("aux1_hidden", "aux2_hidden"):
        # Theirs flattens channels, rows, columns, ours rows, columns, channels.
        weight = modules[name].weight
        weight.data = weight.data.reshape(1024, 128, 4, 4).permute(0, 2, 3, 1).reshape(1024, 2048)
    peer.from_torch(net, model, list(modules.values()), [model.get_layer(name) for name in modules])
    for name in ("aux1_hidden", "aux2_hidden"):
        weight = modules[name].weight
        weight.data = weight.data.reshape(1024, 4, 4, 128).permute(0, 3, 1, 2).reshape(1024, 2048)
    net.training = True  # of the outermost module alone: it then runs the auxiliary classifiers, all else is fixed
    theirs = {"predictions": "logits", "aux1": "aux_logits1", "aux2": "aux_logits2"}
    inputs = peer.pictures(size)
    with torch.no_grad():
        outputs = net(torch.from_numpy(inputs.transpose(0, 3, 1, 2).copy()))
    for name, values in model(inputs, training=False).items():
        assert peer.relative(getattr(outputs, theirs[name]), values) < 1e-4, name
    plain = zoo.create_model("googlenet", input_shape=(*size, 3), classifier_activation=None)
    plain.set_weights([weight for layer in plain.layers[1:] for weight in model.get_layer(layer.name).get_weights()])
    assert peer.relative(outputs.logits, plain(inputs, training=False)) < 1e-4
