"""Files of torch.save: read without running anything of them, and refused clearly where that cannot be."""

import io
import os
import pickle
import random
import zipfile
from pathlib import Path

import pytest

import flambeau as fl

#: Written by PyTorch 2.13: a module's and an optimizer's state, views of one storage, every kind of plain value.
CHECKPOINT = Path(__file__).parent / "data" / "checkpoint.pt"
#: The same: sparse tensors in three layouts.
SPARSE = Path(__file__).parent / "data" / "sparse.pt"


def archive(text: bytes, storages: dict[str, bytes] | None = None, **options) -> io.BytesIO:
    """A zip archive as torch.save lays it out, with this pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as out:
        out.writestr("archive/data.pkl", text)
        out.writestr("archive/byteorder", "little")
        for key, data in (storages or {}).items():
            out.writestr(f"archive/data/{key}", data)
    file.seek(0)
    return file


def test_a_checkpoint():
    found = fl.load(CHECKPOINT)
    assert found["epoch"] == 3 and found["rate"] == 1e-3 and found["list"] == [1, 2.5, None, "x", (1, 2)]
    assert found["set"] == {1, 2} and found["bytes"] == b"ab" and found["dtype"] is fl.float16
    assert found["size"] == fl.Size([2, 3]) and found["device"] == fl.device("cpu")
    assert found["part"].tolist() == [2, 3, 4, 5] and found["turned"].shape == (4, 3)
    assert found["turned"][:, 1].tolist() == [4, 5, 6, 7]
    assert found["flags"].tolist() == [True, False] and found["half"].tolist() == [1.5, -2]
    assert found["brain"].dtype is fl.bfloat16 and found["brain"].tolist() == [0.5, 3]
    assert isinstance(found["parameter"], fl.nn.Parameter) and found["parameter"].requires_grad
    assert found["empty"].shape == (0, 3) and found["number"].item() == 3


def test_views_share_their_storage():
    found = fl.load(CHECKPOINT)
    found["part"][0] = 100.0
    assert found["turned"][2, 0].item() == 100.0


def test_a_model_and_its_optimizer_go_on():
    found = fl.load(CHECKPOINT)
    model = fl.nn.Sequential(fl.nn.Linear(3, 4), fl.nn.BatchNorm1d(4))
    model.load_state_dict(found["model"])
    optimizer = fl.optim.Adam(model.parameters())
    optimizer.load_state_dict(found["optimizer"])
    model(fl.randn(5, 3)).sum().backward()
    optimizer.step()
    assert all(state["step"] == 2 for state in optimizer.state.values())


def test_sparse_tensors():
    found = fl.load(SPARSE)
    assert found["coo"].layout is fl.sparse_coo and not found["coo"].is_coalesced() and found["coo"]._nnz() == 3
    assert found["coalesced"].is_coalesced() and found["csr"].layout is fl.sparse_csr
    for tensor in found.values():
        assert tensor.to_dense().tolist() == [[0, 0, 3], [9, 0, 0]] and tensor.dtype is fl.float64
    entries = contents(SPARSE)
    text = next(name for name in entries if name.endswith("data.pkl"))
    for old, new in (
        (b"sparse_coo", b"sparse_cow"),
        (b"K\x02K\x03", b"K\x02K\x02"),
    ):
        broken = {**entries, text: entries[text].replace(old, new)}
        with pytest.raises(ValueError, match="damaged"):
            fl.load(io.BytesIO(repacked(broken)))


def test_map_location_and_open_files():
    with open(CHECKPOINT, "rb") as file:
        assert fl.load(file, map_location="cpu", weights_only=True)["epoch"] == 3
    with pytest.raises(RuntimeError, match="map_location"):
        fl.load(CHECKPOINT, map_location="cuda")


def test_code_is_never_run(tmp_path):
    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(mark),))

    for protocol in range(2, 6):
        with pytest.raises(ValueError, match="would run code"):
            fl.load(archive(pickle.dumps({"a": Evil()}, protocol)))
    # The same through a name that is known, and through the state of an object.
    text = b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R."
    with pytest.raises(ValueError, match=r"os\.system"):
        fl.load(archive(text))
    text = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x08\x00\x00\x00__code__NsX\x01\x00\x00\x00ab."
    with pytest.raises(ValueError):
        fl.load(archive(text))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"\x80\x02ctorch.nn.modules.linear\nLinear\n.", r"Linear.*state_dict"),
        (b"\x80\x02(", "no end|damaged"),
        (b"\x80\x02a.", "damaged"),
        (b"\x80\x02]q\x00h\x01.", "damaged"),
        (b"\x80\x02ctorch\nFloatStorage\n.", "part of a tensor"),
        (b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.", "bytearray"),
        (b"\x80\x02ctorch.sparse\nx\n.", "torch.sparse.x"),
    ],
)
def test_other_structures_are_refused(text, said):
    with pytest.raises(ValueError, match=said):
        fl.load(archive(text))


def tensor_text(count: int, offset: int, size: int, stride: int) -> bytes:
    """The pickle of one float32 tensor over storage 0."""
    number = lambda n: b"J" + n.to_bytes(4, "little", signed=True)  # noqa: E731
    storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + number(count)
    tail = number(offset) + number(size) + b"\x85" + number(stride) + b"\x85" + b"\x89}"
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"tQ" + tail + b"tR."


def test_tensors_stay_within_their_storage():
    data = {"0": bytes(16)}
    assert fl.load(archive(tensor_text(4, 1, 3, 1), data)).tolist() == [0, 0, 0]
    for count, offset, size, stride in ((4, 2, 3, 1), (4, 0, 4, 2), (4, -1, 2, 1), (4, 0, 2, -1), (5, 0, 2, 1)):
        with pytest.raises(ValueError, match="load:"):
            fl.load(archive(tensor_text(count, offset, size, stride), data))
    with pytest.raises(ValueError, match="cut short"):
        fl.load(archive(tensor_text(4, 0, 4, 1)))
    with pytest.raises(ValueError, match="not stored"):
        fl.load(archive(tensor_text(4, 0, 4, 1), data, compression=zipfile.ZIP_DEFLATED))


def test_other_archives():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        out.writestr("readme.txt", "hello")
    file.seek(0)
    with pytest.raises(ValueError, match=r"no data\.pkl"):
        fl.load(file)
    with pytest.raises(ValueError, match=r"before PyTorch 1\.6"):
        fl.load(io.BytesIO(pickle.dumps({"a": 1}, 2)))


def test_structures_that_would_never_end(tmp_path):
    """Small files whose containers double with every step: their hashes, texts and copies would take for ever."""
    doubled = b"".join(b"q\x000h\x00h\x00\x86" for _ in range(60))
    nested = b")" + doubled + b"q\x00"
    for text, said in (
        (b"\x80\x02}" + nested + b"K\x01s.", "too many parts"),
        (b"\x80\x04\x8f(" + nested + b"\x90.", "too many parts"),
        (b"\x80\x04(" + nested + b"\x91.", "too many parts"),
        (b"\x80\x02c__builtin__\nset\n(" + nested + b"l\x85R.", "too many parts"),
        (b"\x80\x02cnumpy\ndtype\n" + nested + b"\x85R.", "NumPy array of dtype 'tuple'"),
        (b"\x80\x04" + nested + b"X\x01\x00\x00\x00a\x93.", "a name that is no text"),
        (b"\x80\x02" + b")" + b"\x85" * 300_000 + b"q\x00}h\x00K\x01s.", "too many parts"),
        (b"\x80\x02(" + b"K\x01" * 3000 + b"lq\x00" + b"c__builtin__\nlist\nh\x00\x85R" * 3000 + b".", "could hold"),
    ):
        with pytest.raises(ValueError, match=said):
            fl.load(archive(text))


def contents(file):
    with zipfile.ZipFile(file) as opened:
        return {entry.filename: opened.read(entry) for entry in opened.infolist()}


def repacked(entries):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        for name, data in entries.items():
            out.writestr(name, data)
    return file.getvalue()


def changed(data, dice):
    """`data` with some bytes replaced, removed, doubled or cut off."""
    result = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 5))):
        place, kind = dice.randrange(len(result)), dice.randrange(8)
        if kind < 5:
            result[place] = dice.choice((dice.randrange(256), result[place] ^ 1 << dice.randrange(8)))
        elif kind == 5:
            del result[place : place + dice.randrange(1, 9)]
        elif kind == 6:
            result[place:place] = result[place : place + dice.randrange(1, 9)]
        elif len(result) > 20 and dice.random() < 0.3:
            del result[place:]
        if not result:
            break
    return bytes(result)


def test_damaged_files_are_errors():
    """1,000 files with bytes changed or cut, half of them in the pickle under a fitting checksum: read, or refused."""
    data, dice = CHECKPOINT.read_bytes(), random.Random(0)
    entries = contents(CHECKPOINT)
    text = next(name for name in entries if name.endswith("data.pkl"))
    outcomes = {"read": 0, "refused": 0}
    for turn in range(1000):
        if turn % 2:
            broken = repacked({**entries, text: changed(entries[text], dice)})
        else:
            broken = data[:4] + changed(data[4:], dice)
        try:
            fl.load(io.BytesIO(broken))
            outcomes["read"] += 1  # the change was in a part that says nothing
        except (ValueError, RuntimeError) as error:  # the latter: a device that is not there
            assert "load: " in str(error) and len(str(error)) < 600
            outcomes["refused"] += 1
    assert outcomes["refused"] > 500


def test_what_torch_writes_now(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "now.pt"
    module = torch.nn.LSTM(3, 4)
    unsigned = {name: torch.tensor([0, 1, 250]).to(getattr(torch, name)) for name in ("uint16", "uint32", "uint64")}
    spectrum = torch.fft.fft(torch.randn(4, 3, dtype=torch.float64))
    entries = {"m": module.state_dict(), "i": torch.arange(5).to(torch.int16), "n": torch.randn(2, 3).T}
    torch.save({**entries, "u": unsigned, "c": spectrum.T, "z": spectrum.to(torch.complex64)}, path)
    found = fl.load(path)
    for name, tensor in module.state_dict().items():
        assert found["m"][name].tolist() == tensor.tolist()
    assert found["i"].dtype is fl.int16 and found["n"].shape == (3, 2)
    assert found["c"].dtype is fl.complex128 and found["c"].tolist() == spectrum.T.tolist()
    assert found["z"].dtype is fl.complex64
    for name, tensor in found["u"].items():
        assert tensor.dtype is getattr(fl, name) and tensor.tolist() == [0, 1, 250]
