"""What a media file's own index says: whether its end is missing, and how long an MP3 plays."""

import re
from collections.abc import Callable
from typing import BinaryIO

from functions.model.media import SNIFF_BYTES, Container, MediaError, Reason, find_packets

_LIVE = 0xFFFFFFFF  # what live recorders leave where a size belongs
_PADDING = {b"free", b"skip", b"wide"}
_BOXES = _PADDING | {b"ftyp", b"moov", b"mdat", b"moof", b"mfra", b"styp", b"sidx", b"uuid", b"meta", b"pnot", b"PICT"}
_SEGMENT = b"\x18\x53\x80\x67"
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def check_end(file: BinaryIO, size: int, container: Container) -> None:
    """Refuse a file of `size` bytes whose own index promises more (MediaError, truncated).

    Formats and recordings without such an index pass, and so does what little stands behind the video's end.
    """
    if (find_end := _ENDS.get(container)) and (end := find_end(file, size)) > size:
        raise MediaError(Reason.TRUNCATED, f"{container} of {size} bytes should have {end}")


def measure_mp3(file: BinaryIO) -> float:
    """Seconds an MP3 plays by its Xing or Info header, without the encoder's padding; ValueError when it has none."""
    if not (found := _find_xing(file)):
        raise ValueError("the MP3 has no Xing or Info header")
    _, first, xing = found
    low_rate = first[1] >> 3 & 3 != 3  # MPEG-2 and 2.5, up to 24 kHz
    hertz = (44100, 48000, 32000)[first[2] >> 2 & 3] // {3: 1, 2: 2, 0: 4}[first[1] >> 3 & 3]
    padding = int.from_bytes(xing[141:144])  # 12 bits before the sound, 12 behind it
    return (int.from_bytes(xing[8:12]) * (576 if low_rate else 1152) - (padding >> 12) - (padding & 0xFFF)) / hertz


def _mp4(file: BinaryIO, size: int) -> int:
    """Walk the top-level boxes; what is no box stands behind the video's end, or is damage when there is much of it."""
    position, indexed = 0, False
    while position + 8 <= size:
        head = _read(file, position, 16)
        length, kind = int.from_bytes(head[:4]), head[4:8]
        if length == 1:  # a 64-bit size follows
            length = int.from_bytes(head[8:])
        if length == 0:  # reaches to the end, wherever that is
            length = size - position
        if kind not in _BOXES and (not kind.isalnum() or position + length > size):
            if size - position > size / 10:
                raise MediaError(Reason.DAMAGED, f"no box at {position} of {size} bytes")
            return size
        indexed |= kind == b"moov"
        position += max(length, 8)
        if indexed and kind in _PADDING:
            position = min(position, size)  # nothing is missed there
    return position if indexed else max(position, size + 1)


def _matroska(file: BinaryIO, size: int) -> int:
    """Find the end of the Segment, the one element that holds everything."""
    position = 0
    while position < size:
        head = _read(file, position, 12)
        name = 9 - head[0].bit_length()
        width = 9 - head[name : name + 1].ljust(1, b"\0")[0].bit_length()
        if name > 4 or width > 8:
            break
        unknown = (1 << 7 * width) - 1  # all ones: a live recording
        length = int.from_bytes(head[name : name + width]) & unknown
        position += name + width + length
        if head[:name] == _SEGMENT:
            return size if length == unknown else position
    return position


def _riff(file: BinaryIO, size: int) -> int:
    """Walk the RIFF chunks: one in a WAV, several in an AVI beyond 1 GB (OpenDML)."""
    position = 0
    while position + 12 <= size:
        head = _read(file, position, 28)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] == b"RF64":
            length = int.from_bytes(head[20:28], "little")
        elif head[:4] != b"RIFF":
            break
        if length in (0, _LIVE):
            return size
        position += 8 + length
    return position - 1  # some writers count a last pad byte that they do not write


def _flv(file: BinaryIO, size: int) -> int:
    """The last four bytes count the tag before them; when they do not, walk the tags from the front."""
    last = int.from_bytes(_read(file, size - 4, 4))
    if 11 <= last < size and int.from_bytes(_read(file, size - 4 - last + 1, 3)) + 11 == last:
        return size
    position = int.from_bytes(_read(file, 5, 4)) + 4
    while position < size:
        head = _read(file, position, 11)
        if head[0] & 0x1F not in (8, 9, 18):  # audio, video, script
            return size
        position += 11 + int.from_bytes(head[1:4]) + 4
    return position


def _mpegts(file: BinaryIO, size: int) -> int:
    """The last packet must be whole."""
    if not (packets := find_packets(_read(file, 0, SNIFF_BYTES))):
        return size
    start, step = packets
    last = start + (size - start) // step * step
    return last + 188 if _read(file, last - step, 1) == _read(file, last, 1) == b"\x47" else size


def _ogg(file: BinaryIO, size: int) -> int:
    """The last page must be whole."""
    start = max(0, size - 65536)  # a page has at most 65307 bytes
    tail = _read(file, start, 65536)
    at = tail.rfind(b"OggS\0")
    if at < 0 or len(page := tail[at:]) < 27:
        return size if at < 0 else size + 1
    return start + at + 27 + page[26] + sum(page[27 : 27 + page[26]])


def _asf(file: BinaryIO, size: int) -> int:
    """The file properties object names the file's size, unless it was broadcast."""
    head = _read(file, 0, 65536)
    at = head.find(_ASF_FILE_PROPERTIES)
    broadcast = at < 0 or head[at + 88 : at + 89] in (b"\x01", b"\x03", b"")
    return size if broadcast else int.from_bytes(head[at + 40 : at + 48], "little")


def _mp3(file: BinaryIO, size: int) -> int:
    """A Xing or Info header counts the bytes from its own frame on."""
    found = _find_xing(file)
    return found[0] + int.from_bytes(found[2][12:16]) if found else size


def _find_xing(file: BinaryIO) -> tuple[int, bytes, bytes] | None:
    """Where an MP3's first frame is, its header, and its Xing or Info tag if that counts frames and bytes."""
    tag = _read(file, 0, 10).ljust(10, b"\0")
    start = 10 + (tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9]) if tag[:3] == b"ID3" else 0
    frame = _read(file, start, 192)
    at = re.search(rb"^\xff[\xe0-\xff]..\0{9,32}(?=(?:Xing|Info)\0\0\0[\x03\x07\x0b\x0f])", frame, re.DOTALL)
    return (start, frame[:4], frame[at.end() :]) if at else None


def _read(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(max(0, position))
    return file.read(count)


_ENDS: dict[Container, Callable[[BinaryIO, int], int]] = {
    Container.MP4: _mp4,
    Container.MATROSKA: _matroska,
    Container.AVI: _riff,
    Container.WAV: _riff,
    Container.FLV: _flv,
    Container.OGG: _ogg,
    Container.ASF: _asf,
    Container.MP3: _mp3,
    Container.MPEG_TS: _mpegts,
}
