"""The Dockerfile makes two images: a light one, and the same with media tools. Read here; built by compose-test."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STAGE = re.compile(r"^FROM (\S+) AS (\S+)\n(.*?)(?=^FROM |\Z)", re.MULTILINE | re.DOTALL)
STAGES = {name: (base, text) for base, name, text in STAGE.findall(DOCKERFILE)}


def test_the_light_image_holds_nothing_that_only_convert_needs() -> None:
    """Neither it nor any stage it is made from sees requirements/convert.txt."""
    assert sources("light") == {"light", "packages"}
    assert not any("convert.txt" in STAGES[stage][1] for stage in sources("light"))


def test_the_convert_image_is_the_light_one_and_its_media_tools() -> None:
    """So it runs what the light one runs, at the same versions."""
    assert STAGES["convert"][0] == "light"
    assert sources("convert") == {"convert", "light", "media", "packages"}


@pytest.mark.parametrize("package", ["moviepy", "numpy", "imageio-ffmpeg", "pillow"])
def test_media_packages_are_pinned_for_convert_only(package: str) -> None:
    """No dependency brings them into the light image by a back door."""
    assert package in pins("convert")
    assert package not in pins("light")


def test_what_both_images_hold_is_the_same() -> None:
    """convert.txt repeats light.txt exactly; else its layer would bring second versions along."""
    assert pins("light").items() <= pins("convert").items()


def test_packages_are_wheels_with_known_hashes() -> None:
    """No compiler is needed, and what was published under a version later on is refused."""
    assert "PIP_ONLY_BINARY=:all:" in DOCKERFILE
    assert "PIP_REQUIRE_HASHES=1" in DOCKERFILE
    assert re.findall(r"pip install (?!--no-deps --prefix /(?:light|media) -r /requ\w+/\w+\.txt)", DOCKERFILE) == []


@pytest.mark.parametrize("stage", ["packages", "media"])
def test_nothing_is_resolved_and_the_build_fails_where_a_package_is_missing(stage: str) -> None:
    """The newest version of anything is no matter, and the locks are whole, or there is no image."""
    (install,) = re.findall(r"^RUN (.*?[^\\])$", STAGES[stage][1], re.MULTILINE | re.DOTALL)
    steps = [step.strip() for step in install.replace("\\\n", "").split("&&")]
    assert "pip install --no-deps" in steps[0]
    assert steps[1].endswith(" pip check")


def test_the_containers_run_as_a_number_that_is_not_root() -> None:
    """Kubernetes' runAsNonRoot believes numbers only."""
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["65532:65532"]


def test_the_bases_are_the_official_image_and_each_other() -> None:
    """Nothing that exists for one architecture only, and one Python for all stages."""
    assert {base for base, _ in STAGES.values()} - STAGES.keys() == {"python:3.13-slim"}
    assert not re.search("amd64|x86_64|arm64|aarch64|--platform", DOCKERFILE)


def test_the_build_sees_what_the_image_holds_and_nothing_else() -> None:
    """Secrets, tests and the emulator stay behind, and nothing that is copied, or there is no image."""
    copied = re.findall(r"^COPY (?!--from)([\w.]+)", DOCKERFILE, re.MULTILINE)
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule for rule in rules if rule.startswith("!")} == {f"!{source}" for source in copied}
    assert "emulator" in rules


def sources(stage: str) -> set[str]:
    """The stage and all that it is made from."""
    base, text = STAGES[stage]
    before = {base, *re.findall(r"--from=(\S+)", text)} & STAGES.keys()
    return {stage}.union(*map(sources, before))


def pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==([^ \\\n]+(?: ; .*?)?) \\$", text, re.MULTILINE))


def test_what_the_build_asks_of_our_code_is_there() -> None:
    """A module that was moved is else found missing only when an image is built."""
    (asked,) = re.findall(r"python -c '(from functions[^']+)'", DOCKERFILE)
    assert subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, check=True).stdout.split()
