"""The recipes: those of the papers, oldest first, then the modern ones, then the zoo's own.

The rate is inside of the momentum in Keras's SGD, as in Caffe and in the papers that give the update; PyTorch's and
Torch's have it outside, and recipes from there say `torch_sgd`. Weight decay of SGD recipes is the L2 penalty
(`coupled_decay`), with all parameters decayed, as Caffe and Torch do, unless the source says otherwise.

What holds for all of them is said once, in `EVERYWHERE`; a recipe's `differences` are its own. `Source.checked` names
texts that were read for the numbers; where it is empty, they are recalled from the paper and were not compared.
"""

from collections.abc import Mapping
from typing import Any

from zoo.training.hyperparameters import Hyperparameters
from zoo.training.recipes import Published, Recipe, Source

EVERYWHERE = (
    "Values are scaled to the range of the model's card; means and deviations of channels are not subtracted.",
    "Pictures of validation and test are resized to the size of the network as a whole, not cut from the middle of "
    "larger ones.",
    "The weights kept are those with the lowest loss on a validation split; papers mostly report the last ones.",
    "A moving average has a fixed momentum from the first step on; statistics of batch norm are not averaged.",
)

_IMAGENET, _CIFAR = "ImageNet-1k", "CIFAR-10"
_ONE_CROP, _TEST = "validation set, one centre crop of 224", "test set"
_NO_AUX = "The network has no auxiliary classifiers here."
_SYNCHRONOUS = "One synchronous training in place of asynchronous replicas, whose batches and rates are kept."
_BOXES = "Random boxes of the picture in place of a crop from a picture resized to a random scale."

# What the zoo's defaults have and papers do not.
_BARE = {"augment": "", "plateau": 0, "patience": None, "weight_decay": 0.0}
# SGD of Caffe and of Torch, both with the decay in the gradient.
_CAFFE = {
    **_BARE, "optimizer": "sgd", "optimizer_options": {"momentum": 0.9, "nesterov": False}, "coupled_decay": True
}  # fmt: skip
_TORCH = {**_BARE, "optimizer": "torch_sgd", "coupled_decay": True}
_NESTEROV = {"optimizer_options": {"momentum": 0.9, "nesterov": True}}
# TensorFlow's: the epsilon inside of the root.
_RMSPROP = {
    **_BARE, "optimizer": "rmsprop", "optimizer_options": {"rho": 0.9, "momentum": 0.9, "epsilon": 1.0},
    "coupled_decay": True, "decay_on": "kernels",
}  # fmt: skip
_AT_224, _AT_299 = {"image_size": (224, 224)}, {"image_size": (299, 299)}
_CROP_OF_256 = {"augment": "crop(scale=(0.7, 0.8), ratio=(1, 1))+flip"}
_INCEPTION_CROP = {"augment": "crop+flip"}
_PADDED = {"augment": "shift=4,flip"}


def _hyper(*bases: Mapping[str, Any], **own: Any) -> Hyperparameters:
    return Hyperparameters(**{name: value for base in (*bases, own) for name, value in base.items()})


def _steps(*milestones: float, decay: float | list[float] = 0.1) -> dict[str, Any]:
    return {"schedule": "multi_step", "schedule_options": {"milestones": list(milestones), "decay": decay}}


def _falling(decay: float, period: float) -> dict[str, Any]:
    """The rate falls all at once every so many epochs."""
    options = {"decay": decay, "period": period, "staircase": True}
    return {"schedule": "exponential", "schedule_options": options}


