"""The kit runs from the installed wheel, outside of any checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from harness.scenario import find

ROOT = Path(__file__).resolve().parents[2]


def test_the_installed_wheel_has_scenarios_and_goldens_and_judges_a_worker(tmp_path: Path):
    """A fresh environment with the wheel alone (what it depends on is this one's) lists and runs scenarios."""
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    fresh = tmp_path / "fresh"
    venv.create(fresh)
    pip = [sys.executable, "-m", "pip", "--python", fresh / "bin" / "python", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", wheel], check=True)
    (packages,) = fresh.glob("lib/python*/site-packages")
    # A path in it is looked into, while .pth files there, which lead to the checkout, are not heeded.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    environment = {"PATH": f"{fresh / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def harness(*words: str) -> str:
        ended = subprocess.run(
            [fresh / "bin" / "cryo-harness", *words],
            cwd=tmp_path, env=environment, check=False, text=True, capture_output=True,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    assert len(harness("list").splitlines()) == len(find())
    assert "PASS reference" in harness("run", "straight-run", "--target", "reference")
    where = subprocess.run(
        [fresh / "bin" / "python", "-c", "from harness.resources import fixtures; print(fixtures())"],
        cwd=tmp_path, env=environment, check=True, text=True, capture_output=True,
    ).stdout.strip()  # fmt: skip
    assert Path(where).is_relative_to(packages)
    assert list((Path(where) / "golden").iterdir())
