"""Names for programs of one process: downloads, workers, groups, missing devices, refused scripts."""

from __future__ import annotations

import pickle

import pytest

import flambeau as fl


def test_weights_are_downloaded_once_and_checked(tmp_path):
    import hashlib

    source = tmp_path / "net.pt"
    fl.save({"weight": fl.ones(2)}, source)
    digits = hashlib.sha256(source.read_bytes()).hexdigest()[:8]
    named = tmp_path / f"net-{digits}.pt"
    named.write_bytes(source.read_bytes())
    kept = tmp_path / "kept"
    found = fl.hub.load_state_dict_from_url(named.as_uri(), str(kept), progress=False, check_hash=True)
    assert found["weight"].tolist() == [1, 1] and [p.name for p in kept.iterdir()] == [named.name]
    named.unlink()  # the kept file is read from now on
    assert fl.hub.load_state_dict_from_url(named.as_uri(), str(kept))["weight"].tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="invalid hash value"):
        fl.hub.download_url_to_file(source.as_uri(), str(tmp_path / "other"), "0" * 8, progress=False)
    assert not (tmp_path / "other").exists() and not list(tmp_path.glob("*.partial"))
    (kept / "bad.pt").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ValueError, match="pickle"):
        fl.hub.load_state_dict_from_url("file:///bad.pt", str(kept))
    with pytest.raises(NotImplementedError, match="run its code"):
        fl.hub.load("someone/repository", "model")


def _worker(number, shared):
    shared.put((number, fl.full((2,), float(number))))


def _failing(number):
    if number == 1:
        raise ValueError("worker one failed")


def test_workers_get_and_send_tensors():
    import flambeau.multiprocessing as mp

    queue = mp.get_context("spawn").SimpleQueue()
    mp.spawn(_worker, args=(queue,), nprocs=2)
    found = dict(queue.get() for _ in range(2))
    assert {number: value.tolist() for number, value in found.items()} == {0: [0, 0], 1: [1, 1]}
    with pytest.raises(mp.ProcessRaisedException, match="worker one failed"):
        mp.spawn(_failing, nprocs=2)


def test_a_group_of_one_process():
    dist = fl.distributed
    assert not dist.is_initialized() and not dist.is_available()
    for call in (dist.get_rank, dist.get_world_size, dist.barrier, lambda: dist.all_reduce(fl.ones(1))):
        with pytest.raises(ValueError, match="has not been initialized"):
            call()
    with pytest.raises(NotImplementedError, match="2 processes"):
        dist.init_process_group("gloo", world_size=2, rank=0)
    dist.init_process_group("gloo", world_size=1, rank=0)
    try:
        x = fl.tensor([1.0, 2.0])
        assert dist.all_reduce(x, dist.ReduceOp.SUM) is None and dist.all_reduce(x, async_op=True).wait()
        places = [fl.zeros(2)]
        dist.all_gather(places, x)
        dist.broadcast(x, 0)
        dist.barrier()
        assert (dist.get_rank(), dist.get_world_size(), places[0].tolist()) == (0, 1, [1, 2])
        model = fl.nn.parallel.DistributedDataParallel(fl.nn.Linear(2, 2))
        with model.no_sync():
            model(x).sum().backward()
        assert model.module.bias.grad.tolist() == [1, 1]
        with pytest.raises(RuntimeError, match="twice"):
            dist.init_process_group("gloo", world_size=1, rank=0)
    finally:
        dist.destroy_process_group()
    assert not dist.is_initialized()


@pytest.mark.parametrize(
    "call",
    [
        lambda: fl.cuda.Event(enable_timing=True), lambda: fl.cuda.Stream(), lambda: fl.cuda.current_stream(),
        lambda: fl.cuda.get_device_properties(0), lambda: fl.cuda.get_device_capability(),
        lambda: fl.cuda.mem_get_info(), lambda: fl.cuda.get_rng_state(), lambda: fl.cuda.FloatTensor([1.0]),
        lambda: fl.accelerator.synchronize(), lambda: fl.accelerator.current_device_index(),
        lambda: fl.nn.DataParallel(fl.nn.Linear(1, 1), device_ids=[0]),
    ],
)  # fmt: skip
def test_commands_to_missing_devices_are_errors(call):
    with pytest.raises(fl.DeviceError, match="cuda"):
        call()


def test_questions_about_missing_devices_have_answers():
    with fl.cuda.stream(None):
        pass
    assert fl.cuda.memory_stats() == {} and fl.cuda.get_rng_state_all() == [] and "No CUDA" in fl.cuda.memory_summary()
    assert not isinstance(fl.ones(1), fl.cuda.FloatTensor) and not fl.accelerator.is_available()
    assert fl.accelerator.current_accelerator() is None and fl.xpu.device_count() == fl.mps.device_count() == 0
    for kind in (fl.xpu, fl.mps):
        kind.empty_cache()
        with pytest.raises(fl.DeviceError, match="no such device"):
            kind.synchronize()


def test_scripts_run_as_python():
    net = fl.nn.Linear(2, 2)
    assert fl.jit.script(net) is net and fl.jit.trace(net, fl.ones(1, 2)) is net
    assert fl.jit.ignore(abs) is abs and fl.jit.ignore(drop=True)(abs) is abs and fl.jit.unused(abs) is abs
    assert fl.jit.isinstance([1], list[int]) and not isinstance(net, fl.jit.ScriptModule)
    for call in (lambda: fl.jit.save(net, "x"), lambda: fl.jit.load("x"), lambda: fl.onnx.export(net, ())):
        with pytest.raises(NotImplementedError, match=r"state_dict|save"):
            call()
    fl._dynamo.config.suppress_errors = True
    assert not fl._dynamo.is_compiling() and fl._C._get_tracing_state() is None
    seen = []

    @fl.compile
    def function(x):
        seen.append(fl.compiler.is_compiling())
        return x + 1

    function(fl.ones(2))
    assert seen[0] is True and not fl.compiler.is_compiling()


def test_wishes_of_cuda_and_lists_of_classes_are_kept():
    cuda = fl.backends.cuda
    with cuda.sdp_kernel(enable_flash=False, enable_cudnn=False):
        assert not cuda.flash_sdp_enabled() and not cuda.cudnn_sdp_enabled()
        assert cuda.math_sdp_enabled() and cuda.mem_efficient_sdp_enabled()
        cuda.enable_math_sdp(False)
        assert not cuda.math_sdp_enabled()
    assert cuda.flash_sdp_enabled() and cuda.math_sdp_enabled() and cuda.cudnn_sdp_enabled()
    listed = fl.serialization
    listed.add_safe_globals([int])
    with listed.safe_globals([dict, int]):
        assert listed.get_safe_globals() == [int, dict]
    assert listed.get_safe_globals() == [int]
    listed.clear_safe_globals()
    assert listed.get_safe_globals() == [] and issubclass(fl.jit.TracerWarning, Warning)


def test_lists_of_tensors_as_one_vector():
    parts = [fl.ones(2, 3), fl.zeros(4), fl.tensor(5.0)]
    flat = fl._utils._flatten_dense_tensors(parts)
    again = fl._utils._unflatten_dense_tensors(flat * 2, parts)
    assert flat.shape == (11,) and [t.shape for t in again] == [t.shape for t in parts]
    assert all(fl.equal(t, part * 2) for t, part in zip(again, parts, strict=True))
    with pytest.raises(ValueError, match="there are no tensors"):
        fl._utils._flatten_dense_tensors([])
