"""A video on disk in, its audio on disk out: ffprobe looks at the video and ffmpeg converts it."""

from dataclasses import replace

from functions.convert import cover, description, tracks
from functions.convert.container import check_sound, is_interrupted
from functions.convert.description import Description
from functions.convert.jail import Jail
from functions.convert.tracks import Soundless
from functions.convert.work import Result, Work
from functions.convert.writer import Writer
from functions.model import containers
from functions.model.audio import Note
from functions.model.containers import Container
from functions.model.media import MediaError, Reason
from functions.model.options import Options


def describe(jail: Jail, source: str, container: Container) -> Description:
    """Looks at the video of that name in the jail's folder.

    Raises MediaError where the video's end is missing, nothing can be read, or it is too long; Interrupted; and OSError
    where this machine fails.
    """
    path = jail.folder / source
    with path.open("rb") as file:
        found = containers.find(file.read(containers.SNIFF_BYTES))
        interrupted = is_interrupted(file, path.stat().st_size, container)
    skip = found.offset if found and found.container is container else 0
    seen = replace(description.describe(jail, source, container, skip), interrupted=interrupted)
    if (seen.duration or 0) > jail.limits.duration:
        raise MediaError(Reason.TOO_LONG, f"{seen.duration:.0f} s of at most {jail.limits.duration:.0f}")
    return seen


def transcode(
    jail: Jail, source: str, target: str, seen: Description, options: Options, picture: bytes | None = None
) -> Result:
    """Writes the video's sound to `target` beside it, as the options say; `picture` is a cover that was uploaded.

    The jail's checkpoint is called from this thread at least every ffmpeg.BEAT seconds with the fraction that is done,
    or with 0.0 while the video's length is unknown. What it raises stops the work. Raises MediaError, Interrupted, and
    OSError where this machine fails (a full disk). Whatever is raised, nothing is left at `target`.
    """
    try:
        candidates = tracks.candidates(seen, options)
    except MediaError:
        _explain(jail, source, seen)
        raise
    notes: tuple[Note, ...] = ()
    try:
        made = cover.make(jail, source, seen, options, picture)
    except cover.Unreadable:
        made, notes = None, (Note.COVER_UNREADABLE,)
    work = Work(jail, source, target, seen, options, made, notes)
    try:
        return _first_with_sound(work, candidates)
    except MediaError as error:
        work.path(target).unlink(missing_ok=True)
        if error.reason in (Reason.NO_AUDIO, Reason.DAMAGED):
            _explain(jail, source, seen)
        raise
    except BaseException:
        work.path(target).unlink(missing_ok=True)
        raise


def _first_with_sound(work: Work, candidates: list[description.Audio]) -> Result:
    refusal: Soundless | None = None
    for audio in candidates:
        passed_over = refusal is not None or audio != tracks.first_choice(work.seen, work.options)
        noted = replace(work, notes=(*work.notes, Note.OTHER_TRACK)) if passed_over else work
        try:
            return Writer(noted, audio).write()
        except Soundless as error:
            refusal = refusal or error
    assert refusal  # noqa: S101 -- there is at least one candidate
    raise refusal


def _explain(jail: Jail, source: str, seen: Description) -> None:
    """Raises MediaError if the file itself says why it has no sound for us: it is encrypted, damaged, or too new."""
    with (jail.folder / source).open("rb") as file:
        check_sound(file, seen.container, heard=any(audio.codec for audio in seen.audio))
