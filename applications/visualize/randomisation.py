"""Does a map depend on what the network has learned? If not, it shows the picture, and not the network's reasons.

Adebayo et al., "Sanity Checks for Saliency Maps", 2018, https://arxiv.org/abs/1810.03292: weights are lost from the
output down to the input, and the map is compared with that of the whole network. Maps of guided backpropagation hardly
change: they are drawn by the picture's edges.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from applications.visualize.network import Call, Network

Method = Callable[[], np.ndarray]


def cascade(
    network: Network,
    methods: Mapping[str, Method],
    *,
    stages: int = 5,
    seed: int = 0,
    progress: Callable[[float], None] = lambda part: None,
) -> dict[str, list[float]]:
    """How alike maps stay while layer after layer is lost, the last one first.

    A layer is lost by shuffling the values of each of its variables, which keeps their size. The weights are put back.

    Args:
        network: The network.
        methods: What draws each map now; the network is shuffled between the calls.
        stages: How many times is compared, each with another part of the layers lost; at most one for each layer.
        seed: Of the shuffling.
        progress: Told the part that is done, 0 to 1.

    Returns:
        For each method the rank correlation of the magnitudes with those of the whole network, `stages + 1` numbers,
        from 1 for the whole network to that for one without any layer.
    """
    calls = _with_weights(network)
    groups = [part.tolist() for part in np.array_split(np.arange(len(calls)), min(stages, len(calls)))]
    whole = {name: draw() for name, draw in methods.items()}
    found = {name: [1.0] for name in methods}
    rng = np.random.default_rng(seed)
    with _restored(calls):
        for number, group in enumerate(groups, start=1):
            for place in group:
                for variable in calls[place].layer.weights:
                    _shuffle(variable, rng)
            for name, draw in methods.items():
                found[name].append(similarity(whole[name], draw()))
            progress(number / len(groups))
    return found


def similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Rank correlation of two maps' magnitudes, -1 to 1; 0 where one of them is the same everywhere."""
    first, second = (np.abs(map_).max(axis=-1) if map_.ndim == 3 else np.abs(map_) for map_ in (first, second))
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    value = float(spearmanr(first.ravel(), second.ravel()).statistic)
    return 0.0 if math.isnan(value) else value


def _with_weights(network: Network) -> list[Call]:
    """The first call of each layer that has floating-point weights, the last layer first."""
    layers: dict[int, Call] = {}
    for call in network.calls:
        if getattr(call.layer, "weights", None):
            layers.setdefault(id(call.layer), call)
    return list(layers.values())[::-1]


def _shuffle(variable: Any, rng: np.random.Generator) -> None:
    values = np.array(variable)
    variable.assign(rng.permutation(values.ravel()).reshape(values.shape))


@contextlib.contextmanager
def _restored(calls: Sequence[Call]) -> Iterator[None]:
    """The weights as they were, whatever happens in between."""
    own = [call.layer.get_weights() for call in calls]
    try:
        yield
    finally:
        for call, values in zip(calls, own, strict=True):
            call.layer.set_weights(values)
