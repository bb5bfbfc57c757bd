"""Storages as objects, tensors that are set to look at others' memory, and tensors as objects of subclasses."""

from __future__ import annotations

import pytest

import flambeau as fl


def test_views_share_a_storage():
    x = fl.arange(6.0).reshape(2, 3)
    bytes_, elements = x[1].untyped_storage(), x[1].storage()
    assert bytes_ == x.untyped_storage() == elements.untyped() and hash(bytes_) == hash(x.untyped_storage())
    assert bytes_ != x.clone().untyped_storage() and fl.is_storage(bytes_) and not fl.is_storage(x)
    assert (bytes_.nbytes(), len(bytes_), len(elements), elements.element_size()) == (24, 24, 6, 4)
    assert bytes_.data_ptr() == x.data_ptr() and elements.dtype is fl.float32 and elements.device == fl.device("cpu")
    assert elements.tolist() == list(elements) == [0, 1, 2, 3, 4, 5] and elements[-1] == 5.0
    elements[0] = 7.0
    assert x[0, 0].item() == 7.0 and bytes_[:4].view(fl.float32).item() == 7.0
    copy = elements.clone()
    elements.fill_(1.0)
    assert x.sum().item() == 6 and copy[0] == 7.0 and elements.copy_(copy) is elements and x[1, 2].item() == 5.0
    assert not x.is_shared() and not bytes_.is_shared() and bytes_.share_memory_() is bytes_ and x.storage_type()
    assert bytes_.resize_(24) is bytes_ and "6 elements" in repr(elements)
    with pytest.raises(RuntimeError, match="a storage of 24 elements cannot become one of 0"):
        bytes_.resize_(0)
    with pytest.raises(TypeError, match="storages are made from tensors, not list"):
        fl.UntypedStorage([1])
    assert fl.ones(0).untyped_storage().nbytes() == 0 and fl.tensor([True]).storage().tolist() == [True]


def test_set_():
    x, y = fl.zeros(2), fl.arange(6.0)
    assert x.set_(y) is x and x.shape == (6,) and x.untyped_storage() == y.untyped_storage()
    assert x.set_(y, 1, (2, 2)).tolist() == [[1, 2], [3, 4]]
    assert x.set_(y.storage(), 0, (3, 2), (1, 3)).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert x.set_(y.untyped_storage()).tolist() == y.tolist() and x.set_().shape == (0,)
    with pytest.raises(RuntimeError, match=r"set_: the tensor is flambeau\.float32 and the source flambeau\.int64"):
        x.set_(fl.arange(3))
    with pytest.raises((RuntimeError, ValueError)):
        x.set_(y, 4, (3,))


class Points(fl.Tensor):
    pass


def test_as_subclass():
    x = fl.ones(3, requires_grad=True)
    y = (x * 2).as_subclass(Points)
    assert type(y) is Points and y.requires_grad and y.tolist() == [2, 2, 2]
    y.sum().backward()
    assert x.grad.tolist() == [2, 2, 2]
    z = fl.zeros(2)
    z.as_subclass(Points)[0] = 1.0
    assert z.tolist() == [1, 0] and type(z.as_subclass(fl.Tensor)) is fl.Tensor
    with pytest.raises(TypeError, match="cls must be a subclass"):
        z.as_subclass(int)
    assert z.record_stream(None) is None


def test_from_file(tmp_path):
    path = tmp_path / "numbers"
    x = fl.from_file(path, shared=True, size=4, dtype=fl.int32)
    x.copy_(fl.arange(4))
    assert path.stat().st_size == 16
    y = fl.from_file(str(path), size=3, dtype=fl.int32)
    y[0] = 9
    assert y.tolist() == [9, 1, 2] and x.tolist() == [0, 1, 2, 3] and fl.from_file(path).shape == (0,)
    assert fl.from_file(path, shared=True, size=5, dtype=fl.int32).tolist() == [0, 1, 2, 3, 0]
    with pytest.raises(ValueError, match=r"6 elements of flambeau\.float32 take 24 bytes, but .* has 20"):
        fl.from_file(path, size=6)
    with pytest.raises(FileNotFoundError):
        fl.from_file(tmp_path / "none", size=1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        fl.from_file(path, colour=1)
