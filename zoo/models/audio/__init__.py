"""Networks that hear spectrograms, frames by bands; importing a family registers its models."""

from zoo.models.audio import abdel_hamid, bc_resnet, ds_cnn, matchboxnet, speech_resnet, trad_fpool

__all__ = ["abdel_hamid", "bc_resnet", "ds_cnn", "matchboxnet", "speech_resnet", "trad_fpool"]
