"""`make corpus FOLDER=…` converts every media file below a folder, and says what came of each.

The length of what comes out is held against a plain decode of the first audio track. That decode has no jail, so use
it on files that you trust.
"""

import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from functions.convert import ffmpeg, transcode
from functions.convert.jail import Jail, Limits, binary
from functions.model.containers import SNIFF_BYTES, sniff
from functions.model.media import MediaError
from functions.model.options import Options
from functions.runtime.settings import Settings

NEAR = 0.12  # seconds that the lengths may differ
MEDIA = re.compile(
    r"\.(3g[2p]p?|aac|ac3|aif[cf]?|aiff|amr|ape|asf|au|avi|caf|dff|dsf|dv|e?ac3|f4v|flac|flv|m2ts|m2v|m4[abv]|mk[av]|mov|"
    r"mp[1234c]|mpe?g|mts|mxf|o[fm][ars]|og[agv]|opus|qt|rm|spx|tak|ts|tta|voc|vob|w64|wav|webm|wm[av]|wtv|wv)$",
    re.IGNORECASE,
)


def main() -> int:
    """0 where every file converts to its length or is refused with a reason, else 1."""
    outcomes = Counter[str]()
    for path in sorted(each for each in Path(sys.argv[1]).rglob("*") if each.is_file() and MEDIA.search(each.name)):
        outcome, detail = convert(path)
        outcomes[outcome] += 1
        if outcome != "converted":
            print(f"{outcome:12} {path.relative_to(sys.argv[1])}: {detail}")
    print(*(f"{count} {outcome}" for outcome, count in outcomes.most_common()), sep=", ")
    return bool(outcomes["WRONG LENGTH"] or outcomes["BROKEN"])


def convert(path: Path) -> tuple[str, str]:
    """What came of the file: a word and, where that is not `converted`, what else there is to say."""
    with path.open("rb") as file:
        container = sniff(file.read(SNIFF_BYTES))
    if container is None:
        return "no media", f"a plain decode finds {decoded(path)} s"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "video").symlink_to(path.resolve())
        jail = Jail(Path(folder), Limits.of(Settings()), lambda _progress=None: None)
        try:
            seen = transcode.describe(jail, "video", container)
            result = transcode.transcode(jail, "video", "audio", seen, Options())
        except MediaError as error:
            return error.reason, f"{error.detail[-200:]} (a plain decode finds {decoded(path)} s)"
        except (OSError, ffmpeg.Interrupted) as error:
            return "BROKEN", str(error)
    plain = decoded(path)
    if plain is None or abs(plain - result.facts.duration) > NEAR:
        return "WRONG LENGTH", f"{result.facts.duration:.2f} s, and by a plain decode {plain} s"
    return "converted", ""


def decoded(path: Path) -> float | None:
    """Seconds of sound that ffmpeg decodes from the first audio track; None where it finds none."""
    command = [binary(), "-nostdin", "-v", "error", "-i", str(path), "-map", "0:a:0", "-vn", "-sn", "-dn"]
    run = subprocess.run([*command, *("-f", "s16le", "-ac", "1", "-ar", "8000", "-")], capture_output=True)
    return len(run.stdout) / 16000 or None


if __name__ == "__main__":
    sys.exit(main())
