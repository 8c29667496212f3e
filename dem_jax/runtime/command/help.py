"""What --help and --helpfull print."""

import textwrap

from absl import flags

from dem_jax import __version__
from dem_jax.config import DeblurConfig
from dem_jax.runtime.command.flags import config_fields

USAGE = f"""dem_jax {__version__}: sharpens photos that a shaking camera blurred.

  dem-jax photo.jpg                     the sharp photo is photo_deblurred/deblurred.png
  dem-jax holiday/ 'more/*.png'         folders and globs; each result goes beside its photo
  dem-jax photo.jpg --effort=quick      no networks: a small photo takes half the time
  dem-jax sample:clock                  a bundled photo
  dem-jax serve                         the same on a page in the browser

Beside the sharp photo are report.html (open it in a browser: it says how sure the result is), the
blur that was found, and run.json. A photo that is finished is skipped; --overwrite does it again.
"""
_HELP_WIDTH = 100  # columns
FIRST_FLAGS = ("effort", "output_dir", "crop", "kernel_size", "blur")
MORE = """Standard output holds the finished pictures' paths; all else goes to standard error.
Exit status: 0 all done, 1 a photo failed (the others are finished), 2 bad flags (nothing written),
75 stopped by SIGTERM: what was reached is saved, and the same command goes on from there.
More flags: dem-jax --helpfull"""
FLAGFILES = """Flagfiles hold flags for a purpose; give --flagfile=NAME, and flags after it win:
nonuniform (where the camera also turned), large (many megapixels on a small machine), paper (the
published method), smoke (checks an installation), quickstart and best (the efforts normal and
best)."""


def help_text(values: flags.FlagValues, *, full: bool = False) -> str:
    """What --help prints, or in `full` what --helpfull does."""
    defaults = {name: default for name, default, _ in config_fields(DeblurConfig())}

    def describe(name: str) -> str:
        default = defaults.get(name, values[name].default)
        ending = "" if default is None else f" (default: {default})"
        text = " ".join(values[name].help.split()).split("; repeat this option")[0]
        choices, _, text = text[1:].partition(">: ") if text.startswith("<") else ("", "", text)
        wrapped = textwrap.wrap(text + ending, _HELP_WIDTH - 6)
        heading = f"  --{name}={choices}" if choices else f"  --{name}"
        return "\n".join([heading, *[f"      {line}" for line in wrapped]])

    lines = [USAGE, *map(describe, FIRST_FLAGS), "", MORE]
    if full:
        hidden = (*FIRST_FLAGS, "help", "helpfull", "h")
        lines[-1] = MORE.rpartition("\n")[0]
        lines += ["", FLAGFILES, "", "More flags:"]
        lines += [describe(name) for name in values if name not in hidden]
    return "\n".join(lines)