_PAPERS = (
    Recipe(
        name="lenet5",
        summary="plain gradient descent on one example at a time, 20 passes",
        source=Source(
            title="Gradient-Based Learning Applied to Document Recognition",
            year=1998,
            url="http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf",
            place="section III",
        ),
        hyperparameters=_hyper(
            _BARE,
            _steps(2, 5, 8, 12, decay=[0.4, 0.2, 0.1, 0.02]),
            epochs=20,
            batch_size=1,
            optimizer="sgd",
            optimizer_options={"momentum": 0.0, "nesterov": False},
            learning_rate=0.025,
        ),
        published=Published(model="lenet5", dataset="MNIST", top1=99.05, protocol="test set, no distortions"),
        differences=(
            "The paper divides each parameter's rate by a running estimate of its curvature plus 0.02. Here all have "
            "the largest rate that this allows, 0.0005 / 0.02, lowered as the paper lowers it.",
            "Cross-entropy in place of the mean squared error with a competitive term.",
        ),
        models=("lenet5",),
    ),
    Recipe(
        name="alexnet",
        summary="SGD, the rate divided by 10 when the validation stalls, colours shifted",
        source=Source(
            title="ImageNet Classification with Deep Convolutional Neural Networks",
            year=2012,
            url="https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks",
            place="sections 4 and 5",
        ),
        hyperparameters=_hyper(
            _CAFFE,
            _AT_224,
            epochs=90,
            batch_size=128,
            learning_rate=0.01,
            weight_decay=5e-4,
            augment="crop(scale=(0.7, 0.8), ratio=(1, 1))+flip+lighting(0.1)",
            plateau=5,
            plateau_factor=0.1,
        ),
        published=Published(
            model="alexnet", dataset=_IMAGENET, top1=59.3, top5=81.8, protocol="validation set, ten crops"
        ),
        differences=(
            "The authors lowered the rate by hand, three times; here 5 epochs without a lower validation loss do it.",
            "Boxes of 70 to 80 % of the picture, resized, in place of crops of 224 from 256.",
        ),
        models=("alexnet",),
    ),
    Recipe(
        name="vgg",
        summary="SGD, the rate divided by 10 when the validation stalls, pictures at many scales",
        source=Source(
            title="Very Deep Convolutional Networks for Large-Scale Image Recognition",
            year=2014,
            url="https://arxiv.org/abs/1409.1556",
            place="section 3.1",
            checked=("http://www.suzhengpeng.com/vgg-networks",),
        ),
        hyperparameters=_hyper(
            _CAFFE,
            _AT_224,
            epochs=74,
            batch_size=256,
            learning_rate=0.01,
            weight_decay=5e-4,
            augment="crop(scale=(0.19, 0.77), ratio=(1, 1))+flip+lighting(0.1)",
            plateau=5,
            plateau_factor=0.1,
        ),
        published=Published(
            model="vgg16", dataset=_IMAGENET, top1=74.4, top5=91.9, protocol="validation set, dense at one scale, 384"
        ),
        differences=(
            "The paper starts deep networks from the weights of a shallow one; here all start at random, as it says in "
            "a note to be possible, so a first rate of 0.01 may be too high without batch norm.",
            "The rate falls after 5 epochs without a lower validation loss.",
            _BOXES,
        ),
        models=("vgg*",),
    ),
    Recipe(
        name="googlenet",
        summary="SGD with a rate that falls by 4 % every 8 epochs, averaged weights",
        source=Source(
            title="Going Deeper with Convolutions",
            year=2014,
            url="https://arxiv.org/abs/1409.4842",
            place="sections 5 and 6; rate, batch, decay: BVLC's quick_solver.prototxt",
            checked=("https://github.com/BVLC/caffe/blob/master/models/bvlc_googlenet/quick_solver.prototxt",),
        ),
        hyperparameters=_hyper(
            _CAFFE,
            _AT_224,
            _INCEPTION_CROP,
            _falling(0.96, 8),
            epochs=250,
            batch_size=32,
            learning_rate=0.01,
            weight_decay=2e-4,
            average=0.9999,
            auxiliary_weight=0.3,
        ),
        published=Published(
            model="googlenet", dataset=_IMAGENET, top1=68.7, top5=88.9, protocol="BVLC's training, one centre crop"
        ),
        differences=(
            _SYNCHRONOUS,
            "The paper gives neither rate, nor batch size, nor decay, nor number of epochs; these are from Caffe.",
            "Photometric distortions are left out.",
        ),
        models=("googlenet",),
    ),
    Recipe(
        name="inception_v2",
        summary="batch norm: 30 times GoogLeNet's rate, falling six times as fast, a fifth of the decay",
        source=Source(
            title="Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift",
            year=2015,
            url="https://arxiv.org/abs/1502.03167",
            place="section 4.2, BN-x30",
        ),
        hyperparameters=_hyper(
            _CAFFE,
            _AT_224,
            _INCEPTION_CROP,
            _falling(0.96, 8 / 6),
            epochs=150,
            batch_size=32,
            learning_rate=0.045,
            weight_decay=4e-5,
        ),
        published=Published(
            model="inception_v2", dataset=_IMAGENET, top1=74.8, protocol="validation set, one crop, BN-x30"
        ),
        differences=(
            _NO_AUX,
            _SYNCHRONOUS,
            "The paper's decay is a fifth of one that it does not give; here of Caffe's 0.0002 for GoogLeNet.",
            "150 epochs are about its 6 million steps of 32.",
        ),
        models=("inception_v2",),
    ),
    Recipe(
        name="inception_v3",
        summary="RMSProp, label smoothing, clipped gradients, averaged weights",
        source=Source(
            title="Rethinking the Inception Architecture for Computer Vision",
            year=2015,
            url="https://arxiv.org/abs/1512.00567",
            place="sections 7 and 8",
        ),
        hyperparameters=_hyper(
            _RMSPROP,
            _AT_299,
            _INCEPTION_CROP,
            _falling(0.94, 2),
            epochs=100,
            batch_size=32,
            learning_rate=0.045,
            weight_decay=4e-5,
            label_smoothing=0.1,
            clip_norm=2.0,
            average=0.9999,
            auxiliary_weight=0.4,
        ),
        published=Published(
            model="inception_v3", dataset=_IMAGENET, top1=78.8, top5=94.4, protocol="validation set, one crop of 299"
        ),
        differences=(
            _SYNCHRONOUS,
            "Decay and weight of the auxiliary classifier are those of the authors' code; the paper gives none.",
            "TensorFlow's RMSProp began with mean squares of 1, Keras's begins with 0.",
        ),
        models=("inception_v3",),
    ),
    Recipe(
        name="inception_v4",
        summary="RMSProp as for Inception v3, for Inception v4 and Inception-ResNet",
        source=Source(
            title="Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
            year=2016,
            url="https://arxiv.org/abs/1602.07261",
            place="section 4",
        ),
        hyperparameters=_hyper(
            _RMSPROP,
            _AT_299,
            _INCEPTION_CROP,
            _falling(0.94, 2),
            epochs=160,
            batch_size=32,
            learning_rate=0.045,
            weight_decay=4e-5,
            label_smoothing=0.1,
            average=0.9999,
        ),
        published=Published(
            model="inception_v4", dataset=_IMAGENET, top1=80.0, top5=95.0, protocol="validation set, one crop of 299"
        ),
        differences=(
            _NO_AUX,
            _SYNCHRONOUS,
            "Batch size, decay and smoothing are those of Inception v3; the paper gives only the optimizer.",
        ),
        models=("inception_v4", "inception_resnet_*"),
    ),
    Recipe(
        name="resnet_imagenet",
        summary="SGD, the rate divided by 10 at 30 and 60 of 90 epochs",
        source=Source(
            title="Deep Residual Learning for Image Recognition",
            year=2015,
            url="https://arxiv.org/abs/1512.03385",
            place="section 3.4; epochs: fb.resnet.torch",
            checked=("https://github.com/facebookarchive/fb.resnet.torch/blob/master/train.lua",),
        ),
        hyperparameters=_hyper(
            _CAFFE, _AT_224, _steps(30, 60), epochs=90, batch_size=256, learning_rate=0.1, weight_decay=1e-4,
            augment="crop(scale=(0.22, 0.77), ratio=(1, 1))+flip+lighting(0.1)",
        ),
        published=Published(
            model="resnet50", dataset=_IMAGENET, top1=77.15, top5=93.29, protocol="validation set, ten crops"
        ),
        differences=(
            "The paper lowers the rate when the error stalls, within 600,000 steps; the epochs here are those of "
            "Facebook's code for the same networks.",
            _BOXES,
        ),
        models=("resnet10", "resnet14", "resnet18", "resnet26", "resnet34", "resnet50", "resnet101", "resnet152"),
    ),
    Recipe(
        name="resnet_cifar",
        summary="SGD, the rate divided by 10 at 32,000 and 48,000 of 64,000 steps, shifts and flips",
        source=Source(
            title="Deep Residual Learning for Image Recognition",
            year=2015,
            url="https://arxiv.org/abs/1512.03385",
            place="section 4.2",
        ),
        hyperparameters=_hyper(
            _CAFFE, _PADDED, _steps(91, 136), epochs=182, batch_size=128, learning_rate=0.1, weight_decay=1e-4
        ),
        published=Published(model="resnet20", dataset=_CIFAR, top1=91.25, protocol=_TEST),
        differences=(
            "Steps are given as epochs of 352 batches, as 45,000 training pictures have.",
            "ResNet-110 began with a rate of 0.01 for 400 steps: warmup_epochs=1, warmup_start=0.1 is close to that.",
        ),
        models=(
            "resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "resnet164", "resnet1202"
        ),
    ),
    Recipe(
        name="resnet_v2_imagenet",
        summary="SGD, the rate divided by 10 at 30 and 60 of 90 epochs, boxes of any shape",
        source=Source(
            title="Identity Mappings in Deep Residual Networks",
            year=2016,
            url="https://arxiv.org/abs/1603.05027",
            place="section 5",
        ),
        hyperparameters=_hyper(
            _TORCH, _AT_224, _INCEPTION_CROP, _steps(30, 60), epochs=90, batch_size=256, learning_rate=0.1,
            weight_decay=1e-4,
        ),
        published=Published(
            model="resnet200_v2", dataset=_IMAGENET, top1=79.9, top5=95.2, protocol="validation set, one crop of 320"
        ),
        models=("resnet18_v2", "resnet34_v2", "resnet50_v2", "resnet101_v2", "resnet152_v2", "resnet200_v2"),
    ),
    Recipe(
        name="resnet_v2_cifar",
        summary="as for ResNet on CIFAR, with a tenth of the rate for the first 400 steps",
        source=Source(
            title="Identity Mappings in Deep Residual Networks",
            year=2016,
            url="https://arxiv.org/abs/1603.05027",
            place="appendix",
        ),
        hyperparameters=_hyper(
            _TORCH, _PADDED, _steps(91, 136), epochs=182, batch_size=128, learning_rate=0.1, weight_decay=1e-4,
            warmup_epochs=1.14, warmup_start=0.1,
        ),
        published=Published(model="resnet164_v2", dataset=_CIFAR, top1=94.54, protocol="test set, median of five"),
        differences=("The rate rises from 0.01 to 0.1 in the first 400 steps, where the paper's jumps after them.",),
        models=("resnet110_v2", "resnet164_v2", "resnet1001_v2"),
    ),
    Recipe(
        name="wide_resnet_cifar",
        summary="SGD with Nesterov's momentum, the rate times 0.2 at 60, 120 and 160 of 200 epochs",
        source=Source(
            title="Wide Residual Networks",
            year=2016,
            url="https://arxiv.org/abs/1605.07146",
            place="section 3",
            checked=(
                "https://github.com/szagoruyko/wide-residual-networks/blob/master/scripts/train_cifar.sh",
                "https://github.com/szagoruyko/wide-residual-networks",
            ),
        ),
        hyperparameters=_hyper(
            _TORCH, _NESTEROV, _PADDED, _steps(60, 120, 160, decay=0.2), epochs=200, batch_size=128, learning_rate=0.1,
            weight_decay=5e-4,
        ),
        published=Published(model="wide_resnet28_10", dataset=_CIFAR, top1=96.0, protocol="test set, median of five"),
        differences=("The border is padded with black, where the authors' code mirrors it.",),
        models=("wide_resnet[1-4]?_*",),
    ),
    Recipe(
        name="wide_resnet_imagenet",
        summary="Facebook's ResNet training: SGD with Nesterov's momentum, 90 epochs",
        source=Source(
            title="Wide Residual Networks",
            year=2016,
            url="https://arxiv.org/abs/1605.07146",
            place="section 3; numbers: fb.resnet.torch",
            checked=("https://github.com/facebookarchive/fb.resnet.torch/blob/master/train.lua",),
        ),
        hyperparameters=_hyper(
            _TORCH, _NESTEROV, _AT_224, _steps(30, 60), epochs=90, batch_size=256, learning_rate=0.1,
            weight_decay=1e-4, augment="crop+jitter(0.4, 0.4, 0.4)+lighting(0.1)+flip",
        ),
        published=Published(
            model="wide_resnet50_2", dataset=_IMAGENET, top1=78.1, top5=94.21, protocol=_ONE_CROP
        ),
        models=("wide_resnet50_2", "wide_resnet101_2"),
    ),
    Recipe(
        name="resnext_imagenet",
        summary="SGD with Nesterov's momentum, the rate divided by 10 every 30 epochs",
        source=Source(
            title="Aggregated Residual Transformations for Deep Neural Networks",
            year=2016,
            url="https://arxiv.org/abs/1611.05431",
            place="section 4; code: facebookresearch/ResNeXt",
            checked=("https://github.com/facebookresearch/ResNeXt",),
        ),
        hyperparameters=_hyper(
            _TORCH, _NESTEROV, _AT_224, _steps(30, 60, 90), epochs=100, batch_size=256, learning_rate=0.1,
            weight_decay=1e-4, augment="crop+jitter(0.4, 0.4, 0.4)+lighting(0.1)+flip",
        ),
        published=Published(model="resnext50_32x4d", dataset=_IMAGENET, top1=77.8, protocol=_ONE_CROP),
        differences=("The number of epochs after the last of three steps is not given; 100 here.",),
        models=("resnext50_*", "resnext101_*"),
    ),
    Recipe(
        name="resnext_cifar",
        summary="SGD with Nesterov's momentum, the rate divided by 10 at 150 and 225 of 300 epochs",
        source=Source(
            title="Aggregated Residual Transformations for Deep Neural Networks",
            year=2016,
            url="https://arxiv.org/abs/1611.05431",
            place="section 4.3; batch and decay: facebookresearch/ResNeXt",
            checked=("https://github.com/facebookresearch/ResNeXt",),
        ),
        hyperparameters=_hyper(
            _TORCH, _NESTEROV, _PADDED, _steps(150, 225), epochs=300, batch_size=128, learning_rate=0.1,
            weight_decay=5e-4,
        ),
        published=Published(model="resnext29_8x64d", dataset=_CIFAR, top1=96.35, protocol="test set, mean of ten"),
        models=("resnext29_*",),
    ),
    Recipe(
        name="densenet_imagenet",
        summary="SGD with Nesterov's momentum, the rate divided by 10 at 30 and 60 of 90 epochs",
        source=Source(
            title="Densely Connected Convolutional Networks",
            year=2016,
            url="https://arxiv.org/abs/1608.06993",
            place="section 4.2",
        ),
        hyperparameters=_hyper(
            _TORCH, _NESTEROV, _AT_224, _steps(30, 60), epochs=90, batch_size=256, learning_rate=0.1,
            weight_decay=1e-4, augment="crop+jitter(0.4, 0.4, 0.4)+lighting(0.1)+flip",
        ),
        published=Published(model="densenet121", dataset=_IMAGENET, top1=74.98, top5=92.29, protocol=_ONE_CROP),
        models=("densenet121", "densenet161", "densenet169", "densenet201", "densenet264"),
    ),
    Recipe(
        name="densenet_cifar",
        summary="SGD with Nesterov's momentum, the rate divided by 10 at half and three quarters of 300 epochs",
        source=Source(
            title="Densely Connected Convolutional Networks",
            year=2016,
            url="https://arxiv.org/abs/1608.06993",
            place="section 4.2",
        ),
        hyperparameters=_hyper(
            _TORCH, _NESTEROV, _PADDED, _steps(150, 225), epochs=300, batch_size=64, learning_rate=0.1,
            weight_decay=1e-4,
        ),
        published=Published(model="densenet_bc100_k12", dataset=_CIFAR, top1=95.49, protocol=_TEST),
        differences=("Without shifts and flips the paper has a dropout of 0.2 (knob drop_rate).",),
        models=("densenet40_*", "densenet100_*", "densenet_bc*"),
    ),
    Recipe(
        name="squeezenet",
        summary="SGD on batches of 1,024 in 32 parts, the rate falling with the root of the time left",
        source=Source(
            title="SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
            year=2016,
            url="https://arxiv.org/abs/1602.07360",
            place="the authors' solver.prototxt of version 1.0",
            checked=("https://github.com/forresti/SqueezeNet/blob/master/SqueezeNet_v1.0/solver.prototxt",),
        ),
        hyperparameters=_hyper(
            _CAFFE, _AT_224, _CROP_OF_256, epochs=68, batch_size=32, accumulate=32, learning_rate=0.08,
            weight_decay=2e-4, schedule="polynomial", schedule_options={"power": 0.5},
        ),
        published=Published(
            model="squeezenet1_0", dataset=_IMAGENET, top1=57.5, top5=80.3, protocol="validation set, one centre crop"
        ),
        differences=("68 epochs are its 85,000 updates.", "Boxes of 70 to 80 % in place of crops of 227 from 256."),
        models=("squeezenet1_*",),
    ),
    Recipe(
        name="mobilenet",
        summary="RMSProp as for Inception v3, little decay, none on depthwise kernels in the paper",
        source=Source(
            title="MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
            year=2017,
            url="https://arxiv.org/abs/1704.04861",
            place="section 4; numbers: TensorFlow's slim",
        ),
        hyperparameters=_hyper(
            _RMSPROP, _AT_224, _INCEPTION_CROP, _falling(0.98, 2.5), epochs=250, batch_size=64, learning_rate=0.045,
            weight_decay=4e-5, average=0.9999,
        ),
        published=Published(model="mobilenet", dataset=_IMAGENET, top1=70.6, protocol=_ONE_CROP),
        differences=(
            _SYNCHRONOUS,
            "The paper gives the optimizer alone; rate, decay and average are those of its TensorFlow code.",
            "Depthwise kernels are decayed like the others.",
        ),
        models=("mobilenet", "mobilenet_0*", "mobilenet_1*"),
    ),
    Recipe(
        name="mobilenet_v2",
        summary="RMSProp, the rate times 0.98 each epoch, a little decay",
        source=Source(
            title="MobileNetV2: Inverted Residuals and Linear Bottlenecks",
            year=2018,
            url="https://arxiv.org/abs/1801.04381",
            place="section 6.1",
        ),
        hyperparameters=_hyper(
            _RMSPROP, _AT_224, _INCEPTION_CROP, _falling(0.98, 1), epochs=300, batch_size=96, learning_rate=0.045,
            weight_decay=4e-5,
        ),
        published=Published(model="mobilenet_v2", dataset=_IMAGENET, top1=72.0, protocol=_ONE_CROP),
        differences=(_SYNCHRONOUS, "The number of epochs is torchvision's; the paper gives none."),
        models=("mobilenet_v2*",),
    ),
    Recipe(
        name="mobilenet_v3",
        summary="RMSProp on batches of 4,096, the rate times 0.99 every 3 epochs, averaged weights",
        source=Source(
            title="Searching for MobileNetV3",
            year=2019,
            url="https://arxiv.org/abs/1905.02244",
            place="section 6.1",
            checked=("https://coelien.github.io/2023/08/05/paper-reading/paper_reading_018",),
        ),
        hyperparameters=_hyper(
            _RMSPROP, _AT_224, _falling(0.99, 3), epochs=600, batch_size=4096, learning_rate=0.1, weight_decay=1e-5,
            average=0.9999, augment="crop+flip+autoaugment", optimizer_options={"rho": 0.9, "momentum": 0.9,
            "epsilon": 0.002},
        ),
        published=Published(model="mobilenet_v3_large", dataset=_IMAGENET, top1=75.2, protocol=_ONE_CROP),
        differences=(
            "Epochs and epsilon are not in the paper; AutoAugment stands for what it calls its usual preprocessing.",
        ),
        models=("mobilenet_v3*",),
    ),
)  # fmt: skip

