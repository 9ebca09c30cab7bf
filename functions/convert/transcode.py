"""A video on disk in, an MP3 on disk out: one jailed ffmpeg to look, one to convert.

Everything strangers' files can do to ffmpeg is met here: it sees local files only, through the one demuxer that was
sniffed, within limits of time, memory and output, in a process group that dies with us.
"""

import errno
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO, cast

from functions.convert.container import check_end, measure_mp3
from functions.model.media import Container, MediaError, Reason

BEAT = 0.4  # s; progress is called at least this often, so a cancel is learnt of soon
_PROBE_SECONDS = 60
_KEPT = 2**18  # bytes of ffmpeg's messages kept from either end: a video of many tracks and tags is reported at length
_UNWANTED_TAGS = (  # of the container, not of the sound; an MP3 is passed on, so it tells nobody where it was recorded
    *("major_brand", "minor_version", "compatible_brands", "creation_time"),
    *("location", "location-eng", "com.apple.quicktime.location.ISO6709"),
)
_ERROR_RATE = 0.1  # the share of the sound that may be lost to damage
_CUT = {  # what ffmpeg mentions, and then exits with 0
    Container.MP4: "partial file|Packet corrupt",
    Container.MATROSKA: "File ended prematurely",
}
_REASONS = (
    ("partial file|moov atom not found|File ended prematurely|Packet corrupt", Reason.TRUNCATED),
    ("does not contain any stream|matches no streams", Reason.NO_AUDIO),
    ("no decoder found|Decoder not found|not on whitelist|Not whitelisted|Not yet implemented", Reason.UNSUPPORTED),
)
# What is said when this machine fails. Without a decoder ffmpeg cannot open the output either, but says other words.
_OURS = re.compile(
    "^(setpriv|prlimit): |"
    "Error opening output files?: (No such file|Permission denied|Read-only|Input/output|Too many open)",
    re.MULTILINE,
)
_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_STREAM = re.compile(r"^ +Stream #0:(\d+)(?:\[0x[0-9a-f]+\])?(?:\((.*?)\))?: (Audio|Video): ((\w+).*)$")


@dataclass(frozen=True)
class Limits:
    """What one video may cost: seconds it plays, bytes of MP3, bytes of ffmpeg's memory, seconds of work."""

    duration: float = 4 * 3600
    size: int = 512 * 2**20
    memory: int = 2**30
    work: float = 1800


@dataclass(frozen=True)
class Audio:
    """One audio stream: its index in the file, language or None, Hz or None, channel layout in ffmpeg's words."""

    index: int
    language: str | None
    default: bool
    hertz: int | None
    channels: str


@dataclass(frozen=True)
class Description:
    """What a video holds: seconds or None when it does not say, its audio streams, the index of its cover picture."""

    container: Container
    duration: float | None
    audio: tuple[Audio, ...]
    cover: int | None


@dataclass(frozen=True)
class Result:
    """The finished MP3: seconds and bytes."""

    duration: float
    size: int


class Interrupted(Exception):
    """ffmpeg was killed from outside (a shutdown, the kernel short of memory): try again."""


def describe(
    path: Path, container: Container, limits: Limits, progress: Callable[[float], None] = lambda _: None
) -> Description:
    """Look at a video. Raises MediaError (its end is missing, nothing can be read), Interrupted, OSError.

    `progress` is called as by transcode().
    """
    with path.open("rb") as file:
        check_end(file, path.stat().st_size, container)
    command = describe_command(Path(path.name), container, limits)
    run = _run(command, path.parent, _PROBE_SECONDS, lambda _: progress(0.0))
    if "\nInput #0" not in f"\n{run.messages}":
        raise _explain(run)
    return read_description(run.messages, container)


def transcode(
    source: Path,
    target: Path,
    description: Description,
    limits: Limits,
    progress: Callable[[float], None],
    quality: int = 2,
) -> Result:
    """Write the video's sound to `target` as MP3, in LAME's VBR quality 0 (best) to 9.

    `progress` gets the fraction done (0.0 while the length is unknown), from this thread, at least every BEAT seconds;
    what it raises stops the work. Raises MediaError, OSError (disk full) or Interrupted; then no `target` is left.
    """
    audio = choose(description, limits)

    def tick(done: float) -> None:
        if done > limits.duration + 1:  # the header lied
            raise MediaError(Reason.TOO_LONG, f"more than {limits.duration:.0f} s")
        progress(min(done / description.duration, 1.0) if description.duration else 0.0)

    try:
        written = Path(target.name) if target.parent == source.parent else target.absolute()
        command = transcode_command(Path(source.name), written, description, audio, limits, quality)
        run = _run(command, source.parent, allowed_seconds(description, limits), tick)
        result = _check(run, target, description)
        tick(run.done)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return result


