"""save and load: round trips, shared memory, whole files only, and refusal of what is damaged or foreign."""

import io
import json
import os
import pickle
import random
import re
import subprocess
import sys
import zlib
from collections import Counter, OrderedDict

import pytest

import flambeau as fl
from flambeau import nn

DTYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]


def there_and_back(value, path):
    fl.save(value, path)
    return fl.load(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.safetensors"


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype(name, path):
    dtype = getattr(fl, name)
    for tensor in (fl.tensor([[0, 1], [2, 3]]).to(dtype), fl.tensor(1).to(dtype), fl.empty(0, 3, dtype=dtype)):
        back = there_and_back({"x": tensor}, path)["x"]
        assert back.dtype == dtype and back.shape == tensor.shape and back.tolist() == tensor.tolist()


def test_structures(path):
    value = {
        "none": None, "flag": True, "whole": 2**70, "real": 0.1, "text": "Grüße", 3: "three",
        (1, 2): [1, (2, {"a": 3})], "infinite": [float("inf"), -float("inf")],
        "counter": Counter("aab"), "bytes": b"\x00\xff", "complex": 1 + 2j,
        "ordered": OrderedDict(b=1, a=2), "dtype": fl.float32, "size": fl.zeros(2, 3).shape, "device": fl.device("cpu"),
        "empty": [{}, [], ()],
    }  # fmt: skip
    back = there_and_back(value, path)
    assert back == value
    assert list(back) == list(value)
    assert type(back["ordered"]) is OrderedDict and type(back["counter"]) is Counter and back["flag"] is True
    assert isinstance(back["whole"], int) and isinstance(back["real"], float)
    nan = there_and_back([float("nan")], path)
    assert nan[0] != nan[0]
    assert there_and_back(fl.ones(2), path).tolist() == [1, 1]
    assert there_and_back(3, path) == 3


def test_models_and_optimizers(path):
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    optimizer = fl.optim.Adam(net.parameters(), lr=0.1)
    schedule = fl.optim.lr_scheduler.MultiStepLR(optimizer, [1, 1, 5])
    net(fl.ones(2, 3)).sum().backward()
    optimizer.step()
    schedule.step()
    fl.save({"net": net.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}, path)
    back = fl.load(path)
    assert type(back["net"]) is OrderedDict and back["net"]._metadata == net.state_dict()._metadata
    other = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    other.load_state_dict(back["net"])
    assert all(a.tolist() == b.tolist() for a, b in zip(net.parameters(), other.parameters()))
    again = fl.optim.Adam(other.parameters())
    again.load_state_dict(back["optimizer"])
    assert again.param_groups[0]["betas"] == (0.9, 0.999) and again.param_groups[0]["lr"] == pytest.approx(0.001)
    for a, b in zip(net.parameters(), other.parameters()):
        a.grad, b.grad = fl.ones(a.shape), fl.ones(a.shape)
    optimizer.step()
    again.step()
    assert all(a.tolist() == b.tolist() for a, b in zip(net.parameters(), other.parameters()))
    assert back["schedule"]["milestones"] == Counter({1: 2, 5: 1})


def test_tied_weights_are_written_once(path):
    net = nn.Sequential(nn.Linear(100, 100, bias=False), nn.Linear(100, 100, bias=False))
    net[1].weight = net[0].weight
    fl.save(net.state_dict(), path)
    assert 40_000 < os.path.getsize(path) < 45_000
    back = fl.load(path)
    back["0.weight"][0, 0] = 7
    assert back["1.weight"][0, 0].item() == 7


def test_views_keep_sharing_and_little_views_stay_little(path):
    base = fl.arange(12.0).reshape(3, 4)
    back = there_and_back([base, base[1], base.t(), base[:, ::2]], path)
    assert [t.tolist() for t in back] == [t.tolist() for t in (base, base[1], base.t(), base[:, ::2])]
    back[0][1, 0] = 99
    assert back[1][0].item() == 99 and back[2][0, 1].item() == 99 and back[3][1, 0].item() == 99
    big = fl.zeros(100_000)
    fl.save([big[:10], big[500:510]], path)
    assert os.path.getsize(path) < 2000
    assert there_and_back(base.t()[1:], path).tolist() == base.t()[1:].tolist()
    assert there_and_back(fl.ones(3, 1).expand(3, 4), path).tolist() == [[1] * 4] * 3


def test_parameters_and_gradient_flags(path):
    back = there_and_back([nn.Parameter(fl.ones(2)), fl.ones(1, requires_grad=True)], path)
    assert isinstance(back[0], nn.Parameter) and back[0].requires_grad and back[1].requires_grad and back[1].is_leaf


def test_other_programs_read_it_and_we_read_theirs(path):
    safetensors = pytest.importorskip("safetensors.numpy")
    numpy = pytest.importorskip("numpy")
    fl.save(nn.Linear(2, 1).state_dict(), path)
    theirs = safetensors.load_file(path)
    assert sorted(theirs) == ["bias", "weight"] and theirs["weight"].shape == (1, 2)
    safetensors.save_file({"x": numpy.arange(3, dtype=numpy.int16)}, path)
    assert fl.load(path)["x"].tolist() == [0, 1, 2]


def test_what_cannot_be_saved(path):
    for value, place in (
        ({"a": [object()]}, "'a.0'"),
        ({"net": nn.ReLU()}, "'net'"),
        ({"f": print}, "'f'"),
        ({1, 2}, "top"),
    ):
        with pytest.raises(TypeError, match=f"{place}.*cannot be saved"):
            fl.save(value, path)
    loop = []
    loop.append(loop)
    with pytest.raises(ValueError, match="contains itself"):
        fl.save(loop, path)
    with pytest.raises(TypeError, match="unexpected keyword"):
        fl.save(1, path, wrong=1)
    assert not path.exists()


def test_damage_is_found(path):
    fl.save({"x": fl.arange(100.0), "y": "text"}, path)
    whole = path.read_bytes()
    for cut in (0, 4, 8, 50, len(whole) - 400, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="damaged"):
            fl.load(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(ValueError, match="something follows"):
        fl.load(path)
    for position in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[position] ^= 0x21
        path.write_bytes(broken)
        try:
            value = fl.load(path)
        except ValueError:
            continue
        # What remains are changes of the padding or of a name in step with itself.
        assert value["x"].tolist() == fl.arange(100.0).tolist() and value["y"] == "text", position


def test_foreign_files(path):
    path.write_bytes(pickle.dumps({"x": 1}))
    with pytest.raises(ValueError, match="bare pickle"):
        fl.load(path)
    path.write_bytes(b"PK\x03\x04 and so on, as torch.save writes")
    with pytest.raises(ValueError, match=r"no file of torch\.save"):
        fl.load(path)
    path.write_bytes(b"this is a text file of some length")
    with pytest.raises(ValueError, match="damaged or not a file of tensors"):
        fl.load(path)
    header = json.dumps({"x": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\x00")
    with pytest.raises(ValueError, match="F8_E4M3"):
        fl.load(path)
    for entry in (
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        {"shape": [1]},
        3,
    ):
        header = json.dumps({"x": entry}).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header + b"\x00" * 8)
        with pytest.raises(ValueError, match="damaged"):
            fl.load(path)
    with pytest.raises(FileNotFoundError):
        fl.load(path.parent / "nothing")


def resealed(text, data):
    """A file with this structure whose checksums fit."""
    header = {}
    for key, value in data.items():
        header[key] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [0, 4 * value.numel()]}
    check = zlib.crc32(json.dumps(header, sort_keys=True).encode())
    parts = b"".join(value.numpy().tobytes() for value in data.values())
    metadata = {"format": "flambeau", "version": "1", "tree": text}
    metadata["check"] = f"{zlib.crc32(text.encode()):08x}{zlib.crc32(parts, check):08x}"
    encoded = json.dumps({"__metadata__": metadata, **header}).encode()
    return len(encoded).to_bytes(8, "little") + encoded + parts


def test_damaged_structures_are_errors():
    """1,000 files with other bytes, half of them with fitting checksums: read, or refused with a text that says so."""
    x, dice = fl.arange(24.0).reshape(4, 6), random.Random(0)
    tree = (
        '{"dict":[["a",{"tensor":"x"}],["b",{"tensor":"x","view":["float32",4,[2,3],[6,1]],"grad":true}],'
        '["c",{"tuple":[1,{"float":"nan"},{"size":[2,3]},{"dtype":"int64"},{"device":"cpu"},{"bytes":"aGk="}]}],'
        '["d",{"ordered":[["k",{"array":{"tensor":"x"}}]],"metadata":{"dict":[]}}],'
        '["e",{"sparse":[{"tensor":"x"},{"tensor":"x"}],"options":[[4,4],"sparse_coo",true,false]}]]}'
    )
    whole = resealed(tree[: tree.index(',["e"')] + "]}", {"x": x})
    assert fl.load(io.BytesIO(whole))["b"].tolist() == [[1.0, 2.0, 3.0], [7.0, 8.0, 9.0]]
    tokens = ["-1", "0", "1e400", "1" * 40, "null", "[]", "{}", '"x"', "2147483648", "true", "[[]]", '{"size":[9]}']
    outcomes = {"read": 0, "refused": 0}
    for turn in range(1000):
        if turn % 2:
            places = [m.span() for m in re.finditer(r'-?\d+|"[^"]*"|true|false', tree)]
            start, end = dice.choice(places)
            broken = resealed(tree[:start] + dice.choice(tokens) + tree[end:], {"x": x})
        else:
            changed = bytearray(whole)
            for _ in range(dice.choice((1, 1, 3, 20))):
                changed[dice.randrange(len(changed))] = dice.randrange(256)
            broken = bytes(changed)
        try:
            fl.load(io.BytesIO(broken))
            outcomes["read"] += 1
        except (ValueError, RuntimeError) as error:  # the latter: a device that is not there
            assert "load: " in str(error) and len(str(error)) < 600
            outcomes["refused"] += 1
    assert outcomes["refused"] > 700


def test_a_failed_save_leaves_the_old_file(path, monkeypatch):
    fl.save({"x": fl.ones(3)}, path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        fl.save({"x": fl.zeros(3)}, path)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


def test_a_full_disk_leaves_the_old_file(path):
    resource = pytest.importorskip("resource")
    fl.save({"x": fl.ones(3)}, path)
    before = path.read_bytes()
    program = (
        "import resource, signal, sys, flambeau as fl\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: fl.save({'x': fl.zeros(100000)}, sys.argv[1])\n"
        "except OSError: sys.exit(7)\n"
    )
    assert resource and subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == 7
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


def test_links_are_followed_and_files_in_memory_work(path):
    link = path.parent / "link"
    fl.save(1, path)
    link.symlink_to(path)
    fl.save(2, link)
    assert link.is_symlink() and fl.load(path) == 2
    memory = io.BytesIO()
    fl.save({"x": fl.ones(2)}, memory)
    memory.seek(0)
    assert fl.load(memory)["x"].tolist() == [1, 1]
    with pytest.raises(IsADirectoryError):
        fl.save(1, path.parent)


def test_map_location(path):
    fl.save({"x": fl.ones(2)}, path)
    for where in ("cpu", fl.device("cpu"), {"cpu": "cpu"}, lambda storage, place: None):
        assert fl.load(path, map_location=where, weights_only=True)["x"].tolist() == [1, 1]
