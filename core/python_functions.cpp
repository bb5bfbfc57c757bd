// Functions of flambeau._core: making tensors, contractions, indexing kernels, fused updates, memory, threads and machine
// code.
#include <cmath>
#include <cstring>

#include "contract.h"
#include "index.h"
#include "linear.h"
#include "machine_code.h"
#include "autocast.h"
#include "python_batching.h"
#include "python_sparse.h"
#include "record.h"
#include "rows.h"
#include "scan.h"
#include "select.h"
#include "threads.h"
#include "transpose.h"
#include "views.h"

namespace flambeau {

namespace {

// --- tensors ---

#define FUNCTION(name) PyObject* name(PyObject*, PyObject* const* args, Py_ssize_t n)
void need(Py_ssize_t n, Py_ssize_t least, const char* name) {
    if (n < least) fail(ErrorKind::Type, std::string(name) + "() takes at least " + std::to_string(least) + " arguments");
}
Tensor* tensor_at(PyObject* const* args, Py_ssize_t i, const char* name) {
    if (is_tensor(args[i])) [[likely]] return tensor_of(args[i]);  // the text below costs more than most checks
    return expect_tensor(args[i], (std::string(name) + ": argument " + std::to_string(i + 1)).c_str());
}

PyObject* finish(TensorRef t, PyObject* requires_grad) {
    if (requires_grad && is_true(requires_grad)) {
        if (!is_inexact(t->dtype)) fail(ErrorKind::Runtime, std::string("requires_grad: only Tensors of floating point and complex dtype can require gradients, this one would be ") + kDTypeNames[t->dtype]);
        t->requires_grad = true;
    }
    if (GradMode::inference) t->inference = true;
    return wrap(std::move(t));
}
// A Python integer that only an unsigned 64-bit integer holds.
bool unsigned_arg(PyObject* o, Arg& into) {
    if (!PyLong_CheckExact(o)) return false;
    unsigned long long v = PyLong_AsUnsignedLongLong(o);
    if (PyErr_Occurred()) return PyErr_Clear(), false;
    into = Arg::of_int(int64_t(v));
    into.code = kUInt64;
    return true;
}
FUNCTION(py_empty) {
    return guarded([&] { need(n, 2, "empty"); return finish(empty(shape_from(args[0], "empty"), dtype_code(args[1])), n > 2 ? args[2] : nullptr); });
}
FUNCTION(py_full) {
    return guarded([&] {
        need(n, 3, "full");
        TensorRef t = empty(shape_from(args[0], "full"), dtype_code(args[2]));
        Arg value;
        if (is_tensor(args[1])) {
            GradModeGuard off(false);
            copy_into(t.get(), tensor_of(args[1]));
        } else {
            if (!(t->dtype == kUInt64 && unsigned_arg(args[1], value)) && !number_arg(args[1], value)) fail(ErrorKind::Type, "full: fill_value must be a number");
            check_fits(value, t->dtype, "full");
            auto clear = [](double v) { return v == 0 && !std::signbit(v); };
            if (value.code == kComplex128 ? clear(value.parts[0]) && clear(value.parts[1]) : value.code == kFloat64 ? clear(value.real) : value.integer == 0) {
                std::memset(t->data, 0, size_t(t->numel) * item_size(t->dtype));
                if (recorder && recorder->records() && t->numel) [[unlikely]] recorder->zero(t.get());
            } else {
                if (value.code == kUInt64) value.code = kInt64;  // the same bits
                fill_number(t.get(), value);
            }
        }
        t->storage->version = 0;
        return finish(std::move(t), n > 3 ? args[3] : nullptr);
    });
}
// arange(start, end, step, dtype): the length is computed in float64, or exactly for integers.
FUNCTION(py_arange) {
    return guarded([&] {
        need(n, 4, "arange");
        uint8_t code = dtype_code(args[3]);
        Arg v[3];
        bool integers = true;
        for (int i = 0; i < 3; ++i) {
            if (!number_arg(args[i], v[i]) || v[i].code == kComplex128) fail(ErrorKind::Type, "arange: start, end and step must be real numbers");
            integers = integers && v[i].code != kFloat64;
        }
        auto real = [&](int i) { return v[i].code == kFloat64 ? v[i].real : double(v[i].integer); };
        double start = real(0), end = real(1), step = real(2);
        if (step == 0) fail(ErrorKind::Runtime, "arange: step must be nonzero");
        if (!(std::isfinite(start) && std::isfinite(end))) fail(ErrorKind::Runtime, "arange: unsupported range: " + std::to_string(start) + " -> " + std::to_string(end));
        if ((step > 0 && start > end) || (step < 0 && start < end)) fail(ErrorKind::Runtime, "arange: upper bound and lower bound inconsistent with step sign");
        int64_t count;
        if (integers) {
            __int128 distance = __int128(v[1].integer) - v[0].integer, s = v[2].integer;
            count = int64_t((distance + (s > 0 ? s - 1 : s + 1)) / s);
        } else {
            double size = std::ceil((end - start) / step);
            if (size > 1e18) fail(ErrorKind::Runtime, "arange: too many elements");
            count = int64_t(size);
        }
        TensorRef t = empty(Shape{count}, code);
        int size = item_size(code);
        for (int64_t i = 0; i < count; ++i) {
            if (integers) write_int(code, t->data + i * size, v[0].integer + i * v[2].integer);
            else write_double(code, t->data + i * size, start + double(i) * step);
        }
        if (recorder && recorder->records()) [[unlikely]] recorder->constant(t.get());
        return finish(std::move(t), n > 4 ? args[4] : nullptr);
    });
}

void release_view(void* owner) {
    auto* view = static_cast<Py_buffer*>(owner);
    PyBuffer_Release(view);
    delete view;
}
uint8_t format_code(const char* format, Py_ssize_t itemsize) {
    if (!format) return kUInt8;
    char c = format[0];
    if (c == '<' || c == '=' || c == '@' || c == '|') c = format[1];
    if (format[0] == '>') return kDTypes;
    switch (c) {
        case '?': return kBool;
        case 'B': return kUInt8;
        case 'b': return kInt8;
        case 'h': return kInt16;
        case 'H': return kUInt16;
        case 'I': case 'L': case 'Q': return itemsize == 4 ? kUInt32 : itemsize == 8 ? kUInt64 : kDTypes;
        case 'Z': return itemsize == 8 ? kComplex64 : itemsize == 16 ? kComplex128 : kDTypes;
        case 'e': return kFloat16;
        case 'f': return kFloat32;
        case 'd': return kFloat64;
        case 'i': case 'l': case 'q': return itemsize == 4 ? kInt32 : itemsize == 8 ? kInt64 : kDTypes;
        default: return kDTypes;
    }
}
// from_numpy(array): any object with a buffer; shares its memory.
PyObject* py_from_numpy(PyObject*, PyObject* object) {
    return guarded([&] {
        auto view = std::make_unique<Py_buffer>();
        bool writable = PyObject_GetBuffer(object, view.get(), PyBUF_FULL) == 0;
        if (!writable) {
            PyErr_Clear();
            if (PyObject_GetBuffer(object, view.get(), PyBUF_FULL_RO)) python_failed();
        }
        uint8_t code = format_code(view->format, view->itemsize);
        std::string problem;
        if (code == kDTypes) problem = std::string("can't convert elements of format '") + (view->format ? view->format : "?") + "'; the supported types are: float64, float32, float16, complex64, complex128, uint16, uint32, uint64, int64, int32, int16, int8, uint8, and bool";
        if (view->ndim > kMaxDims - 1) problem = "more than 15 dimensions";
        Shape shape;
        int64_t strides[kMaxDims];
        for (int i = 0; i < view->ndim && problem.empty(); ++i) {
            shape.sizes[shape.ndim++] = view->shape[i];
            if (view->strides[i] % view->itemsize) problem = "given numpy array strides not a multiple of the element byte size; copy the array";
            strides[i] = view->strides[i] / view->itemsize;
            if (strides[i] < 0 && view->shape[i] > 1) problem = "At least one stride in the given numpy array is negative, and tensors with negative strides are not currently supported. (You can probably work around this by making a copy of your array with array.copy().)";
        }
        if (!problem.empty()) {
            bool strided = problem.find("stride") != std::string::npos;
            PyBuffer_Release(view.get());
            fail(strided ? ErrorKind::Value : ErrorKind::Type, "from_numpy: " + problem);
        }
        char* data = static_cast<char*>(view->buf);
        size_t extent = shape.numel() ? size_t(view->itemsize) : 0;
        for (int i = 0; i < shape.ndim && extent; ++i) extent += size_t(shape.sizes[i] - 1) * size_t(strides[i]) * size_t(view->itemsize);
        bool read_only = view->readonly;
        Ref<Storage> storage = Ref<Storage>::adopt(storage_foreign(data, extent, release_view, view.release(), read_only));
        return wrap(from_storage(std::move(storage), shape, strides, 0, code));
    });
}
FUNCTION(py_from_buffer) {
    return guarded([&]() -> PyObject* {
        need(n, 2, "from_buffer");
        uint8_t code = dtype_code(args[1]);
        auto view = std::make_unique<Py_buffer>();
        if (PyObject_GetBuffer(args[0], view.get(), PyBUF_WRITABLE)) {
            PyErr_Clear();
            if (PyObject_GetBuffer(args[0], view.get(), PyBUF_SIMPLE)) python_failed();
        }
        int64_t stride = 1, size = view->len / item_size(code);
        if (view->len % item_size(code)) {
            PyBuffer_Release(view.get());
            fail(ErrorKind::Value, "from_buffer: the buffer's " + std::to_string(size) + " bytes are no multiple of the element size");
        }
        char* data = static_cast<char*>(view->buf);
        size_t bytes = size_t(view->len);
        bool read_only = view->readonly;
        Ref<Storage> storage = Ref<Storage>::adopt(storage_foreign(data, bytes, release_view, view.release(), read_only));
        if (n < 3) return wrap(from_storage(std::move(storage), Shape{size}, &stride, 0, code));
        Shape shape = shape_from(args[2], "from_buffer");
        if (checked_numel(shape, "from_buffer") != size)
            fail(ErrorKind::Value, "from_buffer: " + std::to_string(size) + " elements do not fill the shape " + shape.text());
        int64_t strides[kMaxDims], step = 1;
        for (int i = shape.ndim - 1; i >= 0; --i) {
            strides[i] = step;
            step *= shape.sizes[i] > 1 ? shape.sizes[i] : 1;
        }
        return wrap(from_storage(std::move(storage), shape, strides, 0, code));
    });
}
// from_list(flat list, dtype): the fast way in for Python numbers.
FUNCTION(py_from_list) {
    return guarded([&]() -> PyObject* {
        need(n, 2, "from_list");
        uint8_t code = dtype_code(args[1]);
        Owned fast(checked(PySequence_Fast(args[0], "from_list: expected a sequence")));
        Py_ssize_t count = PySequence_Fast_GET_SIZE(fast.p);
        TensorRef t = empty(Shape{count}, code);
        int size = item_size(code);
        for (Py_ssize_t i = 0; i < count; ++i) {
            Arg v;
            if (!(code == kUInt64 && unsigned_arg(PySequence_Fast_GET_ITEM(fast.p, i), v)) && !number_arg(PySequence_Fast_GET_ITEM(fast.p, i), v))
                fail(ErrorKind::Type, std::string("tensor: an element is no number: ") + Py_TYPE(PySequence_Fast_GET_ITEM(fast.p, i))->tp_name);
            if (v.code == kComplex128 && !is_complex(code)) check_fits(v, code, "tensor");
            write_number(code, t->data + i * size, v);
        }
        if (recorder && recorder->records()) [[unlikely]] recorder->constant(t.get());
        return wrap(std::move(t));
    });
}

FUNCTION(py_matmul) {
    PyObject* result = guarded([&] { 
        need(n, 2, "matmul");
        Tensor *a = tensor_at(args, 0, "matmul"), *b = tensor_at(args, 1, "matmul");
        if (Autocast::on()) [[unlikely]] return wrap(matmul(lowered(a).get(), lowered(b).get()));
        return wrap(matmul(a, b));
    });
    return result ? result : sparse_call("matmul", args, n);
}
// contract_with_map(kernel, c, a, b, bias, *operands): c = a @ b + bias, and the map kernel at that address (or 0) over
// each block of C as it is finished; its operands (outputs first, C among them) are tensors that broadcast to C. No history.
FUNCTION(py_contract_with_map) {
    return guarded([&]() -> PyObject* {
        need(n, 5, "contract_with_map");
        auto* kernel = reinterpret_cast<decltype(ContractEpilogue::kernel)>(as_int(args[0], "contract_with_map"));
        Tensor *c = tensor_at(args, 1, "contract_with_map"), *a = tensor_at(args, 2, "contract_with_map");
        Tensor *b = tensor_at(args, 3, "contract_with_map");
        Tensor* bias = args[4] == Py_None ? nullptr : tensor_at(args, 4, "contract_with_map");
        if (c->ndim != 3 || a->ndim != 3 || b->ndim != 3 || n - 5 > ContractEpilogue::kMost)
            fail(ErrorKind::Shape, "contract_with_map: c, a and b must be batches of matrices, with at most " +
                                       std::to_string(ContractEpilogue::kMost) + " operands; c is " + shape_text(c));
        const int64_t *x = a->strides, *y = b->strides, *z = c->strides;
        ContractEpilogue map;
        map.kernel = kernel;
        map.operands = int(n - 5);
        for (int i = 0; i < map.operands; ++i) {
            TensorRef t = expand(tensor_at(args, 5 + i, "contract_with_map"), c->shape());
            const int64_t item = item_size(t->dtype);
            map.base[i] = t->data;
            map.batch[i] = t->strides[0] * item, map.m[i] = t->strides[1] * item, map.n[i] = t->strides[2] * item;
        }
        ContractProblem p;
        p.dtype = c->dtype;
        p.batch = c->sizes[0], p.m = c->sizes[1], p.n = c->sizes[2], p.k = a->sizes[2];
        p.a = a->data, p.b = b->data, p.c = c->data;
        p.a_batch = x[0], p.a_m = x[1], p.a_k = x[2];
        p.b_batch = y[0], p.b_k = y[1], p.b_n = y[2];
        p.c_batch = z[0], p.c_m = z[1], p.c_n = z[2];
        if (bias) p.bias = bias->data, p.bias_n = bias->strides[0];
        if (kernel) p.epilogue = &map;
        ensure_contraction_kernels(p.dtype);
        contract(p);
        Py_RETURN_NONE;
    });
}
PyObject* py_linear(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* names) {
    return guarded([&] {
        PyObject* given[3] = {};
        static const char* order[3] = {"input", "weight", "bias"};
        for (Py_ssize_t i = 0; i < n && i < 3; ++i) given[i] = args[i];
        if (names)
            for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(names); ++k) {
                bool known = false;
                for (int i = 0; i < 3; ++i)
                    if (!PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, k), order[i])) given[i] = args[n + k], known = true;
                if (!known) fail(ErrorKind::Type, std::string("linear() got an unexpected keyword argument '") + PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, k)) + "'");
            }
        if (!given[0] || !given[1] || n > 3) fail(ErrorKind::Type, "linear() takes (input, weight, bias=None)");
        Tensor *x = expect_tensor(given[0], "linear: input"), *weight = expect_tensor(given[1], "linear: weight");
        Tensor* bias = given[2] && given[2] != Py_None ? expect_tensor(given[2], "linear: bias") : nullptr;
        if (Autocast::on()) [[unlikely]] return wrap(linear(lowered(x).get(), lowered(weight).get(), bias ? lowered(bias).get() : nullptr));
        return wrap(linear(x, weight, bias));
    });
}
PyObject* py_view_as_real(PyObject*, PyObject* o) { return guarded([&] { return wrap(view_as_real(expect_tensor(o, "view_as_real: input"))); }); }
PyObject* py_view_as_complex(PyObject*, PyObject* o) { return guarded([&] { return wrap(view_as_complex(expect_tensor(o, "view_as_complex: input"))); }); }
FUNCTION(py_gather) {
    return guarded([&] {
        need(n, 3, "gather");
        Tensor* t = tensor_at(args, 0, "gather");
        return wrap(gather(t, normal_dim(as_int(args[1], "gather"), t->ndim, "gather"), tensor_at(args, 2, "gather")));
    });
}
PyObject* scatter_with(PyObject* const* args, Py_ssize_t n, bool in_place) {
    return guarded([&] {
        need(n, 5, "scatter");
        Tensor* t = tensor_at(args, 0, "scatter");
        bool add = !std::strcmp(PyUnicode_AsUTF8(args[4]), "add");
        TensorRef out = scatter(t, normal_dim(as_int(args[1], "scatter"), t->ndim, "scatter"), tensor_at(args, 2, "scatter"), tensor_at(args, 3, "scatter"), add, in_place);
        return wrap(std::move(out));
    });
}
FUNCTION(py_scatter) { return scatter_with(args, n, false); }
FUNCTION(py_scatter_) { return scatter_with(args, n, true); }
FUNCTION(py_index_select) {
    return guarded([&] {
        need(n, 3, "index_select");
        Tensor* t = tensor_at(args, 0, "index_select");
        return wrap(index_select(t, normal_dim(as_int(args[1], "index_select"), t->ndim, "index_select"), tensor_at(args, 2, "index_select")));
    });
}
FUNCTION(py_index_add) {
    return guarded([&] {
        need(n, 4, "index_add");
        Tensor* t = tensor_at(args, 0, "index_add");
        bool in_place = n > 4 && is_true(args[4]);
        return wrap(index_add(t, normal_dim(as_int(args[1], "index_add"), t->ndim, "index_add"), tensor_at(args, 2, "index_add"), tensor_at(args, 3, "index_add"), in_place));
    });
}
// index_put_(tensor, (index or None, ...), values, accumulate)
FUNCTION(py_index_put_) {
    return guarded([&]() -> PyObject* {
        need(n, 3, "index_put_");
        Tensor* t = tensor_at(args, 0, "index_put_");
        Indices indices;
        Owned fast(checked(PySequence_Fast(args[1], "index_put_: indices")));
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fast.p); ++i) {
            PyObject* o = PySequence_Fast_GET_ITEM(fast.p, i);
            if (o == Py_None) { indices.emplace_back(); continue; }
            Tensor* index = expect_tensor(o, "index_put_: an index");
            if (index->dtype == kBool) {
                GradModeGuard off(false);
                TensorRef where = nonzero(index);
                for (int d = 0; d < index->ndim; ++d) indices.push_back(contiguous(select(where.get(), 1, d).get()));
            } else indices.emplace_back(index);
        }
        index_put(t, indices, tensor_at(args, 2, "index_put_"), n > 3 && is_true(args[3]));
        return Py_NewRef(args[0]);
    });
}
FUNCTION(py_cat) {
    PyObject* result = guarded([&] {
        need(n, 1, "cat");
        Owned fast(checked(PySequence_Fast(args[0], "cat: expected a sequence of Tensors")));
        std::vector<TensorRef> tensors;
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fast.p); ++i)
            tensors.emplace_back(expect_tensor(PySequence_Fast_GET_ITEM(fast.p, i), ("cat: element " + std::to_string(i)).c_str()));
        return wrap(cat(tensors, n > 1 ? as_int(args[1], "cat") : 0));
    });
    return result ? result : sparse_call("cat", args, n);
}
PyObject* py_nonzero(PyObject*, PyObject* t) { return guarded([&] { return wrap(nonzero(expect_tensor(t, "nonzero: input"))); }); }
FUNCTION(py_masked_select) {
    return guarded([&] {
        need(n, 2, "masked_select");
        Tensor *t = tensor_at(args, 0, "masked_select"), *mask = tensor_at(args, 1, "masked_select");
        if (mask->dtype != kBool) fail(ErrorKind::Runtime, std::string("masked_select: expected BoolTensor for mask, got ") + kDTypeNames[mask->dtype]);
        Shape shape = t->shape();
        if (!broadcast_shapes(shape, mask->shape())) fail(ErrorKind::Shape, "masked_select: input " + shape_text(t) + " and mask " + shape_text(mask) + " cannot be broadcast");
        TensorRef wide = expand(t, shape), wide_mask;
        {
            GradModeGuard off(false);
            wide_mask = expand(mask, shape);
        }
        return wrap(masked(wide.get(), wide_mask.get()));
    });
}
// permutation(keys): the shuffle of 0 .. n-1 that random 62-bit keys give (Fisher and Yates).
PyObject* py_permutation(PyObject*, PyObject* o) {
    return guarded([&] {
        Tensor* keys = expect_tensor(o, "permutation");
        if (keys->dtype != kInt64 || keys->ndim != 1 || !keys->contiguous) fail(ErrorKind::Type, "permutation: needs a dense int64 vector");
        TensorRef out = empty(keys->shape(), kInt64);
        Tensor* tensors[2] = {keys, out.get()};
        run_step("permutation", tensors, 1, 1, [](Tensor* const* t) {
            auto* random = reinterpret_cast<const uint64_t*>(t[0]->data);
            auto* order = reinterpret_cast<int64_t*>(t[1]->data);
            for (int64_t i = 0; i < t[0]->numel; ++i) {
                auto j = int64_t((static_cast<unsigned __int128>(random[i] << 2) * uint64_t(i + 1)) >> 64);
                order[i] = order[j];
                order[j] = i;
            }
        });
        return wrap(std::move(out));
    });
}
// cumulative(t, dim, "sum" | "prod"), without history: the gradient is stated in Python.
FUNCTION(py_cumulative) {
    return guarded([&] {
        need(n, 3, "cumulative");
        GradModeGuard off(false);
        Tensor* t = tensor_at(args, 0, "cumulative");
        if (is_complex(t->dtype)) fail(ErrorKind::DType, "cumulative: complex tensors are cumulated by their parts");
        int dim = normal_dim(as_int(args[1], "cumulative"), t->ndim, "cumulative");
        return wrap(cumulative(t, dim, !std::strcmp(PyUnicode_AsUTF8(args[2]), "prod")));
    });
}
// running_extreme(t, dim, largest): (values, positions), without history.
FUNCTION(py_running_extreme) {
    return guarded([&] {
        need(n, 3, "running_extreme");
        GradModeGuard off(false);
        Tensor* t = tensor_at(args, 0, "running_extreme");
        int dim = normal_dim(as_int(args[1], "running_extreme"), t->ndim, "running_extreme");
        bool largest = is_true(args[2]);
        TensorRef values, places;
        running_extreme(t, dim, largest, values, places);
        Owned first(wrap(std::move(values))), second(wrap(std::move(places)));
        return checked(PyTuple_Pack(2, first.p, second.p));
    });
}
// few_extremes(t, count, largest): positions along the last dimension.
FUNCTION(py_few_extremes) {
    return guarded([&] {
        need(n, 3, "few_extremes");
        GradModeGuard off(false);
        Tensor* t = tensor_at(args, 0, "few_extremes");
        const int64_t count = as_int(args[1], "few_extremes");
        if (!t->ndim || is_complex(t->dtype) || count < 0 || count > t->sizes[t->ndim - 1])
            fail(ErrorKind::Value, "few_extremes: needs numbers along a dimension that has as many elements as are asked");
        return wrap(few_extremes(t, count, is_true(args[2])));
    });
}
// foreach(operation, lists of tensors, scalars, outputs): one fused update over many tensors.
PyObject* py_foreach(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* names) {
    return guarded([&]() -> PyObject* {
        PyObject* given[4] = {};
        static const char* order[4] = {"operation", "lists", "scalars", "outputs"};
        for (Py_ssize_t i = 0; i < n && i < 4; ++i) given[i] = args[i];
        if (names)
            for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(names); ++k)
                for (int i = 0; i < 4; ++i)
                    if (!PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, k), order[i])) given[i] = args[n + k];
        for (PyObject* o : given) if (!o) fail(ErrorKind::Type, "foreach() takes (operation, lists, scalars, outputs)");
        Operation* op = operation_of(given[0]);
        if (!op || op->row) fail(ErrorKind::Type, "foreach: the first argument must be an elementwise operation");
        std::vector<std::vector<TensorRef>> lists;
        Owned all(checked(PySequence_Fast(given[1], "foreach: lists")));
        for (Py_ssize_t l = 0; l < PySequence_Fast_GET_SIZE(all.p); ++l) {
            Owned list(checked(PySequence_Fast(PySequence_Fast_GET_ITEM(all.p, l), "foreach: a list of tensors")));
            std::vector<TensorRef>& tensors = lists.emplace_back();
            tensors.reserve(size_t(PySequence_Fast_GET_SIZE(list.p)));
            for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list.p); ++i)
                tensors.emplace_back(expect_tensor(PySequence_Fast_GET_ITEM(list.p, i), "foreach: an element"));
        }
        std::vector<Arg> numbers;
        Owned scalars(checked(PySequence_Fast(given[2], "foreach: scalars")));
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(scalars.p); ++i) {
            Arg v;
            PyObject* o = PySequence_Fast_GET_ITEM(scalars.p, i);
            if (is_tensor(o) && recorder && tensor_of(o)->ndim == 0) v = Arg(tensor_of(o));
            else if (is_tensor(o) && tensor_of(o)->numel == 1) v = is_inexact(tensor_of(o)->dtype) ? Arg::of(read_double(tensor_of(o), tensor_of(o)->data)) : Arg::of_int(read_int(tensor_of(o), tensor_of(o)->data));
            else if (!number_arg(o, v)) fail(ErrorKind::Type, "foreach: scalars must be numbers");
            numbers.push_back(v);
        }
        while (lists.size() + numbers.size() < op->names.size() && op->has_default[lists.size() + numbers.size()])
            numbers.push_back(op->defaults[lists.size() + numbers.size()]);
        if (lists.size() + numbers.size() != op->names.size())
            fail(ErrorKind::Type, op->name + ": takes " + std::to_string(op->names.size()) + " operands, foreach got " + std::to_string(lists.size() + numbers.size()));
        std::vector<int> written;
        Owned outputs(checked(PySequence_Fast(given[3], "foreach: outputs")));
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(outputs.p); ++i) written.push_back(int(as_int(PySequence_Fast_GET_ITEM(outputs.p, i), "foreach")));
        for (int w : written) if (w < 0 || size_t(w) >= lists.size()) fail(ErrorKind::Index, "foreach: an output is none of the lists");
        run_foreach(*op, lists, numbers, written);
        Py_RETURN_NONE;
    });
}

