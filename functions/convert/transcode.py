"""A video on disk in, its audio on disk out: ffmpeg runs once to look at the video and once to convert it.

ffmpeg opens strangers' files, so it runs in a jail: it sees local files only, through the one demuxer that sniffing has
found, has limits of time, memory and output, and belongs to a process group that dies with us.
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
from typing import TYPE_CHECKING, BinaryIO, Self, cast

from functions.convert.container import check_end
from functions.model.media import Container, MediaError, Reason
from functions.model.options import Options

if TYPE_CHECKING:
    from functions.runtime.settings import Settings

BEAT = 0.4  # seconds; `progress` is called at least this often, so that a cancel stops the work soon
_MEMORY = 2**30  # bytes of address space for ffmpeg
_PROBE_SECONDS = 60
_KEPT = 2**18  # bytes of ffmpeg's messages kept from either end: a video of many tracks and tags is reported at length
# Tags that describe the container and not the sound, and those of the place: people pass their audio on, and it must
# not tell where it was recorded.
_UNWANTED_TAGS = (
    *("major_brand", "minor_version", "compatible_brands", "creation_time"),
    *("location", "location-eng", "com.apple.quicktime.location.ISO6709"),
)
_ERROR_RATE = 0.1  # the share of the sound that may be lost to damage
_CUT = {  # what ffmpeg says of a video that lost its end, only to exit with 0
    Container.MP4: "partial file|Packet corrupt",
    Container.MATROSKA: "File ended prematurely",
}
_REASONS = (
    ("partial file|moov atom not found|File ended prematurely|Packet corrupt", Reason.TRUNCATED),
    ("does not contain any stream|matches no streams", Reason.NO_AUDIO),
    ("no decoder found|Decoder not found|not on whitelist|Not whitelisted|Not yet implemented", Reason.UNSUPPORTED),
)
# What is said when this machine fails and not the video. A video whose decoder is missing makes ffmpeg complain of the
# output file too, but in other words.
_OURS = re.compile(
    "^(setpriv|prlimit): |"
    "Error opening output files?: (No such file|Permission denied|Read-only|Input/output|Too many open)",
    re.MULTILINE,
)
_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_STREAM = re.compile(r"^ +Stream #0:(\d+)(?:\[0x[0-9a-f]+\])?(?:\((.*?)\))?: (Audio|Video): ((\w+).*)$")


@dataclass(frozen=True)
class Limits:
    """What the conversion of one video may cost. There are no defaults: the settings have them."""

    duration: float  # seconds that the video plays
    size: int  # bytes of the audio
    work: float  # seconds that ffmpeg works
    memory: int = _MEMORY  # bytes of ffmpeg's

    @classmethod
    def of(cls, settings: "Settings") -> Self:
        return cls(settings.max_duration_seconds, settings.max_audio_bytes, settings.convert_seconds)


@dataclass(frozen=True)
class Audio:
    """One audio stream of a video."""

    index: int  # among all streams of the file
    language: str | None  # as the container writes it
    default: bool
    hertz: int | None
    channels: str  # the layout in ffmpeg's words: "mono", "stereo", "5.1(side)"


@dataclass(frozen=True)
class Description:
    """What a video holds, by its own account."""

    container: Container
    duration: float | None  # seconds; None where the file does not say
    audio: tuple[Audio, ...]
    cover: int | None  # the index of the stream that is its cover picture


@dataclass(frozen=True)
class Result:
    """The finished audio."""

    duration: float  # seconds
    size: int  # bytes


class Interrupted(Exception):
    """ffmpeg was killed from outside, by a shutdown or by a kernel short of memory: the next try may pass."""


def describe(
    path: Path, container: Container, limits: Limits, progress: Callable[[float], None] = lambda _: None
) -> Description:
    """Looks at a video.

    `progress` is called as by transcode(). Raises MediaError where the video's end is missing or nothing can be read,
    Interrupted, and OSError where this machine fails.
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
    options: Options,
) -> Result:
    """Writes the video's sound to `target`, as the options say.

    `progress` is called from this thread at least every BEAT seconds with the fraction that is done, or with 0.0 while
    the video's length is unknown. What it raises stops the work. Raises MediaError, Interrupted, and OSError where this
    machine fails (a full disk). Whatever is raised, nothing is left at `target`.
    """
    audio = choose(description, limits)

    def tick(done: float) -> None:
        if done > limits.duration + 1:  # the header lied
            raise MediaError(Reason.TOO_LONG, f"more than {limits.duration:.0f} s")
        progress(min(done / description.duration, 1.0) if description.duration else 0.0)

    try:
        written = Path(target.name) if target.parent == source.parent else target.absolute()
        command = transcode_command(Path(source.name), written, description, audio, limits, options)
        run = _run(command, source.parent, allowed_seconds(description, limits), tick)
        result = _check(run, target, description, options)
        tick(run.done)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return result


def choose(description: Description, limits: Limits) -> Audio:
    """The stream to convert: the default one, else the first. Raises MediaError (no_audio, too_long)."""
    if not description.audio:
        raise MediaError(Reason.NO_AUDIO)
    if (description.duration or 0) > limits.duration:
        raise MediaError(Reason.TOO_LONG, f"{description.duration:.0f} s of at most {limits.duration:.0f}")
    return next((audio for audio in description.audio if audio.default), description.audio[0])


