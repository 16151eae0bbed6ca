"""The members of a zip file (.npz, torch's .pth), checked before one is believed.

A zip file can claim more than it holds: a kilobyte that unpacks to gigabytes, or two members in the same bytes. Here
the directory is read and compared with the size of the file and with every member's own header; only then is memory
taken for a member, and its CRC-32 is compared when it is read.
"""

import io
import itertools
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vit_jax.pretrained.stored import OpenFile, most_bytes

LOCAL_HEADER = struct.Struct("<4s5H3I2H")
"""What stands before a member's name: signature, version, flags, method, time, date, CRC, two sizes, two lengths."""
END_RECORD = struct.Struct("<4s4H2IH")
"""The end of a file: signature, disks, entries, size and place of the directory, length of a comment (none here)."""
UNKNOWN = 0xFFFF
"""Entries of a directory whose number stands elsewhere, as in files of more than 4 GiB."""
ENCRYPTED, UTF8 = 0x1, 0x800
MOST_DEFLATED = 1032
"""Deflate turns at most 258 bytes into two bits."""
CHUNK = 2**16


@dataclass(frozen=True)
class Member:
    """A member of a zip file: `stored` bytes from `offset` on, which are `size` bytes of content."""

    name: str
    offset: int
    stored: int
    size: int
    crc: int
    deflated: bool


def zip_members(path: Path) -> dict[str, Member]:
    """The members of a zip file, by name.

    Raises:
        ValueError: if the file is damaged or claims more than it can hold.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries, end = archive.infolist(), archive.start_dir
    except (zipfile.BadZipFile, NotImplementedError, OverflowError, ValueError, OSError, struct.error) as error:
        raise ValueError(f"{path} is damaged, truncated perhaps: {error}") from error
    with path.open("rb") as file:
        file.seek(-END_RECORD.size, io.SEEK_END)
        signature, _, _, _, count, _, _, _ = END_RECORD.unpack(file.read())
        if signature != b"PK\5\6" or count not in (len(entries), UNKNOWN):
            raise ValueError(f"{path} is damaged: its directory should have {count} entries, not {len(entries)}")
        members = [member(path, file, entry) for entry in entries]
    for name, group in itertools.groupby(sorted(m.name for m in members)):
        if len(list(group)) > 1:
            raise ValueError(f"{path} holds {name!r} twice")
    ordered = sorted(members, key=lambda m: (m.offset, m.stored))
    for this, following in itertools.pairwise([*ordered, Member("the directory", end, 0, 0, 0, False)]):
        if this.offset + this.stored > following.offset:
            raise ValueError(f"{path} is damaged: {this.name!r} and {following.name!r} overlap")
    total, most = sum(m.size for m in members), most_bytes(path.stat().st_size)
    if total > most:
        raise ValueError(
            f"{path} claims {total} bytes when unpacked; weights in a file of its size have at most {most}"
        )
    return {m.name: m for m in members}


def member(path: Path, file: BinaryIO, entry: zipfile.ZipInfo) -> Member:
    """The member that an entry of the directory and the header at its place agree on."""
    name = entry.orig_filename
    file.seek(max(entry.header_offset, 0))  # negative where the directory is damaged: nothing of that name is at 0
    header = file.read(LOCAL_HEADER.size)
    if len(header) < LOCAL_HEADER.size or not header.startswith(b"PK\3\4"):
        raise ValueError(f"{path} is damaged: {name!r} is not where its directory says")
    _, _, _, method, _, _, _, _, _, name_length, extra_length = LOCAL_HEADER.unpack(header)
    local_name = file.read(name_length).decode("utf-8" if entry.flag_bits & UTF8 else "cp437", errors="replace")
    if local_name != name or method != entry.compress_type:
        raise ValueError(f"{path} is damaged: its directory has {name!r} where {local_name!r} is")
    if entry.flag_bits & ENCRYPTED or method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{path}: {name!r} is encrypted or compressed by another method than deflate")
    deflated = method == zipfile.ZIP_DEFLATED
    size, stored = entry.file_size, entry.compress_size
    if size > stored * MOST_DEFLATED if deflated else size != stored:
        raise ValueError(f"{path}: {name!r} claims {size} bytes, which its {stored} bytes in the file cannot be")
    offset = entry.header_offset + LOCAL_HEADER.size + name_length + extra_length
    return Member(name, offset, stored, size, entry.CRC, deflated)


def read_member(path: Path, member: Member) -> np.ndarray:
    """The content of a member: uint8 [size].

    Raises:
        ValueError: if it is damaged.
    """
    content = inflate(path, member) if member.deflated else OpenFile(path).read(member.offset, member.size)
    if zlib.crc32(content.data) != member.crc:
        raise ValueError(f"{path} is damaged: the checksum of {member.name!r} is wrong")
    return content


def read_start(path: Path, member: Member, count: int) -> bytes:
    """The first `count` bytes of a member's content, or all if it has fewer. Not compared with its CRC."""
    most = 2 * count + 1024 if member.deflated else count  # deflate may add a table, and a little to what cannot shrink
    stored = OpenFile(path).read(member.offset, min(most, member.stored)).tobytes()
    if not member.deflated:
        return stored
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(stored, count)
    except zlib.error as error:
        raise damaged(path, member) from error


def inflate(path: Path, member: Member) -> np.ndarray:
    """Unpacks a deflated member, never beyond the size it claims."""
    content = np.empty(member.size, np.uint8)
    stream, filled, left = zlib.decompressobj(-zlib.MAX_WBITS), 0, member.stored
    with path.open("rb") as file:
        file.seek(member.offset)
        while left and not stream.eof:
            packed = file.read(min(left, CHUNK))
            left -= len(packed)
            try:  # one byte more than fits, so that a stream that is too long shows
                piece = stream.decompress(packed, member.size - filled + 1)
            except zlib.error as error:
                raise damaged(path, member) from error
            if not packed or len(piece) > member.size - filled:
                raise damaged(path, member)
            content[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
            filled += len(piece)
    if not stream.eof or left or filled != member.size:
        raise damaged(path, member)
    return content


def damaged(path: Path, member: Member) -> ValueError:
    """The error of a member that cannot be unpacked."""
    return ValueError(
        f"{path} is damaged: {member.name!r} cannot be unpacked to the {member.size} bytes it should have"
    )
