"""What ffmpeg is told of a conversion, made of values alone."""

from functions.convert.description import Audio
from functions.convert.sound import Sound
from functions.model.options import Format, Options

ERROR_RATE = 0.1  # the share of the sound that may be lost to damage
# Lines of progress on stdout, and every message with its level on stderr. Demuxer, decoder, filters and encoder have a
# thread each anyway; more of them for one step cost a clip a sixth of its CPU, and gain nothing (measured).
REPORTING = (
    *("-loglevel", "level+warning", "-nostats", "-progress", "pipe:1", "-stats_period", "0.5"),
    *("-filter_threads", "1", "-filter_complex_threads", "1"),
)
READING = ("-max_error_rate", str(ERROR_RATE), "-threads", "1")
_FRONT_COVER = ("-metadata:s:v", "comment=Cover (front)")  # as ffmpeg's writer of FLAC wants it said
_OPUS_MOST = 256  # kbit/s for each channel (RFC 6716, 2.1.1 has 510 for two)
# The codecs that lose nothing, and may have more than 16 bits. Other sound in 24 would only be larger.
_EXACT = ("pcm_", "flac", "alac", "wavpack", "tta", "ape", "mlp", "truehd", "dts", "als", "shorten", "tak", "dsd_")


def written(target: str, options: Options, most: float, tags: int | None = None, cover: int | None = None) -> list[str]:
    """Writes one file of at most `most` seconds, whatever length the header claims.

    `tags` and `cover` are the inputs that hold them. Nothing is kept of the video itself, nor of its stream: what is
    wanted of that is among the tags.
    """
    encoding = options.encoding
    picture = ("-map", f"{cover}:v", "-c:v", "copy", "-disposition:v", "attached_pic", *_FRONT_COVER)
    described = "-1" if tags is None else str(tags)
    return [
        *(("-vn",) if cover is None else picture),
        *("-sn", "-dn", "-map_metadata", described, "-map_metadata:s", "-1", "-map_chapters", described),
        *("-t", str(most), "-f", encoding.muxer, *encoding.muxer_arguments, "-y", f"file:{target}"),
    ]


def encoded(audio: Audio, sound: Sound, graph: str, options: Options) -> list[str]:
    """Encodes one track of the first input, after the filters of `graph`, which end in [audio]."""
    is_exact = (audio.codec or "").startswith(_EXACT)
    return [
        *("-filter_complex", f"[0:{audio.index}]{graph}", "-map", "[audio]"),
        *("-c:a", options.encoding.codec, *_size(sound, options)),
        *(("-sample_fmt", "s16") if options.format is Format.FLAC and not is_exact else ()),
    ]


def measured(audio: Audio, chain: str, most: float) -> list[str]:
    """Decodes one track of the first input through a chain of filters, and keeps nothing of it."""
    return ["-map", f"0:{audio.index}", "-vn", "-sn", "-dn", "-af", chain, "-t", str(most), "-f", "null", "-"]


def copied(audio: Audio) -> list[str]:
    """Takes one track of the first input as it is."""
    return ["-map", f"0:{audio.index}", "-c:a", "copy"]


def _size(sound: Sound, options: Options) -> tuple[str, ...]:
    if options.vbr is not None:
        return "-q:a", str(options.vbr)
    if options.bitrate is None:
        return ()
    if options.format is Format.OPUS:
        constant = ("-vbr", "off") if options.quality is None else ()
        return "-b:a", f"{min(options.bitrate, _OPUS_MOST * sound.channels)}k", *constant
    return "-b:a", f"{options.bitrate}k"
