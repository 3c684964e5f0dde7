# SPDX-License-Identifier: MIT
"""Save streams made by hand, as far as a test wants them (docs/specs/libxc-migration-stream of Xen)."""
import json
import struct

END, PAGE_DATA, PV_INFO, P2M_FRAMES = range(4)
STATIC_DATA_END = 0x10
HOLDS = 512  # pfns in a page of the p2m list


def record(kind, body=b""):
    return struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8)


def headers(kind=1, version=3):
    return (struct.pack(">QIIHHI", 2 ** 64 - 1, 0x58454E46, version, 0, 0, 0)
            + struct.pack("<IHHII", kind, 12, 0, 4, 17))


def p2m_frames(end_pfn):
    return record(P2M_FRAMES, struct.pack("<II", 0, end_pfn - 1)
                  + b"".join(struct.pack("<Q", i) for i in range((end_pfn + HOLDS - 1) // HOLDS)))


def head(end_pfn=4096, width=8):
    """All that stands before the first page."""
    return (headers() + record(PV_INFO, struct.pack("<BB6x", width, 4 if width == 8 else 3))
            + record(STATIC_DATA_END) + p2m_frames(end_pfn))


def pages(first, count):
    return record(PAGE_DATA, struct.pack("<II", count, 0)
                  + b"".join(struct.pack("<Q", first + i) for i in range(count)) + bytes(4096 * count))


def of_xl(name, stream):
    """The same, as xl wraps it: with the guest's name."""
    told = json.dumps({"c_info": {"name": name}, "b_info": {"max_memkb": 16384}}).encode() + b"\0"
    told = struct.pack("<I", len(told)) + told
    return (b"Xen saved domain, xl format\n \0 \r" + struct.pack("<IIII", 0x01020304, 3, 0, len(told)) + told
            + struct.pack(">8sII", b"LibxlFmt", 2, 0) + record(1) + stream)
