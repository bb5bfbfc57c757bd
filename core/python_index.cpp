// tensor[key] and tensor[key] = value: turns a Python key into views and index tensors.
// It is not: the reading and writing (views.cpp, index.cpp).
#include <span>

#include "index.h"
#include "python_batching.h"
#include "record.h"
#include "views.h"

namespace flambeau {

namespace {

// A list of Python's integers or of its bools as a tensor; null for any other.
PyObject* tensor_from_list(PyObject* o) {
    const Py_ssize_t n = PyList_CheckExact(o) ? PyList_GET_SIZE(o) : 0;
    if (n == 0 || recorder) return nullptr;
    const bool bools = PyBool_Check(PyList_GET_ITEM(o, 0));
    for (Py_ssize_t i = 0; i < n; ++i)
        if (bools ? !PyBool_Check(PyList_GET_ITEM(o, i)) : !PyLong_CheckExact(PyList_GET_ITEM(o, i))) return nullptr;
    TensorRef out = empty(Shape{int64_t(n)}, bools ? kBool : kInt64);
    for (Py_ssize_t i = 0; i < n; ++i) {
        if (bools) out->data[i] = PyList_GET_ITEM(o, i) == Py_True;
        else reinterpret_cast<int64_t*>(out->data)[i] = as_int(PyList_GET_ITEM(o, i), "index");
    }
    return wrap(std::move(out));
}

// Lists and NumPy arrays in a key become tensors.
PyObject* tensor_from(PyObject* o) {
    if (PyObject* made = tensor_from_list(o)) return made;
    PyObject* make = helper("index_tensor");
    if (!make) fail(ErrorKind::Type, "index: unsupported key");
    return checked(PyObject_CallOneArg(make, o));
}

// NumPy arrays are taken as tensors; its integers and bools as Python's.
bool is_sequence_key(PyObject* o) {
    if (o == Py_None || o == Py_Ellipsis || PySlice_Check(o) || PyLong_Check(o) || is_tensor(o)) return false;
    if (PyList_Check(o) || PyTuple_Check(o) || PyRange_Check(o)) return true;
    if (!PyObject_HasAttrString(o, "__array__")) return false;
    Owned dimensions(PyObject_GetAttrString(o, "ndim"));
    if (!dimensions) PyErr_Clear();
    bool scalar = dimensions && PyLong_Check(dimensions.p) && PyLong_AsLong(dimensions) == 0;
    return !scalar || !PyIndex_Check(o);
}

struct Parsed {
    TensorRef view;       // after integers, slices, None and Ellipsis
    Indices indices;      // one a dimension of the view; empty if the key has no tensors
    bool any = false;
};

int64_t slice_bound(PyObject* o, int64_t otherwise) {
    if (o == Py_None) return otherwise;
    if (is_tensor(o)) {
        reads_value("index");
        return read_int(tensor_of(o), tensor_of(o)->data);
    }
    if (!PyIndex_Check(o)) fail(ErrorKind::Type, "slice indices must be integers or None or have an __index__ method");
    Owned index(checked(PyNumber_Index(o)));
    int overflow;
    long long v = PyLong_AsLongLongAndOverflow(index, &overflow);
    if (overflow) v = overflow > 0 ? INT64_MAX / 2 : -(INT64_MAX / 2);
    return v;
}

// A uint8 tensor chooses where it is not zero, as bool does.
bool is_mask(const Tensor* t) { return t->dtype == kBool || t->dtype == kUInt8; }

int consumed(PyObject* o) {
    if (o == Py_None || o == Py_Ellipsis || PyBool_Check(o)) return 0;
    if (is_tensor(o)) {
        Tensor* t = tensor_of(o);
        return is_mask(t) ? t->ndim : 1;
    }
    return 1;
}

Parsed parse(Tensor* t, PyObject* key) {
    Owned kept[2 * kMaxDims];
    size_t given = PyTuple_Check(key) ? size_t(PyTuple_GET_SIZE(key)) : 1;
    if (given > 2 * kMaxDims)
        fail(ErrorKind::Index, "index: too many indices for tensor of dimension " + std::to_string(t->ndim));
    for (size_t i = 0; i < given; ++i) {
        PyObject* o = PyTuple_Check(key) ? PyTuple_GET_ITEM(key, Py_ssize_t(i)) : key;
        kept[i] = Owned(is_sequence_key(o) ? tensor_from(o) : Py_NewRef(o));
    }
    std::span<Owned> items(kept, given);
    int used = 0, ellipses = 0;
    for (auto& o : items) {
        used += consumed(o);
        ellipses += o.p == Py_Ellipsis;
    }
    if (ellipses > 1) fail(ErrorKind::Index, "index: an index can only have a single ellipsis ('...')");
    if (used > t->ndim)
        fail(ErrorKind::Index, "index: too many indices for tensor of dimension " + std::to_string(t->ndim) + " (shape " + shape_text(t) + ", the key has " + std::to_string(used) + ")");
    Parsed out;
    out.view = TensorRef(t);
    int dim = 0, own = 0;  // the dimension of the view, and of the tensor itself
    auto place = [&](int d, TensorRef index) {
        if (int(out.indices.size()) <= d) out.indices.resize(size_t(d) + 1);
        out.indices[size_t(d)] = std::move(index);
        out.any = true;
    };
    for (auto& item : items) {
        PyObject* o = item.p;
        if (o == Py_None) {
            out.view = unsqueeze(out.view.get(), dim);
            ++dim;
        } else if (o == Py_Ellipsis) {
            dim += t->ndim - used;
            own += t->ndim - used;
        } else if (PyBool_Check(o)) {
            out.view = unsqueeze(out.view.get(), dim);
            TensorRef chosen = empty(Shape{o == Py_True ? 1 : 0}, kInt64);
            if (o == Py_True) write_int(kInt64, chosen->data, 0);
            place(dim, chosen);
            ++dim;
        } else if (PySlice_Check(o)) {
            auto* s = reinterpret_cast<PySliceObject*>(o);
            int64_t step = slice_bound(s->step, 1);
            if (step < 0) fail(ErrorKind::Value, "index: step must be greater than zero; use .flip(" + std::to_string(dim) + ") to go backward");
            int64_t start = slice_bound(s->start, 0), stop = slice_bound(s->stop, INT64_MAX / 2);
            if (!(s->start == Py_None && s->stop == Py_None && step == 1)) out.view = slice(out.view.get(), dim, start, stop, step);
            ++dim;
            ++own;
        } else if (is_tensor(o) && !(tensor_of(o)->ndim == 0 && !is_mask(tensor_of(o)) && !is_inexact(tensor_of(o)->dtype))) {
            Tensor* index = tensor_of(o);
            if (is_mask(index)) {
                reads_value("index with a mask");
                if (index->ndim == 0) {
                    out.view = unsqueeze(out.view.get(), dim);
                    TensorRef chosen = empty(Shape{read_int(index, index->data) ? 1 : 0}, kInt64);
                    if (chosen->numel) write_int(kInt64, chosen->data, 0);
                    place(dim, chosen);
                    ++dim;
                    continue;
                }
                for (int i = 0; i < index->ndim; ++i)
                    if (index->sizes[i] != out.view->sizes[dim + i])
                        fail(ErrorKind::Index, "index: The shape of the mask " + shape_text(index) + " at index " + std::to_string(i) +
                                                   " does not match the shape of the indexed tensor " + shape_text(t) + " at index " + std::to_string(dim + i));
                GradModeGuard off(false);
                TensorRef where = nonzero(index);
                for (int i = 0; i < index->ndim; ++i) place(dim++, contiguous(select(where.get(), 1, i).get()));
                own += index->ndim;
            } else {
                if (is_inexact(index->dtype))
                    fail(ErrorKind::Index, std::string("index: tensors used as indices must be long, int, byte or bool tensors, got ") + kDTypeNames[index->dtype] + "; convert with .long()");
                place(dim++, TensorRef(index));
                ++own;
            }
        } else if (PyIndex_Check(o)) {
            if (is_tensor(o)) reads_value("index");
            int64_t at = is_tensor(o) ? read_int(tensor_of(o), tensor_of(o)->data) : as_int(o, "index");
            int64_t size = out.view->sizes[dim];
            if (at < -size || at >= size)
                fail(ErrorKind::Index, "index " + std::to_string(at) + " is out of bounds for dimension " + std::to_string(own) + " with size " + std::to_string(size) + " (the tensor is " + shape_text(t) + ")");
            out.view = select(out.view.get(), dim, at);
            ++own;
        } else {
            fail(PyUnicode_Check(o) ? ErrorKind::Type : ErrorKind::Index, std::string("index: only integers, slices (`:`), ellipsis (`...`), None and long or bool tensors are valid indices, got ") + Py_TYPE(o)->tp_name);
        }
    }
    return out;
}

}  // namespace

PyObject* index_get(PyObject* self, PyObject* key) {
    if (batching.levels) [[unlikely]] {
        PyObject* both[2] = {self, key};
        if (PyObject* result = batched_call("getitem", false, both, 2, nullptr); result != Py_NotImplemented) return result;
    }
    return guarded([&]() -> PyObject* {
        Tensor* t = tensor_of(self);
        if (PyLong_CheckExact(key)) {
            if (t->ndim == 0) fail(ErrorKind::Index, "index: invalid index of a 0-dim tensor. Use `tensor.item()` to convert a 0-dim tensor to a Python number");
            int64_t at = as_int(key, "index"), size = t->sizes[0];
            if (at < -size || at >= size)
                fail(ErrorKind::Index, "index " + std::to_string(at) + " is out of bounds for dimension 0 with size " + std::to_string(size));
            return wrap(select(t, 0, at));
        }
        if (is_tensor(key) && tensor_of(key)->dtype == kBool && t->ndim > 0 && tensor_of(key)->same_shape(*t))
            return wrap(masked(t, tensor_of(key)));
        Parsed p = parse(t, key);
        if (p.any) return wrap(index(p.view.get(), p.indices));
        if (p.view.get() == t) return wrap(view_as(t));
        return wrap(std::move(p.view));
    });
}

namespace {
bool fills(PyObject* value) {
    Arg number;
    return is_tensor(value) ? tensor_of(value)->ndim == 0 : number_arg(value, number);
}
}  // namespace

int index_set(PyObject* self, PyObject* key, PyObject* value) {
    if (batching.levels && value) [[unlikely]] {
        PyObject* all[3] = {self, key, value};
        PyObject* result = batched_call("setitem", false, all, 3, nullptr);
        if (!result) return -1;
        if (result != Py_NotImplemented) {
            Py_DECREF(result);
            return 0;
        }
    }
    PyObject* done = guarded([&]() -> PyObject* {
        if (!value) fail(ErrorKind::Type, "index: elements of a tensor cannot be deleted");
        Tensor* t = tensor_of(self);
        if (recorder && is_tensor(key) && tensor_of(key)->dtype == kBool && tensor_of(key)->ndim && fills(value)) {
            // One number where a mask holds: nothing depends on how many places there are.
            TensorRef mask(tensor_of(key));
            while (mask->ndim < t->ndim) mask = unsqueeze(mask.get(), mask->ndim);
            Owned wide(wrap(mask));
            return checked(PyObject_CallMethod(self, "masked_fill_", "OO", wide.p, value));
        }
        Owned made;
        TensorRef from;
        if (is_tensor(value)) from = TensorRef(tensor_of(value));
        else {
            Arg number;
            if (number_arg(value, number)) {
                // As in C, -1 is the largest unsigned number.
                if (!(t->dtype == kUInt8 && number.code != kFloat64 && number.code != kComplex128 && number.integer < 0 && number.integer >= -255))
                    check_fits(number, t->dtype, "index_put_");
                if (number.code == kComplex128) {
                    from = empty(Shape(), is_complex(t->dtype) ? t->dtype : uint8_t(kComplex128));
                    write_number(from->dtype, from->data, number);
                } else if (is_float(t->dtype) || number.code != kFloat64) {
                    from = empty(Shape(), number.code == kFloat64 ? uint8_t(t->dtype == kFloat64 ? kFloat64 : kFloat32) : number.code == kBool ? uint8_t(kBool) : uint8_t(kInt64));
                    if (is_float(from->dtype)) write_double(from->dtype, from->data, number.real);
                    else write_int(from->dtype, from->data, number.integer);
                } else {
                    from = empty(Shape(), t->dtype);
                    write_double(t->dtype, from->data, number.real);
                }
                if (recorder && recorder->records()) [[unlikely]] recorder->constant(from.get());
            } else {
                made = Owned(tensor_from(value));
                from = TensorRef(tensor_of(made));
            }
        }
        if (is_tensor(key) && tensor_of(key)->dtype == kBool && tensor_of(key)->ndim && put_masked(t, tensor_of(key), from.get()))
            return Py_NewRef(Py_None);
        Parsed p = parse(t, key);
        if (p.any) {
            index_put(p.view.get(), p.indices, from.get(), false);
        } else {
            check_in_place(p.view.get(), "index_put_");
            // Leading dimensions of size 1 of the value are dropped, as NumPy and PyTorch do.
            while (from->ndim > p.view->ndim && from->sizes[0] == 1) from = squeeze(from.get(), 1);
            copy_into(p.view.get(), from.get());
        }
        return Py_NewRef(Py_None);
    });
    if (!done) return -1;
    Py_DECREF(done);
    return 0;
}

namespace {

// Whether every number is a class, or the one that is ignored; what is wrong is left in `bad`.
bool all_classes(Tensor* target, int64_t classes, int64_t ignored, int64_t& bad) {
    GradModeGuard off(false);
    TensorRef dense = contiguous(target);
    const int size = item_size(dense->dtype);
    for (int64_t i = 0; i < dense->numel; ++i) {
        const int64_t c = read_int(dense.get(), dense->data + i * size);
        if ((c < 0 || c >= classes) && c != ignored) return bad = c, false;
    }
    return true;
}

// check_classes(name, target, classes, ignored): IndexError for a class that is not there, also when a plan runs.
PyObject* py_check_classes(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n != 4) fail(ErrorKind::Type, "check_classes takes (name, target, classes, ignored)");
        const std::string name = PyUnicode_AsUTF8(args[0]);
        Tensor* target = expect_tensor(args[1], "check_classes");
        const int64_t classes = as_int(args[2], "check_classes"), ignored = as_int(args[3], "check_classes");
        run_step("check_classes", &target, 1, 0, [=](Tensor* const* t) {
            int64_t bad = 0;
            if (!all_classes(t[0], classes, ignored, bad))
                fail(ErrorKind::Index, name + ": Target " + std::to_string(bad) + " is out of bounds: there are " + std::to_string(classes) +
                                           " classes, numbered from 0 to " + std::to_string(classes - 1));
        });
        Py_RETURN_NONE;
    });
}

PyMethodDef functions[] = {
    Batchable<py_check_classes>::entry("check_classes", "check_classes(name, target, classes, ignored): IndexError for a class that is not there."),
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

int add_indexing(PyObject* module) { return PyModule_AddFunctions(module, functions); }

}  // namespace flambeau
