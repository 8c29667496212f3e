"""One screen for a newcomer, and every flag for who wants more."""

import pathlib
import re

from dem_jax import main
from dem_jax.runtime.command.flags import define_flags
from dem_jax.runtime.command.help import FIRST_FLAGS

CONFIGS = pathlib.Path(__file__).parents[3] / "configs"


def test_help_tells_a_newcomer_how(capsys):
    assert main.run(["--help"]) == 0
    text = capsys.readouterr().out
    assert "\n  dem-jax photo.jpg " in text
    assert re.findall(r"^  --(\w+)", text, re.M) == list(FIRST_FLAGS)
    assert len(text.splitlines()) <= 40  # one screen
    assert max(map(len, text.splitlines())) <= 100
    assert "default: 31" not in text  # kernel_size is auto


def test_full_help_has_every_flag_once(capsys):
    assert main.run(["--helpfull"]) == 0
    text = capsys.readouterr().out
    names = re.findall(r"^  --([\w.]+)", text, re.M)
    assert sorted(names) == sorted(set(define_flags()) - {"help", "helpfull", "h"})
    for path in CONFIGS.glob("*.flags"):
        assert path.stem in text
