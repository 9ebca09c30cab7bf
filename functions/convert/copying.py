"""Copying: sound that has the wanted format already is taken as it is, frame by frame.

That keeps it as good as it was, and takes a small share of the time. Since nothing is decoded, damage has to be seen in
the frames themselves.
"""

from pathlib import Path
from typing import BinaryIO

from functions.convert import sound
from functions.convert.description import Audio
from functions.convert.ffmpeg import Run
from functions.convert.jail import Checkpoint
from functions.model import mpeg_audio
from functions.model.options import Copy, Options, Split

_READ = 2**20  # bytes at once
_GAP = 0.2  # seconds by which the frames may fall short of where the last of them ends


class Damaged(Exception):
    """The copied frames are not what the track was to hold: it has to be decoded."""


def is_possible(audio: Audio, options: Options) -> bool:
    """Whether the track can be copied as the options stand."""
    return (
        options.copy is Copy.AUTO
        and options.split is Split.NO
        and not options.asks_for_other_sound
        and audio.codec in options.encoding.copied
        and (audio.channels or 0) <= options.encoding.max_channels
        and sound.has_places(audio)
        and audio.sample_rate in options.encoding.sample_rates
    )


def check_frames(path: Path, checkpoint: Checkpoint) -> None:
    """Walks over the frames of a copied MP3. Raises Damaged where one does not follow the other to the end.

    They are as many as ffmpeg was let copy: of 12 hours, 1.7 million. What the checkpoint raises stops the walk.
    """
    with path.open("rb") as file:
        header = mpeg_audio.find_xing_header(file)
        if header is None:
            raise Damaged("no Xing header")
        found = _walk(file, header.start, header.first.hertz, checkpoint)
    if found != header.frames + 1:  # the first frame holds the header and no sound
        raise Damaged(f"{found} frames of {header.frames + 1}")


def check_length(run: Run, seconds: float) -> None:
    """Raises Damaged where the frames that `run` has copied play other than these seconds.

    They have gaps between them, which only a decoder can fill with silence, or their file says something wrong.
    """
    if abs(seconds - run.done) > _GAP:
        raise Damaged(f"{seconds:.2f} s of {run.done:.2f} s")


def _walk(file: BinaryIO, start: int, hertz: int, checkpoint: Checkpoint) -> int:
    """The number of frames from there to the end. No player follows a change of their sample rate."""
    file.seek(start)
    data, at, count = file.read(_READ), 0, 0
    while True:
        if len(data) - at < mpeg_audio.LONGEST_FRAME and (more := file.read(_READ)):
            checkpoint()
            data, at = data[at:] + more, 0
        if at == len(data):
            return count
        frame = mpeg_audio.read_frame(data[at : at + 4])
        if frame is None or frame.hertz != hertz or at + frame.length > len(data):
            raise Damaged(f"no frame behind the first {count}")
        at, count = at + frame.length, count + 1
