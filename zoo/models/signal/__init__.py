"""Networks that see signals, one or more values a sample; importing a family registers its models."""

from zoo.models.signal import dilated_denoiser, ecg_resnet, inception_time, time_series

__all__ = ["dilated_denoiser", "ecg_resnet", "inception_time", "time_series"]
