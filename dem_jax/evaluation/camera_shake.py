"""Blur sharp pictures as a shaking camera does: ground truth on demand.

Conventions, once: images [H, W, C] float32 in [0, 1]; kernels [k, k] or [P, k, k], k odd, summing
to one and meant for a true convolution; points and displacements are (row, column) in pixels,
counted from 0. A pose is six numbers: a rotation vector (about the row axis, the column axis and
the optical axis, radians) and a translation in units of the scene's distance. T poses make a
camera path, each seen for the same time.

The model of non-uniform blur is that of W.-S. Lai et al., "A Comparative Study for Single Image
Blind Deblurring", CVPR 2016: the photo is the mean of the picture seen through T homographies. All
functions are pure, work under jit and vmap (except the readers) and take the random key first.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np

LAI_PADDING = 20  # pixels added on every side before Lai's camera matrix is formed
LAI_POSE_SCALE = 0.5  # applied to Lai's pose files before they become rotations
_MODES = 12  # cosines of a random smooth curve
_KERNEL_POINTS, _KERNEL_SMOOTHNESS = 400, 1.5  # of a random kernel's path
_POSES, _PATH_SMOOTHNESS = 64, 2.0  # of a random camera path


# --- uniform blur ---------------------------------------------------------------------------------


def blur_uniform(sharp: jax.Array, kernel: jax.Array, *, boundary: str = "replicate") -> jax.Array:
    """True convolution of a picture with one kernel, g = kernel * f.

    Args:
      sharp: [H, W, C] picture.
      kernel: [k, k] kernel.
      boundary: "replicate" repeats the border, the photo keeps its size; "valid" keeps only pixels
        whose whole support is known.

    Returns:
      [H, W, C] photo, or [H-k+1, W-k+1, C] for boundary="valid".
    """
    if boundary not in ("replicate", "valid"):
        raise ValueError(f"boundary={boundary!r} is unknown; use 'replicate' or 'valid'.")
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or kernel.shape[0] % 2 == 0:
        raise ValueError(f"kernel has shape {kernel.shape}; it must be square with an odd side.")
    if boundary == "replicate":
        half = kernel.shape[0] // 2
        sharp = jnp.pad(sharp, ((half, half), (half, half), (0, 0)), mode="edge")
    if min(sharp.shape[:2]) < kernel.shape[0]:
        raise ValueError(
            f"a {kernel.shape[0]}-pixel kernel does not fit into a {sharp.shape[0]}x"
            f"{sharp.shape[1]} picture; use a smaller kernel."
        )

    def convolve(channel: jax.Array) -> jax.Array:
        return jax.scipy.signal.fftconvolve(channel, kernel, mode="valid")

    return jax.vmap(convolve, in_axes=2, out_axes=2)(sharp)


def render_kernel(displacements: jax.Array, kernel_size: int) -> jax.Array:
    """Draws a path of displacements as a kernel, each point shared bilinearly by four pixels.

    Args:
      displacements: [T, 2] (row, column) displacements in pixels; (0, 0) is the kernel's centre.
      kernel_size: odd side k of the kernel.

    Returns:
      [k, k] kernel. It sums to one when the path fits; less by the share of time spent outside.
    """
    _check_kernel_size(kernel_size)
    position = displacements + kernel_size // 2
    offset = position[:, :, None] - jnp.arange(kernel_size)[None, None]
    hat = jnp.maximum(1 - jnp.abs(offset), 0)  # [T, 2, k]
    splat = jnp.einsum("tr,tc->rc", hat[:, 0], hat[:, 1], precision="highest")
    return splat / displacements.shape[0]


def smooth_curve(key: jax.Array, num_points: int, dims: int, *, smoothness: float) -> jax.Array:
    """Random smooth curve x(t) = sum_j a_j cos(pi j t) / j^smoothness, a_j ~ N(0, 1), of mean zero.

    A smoothness of 1.5 looks like a hand, 3 is nearly a line.

    Returns:
      [num_points, dims] positions at equal times, in arbitrary units.
    """
    j = jnp.arange(1, _MODES + 1)[:, None]
    amplitude = jax.random.normal(key, (_MODES, dims)) / j**smoothness
    time = (jnp.arange(num_points)[:, None] + 0.5) / num_points
    return jnp.matmul(jnp.cos(jnp.pi * time * j.T), amplitude, precision="highest")


def random_kernel(
    key: jax.Array,
    kernel_size: int,
    *,
    extent: float | None = None,
) -> jax.Array:
    """Kernel of a random smooth camera path, its bounding box centred.

    Args:
      key: random key.
      kernel_size: odd side k.
      extent: longer side of the path's bounding box, at most k - 1 pixels; default 0.8 (k - 1).

    Returns:
      [k, k] kernel that sums to one.
    """
    _check_kernel_size(kernel_size)
    extent = 0.8 * (kernel_size - 1) if extent is None else extent
    if not 0 <= extent <= kernel_size - 1:
        raise ValueError(f"extent={extent} must lie between 0 and {kernel_size - 1}.")
    curve = smooth_curve(key, _KERNEL_POINTS, 2, smoothness=_KERNEL_SMOOTHNESS)
    low, high = jnp.min(curve, axis=0), jnp.max(curve, axis=0)
    path = (curve - (low + high)[None] / 2) * extent / jnp.max(high - low)
    return render_kernel(path, kernel_size)


# --- camera paths ---------------------------------------------------------------------------------


def camera_matrix(shape: tuple[int, ...]) -> np.ndarray:
    """Lai's camera K for a picture of `shape` (H, W, ...), in (row, column) pixels counted from 0.

    Lai pads the picture by 20 pixels, takes f = max(rows, columns) and the centre (rows / 2,
    columns / 2) of the padded picture, counted from 1.
    """
    rows, cols = shape[:2]
    focal = max(rows, cols) + 2.0 * LAI_PADDING
    return np.array([[focal, 0, rows / 2 - 1], [0, focal, cols / 2 - 1], [0, 0, 1]])


def homographies(poses: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The pixel of the sharp picture that a pixel of the photo sees at each pose.

    H_t = K (R_t + tau_t n^T)^-1 K^-1, with R_t = exp([r_t]_x), n the optical axis, and a flat scene
    at distance one that faces the camera.

    Args:
      poses: [T, 3] rotation vectors, or [T, 6] rotation vectors and translations tau.
      shape: (H, W, ...) of the picture.

    Returns:
      [T, 3, 3]; they act on (row, column, 1).
    """
    if poses.ndim != 2 or poses.shape[1] not in (3, 6):
        raise ValueError(f"poses have shape {poses.shape}; they must be [T, 3] or [T, 6].")
    camera = camera_matrix(shape)
    motion = _rotation_matrices(poses[:, :3])
    if poses.shape[1] == 6:
        motion = motion + poses[:, 3:, None] * jnp.array([[[0.0, 0.0, 1.0]]])
    backward = jnp.linalg.inv(motion)
    dtype = motion.dtype
    inverse_camera = jnp.asarray(np.linalg.inv(camera), dtype)
    return jnp.einsum(
        "ij,tjk,kl->til", jnp.asarray(camera, dtype), backward, inverse_camera, precision="highest"
    )


