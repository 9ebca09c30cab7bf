"""What counts as a video, what it and its audio are called, and why a video could not be converted."""

import re
from enum import StrEnum

from functions.model.encoding import Encoding
from functions.model.mpeg_audio import id3_length, read_frame

SNIFF_BYTES = 4096  # sniff() needs no more than this from the front of a file

_IMAGE_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"crx "}
_BOXES = {b"moov", b"wide", b"free", b"skip", b"pnot"}  # what old QuickTime files may begin with, beside mdat
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
# Control characters and line ends, lone surrogates, letters that nobody sees, and marks that turn the direction of
# text. Joiners are kept, because some scripts and many emoji are written with them.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]"
)
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')  # in names of files (Microsoft, "Naming Files, Paths, and Namespaces")
_NAME_BYTES = 200  # file systems allow 255; the rest is for what a browser appends, such as " (1)"
# The suffixes that a name loses when it becomes that of the audio. Whatever else stands behind a dot is a part of the
# name, as in "Interview v1.2" or "Mr.Robot".
_SUFFIX = re.compile(
    r"\.(?:3g2|3ga|3gp|3gp2|3gpp|3gpp2|aac|ac3|adts|aif|aifc|aiff|amr|asf|avi|caf|cmfa|cmfv|divx|dv|dvr-ms|eac3|evo|"
    r"f4a|f4b|f4p|f4v|flac|flv|insv|isma|ismv|lrv|m1v|m2p|m2t|m2ts|m2v|m4a|m4b|m4p|m4r|m4s|m4v|mk3d|mka|mkv|mod|mov|mp1|"
    r"mp2|mp2v|mp3|mp4|mp4a|mp4v|mpa|mpe|mpeg|mpeg1|mpeg2|mpeg4|mpg|mpg4|mpga|mpv|mpv2|mts|mxf|nut|oga|ogg|ogm|ogv|ogx|"
    r"opus|qt|rm|rmvb|spx|tod|trp|ts|vob|vro|w64|wav|wave|weba|webm|wma|wmv|wtv|xvid)\Z",
    re.ASCII | re.IGNORECASE,
)


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


class Reason(StrEnum):
    """Why a job failed. The values stand in rows, events and answers, and programs match on them: they never change."""

    NO_AUDIO = "no_audio"
    NO_SUCH_TRACK = "no_such_track"
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
        """The reason in plain words for the owner of the video, and what to do about it."""
        return _SENTENCES[self]


_SENTENCES = {
    Reason.NO_AUDIO: "The video has no sound, so there is nothing to convert. Upload one with an audio track.",
    Reason.NO_SUCH_TRACK: "The video has no such audio track. Choose one of those that its job lists.",
    Reason.TRUNCATED: "The video is cut off: its end is missing. Copy or download it again, then upload all of it.",
    Reason.DAMAGED: "The video is damaged and its sound cannot be read. Upload an intact copy.",
    Reason.TOO_LONG: "The video is longer than this service allows. Upload it in shorter parts.",
    Reason.TOO_LARGE: "The audio would be larger than this service allows. Upload the video in shorter parts.",
    Reason.DISK_TOO_SMALL: "This service has no disk that holds the video and its audio. Upload it in shorter parts.",
    Reason.TIMED_OUT: "Converting took longer than this service allows. Try again later, or upload shorter parts.",
    Reason.UNSUPPORTED: "We cannot read the format of this video or its sound. Save it as MP4 with AAC sound.",
    Reason.RETRIES_EXHAUSTED: "Converting failed several times for reasons on our side. Please try again later.",
}


