"""What a media file's own index says: whether its end is missing, and how long an MP3 plays."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from functions.model.media import Container, MediaError, Reason

_UNKNOWN_32 = 0xFFFFFFFF  # what live recorders leave where a size belongs


def check_end(file: BinaryIO, size: int, container: Container) -> None:
    """Refuse a file of `size` bytes whose own index promises more (MediaError, truncated).

    Formats and recordings without such an index pass, and so does anything that stands behind the film's end.
    """
    promise = _PROMISES.get(container)
    if promise and (promised := promise(file, size)) > size:
        raise MediaError(Reason.TRUNCATED, f"{container} of {size} bytes promises {promised}")


def measure_mp3(file: BinaryIO) -> float:
    """Seconds an MP3 plays by its Xing or Info header; raises ValueError when it has none."""
    head = file.read(10)
    start = 10 + _synchsafe(head[6:10]) if head[:3] == b"ID3" else 0
    file.seek(start)
    frame = file.read(64)
    mpeg1, mono = frame[1] >> 3 & 3 == 3 if len(frame) > 4 else False, len(frame) > 4 and frame[3] >> 6 == 3
    at = 4 + ({True: 17, False: 32} if mpeg1 else {True: 9, False: 17})[mono]
    if frame[at : at + 4] not in (b"Xing", b"Info") or not frame[at + 7] & 1:
        raise ValueError("no Xing or Info header in the first frame")
    hertz = (44100, 48000, 32000)[frame[2] >> 2 & 3] // {3: 1, 2: 2, 0: 4}[frame[1] >> 3 & 3]
    return int.from_bytes(frame[at + 8 : at + 12]) * (1152 if mpeg1 else 576) / hertz


def _synchsafe(four: bytes) -> int:
    return sum(byte << shift for byte, shift in zip(four, (21, 14, 7, 0), strict=True))


def _mp4(file: BinaryIO, size: int) -> int:
    """Walk the top-level boxes; what is no box we know is something behind the film's end."""
    position, index = 0, False
    while position + 8 <= size:
        head = _read(file, position, 16)
        length, kind = int.from_bytes(head[:4]), head[4:8]
        if kind not in _BOXES:
            break
        if length == 1:  # a 64-bit size follows
            length = int.from_bytes(head[8:])
        elif length == 0:  # reaches to the end, wherever that is
            length = size - position
        index |= kind == b"moov"
        position += max(length, 8)
        if kind in _PADDING and index:
            position = min(position, size)
    return position if index else size + 1


_PADDING = {b"free", b"skip", b"wide"}
_BOXES = _PADDING | {b"ftyp", b"moov", b"mdat", b"moof", b"mfra", b"styp", b"sidx", b"uuid", b"meta", b"pnot", b"PICT"}


def _matroska(file: BinaryIO, size: int) -> int:
    """Read the size of the Segment, the one element that holds everything."""
    position = 0
    while position < size:
        head = _read(file, position, 12)
        id_bytes = 9 - head[0].bit_length()
        size_bytes = 9 - head[id_bytes].bit_length() if len(head) > id_bytes else 9
        if size_bytes > 8 or len(head) < id_bytes + size_bytes:
            break
        bits = 7 * size_bytes
        length = int.from_bytes(head[id_bytes : id_bytes + size_bytes]) & (1 << bits) - 1
        position += id_bytes + size_bytes + length
        if head[:id_bytes] == b"\x18\x53\x80\x67":
            return size if length == (1 << bits) - 1 else position  # all ones: a live recording
    return size + 1


def _riff(file: BinaryIO, size: int) -> int:
    """Walk the RIFF chunks: one in a WAV, several in an AVI beyond 1 GB (OpenDML)."""
    position = 0
    while position + 12 <= size:
        head = _read(file, position, 28)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] == b"RF64" and head[12:16] == b"ds64":
            length = int.from_bytes(head[20:28], "little")
        elif head[:4] != b"RIFF":
            break
        if length in (0, _UNKNOWN_32):
            return size
        position += 8 + length
    return position - 1  # some writers count a last pad byte they do not write


def _flv(file: BinaryIO, size: int) -> int:
    """The last four bytes count the tag before them; when they do not, something follows, so walk from the front."""
    tail = int.from_bytes(_read(file, size - 4, 4))
    if tail + 4 < size and int.from_bytes(_read(file, size - 4 - tail + 1, 3)) + 11 == tail:
        return size
    position = int.from_bytes(_read(file, 5, 4)) + 4
    while position + 11 <= size:
        head = _read(file, position, 11)
        if head[0] & 0x1F not in (8, 9, 18):
            return size
        position += 11 + int.from_bytes(head[1:4]) + 4
    return position


def _ogg(file: BinaryIO, size: int) -> int:
    """The last page must be whole."""
    start = max(0, size - 65536)  # a page is at most 65307 bytes
    tail = _read(file, start, size - start)
    page = tail.rfind(b"OggS\x00")
    table = tail[page + 27 : page + 27 + tail[page + 26]] if 0 <= page < len(tail) - 26 else b""
    if page < 0:
        return size
    return start + page + 27 + (len(table) + sum(table) if len(table) == (tail[page + 26 : page + 27] or b"\xff")[0] else size)


def _asf(file: BinaryIO, size: int) -> int:
    """The file properties object names the file's size, unless it was broadcast."""
    head = _read(file, 0, 65536)
    at = head.find(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))
    if at < 0 or len(head) < at + 92 or head[at + 88] & 1:
        return size
    return int.from_bytes(head[at + 40 : at + 48], "little")


def _read(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(max(0, position))
    return file.read(count)


_PROMISES: dict[Container, Callable[[BinaryIO, int], int]] = {
    Container.MP4: _mp4,
    Container.MATROSKA: _matroska,
    Container.AVI: _riff,
    Container.WAV: _riff,
    Container.FLV: _flv,
    Container.OGG: _ogg,
    Container.ASF: _asf,
}
