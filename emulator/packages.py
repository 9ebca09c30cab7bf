"""The packages that must come from the distribution, Debian or Ubuntu.

`python -m emulator.packages` installs them; with the argument `browser` also the browser that tests need.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from emulator import terminal
from emulator.processes import PartFailed

BROWSER = {"chromium": Path("/usr/bin/chromium"), "chromium-driver": Path("/usr/bin/chromedriver")}
PROGRAMS = {"rabbitmq-server": Path("/usr/lib/rabbitmq/bin/rabbitmq-server"), "nginx-light": Path("/usr/sbin/nginx")}
_UNITS = {"rabbitmq-server": "rabbitmq-server.service epmd.service epmd.socket", "nginx-light": "nginx.service"}
# The services of these packages are to start neither now nor at the next boot. Installing a package starts its service,
# unless a program policy-rc.d forbids it. If the machine has one, it stays as it is; one of ours that a kill has left
# behind is recognised by its second line.
_INSTALL = r"""
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ] || grep -qs '^# of video-to-mp3$' $policy; then
    trap 'rm -f $policy' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\n# of video-to-mp3\nexit 101\n' >$policy && chmod 755 $policy || exit 1
fi
export DEBIAN_FRONTEND=noninteractive
get="apt-get -q -y -o DPkg::Lock::Timeout=120"
install="$get install --no-install-recommends $PACKAGES"
$install || { $get update && $install; } || exit 1
if [ -d /run/systemd/system ]; then now=--now; fi
for unit in $UNITS; do systemctl disable $now $unit; done 2>/dev/null
exit 0
"""


def list_missing(programs: Mapping[str, Path] = PROGRAMS) -> list[str]:
    """The names of the packages whose program is not there."""
    return [package for package, program in programs.items() if not program.exists()]


def install(packages: list[str]) -> None:
    """Install packages with apt-get, and leave their services stopped and disabled. Raises PartFailed."""
    if not packages:
        return
    by_hand = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if not shutil.which("apt-get"):
        raise PartFailed("packages", f"{', '.join(packages)} not installed", f"install what Debian gets by `{by_hand}`")
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if as_root and not _succeeds([*as_root, "true"]):
        raise PartFailed("packages", f"{', '.join(packages)} not installed", f"run `{by_hand}` as root")
    units = " ".join(_UNITS.get(package, "") for package in packages)
    script = f"PACKAGES='{' '.join(packages)}'\nUNITS='{units}'\n{_INSTALL}"
    command = [*as_root, "sh", "-c", script]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace")
    if run.returncode != 0:
        remedy = f"run `apt-get update && {by_hand}` as root"
        raise PartFailed("packages", f"apt-get failed\n{run.stdout[-2000:]}", remedy)


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:  # no sudo, or a directory of the PATH that is closed to us
        return False


if __name__ == "__main__":
    terminal.accept_everything()
    if missing := list_missing(PROGRAMS | BROWSER if sys.argv[1:] == ["browser"] else PROGRAMS):
        print(f"installing {', '.join(missing)} …", flush=True)
    try:
        install(missing)
    except PartFailed as failure:
        sys.exit(str(failure))
