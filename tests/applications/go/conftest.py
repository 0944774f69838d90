"""Small untrained networks on a board of 5x5, which tests of players share."""

import keras
import pytest

import zoo
from applications.go.network import Network, ValueNetwork
from zoo.data.go import encoder


@pytest.fixture(scope="session")
def policy():
    keras.utils.set_random_seed(1)
    return Network(
        zoo.create_model("go_policy_128", input_shape=(5, 5, 4), filters=4, hidden_layers=1), encoder("simple")
    )


@pytest.fixture(scope="session")
def dual():
    keras.utils.set_random_seed(2)
    return Network(zoo.create_model("go_leela_6x128", input_shape=(5, 5, 18), filters=4, blocks=1), encoder("leela18"))


@pytest.fixture(scope="session")
def alphago():
    """AlphaGo's pair: a policy of 48 planes, and a value network of 49."""
    keras.utils.set_random_seed(3)
    arguments = {"filters": 4, "hidden_layers": 1}
    policy = zoo.create_model("go_policy_128", input_shape=(5, 5, 48), **arguments)
    value = zoo.create_model("go_value", input_shape=(5, 5, 49), hidden_units=4, **arguments)
    return Network(policy, encoder("alphago48")), ValueNetwork(value, encoder("alphago49"))
