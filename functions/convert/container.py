"""Where a media file should end by its own index: a shorter file has lost its end, which ffmpeg often does not mind.

What a size in a header says refuses nothing by itself: recorders and pipes leave many there that are wrong.
"""

import re
import struct
from collections.abc import Callable
from typing import BinaryIO

from functions.model.containers import SNIFF_BYTES, Container, find_packets
from functions.model.media import MediaError, Reason
from functions.model.mpeg_audio import find_xing_header

# Sizes that are written by who does not know the size yet: nothing, all ones, and everything near the two limits of 31
# and 32 bits, such as 0x7fffffff, 0x7ffff024, 0x80000024 and 2,000,000,036 (docs/facts.md).
_UNKNOWN_SIZES = range(2_000_000_000, 2**32)
_PADDING = {b"free", b"skip", b"wide"}
_BOXES = _PADDING | {b"ftyp", b"moov", b"mdat", b"moof", b"mfra", b"styp", b"sidx", b"uuid", b"meta", b"pnot", b"PICT"}
_CLUSTER = b"\x1f\x43\xb6\x75"
_CODEC_ID = re.compile(rb"\x86([\x83-\xa0])(A_.{30})", re.DOTALL)  # the element, its length, and audio's name
_SEGMENT = b"\x18\x53\x80\x67"
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_SLACK = 12  # bytes by which a size may be wrong: some count the header too, or a pad byte that they do not write
_READ = 2**20  # bytes at once
_NOBODY_KNOWS = -1  # the end of a file that ends in the middle of something, without a word about how much was to come


def is_interrupted(file: BinaryIO, size: int, container: Container) -> bool:
    """Whether the file ends in the middle of something, as the recordings of a recorder do that was stopped by force.

    Raises MediaError (truncated) where the file's own index promises more than its `size` bytes: then it is a part of
    something that exists as a whole. Formats and recordings without such an index pass, and so does a file with
    something else after the video's end. Raises MediaError (damaged) for an MP4 of which a large part is no MP4.
    """
    end = find_end(file, size) if (find_end := _ENDS.get(container)) else size
    if end > size:
        raise MediaError(Reason.TRUNCATED, f"{container} of {size} bytes should have {end}")
    return end == _NOBODY_KNOWS


def check_sound(file: BinaryIO, container: Container, *, heard: bool) -> None:
    """Says why there is no sound to be had from a file, if its own bytes tell; `heard` if it has tracks of audio.

    Raises MediaError: unsupported, if it is encrypted or of a codec with a name that ffmpeg does not know; damaged, if
    its index speaks of sound in a place where nobody can find it.
    """
    index = _index(file, container)
    if any(word in index for word in _ENCRYPTED.get(container, ())):
        raise MediaError(
            Reason.UNSUPPORTED,
            "encrypted",
            say="The video is encrypted (DRM), so nobody but its own player can read it. Upload one that is not.",
        )
    if heard:
        return
    if container is Container.MATROSKA and (codec := _CODEC_ID.search(index)):
        name = codec[2][: codec[1][0] & 0x7F].decode("ascii", "replace")
        raise MediaError(
            Reason.UNSUPPORTED,
            name,
            say=f"We cannot read the codec of the video's sound ({name}). Save it as MP4 with AAC sound.",
        )
    if container is Container.MP4 and not _has_tracks(index):
        raise MediaError(Reason.DAMAGED, "the index has no track that can be read")


_ENCRYPTED: dict[Container, tuple[bytes, ...]] = {
    Container.MP4: (b"enca", b"encv", b"drms", b"drmi", b"sinf"),  # ISO/IEC 14496-12, 8.12; iTunes'
    Container.MATROSKA: (b"\x50\x35",),  # ContentEncryption (RFC 9559, 5.1.4.1.31)
    Container.ASF: (bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),),  # Content Encryption Object (ASF, 3.14)
}


def _index(file: BinaryIO, container: Container) -> bytes:
    """The bytes in which a container tells what it holds: an MP4's `moov`, the front of any other."""
    if container is Container.MATROSKA:
        return _read(file, 0, _READ).partition(_CLUSTER)[0]
    if container is not Container.MP4:
        return _read(file, 0, _READ)
    position = 0
    while len(head := _read(file, position, 16)) >= 8:
        length = int.from_bytes(head[:4])
        length = int.from_bytes(head[8:16]) if length == 1 else length or _READ
        if head[4:8] == b"moov":
            return _read(file, position, min(length, 16 * _READ))
        position += max(length, 8)
    return b""


def _has_tracks(index: bytes) -> bool:
    """Whether an MP4's index can be read down to what each track holds."""
    tracks = index.count(b"trak")
    return tracks > 0 and index.count(b"hdlr") >= tracks and index.count(b"stsd") >= tracks


