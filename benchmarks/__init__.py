"""Measurements, run from the repository's root: `python -m benchmarks.speed.chains`.

quality/: how good are the results; speed/: what do they cost; figures/: pictures and tables of the
documents; results/: the rows measured; NOTEBOOK.md: dated trials, with numbers now superseded.

A file of results/ is {photo: row}. A row has the PSNR in dB of the photo (`blurred`), of the
deconvolution with the start's kernel (`start`), of the `result`, and of the deconvolution with the
true kernel (`true`); `ssim` of the result; the correlation of the start's and the result's kernel
with the true one (`kernel_start`, `kernel`); `seconds`; peak `memory` in MB; and the `commit` that
it was measured at. A row leaves out what its benchmark does not measure.
"""
