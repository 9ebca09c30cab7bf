"""What counts as a video, what its MP3 is called, and why a video could not be converted."""

import re
from enum import StrEnum

SNIFF_BYTES = 4096  # sniff() needs no more than this from the front of a file

_IMAGE_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"crx "}
_BOXES = {b"moov", b"wide", b"free", b"skip", b"pnot"}  # what old QuickTime files may begin with, beside mdat
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_MP3_BITRATES = {  # kbit/s by (MPEG-1?, layer III?), as the header counts them from 1
    (True, True): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (True, False): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (False, True): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, False): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
# Controls, line ends, lone surrogates, what nobody sees, and what turns the direction of text. Joiners stay: scripts
# and emoji need them.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]"
)
_NAME_BYTES = 200  # file systems stop at 255; the rest is for what a browser appends
# What an MP3's name does without. Anything else behind a dot belongs to the name: "Interview v1.2", "Mr.Robot".
_SUFFIX = re.compile(
    r"\.(?:3g2|3ga|3gp|3gp2|3gpp|3gpp2|aac|ac3|adts|aif|aifc|aiff|amr|asf|avi|caf|cmfa|cmfv|divx|dv|dvr-ms|eac3|evo|"
    r"f4a|f4b|f4p|f4v|flac|flv|insv|isma|ismv|lrv|m1v|m2p|m2t|m2ts|m2v|m4a|m4b|m4p|m4r|m4s|m4v|mk3d|mka|mkv|mod|mov|mp1|"
    r"mp2|mp2v|mp3|mp4|mp4a|mp4v|mpa|mpe|mpeg|mpeg1|mpeg2|mpeg4|mpg|mpg4|mpga|mpv|mpv2|mts|mxf|nut|oga|ogg|ogm|ogv|ogx|"
    r"opus|qt|rm|rmvb|spx|tod|trp|ts|vob|vro|w64|wav|wave|weba|webm|wma|wmv|wtv|xvid)\Z",
    re.ASCII | re.IGNORECASE,
)


class Container(StrEnum):
    """A media container we open; the value is the one ffmpeg demuxer that may read it."""

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


class Reason(StrEnum):
    """Why a job failed: stable names for rows, mails and problem answers."""

    NO_AUDIO = "no_audio"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    TOO_LONG = "too_long"
    TOO_LARGE = "too_large"
    DISK_TOO_SMALL = "disk_too_small"
    TIMED_OUT = "timed_out"
    UNSUPPORTED = "unsupported"
    RETRIES_EXHAUSTED = "retries_exhausted"

    @property
    def sentence(self) -> str:
        """The reason in plain words, with what to do about it."""
        return _SENTENCES[self]


_SENTENCES = {
    Reason.NO_AUDIO: "The video has no sound, so there is nothing to convert. Upload one with an audio track.",
    Reason.TRUNCATED: "The video is cut off: its end is missing. Copy or download it again, then upload all of it.",
    Reason.DAMAGED: "The video is damaged and its sound cannot be read. Upload an intact copy.",
    Reason.TOO_LONG: "The video is longer than this service allows. Upload it in shorter parts.",
    Reason.TOO_LARGE: "The MP3 would be larger than this service allows. Upload the video in shorter parts.",
    Reason.DISK_TOO_SMALL: "This service has no disk that holds the video and its MP3. Upload it in shorter parts.",
    Reason.TIMED_OUT: "Converting took longer than this service allows. Try again later, or upload shorter parts.",
    Reason.UNSUPPORTED: "We cannot read the format of this video or its sound. Save it as MP4 with AAC sound.",
    Reason.RETRIES_EXHAUSTED: "Converting failed several times for reasons on our side. Please try again later.",
}


class MediaError(Exception):
    """This video can never be converted: `reason` is for its owner, `detail` for the log."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail


def sniff(head: bytes) -> Container | None:
    """Name the container that begins with `head` (SNIFF_BYTES, or a whole shorter file); None: no media."""
    return _by_signature(head) or _by_sync(head)


def printable(text: str) -> str:
    """A stranger's text without what ends lines, turns their direction or cannot be seen: fit for a header."""
    return _UNPRINTABLE.sub("", text).strip()


def text(sent: bytes) -> str:
    """A name or password as text, whatever bytes came: UTF-8, else what browsers call Latin-1 (windows-1252)."""
    try:
        return sent.decode()
    except UnicodeDecodeError:
        return sent.decode("cp1252", "replace")