def allowed_seconds(description: Description, limits: Limits) -> float:
    """How long one conversion may take: half the video's length and a minute, but no longer than the limit.

    So a stuck ffmpeg is not waited for longer than its video deserves.
    """
    return min(limits.work, 60 + description.duration / 2) if description.duration else limits.work


def describe_command(path: Path, container: Container, limits: Limits) -> list[str]:
    """The argument list that makes ffmpeg report what a file holds."""
    return [*_jail(limits, _PROBE_SECONDS, 0), *_open(path, container)]


def transcode_command(
    source: Path, target: Path, description: Description, audio: Audio, limits: Limits, options: Options
) -> list[str]:
    """The argument list that converts one audio stream, and keeps its tags, chapters, cover and sample rate.

    The cover is mapped by its index and copied, for a plain -vn would drop it.
    """
    cover, encoding = description.cover, options.encoding
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
        *("-c:a", encoding.codec, "-q:a", str(options.vbr)),
        *(("-ar", str(encoding.highest_rate)) if (audio.hertz or 0) > encoding.highest_rate else ()),
        *("-t", str(limits.duration + 2)),  # whatever length the header claims
        *("-af", "asetpts=PTS-STARTPTS"),  # so that out_time is where the sound ends, counted from where it begins
        *("-f", encoding.muxer, *encoding.muxer_arguments, "-y", f"file:{target}"),
    ]


def read_description(messages: str, container: Container) -> Description:
    """Reads ffmpeg's report of its input, with MoviePy's parser as far as that goes. Raises MediaError (too_long).

    The parser raises on tags, chapters, subtitles, languages such as en-US and pictures without a frame rate, so it is
    shown only those lines that it can read. What it leaves out (cover, channels, all defaults but the first) is read
    here.
    """
    from moviepy.video.io.ffmpeg_reader import FFmpegInfosParser  # late: its import takes 0.4 s

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
    """Path of the ffmpeg that MoviePy uses.

    imageio-ffmpeg names it, which is where MoviePy asks too: importing moviepy.config would load all of MoviePy.
    """
    from imageio_ffmpeg import get_ffmpeg_exe

    return shutil.which(path := str(get_ffmpeg_exe())) or path


def _jail(limits: Limits, seconds: float, size: int) -> list[str]:
    """The front of every command: stay within limits, die with our thread, have no rights and gain none.

    The rights are dropped last, because a process that needs one to get through a closed directory
    (emulator/privileges.py) has to find ffmpeg with it. `size` is the largest file that may be written, in bytes.
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
    """Runs ffmpeg to its end, and calls `tick` every BEAT seconds with the seconds of output so far.

    It runs in the video's folder and knows the video by its name alone, for it may not be allowed to pass the folders
    above. Its process group is killed before any error leaves. All happens in this thread, because the kernel kills the
    child when the thread that started it ends.
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
    """Seconds of output, by the last of ffmpeg's -progress lines."""
    return int((re.findall(rb"out_time_us=(\d+)\n", output) or [b"0"])[-1]) / 1e6


def _shorten(messages: bytes) -> bytes:
    """The first and the last of ffmpeg's messages: a damaged video makes it repeat some of them thousands of times."""
    return messages if len(messages) <= 4 * _KEPT else messages[:_KEPT] + b"\n...\n" + messages[-_KEPT:]


def _explain(run: _Run) -> Exception:
    """The error that ffmpeg's exit status and messages mean."""
    said = run.messages.strip()[-500:]
    if run.status == -signal.SIGXFSZ:
        return MediaError(Reason.TOO_LARGE, "the limit for the audio is reached")
    # ffmpeg exits with 255 when it has caught a signal. A demuxer's EPERM (-1) looks the same but for its message.
    caught = run.status == 255 and "Operation not permitted" not in run.messages
    if -run.status in _FROM_OUTSIDE or caught:
        return Interrupted(f"ffmpeg was killed from outside (status {run.status}); the next try may pass")
    if "No space left on device" in run.messages:
        return OSError(errno.ENOSPC, "no space left for the audio; free some below the temporary directory")
    if _OURS.search(run.messages):
        return OSError(f"ffmpeg cannot run here: {said}")
    reason = next((reason for words, reason in _REASONS if re.search(words, run.messages)), Reason.DAMAGED)
    return MediaError(reason, f"status {run.status}: {said}")


def _check(run: _Run, target: Path, description: Description, options: Options) -> Result:
    """Measures what was written. Raises MediaError where that falls short of the video, and what _explain() says."""
    if run.status or (description.container in _CUT and re.search(_CUT[description.container], run.messages)):
        raise _explain(run)
    with target.open("rb") as file:
        try:
            seconds = options.encoding.measure(file)
        except ValueError as error:
            raise MediaError(Reason.DAMAGED, str(error)) from error
    length = description.duration or 0.0
    if description.container == Container.FLAC and run.done < length - 0.1:
        raise MediaError(Reason.TRUNCATED, f"it ends at {run.done:.2f} s of {length:.2f} s")
    # Missing sound alone is no damage: it may end before the picture, and some recorders write none while it is silent.
    due = max(run.done, length) if re.search(r"^\[in#0.*\[error\]", run.messages, re.MULTILINE) else run.done
    if seconds < (1 - _ERROR_RATE) * due and re.search(r"\[error\]|Packet corrupt", run.messages):
        raise MediaError(Reason.DAMAGED, f"{seconds:.2f} s of {due:.2f} s: {run.messages[-500:]}")
    return Result(seconds, target.stat().st_size)
