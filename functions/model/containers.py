"""What counts as a video or as audio, by the first bytes of a file."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from functions.model.mpeg_audio import id3_length, read_frame

SNIFF_BYTES = 16_384  # find() needs no more than this from the front of a file

_IMAGE_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"crx "}
_BOXES = {b"moov", b"wide", b"free", b"skip", b"pnot"}  # what old QuickTime files may begin with, beside mdat
_FRAMES = 3  # that must follow one another where a sync word does not stand at the very front
_PACKETS = 5  # of a transport stream, at least
_BAD_PACKETS = 8  # one in so many may be damaged


class Container(StrEnum):
    """The containers that we take. The value is the name of the one ffmpeg demuxer that may read such a file."""

    MP4 = "mov"
    MATROSKA = "matroska"
    AVI = "avi"
    WAV = "wav"
    FLV = "flv"
    MPEG_TS = "mpegts"
    MPEG_PS = "mpeg"
    OGG = "ogg"
    ASF = "asf"
    MP3 = "mp3"
    FLAC = "flac"
    AAC = "aac"
    AC3 = "ac3"
    EAC3 = "eac3"
    AIFF = "aiff"
    AMR = "amr"
    APE = "ape"
    AU = "au"
    CAF = "caf"
    DSF = "dsf"
    DTS = "dts"
    DV = "dv"
    MUSEPACK_7 = "mpc"
    MUSEPACK_8 = "mpc8"
    MXF = "mxf"
    NUT = "nut"
    REALMEDIA = "rm"
    TAK = "tak"
    TTA = "tta"
    VOC = "voc"
    W64 = "w64"
    WAVPACK = "wv"
    WTV = "wtv"

    @property
    def word(self) -> str:
        """The container as people call it."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True)
class Found:
    """A container, and the bytes in front of it that are none of its own."""

    container: Container
    offset: int