class MediaError(Exception):
    """This video can never be converted, however often it is tried.

    `reason` is for programs, `detail` for the log, and `say` for the owner: what is wrong and what to do, where that is
    more than the reason's own sentence.
    """

    def __init__(self, reason: Reason, detail: str = "", *, say: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail
        self.say = say


def sniff(head: bytes) -> Container | None:
    """The container of a file, by its first SNIFF_BYTES, or by all of a shorter one. None where it is no media file."""
    return _by_signature(head) or _by_sync(head)


def printable(text: str) -> str:
    """Text of a stranger without what ends a line, turns its direction or cannot be seen, so that it fits a header."""
    return _UNPRINTABLE.sub("", text).strip()


def text(sent: bytes) -> str:
    """Bytes of a name or password as text: as UTF-8 or, where they are none, as windows-1252.

    That is what browsers mean by Latin-1 (WHATWG Encoding, 4.2). No bytes are refused.
    """
    try:
        return sent.decode()
    except UnicodeDecodeError:
        return sent.decode("cp1252", "replace")


def video_name(sent: str) -> str:
    """The name of a video as it may be shown: no folders, nothing unprintable, at most 200 bytes of UTF-8."""
    stem, suffix = _split(printable(re.split(r"[/\\]", sent)[-1]) or "video")
    return _cut(stem, _NAME_BYTES - len(suffix)) + suffix


def audio_name(video: str, encoding: Encoding) -> str:
    """The file name of a video's audio: one safe path component of at most 200 bytes, whatever the video is called."""
    return _named_after(video, encoding.suffix)


def archive_name(video: str) -> str:
    """The file name of the zip that holds a video's audio in parts, as safe as audio_name()."""
    return _named_after(video, ".zip")


def part_name(number: int, count: int, title: str, encoding: Encoding) -> str:
    """The file name of one of `count` parts: numbered, so that names sort as the parts follow, and safe everywhere.

    Windows takes none of some characters and no dot or space at the end; the number in front keeps the name from being
    that of a device, such as CON, and from being hidden.
    """
    safe = " ".join(_FORBIDDEN.sub(" ", printable(title)).split())
    front = f"{number:0{max(2, len(str(count)))}d} "
    return (front + _cut(safe, _NAME_BYTES - len(front) - len(encoding.suffix))).strip(". ") + encoding.suffix


def _named_after(video: str, suffix: str) -> str:
    stem, _ = _split(video_name(video).rstrip(". "))
    return (_cut(stem.strip(". "), _NAME_BYTES - len(suffix)).rstrip(". ") or "audio") + suffix


def _split(name: str) -> tuple[str, str]:
    """A name without its suffix, and the suffix with its dot, which is empty where it is not one of a media file."""
    found = _SUFFIX.search(name)
    return (name[: found.start()], found[0]) if found else (name, "")


def _cut(name: str, most: int) -> str:
    """The first `most` bytes of a name, without a half character at their end."""
    return name.encode()[:most].decode(errors="ignore")


def find_packets(head: bytes) -> tuple[int, int] | None:
    """The offset of the first sync byte of an MPEG transport stream, and the bytes from each to the next.

    A recording may begin anywhere within a packet of 188 bytes. Camcorders write a time before each packet (192 in
    all), tuners parity behind it (204). None where `head` is no transport stream.
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
            # The size in front of such a box is below 150 MB. In text ("The free ...") a letter stands there.
            return box in _BOXES and head[0] < 0x09


def _after_id3(head: bytes) -> Container | None:
    """An ID3v2 tag usually stands before MP3, but some writers put it before FLAC and AAC too."""
    if not (tag := id3_length(head)):
        return None
    behind = head[tag:]
    return Container.FLAC if behind.startswith(b"fLaC") else _by_sync(behind) or Container.MP3


def _by_sync(head: bytes) -> Container | None:
    """The formats that have no signature: a sync word that comes back at the distance that it gives tells them."""
    if find_packets(head):
        return Container.MPEG_TS
    if (frame := read_frame(head)) and read_frame(head[frame.length :]):
        return Container.MP3
    if (length := _adts_frame(head)) and _adts_frame(head[length:]):
        return Container.AAC
    return None


def _adts_frame(head: bytes) -> int:
    """Bytes of the ADTS frame (raw AAC, ISO/IEC 13818-7) at the front of `head`; 0 where there is none."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return 0
    return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
