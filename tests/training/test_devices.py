import json

import pytest
import tensorflow as tf

from zoo.training import devices


def test_one_device_is_the_default_strategy_or_a_named_one():
    assert devices.make_strategy("auto") is tf.distribute.get_strategy()
    assert devices.make_strategy(1) is tf.distribute.get_strategy()
    assert isinstance(devices.make_strategy(["CPU:0"]), tf.distribute.OneDeviceStrategy)
    assert devices.is_chief(devices.make_strategy(1))
    assert not devices.is_multi_worker(devices.make_strategy(1))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (0, "devices must be at least 1. Received: devices=0"),
        ("GPU:0", 'devices must be "auto", a number or a list of names'),
        ([], 'devices must be "auto", a number or a list of names'),
        (["GPU:7"], "There is no device GPU:7. Devices: CPU:0"),
        (["CPU:0", "cpu:0"], "A device is named twice"),
        (3, "only before TensorFlow's first operation"),
    ],
)
def test_illegal_devices_are_refused(choice, message):
    tf.zeros(())
    with pytest.raises(ValueError, match=message):
        devices.make_strategy(choice)


def test_workers_are_counted_from_the_environment(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert devices.num_workers() == 1
    cluster = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 0}}))
    assert devices.num_workers() == 3
    with pytest.raises(ValueError, match='uses all devices that it sees; leave devices at "auto"'):
        devices.make_strategy(2)
    for text in ("{", "[]", '{"cluster": 3}'):
        monkeypatch.setenv("TF_CONFIG", text)
        with pytest.raises(ValueError, match="TF_CONFIG must be JSON such as"):
            devices.num_workers()