# The first bytes of those that begin with a word of their own, and what must stand behind that, if it is not enough.
_SIGNATURES = (
    (rb"RIFF....AVI ", Container.AVI),
    (rb"(?:RIFF|RF64|BW64)....WAVE", Container.WAV),
    (rb"FLV\x01", Container.FLV),
    (rb"OggS\0", Container.OGG),
    (rb"fLaC", Container.FLAC),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", Container.ASF),
    (rb"FORM....AIF[FC]", Container.AIFF),
    (rb"#!AMR(?:-WB)?\n", Container.AMR),
    (rb"MAC \x8c?[\x00-\xff]", Container.APE),
    (rb"\.snd\x00\x00[\x00-\x10].", Container.AU),
    (rb"caff\x00\x01\x00\x00", Container.CAF),
    (rb"DSD \x1c\x00{7}", Container.DSF),
    (rb"\x1f\x07\x00[\x3f\xbf]", Container.DV),
    (rb"MP\+[\x07\x17\x27]", Container.MUSEPACK_7),
    (rb"MPCK[A-Z]{2}", Container.MUSEPACK_8),
    (rb"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02", Container.MXF),
    (rb"nut/multimedia container\0", Container.NUT),
    (rb"\.RMF\x00\x00\x00", Container.REALMEDIA),
    (rb"tBaK[\x00-\x07]", Container.TAK),
    (rb"TTA[12][\x01-\x03]\x00", Container.TTA),
    (rb"Creative Voice File\x1a", Container.VOC),
    (rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00", Container.W64),
    (rb"wvpk.{4}[\x02-\x10]\x04", Container.WAVPACK),
    (rb"\xb7\xd8\x00\x20\x37\x49\xda\x11\xa6\x4e\x00\x07\xe9\x5e\xad\x8d", Container.WTV),
    (rb"\x00\x00\x01\xba[\x44-\x7f\x21-\x2f]", Container.MPEG_PS),
    (
        rb"(?:\x7f\xfe\x80\x01|\xfe\x7f\x01\x80|\x1f\xff\xe8\x00\x07[\xf0-\xff]|\xff\x1f\x00\xe8[\xf0-\xff]\x07)",
        Container.DTS,
    ),
)
_SIGNED = [(re.compile(signature, re.DOTALL), container) for signature, container in _SIGNATURES]
_RELATIVE = {  # those whose insides count no bytes from the front of the file: something may stand before them
    *(Container.WAV, Container.FLV, Container.OGG, Container.FLAC, Container.AIFF, Container.AMR, Container.AU),
    *(Container.MPEG_PS, Container.WAVPACK, Container.APE, Container.TTA, Container.MUSEPACK_7, Container.MUSEPACK_8),
    *(Container.MATROSKA, Container.DTS, Container.AVI),
}
_SYNC = re.compile(rb"\xff[\xe0-\xff]|\x0b\x77")


def sniff(head: bytes) -> Container | None:
    """The container of a file, by its first SNIFF_BYTES, or by all of a shorter one. None where it is no media file."""
    found = find(head)
    return found.container if found else None


def find(head: bytes) -> Found | None:
    """The container and where it begins: behind zeros, junk, or the tag of another format. None: it is no media."""
    if container := _by_signature(head):
        return Found(container, 0)
    tag = id3_length(head)
    behind = _after_tag(head, tag) if tag else None
    return behind or _by_sync(head, tag) or _after_zeros(head) or (Found(Container.MP3, 0) if tag else None)


def _by_signature(head: bytes) -> Container | None:
    if head.startswith(b"\x1aE\xdf\xa3") and re.search(rb"matroska|webm", head[:4096]):
        return Container.MATROSKA
    signed = next((container for signature, container in _SIGNED if signature.match(head)), None)
    return signed or (Container.MP4 if _is_mp4(head) else None)


def _after_tag(head: bytes, tag: int) -> Found | None:
    """Some writers put an ID3v2 tag before anything."""
    container = _by_signature(head[tag:]) if tag < len(head) else None
    if container is Container.FLAC:
        return Found(container, 0)  # whose demuxer knows the tag
    return Found(container, tag) if container in _RELATIVE else None


def _after_zeros(head: bytes) -> Found | None:
    zeros = len(head) - len(head.lstrip(b"\0"))
    if not 0 < zeros < len(head):
        return None
    start = max(0, zeros - 2)  # MPEG's start codes begin with two zeros
    for at in (start, zeros):
        if (container := _by_signature(head[at:])) in _RELATIVE and container:
            return Found(container, at)
    return None


def _is_mp4(head: bytes) -> bool:
    match head[4:8]:
        case b"ftyp":
            return head[8:12] not in _IMAGE_BRANDS
        case b"mdat":
            return True
        case box:
            # The size in front of such a box is below 150 MB. In text ("The free ...") a letter stands there.
            return box in _BOXES and head[0] < 0x09


def _by_sync(head: bytes, tag: int) -> Found | None:
    """The formats that have no signature: a sync word that comes back at the distance that it gives tells them.

    At the very front two frames are enough, and after junk there must be more: noise has a sync word now and then.
    """
    if packets := find_packets(head):
        return Found(Container.MPEG_TS, packets[0])
    for found in _SYNC.finditer(head, tag):
        at = found.start()
        wanted = 2 if at == tag else _FRAMES
        for container, length in _LENGTHS.items():
            if _follow(head, at, wanted, length):
                return Found(container, 0 if container in (Container.MP3, Container.AAC) else at)
    return None


def _follow(head: bytes, at: int, count: int, length: Callable[[bytes], int]) -> bool:
    """Whether so many frames follow one another from there, as far as the head goes."""
    for _ in range(count):
        if not (size := length(head[at : at + 16])):
            return False
        at += size
    return True


def find_packets(head: bytes) -> tuple[int, int] | None:
    """The offset of the first sync byte of an MPEG transport stream, and the bytes from each to the next.

    A recording may begin anywhere within a packet of 188 bytes, and some packets may be damaged. Camcorders write a
    time before each packet (192 in all), tuners parity behind it (204). None where `head` is no transport stream.
    """
    for step in (188, 192, 204):
        for start in range(step):
            packets = range(start, len(head) - 3, step)
            if len(packets) < _PACKETS or head[start] != 0x47:
                continue
            good = sum(head[at] == 0x47 and head[at + 3] & 0x30 != 0 for at in packets)
            if good >= _PACKETS and good >= len(packets) * (1 - 1 / _BAD_PACKETS):
                return start, step
    return None


def _mpeg_frame(head: bytes) -> int:
    frame = read_frame(head)
    return frame.length if frame else 0


def _adts_frame(head: bytes) -> int:
    """Bytes of the ADTS frame (raw AAC, ISO/IEC 13818-7) at the front of `head`; 0 where there is none."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return 0
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length if length > 7 else 0


def _ac3_frame(head: bytes) -> int:
    """Bytes of the AC-3 frame (ATSC A/52, 5.3) at the front of `head`; 0 where there is none."""
    if len(head) < 6 or head[:2] != b"\x0b\x77" or head[5] >> 3 > 10:
        return 0
    rate, code = head[4] >> 6, head[4] & 63
    if rate == 3 or code > 37:
        return 0
    kbits = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)[code >> 1]
    words = (kbits * 2, kbits * 320 // 147 + (code & 1), kbits * 3)[rate]
    return words * 2


def _eac3_frame(head: bytes) -> int:
    """Bytes of the Enhanced AC-3 frame (ATSC A/52, annex E) at the front of `head`; 0 where there is none."""
    if len(head) < 6 or head[:2] != b"\x0b\x77" or not 11 <= head[5] >> 3 <= 16:
        return 0
    return ((head[2] & 7) << 8 | head[3]) * 2 + 2


_LENGTHS = {
    Container.MP3: _mpeg_frame,
    Container.AAC: _adts_frame,
    Container.AC3: _ac3_frame,
    Container.EAC3: _eac3_frame,
}