def apply_homography(homography: jax.Array, points: jax.Array) -> jax.Array:
    """Maps [..., 2] points (row, column) through a [3, 3] homography."""
    ones = jnp.ones_like(points[..., :1])
    mapped = jnp.matmul(jnp.concatenate([points, ones], axis=-1), homography.T, precision="highest")
    return mapped[..., :2] / mapped[..., 2:]


def warp(sharp: jax.Array, homography: jax.Array) -> jax.Array:
    """The [H, W, C] picture seen through a homography: bilinear, border replicated.

    Pixel x of the answer is the picture at homography(x).
    """
    rows, cols, _ = sharp.shape
    grid = jnp.stack(
        jnp.meshgrid(jnp.arange(rows), jnp.arange(cols), indexing="ij"), axis=-1
    ).astype(sharp.dtype)
    source = apply_homography(homography, grid)
    limit = jnp.array([[[rows - 1, cols - 1]]], sharp.dtype)
    source = jnp.clip(source, 0, limit)
    corner = jnp.minimum(jnp.floor(source), jnp.maximum(limit - 1, 0))
    y, x = jnp.moveaxis((source - corner)[..., None], 2, 0)
    r, c = jnp.moveaxis(corner.astype(jnp.int32), 2, 0)
    r1, c1 = jnp.minimum(r + 1, rows - 1), jnp.minimum(c + 1, cols - 1)
    top = (1 - x) * sharp[r, c] + x * sharp[r, c1]
    bottom = (1 - x) * sharp[r1, c] + x * sharp[r1, c1]
    return (1 - y) * top + y * bottom


