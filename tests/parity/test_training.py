"""Optimizers, schedules, losses and parameter groups against those of torch, torchvision's recipe and timm."""

import keras
import numpy as np
import pytest

import zoo
from zoo.training import (
    LAMB,
    LARS,
    Accuracy,
    BinaryCrossEntropy,
    CrossEntropy,
    NovoGrad,
    ParameterGroups,
    TorchSGD,
    Trainer,
    parameter_groups,
    with_groups,
)
from zoo.training.schedules import Cosine, Exponential, MultiStep, OneCycle, Polynomial, WarmUp

torch = pytest.importorskip("torch")

RATES = [0.1, 0.1, 0.03, 0.03, 0.01, 0.01]


@pytest.fixture
def timm(peer):
    peer.torchvision()  # so that timm can import it
    for part in ("loss", "optim", "scheduler"):
        pytest.importorskip(f"timm.{part}")
    return pytest.importorskip("timm")


class Falling(keras.optimizers.schedules.LearningRateSchedule):
    """The rates above, one a step."""

    def __call__(self, step):
        return keras.ops.take(keras.ops.convert_to_tensor(RATES, "float32"), keras.ops.cast(step, "int32"))

    def get_config(self):
        return {}


def both(ours, theirs, groups=({"weight_decay": 0.05}, {"weight_decay": 0.0}), clip=None):
    """Weights after six steps: of ours with the second parameter undecayed, and of torch's."""
    random = np.random.default_rng(0)
    start = [random.normal(size=(5, 4)).astype("float32"), random.normal(size=4).astype("float32")]
    gradients = [[random.normal(size=item.shape).astype("float32") for item in start] for _ in RATES]
    variables = [keras.Variable(item) for item in start]
    parameters = [torch.nn.Parameter(torch.from_numpy(item.copy())) for item in start]
    peer = theirs([{"params": [item], **group} for item, group in zip(parameters, groups, strict=True)])
    for rate, step in zip(RATES, gradients, strict=True):
        ours.apply([keras.ops.convert_to_tensor(item) for item in step], variables)
        for group in peer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = torch.from_numpy(gradient.copy())
        if clip:
            torch.nn.utils.clip_grad_norm_(parameters, clip)
        peer.step()
    return [item.numpy() for item in variables], [item.detach().numpy() for item in parameters]


def check(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-6)


FIRST_ONLY = ParameterGroups((1, 0), (1, 1))


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_of_torch_while_the_rate_falls(nesterov):
    ours = with_groups(
        TorchSGD(Falling(), momentum=0.9, nesterov=nesterov, weight_decay=0.05), FIRST_ONLY, coupled_decay=True
    )
    check(*both(ours, lambda groups: torch.optim.SGD(groups, lr=1, momentum=0.9, nesterov=nesterov)))


def test_sgd_of_keras_differs_from_that_of_torch_where_the_rate_falls():
    ours = with_groups(keras.optimizers.SGD(Falling(), momentum=0.9, weight_decay=0.05), FIRST_ONLY, coupled_decay=True)
    found, expected = both(ours, lambda groups: torch.optim.SGD(groups, lr=1, momentum=0.9))
    assert np.abs(found[0] - expected[0]).max() > 0.05


def test_adamw_without_decay_on_norms_and_biases():
    ours = with_groups(keras.optimizers.AdamW(Falling(), weight_decay=0.05, epsilon=1e-8), FIRST_ONLY)
    check(*both(ours, lambda groups: torch.optim.AdamW(groups, lr=1)))


def test_rates_of_their_own():
    ours = with_groups(
        keras.optimizers.AdamW(Falling(), weight_decay=0.05, epsilon=1e-8), ParameterGroups((1, 0), (0.3, 1))
    )
    groups = ({"weight_decay": 0.05, "lr_scale": 0.3}, {"weight_decay": 0.0})
    check(*both(ours, lambda groups: torch.optim.AdamW(groups, lr=1), groups=groups))


def test_lamb_of_timm_with_its_clipping(timm):
    ours = with_groups(LAMB(Falling(), weight_decay=0.05, global_clipnorm=1.0), FIRST_ONLY)
    check(*both(ours, lambda groups: timm.optim.Lamb(groups, lr=1)))


def test_lamb_of_keras_decays_elsewhere(timm):
    ours = with_groups(keras.optimizers.Lamb(Falling(), weight_decay=0.05, global_clipnorm=1.0), FIRST_ONLY)
    found, expected = both(ours, lambda groups: timm.optim.Lamb(groups, lr=1))
    for ours, theirs in zip(found, expected, strict=True):  # the first for its decay, the second for its scaled steps
        assert np.abs(ours - theirs).max() > 1e-3


