"""The report knows no Keras, so its tests need not pay for resetting it."""

import pytest


@pytest.fixture(autouse=True)
def fresh_keras():
    """Takes the place of the fixture of that name that all other tests start from."""
