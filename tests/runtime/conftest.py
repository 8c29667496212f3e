"""A browser for what people look at."""

import shutil

import pytest


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium: that of the system, or playwright's own."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="no browser test: playwright is missing, run bin/browser"
    )
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_api.sync_playwright() as playwright:
        try:
            found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except sync_api.Error as error:
            pytest.skip(f"no browser test: {str(error).splitlines()[0]}; run bin/browser")
        yield found
        found.close()
