"""Which bytes of a file are the video, and whether its own index says that it is whole; ffmpeg often does not mind."""

from collections.abc import Callable
from typing import BinaryIO

from functions.convert import chunks, matroska, mp4, streams, tails
from functions.convert.window import End, Endless, Window
from functions.model.containers import OWN_TAG, SNIFF_BYTES, Container, Extent, find, tag_length

_FAR = 64 * 2**20  # bytes, at most, of a tag in front


def locate(file: BinaryIO, size: int, container: Container, checkpoint: Callable[[], object] = lambda: None) -> Extent:
    """Where in a file of `size` bytes that container begins, and where it ends if its demuxer would not know.

    A tag that was too long for who saw only the front is looked behind, where it may be that of another container. An
    end that is too far to find is taken for that of the file. What the checkpoint raises stops the search.
    """
    extent = _begin(file, container)
    if find_end := _TAILS.get(extent.container):
        try:
            end = find_end(Window(file, extent.start, size - extent.start, checkpoint))
        except Endless:
            end = None
        if end is not None and extent.start + end < size:
            return Extent(extent.container, extent.start, extent.start + end)
    return extent


def check_end(file: BinaryIO, size: int, extent: Extent, checkpoint: Callable[[], object] = lambda: None) -> End:
    """What the file's own index says of its end.

    Formats and recordings without such an index are UNKNOWN, and those with more elements than anybody walks through;
    what follows behind the video's end does not matter. A recording that was interrupted, and what cannot be told from
    one, is INCOMPLETE: what there is of it is to be converted. Raises MediaError: truncated where the index promises
    more than there is, damaged for an MP4 of which a large part is no MP4. What the checkpoint raises stops the walk.
    """
    find_end = _ENDS.get(extent.container)
    end = size if extent.end is None else extent.end
    if find_end is None:
        return End.UNKNOWN
    try:
        return find_end(Window(file, extent.start, end - extent.start, checkpoint))
    except Endless:
        return End.UNKNOWN


def _begin(file: BinaryIO, container: Container) -> Extent:
    file.seek(0)
    head = file.read(SNIFF_BYTES)
    found = find(head)
    tag = tag_length(head)
    if container is Container.MP3 and SNIFF_BYTES < tag < _FAR:
        file.seek(tag)
        behind = find(file.read(SNIFF_BYTES))
        if behind and behind.container is not Container.MP3:
            reads_tag = behind.container in OWN_TAG and head.startswith(b"ID3")
            return Extent(behind.container, 0 if reads_tag else tag + behind.start)
        return Extent(container) if head.startswith(b"ID3") else Extent(container, tag)
    return found if found and found.container is container else Extent(container)


_TAILS: dict[Container, Callable[[Window], int | None]] = {
    Container.AMR: tails.amr,
    Container.AU: chunks.au_end,
    Container.DV: tails.dv,
    Container.OGG: tails.ogg,
    Container.MATROSKA: matroska.segment_end,
    Container.MP3: tails.frames,
    Container.AAC: tails.frames,
    Container.AC3: tails.frames,
    Container.EAC3: tails.frames,
    Container.DTS: tails.frames,
}
_ENDS: dict[Container, Callable[[Window], End]] = {
    Container.MP4: mp4.end,
    Container.MATROSKA: matroska.end,
    Container.AVI: chunks.riff,
    Container.WAV: chunks.riff,
    Container.W64: chunks.w64,
    Container.AIFF: chunks.aiff,
    Container.CAF: chunks.caf,
    Container.AU: chunks.au,
    Container.FLV: streams.flv,
    Container.MPEG_TS: streams.mpegts,
    Container.OGG: streams.ogg,
    Container.ASF: streams.asf,
    Container.MP3: streams.mp3,
    Container.MXF: streams.mxf,
    Container.REALMEDIA: streams.realmedia,
    Container.DSF: streams.dsf,
}
