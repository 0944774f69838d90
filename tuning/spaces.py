"""Search spaces: what a search may change of a network and of its training.

A space is a function of keras-tuner's hyper-parameters that gives settings of a training (`zoo.runs.Settings`): knobs
of the network under "knobs", another name of the family under "model", hyper-parameters by their names. It makes no
layers. Every default is the zoo's own, so that the first trial of a search is what is trained without one.

    space = tuning.spaces.space("resnet20", "all")
    space(keras_tuner.HyperParameters())   # {'model': 'resnet20', 'knobs': {...}, 'optimizer': 'adamw', ...}
"""

import difflib
import functools
import importlib
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_args

import zoo
from zoo.builder import builder
from zoo.models.text.kim_cnn import Activation
from zoo.training.hyperparameters import Hyperparameters, Normalization

Space = Callable[[Any], dict[str, Any]]

# The zoo's own, where a search starts unless it is told a recipe.
_START = Hyperparameters()
# A choice that is what the recipe says.
RECIPE = "recipe"
_SCHEDULES = ("plateau", "cosine", "one_cycle")

PARTS = ("model", "training", "all", "free")

# Optimizers of the course, as settings. Stochastic gradient descent stands there three times.
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "adamw": ("adamw", {}),
    "adam": ("adam", {}),
    "sgd": ("sgd", {"momentum": 0.0, "nesterov": False}),
    "momentum": ("sgd", {"momentum": 0.9, "nesterov": False}),
    "nesterov": ("sgd", {"momentum": 0.9, "nesterov": True}),
    "adagrad": ("adagrad", {}),
    "adadelta": ("adadelta", {}),
}
# Learning rates from, to, by default: the optimizers' steps differ in size.
_RATES: dict[tuple[str, ...], tuple[float, float, float]] = {
    ("adamw", "adam"): (3e-4, 1e-2, _START.learning_rate),
    ("sgd", "momentum", "nesterov"): (3e-3, 0.3, 0.03),
    ("adagrad",): (3e-3, 0.1, 0.03),
    ("adadelta",): (0.3, 3.0, 1.0),
}
# How many values of one hyper-parameter are tried to find what they open.
_MOST_BRANCHES = 16

# From no augmentation to a strong one.
AUGMENTATIONS = ("", "shift=1", "shift=2", "shift=1+cutout(2)", "trivialaugment", "shift=1+trivialaugment")
# Of the network itself, and those that the course names.
INITIALIZERS = ("own", "glorot_uniform", "he_normal", "truncated_normal")

