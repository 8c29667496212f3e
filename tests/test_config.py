"""Settings that cannot be are refused in one sentence, whatever they are."""

import dataclasses
import re

import numpy as np
import pytest

from dem_jax.config import DeblurConfig, ImageNetworkConfig


@pytest.mark.parametrize(("size", "usual"), [(0, 3), (-4, 3), (1, 3), (2, 3), (4, 5), (30, 31)])
def test_a_kernel_size_that_cannot_be_comes_with_one_that_can(size, usual):
    said = f"^kernel_size={size} must be odd and at least 3; try {usual}.$"
    with pytest.raises(ValueError, match=said):
        DeblurConfig(kernel_size=size)
    DeblurConfig(kernel_size=usual)


@pytest.mark.parametrize("value", ["9", 9.0, None, (9,)])
@pytest.mark.parametrize("name", ["kernel_size", "num_chains", "em_iterations"])
def test_what_is_no_whole_number_is_called_so(name, value):
    said = re.escape(f"{name}={value!r} must be a whole number.")
    with pytest.raises(ValueError, match=f"^{said}$"):
        DeblurConfig(**{name: value})


def test_what_is_no_number_is_called_so():
    with pytest.raises(ValueError, match=r"^step_size='0.1' must be a number\.$"):
        DeblurConfig(step_size="0.1")
    with pytest.raises(ValueError, match=r"^channels=None must be a whole number\.$"):
        ImageNetworkConfig(channels=None)


def test_what_is_neither_true_nor_false_is_called_so():
    with pytest.raises(ValueError, match=r"^detail='none' must be True or False\.$"):
        DeblurConfig(detail="none")


def test_numbers_of_arrays_are_numbers():
    made = DeblurConfig(kernel_size=np.int64(9), noise_std=np.float32(0.5), grain=1)
    assert made == dataclasses.replace(DeblurConfig(), kernel_size=9, noise_std=0.5, grain=1)