def video_name(sent: str) -> str:
    """The file name of a stranger's video, fit to be shown: no folders, nothing unprintable, at most 200 bytes."""
    stem, suffix = _split(printable(re.split(r"[/\\]", sent)[-1]) or "video")
    return _cut(stem, _NAME_BYTES - len(suffix)) + suffix


def audio_name(video: str) -> str:
    """The name of a video's MP3: one safe path component of at most 200 bytes, for any name that a video may have."""
    stem, _ = _split(video_name(video).rstrip(". "))
    return (_cut(stem.strip(". "), _NAME_BYTES - len(".mp3")).rstrip(". ") or "audio") + ".mp3"


def _split(name: str) -> tuple[str, str]:
    """A name without its suffix, and the suffix with its dot; that is empty where it is none of a media file."""
    found = _SUFFIX.search(name)
    return (name[: found.start()], found[0]) if found else (name, "")


def _cut(name: str, room: int) -> str:
    """At most that many bytes of a name, and no half character at its end."""
    return name.encode()[:room].decode(errors="ignore")


def find_packets(head: bytes) -> tuple[int, int] | None:
    """Where the first sync byte of an MPEG transport stream is and how far apart they are; None: it is none.

    A recording may begin anywhere in a packet; camcorders put a time before each (192), tuners parity behind it (204).
    """
    for step in (188, 192, 204):
        for start in range(step):
            packets = range(start, len(head) - 3, step)
            if len(packets) >= 5 and all(head[at] == 0x47 and head[at + 3] & 0x30 for at in packets):
                return start, step
    return None


def _by_signature(head: bytes) -> Container | None:
    match head[:4], head[8:12]:
        case b"\x1aE\xdf\xa3", _ if b"matroska" in head or b"webm" in head:
            return Container.MATROSKA
        case b"RIFF", b"AVI ":
            return Container.AVI
        case b"RIFF" | b"RF64", b"WAVE":
            return Container.WAV
        case b"FLV\x01", _:
            return Container.FLV
        case b"OggS", _:
            return Container.OGG
        case b"fLaC", _:
            return Container.FLAC
        case b"\x00\x00\x01\xba", _ if head[4:5] and (head[4] & 0xC4 == 0x44 or head[4] & 0xF1 == 0x21):
            return Container.MPEG_PS
    if head.startswith(_ASF):
        return Container.ASF
    return Container.MP4 if _is_mp4(head) else _after_id3(head)


def _is_mp4(head: bytes) -> bool:
    match head[4:8]:
        case b"ftyp":
            return head[8:12] not in _IMAGE_BRANDS
        case b"mdat":
            return True
        case box:
            return box in _BOXES and head[0] < 0x09  # a size below 150 MB, so no text ("The free ...")


def _after_id3(head: bytes) -> Container | None:
    """An ID3v2 tag usually stands before MP3, but some writers put it before FLAC and AAC too."""
    if not re.match(rb"ID3[\x02-\x04][^\xff].[\x00-\x7f]{4}", head, re.DOTALL):
        return None
    size = sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    behind = head[10 + size :]
    return Container.FLAC if behind.startswith(b"fLaC") else _by_sync(behind) or Container.MP3


def _by_sync(head: bytes) -> Container | None:
    """Recognise the formats that have no signature, only a sync word that comes back where it must."""
    if find_packets(head):
        return Container.MPEG_TS
    if (length := _mp3_frame(head)) and _mp3_frame(head[length:]):
        return Container.MP3
    if (length := _adts_frame(head)) and _adts_frame(head[length:]):
        return Container.AAC
    return None


def _mp3_frame(head: bytes) -> int:
    """Length of the MPEG audio frame (layer II or III) at the front of `head`, 0 when there is none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer, bitrate, rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer not in (1, 2) or bitrate in (0, 15) or rate == 3:
        return 0
    mpeg1, layer3 = version == 3, layer == 1
    hertz = (44100, 48000, 32000)[rate] // {3: 1, 2: 2, 0: 4}[version]
    slots = 72 if layer3 and not mpeg1 else 144
    return slots * 1000 * _MP3_BITRATES[mpeg1, layer3][bitrate - 1] // hertz + (head[2] >> 1 & 1)


def _adts_frame(head: bytes) -> int:
    """Length of the ADTS (raw AAC) frame at the front of `head`, 0 when there is none."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return 0
    return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
