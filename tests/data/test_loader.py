"""DataLoader: in memory, in this process, in workers; seeds, failures, and resuming."""

import os
import signal
import time

import pytest

import flambeau as fl
from flambeau.utils import data as D


class Squares(D.Dataset):
    """Module level, so that a worker started afresh can import it."""

    def __init__(self, size=10):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return fl.tensor([float(index), float(index * index)]), index


class Stream(D.IterableDataset):
    def __init__(self, size=7):
        self.size = size

    def __iter__(self):
        info = D.get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        return iter(range(first, self.size, step))

    def __len__(self):
        return self.size


def tensors(size=10):
    return D.TensorDataset(fl.arange(float(size * 2)).reshape(size, 2), fl.arange(size))


def joined(batches):
    return [number for batch in batches for number in batch]


def numbers(loader):
    return [batch[1].tolist() for batch in loader]


def test_from_memory():
    batches = list(D.DataLoader(tensors(), batch_size=4))
    assert [type(b) for b in batches] == [list] * 3 and batches[2][0].tolist() == [[16, 17], [18, 19]]
    assert numbers(D.DataLoader(tensors(), batch_size=4, drop_last=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    dataset = tensors()
    next(iter(D.DataLoader(dataset, batch_size=2)))[0].zero_()
    assert dataset.tensors[0][0].tolist() == [0, 1] and dataset.tensors[0][1].tolist() == [2, 3]
    shuffled = numbers(D.DataLoader(tensors(), batch_size=3, shuffle=True, generator=fl.Generator().manual_seed(1)))
    assert sorted(joined(shuffled)) == list(range(10)) and joined(shuffled) != list(range(10))
    part = D.Subset(D.Subset(tensors(), [9, 8, 7, 6]), [0, 2, 3])
    assert numbers(D.DataLoader(part, batch_size=2)) == [[9, 7], [6]]
    assert sorted(joined(numbers(D.DataLoader(part, batch_size=2, shuffle=True)))) == [6, 7, 9]
    assert numbers(D.DataLoader(tensors(), batch_sampler=[[1, 2], [5]])) == [[1, 2], [5]]
    assert numbers(D.DataLoader(tensors(), batch_size=2, sampler=[3, 1, 4])) == [[3, 1], [4]]
    assert len(D.DataLoader(tensors(), batch_size=4)) == 3


def test_same_batches_from_memory_and_one_by_one():
    for shuffle in (False, True):
        fast = D.DataLoader(tensors(), batch_size=4, shuffle=shuffle, generator=fl.Generator().manual_seed(2))
        slow = D.DataLoader(
            tensors(),
            batch_size=4,
            shuffle=shuffle,
            generator=fl.Generator().manual_seed(2),
            collate_fn=lambda b: D.default_collate(b),
        )
        for _ in range(2):
            for a, b in zip(fast, slow):
                assert a[0].tolist() == b[0].tolist() and a[1].tolist() == b[1].tolist()


def test_one_by_one():
    loader = D.DataLoader(Squares(), batch_size=4)
    assert [b[1].tolist() for b in loader] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    single = list(D.DataLoader(Squares(3), batch_size=None))
    assert single[2][1] == 2 and single[2][0].tolist() == [2, 4]
    assert [b.tolist() for b in D.DataLoader(Stream(), batch_size=3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [b.tolist() for b in D.DataLoader(Stream(), batch_size=3, drop_last=True)] == [[0, 1, 2], [3, 4, 5]]
    assert (
        list(D.DataLoader(Stream(3), batch_size=None)) == [0, 1, 2] and len(D.DataLoader(Stream(), batch_size=3)) == 3
    )

    class Together(Squares):
        def __getitems__(self, indices):
            return [-i for i in indices]

    assert next(iter(D.DataLoader(Together(), batch_size=2))).tolist() == [0, -1]


def test_arguments():
    d = Squares()
    for options in (
        {"num_workers": -1}, {"timeout": -1}, {"prefetch_factor": 2}, {"persistent_workers": True},
        {"sampler": [1], "shuffle": True}, {"batch_sampler": [[1]], "batch_size": 2},
        {"batch_size": None, "drop_last": True}, {"batch_size": 0},
    ):  # fmt: skip
        with pytest.raises(ValueError):
            D.DataLoader(d, **options)
    for options in ({"shuffle": True}, {"sampler": [1]}, {"batch_sampler": [[1]]}):
        with pytest.raises(ValueError, match="IterableDataset"):
            D.DataLoader(Stream(), **options)


def test_workers_give_the_same_batches_in_order():
    here = [(x.tolist(), y.tolist()) for x, y in D.DataLoader(Squares(), batch_size=3)]
    there = [(x.tolist(), y.tolist()) for x, y in D.DataLoader(Squares(), batch_size=3, num_workers=2)]
    assert here == there
    streamed = [b.tolist() for b in D.DataLoader(Stream(), batch_size=2, num_workers=2)]
    assert sorted(joined(streamed)) == list(range(7)) and streamed[0] == [0, 2] and streamed[1] == [1, 3]


def test_persistent_workers_stay():
    class Where(Squares):
        def __getitem__(self, index):
            return os.getpid()

    loader = D.DataLoader(Where(4), batch_size=2, num_workers=2, persistent_workers=True)
    first = [b.tolist() for b in loader]
    assert [b.tolist() for b in loader] == first and first[0] != first[1] and first[0][0] != os.getpid()
    loader._pool.close()


def test_worker_information_and_seeds():
    class Seeds(Squares):
        def __getitem__(self, index):
            info = D.get_worker_info()
            return info.id, info.num_workers, info.seed % 1000, int(fl.randint(0, 1000, (1,)).item()), self.note

    def init(number):
        D.get_worker_info().dataset.note = number + 10

    def run(seed):
        loader = D.DataLoader(
            Seeds(4), batch_size=1, num_workers=2, worker_init_fn=init, generator=fl.Generator().manual_seed(seed)
        )
        return [[int(v.item()) for v in batch] for batch in loader]

    first = run(1)
    assert [row[:2] for row in first] == [[0, 2], [1, 2]] * 2 and [row[4] for row in first] == [10, 11] * 2
    assert first == run(1) and first != run(2) and first[0][3] != first[1][3]
    assert D.get_worker_info() is None


class Failing(Squares):
    def __getitem__(self, index):
        if index == 5:
            raise KeyError("no sample five")
        return index


def test_errors_come_back_with_their_traceback():
    with pytest.raises(KeyError, match="no sample five") as error:
        list(D.DataLoader(Failing(), batch_size=2, num_workers=2))
    assert "DataLoader worker process" in str(error.value) and "__getitem__" in str(error.value)

    def bad_init(number):
        raise RuntimeError("bad start")

    with pytest.raises(RuntimeError, match="bad start"):
        list(D.DataLoader(Squares(), num_workers=1, worker_init_fn=bad_init))


class Dying(Squares):
    def __getitem__(self, index):
        if index == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return index


def test_a_killed_worker_is_an_error_not_a_hang():
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=r"worker \(pid \d+\) exited unexpectedly by signal SIGKILL"):
        list(D.DataLoader(Dying(), batch_size=2, num_workers=2))
    assert time.monotonic() - start < 10


class Slow(Squares):
    def __getitem__(self, index):
        time.sleep(30)


def test_timeout():
    with pytest.raises(RuntimeError, match=r"timed out after 0\.2 seconds"):
        list(D.DataLoader(Slow(), num_workers=1, timeout=0.2))


def test_leaving_early_ends_the_workers():
    loader = D.DataLoader(Squares(100), batch_size=2, num_workers=2)
    iterator = iter(loader)
    next(iterator)
    del iterator
    import multiprocessing

    deadline = time.monotonic() + 5
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not multiprocessing.active_children()
    persistent = D.DataLoader(Squares(100), batch_size=2, num_workers=1, persistent_workers=True)
    for _ in persistent:
        break
    assert numbers(persistent)[0] == [0, 1]
    persistent._pool.close()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("dataset", [tensors, Squares])
@pytest.mark.parametrize("with_generator", [True, False])
def test_resuming(dataset, workers, with_generator):
    def loader(seed):
        generator = fl.Generator().manual_seed(seed) if with_generator else None
        return D.DataLoader(dataset(), batch_size=3, shuffle=True, num_workers=workers, generator=generator)

    first = loader(5)
    list(first)
    seen, state = [], None
    for position, batch in enumerate(first):
        seen.append(batch[1].tolist())
        if position == 1:
            state = first.state_dict()
    following = numbers(first)
    second = loader(77)
    second.load_state_dict(state)
    assert numbers(second) == seen[2:]
    if with_generator:
        assert numbers(second) == following
    assert second.state_dict()["batches"] == 0


def test_resuming_a_stream_and_from_a_file(tmp_path):
    loader = D.DataLoader(Stream(), batch_size=2)
    iterator = iter(loader)
    next(iterator)
    fl.save(loader.state_dict(), tmp_path / "place")
    other = D.DataLoader(Stream(), batch_size=2)
    other.load_state_dict(fl.load(tmp_path / "place"))
    assert [b.tolist() for b in other] == [[2, 3], [4, 5], [6]]
    with pytest.raises(ValueError, match="batches"):
        other.load_state_dict({})
