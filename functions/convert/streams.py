"""Where files end that are made of packets, pages or frames: FLV, MPEG-TS, Ogg, ASF, MP3, MXF, RealMedia, DSF."""

import re
import struct
from typing import BinaryIO, cast

from functions.convert.window import End, Window, cut, is_unknown
from functions.model.frames import find_packets
from functions.model.mpeg_audio import LONGEST_FRAME, XingHeader, find_xing_header, read_frame

_HEAD = 65_536  # bytes in which what is looked for stands
_MOST_TAGS = 1_000_000  # of FLV, which has one for each frame of picture and sound: four hours of them, in 2 s
_SCRIPT_TAGS = (8, 9, 18)  # audio, video, script
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_SLACK = 32  # bytes by which RealMedia's writers count more than they write
_LATE = 2.0  # seconds by which a video's last tag may come before the length that it has by its own account


def flv(video: Window) -> End:
    """The last four bytes hold the length of the tag before them; where they do not, walks the tags from the front.

    `onMetaData` announces what is to come, if who wrote it knew: a recorder leaves zeros there until it stops.
    """
    head = video.at(0, _HEAD)
    promised, duration = (_number(head, name) for name in (b"filesize", b"duration"))
    last = int.from_bytes(video.at(video.size - 4, 4))
    at = video.size - 4 - last
    if 11 <= last < video.size and int.from_bytes(video.at(at + 1, 3)) + 11 == last:
        time = video.at(at + 4, 4)
        seconds = int.from_bytes(time[3:] + time[:3]) / 1000
        if promised > video.size and seconds + _LATE < duration:
            raise cut(video.size, int(promised))
        return End.WHOLE if duration else End.UNKNOWN
    position = int.from_bytes(video.at(5, 4)) + 4
    while True:
        video.step(_MOST_TAGS)
        tag = video.at(position, 11)
        if len(tag) < 11:
            break
        if tag[0] & 0x1F not in _SCRIPT_TAGS:
            return End.UNKNOWN  # something else behind the video
        position += 11 + int.from_bytes(tag[1:4]) + 4
    if promised > video.size or duration:
        raise cut(video.size, max(position, int(promised)))
    return End.INCOMPLETE


def mpegts(video: Window) -> End:
    """It has no index, and writers fill their packets: one that is not whole is the last of who was interrupted."""
    if not (packets := find_packets(video.at(0, _HEAD))):
        return End.UNKNOWN
    start, step = packets
    last = start + (video.size - start) // step * step
    is_partial = video.at(last - step, 1) == video.at(last, 1) == b"\x47" and last + 188 > video.size
    return End.INCOMPLETE if is_partial else End.UNKNOWN


def ogg(video: Window) -> End:
    """The last page is whole and marked as the last (RFC 3533, 6), unless something has interrupted the recording.

    Nothing in it says how much there was to come.
    """
    start = max(0, video.size - 65_536)  # a page has at most 65,307 bytes
    tail = video.at(start, 65_536)
    at = tail.rfind(b"OggS\0")
    if at < 0:
        return End.UNKNOWN
    page = tail[at:]
    is_whole = len(page) >= 27 and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])
    return End.WHOLE if is_whole and page[5] & 4 else End.INCOMPLETE


def asf(video: Window) -> End:
    """The file properties object holds the file's size, unless the file was broadcast as it was made (ASF, 3.2)."""
    head = video.at(0, _HEAD)
    at = head.find(_ASF_FILE_PROPERTIES)
    if at < 0 or len(head) < at + 104:
        return End.UNKNOWN
    promised, packets = (int.from_bytes(head[each : each + 8], "little") for each in (at + 40, at + 56))
    length = int.from_bytes(head[at + 96 : at + 100], "little")
    data = int.from_bytes(head[16:24], "little") + 50  # behind the header object and the head of the data object
    if head[at + 88] & 1 or is_unknown(promised):
        return End.INCOMPLETE if length and (video.size - data) % length else End.UNKNOWN
    if promised <= video.size or (packets and data + packets * length <= video.size):
        return End.WHOLE
    raise cut(video.size, promised)


def mp3(video: Window) -> End:
    """A Xing header counts the bytes from its own frame on.

    Who cuts MP3s between two frames leaves it as it was; what ends within a frame was cut off.
    """
    header = find_xing_header(cast(BinaryIO, video))
    if header is None:
        return End.UNKNOWN
    promised = header.start + header.size
    if promised <= video.size or _ends_with_a_frame(video, header):
        return End.WHOLE
    raise cut(video.size, promised)


def _ends_with_a_frame(video: Window, header: XingHeader) -> bool:
    """Whether the last frames lead exactly to the end, or to a tag of 128 bytes there."""
    size = video.size - (128 if video.at(video.size - 128, 3) == b"TAG" else 0)
    start = max(0, size - 4 * LONGEST_FRAME)
    tail = video.at(start, size - start)
    for sync in re.finditer(rb"\xff[\xe0-\xff]", tail):
        at, count = sync.start(), 0
        while (frame := read_frame(tail[at : at + 4])) and frame.hertz == header.first.hertz:
            video.step()
            at, count = at + frame.length, count + 1
        if at == len(tail) and count > 2:
            return True
    return False


def mxf(video: Window) -> End:
    """The header tells where the footer is (SMPTE ST 377-1, 7.1). Raises MediaError (truncated)."""
    head = video.at(0, _HEAD + 128)
    at = head.find(b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02")
    if at < 0 or len(head) < at + 64:
        return End.UNKNOWN
    pack = at + 17 + (head[at + 16] & 0x7F if head[at + 16] & 0x80 else 0)  # behind key and length
    footer = int.from_bytes(head[pack + 24 : pack + 32])
    if at + footer > video.size:
        raise cut(video.size, at + footer)
    return End.WHOLE if footer else End.UNKNOWN


def realmedia(video: Window) -> End:
    """Walks the chunks to the one that holds the data. Raises MediaError (truncated)."""
    position = 0
    while len(head := video.at(position, 8)) == 8:
        video.step()
        length = int.from_bytes(head[4:])
        if head[:4] == b"DATA":
            if not is_unknown(length) and position + length > video.size + _SLACK:
                raise cut(video.size, position + length)
            return End.UNKNOWN if is_unknown(length) else End.WHOLE
        position += max(length, 8)
    return End.UNKNOWN


def dsf(video: Window) -> End:
    """The header has the file's size. Raises MediaError (truncated)."""
    promised = int.from_bytes(video.at(12, 8), "little")
    if not is_unknown(promised) and promised > video.size:
        raise cut(video.size, promised)
    return End.UNKNOWN if is_unknown(promised) else End.WHOLE


def _number(head: bytes, name: bytes) -> float:
    """A number of `onMetaData` (AMF 0, 2.2); 0 where there is none."""
    found = re.search(rb"\0\x08%b\0(.{8})" % name, head, re.DOTALL)
    number = struct.unpack(">d", found[1])[0] if found else 0.0
    return float(number) if 0 <= number < 2**60 else 0.0
