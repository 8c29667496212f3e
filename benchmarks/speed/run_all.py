"""Runs the benchmarks one after the other and writes their answers as one Markdown file.

    bin/benchmark [--quick] [--data=LEVIN] [--torch_python=PYTHON] [--output=FILE]

Called by bin/benchmark. Every benchmark is a process of its own, so that its memory is its own. A
table of the bars that were set and whether they are met comes first, then the machine, versions and
seed, then every benchmark's table with its command. One that fails is said to have failed, and the
others go on.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import time

from benchmarks import common

HERE = pathlib.Path(__file__).resolve().parent
TINY = "--size=32 --channels=4 --levels=2 --rounds=1"
# name -> arguments of (the whole, --quick, --tiny, which only checks that all scripts run)
PLAN = {
    "gradient_step": ("{torch}", "{torch} --rounds=5", TINY),
    "chains": ("", "--counts=1,4 --vmap_counts= --rounds=2", f"{TINY} --counts=1 --vmap_counts=2"),
    "blur_operators": (
        "--direct --step",
        "--sizes=512 --kernels=31 --rounds=5 --step",
        "--sizes=32 --kernels=5 --rounds=1",
    ),
    "roofline": ("", "--rounds=5", TINY),
    "photo_size": (
        "--wide",
        "--sizes=256,1024 --rounds=1 --no-photos",
        f"{TINY.replace('--size=32', '--sizes=32')} --no-photos",
    ),
    "compile_time": ("{data} --options", "{data}", "--flagfile=smoke --options"),
    "time_to_quality": ("{data}", "{data} --flagfiles=quickstart", "--flagfiles=smoke"),
    "precision": (
        "",
        "--size=96 --channels=16 --rounds=2",
        "--size=48 --channels=4 --rounds=1 --flagfile=smoke",
    ),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under ten minutes on two idle cores")
    parser.add_argument("--tiny", action="store_true", help="only whether the scripts run")
    parser.add_argument("--only", default="", help="names of benchmarks, with commas")
    parser.add_argument("--data", default="", help="folder of Levin's photos")
    parser.add_argument("--torch_python", default="", help="interpreter that has torch")
    parser.add_argument("--output", default="out/benchmark.md")
    args = parser.parse_args()
    words = {
        "torch": f"--torch_python={args.torch_python}" if args.torch_python else "",
        "data": f"--data={args.data}" if args.data else "",
    }
    column = 2 if args.tiny else 1 if args.quick else 0
    about, bars, sections, failed = common.machine(), [], [], []
    for name in args.only.split(",") if args.only else PLAN:
        flags = PLAN[name][column].format(**words).split()
        command = " ".join(["python", "-m", f"benchmarks.speed.{name}", *flags])
        print(f"\n$ {command}", flush=True)
        began, lines = time.monotonic(), []
        script = [sys.executable, str(HERE / f"{name}.py"), *flags]
        environment = {**os.environ, "PYTHONPATH": str(common.REPOSITORY)}
        with subprocess.Popen(
            script, stdout=subprocess.PIPE, text=True, env=environment
        ) as process:
            for line in process.stdout:
                print(line, end="", flush=True)
                lines.append(line.rstrip("\n"))
        bars += [line.removeprefix("bar: ") for line in lines if line.startswith("bar: ")]
        rest = [line for line in lines if not line.startswith("bar: ")]
        if process.returncode:
            failed.append(name)
            rest.append(f"**Failed**, exit status {process.returncode}.")
        question = (HERE / f"{name}.py").read_text().splitlines()[0].strip('"')
        took = f"({time.monotonic() - began:.0f} s)"
        sections += [f"## {question}", "", f"`{command}` {took}", "", *rest, ""]
    head = ["# Benchmarks", "", about, "", "| what | measured | bar | |", "|---|---|---|---|"]
    output = pathlib.Path(args.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("\n".join([*head, *bars, "", *sections]))
    print(f"\nWritten: {output.resolve()}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
