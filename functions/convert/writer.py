"""Writes the audio of one track: as one file or as one for each chapter, encoded or copied, each with its tags."""

from dataclasses import dataclass, replace

from functions.convert import (
    archive,
    arguments,
    copying,
    damage,
    density,
    description,
    ffmetadata,
    id3,
    loudness,
    parts,
    sound,
    tracks,
    waveform,
)
from functions.convert.description import Audio
from functions.convert.ffmpeg import Run, Running
from functions.convert.jail import open_by
from functions.convert.loudness import Measured
from functions.convert.parallel import encoders
from functions.convert.parts import Plan
from functions.convert.sound import Sound, Span
from functions.convert.window import End
from functions.convert.work import Result, Work, pieces
from functions.model.audio import Audio as Facts
from functions.model.audio import Loudness, Note
from functions.model.containers import Container
from functions.model.options import Format, Keep, Split
from functions.model.source import Chapter
from functions.model.tags import Tags

_SEEKABLE = (Container.MP4, Container.MATROSKA)  # their times are exact also when they are not read from the front
_FAR = 30.0  # seconds; from there on it pays not to read what comes before
_RUN_UP = 10.0  # seconds that are read before the wanted ones, so that the decoder has found its way
_MEASURING = 0.2  # the share of the time that it takes to measure loudness
_WITHOUT_GAPS = "asetpts=N/SR/TB"
_ENCODING = (_MEASURING, 0.8)  # and of the first attempt; those that correct it share the rest
_PART, _COVER = "part", "picture"


@dataclass(frozen=True)
class File:
    """One file that is to be written."""

    name: str
    span: Span
    tags: Tags
    chapters: tuple[Chapter, ...]  # by the video's clock
    progress: tuple[float, float]  # how much of the work is done before it, and with it
    size: int  # bytes, at most
    peaks: str  # the file for the waveform that is made with it; "" for none


@dataclass(frozen=True)
class Written:
    """One file as it was written; `front` comes before its bytes."""

    front: bytes
    seconds: float