def choose(description: Description, limits: Limits) -> Audio:
    """The stream to convert: the default one, else the first. Raises MediaError no_audio or too_long."""
    if not description.audio:
        raise MediaError(Reason.NO_AUDIO)
    if (description.duration or 0) > limits.duration:
        raise MediaError(Reason.TOO_LONG, f"{description.duration:.0f} s of at most {limits.duration:.0f}")
    return next((audio for audio in description.audio if audio.default), description.audio[0])


def allowed_seconds(description: Description, limits: Limits) -> float:
    """Time one conversion may take: half the video's length and a minute, though no longer than the limit."""
    return min(limits.work, 60 + description.duration / 2) if description.duration else limits.work


def describe_command(path: Path, container: Container, limits: Limits) -> list[str]:
    """The argument list that makes ffmpeg say what it sees in a file."""
    return [*_jail(limits, _PROBE_SECONDS, 0), *_open(path, container)]


def transcode_command(
    source: Path, target: Path, description: Description, audio: Audio, limits: Limits, quality: int = 2
) -> list[str]:
    """The argument list that converts one audio stream, keeping tags, chapters, cover and sample rate.

    The cover is mapped by its index and copied: a plain -vn would drop it.
    """
    cover = description.cover
    return [
        *_jail(limits, allowed_seconds(description, limits), limits.size),
        *("-loglevel", "level+warning", "-nostats", "-progress", "pipe:1", "-stats_period", "0.5"),
        *("-max_error_rate", str(_ERROR_RATE)),
        *_open(source, description.container),
        *("-map", f"0:{audio.index}", "-sn", "-dn"),
        *(("-vn",) if cover is None else ("-map", f"0:{cover}", "-c:v", "copy", "-disposition:v", "attached_pic")),
        *("-map_metadata", "0", "-map_chapters", "0"),
        *(("-map_metadata", f"0:s:{audio.index}") if description.container == Container.OGG else ()),  # its only tags
        *(word for tag in _UNWANTED_TAGS for word in ("-metadata", f"{tag}=")),
        *("-c:a", "libmp3lame", "-q:a", str(quality), *(("-ar", "48000") if (audio.hertz or 0) > 48000 else ())),
        *("-t", str(limits.duration + 2)),  # whatever the header says
        *("-af", "asetpts=PTS-STARTPTS"),  # so that out_time is where the sound ends, counted from where it begins
        *("-f", "mp3", "-id3v2_version", "3", "-write_xing", "1", "-y", f"file:{target}"),
    ]


def read_description(messages: str, container: Container) -> Description:
    """Read ffmpeg's report of its input with MoviePy's parser. Raises MediaError too_long.

    The parser trips over tags, chapters, subtitles, languages such as en-US and pictures without a frame rate; it
    is shown only lines it can read. What it leaves out (cover, channels, defaults but the first) is read beside it.
    """
    from moviepy.video.io.ffmpeg_reader import FFmpegInfosParser  # late: it takes 0.4 s

    streams = {int(found[1]): found for line in messages.split("\n") if (found := _STREAM.match(line))}
    sounds = {at: found for at, found in streams.items() if found[3] == "Audio" and found[5] != "none"}
    length = re.search(r"^  Duration: (\d+):.*$", messages, re.MULTILINE)
    if length and len(length[1]) > 2:  # the parser reads 100:00:00 as 0
        raise MediaError(Reason.TOO_LONG, f"{length[1]} hours")
    lines = [length[0]] if length else []
    lines += [f"  Stream #0:{at}: Audio: {found[4]}" for at, found in sounds.items()]
    parsed = FFmpegInfosParser("\n".join(["", *lines]), "video", check_duration=bool(length)).parse() if sounds else {}
    rates = {stream["stream_number"]: stream["fps"] for each in parsed.get("inputs", ()) for stream in each["streams"]}
    return Description(
        container,
        parsed.get("duration"),
        tuple(
            Audio(
                index=at,
                language=found[2] if found[2] != "und" else None,
                default="(default)" in found[4],
                hertz=rates[at] if isinstance(rates[at], int) else None,
                channels=[*found[4].split(", "), "", ""][2],
            )
            for at, found in sounds.items()
        ),
        next((at for at, it in streams.items() if it[5] in ("mjpeg", "png") and "(attached pic)" in it[4]), None),
    )


@cache
def binary() -> str:
    """Path of the ffmpeg that MoviePy uses; asked of imageio-ffmpeg, for importing moviepy.config loads all of it."""
    from imageio_ffmpeg import get_ffmpeg_exe

    return shutil.which(path := str(get_ffmpeg_exe())) or path


def _jail(limits: Limits, seconds: float, size: int) -> list[str]:
    """What stands before ffmpeg's options: stay within limits, die with our thread, have and gain no rights.

    Rights go last: whoever is let through a closed directory by one (emulator/privileges.py) finds ffmpeg with it.
    """
    cpu = int(seconds * (os.cpu_count() or 1)) + 1
    return [
        *("prlimit", f"--as={limits.memory}", f"--cpu={cpu}:{cpu + 5}", f"--fsize={size}", "--core=0", "--nofile=32"),
        *("--", "setpriv", "--pdeathsig", "KILL", "--no-new-privs", "--inh-caps=-all"),
        *("--", binary(), "-nostdin", "-hide_banner"),
    ]


