"""What counts as a video or as audio, by the first bytes of a file.

A signature is what the format's own specification has at its front. What has none is told by its frames, one following
the other (functions/model/frames.py). Either may stand behind zeros, junk, or the tag of another format.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from functions.model import frames
from functions.model.mpeg_audio import id3_length

SNIFF_BYTES = 65_536  # find() looks at no more than this of the front of a file


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
class Extent:
    """Which bytes of a file are media, and of what container: none in front of `start`, none from `end` on."""

    container: Container
    start: int = 0
    end: int | None = None  # None: to the end of the file


# Patterns, compiled at their first use, for most functions need none. These are of at least six bytes' worth: noise has
# none of them, so that they are believed behind junk too.
_STRONG = {
    Container.MP4: rb"\0\0[\0-\x3f].ftyp[\x20-\x7e]{4}",
    Container.MATROSKA: rb"\x1a\x45\xdf\xa3(?=.{0,64}?\x42\x82.{1,8}?(?:matroska|webm))",
    Container.AVI: rb"RIFF....AVI[ \x19]",
    Container.WAV: rb"(?:RIFF|RF64|BW64)....WAVE",
    Container.FLV: rb"FLV\x01[\0-\x07]\0\0\0[\x09-\xff]",
    Container.OGG: rb"OggS\0[\x02\x06]",
    Container.ASF: rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c",
    Container.FLAC: rb"fLaC[\0\x80]\0\0\x22",
    Container.AIFF: rb"FORM....AIF[FC]",
    Container.AMR: rb"#!AMR(?:-WB)?\n",
    Container.CAF: rb"caff\0\x01\0\0",
    Container.DV: rb"\x1f\x07\0[\x3f\xbf].{76}\x3f\x07\0",
    Container.MXF: rb"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02",
    Container.NUT: rb"nut/multimedia container\0",
    Container.REALMEDIA: rb"\.RMF\0\0\0.",
    Container.VOC: rb"Creative Voice File\x1a",
    Container.W64: rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0",
    Container.WAVPACK: rb"wvpk.{4}[\x02-\x10]\x04.\0",
    Container.WTV: rb"\xb7\xd8\x00\x20\x37\x49\xda\x11\xa6\x4e\x00\x07\xe9\x5e\xad\x8d",
    Container.DSF: rb"DSD \x1c\0{7}",
    # A pack header (ISO/IEC 13818-1, 2.5.3.3, and 11172-1, 2.4.3.2) with all of its marker bits.
    Container.MPEG_PS: rb"\0\0\x01\xba(?:[\x44-\x47\x4c-\x4f\x54-\x57\x5c-\x5f\x64-\x67\x6c-\x6f\x74-\x77\x7c-\x7f]"
    rb".[\x04-\x07\x0c-\x0f\x14-\x17\x1c-\x1f\x24-\x27\x2c-\x2f\x34-\x37\x3c-\x3f\x44-\x47\x4c-\x4f\x54-\x57\x5c-\x5f"
    rb"\x64-\x67\x6c-\x6f\x74-\x77\x7c-\x7f\x84-\x87\x8c-\x8f\x94-\x97\x9c-\x9f\xa4-\xa7\xac-\xaf\xb4-\xb7\xbc-\xbf"
    rb"\xc4-\xc7\xcc-\xcf\xd4-\xd7\xdc-\xdf\xe4-\xe7\xec-\xef\xf4-\xf7\xfc-\xff]|[\x21\x23\x25\x27\x29\x2b\x2d\x2f])",
}
# Shorter ones, which count at the very front only, or behind a tag.
_WEAK = {
    Container.MPEG_PS: rb"\0\0\x01\xba[\x21-\x2f\x44-\x7f]",
    Container.FLV: rb"FLV\x01",
    Container.OGG: rb"OggS\0",
    Container.FLAC: rb"fLaC",
    Container.APE: rb"MAC [\0-\xff][\x0e\x0f]",  # version 3.58 or later; ffmpeg says of which it reads
    Container.AU: rb"\.snd\0\0[\0-\x10].",
    Container.MUSEPACK_7: rb"MP\+[\x07\x17\x27]",
    Container.MUSEPACK_8: rb"MPCK[A-Z]{2}",
    Container.TAK: rb"tBaK[\0-\x07]",
    Container.TTA: rb"TTA[12][\x01-\x03]\0",
    Container.WAVPACK: rb"wvpk.{4}[\x02-\x10]\x04",
    Container.DTS: rb"\x7f\xfe\x80\x01|\xfe\x7f\x01\x80|\x1f\xff\xe8\0\x07[\xf0-\xff]|\xff\x1f\0\xe8[\xf0-\xff]\x07",
    Container.DV: rb"\x1f\x07\0[\x3f\xbf]",
}
_SIGNED = [(sign, container) for each in (_STRONG, _WEAK) for container, sign in each.items()]
_IMAGE_BRANDS = {
    *(b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1", b"miaf"),
    *(b"jpeg", b"jpgs", b"jp2 ", b"jpx ", b"jpm ", b"jxl ", b"avci", b"avcs", b"crx "),
}
_BOXES = {b"moov", b"wide", b"free", b"skip", b"pnot"}  # what old QuickTime files may begin with, beside mdat
# What is known to be something else, although sound may be hidden in it: pictures, documents, archives, programs, and
# what packs a whole WAV with its header (OptimFROG, Shorten, LA, ALS, RK Audio).
_FOREIGN = (
    rb"PK(?:\x03\x04|\x05\x06|\x07\x08)|Rar!\x1a|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd|MSCF|%PDF|%!PS|\{\\rtf|"
    rb"\xd0\xcf\x11\xe0|\x7fELF|MZ|\xca\xfe\xba\xbe|[\xce\xcf]\xfa\xed\xfe|\xfe\xed\xfa[\xce\xcf]|\0asm|!<arch>|"
    rb"SQLite |\x89PNG|\xff\xd8\xff|GIF8|BM....\0\0\0\0|II[*+]\0|MM\0[*+]|8BPS|RIFF....WEBP|\0\0[\x01\x02]\0.\0|"
    rb"wOF[F2]|OTTO|\0\0\0\x0c(?:jP  |JXL )|\xff\x0a|.{4}ftyp|#EXTM3U|#!|ffconcat|\xef\xbb\xbf|\s*[<{\[]|.{257}ustar|"
    rb".{32769}CD001|OFR |ajkg|LA0\d|ALS\0|RKA\d"
)
_JUNK = 4096  # bytes, at most, before a signature; zeros may be more
# Their demuxers read a tag in front themselves.
OWN_TAG = (Container.MP3, Container.AAC, Container.FLAC, Container.TTA, Container.W64)
_APE_TAG = re.compile(rb"APETAGEX....(....)....(...[\x80-\xff])", re.DOTALL)
_APE_HEADER = 32  # bytes


def sniff(head: bytes) -> Container | None:
    """The container of a file, by its first SNIFF_BYTES, or by all of a shorter one. None where it is no media file."""
    found = find(head)
    return found.container if found else None


def find(head: bytes) -> Extent | None:
    """The container and where it begins. None: it is no media file, or one that we do not take.

    A tag that is longer than SNIFF_BYTES is taken for that of an MP3; who has the whole file looks behind it.
    """
    head = head[:SNIFF_BYTES]
    if container := _by_signature(head):
        return Extent(container, 0)
    if tag := tag_length(head):
        return _behind_tag(head, tag)
    if re.match(_FOREIGN, head, re.DOTALL):
        return None
    return _by_frames(head) or _behind_junk(head)


def tag_length(head: bytes) -> int:
    """Bytes of the tags in front, ID3v2 and APEv2, that begin with `head`, which may be shorter; 0 for none.

    (ID3v2.3, 3.1, and the APEv2 specification of Hydrogenaudio.)
    """
    at = 0
    while at < len(head):
        front = head[at : at + _APE_HEADER]
        if ape := _APE_TAG.match(front):
            length = int.from_bytes(ape[1], "little") + _APE_HEADER
        elif not (length := id3_length(front)):
            break
        at += length
    return at


def _by_signature(head: bytes) -> Container | None:
    if _is_mp4(head):
        return Container.MP4
    found = next((container for sign, container in _SIGNED if re.match(sign, head, re.DOTALL)), None)
    return found if found is not Container.MP4 else None  # one that _is_mp4() has refused


def _is_mp4(head: bytes) -> bool:
    match head[4:8]:
        case b"ftyp":
            return head[8:12] not in _IMAGE_BRANDS
        case b"mdat":
            return True
        case box:
            # The size in front of such a box is below 150 MB. In text ("The free ...") a letter stands there.
            return box in _BOXES and head[0] < 0x09


def _behind_tag(head: bytes, tag: int) -> Extent:
    behind = head[tag:]
    if container := _by_signature(behind):
        found = Extent(container, tag)
    else:
        found = _by_frames(behind, tag) or _behind_junk(behind, tag) or Extent(Container.MP3, 0)
    reads_tag = found.container in OWN_TAG and head.startswith(b"ID3")
    return Extent(found.container) if reads_tag else found


def _by_frames(head: bytes, before: int = 0) -> Extent | None:
    if packets := frames.find_packets(head):
        start, step = packets
        # Its demuxer looks for the first packet itself, but not far.
        return Extent(Container.MPEG_TS, before + (start if start > step else 0))
    found = frames.find(head)
    return Extent(Container(found.kind), before + found.offset) if found else None


def _behind_junk(head: bytes, before: int = 0) -> Extent | None:
    """A signature behind zeros or a little junk, as another format's header leaves it (MacBinary has 128 bytes)."""
    zeros = len(head) - len(head.lstrip(b"\0"))
    last = zeros + _JUNK
    front = head[: last + 128]
    places = [
        (match.start(), container)
        for container, sign in _STRONG.items()
        if (match := re.search(sign, front, re.DOTALL)) and match.start() < last
    ]
    if not places:
        return None
    at, container = min(places)
    if container is Container.MP4 and not _is_mp4(head[at:]):
        return None
    return Extent(container, 0 if container is Container.MXF else before + at)  # MXF counts from behind it
