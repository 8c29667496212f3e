"""A picture of the upper part of a report.html, as a browser shows it: that of the README.

    bin/browser && bin/demo
    python -m benchmarks.figures.report_figure --output=docs/images/report.png \\
        out/demo/astronaut/report.html
"""

import argparse
import pathlib
import shutil

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--output", required=True)
parser.add_argument("--height", type=int, default=1020)
parser.add_argument("report", type=pathlib.Path)
arguments = parser.parse_args()

from playwright import sync_api  # noqa: E402  (optional: flags are read without it)

path = shutil.which("chromium") or shutil.which("chromium-browser")
with sync_api.sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
    size = {"width": 760, "height": arguments.height}
    view = browser.new_page(viewport=size, device_scale_factor=0.75)
    view.goto(arguments.report.resolve().as_uri())
    view.screenshot(path=arguments.output)
    browser.close()
