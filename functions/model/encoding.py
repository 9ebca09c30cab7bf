"""The formats that audio can have, each with all that other modules need to know about it.

ffmpeg needs its codec and muxer, a download its MIME type and suffix, the disk's reservation its largest size, and the
options what it has: bitrates, sample rates, and what each quality means in it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from functions.model import mpeg_audio


class Quality(StrEnum):
    """How good audio is, in words; an Encoding says what each word means in it."""

    STANDARD = "standard"
    VOICE = "voice"
    SMALL = "small"
    HIGH = "high"
    MAX = "max"


@dataclass(frozen=True)
class Meaning:
    """What a quality means in one format. All that is None is left to the format or the source."""

    bitrate: int | None = None  # kbit/s, constant
    vbr: int | None = None  # LAME's -V
    mono: bool = False


@dataclass(frozen=True)
class Encoding:
    """One format of audio."""

    name: str  # as people write it
    suffix: str  # of a file's name, with its dot
    mime_type: str
    codec: str  # ffmpeg's encoder
    muxer: str  # ffmpeg's writer of the file around it
    muxer_arguments: tuple[str, ...]
    demuxer: str  # ffmpeg's reader of it
    sample_rates: tuple[int, ...]  # Hz, rising
    max_channels: int
    sample_bytes: int  # of each sample of a channel, where nothing is lost; 0 where a bitrate is kept
    copied: tuple[str, ...]  # the codecs, in ffmpeg's words, of which a track is copied into such a file
    meanings: Mapping[Quality, Meaning]
    bitrates: Callable[[int | None, bool], Sequence[int]]  # kbit/s, at a rate in Hz or at any, mono or not; or lossless
    layouts: str = ""  # of more than two channels that the encoder takes, in ffmpeg's words; empty: any
    packet: int | None = (
        None  # samples of each packet that the encoder writes, where packets may have gaps between them
    )
    measure: Callable[[BinaryIO], float] | None = None  # seconds that a finished file plays, where ffprobe is not asked

    def bytes_per_second(self, channels: int, hertz: int) -> int:
        """The most that a second of sound takes, not counting tags and cover."""
        exact = min(channels, self.max_channels) * self.nearest_rate(hertz) * self.sample_bytes
        return exact or _MOST * 1000 // 8

    def nearest_rate(self, hertz: int) -> int:
        """The lowest sample rate that the format has and that is not below `hertz`, or the highest one."""
        return next((rate for rate in self.sample_rates if rate >= hertz), self.sample_rates[-1])


_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_LOSSLESS_RATES = (*_RATES, 88200, 96000)
_MOST = 320  # kbit/s
_XIPH = "3.0|quad|5.0|5.1|6.1|7.1"  # RFC 7845, 5.1.1.2 and RFC 9639, 9.1.3
_BY_BITRATE = {
    Quality.STANDARD: Meaning(192),
    Quality.VOICE: Meaning(64, mono=True),
    Quality.SMALL: Meaning(96),
    Quality.HIGH: Meaning(256),
    Quality.MAX: Meaning(320),
}
_LOSSLESS = {quality: Meaning(mono=quality is Quality.VOICE) for quality in Quality}


def _mp3_bitrates(hertz: int | None, _is_mono: bool) -> Sequence[int]:
    """ISO/IEC 11172-3, 2.4.2.3 and, below 32 kHz, 13818-3, 2.4.2.3; LAME keeps to 64 kbit/s below 16 kHz."""
    most = 320 if hertz is None or hertz >= 32_000 else 160 if hertz >= 16_000 else 64
    known = mpeg_audio.BITRATES if most == 320 else mpeg_audio.LOW_BITRATES
    return tuple(each for each in known if 32 <= each <= most)


def _aac_bitrates(hertz: int | None, is_mono: bool) -> Sequence[int]:
    """At most 6,144 bits for each channel in each frame of 1,024 samples: where ffmpeg clamps (ISO/IEC 14496-3)."""
    return range(32, min(_MOST, (6 if is_mono else 12) * (hertz or 48_000) // 1000) + 1)


def _opus_bitrates(_hertz: int | None, is_mono: bool) -> Sequence[int]:
    """ffmpeg refuses to open libopus for more than 256 kbit/s for each channel."""
    return range(32, (256 if is_mono else _MOST) + 1)


MP3 = Encoding(
    name="MP3",
    suffix=".mp3",
    mime_type="audio/mpeg",  # RFC 3003
    codec="libmp3lame",
    muxer="mp3",
    muxer_arguments=("-id3v2_version", "0", "-write_id3v1", "0", "-write_xing", "1"),  # convert/id3.py writes the tag
    demuxer="mp3",
    sample_rates=_RATES,
    max_channels=2,
    sample_bytes=0,
    copied=("mp3",),
    meanings={
        Quality.STANDARD: Meaning(vbr=2),
        Quality.VOICE: Meaning(64, mono=True),
        Quality.SMALL: Meaning(96),
        Quality.HIGH: Meaning(vbr=0),
        Quality.MAX: Meaning(320),
    },
    bitrates=_mp3_bitrates,
    measure=mpeg_audio.measure,
)
M4A = Encoding(
    name="M4A",
    suffix=".m4a",
    mime_type="audio/mp4",  # RFC 4337
    codec="aac",
    muxer="ipod",
    muxer_arguments=("-movflags", "+faststart"),
    demuxer="mov",
    sample_rates=_RATES,
    max_channels=8,
    sample_bytes=0,
    copied=("aac",),
    meanings=_BY_BITRATE,
    bitrates=_aac_bitrates,
    layouts="3.0|4.0|5.0|5.1|7.1(wide)",
    packet=1024,
)
OPUS = Encoding(
    name="Opus",
    suffix=".opus",  # RFC 7845, 9
    mime_type="audio/ogg",
    codec="libopus",
    muxer="opus",
    muxer_arguments=(),
    demuxer="ogg",
    sample_rates=(8000, 12000, 16000, 24000, 48000),  # RFC 6716, 2
    max_channels=8,
    sample_bytes=0,
    copied=("opus",),
    meanings=_BY_BITRATE,
    bitrates=_opus_bitrates,
    layouts=_XIPH,
    packet=960,  # at 48 kHz, which Opus counts in whatever the sample rate is
)
FLAC = Encoding(
    name="FLAC",
    suffix=".flac",
    mime_type="audio/flac",  # RFC 9639, 12
    codec="flac",
    muxer="flac",
    muxer_arguments=(),
    demuxer="flac",
    sample_rates=_LOSSLESS_RATES,
    max_channels=8,
    sample_bytes=3,
    copied=("flac",),
    meanings=_LOSSLESS,
    bitrates=lambda _hertz, _is_mono: (),
    layouts=_XIPH,
)
WAV = Encoding(
    name="WAV",
    suffix=".wav",
    mime_type="audio/wav",
    codec="pcm_s16le",
    muxer="wav",
    muxer_arguments=("-write_bext", "0", "-rf64", "auto"),
    demuxer="wav",
    sample_rates=_LOSSLESS_RATES,
    max_channels=8,
    sample_bytes=2,
    copied=("pcm_s16le",),
    meanings=_LOSSLESS,
    bitrates=lambda _hertz, _is_mono: (),
)
ENCODINGS = {"mp3": MP3, "m4a": M4A, "opus": OPUS, "flac": FLAC, "wav": WAV}