_MODERN = (
    Recipe(
        name="classic90",
        summary="the 90-epoch baseline: SGD, warm-up, cosine, label smoothing, decay on kernels alone",
        source=Source(
            title="Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour",
            year=2017,
            url="https://arxiv.org/abs/1706.02677",
            place="section 5; cosine and smoothing: NVIDIA's ResNet-50 v1.5",
        ),
        hyperparameters=_hyper(
            _TORCH, _AT_224, _INCEPTION_CROP, epochs=90, batch_size=256, learning_rate=0.1, rate_batch_size=256,
            weight_decay=1e-4, decay_on="kernels", schedule="cosine", warmup_epochs=5, label_smoothing=0.1,
        ),
        published=Published(model="resnet50", dataset=_IMAGENET, top1=76.26, protocol="Goyal et al., one centre crop"),
        differences=("Goyal et al. divide the rate by 10 at 30, 60 and 80 epochs and do not smooth labels.",),
    ),
    Recipe(
        name="rsb_a3",
        summary="ResNet strikes back, short: 100 epochs at 160 pixels, tested at 224",
        source=Source(
            title="ResNet strikes back: An improved training procedure in timm",
            year=2021,
            url="https://arxiv.org/abs/2110.00476",
            place="table 2, A3",
            checked=(
                "https://github.com/open-mmlab/mmpretrain/blob/main/configs/resnet/resnet50_8xb256-rsb-a3-100e_in1k.py",
            ),
        ),
        hyperparameters=_hyper(
            _BARE, _AT_224, train_size=(160, 160), epochs=100, batch_size=2048, optimizer="lamb", learning_rate=8e-3,
            weight_decay=0.02, decay_on="kernels", clip_norm=1.0, schedule="cosine", warmup_epochs=5,
            loss="binary_cross_entropy", target_threshold=0.2, mixup=0.1, cutmix=1.0,
            augment="crop+flip+randaugment(n=2, m=6, mstd=0.5, p=0.5, space='timm')",
        ),
        published=Published(model="resnet50", dataset=_IMAGENET, top1=78.1, protocol="validation set, 224, crop 0.95"),
        differences=("The threshold for mixed labels is that of re-implementations' configurations.",),
    ),
    Recipe(
        name="rsb_a2",
        summary="ResNet strikes back, middle: 300 epochs, drop path, each picture three times",
        source=Source(
            title="ResNet strikes back: An improved training procedure in timm",
            year=2021,
            url="https://arxiv.org/abs/2110.00476",
            place="table 2, A2",
            checked=(
                "https://github.com/open-mmlab/mmpretrain/blob/main/configs/resnet/resnet50_8xb256-rsb-a2_in1k.py",
            ),
        ),
        hyperparameters=_hyper(
            _BARE, _AT_224, repeats=3,
            epochs=300, batch_size=2048, optimizer="lamb", learning_rate=5e-3, weight_decay=0.02,
            decay_on="kernels", clip_norm=1.0, schedule="cosine", warmup_epochs=5, loss="binary_cross_entropy",
            target_threshold=0.2, mixup=0.1, cutmix=1.0, knobs={"drop_path": 0.05},
            augment="crop+flip+randaugment(n=2, m=7, mstd=0.5, p=0.5, space='timm')",
        ),
        published=Published(model="resnet50", dataset=_IMAGENET, top1=79.8, protocol="validation set, 224, crop 0.95"),
    ),
    Recipe(
        name="rsb_a1",
        summary="ResNet strikes back, long: 600 epochs, label smoothing",
        source=Source(
            title="ResNet strikes back: An improved training procedure in timm",
            year=2021,
            url="https://arxiv.org/abs/2110.00476",
            place="table 2, A1",
            checked=(
                "https://github.com/Westlake-AI/openmixup/blob/main/configs/classification/imagenet/resnet/"
                "resnet50_rsb_a1_sz224_8xb256_ep600.py",
            ),
        ),
        hyperparameters=_hyper(
            _BARE, _AT_224, repeats=3,
            epochs=600, batch_size=2048, optimizer="lamb", learning_rate=5e-3, weight_decay=0.01,
            decay_on="kernels", clip_norm=1.0, schedule="cosine", warmup_epochs=5, loss="binary_cross_entropy",
            label_smoothing=0.1, target_threshold=0.2, mixup=0.2, cutmix=1.0, knobs={"drop_path": 0.05},
            augment="crop+flip+randaugment(n=2, m=7, mstd=0.5, p=0.5, space='timm')",
        ),
        published=Published(model="resnet50", dataset=_IMAGENET, top1=80.4, protocol="validation set, 224, crop 0.95"),
    ),
    Recipe(
        name="torchvision_v2",
        summary="torchvision's second weights: 600 epochs of SGD at 176 pixels, TrivialAugment, erasing, mixing",
        source=Source(
            title="How to Train State-Of-The-Art Models Using TorchVision's Latest Primitives",
            year=2021,
            url="https://pytorch.org/blog/how-to-train-state-of-the-art-models-using-torchvision-latest-primitives/",
            place="pytorch/vision issue 3995",
            checked=("https://github.com/AlHusseinA/img_retrieval_with_kd/blob/main/src/utils/recipe_torch.py",),
        ),
        hyperparameters=_hyper(
            _TORCH, _AT_224, train_size=(176, 176), repeats=4, epochs=600, batch_size=1024, learning_rate=0.5,
            weight_decay=2e-5, decay_on="not_norms", schedule="cosine", schedule_options={"every": "epoch"},
            warmup_epochs=5, warmup_start=0.01, warmup_shift=True, label_smoothing=0.1, mixup=0.2, cutmix=1.0,
            average=0.99998, augment="crop+flip+trivialaugment+erase(0.1)",
        ),
        published=Published(
            model="resnet50", dataset=_IMAGENET, top1=80.858, top5=95.434, protocol="validation set, 232 to 224"
        ),
        differences=(
            "The average takes every step, torchvision's every 32nd.",
        ),
    ),
    Recipe(
        name="cifar_fast",
        summary="ten epochs on CIFAR-10: large batches, one triangle of the rate, smoothed labels",
        source=Source(
            title="94% on CIFAR-10 in 3.29 Seconds on a Single GPU",
            year=2024,
            url="https://arxiv.org/abs/2404.00498",
            place="airbench94.py",
            checked=("https://github.com/KellerJordan/cifar10-airbench/blob/master/airbench94.py",),
        ),
        hyperparameters=_hyper(
            _TORCH, epochs=10, batch_size=1024, learning_rate=1.5, weight_decay=1.33e-3,
            optimizer_options={"momentum": 0.85, "nesterov": True}, schedule="one_cycle",
            schedule_options={"rise": 0.23, "start": 0.2, "final": 0.07, "shape": "linear"}, label_smoothing=0.2,
            augment="shift=2,flip",
        ),
        published=Published(
            model="a network of its own", dataset=_CIFAR, top1=94.01, protocol="test set, flipped pictures averaged"
        ),
        differences=(
            "The published result has a network of its own, whose first layer whitens the picture, 64 times the rate "
            "for biases of batch norm, lookahead, and shifts and flips averaged in the test; none of that is here.",
            "Rate and decay are per example of a summed loss there, 11.5 and 0.0153 for 1,024 examples; here they are "
            "for a mean, with the same step sizes.",
        ),
    ),
)  # fmt: skip

