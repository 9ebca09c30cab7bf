"""Where an MP4 or QuickTime file ends, by its top-level boxes (ISO/IEC 14496-12, 4.2)."""

from functions.convert.window import End, Window, cut
from functions.model.media import MediaError, Reason

_PADDING = {b"free", b"skip", b"wide"}
_BOXES = _PADDING | {b"ftyp", b"moov", b"mdat", b"moof", b"mfra", b"styp", b"sidx", b"uuid", b"meta", b"pnot", b"PICT"}
_SOUND = {b"moov", b"mdat", b"moof"}  # without which there is none
_FRAGMENT = {b"moof", b"styp", b"sidx"}
_READ = 2**20  # bytes at once
_FAR = 512 * _READ  # bytes behind damage in which the next fragment is looked for
_MOST_INDEX = 64 * _READ  # bytes of a `moov`
_NO_INDEX = (
    "The video is cut off: the index is missing that is written at its end, and without it nothing can be read. Copy or"
    " download it again. If its recording was interrupted, only a tool that repairs videos may help."
)


def end(video: Window) -> End:
    """Raises MediaError: truncated where a box is longer than what is left of the file, damaged where one is no box.

    Behind the index and the sound may be anything. Of a recording in fragments each is whole by itself: who was
    interrupted has lost the last of them, if none in front announces what is to come.
    """
    position, seen, has_duration, to_the_end = 0, set[bytes](), False, False
    while position + 8 <= video.size:
        kind, length = _box(video, position)
        if kind == b"ftyp" and {b"moov", b"mdat"} <= seen:
            break  # a second video
        if not _is_box(kind, length, video.size - position):
            return _strange(video, position, seen)
        if kind == b"moov":
            has_duration |= _has_duration(video.at(position, min(length, _MOST_INDEX)))
        if kind == b"sidx" and (promised := _announced(video, position, length)) > video.size:
            raise cut(video.size, promised)
        if position + length > video.size:
            return _partial(video, kind, position + length, seen, has_duration=has_duration)
        seen.add(kind)
        position += length
        to_the_end |= kind == b"mdat" and video.at(position - length, 4) == b"\0\0\0\0"
    return End.UNKNOWN if _complete(video, seen) is End.UNKNOWN or to_the_end else End.WHOLE


def index(video: Window) -> bytes:
    """The box `moov`, in which an MP4 says what it holds; empty where there is none. Raises Endless."""
    position = 0
    while position + 8 <= video.size:
        kind, length = _box(video, position)
        if kind == b"moov":
            return video.at(position, min(length, _MOST_INDEX))
        if length < 8:
            break
        position += length
    return b""


def _box(video: Window, position: int) -> tuple[bytes, int]:
    """Its kind, and its length with its header, in bytes."""
    video.step()
    head = video.at(position, 16)
    length, kind = int.from_bytes(head[:4]), head[4:8]
    if length == 1:  # a 64-bit size follows
        length = int.from_bytes(head[8:])
    if length == 0 and kind in _BOXES:  # reaches to the end, wherever that is
        length = video.size - position
    return kind, length


def _is_box(kind: bytes, length: int, left: int) -> bool:
    return length >= 8 and (kind in _BOXES or (kind.isalnum() and length <= left))


def _strange(video: Window, position: int, seen: set[bytes]) -> End:
    """Something that is no box: it is behind the video's end, or damage."""
    is_large = video.size - position > video.size / 10
    fragments_follow = b"moof" in seen and _is_behind(video, position, b"moof")
    if not {b"moov", b"mdat"} <= seen or (fragments_follow and is_large):
        raise MediaError(Reason.DAMAGED, f"no box at {position} of {video.size} bytes")
    return End.UNKNOWN if b"moof" in seen else End.WHOLE


def _partial(video: Window, kind: bytes, promised: int, seen: set[bytes], *, has_duration: bool) -> End:
    """A box that is longer than what is left."""
    if {b"moov", b"mdat"} <= seen and kind not in _SOUND | _FRAGMENT:
        return End.WHOLE
    if b"moov" not in seen:
        raise cut(video.size, promised, _NO_INDEX if kind == b"mdat" or b"mdat" in seen else None)
    if not has_duration and (b"moof" in seen or kind in _FRAGMENT | {b"moof"}):
        return End.INCOMPLETE
    raise cut(video.size, promised)


def _complete(video: Window, seen: set[bytes]) -> End:
    if b"moov" in seen and seen & {b"mdat", b"moof"}:
        return End.UNKNOWN if b"moof" in seen and b"mfra" not in seen else End.WHOLE
    if strange := seen - _BOXES:
        raise MediaError(Reason.DAMAGED, f"the index may be in {min(strange)!r}")
    raise cut(video.size, video.size + 1, _NO_INDEX if b"mdat" in seen else None)


def _has_duration(found: bytes) -> bool:
    """Whether the index of a fragmented video says how long all fragments will be (`mehd`, 8.8.2)."""
    at = found.find(b"mehd")
    return at > 0 and any(found[at + 8 : at + (16 if found[at + 4] else 12)])


def _announced(video: Window, position: int, length: int) -> int:
    """Where the last of the segments ends that a segment index announces (`sidx`, 8.16.3), if there are several."""
    box = video.at(position, min(length, _READ))
    first, refs = (slice(28, 36), 40) if box[8:9] == b"\1" else (slice(24, 28), 32)
    count = int.from_bytes(box[refs - 2 : refs])
    if count < 2:
        return 0
    end = position + length + int.from_bytes(box[first])
    for at in range(refs, refs + 12 * count, 12):
        video.step()
        end += int.from_bytes(box[at : at + 4]) & 0x7FFFFFFF
    return end


def _is_behind(video: Window, position: int, word: bytes) -> bool:
    """Whether a word stands behind that position, not too far."""
    last, end = b"", position + _FAR
    while position < end and (piece := video.at(position, _READ)):
        if word in last + piece:
            return True
        last, position = piece[-len(word) :], position + len(piece)
    return False