@pytest.mark.parametrize("nesterov", [False, True])
def test_lars_of_timm(timm, nesterov):
    ours = with_groups(LARS(Falling(), momentum=0.9, nesterov=nesterov, weight_decay=0.05), FIRST_ONLY)
    check(*both(ours, lambda groups: timm.optim.Lars(groups, lr=1, momentum=0.9, nesterov=nesterov)))


def test_novograd_of_timm(timm):
    ours = with_groups(NovoGrad(Falling(), beta_1=0.95, beta_2=0.5, weight_decay=0.05), FIRST_ONLY)
    check(*both(ours, lambda groups: timm.optim.NvNovoGrad(groups, lr=1, betas=(0.95, 0.5))))


def test_rmsprop_of_timm_is_tensorflows(timm):
    """But for the start: TensorFlow's mean squares began with 1, Keras's begin with 0."""

    class FromOne(keras.optimizers.RMSprop):
        def build(self, variables):
            if not self.built:
                super().build(variables)
                for velocity in self._velocities:
                    velocity.assign(np.ones(velocity.shape, "float32"))

    ours = with_groups(
        FromOne(Falling(), rho=0.9, momentum=0.9, epsilon=1.0, weight_decay=0.05), FIRST_ONLY, coupled_decay=True
    )
    check(*both(ours, lambda groups: timm.optim.RMSpropTF(groups, lr=1, alpha=0.9, eps=1.0, momentum=0.9)))


def rates(schedule, steps):
    return [float(schedule(step)) for step in steps]


