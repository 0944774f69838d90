import pytest
import tensorflow as tf

from zoo.data import (
    Augmentation,
    AutoAugment,
    ColorJitter,
    Cutout,
    DataError,
    Flip,
    Lighting,
    RandAugment,
    RandomErasing,
    RandomResizedCrop,
    Shift,
    TrivialAugment,
)

WRITTEN = {
    "": Augmentation(),
    "flip": Augmentation(flip=True),
    "shift(3)+flip": Augmentation(flip=True, shift=3),
    "crop+flip+trivialaugment+erase(0.1)": Augmentation(
        RandomResizedCrop(), Flip(), TrivialAugment(), RandomErasing(0.1)
    ),
    "crop(scale=(0.5, 1.0), ratio=(1.0, 1.0))+randaugment(n=3, m=4.5, interpolation=bilinear)": Augmentation(
        RandomResizedCrop((0.5, 1.0), (1.0, 1.0)), RandAugment(n=3, m=4.5, interpolation="bilinear")
    ),
    "autoaugment(svhn)+jitter(brightness=0.4, hue=0.1)+lighting+cutout(8)": Augmentation(
        AutoAugment("svhn"), ColorJitter(brightness=0.4, hue=0.1), Lighting(), Cutout(8)
    ),
    "randaugment(m=7, mstd=0.5, p=0.5, space=timm)": Augmentation(RandAugment(m=7, mstd=0.5, p=0.5, space="timm")),
}


@pytest.mark.parametrize(("text", "augmentation"), WRITTEN.items())
def test_text_and_steps_are_the_same(text, augmentation):
    assert str(augmentation) == text
    assert Augmentation.parse(text) == augmentation
    assert hash(Augmentation.parse(text)) == hash(augmentation)


@pytest.mark.parametrize(
    ("text", "augmentation"),
    [
        (" shift=3 , flip ", Augmentation(flip=True, shift=3)),
        ("flip,shift=2", Augmentation(Flip(), Shift(2))),
        ("erase(p=0.5, ratio=(3/10, 10/3))", Augmentation(RandomErasing(0.5, ratio=(0.3, 10 / 3)))),
        ('autoaugment("cifar10")', Augmentation(AutoAugment("cifar10"))),
    ],
)
def test_other_ways_to_write(text, augmentation):
    assert Augmentation.parse(text) == augmentation


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flop", r"Augmentations are flip, shift, .*Received: 'flop'. Did you mean flip\?"),
        ("flip=1", "Augmentations are flip, .*Received: 'flip=1'.$"),
        ("shift=-1", "Received: 'shift=-1'"),
        ("shift=²", "Received: 'shift=²'"),
        ("shift", r"shift takes pixels. Received: 'shift'"),
        ("flip(1, 2)", r"flip takes p. Received: 'flip\(1, 2\)'"),
        ("erase(0.1, p=0.2)", r"erase takes p, scale, ratio, fill. Received: 'erase\(0.1, p=0.2\)'"),
        ("randaugment(k=2)", r"randaugment takes n, m, mstd, p, space, interpolation. Received"),
        ("erase(open('x'))", r"The arguments of a step are numbers, pairs of numbers and words. Received"),
        ("erase(1/0)", r"erase: p must be from 0 to 1. Received: p=nan"),
        ("flip(", r"Augmentations are .*Received: 'flip\('"),
        ("flip+crop", "A crop is made when a picture is read, so it comes once and first. Received: "),
        ("crop+crop", "A crop is made when a picture is read, so it comes once and first. Received: "),
    ],
)
def test_wrong_text_is_refused(text, message):
    with pytest.raises(DataError, match=message):
        Augmentation.parse(text)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Augmentation("flip"), "An augmentation is made of the steps Flip, Shift, .*Received: 'flip'"),
        (lambda: Augmentation(shift=-1), "shift must be at least 0 pixels. Received: shift=-1"),
        (lambda: Flip(1.5), "flip: p must be from 0 to 1. Received: p=1.5"),
        (lambda: RandomResizedCrop((0, 1)), r"crop: scale must be two rising numbers above 0 and at most 1. Received"),
        (lambda: RandomResizedCrop(ratio=(2, 1)), r"crop: ratio must be two rising numbers above 0. Received: ratio"),
        (lambda: RandomErasing(fill="red"), r'erase: fill must be "mean", "noise" or "black". Received: fill=\'red\''),
        (lambda: Cutout(0), r"cutout must be at least 1 pixel. Received: cutout\(0\)"),
        (lambda: ColorJitter(hue=0.6), "jitter: hue must be from 0 to 0.5. Received: hue=0.6"),
        (lambda: ColorJitter(contrast=-1), "jitter: contrast must be at least 0. Received: contrast=-1"),
        (lambda: Lighting(-1), "lighting: std must be at least 0. Received: std=-1"),
        (lambda: RandAugment(n=0), "randaugment: n must be a whole number, at least 1. Received: n=0"),
        (lambda: RandAugment(m=31), "randaugment: m must be from 0 to 30 in torchvision's space. Received: m=31"),
        (lambda: RandAugment(m=11, space="timm"), "m must be from 0 to 10 in timm's space. Received: m=11"),
        (lambda: RandAugment(mstd=-1), "randaugment: mstd must be from 0 to 30. Received: mstd=-1"),
        (lambda: RandAugment(space="x"), 'randaugment: space must be "torchvision" or "timm". Received: space='),
        (lambda: AutoAugment("mnist"), 'autoaugment: policy must be "imagenet", "cifar10" or "svhn". Received'),
        (lambda: TrivialAugment("cubic"), 'trivialaugment: interpolation must be "nearest" or "bilinear". Received'),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(DataError, match=message):
        make()


def test_steps_follow_each_other():
    picture = tf.random.stateless_uniform((6, 7, 3), (1, 2), 0, 256, tf.int32)
    picture, seed = tf.cast(picture, tf.uint8), tf.constant([3, 4], tf.int64)
    twice = Augmentation(Flip(1.0), Flip(1.0)).apply(picture, seed)
    tf.debugging.assert_equal(twice, picture)
    tf.debugging.assert_equal(Augmentation(Flip(1.0)).apply(picture, seed), picture[:, ::-1])
