"""The network of dem_jax.model.image_network in PyTorch, channels_last, timed on request.

Run by gradient_step.py. Every line on standard input asks for one round of steps; the answer is the
median time of a step of that round and its processor time, in seconds.
"""

import argparse
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, size: int = 3):
        super().__init__(
            nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False),
            nn.BatchNorm2d(outputs, track_running_stats=False),
            nn.LeakyReLU(0.2, inplace=True),
        )


class Merge(nn.Module):
    """Normalised sum of the convolved skip connection and the interpolated deeper features."""

    def __init__(self, skip: int, deep: int, outputs: int):
        super().__init__()
        self.deep = nn.Conv2d(deep, outputs, 3, padding=1, bias=False)
        self.skip = nn.Conv2d(skip, outputs, 3, padding=1, bias=False)
        self.after = nn.Sequential(
            nn.BatchNorm2d(outputs, track_running_stats=False), nn.LeakyReLU(0.2, inplace=True)
        )

    def forward(self, skip: torch.Tensor, deep: torch.Tensor) -> torch.Tensor:
        deep = F.interpolate(self.deep(deep), scale_factor=2, mode="bilinear")
        return self.after(self.skip(skip) + deep[..., : skip.shape[2], : skip.shape[3]])


class UNet(nn.Module):
    def __init__(self, inputs: int, channels: int, levels: int, skip: int = 16):
        super().__init__()
        widths = [inputs] + [channels] * (levels - 1)
        self.skips = nn.ModuleList(Block(n, skip, 1) for n in widths)
        self.downs = nn.ModuleList(
            nn.Sequential(
                nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False),
                Block(n, channels),
                Block(channels, channels),
            )
            for n in widths
        )
        self.merges = nn.ModuleList(Merge(skip, channels, channels) for _ in widths)
        self.ups = nn.ModuleList(Block(channels, channels, 1) for _ in widths)
        self.logits = nn.Conv2d(channels, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for skip, down in zip(self.skips, self.downs, strict=True):
            skips.append(skip(x))
            x = down(x)
        for level in reversed(range(len(skips))):
            x = self.ups[level](self.merges[level](skips[level], x))
        return torch.sigmoid(self.logits(x))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("size", 256), ("channels", 64), ("levels", 5), ("inputs", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    layout = {"memory_format": torch.channels_last}
    network = UNet(args.inputs, args.channels, args.levels).to(**layout)
    optimizer = torch.optim.Adam(network.parameters(), 0.01, fused=True)
    z = torch.randn(1, args.inputs, args.size, args.size).to(**layout)
    target = torch.rand(1, 1, args.size, args.size)
    print(sum(p.numel() for p in network.parameters()), flush=True)
    for _ in sys.stdin:
        times, processor = [], time.process_time()
        for _ in range(args.steps):
            start = time.perf_counter()
            optimizer.zero_grad()
            ((network(z) - target) ** 2).sum().backward()
            optimizer.step()
            times.append(time.perf_counter() - start)
        processor = (time.process_time() - processor) / args.steps
        print(sorted(times)[len(times) // 2], processor, flush=True)


if __name__ == "__main__":
    main()