class Writer:
    """Writes the audio of one track to the work's target."""

    def __init__(self, work: Work, audio: Audio) -> None:
        self._work, self._audio, self._options = work, audio, work.options
        self._sound = sound.shape(audio, work.options, work.span)
        self._interrupted = work.seen.end is End.INCOMPLETE
        self._tags = Tags.of(work.seen.tags_with(audio)).asked(work.options)
        keeps = work.options.chapters is Keep.KEEP
        self._chapters = work.seen.chapters if keeps else ()

    def write(self) -> Result:
        """Raises tracks.Soundless where there is no sound, another MediaError, and what stops the work."""
        if copying.is_possible(self._audio, self._options):
            try:
                return self._copy()
            except copying.Damaged:
                pass  # a decoder makes the best of it
        wanted = loudness.target(self._options, self._sound)
        return self._encode((), (0.0, 1.0)) if wanted is None else self._make_loud(wanted)

    def _copy(self) -> Result:
        """Raises copying.Damaged where the track has to be decoded after all."""
        file = self._whole((0.0, 1.0))
        run = self._run(file, arguments.copied(self._audio), self._audio.start)
        if run.status or "[error]" in run.messages:
            raise copying.Damaged(run.messages[-200:])
        written = self._finish(file, None)
        copying.check_length(run, written.seconds)
        if self._options.format is Format.MP3:
            copying.check_frames(self._work.path(file.name), self._work.jail.checkpoint)
        drawn, peaks = self._draw((), written.seconds)  # which decodes it
        if "[error]" in drawn.messages:
            raise copying.Damaged("it cannot be decoded without errors")
        copying.check_length(run, drawn.done)
        result = self._result(written, (), peaks)
        audio = self._audio
        return replace(
            result,
            facts=replace(result.facts, copied=True, channels=audio.channels or 0, sample_rate=audio.sample_rate or 0),
        )

    def _make_loud(self, wanted: float) -> Result:
        before = self._measure()
        change = loudness.change(before, wanted)
        result = self._encode(change.filters(self._sound) if change else (), _ENCODING)
        after = self._measure_result(result)
        begun = _ENCODING[1]
        for left in reversed(range(loudness.CORRECTIONS)):
            change = change and change.corrected(after, wanted, last=left == 0)
            if change is None:
                break
            ended = (1.0 + begun) / 2
            result = self._encode(change.filters(self._sound), (begun, ended))
            after = self._measure_result(result)
            begun = ended
        reached = Loudness(before.lufs, before.dbtp, after.lufs, after.dbtp)
        return replace(result, facts=replace(result.facts, loudness=reached))

    def _measure(self) -> Measured:
        """The loudness of the sound that will be encoded. Raises what an encoding run of such a video would."""
        work = self._work
        length = work.span.length(work.seen.duration)
        seek = self._seek(work.span)
        shaped = sound.shape(self._audio, self._options, work.span, seek=seek)
        words = [*loudness.QUIET, *self._opened(seek)]
        words += arguments.measured(self._audio, loudness.chain(shaped.filters), work.most)
        run = work.jail.run(words, length, self._ticks((0.0, _MEASURING), work.span))
        damage.check_run(loudness.troubles(run), work.seen)
        return loudness.read(run)

    def _measure_result(self, result: Result) -> Measured:
        """The loudness that was reached; that of parts by measuring each."""
        jail, demuxer, parts = self._work.jail, self._options.encoding.demuxer, result.facts.parts
        if not parts:
            return loudness.measure_file(jail, self._work.target, demuxer, result.facts.duration)
        measured = []
        for part in parts:
            archive.extract(result.file, part, self._work.path(_PART))
            measured.append((loudness.measure_file(jail, _PART, demuxer, part.duration), part.duration))
        return loudness.together(measured)

    def _encode(self, filters: tuple[str, ...], progress: tuple[float, float]) -> Result:
        plans = []
        if self._options.split is Split.CHAPTERS:
            plans = parts.plan(self._work.seen.chapters, self._work.span, self._options.encoding)
        if plans:
            return self._encode_parts(plans, filters, progress)
        notes = (Note.NO_CHAPTERS,) if self._options.split is Split.CHAPTERS else ()
        file = self._whole(progress)
        written = self._encode_file(file, filters)
        peaks = waveform.read(self._work.jail.folder)
        if not waveform.suits(peaks, written.seconds):
            _, peaks = self._draw(filters, written.seconds)
        return self._result(written, notes, peaks)

    def _encode_parts(self, plans: list[Plan], filters: tuple[str, ...], progress: tuple[float, float]) -> Result:
        """A zip of parts; a chapter without any sound has none. Raises tracks.Soundless where none has."""
        work = self._work
        seconds, most = 0.0, work.jail.limits.size
        with archive.Archive(work.path(work.target)) as zipped:
            for plan in plans:
                file = self._part(plan, progress, most - zipped.size)
                try:
                    written = self._encode_file(file, filters)
                except tracks.Soundless:
                    continue
                zipped.add(plan, pieces(written.front, work.path(_PART)), written.seconds)
                seconds += written.seconds
        if not zipped.parts:
            raise tracks.Soundless
        _, peaks = self._draw(filters, seconds)
        result = self._result(Written(b"", seconds), (), peaks)
        return replace(result, facts=replace(result.facts, parts=tuple(zipped.parts)))

    def _draw(self, filters: tuple[str, ...], seconds: float) -> tuple[Run, bytes]:
        """Makes the waveform in a run of its own, in which nothing but a decoder works, of sound of that length.

        Gaps take no time in it.
        """
        work = self._work
        seek = self._seek(work.span)
        shaped = sound.shape(self._audio, self._options, work.span, seek=seek)
        words = [*arguments.REPORTING, *self._opened(seek)]
        chain = waveform.sink((*shaped.filters, *filters, _WITHOUT_GAPS), shaped.sample_rate, seconds)
        words += arguments.measured(self._audio, chain, work.most)
        run = work.jail.run(words, seconds, size=work.jail.limits.size)
        return run, waveform.read(work.jail.folder)

    def _whole(self, progress: tuple[float, float]) -> File:
        work = self._work
        return File(work.target, work.span, self._tags, self._chapters, progress, work.jail.limits.size, waveform.FILE)

    def _part(self, plan: Plan, progress: tuple[float, float], size: int) -> File:
        title = self._tags.title or self._tags.album
        tags = replace(self._tags, title=plan.title, album=title, track=f"{plan.number}/{plan.count}")
        begun, ended = progress
        done = [begun + (ended - begun) * number / plan.count for number in (plan.number - 1, plan.number)]
        return File(_PART, plan.span, tags, (), (done[0], done[1]), size, peaks="")

    def _encode_file(self, file: File, filters: tuple[str, ...]) -> Written:
        """A file whose sound has gaps is written a second time, with silence in their place.

        So a chapter begins where it should, and damage that leaves gaps can be told from sound that has them.
        """
        run, written = self._encode_once(file, filters, fill=False)
        if damage.has_gaps(run, written.seconds, self._work.seen, file.span):
            _, written = self._encode_once(file, filters, fill=True)
        return written

    def _encode_once(self, file: File, filters: tuple[str, ...], *, fill: bool) -> tuple[Run, Written]:
        shaped = sound.shape(self._audio, self._options, file.span, seek=self._seek(file.span), fill=fill)
        chain = (*shaped.filters, *filters)
        count = encoders.count(self._options, self._length(file.span), self._work.cores)
        if count > 1:
            run = self._encode_pieces(file, shaped, chain, count)
        else:
            run = self._run(file, self._encoded(file, shaped, chain))
        damage.check_run(run, self._work.seen)
        self._interrupted |= damage.is_interrupted(run, self._work.seen)
        written = self._finish(file, self._options.encoding.packet)
        damage.check_length(run, written.seconds, self._work.seen, file.span)
        return run, written

    def _encode_pieces(self, file: File, shaped: Sound, chain: tuple[str, ...], count: int) -> Run:
        """The run that has heard all of the sound."""
        jail, length = self._work.jail, file.span.length(self._work.seen.duration)
        ticks, reached = self._ticks(file.progress, file.span), 0.0

        def encoded(pieces: list[encoders.Piece], steer: encoders.Steer) -> list[Run]:
            def tick(running: list[Running]) -> None:
                nonlocal reached
                steer(running)
                done = (max(0.0, each.done - piece.begin) for each, piece in zip(running, pieces, strict=True))
                reached = max(reached, sum(done))
                ticks(reached)

            commands = [self._command_of(file, shaped, chain, piece) for piece in pieces]
            return jail.run_all(commands, length, tick, size=file.size, beat=encoders.BEAT)

        whole = self._length(file.span) or 0.0
        can_skip = self._has_exact_times(file, shaped, chain)
        run, others = encoders.encode(
            jail.folder, file.name, shaped, whole, count, file.size, encoded, can_skip=can_skip
        )
        for piece in others if file.peaks else ():
            waveform.append(jail.folder, piece.peaks, self._skipped(file, shaped, piece))
        ticks(max(reached, run.done))
        return run

    def _command_of(self, file: File, shaped: Sound, chain: tuple[str, ...], piece: encoders.Piece) -> list[str]:
        named = replace(file, name=piece.name, peaks=file.peaks and piece.peaks)
        skipped = self._skipped(file, shaped, piece) if piece.peaks else 0
        codec = self._encoded(named, shaped, chain, piece.filter, skipped)
        return self._command(named, codec, seek=piece.skipped)

    def _skipped(self, file: File, shaped: Sound, piece: encoders.Piece) -> int:
        """How many peaks of the waveform come before that piece."""
        each = waveform.samples(shaped.sample_rate, file.span.length(self._work.seen.duration))
        return int(piece.begin * shaped.sample_rate) // each

    def _has_exact_times(self, file: File, shaped: Sound, chain: tuple[str, ...]) -> bool:
        """Whether to read from a whole second on is likely to give the same samples as to read all."""
        audio = self._audio
        return (
            self._work.seen.container is Container.MP4
            and audio.start == 0
            and (file.span, chain, shaped.sample_rate) == (Span(), shaped.filters, audio.sample_rate)
        )

    def _encoded(
        self, file: File, shaped: Sound, chain: tuple[str, ...], last: str = "", skipped: int = 0
    ) -> list[str]:
        """The words that encode the sound behind the filters of the chain, and the last one."""
        graph = f"{','.join((*chain, last) if last else chain)}[audio]"
        if file.peaks:
            length = file.span.length(self._work.seen.duration)
            graph = waveform.branch(chain, shaped.sample_rate, length, last=last, file=file.peaks, skipped=skipped)
        return arguments.encoded(self._audio, shaped, graph, self._options)

    def _seek(self, span: Span) -> float:
        is_exact = self._work.seen.container in _SEEKABLE
        return span.start - _RUN_UP if is_exact and span.start > _FAR else 0.0

    def _opened(self, seek: float, late: float = 0.0) -> list[str]:
        """The words that open the video, from there on, or with its sound moved to the front by that many seconds."""
        work = self._work
        front = (*(("-ss", f"{seek:.6f}") if seek else ()), *(("-itsoffset", f"{-late:.6f}") if late > 0 else ()))
        return [*arguments.READING, *front, *work.seen.opened(work.source)]

    def _run(self, file: File, codec: list[str], late: float = 0.0) -> Run:
        length = file.span.length(self._work.seen.duration)
        command = self._command(file, codec, late)
        return self._work.jail.run(command, length, self._ticks(file.progress, file.span), size=file.size)

    def _command(self, file: File, codec: list[str], late: float = 0.0, seek: float = 0.0) -> list[str]:
        """What ffmpeg is told of the video, and of what is to be known of the audio beside its sound."""
        words = [*arguments.REPORTING, *self._opened(seek or self._seek(file.span), late)]
        tags, cover, inputs = self._described(file)
        return [*words, *inputs, *codec, *arguments.written(file.name, self._options, self._work.most, tags, cover)]

    def _described(self, file: File) -> tuple[int | None, int | None, list[str]]:
        """The inputs that hold tags and cover for a muxer that writes them, and the words that open them."""
        work, format_ = self._work, self._options.format
        if format_ is Format.MP3:
            return None, None, []
        chapters = sound.chapters(file.chapters, self._audio, file.span, self._length(file.span))
        tags = file.tags.items()
        if format_ is Format.OPUS and work.cover:
            tags.append(ffmetadata.picture_as_tag(work.cover))
        if format_ is Format.FLAC:
            tags += ffmetadata.chapters_as_tags(chapters)
        work.path(ffmetadata.NAME).write_text(ffmetadata.write(tags, chapters), encoding="utf-8")
        words = open_by(ffmetadata.NAME, "ffmetadata")
        if work.cover is None or format_ not in (Format.M4A, Format.FLAC):
            return 1, None, words
        work.path(_COVER).write_bytes(work.cover)
        return 1, 2, [*words, *open_by(_COVER, "jpeg_pipe")]

    def _length(self, span: Span) -> float | None:
        """How long the sound of that span will be, as far as the file says."""
        if self._audio.duration is not None:
            return span.length(self._audio.start + self._audio.duration)
        return span.length(self._work.seen.duration)

    def _finish(self, file: File, packet: int | None) -> Written:
        """Measures what was written, and gives an MP3 or a WAV its tag. Raises MediaError (damaged).

        `packet` is how many samples each packet has, if that is known.
        """
        work, encoding = self._work, self._options.encoding
        path = work.path(file.name)
        if encoding.measure:
            with path.open("rb") as opened:
                seconds = damage.measured(encoding.measure, opened)
        else:
            seconds = description.length(work.jail, file.name, encoding.demuxer, packet)
        chapters = sound.chapters(file.chapters, self._audio, file.span, seconds)
        tag = id3.tag(file.tags, chapters, work.cover) if self._options.format in (Format.MP3, Format.WAV) else b""
        if self._options.format is Format.WAV:
            id3.append_chunk(path, tag)
            tag = b""
        return Written(tag, seconds)

    def _result(self, written: Written, notes: tuple[Note, ...], peaks: bytes) -> Result:
        work = self._work
        path = work.path(work.target)
        kbits = round(path.stat().st_size / written.seconds / 125) if written.seconds else 0
        facts = Facts(
            duration=written.seconds,
            bitrate=kbits,
            channels=self._sound.channels,
            sample_rate=self._sound.sample_rate,
            track=self._audio.index,
            notes=tuple(dict.fromkeys((*work.notes, *notes, *((Note.INCOMPLETE,) * self._interrupted)))),
        )
        return Result(written.front, path, facts, waveform.merge(peaks))

    def _ticks(self, progress: tuple[float, float], span: Span) -> "Ticks":
        size = self._work.path(self._work.source).stat().st_size
        return Ticks(self._work, progress, span, size)


@dataclass(frozen=True)
class Ticks:
    """Called with the seconds of a span that a run has done: notes how far the whole work is.

    Raises MediaError (too_sparse) where that is more than the file can hold.
    """

    work: Work
    progress: tuple[float, float]
    span: Span
    size: int  # bytes of the video

    def __call__(self, done: float) -> None:
        if done:
            density.check_running(self.span.start + done, self.size)
        begun, ended = self.progress
        length = self.span.length(self.work.seen.duration)
        share = min(done / length, 1.0) if length else 0.0
        self.work.jail.checkpoint(begun + (ended - begun) * share)
