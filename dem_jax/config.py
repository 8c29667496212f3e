"""The only place where a default lives: frozen, hashable, validated dataclasses."""

import dataclasses

SAMPLERS = ("sgld", "psgld", "noisy_adam")
CHAIN_AXES = ("map", "vmap")
M_DOMAINS = ("derivatives", "photo")
KERNELS = ("estimated", "free", "fixed")


def require(condition: bool, message: str) -> None:
    """Raises ValueError(message) unless `condition` holds."""
    if not condition:
        raise ValueError(message)


@dataclasses.dataclass(frozen=True)
class ImageNetworkConfig:
    """T_f, the untrained U-Net whose output is the latent image."""

    channels: int = 64  # at every level (poster)
    levels: int = 5  # of the U-Net (poster)
    dropout: float = 0.0  # probability, during sampling only
    noise_channels: int = 8  # channels of noise in the input z
    bfloat16: bool = False  # convolutions in bfloat16; all else stays float32
    remat: bool = False  # gradients compute all but convolutions again: less memory, not on CPU

    def __post_init__(self) -> None:
        require(self.channels >= 1, f"channels={self.channels} must be at least 1.")
        require(1 <= self.levels <= 8, f"levels={self.levels} must be between 1 and 8.")
        require(0.0 <= self.dropout < 1.0, f"dropout={self.dropout} must be in [0, 1).")
        require(
            self.noise_channels >= 1, f"noise_channels={self.noise_channels} must be at least 1."
        )


@dataclasses.dataclass(frozen=True)
class KernelNetworkConfig:
    """T_K, the untrained U-Net whose heads are the kernels."""

    channels: tuple[int, ...] = (32, 32, 64, 64)  # level by level (poster)


@dataclasses.dataclass(frozen=True)
class WarmStartConfig:
    """The classical estimate that EM starts from."""

    sparsity: tuple[float, ...] = (8e-3, 1.6e-2, 3.2e-2)  # L0 weight of every start, image units^2
    reach: tuple[float, ...] = (1.0, 0.83, 0.67)  # part of the kernel size each start may use
    path_sparsity: tuple[float, ...] = (1.6e-2, 3.2e-2)  # the same for starts along a path
    line_sparsity: tuple[float, ...] = (2e-3,)  # the same from the motion that the spectrum shows
    alternations: int = 5  # of image and kernel at every level of the pyramid
    splittings: int = 24  # half-quadratic steps for every image
    ridge: float = 2e-3  # on the kernel, relative to the power of the image's gradient
    least_entry: float = 0.02  # smaller kernel entries, relative to the largest, are dropped
    least_island: float = 0.05  # smaller separate parts of the kernel, by mass, are dropped
    strong_edges: float = 0.33  # part of a single kernel that they give, see from_strong_edges
    smoothness: float = 1.5  # of the deconvolved image: prior weight over error variance
    model_std: float = 0.008  # error of a first kernel's model, image units, beside the noise
    path_model_std: float = 0.012  # the same for kernels of a grid, before and after EM

    def __post_init__(self) -> None:
        require(
            len(self.sparsity) == len(self.reach) >= 1,
            f"sparsity has {len(self.sparsity)} and reach {len(self.reach)} entries; "
            "give both for every start.",
        )
        require(
            0 <= self.strong_edges <= 1,
            f"start.strong_edges={self.strong_edges} must be between 0 and 1.",
        )
        require(
            bool(self.path_sparsity or self.line_sparsity),
            "path_sparsity and line_sparsity are both empty; give at least one start.",
        )


@dataclasses.dataclass(frozen=True)
class SoftConfig:
    """What differs for photos that are soft even where nothing moved, as most cameras' are.

    Which they are the photo tells, see `em.detail.expected`.
    """

    least_misfit: float = 1.2  # of the start, in noise_std: from here on soft; 0: always soft
    detail_std: float = 0.03  # as in DeblurConfig, and so are the others
    m_detail: float = 0.5
    spread: float = 1.0
    displacement_std: float = 0.4

    def __post_init__(self) -> None:
        for name in ("least_misfit", "spread", "displacement_std"):
            value = getattr(self, name)
            require(value >= 0, f"soft.{name}={value} must be zero or positive.")
        require(
            self.detail_std > 0,
            f"soft.detail_std={self.detail_std} must be positive; detail_std=0 leaves out all.",
        )
        require(0 <= self.m_detail <= 1, f"soft.m_detail={self.m_detail} must be between 0 and 1.")


