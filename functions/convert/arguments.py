"""What ffmpeg is told of a conversion, made of values alone."""

from functions.convert.description import Audio
from functions.convert.sound import Sound
from functions.model.options import Options

ERROR_RATE = 0.1  # the share of the sound that may be lost to damage
# Lines of progress on stdout, and every message with its level on stderr.
REPORTING = ("-loglevel", "level+warning", "-nostats", "-progress", "pipe:1", "-stats_period", "0.5")
TOLERATING = ("-max_error_rate", str(ERROR_RATE))


def encode(audio: Audio, sound: Sound, options: Options, most: float, target: str) -> list[str]:
    """Encodes one track of the first input to `target`: at most `most` seconds, whatever length the header claims."""
    encoding = options.encoding
    return [
        *("-map", f"0:{audio.index}", "-vn", "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1"),
        *("-af", ",".join(sound.filters), "-c:a", encoding.codec, "-q:a", str(options.vbr)),
        *("-t", str(most), "-f", encoding.muxer, *encoding.muxer_arguments, "-y", f"file:{target}"),
    ]