_OWN_SOURCE = Source(
    title="the zoo's own, put together from fine-tuning practice",
    year=2026,
    url="https://github.com/huggingface/pytorch-image-models",
    place="layer-wise decay as in timm and BEiT (arXiv:2106.08254)",
)
_OWN = (
    Recipe(
        name="finetune_two_stage",
        summary="for trained weights: the head alone, then everything, slower towards the input",
        source=_OWN_SOURCE,
        hyperparameters=_hyper(
            epochs=30, batch_size=64, learning_rate=3e-4, weight_decay=0.05, decay_on="kernels", layer_decay=0.8,
            schedule="cosine", warmup_epochs=1, label_smoothing=0.1, clip_norm=1.0, average=0.99, patience=10,
            augment="crop(scale=(0.35, 1))+flip", head_epochs=4, head_learning_rate=1e-3,
        ),
    ),
    Recipe(
        name="small_data",
        summary="for some thousand pictures from scratch: a cosine, averaged weights, smoothed labels, small shifts",
        source=Source(
            title="the zoo's own, of parts that benchmarks/recipe_ingredients.py measures one by one",
            year=2026,
            url="https://scikit-learn.org/stable/datasets/toy_dataset.html#digits-dataset",
        ),
        hyperparameters=_hyper(
            epochs=60, batch_size=64, learning_rate=3e-3, weight_decay=0.05, decay_on="kernels", schedule="cosine",
            warmup_epochs=3, average=0.99, label_smoothing=0.1, augment="shift=1", patience=None,
        ),
        models=("simple_cnn", "plain_cnn"),
    ),
    Recipe(
        name="smoke",
        summary="two epochs, to see that everything works together",
        source=Source(title="the zoo's own", year=2026, url="https://keras.io"),
        hyperparameters=_hyper(epochs=2, batch_size=64, learning_rate=3e-3, patience=None),
    ),
)  # fmt: skip

