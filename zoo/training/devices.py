"""Which devices a training uses: one, several of this machine, or those of several workers.

Several workers are described by the environment variable `TF_CONFIG`, as TensorFlow defines it; `zoo launch` sets it
for processes of one machine, Slurm and Kubernetes for machines of a cluster.
"""

import json
import os
from collections.abc import Sequence
from typing import TypeAlias

import tensorflow as tf

Devices: TypeAlias = str | int | Sequence[str]


def num_workers() -> int:
    """Number of processes that train together, from TF_CONFIG; 1 without it.

    Raises:
        ValueError: TF_CONFIG is no JSON of a cluster and a task.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return 1
    try:
        config = json.loads(text)
        cluster = config.get("cluster", {})
        return max(1, len(cluster.get("worker", [])) + len(cluster.get("chief", [])))
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            'TF_CONFIG must be JSON such as {"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", '
            f'"index": 0}}}}: {error}. Received: TF_CONFIG={text!r}'
        ) from None


def make_strategy(devices: Devices = "auto") -> tf.distribute.Strategy:
    """The distribution strategy for a choice of devices. Several workers must call it before any other operation.

    Args:
        devices: "auto" for all GPUs, or the processor where there is none; a number of devices: GPUs where there are
            so many, else logical devices of the processor, which is for tests; or a list of names such as "GPU:1".

    Returns:
        A strategy for one device, for several, or, where TF_CONFIG names more than one worker, for all of theirs.

    Raises:
        ValueError: There are not so many devices, no device has that name, or TF_CONFIG cannot be read.

    Example:
        >>> import zoo
        >>> zoo.training.make_strategy(1).num_replicas_in_sync
        1
    """
    if num_workers() > 1:
        if devices != "auto":
            raise ValueError(
                'Each of several workers uses all devices that it sees; leave devices at "auto". '
                f"Received: devices={devices!r}"
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    if devices == "auto":
        names = [device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices("GPU")]
        if not names:
            return tf.distribute.get_strategy()
    elif isinstance(devices, int):
        names = _first(devices)
        if names == ["CPU:0"]:
            return tf.distribute.get_strategy()  # the device that there is anyway; models made before are welcome
    elif isinstance(devices, str) or not devices:
        raise ValueError(f'devices must be "auto", a number or a list of names. Received: devices={devices!r}')
    else:
        names = _known(devices)
    if len(names) == 1:
        return tf.distribute.OneDeviceStrategy(names[0])
    on_cpu = any("CPU" in name.upper() for name in names)
    return tf.distribute.MirroredStrategy(names, tf.distribute.ReductionToOneDevice() if on_cpu else None)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes files."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.cluster_spec().as_dict():
        return True
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_type == "worker" and resolver.task_id == 0


def is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    """Whether other processes train together with this one."""
    return bool(getattr(strategy.extended, "_in_multi_worker_mode", lambda: False)())


def _first(count: int) -> list[str]:
    if count < 1:
        raise ValueError(f"devices must be at least 1. Received: devices={count}")
    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus) >= count:
        return [f"GPU:{index}" for index in range(count)]
    if gpus:
        raise ValueError(f"There are {len(gpus)} GPUs. Received: devices={count}")
    processor = tf.config.list_physical_devices("CPU")[0]
    if count > 1 and not tf.config.get_logical_device_configuration(processor):
        try:
            tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * count)
        except RuntimeError:
            raise ValueError(
                f"The processor can be split into {count} devices only before TensorFlow's first operation. Make the "
                f"strategy first. Received: devices={count}"
            ) from None
    there = len(tf.config.list_logical_devices("CPU"))
    if there < count:
        raise ValueError(f"There are {there} devices. Received: devices={count}")
    return [f"CPU:{index}" for index in range(count)]


def _known(devices: Sequence[str]) -> list[str]:
    known = [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices()]
    names = [str(name).removeprefix("/").removeprefix("device:").upper() for name in devices]
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"There is no device {', '.join(unknown)}. Devices: {', '.join(known)}.")
    if len(set(names)) < len(names):
        raise ValueError(f"A device is named twice. Received: devices={list(devices)!r}")
    return names
