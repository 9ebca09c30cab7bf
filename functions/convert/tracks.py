"""Which audio track of a video is converted."""

from functions.convert.description import Audio, Description
from functions.model.media import MediaError, Reason
from functions.model.options import Options


def candidates(description: Description, _options: Options) -> list[Audio]:
    """The tracks that may be converted, the first choice first: each is taken only if those before it have no sound.

    Raises MediaError (no_audio).
    """
    if not description.audio:
        raise MediaError(Reason.NO_AUDIO)
    return sorted(description.audio, key=lambda audio: not audio.default)
