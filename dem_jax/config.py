"""The only place where a default lives: frozen, hashable, validated dataclasses."""

import dataclasses


def require(condition: bool, message: str) -> None:
    """Raises ValueError(message) unless `condition` holds."""
    if not condition:
        raise ValueError(message)


@dataclasses.dataclass(frozen=True)
class ImageNetworkConfig:
    """T_f, the untrained U-Net whose output is the latent image."""

    channels: int = 64  # at every level (poster)
    levels: int = 5  # (poster)
    dropout: float = 0.0  # probability, during sampling only
    noise_channels: int = 8  # channels of noise in the input z

    def __post_init__(self) -> None:
        require(self.channels >= 1, f"channels={self.channels} must be at least 1.")
        require(1 <= self.levels <= 8, f"levels={self.levels} must be between 1 and 8.")
        require(0.0 <= self.dropout < 1.0, f"dropout={self.dropout} must be in [0, 1).")


@dataclasses.dataclass(frozen=True)
class KernelNetworkConfig:
    """T_K, the untrained U-Net whose heads are the kernels."""

    channels: tuple[int, ...] = (32, 32, 64, 64)  # (poster)


@dataclasses.dataclass(frozen=True)
class DeblurConfig:
    """Everything `deblur` needs to know besides the photo and the key."""

    kernel_size: int = 31  # pixels, odd
    patch_grid: tuple[int, int] = (1, 1)  # rows, columns; 1x1 is uniform blur
    warm_start: bool = True  # False: the paper's prior in its purest form, from noise
    em_iterations: int = 4
    num_chains: int = 1
    samples_per_chain: int = 4
    burn_in: int = 100  # Langevin steps before the first sample of an E-step
    thinning: int = 10  # Langevin steps between samples
    sampler: str = "psgld"  # sgld, psgld or noisy_adam
    chain_axis: str = "map"  # vmap or map over chains: same numbers, different speed
    image_network: ImageNetworkConfig = ImageNetworkConfig()
    kernel_network: KernelNetworkConfig = KernelNetworkConfig()

    def __post_init__(self) -> None:
        k = self.kernel_size
        require(k >= 3 and k % 2 == 1, f"kernel_size={k} must be odd and at least 3; try {k | 1}.")
        rows, cols = self.patch_grid
        require(rows >= 1 and cols >= 1, f"patch_grid={rows}x{cols} needs at least 1x1 patches.")