# Adam of Keras, as the codes of these papers have it: 0.001, halved when the training loss stalls, not below 0.0001.
_SERIES = {
    **_BARE, "optimizer": "adam", "learning_rate": 1e-3, "plateau": 50, "plateau_factor": 0.5, "plateau_floor": 1e-4,
}  # fmt: skip
_ON_TRAINING = (
    "The published runs judge epochs by their training loss and hold nothing out: add ?validation=train to the data. "
    "The loss is then taken at the end of the epoch, without dropout and with the moving statistics."
)
_SHIFT_100_MS, _SPEECH = "timeshift(0.1)", "Speech Commands v1"
_WHITE = (
    "Noise between white and brown in place of the recordings of rooms that come with the data, at 0 to 40 decibels "
    "below the clip; theirs has a tenth of full loudness at most."
)
_BC_MASKS = {"bc_resnet_1_5": 1, "bc_resnet_2": 3, "bc_resnet_3": 5, "bc_resnet_6": 7, "bc_resnet_8": 7}
_BC_RESULTS = {0: 96.6, 5: 97.6, 7: 98.0}


def _bc_resnet(models: tuple[str, ...], bands: int) -> Recipe:
    """BC-ResNet's recipe; the masks of frequencies grow with the network, the smallest has none at all."""
    masks = f"+specaugment(bands={bands})" if bands else ""
    return Recipe(
        name=f"bc_resnet_masks{bands}" if bands else "bc_resnet",
        summary=f"SGD along a cosine, 200 epochs, noise, {f'masks of up to {bands} bands' if bands else 'no masks'}",
        source=Source(
            title="Broadcasted Residual Learning for Efficient Keyword Spotting", year=2021,
            url="https://arxiv.org/abs/2106.04140", place="section 4.1",
            checked=("https://github.com/Qualcomm-AI-research/bcresnet/blob/main/main.py",),
        ),
        hyperparameters=_hyper(
            _TORCH, epochs=200, batch_size=100, learning_rate=0.1, weight_decay=1e-3, schedule="cosine",
            warmup_epochs=5, warmup_shift=True, augment=f"{_SHIFT_100_MS}+noise(0, 40, 0.8){masks}",
        ),
        published=Published(model=models[-1], dataset=_SPEECH, top1=_BC_RESULTS[bands], protocol="test set, 12 classes")
        if bands in _BC_RESULTS else None,
        differences=(_WHITE,),
        models=models,
    )  # fmt: skip


