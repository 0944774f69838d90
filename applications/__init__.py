"""Applications of the zoo: one folder for each task; none imports another."""