// --- the machine ---

PyObject* py_memory(PyObject*, PyObject*) {
    MemoryStatistics s = memory_statistics();
    return Py_BuildValue("{s:n,s:n,s:n,s:n,s:n,s:K,s:K,s:K,s:K}", "allocated", Py_ssize_t(s.allocated), "peak", Py_ssize_t(s.peak), "reserved", Py_ssize_t(s.reserved),
                         "peak_reserved", Py_ssize_t(s.peak_reserved), "limit", Py_ssize_t(s.limit), "allocations", (unsigned long long)s.allocations,
                         "hits", (unsigned long long)s.hits, "misses", (unsigned long long)s.misses, "blocks", (unsigned long long)s.blocks);
}
PyObject* py_reset_peak(PyObject*, PyObject*) { reset_peak_memory(); Py_RETURN_NONE; }
PyObject* py_empty_cache(PyObject*, PyObject*) { empty_cache(); Py_RETURN_NONE; }
PyObject* py_set_cache_limit(PyObject*, PyObject* o) {
    return guarded([&]() -> PyObject* {
        int64_t v = as_int(o, "set_cache_limit");
        if (v < 0) fail(ErrorKind::Value, "set_cache_limit: the limit must be at least 0 bytes");
        set_cache_limit(size_t(v));
        Py_RETURN_NONE;
    });
}
PyObject* py_get_threads(PyObject*, PyObject*) { return PyLong_FromLong(thread_count()); }
PyObject* py_set_threads(PyObject*, PyObject* o) {
    return guarded([&]() -> PyObject* {
        int64_t v = as_int(o, "set_num_threads");
        if (v < 1 || v > 4096) fail(ErrorKind::Runtime, "set_num_threads: expected a positive number of threads, got " + std::to_string(v));
        set_thread_count(int(v));
        Py_RETURN_NONE;
    });
}
PyObject* py_load_machine_code(PyObject*, PyObject* o) {
    return guarded([&]() -> PyObject* {
        char* bytes;
        Py_ssize_t size;
        if (PyBytes_AsStringAndSize(o, &bytes, &size)) python_failed();
        return PyLong_FromUnsignedLongLong(load_machine_code(bytes, size_t(size)));
    });
}
// reinterpret(tensor, dtype): the same bytes as another dtype; the last dimension grows or shrinks with its size.
FUNCTION(py_reinterpret) {
    return guarded([&]() -> PyObject* {
        need(n, 2, "view");
        Tensor* t = tensor_at(args, 0, "view");
        uint8_t code = dtype_code(args[1]);
        int before = item_size(t->dtype), after = item_size(code);
        TensorRef v = alias(t);
        v->dtype = code;
        if (before == after) return wrap(std::move(v));
        std::string what = std::string("view: a tensor of shape ") + shape_text(t) + " and dtype " + kDTypeNames[t->dtype] + " cannot be seen as " + kDTypeNames[code] + ": ";
        if (t->ndim == 0) fail(ErrorKind::Runtime, what + "self.dim() cannot be 0 when the element sizes differ");
        int last = t->ndim - 1;
        if (t->strides[last] != 1) fail(ErrorKind::Runtime, what + "self.stride(-1) must be 1 when the element sizes differ; call contiguous() first");
        bool fits = t->sizes[last] * before % after == 0 && (t->data - t->storage->data) % after == 0;
        for (int i = 0; i < last; ++i) fits = fits && t->strides[i] * before % after == 0;
        if (!fits) fail(ErrorKind::Runtime, what + "its last dimension and strides must hold whole elements of " + std::to_string(after) + " bytes");
        v->sizes[last] = t->sizes[last] * before / after;
        for (int i = 0; i < last; ++i) v->strides[i] = t->strides[i] * before / after;
        refresh(v.get());
        return wrap(std::move(v));
    });
}
PyObject* py_dtypes_changed(PyObject*, PyObject*) { ++compiler.epoch; Py_RETURN_NONE; }
PyObject* py_storage_key(PyObject*, PyObject* o) {
    return guarded([&]() -> PyObject* { Tensor* t = expect_tensor(o, "storage_key"); return Py_BuildValue("(KKn)", (unsigned long long)(uintptr_t)t->storage->data, (unsigned long long)(uintptr_t)t->storage, Py_ssize_t(t->storage->bytes)); });
}

