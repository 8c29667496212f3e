"""Published averages, to print beside ours: data, copied by hand from the papers named.

POSTER: Li, Wang, Nan, Ji, "Self-supervised Blind Motion Deblurring with Deep Expectation
Maximization", CVPR 2023 (this package's method, "MCEM"). INR: the tables of "Deblur-INR", NeurIPS
2024, which score every method by one protocol. Numbers are PSNR in dB unless the column says more.
"""

from typing import NamedTuple

POSTER = "CVPR 2023 poster of the method"
INR = "Deblur-INR, NeurIPS 2024"


class Table(NamedTuple):
    """Rows of one published table."""

    title: str
    source: str
    columns: tuple[str, ...]  # of the numbers
    rows: tuple[tuple[str | float | None, ...], ...]  # method, then a number (or None) per column


LEVIN = Table(
    "Levin, 32 photos",
    f"{INR}, Table 11; 'MCEM/VDIP' rows: its labels contradict each other",
    ("PSNR", "SSIM", "error ratio (spectral)"),
    (
        ("known kernel", 34.53, 0.949, 1.000),
        ("Krishnan", 29.88, 0.866, 2.452),
        ("Cho and Lee", 30.57, 0.896, 1.711),
        ("Levin", 30.80, 0.909, 1.772),
        ("Xu and Jia", 31.67, 0.916, 1.489),
        ("Sun", 32.99, 0.933, 1.284),
        ("Zuo", 32.66, 0.933, 1.250),
        ("Pan-DCP", 32.69, 0.928, 1.255),
        ("BlindDPS", 14.91, None, None),
        ("SelfDeblur", 33.07, 0.931, 1.196),
        ("MCEM/VDIP", 32.81, 0.927, 1.273),
        ("MCEM/VDIP", 33.12, 0.929, 1.188),
        ("Deblur-INR", 33.74, 0.938, 1.185),
    ),
)

LAI_UNIFORM = Table(
    "Lai uniform, 100 photos ((k): estimated kernel with Krishnan-Fergus deconvolution)",
    f"{INR}, Table 1",
    ("manmade", "natural", "people", "saturated", "text", "average", "SSIM"),
    (
        ("Xu and Jia (k)", 19.23, 23.03, 25.32, 14.79, 18.56, 20.18, 0.708),
        ("Pan-DCP (k)", 18.59, 22.60, 24.03, 16.52, 17.42, 19.89, 0.666),
        ("Yan ECP (k)", 19.32, 23.69, 27.01, 16.46, 18.64, 21.02, 0.675),
        ("Yang and Ji VEM (k)", 19.99, 24.33, 27.22, 17.04, 20.35, 21.79, 0.704),
        ("SelfDeblur", 20.35, 22.05, 25.94, 16.35, 20.16, 20.97, 0.752),
        ("DEBID", 22.14, 26.18, 31.25, 18.43, 23.00, 24.20, 0.831),
        ("MCEM", 23.06, 26.00, 31.02, 17.21, 25.46, 24.55, 0.800),
        ("VDIP", 22.86, 26.18, 30.76, 18.55, 27.24, 25.12, 0.869),
        ("Deblur-INR", 23.24, 26.27, 31.53, 17.76, 27.01, 25.16, 0.879),
    ),
)

LAI_NONUNIFORM = Table(
    "Lai non-uniform, 100 photos",
    f"{POSTER}, Table 2; rotation aligned",
    ("manmade", "natural", "people", "saturated", "text", "average"),
    (
        ("Whyte", None, None, None, None, None, 18.57),
        ("Cho", None, None, None, None, None, 18.81),
        ("Zamir", None, None, None, None, None, 18.90),
        ("Li", None, None, None, None, None, 19.25),
        ("Liu", None, None, None, None, None, 19.80),
        ("Vasu", None, None, None, None, None, 20.45),
        ("Xu", None, None, None, None, None, 20.53),
        ("Kupyn", None, None, None, None, None, 20.94),
        ("Tao", None, None, None, None, None, 21.27),
        ("MCEM", 19.17, 22.70, 26.90, 21.46, 21.91, 22.42),
    ),
)

KOEHLER = Table(
    "Koehler, 48 photos, lossless frames",
    f"{POSTER}, Table 1, and {INR}, Table 2 (rows with MSSIM)",
    ("image 1", "image 2", "image 3", "image 4", "average", "MSSIM"),
    (
        ("Liu", None, None, None, None, 25.02, None),
        ("Cho (learned)", None, None, None, None, 25.34, None),
        ("SelfDeblur", None, None, None, None, 25.85, 0.792),
        ("Zamir", None, None, None, None, 26.32, None),
        ("Tao", None, None, None, None, 26.85, None),
        ("Li", None, None, None, None, 26.89, None),
        ("Kupyn", None, None, None, None, 26.97, None),
        ("Xu", None, None, None, None, 27.34, 0.796),
        ("Hirsch", None, None, None, None, 27.77, 0.852),
        ("Whyte (poster)", None, None, None, None, 27.84, None),
        ("Whyte (Deblur-INR)", None, None, None, None, 28.07, 0.848),
        ("Cho and Lee", None, None, None, None, 28.98, 0.933),
        ("VDIP", None, None, None, None, 29.58, 0.922),
        ("Vasu", None, None, None, None, 29.89, 0.927),
        ("Kaufman and Fattal", None, None, None, None, 30.17, 0.915),
        ("MCEM", 32.41, 26.84, 33.18, 28.60, 30.26, 0.940),
        ("Deblur-INR", None, None, None, None, 30.69, 0.942),
    ),
)
