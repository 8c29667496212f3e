"""Files: photos, kernels, checkpoints and the run folder."""