def torch_rates(make, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_schedules_of_torch():
    lr = torch.optim.lr_scheduler
    pairs = [
        (Cosine(0.4, 20), lambda opt: lr.CosineAnnealingLR(opt, 20)),
        (MultiStep(0.4, [5, 12]), lambda opt: lr.MultiStepLR(opt, [5, 12])),
        (Exponential(0.4, decay=0.9), lambda opt: lr.ExponentialLR(opt, 0.9)),
        (Exponential(0.4, decay=0.1, period=7, staircase=True), lambda opt: lr.StepLR(opt, 7)),
        (Polynomial(0.4, 20, power=2.0), lambda opt: lr.PolynomialLR(opt, 20, power=2.0)),
    ]
    for ours, theirs in pairs:
        np.testing.assert_allclose(rates(ours, range(20)), torch_rates(theirs, 20), rtol=1e-4, atol=1e-7)
    # torch's peak is at step 0.3 * 21 - 1 of 21; ours at 0.265 of the 20 steps from the first to the last.
    found = rates(OneCycle(0.4, 20, rise=5.3 / 20), range(21))
    expected = torch_rates(lambda opt: lr.OneCycleLR(opt, 0.4, 21, cycle_momentum=False), 21)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


def test_warm_up_of_torchvision():
    lr = torch.optim.lr_scheduler

    def make(optimizer):
        line = lr.LinearLR(optimizer, start_factor=0.01, total_iters=5)
        return lr.SequentialLR(optimizer, [line, lr.CosineAnnealingLR(optimizer, 15)], milestones=[5])

    ours = WarmUp(Cosine(0.4, 15), 5, start=0.01, shift=True)
    np.testing.assert_allclose(rates(ours, range(20)), torch_rates(make, 20), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("shift", [False, True])
def test_warm_up_of_timm(timm, shift):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    peer = timm.scheduler.CosineLRScheduler(
        optimizer, t_initial=20, warmup_t=5, warmup_lr_init=0.04, warmup_prefix=shift
    )
    expected = []
    for epoch in range(25):
        peer.step(epoch)
        expected.append(optimizer.param_groups[0]["lr"])
    ours = WarmUp(Cosine(0.4, 20, steps_per_epoch=10, every="epoch"), 5, start=0.1, shift=shift)
    np.testing.assert_allclose(rates(ours, range(3, 250, 10)), expected, rtol=1e-4, atol=1e-7)


@pytest.fixture
def examples():
    random = np.random.default_rng(0)
    return random.normal(size=(8, 5)).astype("float32"), random.integers(0, 5, 8), random.dirichlet(np.ones(5), 8)


def test_cross_entropy_of_torch_and_timm(timm, examples):
    logits, labels, soft = examples
    loss = CrossEntropy(label_smoothing=0.1, from_logits=True)
    peer = torch.nn.CrossEntropyLoss(label_smoothing=0.1, reduction="none")
    logits_there, soft_there = torch.from_numpy(logits), torch.from_numpy(soft.astype("float32"))
    np.testing.assert_allclose(loss.call(labels, logits), peer(logits_there, torch.from_numpy(labels)), rtol=1e-5)
    np.testing.assert_allclose(loss.call(soft, logits), peer(logits_there, soft_there), rtol=1e-5)
    ours = float(np.mean(loss.call(labels, logits)))
    theirs = timm.loss.LabelSmoothingCrossEntropy(0.1)(logits_there, torch.from_numpy(labels))
    assert ours == pytest.approx(float(theirs), rel=1e-5)
    ours = float(np.mean(CrossEntropy(from_logits=True).call(soft, logits)))
    assert ours == pytest.approx(float(timm.loss.SoftTargetCrossEntropy()(logits_there, soft_there)), rel=1e-5)


def test_binary_cross_entropy_of_timm(timm, examples):
    logits, labels, soft = examples
    for smoothing, threshold in ((0.0, None), (0.1, None), (0.1, 0.2)):
        ours = BinaryCrossEntropy(label_smoothing=smoothing, target_threshold=threshold, from_logits=True)
        theirs = timm.loss.BinaryCrossEntropy(smoothing=smoothing, target_threshold=threshold)
        expected = theirs(torch.from_numpy(logits), torch.from_numpy(labels))
        assert float(np.mean(ours.call(labels, logits))) == pytest.approx(float(expected), rel=1e-5)
    theirs = timm.loss.BinaryCrossEntropy(smoothing=0.0, target_threshold=0.2)
    expected = theirs(torch.from_numpy(logits), torch.from_numpy(soft.astype("float32")))
    ours = BinaryCrossEntropy(target_threshold=0.2, from_logits=True)
    assert float(np.mean(ours.call(soft, logits))) == pytest.approx(float(expected), rel=1e-5)


def test_parameter_groups_of_timm(timm):
    """As many parameters at each rate, with and without decay, in a ResNet-18."""
    from timm.optim._param_groups import param_groups_layer_decay

    groups = param_groups_layer_decay(timm.create_model("resnet18"), weight_decay=0.05, layer_decay=0.75)
    expected = {}
    for group in groups:
        key = round(group["lr_scale"], 6), group["weight_decay"] > 0
        expected[key] = expected.get(key, 0) + sum(item.numel() for item in group["params"])
    model = zoo.create_model("resnet18")
    ours = parameter_groups(model, decay_on="kernels", layer_decay=0.75)
    found = {}
    for variable, decay, rate in zip(model.trainable_variables, ours.decay, ours.rate, strict=True):
        key = round(rate, 6), decay > 0
        found[key] = found.get(key, 0) + int(np.prod(variable.shape))
    assert found == expected


def test_a_training_of_torch_step_by_step(peer):
    """Smoothed labels, SGD with momentum and coupled decay on kernels alone, under the Trainer with its kernels."""
    random = np.random.default_rng(1)
    pictures, labels = random.normal(size=(48, 6, 6, 1)).astype("float32"), random.integers(0, 4, 48)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3), torch.nn.BatchNorm2d(8, momentum=0.01), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(128, 4),
    )  # fmt: skip
    layers = keras.layers
    model = keras.Sequential([
        keras.Input((6, 6, 1)), layers.Conv2D(8, 3), layers.BatchNormalization(epsilon=1e-5), layers.ReLU(),
        layers.Permute((3, 1, 2)), layers.Flatten(), layers.Dense(4, activation="softmax"),
    ])  # fmt: skip
    peer.from_torch(net, model)
    trainer = Trainer(
        model,
        optimizer=lambda model: with_groups(
            TorchSGD(0.05, momentum=0.9, weight_decay=0.01), parameter_groups(model, decay_on="kernels"),
            coupled_decay=True,
        ),
        loss=CrossEntropy(label_smoothing=0.1),
        metrics=[Accuracy()],
    )  # fmt: skip
    import tensorflow as tf

    trainer.fit(tf.data.Dataset.from_tensor_slices((pictures, labels)).batch(16), epochs=2)
    kernels = [item for item in net.parameters() if item.ndim > 1]
    rest = [item for item in net.parameters() if item.ndim <= 1]
    groups = [{"params": kernels, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.05, momentum=0.9)
    loss = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    net.train()
    for first in (0, 16, 32) * 2:
        optimizer.zero_grad()
        batch = torch.from_numpy(pictures[first : first + 16].transpose(0, 3, 1, 2).copy())
        loss(net(batch), torch.from_numpy(labels[first : first + 16])).backward()
        optimizer.step()
    np.testing.assert_allclose(model.layers[-1].kernel.numpy(), net[-1].weight.detach().numpy().T, atol=2e-5)
    np.testing.assert_allclose(
        model.layers[0].kernel.numpy(), net[0].weight.detach().numpy().transpose(2, 3, 1, 0), atol=2e-5
    )
