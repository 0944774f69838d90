"""Fine-tuning a trained network for classes of one's own, the probes that show what it is worth, and what follows."""