def _open(path: Path, container: Container) -> list[str]:
    return [
        *("-protocol_whitelist", "file", "-format_whitelist", container.value, "-f", container.value),
        *("-i", f"file:{path}"),
    ]


@dataclass(frozen=True)
class _Run:
    status: int
    messages: str
    done: float  # s of output


def _run(command: list[str], folder: Path, seconds: float, tick: Callable[[float], None]) -> _Run:
    """Run ffmpeg to its end, calling `tick` every BEAT with the seconds of output so far.

    It runs in the video's folder and knows the video by its name alone: what is above that folder may be closed to it.
    Its process group is killed before any error leaves. All in this thread: the kernel kills the child when the
    thread that started it ends.
    """
    began = beat = time.monotonic()
    output = messages = b""
    with (
        subprocess.Popen(  # noqa: S603 - the words are ours, the paths too
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"LC_ALL": "C"},  # neither our secrets nor FFREPORT
            cwd=folder,
            start_new_session=True,
        ) as process,
        selectors.DefaultSelector() as pipes,
    ):
        pipes.register(cast(BinaryIO, process.stdout), selectors.EVENT_READ, "output")
        pipes.register(cast(BinaryIO, process.stderr), selectors.EVENT_READ, "messages")
        try:
            while pipes.get_map():
                for key, _ in pipes.select(max(0.0, beat + BEAT - time.monotonic())):
                    data = os.read(key.fd, 65536)
                    if not data:
                        pipes.unregister(key.fileobj)
                    elif key.data == "output":
                        output = (output + data)[-4096:]  # progress: the last words count
                    else:
                        messages = _shorten(messages + data)
                if time.monotonic() >= beat + BEAT:
                    beat = time.monotonic()
                    tick(_read_progress(output))
                    _check_time(began, seconds)
            return _Run(process.wait(), messages.decode(errors="replace"), _read_progress(output))
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise


def _check_time(began: float, seconds: float) -> None:
    if time.monotonic() > began + seconds:
        raise MediaError(Reason.TIMED_OUT, f"after {seconds:.0f} s")


def _read_progress(output: bytes) -> float:
    """Seconds of output, from the last word of ffmpeg's -progress lines on it."""
    return int((re.findall(rb"out_time_us=(\d+)\n", output) or [b"0"])[-1]) / 1e6


def _shorten(messages: bytes) -> bytes:
    """Keep the first and the last of what a damaged video makes ffmpeg say thousands of times."""
    return messages if len(messages) <= 4 * _KEPT else messages[:_KEPT] + b"\n...\n" + messages[-_KEPT:]


def _explain(run: _Run) -> Exception:
    """Turn ffmpeg's end into the error it means."""
    said = run.messages.strip()[-500:]
    if run.status == -signal.SIGXFSZ:
        return MediaError(Reason.TOO_LARGE, "the limit for the MP3 is reached")
    caught = run.status == 255 and "Operation not permitted" not in run.messages  # else it is -1, a demuxer's EPERM
    if -run.status in _OUTSIDE or caught:
        return Interrupted(f"ffmpeg was killed from outside (status {run.status}); the next try may pass")
    if "No space left on device" in run.messages:
        return OSError(errno.ENOSPC, "no space left for the MP3; free some below the temporary directory")
    if _OURS.search(run.messages):
        return OSError(f"ffmpeg cannot run here: {said}")
    reason = next((reason for words, reason in _REASONS if re.search(words, run.messages)), Reason.DAMAGED)
    return MediaError(reason, f"status {run.status}: {said}")


def _check(run: _Run, target: Path, description: Description) -> Result:
    """Measure what was written; what does not fit is an error, not a result."""
    if run.status or (description.container in _CUT and re.search(_CUT[description.container], run.messages)):
        raise _explain(run)
    with target.open("rb") as file:
        try:
            seconds = measure_mp3(file)
        except ValueError as error:
            raise MediaError(Reason.DAMAGED, str(error)) from error
    length = description.duration or 0.0
    if description.container == Container.FLAC and run.done < length - 0.1:
        raise MediaError(Reason.TRUNCATED, f"it ends at {run.done:.2f} s of {length:.2f} s")
    # Sound may lack when nothing is wrong: it ends before the picture, or was not sent while it was silent.
    due = max(run.done, length) if re.search(r"^\[in#0.*\[error\]", run.messages, re.MULTILINE) else run.done
    if seconds < (1 - _ERROR_RATE) * due and re.search(r"\[error\]|Packet corrupt", run.messages):
        raise MediaError(Reason.DAMAGED, f"{seconds:.2f} s of {due:.2f} s: {run.messages[-500:]}")
    return Result(seconds, target.stat().st_size)
