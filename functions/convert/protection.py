"""Why the sound of a file cannot be read, as far as its own bytes tell: it is encrypted, or its index is damaged."""

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

from functions.convert import matroska, mp4
from functions.convert.description import Description
from functions.convert.window import Endless, Window
from functions.model.containers import Container, Extent
from functions.model.frames import find_packets
from functions.model.media import MediaError, Reason

_READ = 2**20  # bytes of the front in which most containers say what they hold
_DEPTH = 5  # of moov, trak, mdia, minf and stbl
_PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}
_NEEDED = {
    b"moov": {b"mvhd", b"trak"},
    b"trak": {b"mdia"},
    b"mdia": {b"hdlr", b"minf"},
    b"minf": {b"stbl"},
    b"stbl": {b"stsd"},
}
# What speaks of sound in an MP4's index: a handler, a media header, a sample entry (ISO/IEC 14496-12, 8.4.3, 12.2).
_SOUND = re.compile(
    rb"hdlr.{8}soun|\x10smhd\0{4}|stsd.{12}(?:mp4a|sowt|twos|lpcm|alac|samr|ac-3|ec-3|Opus|fLaC)", re.DOTALL
)
# Sample entries of encrypted sound: Common Encryption (ISO/IEC 23001-7), iTunes, and Audible.
_ENTRY = re.compile(rb"stsd.{12}(?:enca|drms|aavd)", re.DOTALL)
# Content Encryption Object, its extension, and Advanced Content Encryption Object (ASF, 3.14 to 3.16).
_ASF_OBJECTS = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
    bytes.fromhex("338505438169e6499b74ad12cb86d58c"),
)
_TRACKS, _ENTRIES, _TYPE, _CODEC = b"\x16\x54\xae\x6b", b"\xae", b"\x83", b"\x86"
_ENCODINGS, _ENCODING, _ENCRYPTION = b"\x6d\x80", b"\x62\x40", b"\x50\x35"
_AUDIO_TRACK = b"\x02"


def check(
    file: BinaryIO, size: int, extent: Extent, seen: Description, checkpoint: Callable[[], object] = lambda: None
) -> None:
    """Raises MediaError where the sound is encrypted (unsupported) or the index that speaks of it is damaged.

    `seen` is what was found in the file. What the checkpoint raises stops the look.
    """
    tracks = len(seen.audio)
    protected = _protected(Window(file, extent.start, size - extent.start, checkpoint), extent.container)
    if protected and protected >= tracks:
        raise MediaError(
            Reason.UNSUPPORTED,
            "encrypted",
            say="The video is encrypted (DRM), so that only its own player can read it. Upload one that is not.",
        )
    if not seen.stream_tags:
        raise MediaError(Reason.DAMAGED, "it holds nothing that can be read")
    if not any(audio.codec for audio in seen.audio) and (why := damage(file, size, extent, spoken=not tracks)):
        raise MediaError(Reason.DAMAGED, why)


def damage(file: BinaryIO, size: int, extent: Extent, *, spoken: bool = False) -> str:
    """What is wrong with the index of a file in which no sound was found; empty where nothing is, or nobody can tell.

    `spoken` is whether it may not even speak of sound.
    """
    if extent.container is not Container.MP4:
        return ""
    video = Window(file, extent.start, size - extent.start)
    try:
        index = mp4.index(video)
        if spoken and _SOUND.search(index):
            return "the index speaks of sound that cannot be found"
        return _broken_box(video, index, 0, len(index))
    except Endless:
        return ""


def codec_name(file: BinaryIO, size: int, extent: Extent) -> str | None:
    """What a Matroska file calls the codec of its first audio track; None where it is another file, or endless."""
    if extent.container is not Container.MATROSKA:
        return None
    video = Window(file, extent.start, size - extent.start)
    try:
        names = (dict(_children(video, *track)).get(_CODEC) for track in _audio_tracks(video))
        span = next(filter(None, names), None)
    except Endless:
        return None
    return video.at(span[0], min(span[1] - span[0], 40)).decode("ascii", "replace").rstrip("\0") if span else None


