"""Pictures for people: their sizes, their places and their scales."""

import numpy as np
import pytest

from dem_jax.runtime.report import pictures


def test_kernels_lie_where_their_patches_do():
    kernels = np.zeros((6, 5, 5), np.float32)
    kernels[np.arange(6), 2, 2] = 1.0
    kernels[4] = 0.0
    kernels[4, 0, 4] = 0.5  # second row, second column; peak in its upper right corner
    picture = pictures.kernels_picture(kernels, (2, 3), cell=5)
    assert picture.shape == (2 * 7, 3 * 7)
    assert picture.dtype == np.uint8
    rows, cols = np.nonzero(picture == 255)
    found = set(zip(rows.tolist(), cols.tolist(), strict=True))
    assert found == {(3, 3), (3, 10), (3, 17), (10, 3), (8, 12), (10, 17)}


def test_uncertainty_is_lighter_where_it_is_larger():
    std = np.full((100, 120, 3), 0.01, np.float32)
    std[:50] = 0.03
    picture = pictures.uncertainty_picture(std)
    assert picture.shape[0] == 100
    assert picture.shape[1] > 120
    grey = picture[:, :120].astype(float).mean(axis=-1)
    assert grey[:50].min() > grey[50:].max()


def test_colours_grow_lighter_evenly():
    luma = pictures._colour(np.linspace(0, 1, 101)) @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(luma) > 0.5).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("length", [0, 1, 4])
def test_page_holds_everything(channels, length):
    rng = np.random.default_rng(0)
    before, after = rng.random((2, 40, 60, channels), dtype=np.float32)
    kernels = rng.random((1, 5, 5), dtype=np.float32)
    history = [{"iteration": i, "negative_log_likelihood": -float(i)} for i in range(length)]
    page = pictures.report_page(
        before, after, kernels, 0.1 * after, grid=(1, 1), history=history, caption="a caption"
    )
    assert page.dtype == np.uint8
    assert page.shape[1] == 1180
    assert (page.shape[0] > 1200) == (length > 0)  # convergence is shown after EM only
    bare = pictures.report_page(
        before, before, kernels, 0.1 * after, grid=(1, 1), history=history, caption="a caption"
    )
    column = slice(600, 1160)
    assert (page[110:300, column] != bare[110:300, column]).mean() > 0.5
    assert (page[110:300, :580] == bare[110:300, :580]).all()


def test_names_with_signs_that_no_font_has_are_written_as_codes(monkeypatch):
    from dem_jax.runtime.report import lettering

    monkeypatch.setattr(lettering, "_wide_fonts", lambda: ())
    _, text = lettering.lettering("café 写真.jpg", 14)
    assert text == "cafe \\u5199\\u771f.jpg"
    _, text = lettering.lettering("plain.jpg", 14)
    assert text == "plain.jpg"


def test_a_font_of_the_system_is_taken_where_it_has_the_signs():
    from dem_jax.runtime.report import lettering

    if not lettering._wide_fonts():
        pytest.skip("this system has no font with many signs")
    _, text = lettering.lettering("café.jpg", 14)
    assert text == "café.jpg"
