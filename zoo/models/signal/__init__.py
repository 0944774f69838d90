"""Networks that see signals, one or more values a sample; importing a family registers its models."""

from zoo.models.signal import densenet_1d, dilated_denoiser, ecg_resnet, inception_time, squeezenet_1d, time_series

__all__ = ["densenet_1d", "dilated_denoiser", "ecg_resnet", "inception_time", "squeezenet_1d", "time_series"]
