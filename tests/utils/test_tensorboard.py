"""Event files, read back field by field: records and checksums, numbers, histograms, images, texts, hyperparameters."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

import flambeau as fl
from flambeau.utils.tensorboard import SummaryWriter, records, summary


def fields(data):
    """The fields of a protocol buffer: [(number, value)], values as they are on the wire."""

    def varint(at):
        value = shift = 0
        while True:
            byte = data[at]
            value |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                return value, at

    found, at = [], 0
    while at < len(data):
        key, at = varint(at)
        kind = key & 7
        if kind == 0:
            value, at = varint(at)
        else:
            length = {1: 8, 5: 4}.get(kind)
            if length is None:
                length, at = varint(at)
            value, at = data[at : at + length], at + length
            if kind != 2:
                value = struct.unpack("<d" if kind == 1 else "<f", value)[0]
        found.append((key >> 3, value))
    assert at == len(data)
    return found


def events(folder):
    found = []
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            continue
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack("<Q", data[at : at + 8])
            assert records.record(data[at + 12 : at + 12 + length]) == data[at : at + 16 + length]
            found.append(dict(fields(data[at + 12 : at + 12 + length])))
            at += 16 + length
    return found


def entries(folder):
    """(tag, step, fields of the value) of every summary."""
    result = []
    for event in events(folder):
        if 5 in event:
            for _, value in fields(event[5]):
                parts = dict(fields(value))
                result.append((parts.pop(1).decode(), event.get(2), parts))
    return result


def test_checksums_are_those_of_the_format():
    # CRC-32C of "123456789" is 0xE3069283; records hold it turned by 15 bits, plus a constant.
    (found,) = struct.unpack("<I", records.record(b"123456789")[-4:])
    turned = found - 0xA282EAD8 & 0xFFFFFFFF
    assert (turned >> 17 | turned << 15) & 0xFFFFFFFF == 0xE3069283


def test_numbers(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        for step in range(3):
            writer.add_scalar("loss", fl.tensor(1.0 / (step + 1)), step, walltime=7.5)
        writer.add_scalar("rate", 0.25)
        writer.add_scalars("both", {"a": 1, "b": np.float64(2)}, 4)
        with pytest.raises(ValueError, match=r"'x' must be one number, got shape \(2,\)"):
            writer.add_scalar("x", fl.ones(2))
    first = events(tmp_path)[0]
    assert first[3] == b"brain.Event:2" and events(tmp_path)[1][1] == 7.5
    found = [(tag, step, value[2]) for tag, step, value in entries(tmp_path)]
    assert found == [("loss", 0, 1.0), ("loss", 1, 0.5), ("loss", 2, pytest.approx(1 / 3)), ("rate", None, 0.25)]
    assert entries(tmp_path / "both_b") == [("both", 4, {2: 2.0})]


def test_histograms(tmp_path):
    x = fl.tensor([-3.0, 0.0, 0.5, 0.5, 40.0])
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_histogram("x", x.bfloat16(), 1)
        writer.add_histogram("few", x, 1, bins=4, max_bins=2)
        with pytest.raises(ValueError, match="no elements"):
            writer.add_histogram("none", fl.ones(0))
    for tag, step, value in entries(tmp_path):
        histo = dict(fields(value[5]))
        limits, counts = (np.frombuffer(histo[field], "<f8") for field in (6, 7))
        assert (histo[1], histo[2], histo[3], histo[4], histo[5]) == (-3.0, 40.0, 5.0, 38.0, 1609.5) and step == 1
        assert len(limits) == len(counts) and counts.sum() == 5 and counts[0] == 0
        if tag == "x":
            right = {float(limits[i]): c for i, c in enumerate(counts) if c}
            assert list(right.values()) == [1, 1, 2, 1] and (np.diff(limits) > 0).all()


def png(data):
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed = 8, b""
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(name + body)
        if name == b"IHDR":
            width, height, _, kind = struct.unpack(">IIBB", body[:10])
        packed += body if name == b"IDAT" else b""
        at += 12 + length
    channels = {0: 1, 2: 3, 6: 4}[kind]
    rows = np.frombuffer(zlib.decompress(packed), "u1").reshape(height, 1 + width * channels)
    assert (rows[:, 0] == 0).all()
    return rows[:, 1:].reshape(height, width, channels)


def test_images(tmp_path):
    one = fl.rand(3, 4, 5)
    several = (fl.arange(10 * 2 * 3).reshape(10, 1, 2, 3) * 4).to(fl.uint8)
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("one", one, 2)
        writer.add_image("grey", one[0], dataformats="HW")
        writer.add_images("several", several)
        for formats, shape in (("CHW", (2, 4, 5)), ("HWC", (4, 5)), ("XYZ", (3, 4, 5))):
            with pytest.raises(ValueError, match="add_image: 'x' has"):
                writer.add_image("x", fl.rand(*shape), dataformats=formats)
    found = {tag: dict(fields(value[4])) for tag, _, value in entries(tmp_path)}
    pixels = png(found["one"][4])
    assert (found["one"][1], found["one"][2], found["one"][3]) == (4, 5, 3)
    assert np.array_equal(pixels, (one.numpy().transpose(1, 2, 0).astype("f8") * 255).astype("u1"))
    assert np.array_equal(png(found["grey"][4])[:, :, 0], pixels[:, :, 0])
    sheet = png(found["several"][4])
    assert sheet.shape == (4, 24, 1) and np.array_equal(sheet[2:4, 3:6, 0], several[9, 0].numpy())


def test_texts_sounds_figures_and_runs(tmp_path):
    pyplot = pytest.importorskip("matplotlib.figure")
    figure = pyplot.Figure(figsize=(1, 2), dpi=10)
    with SummaryWriter(tmp_path, purge_step=3) as writer:
        writer.add_text("note", "**bold**", 1)
        writer.add_audio("tone", fl.tensor([[0.0, 1.0, -1.0]]), sample_rate=8000)
        writer.add_figure("figure", figure, close=False)
        writer.add_hparams({"lr": 0.1, "deep": True, "name": "x", "none": None}, {"loss": 2.0}, run_name="run")
        with pytest.warns(UserWarning, match="add_graph: graphs are not written"):
            writer.add_graph(fl.nn.Linear(2, 2))
        with pytest.raises(ValueError, match="a number, a bool or a text, got list"):
            writer.add_hparams({"lr": [1]}, {})
    assert events(tmp_path)[1] == {1: events(tmp_path)[1][1], 2: 3, 7: b"\x08\x01"}
    found = {tag: value for tag, _, value in entries(tmp_path)}
    tensor, kind = dict(fields(found["note/text_summary"][8])), found["note/text_summary"][9]
    assert tensor[8] == b"**bold**" and tensor[1] == 7 and dict(fields(dict(fields(kind))[1]))[1] == b"text"
    sound = dict(fields(found["tone"][6]))
    assert (
        (sound[1], sound[2], sound[3]) == (8000.0, 1, 3)
        and sound[4][:4] == b"RIFF"
        and sound[4][-6:] == (np.array([0, 32767, -32767], "<i2").tobytes())
    )
    assert dict(fields(found["figure"][4]))[1] == 20 and png(dict(fields(found["figure"][4]))[4]).shape == (20, 10, 3)
    run = {tag: value for tag, _, value in entries(tmp_path / "run")}
    assert set(run) == {f"_hparams_/{name}" for name in ("experiment", "session_start_info", "session_end_info")} | {
        "loss"
    }
    content = dict(fields(dict(fields(run["_hparams_/session_start_info"][9]))[1]))[2]
    pairs = [dict(fields(each)) for _, each in fields(dict(fields(content))[3])]
    given = {pair[1].decode(): fields(pair[2]) for pair in pairs}
    assert given == {"lr": [(2, 0.1)], "deep": [(4, 1)], "name": [(3, b"x")]}


def test_a_closed_writer_goes_on_in_its_file(tmp_path):
    writer = SummaryWriter(tmp_path)
    writer.close()
    writer.add_scalar("late", 1)
    writer.close()
    assert [tag for tag, _, _ in entries(tmp_path)] == ["late"] and len(list(tmp_path.iterdir())) == 1
    first, second, third = summary.hparams({"a": 1}, {"m": 0})
    writer.file_writer.add_summary(first)
    writer.flush()
    assert entries(tmp_path)[-1][0] == "_hparams_/experiment" and second and third
    writer.close()


def test_tensorboard_reads_them(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", 0.5, 3)
        writer.add_histogram("x", fl.randn(100), 1)
        writer.add_image("i", fl.rand(3, 4, 5), 1)
        writer.add_text("t", "hello", 1)
    found = accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert found.Scalars("loss")[0].value == 0.5 and found.Histograms("x")[0].histogram_value.num == 100
    assert found.Images("i")[0].width == 5 and found.Tags()["tensors"] == ["t/text_summary"]