#define FAST(name, function, doc) Batchable<function>::entry(name, doc)
#define FACTORY(name, function, doc) Batchable<function, true>::entry(name, doc)
PyMethodDef functions[] = {
    FACTORY("empty", py_empty, "empty(shape, dtype, requires_grad=False)"),
    FACTORY("full", py_full, "full(shape, value, dtype, requires_grad=False)"),
    FAST("arange", py_arange, "arange(start, end, step, dtype, requires_grad=False)"),
    {"from_numpy", py_from_numpy, METH_O, "A tensor that shares the memory of an array."},
    FAST("from_buffer", py_from_buffer, "from_buffer(object, dtype, shape=None): a tensor that shares a buffer; a vector without shape."),
    FAST("from_list", py_from_list, "from_list(numbers, dtype): a vector of Python numbers."),
    FAST("reinterpret", py_reinterpret, "reinterpret(tensor, dtype)"),
    FAST("view_as_real", py_view_as_real, "A complex tensor (...) as the view (..., 2) of its parts."),
    FAST("view_as_complex", py_view_as_complex, "A real tensor (..., 2) as the complex view (...)."),
    FAST("matmul", py_matmul, "matmul(input, other)"),
    FAST("contract_with_map", py_contract_with_map, "contract_with_map(kernel, c, a, b, bias, *operands), without history"),
    FAST("linear", py_linear, "linear(input, weight, bias=None)\n--\n\ninput @ weight^T + bias over the last dimension."),
    FAST("gather", py_gather, "gather(input, dim, index)"),
    FAST("scatter", py_scatter, "scatter(input, dim, index, src, mode)"),
    FAST("scatter_", py_scatter_, "scatter_(input, dim, index, src, mode), in place"),
    FAST("index_select", py_index_select, "index_select(input, dim, index)"),
    FAST("index_add", py_index_add, "index_add(input, dim, index, source, in_place=False)"),
    FAST("index_put_", py_index_put_, "index_put_(input, indices, values, accumulate=False)"),
    FAST("cat", py_cat, "cat(tensors, dim=0)"),
    FAST("nonzero", py_nonzero, "The positions of the elements that are not zero, (count, ndim) int64."),
    FAST("masked_select", py_masked_select, "masked_select(input, mask)"),
    FAST("running_extreme", py_running_extreme, "running_extreme(input, dim, largest): (values, positions), without history"),
    FAST("few_extremes", py_few_extremes, "few_extremes(input, count, largest): positions along the last dimension"),
    FAST("permutation", py_permutation, "The shuffle of 0 .. n-1 that random keys give."),
    FAST("cumulative", py_cumulative, "cumulative(input, dim, 'sum' or 'prod'), without history"),
    FAST("foreach", py_foreach, "foreach(operation, lists, scalars, outputs)"),
    {"memory_statistics", py_memory, METH_NOARGS, "Bytes in use and cached, and how allocations were answered."},
    {"reset_peak_memory", py_reset_peak, METH_NOARGS, "Count the peak of memory in use from here."},
    {"empty_cache", py_empty_cache, METH_NOARGS, "Give cached memory back to the system."},
    {"set_cache_limit", py_set_cache_limit, METH_O, "How many unused bytes may stay cached."},
    {"get_num_threads", py_get_threads, METH_NOARGS, "How many threads compute."},
    {"set_num_threads", py_set_threads, METH_O, "Set how many threads compute."},
    {"load_machine_code", py_load_machine_code, METH_O, "Make an image of machine code executable; its address."},
    {"dtypes_changed", py_dtypes_changed, METH_NOARGS, "Forget how dtypes promote (the default dtype changed)."},
    FAST("storage_key", py_storage_key, "(address, identity, bytes) of a tensor's storage."),
    {nullptr, nullptr, 0, nullptr}};

void* gil_release() { return PyEval_SaveThread(); }
void gil_acquire(void* state) { PyEval_RestoreThread(static_cast<PyThreadState*>(state)); }

}  // namespace

int add_functions(PyObject* module) {
    connect_compiler();
    gil.release = gil_release;
    gil.acquire = gil_acquire;
    return PyModule_AddFunctions(module, functions);
}

}  // namespace flambeau