def blur_along_path(sharp: jax.Array, path: jax.Array) -> jax.Array:
    """The photo g = (1/T) sum_t f(H_t x) taken along a camera path.

    Args:
      sharp: [H, W, C] picture.
      path: [T, 3, 3] homographies from `homographies`.

    Returns:
      [H, W, C] photo.
    """

    def add(total: jax.Array, homography: jax.Array) -> tuple[jax.Array, None]:
        return total + warp(sharp, homography), None

    total, _ = jax.lax.scan(add, jnp.zeros_like(sharp), path.astype(sharp.dtype))
    return total / path.shape[0]


def local_kernels(path: jax.Array, centres: jax.Array, kernel_size: int) -> jax.Array:
    """The truth of a non-uniform blur: the kernels seen at given points of the photo.

    A photo pixel x sees f(H_t x), so the kernel has its mass at the displacements x - H_t x.

    Args:
      path: [T, 3, 3] homographies.
      centres: [P, 2] points (row, column) of the photo.
      kernel_size: odd side k.

    Returns:
      [P, k, k] kernels; one that does not fit into k x k sums to less than one.
    """
    moved = jax.vmap(apply_homography, in_axes=(0, None))(path, centres)  # [T, P, 2]
    displacement = jnp.swapaxes(centres[None] - moved, 0, 1)
    return jax.vmap(lambda d: render_kernel(d, kernel_size))(displacement)