def _mp4(file: BinaryIO, size: int) -> int:
    """Walks the top-level boxes (ISO/IEC 14496-12, 4.2).

    Bytes that are no box behind the index and the sound are something else after the video's end. Before that, or among
    the fragments of a recording, they are damage if they are more than a tenth of the file.
    """
    position, seen = 0, set[bytes]()
    while position + 8 <= size:
        head = _read(file, position, 16)
        length, kind = int.from_bytes(head[:4]), head[4:8]
        if length == 1:  # a 64-bit size follows
            length = int.from_bytes(head[8:])
        if length == 0 and kind in _BOXES:  # reaches to the end, wherever that is
            length = size - position
        if kind not in _BOXES and (not kind.isalnum() or length < 8 or position + length > size):
            is_whole = {b"moov", b"mdat"} <= seen and not (b"moof" in seen and _is_in(file, position, b"moof"))
            if not is_whole and size - position > size / 10:
                raise MediaError(Reason.DAMAGED, f"no box at {position} of {size} bytes")
            return size
        seen.add(kind)
        position += max(length, 8)
        if b"moov" in seen and kind in _PADDING:
            position = min(position, size)  # padding behind the index: nothing is lost with it
    if b"moof" in seen and position > size:
        return _NOBODY_KNOWS  # a fragment is cut off, and no index says how many there were to be
    return position if b"moov" in seen else max(position, size + 1)


def _is_in(file: BinaryIO, position: int, word: bytes) -> bool:
    """Whether a word stands anywhere behind that position."""
    last = b""
    while piece := _read(file, position, _READ):
        if word in last + piece:
            return True
        last, position = piece[-len(word) :], position + len(piece)
    return False


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
    """Walks the RIFFs: a WAV has one, an AVI beyond 1 GB several (OpenDML). Each ends with its sound."""
    position = 0
    while position + 12 <= size:
        head = _read(file, position, 28)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] == b"RF64":
            length = int.from_bytes(head[20:28], "little")
        elif head[:4] != b"RIFF":
            break
        if length == 0 or length in _UNKNOWN_SIZES:
            return size
        end = position + 8 + length
        if end > size + _SLACK:
            return _sound_end(file, position + 12, size) or end
        position = end
    return min(position, size) if position <= size + _SLACK else position


def _sound_end(file: BinaryIO, position: int, size: int) -> int:
    """Where the chunk that holds the sound ends, in a RIFF that is longer than the file; 0 where there is none.

    Behind it only an index may be missing, which nobody needs.
    """
    while position + 12 <= size:
        head = _read(file, position, 12)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] == b"data" or head[8:12] == b"movi":
            end = position + 8 + length
            return size if length == 0 or length in _UNKNOWN_SIZES or end <= size + _SLACK else end
        position += 8 + length + length % 2
    return 0


def _flv(file: BinaryIO, size: int) -> int:
    """The last four bytes hold the length of the tag before them; where they do not, walks the tags from the front.

    A file that ends within a tag is cut off if its metadata say that it was to be longer; recorders do not know it.
    """
    last = int.from_bytes(_read(file, size - 4, 4))
    if 11 <= last < size and int.from_bytes(_read(file, size - 4 - last + 1, 3)) + 11 == last:
        return size
    position = int.from_bytes(_read(file, 5, 4)) + 4
    while position < size:
        head = _read(file, position, 11)
        if head[0] & 0x1F not in (8, 9, 18):  # audio, video, script
            return size
        position += 11 + int.from_bytes(head[1:4]) + 4
    promised = _flv_promise(_read(file, 0, 65536))
    return position if promised is None or promised > size else _NOBODY_KNOWS


def _flv_promise(head: bytes) -> float | None:
    """The size of the whole file by its metadata (FLV, E.5); 0 where they give none, None where there are none."""
    if b"onMetaData" not in head:
        return None
    found = re.search(rb"filesize\0(.{8})", head, re.DOTALL)
    return float(struct.unpack(">d", found[1])[0]) if found else 0.0


def _mpegts(file: BinaryIO, size: int) -> int:
    """A recorder writes whole packets, but nothing says how many."""
    if not (packets := find_packets(_read(file, 0, SNIFF_BYTES))):
        return size
    start, step = packets
    last = start + (size - start) // step * step
    is_part = _read(file, last - step, 1) == _read(file, last, 1) == b"\x47" and last + 188 > size
    return _NOBODY_KNOWS if is_part else size


def _ogg(file: BinaryIO, size: int) -> int:
    """The last page must be whole, but nothing says how many there were to be."""
    start = max(0, size - 65536)  # a page has at most 65307 bytes
    tail = _read(file, start, 65536)
    at = tail.rfind(b"OggS\0")
    if at < 0 or len(page := tail[at:]) < 27:
        return size if at < 0 else _NOBODY_KNOWS
    end = start + at + 27 + page[26] + sum(page[27 : 27 + page[26]])
    return _NOBODY_KNOWS if end > size else end


def _asf(file: BinaryIO, size: int) -> int:
    """The file properties object holds the file's size, unless the file was broadcast as it was made (ASF, 3.2)."""
    head = _read(file, 0, 65536)
    at = head.find(_ASF_FILE_PROPERTIES)
    broadcast = at < 0 or head[at + 88 : at + 89] in (b"\x01", b"\x03", b"")
    return size if broadcast else int.from_bytes(head[at + 40 : at + 48], "little")


def _mp3(file: BinaryIO, size: int) -> int:
    """A Xing header counts the bytes from its own frame on."""
    header = find_xing_header(file)
    return header.start + header.size if header else size


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
