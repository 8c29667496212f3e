"""`sample:NAME`: pictures that come with scikit-image's wheel, so that nothing is downloaded."""

import importlib.util
import pathlib

PREFIX = "sample:"
FILES = {
    "clock": "clock_motion.png",  # a real photo with motion blur
    "astronaut": "astronaut.png",
    "camera": "camera.png",
    "coffee": "coffee.png",
    "cat": "chelsea.png",
}


def sample_path(name: str) -> pathlib.Path:
    """Path of the picture called `name`.

    Raises:
      ValueError: for an unknown name, or when the installed scikit-image does not hold it.
    """
    if name not in FILES:
        raise ValueError(f"{PREFIX}{name} is not a sample picture; there are {', '.join(FILES)}.")
    spec = importlib.util.find_spec("skimage")
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        path = pathlib.Path(folder, "data", FILES[name])
        if path.is_file():
            return path
    raise ValueError(
        f"{PREFIX}{name} needs scikit-image, which is missing or has no sample pictures; "
        "run 'pip install scikit-image'."
    )
