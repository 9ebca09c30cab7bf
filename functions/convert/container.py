"""Where a media file should end by its own index: a shorter file has lost its end, which ffmpeg often does not mind."""

from collections.abc import Callable
from typing import BinaryIO

from functions.model.media import SNIFF_BYTES, Container, MediaError, Reason, find_packets
from functions.model.mpeg_audio import find_count

_LIVE = 0xFFFFFFFF  # a live recording cannot know its size when it writes its header, and many leave this there
_PADDING = {b"free", b"skip", b"wide"}
_BOXES = _PADDING | {b"ftyp", b"moov", b"mdat", b"moof", b"mfra", b"styp", b"sidx", b"uuid", b"meta", b"pnot", b"PICT"}
_SEGMENT = b"\x18\x53\x80\x67"
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def check_end(file: BinaryIO, size: int, container: Container) -> None:
    """Raises MediaError (truncated) where the file's own index promises more than its `size` bytes.

    Formats and recordings without such an index pass, and so does a file with something else behind the video's end.
    Raises MediaError (damaged) for an MP4 of which a large part is no MP4.
    """
    if (find_end := _ENDS.get(container)) and (end := find_end(file, size)) > size:
        raise MediaError(Reason.TRUNCATED, f"{container} of {size} bytes should have {end}")


def _mp4(file: BinaryIO, size: int) -> int:
    """Walks the top-level boxes (ISO/IEC 14496-12, 4.2).

    What is no box stands behind the video's end, or is damage where it is more than a tenth of the file.
    """
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
            position = min(position, size)  # padding behind the index: nothing is lost with it
    return position if indexed else max(position, size + 1)


def _matroska(file: BinaryIO, size: int) -> int:
    """The end of the Segment, the one EBML element that holds everything (RFC 9559, 5.1)."""
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
    """Walks the RIFF chunks: a WAV has one, an AVI beyond 1 GB several (OpenDML)."""
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
    """The last four bytes hold the length of the tag before them; where they do not, walks the tags from the front."""
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
    """The file properties object holds the file's size, unless the file was broadcast as it was made (ASF, 3.2)."""
    head = _read(file, 0, 65536)
    at = head.find(_ASF_FILE_PROPERTIES)
    broadcast = at < 0 or head[at + 88 : at + 89] in (b"\x01", b"\x03", b"")
    return size if broadcast else int.from_bytes(head[at + 40 : at + 48], "little")


def _mp3(file: BinaryIO, size: int) -> int:
    """A Xing or Info header counts the bytes from its own frame on."""
    count = find_count(file)
    return count.start + count.size if count else size


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