def _protected(video: Window, container: Container) -> int:
    """How many audio tracks are encrypted; none where nothing tells, or not soon."""
    try:
        return _PROTECTED[container](video) if container in _PROTECTED else 0
    except Endless:
        return 0


def _broken_box(video: Window, index: bytes, at: int, end: int, depth: int = 1) -> str:
    """Walks the boxes that hold boxes. What is missing in one, or does not fit into it. Raises Endless."""
    while at + 8 <= end:
        video.step()
        length, kind = int.from_bytes(index[at : at + 4]), index[at + 4 : at + 8]
        if not 8 <= length <= end - at:
            return f"{kind!r} at {at} of the index does not fit"
        if kind in _PARENTS and depth <= _DEPTH:
            inside = {index[each + 4 : each + 8] for each in _boxes(video, index, at + 8, at + length)}
            if missing := _NEEDED[kind] - inside:
                return f"no {min(missing)!r} in {kind!r}"
            if why := _broken_box(video, index, at + 8, at + length, depth + 1):
                return why
        at += length
    return ""


def _boxes(video: Window, index: bytes, at: int, end: int) -> Iterator[int]:
    while at + 8 <= end:
        video.step()
        yield at
        at += max(int.from_bytes(index[at : at + 4]), 8)


def _mp4(video: Window) -> int:
    return len(_ENTRY.findall(mp4.index(video)))


def _matroska(video: Window) -> int:
    """The audio tracks that have a ContentEncryption (RFC 9559, 5.1.4.1.31)."""
    count = 0
    for track in _audio_tracks(video):
        for name, span in _children(video, *track):
            if name == _ENCODINGS:
                encodings = [inner for each, inner in _children(video, *span) if each == _ENCODING]
                count += any(each == _ENCRYPTION for inner in encodings for each, _ in _children(video, *inner))
    return count


def _audio_tracks(video: Window) -> Iterator[tuple[int, int]]:
    for name, span in _children(video, *_tracks(video)):
        if name == _ENTRIES:
            kind = dict(_children(video, *span)).get(_TYPE)
            if kind and video.at(kind[1] - 1, 1) == _AUDIO_TRACK:
                yield span


def _tracks(video: Window) -> tuple[int, int]:
    """Where the Segment's Tracks begin and end; they stand in front of its first Cluster."""
    header = matroska.element(video, 0)
    segment = matroska.element(video, header.end) if header and header.end else None
    if segment is None or segment.name != matroska.SEGMENT:
        return 0, 0
    within = _children(video, segment.data, segment.end or video.size)
    return next((span for name, span in within if name == _TRACKS), (0, 0))


def _children(video: Window, at: int, end: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """The name of each element within, and where its data begins and ends."""
    while at < end:
        element = matroska.element(video, at)
        if element is None or element.end is None:
            return
        yield element.name, (element.data, element.end)
        at = max(element.end, at + 1)


def _asf(video: Window) -> int:
    head = video.at(0, _READ)
    return _ALL if any(guid in head for guid in _ASF_OBJECTS) else 0


def _mpegts(video: Window) -> int:
    """Most packets are scrambled, as a pay channel's are (ISO/IEC 13818-1, 2.4.3.3)."""
    head = video.at(0, _READ)
    if not (packets := find_packets(head)):
        return 0
    start, step = packets
    flags = head[start + 3 :: step]
    return _ALL if sum(flag & 0xC0 != 0 for flag in flags) * 2 > len(flags) else 0


def _mpeg(video: Window) -> int:
    """The sound's packets are scrambled, as those of a bought DVD are (ISO/IEC 13818-1, 2.4.3.7)."""
    packets = re.findall(rb"\0\0\x01[\xbd\xc0-\xdf]..([\x80-\xbf])", video.at(0, 4 * _READ), re.DOTALL)
    return _ALL if sum(each[0] & 0x30 != 0 for each in packets) * 4 > len(packets) else 0


_ALL = 1_000  # audio tracks, more than any file has
_PROTECTED = {
    Container.MP4: _mp4,
    Container.MATROSKA: _matroska,
    Container.ASF: _asf,
    Container.MPEG_TS: _mpegts,
    Container.MPEG_PS: _mpeg,
}