def path_extent(path: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Longest side [pixels] of the bounding boxes of the kernels at the corners and the centre."""
    rows, cols = shape[0] - 1, shape[1] - 1
    points = jnp.array(
        [[0, 0], [0, cols], [rows, 0], [rows, cols], [rows / 2, cols / 2]], path.dtype
    )
    moved = jax.vmap(apply_homography, in_axes=(0, None))(path, points)
    return jnp.max(jnp.max(moved, axis=0) - jnp.min(moved, axis=0))


def scale_path(poses: jax.Array, shape: tuple[int, ...], extent: float) -> jax.Array:
    """Scales poses so that the largest kernel in the picture is `extent` pixels long."""
    for _ in range(3):  # displacements are nearly linear in the pose: this converges at once
        poses = poses * extent / path_extent(homographies(poses, shape), shape)
    return poses


def random_rotation_path(
    key: jax.Array,
    shape: tuple[int, ...],
    *,
    extent: float,
    translation: float = 0.5,
    num_poses: int = _POSES,
) -> jax.Array:
    """Random smooth roll about a random point away from the centre, plus a smooth translation.

    Args:
      key: random key.
      shape: (H, W, ...) of the picture.
      extent: length in pixels of the largest kernel anywhere in the picture.
      translation: size of the translation relative to the rotation, at the picture's border.
      num_poses: T.

    Returns:
      [T, 6] poses of mean zero, for `homographies`.
    """
    centre_key, path_key = jax.random.split(key)
    direction = jax.random.uniform(centre_key, (), maxval=2 * jnp.pi)
    pivot = 0.25 * jnp.stack([jnp.sin(direction), jnp.cos(direction)])  # in focal lengths
    curve = smooth_curve(path_key, num_poses, 3, smoothness=_PATH_SMOOTHNESS)
    roll = curve[:, 0]
    # x -> x + roll (axis x (x - pivot)), to first order
    lever = jnp.stack([pivot[1], -pivot[0]])[None]
    shift = roll[:, None] * lever + 0.5 * translation * curve[:, 1:]
    zero = jnp.zeros_like(roll)
    poses = jnp.stack([zero, zero, roll, shift[:, 0], shift[:, 1], zero], axis=1)
    # The shape of the path is fixed now; its size is small enough for "to first order".
    return scale_path(1e-2 * poses, shape, extent)


def random_path(
    key: jax.Array,
    shape: tuple[int, ...],
    *,
    extent: float,
) -> jax.Array:
    """Random smooth path in all six degrees of freedom.

    Pitch and yaw move the whole picture, so they and the translations in the picture's plane are
    drawn half as large as roll and the motion along the optical axis.

    Returns:
      [T, 6] poses of mean zero whose largest kernel is `extent` pixels long.
    """
    weight = jnp.array([[0.5, 0.5, 1.0, 0.5, 0.5, 1.0]])
    poses = smooth_curve(key, _POSES, 6, smoothness=_PATH_SMOOTHNESS) * weight
    return scale_path(1e-2 * poses, shape, extent)


# --- gyroscope logs and pose files ----------------------------------------------------------------


def gyro_poses(log: np.ndarray, info: np.ndarray) -> np.ndarray:
    """Rotation vectors during the exposure, from a phone's gyroscope log, as Lai et al. do it.

    Args:
      log: [N, 7]; columns 3 to 5 are angular rates in rad/s, column 6 is the time in s.
      info: [4]; exposure lies between info[2] - 0.08 - info[1] and info[2] - 0.07.

    Returns:
      [T, 3] rotation vectors in radians relative to the first pose, before Lai's factor 0.5.
    """
    samples = np.arange(log.shape[0])
    fine = np.linspace(0, log.shape[0] - 1, 3 * (log.shape[0] - 1) + 1)
    columns = [np.interp(fine, samples, log[:, column]) for column in (3, 4, 5, 6)]
    rate, time = np.stack(columns[:3], axis=1), columns[3]
    angle = np.cumsum(rate[1:] * np.diff(time)[:, None], axis=0)
    start = time[:-1]  # Lai's script dates a step by its beginning
    during = (start >= info[2] - 0.08 - info[1]) & (start < info[2] - 0.07)
    poses = angle[during][:-1]
    if len(poses) == 0:
        raise ValueError("the gyroscope log holds no sample during the exposure; check info.txt.")
    return -(poses - poses[0])


def read_gyro_log(directory: str | os.PathLike[str]) -> np.ndarray:
    """[T, 3] rotation vectors, Lai's factor 0.5 applied, from a folder's gyro.txt and info.txt."""
    log = _read_table(os.path.join(directory, "gyro.txt"), 7)
    info = _read_table(os.path.join(directory, "info.txt"), 4)
    return LAI_POSE_SCALE * gyro_poses(log, info[0])


def read_poses(file: str | os.PathLike[str]) -> np.ndarray:
    """[T, 3] rotation vectors, Lai's factor 0.5 applied, from a pose file (one row a pose)."""
    return LAI_POSE_SCALE * _read_table(file, 3)


# --- the sensor -----------------------------------------------------------------------------------


def gaussian_noise(key: jax.Array, photo: jax.Array, std: float) -> jax.Array:
    """Photo plus N(0, std^2) per pixel and channel; std in units of the image range."""
    return photo + std * jax.random.normal(key, photo.shape, photo.dtype)


def poisson_noise(key: jax.Array, photo: jax.Array, electrons: float) -> jax.Array:
    """Shot noise, Poisson(electrons * photo) / electrons: `electrons` fill a white pixel."""
    counts = jax.random.poisson(key, electrons * jnp.maximum(photo, 0))
    return counts.astype(photo.dtype) / electrons


def uniform_noise(key: jax.Array, photo: jax.Array, high: float = 0.01) -> jax.Array:
    """Photo plus U[0, high]: the noise of Lai's data sets, whose mean is high / 2, not zero."""
    return photo + jax.random.uniform(key, photo.shape, photo.dtype, maxval=high)


def expose(photo: jax.Array, *, gain: float = 1.0, bits: int | None = None) -> jax.Array:
    """Saturation and quantisation: clip(gain * photo, 0, 1), rounded to `bits` bits if given."""
    clipped = jnp.clip(gain * photo, 0, 1)
    if bits is None:
        return clipped
    levels = 2**bits - 1
    return jnp.round(clipped * levels) / levels


# --- helpers --------------------------------------------------------------------------------------


def _rotation_matrices(vectors: jax.Array) -> jax.Array:
    """Rodrigues' formula, [T, 3] rotation vectors -> [T, 3, 3] matrices, smooth at zero."""
    x, y, z = vectors[:, 0], vectors[:, 1], vectors[:, 2]
    zero = jnp.zeros_like(x)
    cross = jnp.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    angle = jnp.sqrt(jnp.sum(vectors**2, axis=1))[:, None, None]
    sine = jnp.sinc(angle / jnp.pi)
    cosine = 0.5 * jnp.sinc(angle / (2 * jnp.pi)) ** 2
    square = jnp.einsum("tij,tjk->tik", cross, cross, precision="highest")
    return jnp.eye(3, dtype=vectors.dtype)[None] + sine * cross + cosine * square


def _check_kernel_size(kernel_size: int) -> None:
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size={kernel_size} must be odd and positive.")


def _read_table(file: str | os.PathLike[str], columns: int) -> np.ndarray:
    try:
        table = np.loadtxt(file, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{os.fspath(file)} is not a table of numbers: {error}") from error
    if table.shape[1] != columns:
        raise ValueError(f"{os.fspath(file)} has {table.shape[1]} columns; {columns} are expected.")
    return table
