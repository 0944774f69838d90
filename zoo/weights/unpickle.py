"""A state dict of PyTorch, rewritten as safetensors: `python -P unpickle.py STATE.pth OUT.safetensors`.

The only place that unpickles, and that needs PyTorch; it runs as a process of its own and imports nothing of ours.
`weights_only=True` lets PyTorch make tensors and plain containers, and refuse anything else.
"""

import sys
import zipfile


def main(source: str, target: str) -> None:
    """Read the state dict at `source` and write the safetensors file `target`."""
    import safetensors.numpy
    import torch

    # Mapped, a file of today's format costs no memory for what it only claims. Files of 2017 have no such form.
    state = torch.load(source, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(source) or None)
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()
    ):
        raise SystemExit(f"it must map names to tensors, and is a {type(state).__name__}")
    arrays = {key: value.detach().contiguous().numpy() for key, value in state.items()}
    safetensors.numpy.save_file(arrays, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
