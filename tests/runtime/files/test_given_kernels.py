"""Kernels from files: read, brought to size, or refused in one sentence."""

import numpy as np
import pytest

from dem_jax.runtime.files import given_kernels


def test_kernels_are_read_and_sum_to_one(tmp_path):
    kernel = np.random.default_rng(0).random((5, 5))
    for number, array in enumerate([kernel, np.stack([kernel, 3 * kernel])]):
        np.save(tmp_path / f"{number}.npy", array)
        kernels = given_kernels.read(str(tmp_path / f"{number}.npy"))
        assert kernels.dtype == np.float32
        assert kernels.shape == (number + 1, 5, 5)
        for found in kernels:
            np.testing.assert_allclose(found, kernel / kernel.sum(), rtol=1e-5)


def test_smaller_kernels_lie_in_the_middle():
    kernel = np.random.default_rng(0).random((1, 5, 5)).astype(np.float32)
    fitted = given_kernels.fit(kernel, 9, (2, 3))
    assert fitted.shape == (1, 9, 9)
    np.testing.assert_array_equal(fitted[:, 2:7, 2:7], kernel)
    assert fitted.sum() == pytest.approx(kernel.sum())


def test_kernels_that_do_not_fit():
    with pytest.raises(ValueError, match="--kernel_size=9 or more"):
        given_kernels.fit(np.ones((1, 9, 9), np.float32), 7, (1, 1))
    with pytest.raises(ValueError, match="2 kernels for 2x3 patches"):
        given_kernels.fit(np.ones((2, 5, 5), np.float32), 7, (2, 3))


BAD = {
    "even": (np.ones((4, 4)), "k odd"),
    "none": (np.ones((0, 3, 3)), r"has shape \(0, 3, 3\)"),
    "oblong": (np.ones((3, 5)), "k odd"),
    "negative": (np.eye(3) - 0.1, "negative"),
    "empty": (np.zeros((3, 3)), "negative, infinite or empty"),
    "nan": (np.full((3, 3), np.nan), "infinite"),
    "text": (np.array(["a"]), "holds no numbers"),
    "objects": (np.array([{}], dtype=object), "cannot be read"),
}


@pytest.mark.parametrize("case", BAD)
def test_files_that_hold_no_kernels(case, tmp_path):
    array, reason = BAD[case]
    np.save(tmp_path / "k.npy", array)
    with pytest.raises(ValueError, match=reason) as error:
        given_kernels.read(str(tmp_path / "k.npy"))
    assert str(error.value).startswith(f"--init_kernels={tmp_path / 'k.npy'}")


def test_other_files(tmp_path):
    (tmp_path / "k.npy").write_text("no array")
    for name in ("k.npy", "absent.npy"):
        with pytest.raises(ValueError, match="cannot be read"):
            given_kernels.read(str(tmp_path / name))