_OTHER_MODALITIES = (
    Recipe(
        name="time_series_fcn",
        summary="Adam for 2,000 epochs, the rate halved when the training loss stalls",
        source=Source(
            title="Time Series Classification from Scratch with Deep Neural Networks: A Strong Baseline", year=2017,
            url="https://arxiv.org/abs/1611.06455", place="section III",
            checked=("https://github.com/hfawaz/dl-4-tsc/blob/master/classifiers/fcn.py",),
        ),
        hyperparameters=_hyper(_SERIES, epochs=2000, batch_size=16),
        published=Published(model="fcn_1d", dataset="UCR CBF", top1=99.4, protocol="test set, mean of ten runs"),
        differences=(
            _ON_TRAINING, "The code takes batches of a tenth of the training examples where that is fewer than 16.",
        ),
        models=("fcn_1d",),
    ),
    Recipe(
        name="time_series_resnet",
        summary="Adam for 1,500 epochs, the rate halved when the training loss stalls",
        source=Source(
            title="Time Series Classification from Scratch with Deep Neural Networks: A Strong Baseline", year=2017,
            url="https://arxiv.org/abs/1611.06455", place="section III",
            checked=("https://github.com/hfawaz/dl-4-tsc/blob/master/classifiers/resnet.py",),
        ),
        hyperparameters=_hyper(_SERIES, epochs=1500, batch_size=64),
        published=Published(model="resnet_1d", dataset="UCR CBF", top1=99.5, protocol="test set, mean of ten runs"),
        differences=(
            _ON_TRAINING, "The code takes batches of a tenth of the training examples where that is fewer than 64.",
        ),
        models=("resnet_1d",),
    ),
    Recipe(
        name="inception_time",
        summary="Adam for 1,500 epochs, batches of 64, the rate halved when the training loss stalls",
        source=Source(
            title="InceptionTime: Finding AlexNet for Time Series Classification", year=2020,
            url="https://arxiv.org/abs/1909.04939",
            checked=("https://github.com/hfawaz/InceptionTime/blob/master/classifiers/inception.py",),
        ),
        hyperparameters=_hyper(_SERIES, epochs=1500, batch_size=64),
        differences=(_ON_TRAINING, "One network; the paper averages the answers of five."),
        models=("inception_time",),
    ),
    Recipe(
        name="ecg_resnet",
        summary="Adam, the rate divided by ten when the validation loss stalls",
        source=Source(
            title="Cardiologist-level arrhythmia detection and classification in ambulatory electrocardiograms using a "
            "deep neural network", year=2019, url="https://doi.org/10.1038/s41591-018-0268-3", place="methods",
            checked=("https://github.com/awni/ecg/blob/master/ecg/train.py",),
        ),
        hyperparameters=_hyper(
            _BARE, epochs=100, batch_size=128, optimizer="adam", learning_rate=1e-3, plateau=2, plateau_factor=0.1,
            plateau_floor=1e-6, patience=8,
        ),
        differences=("The code scales each recording by a random factor where it is told to; signals have none here.",),
        models=("ecg_resnet34",),
    ),
    Recipe(
        name="kim_cnn",
        summary="Adadelta, 25 epochs, batches of 50",
        source=Source(
            title="Convolutional Neural Networks for Sentence Classification", year=2014,
            url="https://arxiv.org/abs/1408.5882", place="section 3.1",
            checked=("https://github.com/yoonkim/CNN_sentence/blob/master/conv_net_sentence.py",),
        ),
        hyperparameters=_hyper(
            _BARE, epochs=25, batch_size=50, optimizer="adadelta", learning_rate=1.0,
            optimizer_options={"rho": 0.95, "epsilon": 1e-6},
        ),
        differences=("The code keeps the epoch with the highest accuracy on the validation examples.",),
        models=("kim_cnn_*",),
    ),
    Recipe(
        name="char_cnn",
        summary="SGD, the rate halved every three epochs, ten times",
        source=Source(
            title="Character-level Convolutional Networks for Text Classification", year=2015,
            url="https://arxiv.org/abs/1509.01626", place="section 2.1",
        ),
        hyperparameters=_hyper(
            _TORCH, _falling(0.5, 3), epochs=30, batch_size=128, learning_rate=0.01,
            optimizer_options={"momentum": 0.9},
        ),
        published=Published(model="char_cnn_large", dataset="AG News", top1=87.18, protocol="test set"),
        differences=("The synonyms that the paper puts in place of words in some of its runs are left out.",),
        models=("char_cnn_*",),
    ),
    Recipe(
        name="vdcnn",
        summary="SGD, batches of 128, the rate halved every three epochs",
        source=Source(
            title="Very Deep Convolutional Networks for Text Classification", year=2017,
            url="https://arxiv.org/abs/1606.01781", place="section 4.2",
        ),
        hyperparameters=_hyper(
            _TORCH, _falling(0.5, 3), epochs=15, batch_size=128, learning_rate=0.01,
            optimizer_options={"momentum": 0.9},
        ),
        published=Published(model="vdcnn29", dataset="AG News", top1=91.33, protocol="test set, best pooling"),
        differences=("The paper refers to the training of Zhang et al. 2015 for the course of the rate.",),
        models=("vdcnn*",),
    ),
    Recipe(
        name="ds_cnn",
        summary="Adam at three rates, 10,000 steps each, shifts and noise",
        source=Source(
            title="Hello Edge: Keyword Spotting on Microcontrollers", year=2017,
            url="https://arxiv.org/abs/1711.07128", place="section 4",
            checked=("https://github.com/ARM-software/ML-KWS-for-MCU/blob/master/train_commands.txt",),
        ),
        hyperparameters=_hyper(
            _BARE, _steps(27, 54, decay=[0.2, 0.04]), epochs=81, batch_size=100, optimizer="adam", learning_rate=5e-4,
            augment=f"{_SHIFT_100_MS}+noise(0, 40, 0.8)",
        ),
        published=Published(model="ds_cnn_l", dataset=_SPEECH, top1=95.4, protocol="test set, 12 classes"),
        differences=(_WHITE, "Epochs in place of steps, for the 36,923 training clips of 12 classes."),
        models=("ds_cnn_*",),
    ),
    Recipe(
        name="speech_resnet",
        summary="SGD for 26 epochs, the rate divided by ten when the validation stalls, shifts and noise",
        source=Source(
            title="Deep Residual Learning for Small-Footprint Keyword Spotting", year=2018,
            url="https://arxiv.org/abs/1710.10361", place="section 3",
            checked=("https://github.com/castorini/honk/blob/master/utils/train.py",),
        ),
        hyperparameters=_hyper(
            _TORCH, epochs=26, batch_size=64, learning_rate=0.1, weight_decay=1e-5, plateau=3, plateau_factor=0.1,
            augment=f"{_SHIFT_100_MS}+noise(0, 40, 0.8)",
        ),
        published=Published(model="res15", dataset=_SPEECH, top1=95.8, protocol="test set, 12 classes"),
        differences=(
            _WHITE, "The paper does not say how many epochs without progress are a plateau; here they are three.",
        ),
        models=("res8*", "res15*", "res26*"),
    ),
    Recipe(
        name="matchboxnet",
        summary="NovoGrad for 200 epochs, the rate held for 90 of them, masks, rectangles and noise",
        source=Source(
            title="MatchboxNet: 1D Time-Channel Separable Convolutional Neural Network Architecture for Speech "
            "Commands Recognition", year=2020, url="https://arxiv.org/abs/2004.08531", place="section 3",
            checked=("https://github.com/NVIDIA/NeMo/blob/main/examples/asr/conf/matchboxnet/"
                     "matchboxnet_3x1x64_v1.yaml",),
        ),
        hyperparameters=_hyper(
            _BARE, epochs=200, batch_size=128, optimizer="novograd", learning_rate=0.05, weight_decay=1e-3,
            optimizer_options={"beta_1": 0.95, "beta_2": 0.5}, schedule="polynomial", warmup_epochs=10,
            warmup_shift=True, schedule_options={"power": 2.0, "hold": 90, "final": 0.02},
            augment="timeshift(0.005)+noise(20, 60)+specaugment(bands=15, frames=25)",
        ),
        published=Published(model="matchboxnet_3x1x64", dataset=_SPEECH, top1=97.21, protocol="test set, 30 classes"),
        differences=(
            "Noise by its distance to the clip, theirs by its level, -90 to -46 dB.",
            "The five rectangles that the code hides besides the masks are left out.",
        ),
        models=("matchboxnet*",),
    ),
    Recipe(
        name="dpcnn",
        summary="SGD, batches of 100, the rate divided by ten for the last fifth",
        source=Source(
            title="Deep Pyramid Convolutional Neural Networks for Text Categorization", year=2017,
            url="https://aclanthology.org/P17-1052", place="section 3",
        ),
        hyperparameters=_hyper(
            _TORCH, _steps(40), epochs=50, batch_size=100, learning_rate=0.25, weight_decay=1e-4,
            optimizer_options={"momentum": 0.9},
        ),
        published=Published(model="dpcnn", dataset="AG News", top1=93.13, protocol="test set"),
        differences=(
            "The paper chooses the rate on validation data and adds region embeddings trained without labels; its "
            "epochs are 50 for small data sets, 30 or 15 for larger ones.",
        ),
        models=("dpcnn",),
    ),
    _bc_resnet(("bc_resnet_1",), 0),
    *(_bc_resnet(tuple(name for name, width in _BC_MASKS.items() if width == bands), bands)
      for bands in sorted(set(_BC_MASKS.values()))),
)  # fmt: skip

RECIPES = (*_PAPERS, *_OTHER_MODALITIES, *_MODERN, *_OWN)
