"""A video on disk in, its audio on disk out: ffprobe looks at the video and ffmpeg converts it."""

from dataclasses import replace

from functions.convert import cover, density, description, protection, tracks
from functions.convert.container import check_end, locate
from functions.convert.description import Description
from functions.convert.jail import Jail
from functions.convert.tracks import Soundless
from functions.convert.window import End
from functions.convert.work import Result, Work
from functions.convert.writer import Writer
from functions.model.audio import Note
from functions.model.containers import Container, Extent
from functions.model.media import MediaError, Reason
from functions.model.options import Options


def describe(jail: Jail, source: str, container: Container) -> Description:
    """Looks at the video of that name in the jail's folder.

    Raises MediaError where the video's end is missing, nothing can be read, or it is too long, by itself or for what it
    holds; Interrupted; and OSError where this machine fails.
    """
    path = jail.folder / source
    with path.open("rb") as file:
        size = path.stat().st_size
        extent = locate(file, size, container, jail.checkpoint)
        end = check_end(file, size, extent, jail.checkpoint)
        seen = replace(_look(jail, source, extent, end), end=end)
        protection.check(file, size, extent, seen, jail.checkpoint)
        if seen.audio and not any(audio.codec for audio in seen.audio):
            name = protection.codec_name(file, size, extent)
            seen = replace(seen, audio=tuple(replace(audio, tag=audio.tag or name) for audio in seen.audio))
    if (seen.duration or 0) > jail.limits.duration:
        raise MediaError(Reason.TOO_LONG, f"{seen.duration:.0f} s of at most {jail.limits.duration:.0f}")
    density.check(max((audio.duration or seen.duration or 0.0 for audio in seen.audio), default=0.0), size)
    return seen


def _look(jail: Jail, source: str, extent: Extent, end: End) -> Description:
    try:
        return description.describe(jail, source, extent)
    except MediaError as error:
        if error.reason is Reason.TRUNCATED and end is End.WHOLE:  # its index is there, and cannot be read
            raise MediaError(Reason.DAMAGED, error.detail) from error
        if error.reason is Reason.DAMAGED and end is End.INCOMPLETE:  # it ends before there is any sound
            raise MediaError(Reason.TRUNCATED, error.detail) from error
        raise


def transcode(
    jail: Jail,
    source: str,
    target: str,
    seen: Description,
    options: Options,
    picture: bytes | None = None,
    *,
    cores: int = 1,
) -> Result:
    """Writes the video's sound to `target` beside it, as the options say, on so many cores.

    `picture` is a cover that was uploaded.

    The jail's checkpoint is called from this thread at least every ffmpeg.BEAT seconds with the fraction that is done,
    or with 0.0 while the video's length is unknown. What it raises stops the work. Raises MediaError, Interrupted, and
    OSError where this machine fails (a full disk). Whatever is raised, nothing is left at `target`.
    """
    candidates = tracks.candidates(seen, options)
    notes: tuple[Note, ...] = ()
    try:
        made = cover.make(jail, source, seen, options, picture)
    except cover.Unreadable:
        made, notes = None, (*notes, Note.COVER_UNREADABLE)
    work = Work(jail, source, target, seen, options, made, notes, cores)
    try:
        return _first_with_sound(work, candidates)
    except BaseException as error:
        work.path(target).unlink(missing_ok=True)
        if isinstance(error, MediaError) and error.reason is Reason.NO_AUDIO and (why := _damage(work)):
            raise MediaError(Reason.DAMAGED, why) from error
        raise


def _damage(work: Work) -> str:
    path = work.path(work.source)
    with path.open("rb") as file:
        return protection.damage(file, path.stat().st_size, work.seen.extent)


def _first_with_sound(work: Work, candidates: list[description.Audio]) -> Result:
    refusal: Soundless | None = None
    for audio in candidates:
        passed_over = refusal is not None or audio != tracks.first_choice(work.seen, work.options)
        noted = replace(work, notes=(*work.notes, Note.OTHER_TRACK)) if passed_over else work
        try:
            return Writer(noted, description.begun(work.jail, work.source, work.seen, audio)).write()
        except Soundless as error:
            refusal = refusal or error
    assert refusal  # noqa: S101 -- there is at least one candidate
    raise refusal
