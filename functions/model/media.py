"""What a video and its audio are called, and why a video could not be converted."""

import re
from enum import StrEnum

from functions.model.encoding import Encoding

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
    r"\.(?:3g2|3ga|3gp|3gp2|3gpp|3gpp2|aac|ac3|adts|aif|aifc|aiff|amr|ape|asf|au|avi|caf|cmfa|cmfv|divx|dv|dsf|dts|dvr-ms|eac3|evo|"
    r"f4a|f4b|f4p|f4v|flac|flv|insv|isma|ismv|lrv|m1v|m2p|m2t|m2ts|m2v|m4a|m4b|m4p|m4r|m4s|m4v|mk3d|mka|mkv|mod|mov|mp1|"
    r"mp2|mp2v|mp3|mp4|mp4a|mp4v|mpa|mpc|mpe|mpeg|mpeg1|mpeg2|mpeg4|mpg|mpg4|mpga|mpv|mpv2|mts|mxf|nut|oga|ogg|ogm|ogv|ogx|"
    r"opus|qt|rm|rmvb|spx|tak|tod|trp|ts|tta|voc|vob|vro|w64|wav|wave|weba|webm|wma|wmv|wtv|wv|xvid)\Z",
    re.ASCII | re.IGNORECASE,
)


class Reason(StrEnum):
    """Why a job failed. The values stand in rows, events and answers, and programs match on them: they never change."""

    NO_AUDIO = "no_audio"
    NO_SUCH_TRACK = "no_such_track"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    TOO_LONG = "too_long"
    TOO_LARGE = "too_large"
    TOO_SPARSE = "too_sparse"
    TOO_MANY_STREAMS = "too_many_streams"
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
    Reason.TOO_SPARSE: "The file holds next to nothing for a sound of its length. Upload the recording it was made of.",
    Reason.TOO_MANY_STREAMS: "The video has more streams of sound, picture and text than we read. Save it with fewer.",
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