@dataclasses.dataclass(frozen=True)
class DeblurConfig:
    """Everything `deblur` needs to know besides the photo and the key."""

    kernel_size: int = 31  # pixels, odd
    patch_grid: tuple[int, int] = (1, 1)  # rows, columns; 1x1 is uniform blur
    warm_start: bool = True  # false: the paper's prior in its purest form, from noise
    kernels: str = "estimated"  # by T_K; free: without T_K; fixed: those of the start, no M-step
    em_iterations: int = 4  # E-steps, with an M-step between each two
    num_chains: int = 1  # Langevin chains in parallel, each with a T_f of its own
    samples_per_chain: int = 4  # n_s = num_chains x samples_per_chain
    burn_in: int = 100  # Langevin steps before the first sample of an E-step
    thinning: int = 10  # Langevin steps between samples
    sampler: str = "psgld"  # sgld (eq. 4), psgld (preconditioned) or noisy_adam
    step_size: float = 0.01  # of the sampler at the start; decays by a cosine to 5 % (poster: 0.01)
    temperature: float = 1e-4  # of the sampler; noisy_adam: noise over step size
    chain_axis: str = "map"  # map or vmap over chains: same numbers, different speed
    m_steps: int = 50  # of Adam on theta_K, or of least squares on free kernels, in every M-step
    m_learning_rate: float = 1e-4  # of Adam on theta_K (poster)
    m_domain: str = "derivatives"  # likelihood of the M-step on derivatives or on the photo
    m_detail: float = 1.0  # part of the detail beside T_f that the M-step's images hold, 0 to 1
    m_edge: float = 0.03  # smaller differences of T_f's images do not enter the M-step, image units
    noise_std: float = 0.0  # of the photo, image units; 0 estimates it along the way
    model_std: float = 0.005  # error of EM's one kernel's model, image units, for the refinement
    refinement: float = 0.75  # part of a deconvolution with EM's kernels in the result, 0 to 1
    grain: float = 0.0  # part of the photo's noise that the result keeps: 0 none, 1 all
    weight_std: float = 10.0  # of the Gaussian prior on the weights of T_f
    detail_std: float = 0.1  # of detail beside T_f, per pixel difference; 0 leaves it out
    detail_iterations: int = 30  # conjugate gradient steps for the detail
    spread: float = 0.5  # of the samples' deviation that counts in the result's standard deviation
    displacement_std: float = 0.3  # pixels; errors of the kernels displace what the image shows
    soft: SoftConfig = SoftConfig()
    image_network: ImageNetworkConfig = ImageNetworkConfig()
    kernel_network: KernelNetworkConfig = KernelNetworkConfig()
    start: WarmStartConfig = WarmStartConfig()

    def __post_init__(self) -> None:
        k = self.kernel_size
        require(k >= 3 and k % 2 == 1, f"kernel_size={k} must be odd and at least 3; try {k | 1}.")
        rows, cols = self.patch_grid
        require(rows >= 1 and cols >= 1, f"patch_grid={rows}x{cols} needs at least 1x1 patches.")
        for name in ("em_iterations", "num_chains", "samples_per_chain", "thinning"):
            value = getattr(self, name)
            require(value >= 1, f"{name}={value} must be at least 1.")
        for name in (
            "burn_in",
            "m_steps",
            "temperature",
            "noise_std",
            "grain",
            "detail_std",
            "displacement_std",
            "spread",
            "m_edge",
        ):
            value = getattr(self, name)
            require(value >= 0, f"{name}={value} must be zero or positive.")
        for name in ("grain", "m_detail", "refinement"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{name}={value} must be between 0 and 1.")
        require(
            self.warm_start or self.kernels != "fixed",
            "kernels=fixed keeps the start's kernels, so it needs warm_start=true.",
        )
        for name in ("step_size", "m_learning_rate", "weight_std"):
            value = getattr(self, name)
            require(value > 0, f"{name}={value} must be positive.")
        for name, allowed in (
            ("sampler", SAMPLERS),
            ("chain_axis", CHAIN_AXES),
            ("m_domain", M_DOMAINS),
            ("kernels", KERNELS),
        ):
            value = getattr(self, name)
            require(value in allowed, f"{name}={value} must be one of {', '.join(allowed)}.")
