"""Makes the files of this folder, but for the three that come from a search for crashes (external_storage.h5,
shared_groups.h5, damaged_heap.h5): h5py 3.16.

Each dataset of numbers.*.h5 holds 0, 1, 2, ... in its own type, layout and index of chunks.
"""
import h5py
import numpy as np

def counting(shape, kind):
    return np.arange(int(np.prod(shape)), dtype=kind).reshape(shape)

def numbers(name, **options):
    with h5py.File(name, "w", **options) as f:
        for kind in ["f2", "<f4", ">f4", "f8", "i1", "u1", "<i2", ">i2", "u2", "i4", "u4", "i8", ">u8"]:
            f.create_dataset(f"types/{kind.replace('<', 'little_').replace('>', 'big_')}", data=counting((3, 5), kind))
        f.create_dataset("types/bool", data=np.array([False, True]))
        f["scalar"] = np.float32(0)
        f["empty"] = np.zeros((0, 3), "f4")
        f.create_dataset("packed/gzip", data=counting((7, 30), "f4"), chunks=(2, 16), compression="gzip", shuffle=True, fletcher32=True)
        f.create_dataset("packed/big_endian", data=counting((9, 4), ">i4"), chunks=(4, 3), compression="gzip")
        f.create_dataset("index/single", data=counting((6, 5), "f4"), chunks=(6, 5))
        f.create_dataset("index/single_gzip", data=counting((6, 5), "f4"), chunks=(6, 5), compression="gzip")
        f.create_dataset("index/fixed_array", data=counting((6, 5), "f4"), chunks=(4, 2))
        f.create_dataset("index/extensible_array", data=counting((6, 5), "f4"), chunks=(4, 2), maxshape=(None, 5))
        f.create_dataset("index/tree", data=counting((6, 5), "f8"), chunks=(4, 2), maxshape=(None, None), compression="gzip")
        early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        early.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((4, 3))
        compact = h5py.h5d.create(f.id, b"compact", h5py.h5t.NATIVE_FLOAT, space, early)
        compact.write(h5py.h5s.ALL, h5py.h5s.ALL, counting((4, 3), "f4"))
        early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        early.set_chunk((4, 2))
        early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        space = h5py.h5s.create_simple((6, 5))
        implicit = h5py.h5d.create(f.id, b"index/implicit", h5py.h5t.NATIVE_FLOAT, space, early)
        implicit.write(h5py.h5s.ALL, h5py.h5s.ALL, counting((6, 5), "f4"))
        for at in range(40):
            f[f"many/group {at}/x"] = counting((2,), "f4")
        several = f["many"].attrs
        for at in range(12):
            several[f"attribute {at}"] = f"value {at}"
        a = f["scalar"].attrs
        a["text"] = "größer"
        a["ascii"] = np.bytes_(b"plain")
        a["texts"] = ["one", "zwei", "größer"]
        a["fixed"] = np.array([b"ab", b"cde"])
        a["empty"] = np.zeros(0)
        a["null"] = h5py.Empty("f4")
        a["number"] = np.int16(-7)
        a["numbers"] = np.array([0.5, -1.0])
        a["yes"] = True
        a["padded"] = np.array("ab  ", dtype=h5py.string_dtype("utf-8", 6))

numbers("numbers.earliest.h5", libver="earliest")
numbers("numbers.latest.h5", libver="latest")
numbers("numbers.user_block.h5", libver="earliest", userblock_size=512)

with h5py.File("elsewhere.h5", "w") as f:
    f["here"] = counting((3, 2), "f4")
    f["soft"] = h5py.SoftLink("/here")
    f["external"] = h5py.ExternalLink("other.h5", "/x")
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (3,))
    f.create_virtual_dataset("virtual", layout)
    f["twice"] = f["here"]
    group = f.create_group("group")
    group["x"] = counting((2,), "f4")
    group["up"] = f["/"]
    f["text"] = ["a", "b"]
    f["records"] = np.zeros(2, [("a", "f4"), ("b", "i4")])
    f.create_dataset("lzf", data=counting((8, 8), "f4"), compression="lzf")

with h5py.File("sizes.h5", "w") as f:
    f.create_dataset("unwritten", (1000,), "f4")
    f.create_dataset("sparse", (1 << 20, 1 << 20), "f4", chunks=(64, 64))
    d = f.create_dataset("bomb", (100_000_000,), "f4", chunks=(100_000,), compression="gzip", compression_opts=9)
    d[:100_000] = 0
    f.create_dataset("huge_chunk", (1 << 20, 1 << 10), "f4", chunks=(1 << 18, 1 << 10), compression="gzip")
    f.create_dataset("overflow", (1 << 62, 1 << 62), "f4", chunks=(1, 16))

with h5py.File("formats.h5", "w") as f:
    bfloat16 = h5py.h5t.IEEE_F32LE.copy()
    bfloat16.set_fields(15, 7, 8, 0, 7)
    bfloat16.set_size(2)
    bfloat16.set_ebias(127)
    d = h5py.h5d.create(f.id, b"bfloat16", bfloat16, h5py.h5s.create_simple((4,)))
    d.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([0, 1, 2, 3], "f4"))
    odd = h5py.h5t.IEEE_F32LE.copy()
    odd.set_ebias(100)
    d = h5py.h5d.create(f.id, b"odd", odd, h5py.h5s.create_simple((4,)))
    d.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([0, 1, 2, 3], "f4"))

# Each deflate may make a thousand bytes of one: two in a row a million.
with h5py.File("packed_twice.h5", "w") as f:
    twice = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    twice.set_chunk((100_000,))
    twice.set_filter(h5py.h5z.FILTER_DEFLATE, 0, (9,))
    twice.set_filter(h5py.h5z.FILTER_DEFLATE, 0, (9,))
    d = h5py.h5d.create(f.id, b"x", h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((100_000,)), twice)
    d.write(h5py.h5s.ALL, h5py.h5s.ALL, np.zeros(100_000, "f4"))
