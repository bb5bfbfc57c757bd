// Sparse tensors at the core's boundary (python_sparse.h), and the functions of sparse.h for Python.
// It is not: the sparse tensor itself (flambeau/sparse).
#include "python_sparse.h"

#include "record.h"
#include "sparse.h"
#include "views.h"

namespace flambeau {

namespace {

PyTypeObject* sparse_type = nullptr;
PyObject* sparse_handler = nullptr;   // handler(function or its name, args, kwargs)
PyObject* sparse_add = nullptr;       // sum of two gradients, at least one of them sparse
char no_elements[16] = {};

bool holds_sparse(PyObject* o) {
    if (Py_TYPE(o) == sparse_type) return true;
    if (!PyTuple_Check(o) && !PyList_Check(o)) return false;
    PyObject** items = PySequence_Fast_ITEMS(o);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i)
        if (Py_TYPE(items[i]) == sparse_type) return true;
    return false;
}

// set_sparse(class of sparse tensors, handler, add)
PyObject* py_set_sparse(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 3 || !PyType_Check(args[0])) return PyErr_Format(PyExc_TypeError, "set_sparse takes (class, handler, add)");
    sparse_type = reinterpret_cast<PyTypeObject*>(Py_NewRef(args[0]));
    sparse_handler = Py_NewRef(args[1]);
    sparse_add = Py_NewRef(args[2]);
    return Py_NewRef(Py_None);
}
PyObject* py_segments(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n != 2) fail(ErrorKind::Type, "segments takes (index, rows)");
        not_recordable("sorting the elements of a sparse matrix");
        TensorRef starts, order;
        segments(expect_tensor(args[0], "segments: index"), as_int(args[1], "segments"), starts, order);
        Owned first(wrap(std::move(starts))), second(wrap(std::move(order)));
        return PyTuple_Pack(2, first.p, second.p);
    });
}
PyObject* py_segment_product(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n != 5) fail(ErrorKind::Type, "segment_product takes (starts, order or None, columns, values, dense)");
        Tensor *starts = expect_tensor(args[0], "segment_product: starts"), *columns = expect_tensor(args[2], "segment_product: columns");
        Tensor *values = expect_tensor(args[3], "segment_product: values"), *dense = expect_tensor(args[4], "segment_product: dense");
        Tensor* order = args[1] == Py_None ? nullptr : expect_tensor(args[1], "segment_product: order");
        if (starts->numel == 0 || dense->ndim != 2) fail(ErrorKind::Shape, "segment_product: starts must not be empty and dense must be a matrix, they are " + shape_text(starts) + " and " + shape_text(dense));
        TensorRef out = empty(Shape{starts->numel - 1, dense->sizes[1]}, dense->dtype);
        Tensor* all[6] = {starts, order, columns, values, dense, out.get()};
        run_step("segment_product", all, 5, 1, [](Tensor* const* a) { segment_product(a[0], a[1], a[2], a[3], a[4], a[5]); });
        return wrap(std::move(out));
    });
}
PyObject* py_sampled_product(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n != 4) fail(ErrorKind::Type, "sampled_product takes (rows, columns, a, b)");
        Tensor *rows = expect_tensor(args[0], "sampled_product: rows"), *columns = expect_tensor(args[1], "sampled_product: columns");
        Tensor *a = expect_tensor(args[2], "sampled_product: a"), *b = expect_tensor(args[3], "sampled_product: b");
        TensorRef out = empty(Shape{rows->numel}, a->dtype);
        Tensor* all[5] = {rows, columns, a, b, out.get()};
        run_step("sampled_product", all, 4, 1, [](Tensor* const* p) { sampled_product(p[0], p[1], p[2], p[3], p[4]); });
        return wrap(std::move(out));
    });
}

#define FAST(name, function, doc) {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(function)), METH_FASTCALL, doc}
PyMethodDef functions[] = {
    FAST("set_sparse", py_set_sparse, "set_sparse(class, handler, add): who answers calls with sparse tensors, and adds gradients."),
    FAST("segments", py_segments, "segments(index, rows) -> (starts, order): a stable counting sort of an index vector."),
    FAST("segment_product", py_segment_product, "segment_product(starts, order or None, columns, values, dense): sparse @ dense, without history."),
    FAST("sampled_product", py_sampled_product, "sampled_product(rows, columns, a, b): a[rows] . b[columns], without history."),
    {nullptr, nullptr, 0, nullptr}};

TensorRef add_sparse_gradients(Tensor* a, Tensor* b) {
    Owned left(wrap(TensorRef(a))), right(wrap(TensorRef(b)));
    PyObject* pair[2] = {left, right};
    Owned sum(checked(PyObject_Vectorcall(sparse_add, pair, 2, nullptr)));
    return expect_gradient(sum, "the sum of two gradients");
}
TensorRef dense_gradient(Tensor* t) {
    Owned dense(checked(PyObject_CallMethod(carried(t), "to_dense", nullptr)));
    return TensorRef(expect_tensor(dense, "to_dense"));
}

}  // namespace

bool is_sparse_object(PyObject* o) { return sparse_type && Py_TYPE(o) == sparse_type; }

PyObject* sparse_call(PyObject* function, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
    if (!sparse_type) return nullptr;
    const Py_ssize_t all = n + (keywords ? PyTuple_GET_SIZE(keywords) : 0);
    bool found = false;
    for (Py_ssize_t i = 0; i < all && !found; ++i) found = holds_sparse(args[i]);
    if (!found) return nullptr;
    PyErr_Clear();
    return guarded([&]() -> PyObject* {
        Owned positional(checked(PyTuple_New(n))), named(checked(PyDict_New()));
        for (Py_ssize_t i = 0; i < n; ++i) PyTuple_SET_ITEM(positional.p, i, Py_NewRef(args[i]));
        for (Py_ssize_t i = n; i < all; ++i)
            if (PyDict_SetItem(named, PyTuple_GET_ITEM(keywords, i - n), args[i])) python_failed();
        PyObject* three[3] = {function, positional, named};
        return checked(PyObject_Vectorcall(sparse_handler, three, 3, nullptr));
    });
}
PyObject* sparse_call(const char* name, PyObject* const* args, Py_ssize_t n) {
    if (!sparse_type) return nullptr;
    PyObject *kind, *value, *trace;
    PyErr_Fetch(&kind, &value, &trace);
    Owned text(PyUnicode_InternFromString(name));
    PyErr_Restore(kind, value, trace);
    return text ? sparse_call(text.p, args, n, nullptr) : nullptr;
}

TensorRef carrier_of(PyObject* sparse) {
    Owned shape(checked(PyObject_GetAttrString(sparse, "shape"))), dtype(checked(PyObject_GetAttrString(sparse, "dtype")));
    const Shape sizes = shape_from(shape, "a sparse gradient");
    const int64_t strides[kMaxDims] = {};
    Ref<Storage> storage = Ref<Storage>::adopt(
        storage_foreign(no_elements, sizeof no_elements, [](void* o) { Py_DECREF(static_cast<PyObject*>(o)); }, Py_NewRef(sparse), true));
    TensorRef t = from_storage(std::move(storage), sizes, strides, 0, dtype_code(dtype));
    t->carrier = true;
    return t;
}
TensorRef expect_gradient(PyObject* o, const char* what) { return is_sparse_object(o) ? carrier_of(o) : TensorRef(expect_tensor(o, what)); }

int add_sparse(PyObject* module) {
    bridge.add_sparse = add_sparse_gradients;
    bridge.to_dense = dense_gradient;
    return PyModule_AddFunctions(module, functions);
}

}  // namespace flambeau
