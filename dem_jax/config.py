"""The settings: frozen, hashable, validated dataclasses. Their defaults live here and nowhere else.

The defaults are the recommended settings of two CPU cores, and EFFORTS has those for less and for
more time. A field's metadata say what it is for: `help` is one sentence or two, and `flag` tells
whether the command line has a flag of that name. What nobody needs to set is a constant beside its
use.
"""

import dataclasses
import numbers
from typing import Any

SAMPLERS = ("sgld", "psgld", "noisy_adam")
CHAIN_AXES = ("map", "vmap")
KERNELS = ("auto", "network", "free", "fixed")
_KINDS: dict[Any, tuple[type, str]] = {
    int: (numbers.Integral, "a whole number"),
    float: (numbers.Real, "a number"),
    bool: (bool, "True or False"),
}


def require(condition: bool, message: str) -> None:
    """Raises ValueError(message) unless `condition` holds."""
    if not condition:
        raise ValueError(message)


def require_odd(kernel_size: int, what: str = "kernel_size") -> None:
    """Raises ValueError for a side that kernels with a middle cannot have."""
    usual = max(3, kernel_size | 1)
    require(kernel_size == usual, f"{what}={kernel_size} must be odd and at least 3; try {usual}.")


def require_kinds(config: Any) -> None:
    """Raises ValueError for a field of a dataclass that is no number or truth where it must be."""
    for field in dataclasses.fields(config):
        if field.type in _KINDS:
            kind, called = _KINDS[field.type]
            value = getattr(config, field.name)
            require(isinstance(value, kind), f"{field.name}={value!r} must be {called}.")


def setting(default: Any, help: str, *, flag: bool = True) -> Any:
    """A field with its default, and the sentence that says when to touch it."""
    return dataclasses.field(default=default, metadata={"help": help, "flag": flag})


@dataclasses.dataclass(frozen=True)
class ImageNetworkConfig:
    """T_f, the untrained U-Net whose output is the latent image."""

    channels: int = setting(
        32, "Width of T_f at every level; the paper's poster has 64, which doubles the time on CPU."
    )
    levels: int = setting(
        5,
        "Depth of T_f; the paper's poster has 5, and fewer are only for checking an installation.",
    )
    bfloat16: bool = setting(
        False, "Convolutions of T_f in bfloat16; --precision=bfloat16 sets it.", flag=False
    )
    remat: bool = setting(
        False,
        "Gradients compute all but the convolutions again: less memory on accelerators.",
        flag=False,
    )

    def __post_init__(self) -> None:
        require_kinds(self)
        require(self.channels >= 1, f"channels={self.channels} must be at least 1.")
        require(1 <= self.levels <= 8, f"levels={self.levels} must be between 1 and 8.")


@dataclasses.dataclass(frozen=True)
class KernelNetworkConfig:
    """T_K, the untrained U-Net whose heads are the kernels."""

    channels: tuple[int, ...] = setting(
        (32, 32, 64, 64),
        "Width of T_K level by level; these are those of the paper's poster.",
        flag=False,
    )