# Networks that differ in depth (or, where the paper varies it so, in width), by the paper's tables.
DEPTHS: tuple[tuple[str, ...], ...] = (
    ("resnet20", "resnet32", "resnet44", "resnet56", "resnet110"),
    ("resnet18", "resnet34"),
    ("resnet50", "resnet101", "resnet152"),
    ("resnext50_32x4d", "resnext101_32x4d"),
    ("resnet18_v2", "resnet34_v2"),
    ("resnet50_v2", "resnet101_v2", "resnet152_v2"),
    ("wide_resnet40_1", "wide_resnet40_2", "wide_resnet40_4"),
    ("wide_resnet16_8", "wide_resnet22_8", "wide_resnet40_8"),
    ("wide_resnet16_10", "wide_resnet22_10", "wide_resnet28_10"),
    ("densenet40_k12", "densenet100_k12"),
    ("densenet121", "densenet169", "densenet201", "densenet264"),
    ("vgg11", "vgg13", "vgg16", "vgg19"),
    ("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
    ("squeezenet1_0", "squeezenet1_1"),
    ("mobilenet_v3_small", "mobilenet_v3_large"),
    ("inception_resnet_v1", "inception_resnet_v2"),
)


def space(model: str, part: str = "all", *, preprocessing: bool = True, start: Hyperparameters | None = None) -> Space:
    """The space of a registered model.

    Args:
        model: Registered name.
        part: "model": the network; "training": how it is trained; "all": both; "free": the layers of `plain_cnn`,
            with its training. Or "module:function", a space of yours that can be imported.
        preprocessing: Whether augmentation, mixup and normalisation of pictures are part of the training.
        start: What the defaults are, and what the ranges are made to hold; None for the zoo's defaults.

    Returns:
        The space.

    Raises:
        ValueError: There is no such model or part, or the function cannot be imported.

    Example:
        >>> import keras_tuner, tuning
        >>> settings = tuning.spaces.space("mobilenet", "model")(keras_tuner.HyperParameters())
        >>> settings["knobs"]["alpha"]
        1.0
    """
    card = zoo.model_card(model)
    if ":" in part:
        return _imported(part)
    if part not in PARTS:
        close = difflib.get_close_matches(part, PARTS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f'space must be {", ".join(map(repr, PARTS))} or "module:function".{hint} Received: space={part!r}'
        )
    side = {"image": training, "audio": hearing}.get(card.modality, optimisation) if preprocessing else optimisation
    trained = functools.partial(side, start=start or _START)
    if part == "training":
        return lambda hp: {"model": model, **trained(hp)}
    if part == "free" and card.name != "plain_cnn":
        raise ValueError(f"space='free' belongs to plain_cnn, whose layers are rows. Received: model={model!r}")
    if part == "model":
        return lambda hp: network(hp, model, start or _START)
    return lambda hp: {**network(hp, model, start or _START), **trained(hp)}


def network(hp: Any, model: str, start: Hyperparameters = _START) -> dict[str, Any]:
    """The network's side: depth, and what the papers of the family vary.

    Args:
        hp: keras-tuner's hyper-parameters.
        model: Registered name.
        start: What the knobs are by default, where it says so.

    Returns:
        Settings: "model" and "knobs".
    """
    card = zoo.model_card(model)
    depths = next((names for names in DEPTHS if model in names), (model,))
    name = hp.Choice("network", list(depths), default=model) if len(depths) > 1 else model
    parameters = inspect.signature(builder(model)).parameters
    knobs = {key: item.default for key, item in parameters.items() if item.kind is item.KEYWORD_ONLY}
    knobs |= {key: value for key, value in start.knobs.items() if key in knobs}
    found = (_simple_cnn if model == "simple_cnn" else _FAMILIES.get(card.family, _any_family))(hp, knobs)
    if "stem" in knobs:
        found["stem"] = hp.Choice("stem", ["imagenet", "cifar"], default=knobs["stem"])
    return {"model": name, "knobs": found}


def training(hp: Any, start: Hyperparameters = _START) -> dict[str, Any]:
    """The training side: `optimisation`, and augmentation, mixup, cutmix and normalisation of the pictures.

    Args:
        hp: keras-tuner's hyper-parameters.
        start: What the defaults are, such as those of a recipe.

    Returns:
        Settings.

    Example:
        >>> import keras_tuner, tuning
        >>> settings = tuning.spaces.training(keras_tuner.HyperParameters())
        >>> settings["optimizer"], settings["learning_rate"], settings["batch_size"]
        ('adamw', 0.003, 32)
    """
    settings = {
        **optimisation(hp, start),
        "augment": hp.Choice("augment", list(dict.fromkeys([*AUGMENTATIONS, start.augment])), default=start.augment),
        "mixup": _fraction(hp, "mixup", 0.4, start.mixup),
        "cutmix": hp.Choice("cutmix", _with([0.0, 1.0], start.cutmix), default=start.cutmix),
        "normalization": hp.Choice("normalization", list(get_args(Normalization)), default=start.normalization),
    }
    with hp.conditional_scope("cutmix", _with([1.0], start.cutmix or 1.0)):
        probabilities = _with([0.25, 0.5, 0.75, 1.0], start.mix_probability)
        mixed = hp.Choice("mix_probability", probabilities, default=start.mix_probability)
        if settings["cutmix"]:
            settings["mix_probability"] = mixed
    return settings


def optimisation(hp: Any, start: Hyperparameters = _START) -> dict[str, Any]:
    """Optimizer, rate, schedule, batch size, regularisation, averaging, initialiser.

    Args:
        hp: keras-tuner's hyper-parameters.
        start: What the defaults are. An optimizer or a schedule that is none of the space's is one more choice,
            "recipe", whose options stay as they are.

    Returns:
        Settings.
    """
    own = _optimizer_of(start)
    chosen = hp.Choice("optimizer", list(dict.fromkeys([*OPTIMIZERS, own])), default=own)
    optimizer, options = OPTIMIZERS.get(chosen, (start.optimizer, dict(start.optimizer_options)))
    settings: dict[str, Any] = {"optimizer": optimizer, "optimizer_options": options, "schedule_options": {}}
    rates = dict(_RATES)
    if own == RECIPE:
        rates[(RECIPE,)] = (start.learning_rate / 10, 10 * start.learning_rate, start.learning_rate)
    for group, (low, high, default) in rates.items():
        default = start.learning_rate if own in group else default
        with hp.conditional_scope("optimizer", list(group)):
            rate = hp.Float(f"learning_rate_{group[-1]}", *_around(low, high, default), sampling="log", default=default)
            if chosen in group:
                settings["learning_rate"] = rate
    settings |= _schedule(hp, start)
    settings["batch_size"] = hp.Choice("batch_size", _with([16, 32, 64, 128], start.batch_size),
                                       default=start.batch_size)  # fmt: skip
    decays = {"weight_decay": (1e-3, 0.3, _START.weight_decay), "l2": (1e-6, 1e-3, 1e-4)}
    for name, (low, high, default) in decays.items():
        users = [item for item in OPTIMIZERS if (item == "adamw") == (name == "weight_decay")]
        default = start.weight_decay if own in users else default
        with hp.conditional_scope("optimizer", users):
            decay = hp.Float(name, *_around(low, high, default), sampling="log", default=default)
            if chosen in users:
                settings["weight_decay"] = decay
    settings["coupled_decay"] = start.coupled_decay if chosen == RECIPE else chosen != "adamw"
    settings["decay_on"] = hp.Choice("decay_on", ["all", "not_norms", "kernels"], default=start.decay_on)
    settings["label_smoothing"] = _fraction(hp, "label_smoothing", 0.2, start.label_smoothing, step=0.05)
    settings["average"] = hp.Choice("average", _with([0.0, 0.9, 0.98, 0.99], start.average), default=start.average)
    initializers = list(dict.fromkeys([*INITIALIZERS, start.initializer]))
    settings["initializer"] = hp.Choice("initializer", initializers, default=start.initializer)
    return settings


def _optimizer_of(start: Hyperparameters) -> str:
    """The name of an optimizer in `OPTIMIZERS`, with its kind of decay; `RECIPE` where none is the same."""
    options = dict(start.optimizer_options)
    if start.optimizer == "sgd":
        options = {"momentum": 0.0, "nesterov": False, **options}
    for name, (optimizer, others) in OPTIMIZERS.items():
        same = (optimizer, others, name != "adamw") == (start.optimizer, options, start.coupled_decay)
        if same and start.weight_decay:
            return name
    return RECIPE


def _schedule(hp: Any, start: Hyperparameters) -> dict[str, Any]:
    """Of the learning rate, with the warm-up of a cosine."""
    own: str = "plateau" if start.schedule == "constant" else start.schedule
    if own not in _SCHEDULES or start.schedule_options or (start.warmup_epochs and own != "cosine"):
        own = RECIPE
    schedule = hp.Choice("schedule", list(dict.fromkeys([*_SCHEDULES, own])), default=own)
    warm_up = start.warmup_epochs if own == "cosine" else 0.0
    with hp.conditional_scope("schedule", ["cosine"]):
        chosen = hp.Choice("warmup_epochs", _with([0.0, 0.5, 1.0, 2.0], warm_up), default=warm_up)
    if schedule == RECIPE:
        return {"schedule": start.schedule, "schedule_options": dict(start.schedule_options)}
    settings: dict[str, Any] = {"schedule": "constant" if schedule == "plateau" else schedule}
    if schedule == "cosine":
        settings["warmup_epochs"] = chosen
    elif start.warmup_epochs:
        settings["warmup_epochs"] = 0.0
    return settings


def _around(low: float, high: float, default: float) -> tuple[float, float]:
    """A range that holds the default."""
    return min(low, default), max(high, default)


# What the papers of each family vary. A function takes the hyper-parameters and the model's knobs with their defaults.


def _alexnet(hp: Any, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Sections 3.3 to 3.5 of 2012: normalisation, two towers; section 4.2, dropout."""
    return {
        "variant": hp.Choice("variant", ["published", "paper"], default=knobs["variant"]),
        "hidden_units": hp.Choice("hidden_units", [64, 256, 1024, 4096], default=knobs["hidden_units"]),
        "dropout": _fraction(hp, "dropout", 0.8, knobs["dropout"]),
    }


def _densenet(hp: Any, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Table 2 of 2016, growth rate and compression; dropout behind each convolution."""
    return {
        "growth_rate": hp.Choice("growth_rate", _with([8, 12, 16, 24, 32, 48], knobs["growth_rate"]),
                                 default=knobs["growth_rate"]),
        "compression": hp.Choice("compression", [0.3, 0.5, 0.7, 1.0], default=knobs["compression"]),
        "drop_rate": _fraction(hp, "drop_rate", 0.5, knobs["drop_rate"]),
        "dropout": _fraction(hp, "dropout", 0.6, knobs["dropout"]),
    }  # fmt: skip


def _googlenet(hp: Any, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """The paper's form or that of the published weights, and dropout, which that form has a default of."""
    found: dict[str, Any] = {"variant": hp.Choice("variant", ["published", "paper"], default=knobs["variant"])}
    if hp.Choice("own_dropout", ["variant", "searched"], default="variant") == "searched":
        found["dropout"] = None
    with hp.conditional_scope("own_dropout", ["searched"]):
        dropout = hp.Float("dropout", 0.0, 0.8, step=0.1, default=0.4)
        if "dropout" in found:
            found["dropout"] = dropout
    return found


def _inception(hp: Any, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Dropout before the classifier; where there are two, the paper's form or that of the published weights."""
    found: dict[str, Any] = {"dropout": _fraction(hp, "dropout", 0.8, knobs["dropout"])}
    if "variant" in knobs:
        found["variant"] = hp.Choice("variant", ["published", "paper"], default=knobs["variant"])
    return found


def _inception_resnet(hp: Any, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Section 3.3 of 2016, scaling of the residuals; stochastic depth."""
    scale = hp.Choice("residual_scale", [0.5, 1.0, 2.0, 5.0], default=1.0)
    return {
        "residual_scales": tuple(own * scale for own in knobs["residual_scales"]),
        "drop_path": _fraction(hp, "drop_path", 0.4, knobs["drop_path"]),
        "dropout": _fraction(hp, "dropout", 0.8, knobs["dropout"]),
    }


def _lenet5(hp: Any, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """The network of 1998 or its usual form."""
    return {"variant": hp.Choice("variant", ["paper", "modern"], default=knobs["variant"])}


def _simple_cnn(hp: Any, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """The course's questions: how many filters, how wide a hidden layer, how much dropout."""
    first, second = knobs["filters"]
    return {
        "filters": (
            hp.Choice("filters1", _with([8, 16, 32, 64], first), default=first),
            hp.Choice("filters2", _with([16, 32, 64, 128], second), default=second),
        ),
        "hidden_units": hp.Choice("hidden_units", [25, 50, 100, 200, 400], default=knobs["hidden_units"]),
        "dropout": _fraction(hp, "dropout", 0.6, knobs["dropout"]),
    }


def _mobilenet(hp: Any, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """The width multiplier."""
    found: dict[str, Any] = {
        "alpha": hp.Choice("alpha", _with([0.25, 0.35, 0.5, 0.75, 1.0, 1.4], knobs["alpha"]), default=knobs["alpha"]),
        "dropout": _fraction(hp, "dropout", 0.6, knobs["dropout"]),
    }
    if "drop_path" in knobs:
        found["drop_path"] = _fraction(hp, "drop_path", 0.4, knobs["drop_path"])
    return found


def _plain_cnn(hp: Any, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """How many layers, of what kind, in what order; how the head begins, how many hidden layers it has."""
    rows, most = [tuple(row) for row in knobs["rows"]], 8
    depth = hp.Int("num_layers", 2, most, default=len(rows))
    found = []
    kinds = ["conv", "strided_conv", "max_pool", "average_pool", "batch_norm"]
    for place in range(most):
        kind, *values = rows[place] if place < len(rows) else ("conv", 64, 3)
        filters, size = values or (32, 3)
        name = f"layer{place + 1}"
        deep_enough = list(range(max(place + 1, 2), most + 1))
        with hp.conditional_scope("num_layers", deep_enough):
            chosen = hp.Choice(name, kinds, default=kind)
            with hp.conditional_scope(name, kinds[:2]):
                filters = hp.Choice(f"{name}_filters", [8, 16, 32, 64, 128], default=filters)
                size = hp.Choice(f"{name}_kernel_size", [1, 3, 5, 7], default=size)
        if place < depth:
            found.append((chosen, filters, size) if chosen in kinds[:2] else (chosen,))
    hidden = knobs["hidden_layers"]
    num_hidden = hp.Int("num_hidden", 0, 2, default=len(hidden))
    units = []
    for place in range(2):
        default = hidden[place] if place < len(hidden) else hidden[-1]
        with hp.conditional_scope("num_hidden", list(range(place + 1, 3))):
            units.append(hp.Choice(f"hidden{place + 1}_units", [32, 64, 128, 256], default=default))
    return {
        "rows": tuple(found),
        "activation": hp.Choice("activation", ["relu", "elu", "gelu", "silu", "tanh", "sigmoid"],
                                default=knobs["activation"]),
        "pool": hp.Boolean("pool", default=knobs["pool"]),
        "hidden_layers": tuple(units[:num_hidden]),
        "dropout": _fraction(hp, "dropout", 0.6, knobs["dropout"]),
    }  # fmt: skip


def _resnet(hp: Any, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Options A and B for shortcuts (2015, table 3); stochastic depth (2016); dropout within blocks (wide, 2016)."""
    found: dict[str, Any] = {
        "drop_path": _fraction(hp, "drop_path", 0.4, knobs["drop_path"]),
        "dropout": _fraction(hp, "dropout", 0.6, knobs["dropout"]),
    }
    if "shortcut" in knobs:
        found["shortcut"] = hp.Choice("shortcut", ["projection", "zero_padding"], default=knobs["shortcut"])
    if "block_dropout" in knobs:
        found["block_dropout"] = _fraction(hp, "block_dropout", 0.4, knobs["block_dropout"])
    return found


def _squeezenet(hp: Any, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Section 6 of 2016: bypass connections."""
    bypass = hp.Choice("bypass", ["none", "simple", "complex"], default=knobs["bypass"] or "none")
    return {
        "bypass": None if bypass == "none" else bypass,
        "dropout": _fraction(hp, "dropout", 0.6, knobs["dropout"]),
    }


def _vgg(hp: Any, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """The dense head, most of the network's weights."""
    return {
        "hidden_units": hp.Choice("hidden_units", [64, 256, 1024, 4096], default=knobs["hidden_units"]),
        "head_size": hp.Choice("head_size", [1, 2, 3, 7], default=knobs["head_size"]),
        "dropout": _fraction(hp, "dropout", 0.6, knobs["dropout"]),
    }


# Regions of Zhang and Wallace's table 4 to 6, single ones and several of nearby sizes. keras-tuner has no tuples.
_REGIONS = ("3", "5", "7", "10", "15", "2 3 4", "3 4 5", "4 5 6", "5 6 7", "7 8 9", "3 4 5 6")


def _kim_cnn(hp: Any, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Zhang and Wallace, 2015: region sizes, feature maps, activation, dropout, and the norm of the last weights."""
    regions = hp.Choice("widths", list(_REGIONS), default=" ".join(map(str, knobs["widths"])))
    return {
        "widths": tuple(map(int, regions.split())),
        "filters": hp.Choice("filters", _with([10, 50, 100, 200, 400, 600], knobs["filters"]),
                             default=knobs["filters"]),
        "activation": hp.Choice("activation", list(get_args(Activation)), default=knobs["activation"]),
        "dropout": _fraction(hp, "dropout", 0.9, knobs["dropout"]),
        "max_norm": hp.Choice("max_norm", [0.0, 1.0, 3.0, 5.0, 10.0], default=knobs["max_norm"]),
    }  # fmt: skip


def _any_family(hp: Any, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Of a family whose papers vary nothing that a knob names: dropout, where there is some."""
    if not isinstance(knobs.get("dropout"), float):
        return {}
    return {"dropout": _fraction(hp, "dropout", 0.6, knobs["dropout"])}


_FAMILIES: dict[str, Callable[[Any, Mapping[str, Any]], dict[str, Any]]] = {
    "alexnet": _alexnet,
    "densenet": _densenet,
    "googlenet": _googlenet,
    "inception_resnet": _inception_resnet,
    "inception_v2": _inception,
    "inception_v3": _inception,
    "inception_v4": _inception,
    "kim_cnn": _kim_cnn,
    "lenet": _lenet5,
    "mobilenet": _mobilenet,
    "mobilenet_v2": _mobilenet,
    "mobilenet_v3": _mobilenet,
    "plain_cnn": _plain_cnn,
    "resnet": _resnet,
    "resnet_v2": _resnet,
    "squeezenet": _squeezenet,
    "vgg": _vgg,
}


def _fraction(hp: Any, name: str, highest: float, default: float, step: float = 0.1) -> float:
    """From 0 in steps; keras-tuner's sums of steps are rounded to what one would write."""
    return round(hp.Float(name, 0.0, max(highest, default), step=step, default=default), 10)


def _with(values: Sequence[Any], default: Any) -> list[Any]:
    return sorted({*values, type(values[0])(default)})


def _imported(text: str) -> Space:
    module, _, name = text.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f'space="module:function" must be importable: {error}. Received: space={text!r}') from None
    if not callable(found):
        raise ValueError(f"A space is a function of keras-tuner's hyper-parameters. Received: {text!r}, {found!r}")
    return found


def declared(space: Space) -> Any:
    """All hyper-parameters of a space, also those that only some choices open.

    Args:
        space: The space. It may name hyper-parameters in conditional scopes, whether it then uses them or not.

    Returns:
        `keras_tuner.HyperParameters` with the default values.

    Raises:
        ValueError: The space is no function of hyper-parameters, or changes nothing.
    """
    import keras_tuner

    known = keras_tuner.HyperParameters()
    space(known)
    # A branch that is not taken by default may name more: take each branch once.
    for item in list(known.space):
        if isinstance(item, keras_tuner.engine.hyperparameters.Float):
            continue
        for value in itertools.islice(item.values, _MOST_BRANCHES):
            other = keras_tuner.HyperParameters()
            other.values = {**known.values, item.name: value}
            space(other)
            new = [hp for hp in other.space if not known._exists(hp.name, hp.conditions)]
            known.merge(new)
    if not known.space:
        raise ValueError("The space has no hyper-parameters. Name some, such as hp.Choice('batch_size', [16, 32]).")
    return known


def grid(declared_space: Any) -> Iterator[dict[str, Any]]:
    """All combinations of a space's values, inactive hyper-parameters left out, the last one changing fastest.

    A range without steps is taken at ten values from one end to the other.
    """
    return _combinations(list(declared_space.space), {})


def _combinations(items: Sequence[Any], values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if not items:
        yield dict(values)
        return
    first, *rest = items
    if first.name in values or not all(condition.is_active(values) for condition in first.conditions):
        yield from _combinations(rest, values)
        return
    for value in dict.fromkeys(first.values):
        yield from _combinations(rest, {**values, first.name: value})


# Networks for sound, text and signals.

# From no augmentation of sound to a strong one.
SOUND_AUGMENTATIONS = (
    "",
    "timeshift(0.1)",
    "timeshift(0.1)+noise(0, 40)",
    "timeshift(0.1)+noise(0, 40)+specaugment",
    "timeshift(0.1)+speed(0.2)+noise(0, 40)+specaugment",
)

DEPTHS += (
    ("ds_cnn_s", "ds_cnn_m", "ds_cnn_l"),
    ("bc_resnet_1", "bc_resnet_1_5", "bc_resnet_2", "bc_resnet_3", "bc_resnet_6", "bc_resnet_8"),
    ("res8", "res15", "res26"),
    ("res8_narrow", "res15_narrow", "res26_narrow"),
    ("matchboxnet_3x1x64", "matchboxnet_3x2x64"),
    ("cnn_trad_fpool3", "cnn_one_fpool3", "cnn_one_fstride4"),
    ("vdcnn9", "vdcnn17", "vdcnn29", "vdcnn49"),
    ("char_cnn_small", "char_cnn_large"),
)


def hearing(hp: Any, start: Hyperparameters = _START) -> dict[str, Any]:
    """The training side of networks for sound: `optimisation`, and augmentation of the clips.

    Args:
        hp: keras-tuner's hyper-parameters.
        start: As for `optimisation`.

    Returns:
        Settings.
    """
    default = "" if start is _START else start.augment  # the zoo's own is for pictures
    choices = list(dict.fromkeys([*SOUND_AUGMENTATIONS, default]))
    return {**optimisation(hp, start), "augment": hp.Choice("augment", choices, default=default)}


def _hidden_units(hp: Any, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """The dense head, most of the weights of these networks."""
    default = knobs["hidden_units"]
    return {"hidden_units": hp.Choice("hidden_units", _with([32, 128, 512, 1024], default), default=default)}


def _vdcnn(hp: Any, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Section 4.5 of 2017, shortcuts; the dense head."""
    return {"shortcut": hp.Boolean("shortcut", default=knobs["shortcut"]), **_hidden_units(hp, knobs)}


def _dpcnn(hp: Any, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Section 3 of 2017: depth and width; dropout before the classifier."""
    return {
        "dimensions": hp.Choice("dimensions", _with([50, 100, 300], knobs["dimensions"]), default=knobs["dimensions"]),
        "filters": hp.Choice("filters", _with([50, 100, 250], knobs["filters"]), default=knobs["filters"]),
        "blocks": hp.Int("blocks", 1, 7, default=knobs["blocks"]),
        "dropout": _fraction(hp, "dropout", 0.6, knobs["dropout"]),
    }


def _squeezenet_1d(hp: Any, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Width against the paper's, section 6's simple bypass, dropout before the classifier."""
    bypass = hp.Choice("bypass", ["none", "simple"], default=knobs["bypass"] or "none")
    return {
        "width": hp.Choice("width", _with([0.125, 0.25, 0.5, 1.0], knobs["width"]), default=knobs["width"]),
        "bypass": None if bypass == "none" else bypass,
        "dropout": _fraction(hp, "dropout", 0.6, knobs["dropout"]),
    }


def _inception_time(hp: Any, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Section 5 of 2020: depth, filters, bottleneck."""
    return {
        "depth": hp.Choice("depth", [3, 6, 9], default=knobs["depth"]),
        "filters": hp.Choice("filters", _with([16, 32, 64], knobs["filters"]), default=knobs["filters"]),
        "bottleneck": hp.Choice("bottleneck", _with([16, 32, 64], knobs["bottleneck"]), default=knobs["bottleneck"]),
        "dropout": _fraction(hp, "dropout", 0.6, knobs["dropout"]),
    }


_FAMILIES |= {
    "abdel_hamid": _hidden_units,
    "densenet_1d": _densenet,
    "dpcnn": _dpcnn,
    "inception_time": _inception_time,
    "squeezenet_1d": _squeezenet_1d,
    "trad_fpool": _hidden_units,
    "vdcnn": _vdcnn,
}
