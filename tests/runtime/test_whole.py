"""A photo in one piece: previews."""

import cv2
import numpy as np
from PIL import Image
from small_runs import make_photo, run


def test_previews_and_the_animation(tmp_path):
    make_photo(tmp_path / "a.png")
    status, said = run(tmp_path, ["a.png"], preview_every=2)
    assert status == 0, said
    folder = tmp_path / "out" / "a"
    preview, result = (cv2.imread(str(folder / n)) for n in ("preview.png", "deblurred.png"))
    np.testing.assert_array_equal(preview, result)
    with Image.open(folder / "sharpening.webp") as animation:
        assert animation.n_frames == 4  # before, start, EM 2, after
        assert animation.size == (48, 40)
    run(tmp_path, ["a.png"], overwrite=True)
    assert not (folder / "preview.png").exists()
    assert not (folder / "sharpening.webp").exists()
