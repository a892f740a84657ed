"""Deflated files are inflated as far as asked and no further."""

import io
import tracemalloc
import zlib

import pytest

from NativeDLLib.core.deflated import beginning, holds, inflated

META = (
    b"\2\0\0\0UL\4\0\x99\0\0\0"  # Its length is wrong, as some writers have it.
    b"\2\0\1\0OB\0\0\2\0\0\0\0\1"
    b"\2\0\x10\0UI\x16\0001.2.840.10008.1.2.1.99"
)


def file_of(content, damage=lambda deflated: deflated):
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return io.BytesIO(bytes(128) + b"DICM" + META + damage(packer.compress(content) + packer.flush()))


def test_a_deflated_file_is_told_by_its_transfer_syntax_alone():
    assert beginning(file_of(b"x"))[1]
    assert not beginning(io.BytesIO(b"1.2.840.10008.1.2.1.99"))[1]
    assert not beginning(io.BytesIO(file_of(b"x").getvalue().replace(b".1.99", b".1.00")))[1]


def test_the_beginning_is_as_if_it_had_never_been_deflated():
    content = bytes(range(256)) * 20_000

    result = inflated(file_of(content), 10_000).getvalue()

    assert len(result) == 10_000
    assert result[132 + len(META) :] == content[: 10_000 - 132 - len(META)]
    assert b"1.2.840.10008.1.2.1\0\0\0" in result
    assert len(inflated(file_of(content), 10**9).getvalue()) == 132 + len(META) + len(content)


def test_a_gigabyte_in_a_megabyte_takes_no_memory():
    bomb = file_of(bytes(300 * 2**20))
    tracemalloc.start()

    assert len(inflated(bomb, 1000).getvalue()) == 1000
    assert holds(bomb, 200 * 2**20)

    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("damage", [lambda d: d[:-30], lambda d: d[:20] + b"\xff" * 9 + d[29:], lambda d: b""])
def test_data_that_break_off_or_are_damaged_are_told(damage):
    content = bytes(range(256)) * 100

    assert not holds(file_of(content, damage), 132 + len(META) + len(content))


def test_a_file_without_data_is_refused():
    with pytest.raises(ValueError, match="has no end"):
        inflated(io.BytesIO(file_of(b"").getvalue()[: 132 + len(META)]), 10**6)