@dataclasses.dataclass(frozen=True)
class DeblurConfig:
    """Everything `deblur` needs to know besides the photo and the key."""

    # The blur. The command line has flags of its own for these two, which also take `auto`.
    kernel_size: int = setting(31, "Side of the kernels in pixels, odd.", flag=False)
    patch_grid: tuple[int, int] = setting(
        (1, 1),
        "Rows and columns of patches with own kernels; 1x1 is uniform.",
        flag=False,
    )
    kernels: str = setting(
        "auto",
        "Prior on the kernels: network is the paper's T_K, free has none and suits one kernel, "
        "fixed keeps those of --init_kernels; auto is free for one kernel, network for a grid.",
    )
    warm_start: bool = setting(
        True, "False looks for no kernels first: EM begins with flat ones.", flag=False
    )
    # Monte Carlo EM.
    em_iterations: int = setting(
        2,
        "E-steps, with an M-step between each two; give more where the report says that kernels "
        "still change, 0 for the start's deconvolution alone.",
    )
    num_chains: int = setting(
        1, "Langevin chains, each with a T_f of its own; more make the kernels steadier."
    )
    samples_per_chain: int = setting(
        4, "Posterior samples that each chain gives an M-step; more make the kernels steadier."
    )
    burn_in: int = setting(
        40, "Langevin steps before the first sample of an E-step; fewer are faster and smoother."
    )
    thinning: int = setting(
        5, "Langevin steps between two samples; fewer are faster, and the samples more alike."
    )
    sampler: str = setting(
        "psgld",
        "Langevin sampler: psgld is preconditioned. For comparisons, sgld is the paper's eq. (4), "
        "with a small --step_size, and noisy_adam is what the authors' public code does.",
    )
    step_size: float = setting(
        0.01, "First step size of the sampler, which decays by a cosine to 5 %; 1e-11 suits sgld."
    )
    temperature: float = setting(
        1e-4, "Of the sampler; for noisy_adam its noise over its step size.", flag=False
    )
    chain_axis: str = setting(
        "map", "map runs chains one after the other, vmap side by side: same numbers.", flag=False
    )
    m_steps: int = setting(
        100,
        "Steps of Adam or of least squares in every M-step; 0 leaves the kernels as they start.",
    )
    m_learning_rate: float = setting(
        1e-4, "Of Adam on theta_K; that of the paper's poster.", flag=False
    )
    # The photo and the result.
    noise_std: float = setting(
        0.0,
        "The photo's noise in units of the image range; give it where it is known, 0 estimates it.",
    )
    detail: bool = setting(
        True, "EM's images are T_f's and fine detail beside it; false: T_f's alone, as the paper's."
    )
    camera_softness: bool = setting(
        True,
        "The result is as soft as a camera's photo of the place, which thick kernels tell; false "
        "leaves it as sharp as can be, as rendered pictures are.",
    )
    detail_iterations: int = setting(30, "Conjugate gradient steps for the detail.", flag=False)
    refinement: float = setting(
        0.9,
        "Part of EM's result that is a deconvolution with its kernels, 0 to 1; less is smoother, "
        "with fewer rings.",
    )
    grain: float = setting(
        0.0, "Part of the photo's noise that EM's result keeps, 0 to 1; film may want 1."
    )
    image_network: ImageNetworkConfig = ImageNetworkConfig()
    kernel_network: KernelNetworkConfig = KernelNetworkConfig()

    def __post_init__(self) -> None:
        require_kinds(self)
        require_odd(self.kernel_size)
        rows, cols = self.patch_grid
        require(rows >= 1 and cols >= 1, f"patch_grid={rows}x{cols} needs at least 1x1 patches.")
        for name in ("num_chains", "samples_per_chain", "thinning"):
            value = getattr(self, name)
            require(value >= 1, f"{name}={value} must be at least 1.")
        for name in ("em_iterations", "burn_in", "m_steps", "temperature", "noise_std"):
            value = getattr(self, name)
            require(value >= 0, f"{name}={value} must be zero or positive.")
        for name in ("grain", "refinement"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{name}={value} must be between 0 and 1.")
        require(
            self.warm_start or self.kernels != "fixed",
            "kernels=fixed keeps the start's kernels, so it needs warm_start=true.",
        )
        for name in ("step_size", "m_learning_rate"):
            value = getattr(self, name)
            require(value > 0, f"{name}={value} must be positive.")
        for name, allowed in (
            ("sampler", SAMPLERS),
            ("chain_axis", CHAIN_AXES),
            ("kernels", KERNELS),
        ):
            value = getattr(self, name)
            require(value in allowed, f"{name}={value} must be one of {', '.join(allowed)}.")


EFFORTS = {
    "quick": DeblurConfig(em_iterations=0),
    "normal": DeblurConfig(),
    "best": DeblurConfig(
        kernels="network",
        em_iterations=4,
        burn_in=100,
        thinning=10,
        m_steps=50,
        image_network=ImageNetworkConfig(channels=64),
    ),
}
