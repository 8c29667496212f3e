"""Flags reach the configuration and the options, and nothing else changes."""

import dataclasses

import numpy as np
import pytest

from dem_jax.config import EFFORTS, DeblurConfig
from dem_jax.runtime import sizes
from dem_jax.runtime.command.flags import define_flags
from dem_jax.runtime.command.options import make_options


def options_of(*argv):
    values = define_flags()
    assert len(values(["dem_jax", *argv])) == 1
    return make_options(values)


def test_defaults_are_those_of_the_configuration():
    assert options_of().config == DeblurConfig()


def test_effort_is_a_configuration_and_single_flags_win():
    for name, config in EFFORTS.items():
        assert options_of(f"--effort={name}").config == config
    for argv in (["--burn_in=7", "--effort=best"], ["--effort=best", "--burn_in=7"]):
        assert options_of(*argv).config == dataclasses.replace(EFFORTS["best"], burn_in=7)
    assert EFFORTS["normal"] == DeblurConfig()
    assert EFFORTS["quick"].em_iterations == 0


def test_flags_reach_the_configuration():
    options = options_of(
        "--blur=nonuniform",
        "--em_iterations=7",
        "--image_network.channels=12",
        "--kernel_size=21",
        "--patch_grid=3x4",
        "--seed=5",
    )
    assert options.config.em_iterations == 7
    assert options.config.image_network.channels == 12
    assert options.sizes == ("nonuniform", 21, (3, 4), None)
    assert options.seed == 5
    untouched = dataclasses.replace(
        options.config,
        em_iterations=DeblurConfig.em_iterations,
        image_network=DeblurConfig.image_network,
    )
    assert untouched == DeblurConfig()


def test_flags_beside_the_configuration(tmp_path):
    kernels = np.ones((6, 9, 9), np.float32) / 81
    np.save(tmp_path / "k.npy", kernels)
    options = options_of(
        "--crop=1,2,30,40",
        "--linear_light",
        f"--init_kernels={tmp_path / 'k.npy'}",
        "--kernels=fixed",
        "--grain=0.25",
        "--preview_every=2",
    )
    assert options.crop == (1, 2, 30, 40)
    assert options.linear_light
    assert options.preview_every == 2
    assert (options.config.kernels, options.config.grain) == ("fixed", 0.25)
    assert options.sizes.kernel_size == 9
    np.testing.assert_allclose(options.kernels, kernels, rtol=1e-6)


@pytest.mark.parametrize(
    ("flags", "pixels"),
    [
        ((), sizes.EM_PIXELS),
        (("--effort=best",), None),
        (("--em_iterations=2",), None),
        (("--effort=normal", "--kernel_size=21"), sizes.EM_PIXELS),
    ],
)
def test_normal_effort_runs_em_on_small_photos_unless_it_is_asked_for(flags, pixels):
    options = options_of(*flags)
    assert options.sizes.em_pixels == pixels
    small, large = (
        sizes.resolve(options.config, options.sizes, side, side, "photo").em_iterations
        for side in (256, 512)
    )
    assert small > 0
    assert (large == 0) == (pixels is not None)
    rounded = sizes.resolve(options.config, options.sizes, 256, 256, "photo", coding_std=0.005)
    assert (rounded.em_iterations == 0) == (pixels is not None)
