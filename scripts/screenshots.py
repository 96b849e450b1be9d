"""Take screenshots of an HTML report for docs/: light, dark, narrow, and one of each named scenario.

    scripts/screenshots.py report.html docs/images/NAME [SCENARIO…]

Needs Chromium (`apt-get install chromium`), or its path in `CHROMIUM`. Page and browser send no requests.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TIMEOUT_SECONDS = 60
LIGHT, DARK = "--blink-settings=preferredColorScheme=1", "--blink-settings=preferredColorScheme=0"


def take(page: str, image: Path, *, width: int, height: int, scheme: str) -> None:
    """Take one screenshot of a page."""
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if browser is None:
        sys.exit("there is no Chromium on the PATH: install it, or set CHROMIUM to its path")
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                "--hide-scrollbars", f"--user-data-dir={profile}", scheme, f"--window-size={width},{height}",
                f"--screenshot={image}", page,
            ],
            check=True, timeout=TIMEOUT_SECONDS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    print(image.name)


def only_scenario(page: str, scenario: str) -> str:
    """Return the page with only one scenario, opened, since a headless browser captures only the top of a page."""
    without_policy = re.sub(r"<meta http-equiv=.*?>", "", page, count=1)
    hidden = f"header, footer, main > :not(#s-{scenario}) {{ display: none !important }} body {{ padding-top: 8px }}"
    opened = without_policy.replace(f'id="s-{scenario}"', f'id="s-{scenario}" open', 1)
    return opened.replace("</style>", f"{hidden}</style>", 1)


if len(sys.argv) < 3:  # noqa: PLR2004 - the page and the name
    sys.exit(__doc__)
source, name = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
name.parent.mkdir(parents=True, exist_ok=True)
address = source.as_uri()
take(address, name.with_name(f"{name.name}-light.png"), width=1180, height=1000, scheme=LIGHT)
take(address, name.with_name(f"{name.name}-dark.png"), width=1180, height=1000, scheme=DARK)
take(address, name.with_name(f"{name.name}-narrow.png"), width=500, height=1000, scheme=LIGHT)
with tempfile.TemporaryDirectory() as folder:
    for scenario in sys.argv[3:]:
        copy = Path(folder) / "page.html"
        copy.write_text(only_scenario(source.read_text(encoding="utf-8"), scenario), encoding="utf-8")
        image = name.with_name(f"{name.name}-{scenario}.png")
        take(copy.as_uri(), image, width=1180, height=1150, scheme=LIGHT)
