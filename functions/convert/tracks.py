"""Which audio track of a video is converted."""

from functions.convert.description import Audio, Description
from functions.model.languages import codes
from functions.model.media import MediaError, Reason
from functions.model.options import Options

DEFAULT = "default"


class Soundless(MediaError):
    """There is no sound in this track; another one may have some."""

    def __init__(self, reason: Reason = Reason.NO_AUDIO, detail: str = "there is no sound in it") -> None:
        super().__init__(reason, detail)


def first_choice(seen: Description, options: Options) -> Audio:
    """The track that would be converted if there were sound in each. Raises MediaError (no_audio, no_such_track)."""
    if not seen.audio:
        raise MediaError(Reason.NO_AUDIO)
    if options.track != DEFAULT:
        return _asked(seen.audio, options.track)
    return max(seen.audio, key=lambda audio: audio.default)


def candidates(seen: Description, options: Options) -> list[Audio]:
    """The tracks that may be converted, the first choice first: each is taken only if those before it have no sound.

    A track that was asked for is the only one. Raises MediaError (no_audio, no_such_track, unsupported).
    """
    first = first_choice(seen, options)
    found = [first, *(each for each in seen.audio if each != first)] if options.track == DEFAULT else [first]
    known = [audio for audio in found if audio.codec]
    if not known:
        raise unknown_codec(found[0])
    return known


def unknown_codec(audio: Audio) -> MediaError:
    """The refusal of a track of which nobody here can read the codec."""
    name = f" ({audio.tag})" if audio.tag else ""
    return MediaError(
        Reason.UNSUPPORTED,
        f"track {audio.index} has an unknown codec{name}",
        say=f"We cannot read the codec of the video's sound{name}. Save it as MP4 with AAC sound.",
    )


def _asked(audio: tuple[Audio, ...], asked: str) -> Audio:
    """The track of that index, or the first of that language; the default one if there are several of it."""
    if asked.isdecimal():
        found = [each for each in audio if each.index == int(asked)]
    else:
        found = [each for each in audio if codes(each.language) & codes(asked)] or [
            each for each in audio if codes(each.language, base=True) & codes(asked, base=True)
        ]
    if not found:
        there = ", ".join(_label(each) for each in audio)
        raise MediaError(
            Reason.NO_SUCH_TRACK, f"{asked} of {there}", say=f"The video has no audio track {asked}. It has: {there}."
        )
    return max(found, key=lambda each: each.default)


def _label(audio: Audio) -> str:
    named = " ".join(filter(None, (audio.language, audio.title and f"“{audio.title[:60]}”")))
    return f"{audio.index} ({named})" if named else str(audio.index)
