"""ImageNet's classes against timm and torchvision."""

import pytest

from zoo.weights import imagenet_classes


def test_the_order_is_timms_and_the_names_are_torchvisions(peer):
    pytest.importorskip("torch", reason="the peers need torch")
    torchvision = peer.torchvision()
    data = pytest.importorskip("timm.data", reason="the peer is timm")
    info = data.ImageNetInfo("imagenet-1k")
    classes = imagenet_classes()
    assert [item.wnid for item in classes] == info.label_names()
    categories = torchvision.models.get_weight("ResNet50_Weights.IMAGENET1K_V2").meta["categories"]
    assert [item.name for item in classes] == categories
    # timm has all words of a synset; ours is the first of them, but for the two that torchvision tells apart.
    lemmas = [info.index_to_description(index).split(", ")[0] for index in range(len(classes))]
    other = [item.name for item, lemma in zip(classes, lemmas, strict=True) if item.name != lemma]
    assert other == ["crane bird", "maillot tank suit"]
