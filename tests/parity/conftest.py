"""How networks of other zoos are filled with random values and carried over; no weights are downloaded."""

import keras
import numpy as np
import pytest

WEIGHTED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense, keras.layers.BatchNormalization)


class Peer:
    """Carries weights over to a network of ours and compares what both say."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)

    @staticmethod
    def torchvision():
        """The package; where its compiled operators are missing, their names are declared so that it imports."""
        import torch

        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            if not hasattr(torch.ops.torchvision, name):
                library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision

        return torchvision

    def randomise_torch(self, net):
        """Random parameters that keep the scale of the activations, and random batch-norm statistics."""
        import torch

        for module in net.modules():
            for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
                if tensor.is_floating_point():
                    values = self._values(name, tuple(tensor.shape), int(np.prod(tensor.shape[1:])))
                    tensor.data.copy_(torch.from_numpy(values))
        return net.eval()

    def randomise_keras(self, model):
        for layer in model.layers:
            for variable in layer.weights:
                depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
                fan_in = np.prod(variable.shape[:2] if depthwise else variable.shape[:-1])
                variable.assign(self._values(variable.name, tuple(variable.shape), fan_in))
        return model

    def _values(self, name, shape, fan_in):
        if "var" in name or name == "gamma" or (name == "weight" and len(shape) == 1):
            return self.rng.uniform(0.5, 1.5, shape).astype("float32")
        scale = np.sqrt(2 / fan_in) if len(shape) > 1 else 0.1
        return (scale * self.rng.normal(size=shape)).astype("float32")

    @classmethod
    def from_torch(cls, net, model, modules=None, layers=None):
        """Carry over one weighted layer after the other, in the order that the modules are declared in."""
        import torch

        kinds = (torch.nn.Conv2d, torch.nn.Linear, torch.nn.BatchNorm2d)
        modules = modules or [module for module in net.modules() if isinstance(module, kinds)]
        layers = layers or [layer for layer in model.layers if isinstance(layer, WEIGHTED)]
        assert len(modules) == len(layers)
        for module, layer in zip(modules, layers, strict=True):
            weight = module.weight.detach().numpy()
            if isinstance(module, torch.nn.Conv2d):
                weight = weight.transpose((2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D)
                                          else (2, 3, 1, 0))  # fmt: skip
            values = [weight.T if isinstance(module, torch.nn.Linear) else weight]
            if module.bias is not None:
                values.append(module.bias.detach().numpy())
            if isinstance(module, torch.nn.BatchNorm2d):
                assert module.eps == layer.epsilon
                values += [module.running_mean.numpy(), module.running_var.numpy()]
            layer.set_weights(values)
        return model

    def executed(self, net, size):
        """The weighted modules of a torch network in the order that they run in."""
        import torch

        kinds = (torch.nn.Conv2d, torch.nn.Linear, torch.nn.BatchNorm2d)
        order = []
        hooks = [module.register_forward_pre_hook(lambda module, _: order.append(module)) for module in net.modules()
                 if isinstance(module, kinds)]  # fmt: skip
        with torch.no_grad():
            net(torch.from_numpy(self.pictures(size).transpose(0, 3, 1, 2).copy()))
        for hook in hooks:
            hook.remove()
        return order

    @staticmethod
    def by_branches(model, last_first=False):
        """The weighted layers of a Keras model, each branch whole and in the order that the branches are joined in.

        Args:
            model: A functional model.
            last_first: Whether of two branches that are added the second comes first.
        """
        order, seen = [], set()
        pending = [(node.operation, False) for node in model._nodes_by_depth[0]]
        while pending:
            layer, is_done = pending.pop()
            if is_done:
                order.append(layer)
            elif layer.name not in seen:
                seen.add(layer.name)
                sources = [tensor._keras_history.operation for tensor in layer._inbound_nodes[0].input_tensors]
                if last_first and isinstance(layer, keras.layers.Add):
                    sources.reverse()
                pending += [(layer, True), *[(source, False) for source in reversed(sources)]]
        return [layer for layer in order if layer.weights]

    @classmethod
    def from_keras(cls, peer, model, is_branched=False):
        """Carry over one weighted layer after the other; where epsilons differ, the variance makes up for it.

        A batch norm of theirs without a scale is one of ours with a scale of 1.
        """
        if is_branched:
            theirs, ours = cls.by_branches(peer), cls.by_branches(model)
        else:
            theirs = [layer for layer in peer.layers if layer.weights]
            ours = [layer for layer in model.layers if layer.weights]
        assert len(theirs) == len(ours)
        for source, target in zip(theirs, ours, strict=True):
            values = source.get_weights()
            if isinstance(source, keras.layers.BatchNormalization):
                values[-1] = values[-1] + np.float32(source.epsilon - target.epsilon)
                if not source.scale:
                    values.insert(0, np.ones_like(values[-1]))
            values = [value.reshape(weight.shape) for value, weight in zip(values, target.weights, strict=True)]
            target.set_weights(values)
        return model

    def pictures(self, size):
        return self.rng.uniform(-1, 1, (1, *size, 3)).astype("float32")

    def torch_difference(self, net, model, size):
        """Largest difference of the outputs, relative to their scale."""
        import torch

        inputs = self.pictures(size)
        with torch.no_grad():
            expected = net(torch.from_numpy(inputs.transpose(0, 3, 1, 2).copy())).numpy()
        return self.relative(expected, model(inputs, training=False))

    def keras_difference(self, peer, model, size):
        inputs = self.pictures(size)
        return self.relative(peer(inputs, training=False), model(inputs, training=False))

    @staticmethod
    def relative(expected, actual):
        """Largest difference of two outputs, relative to their scale."""
        expected, actual = np.asarray(expected), np.asarray(actual)
        assert expected.shape == actual.shape
        difference = np.abs(expected - actual).max() / np.abs(expected).max()
        print(f"relative difference {difference:.1e}")
        return difference


@pytest.fixture
def peer():
    return Peer()


@pytest.fixture
def channels_last_dense():
    """A function that gives a network's weighted modules, its first dense one for features with channels last.

    PyTorch flattens channels, rows, columns, Keras rows, columns, channels.
    """
    import torch

    def modules(net, dense, size):
        kinds = (torch.nn.Conv2d, torch.nn.Linear, torch.nn.BatchNorm2d)
        turned = torch.nn.Linear(dense.in_features, dense.out_features)
        weight = dense.weight.data.reshape(dense.out_features, -1, size, size)
        turned.weight.data = weight.permute(0, 2, 3, 1).reshape(dense.out_features, -1)
        turned.bias.data = dense.bias.data
        return [turned if module is dense else module for module in net.modules() if isinstance(module, kinds)]

    return modules
