// The Python type Tensor: attributes, layout methods, the number protocol. Methods that are operations or that need
// Python (printing, to(), named overloads) are attached by flambeau/tensor.py.
#include "python.h"

#include <structmember.h>

#include <cstring>

#include "views.h"

namespace flambeau {

PyTypeObject* tensor_type = nullptr;
Registry registry;

namespace {

PyTensor* free_objects = nullptr;  // recycled objects of exactly this type, linked through `dict`
int free_count = 0;
std::vector<std::pair<std::string, PyObject*>> helpers;

PyTensor* allocate(PyTypeObject* type) {
    if (type == tensor_type && free_objects) {
        PyTensor* o = free_objects;
        free_objects = reinterpret_cast<PyTensor*>(o->dict);
        --free_count;
        o->dict = nullptr;
        o->weakrefs = nullptr;
        PyObject_Init(reinterpret_cast<PyObject*>(o), type);
        return o;
    }
    auto* o = reinterpret_cast<PyTensor*>(type->tp_alloc(type, 0));
    if (!o) python_failed();
    return o;
}

void dealloc(PyObject* self) {
    auto* o = reinterpret_cast<PyTensor*>(self);
    if (o->weakrefs) PyObject_ClearWeakRefs(self);
    Py_CLEAR(o->dict);
    if (Tensor* t = std::exchange(o->tensor, nullptr)) {
        t->python = nullptr;
        Ref<Tensor>::adopt(t);
    }
    PyTypeObject* type = Py_TYPE(self);
    if (type == tensor_type && free_count < 1024) {
        o->dict = reinterpret_cast<PyObject*>(free_objects);
        free_objects = o;
        ++free_count;
    } else {
        type->tp_free(self);
    }
    Py_DECREF(type);
}

PyObject* new_tensor(PyTypeObject* type, PyObject* args, PyObject* keywords) {
    PyObject* make = helper("legacy_constructor");
    if (!make) {
        PyErr_SetString(PyExc_RuntimeError, "flambeau is not fully imported");
        return nullptr;
    }
    Owned all(PyTuple_New(PyTuple_GET_SIZE(args) + 1));
    PyTuple_SET_ITEM(all.p, 0, Py_NewRef(reinterpret_cast<PyObject*>(type)));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); ++i)
        PyTuple_SET_ITEM(all.p, i + 1, Py_NewRef(PyTuple_GET_ITEM(args, i)));
    return PyObject_Call(make, all, keywords);
}

Tensor* T(PyObject* self) { return tensor_of(self); }

// --- attributes ---

PyObject* get_shape(PyObject* self, void*) { return size_tuple(T(self)->sizes, T(self)->ndim); }
PyObject* get_dtype(PyObject* self, void*) { return Py_NewRef(registry.dtypes[T(self)->dtype]); }
PyObject* get_device(PyObject*, void*) { return Py_NewRef(registry.cpu); }
PyObject* get_ndim(PyObject* self, void*) { return PyLong_FromLong(T(self)->ndim); }
PyObject* get_requires_grad(PyObject* self, void*) {
    return guarded([&] {
        grad_fn_of(T(self));
        return PyBool_FromLong(T(self)->requires_grad);
    });
}
void require_grad(Tensor* t, bool value) {
    if (value && !is_float(t->dtype))
        fail(ErrorKind::Runtime, std::string("requires_grad: only Tensors of floating point and complex dtype can require gradients, this one is ") + kDTypeNames[t->dtype] + "; convert it with .float()");
    if (!value && t->autograd && t->autograd->grad_fn)
        fail(ErrorKind::Runtime, "requires_grad: you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach().");
    if (value && t->inference && !GradMode::inference)
        fail(ErrorKind::Runtime, "requires_grad: Setting requires_grad=True on inference tensor outside InferenceMode is not allowed; clone() it first");
    t->requires_grad = value;
}
int set_requires_grad(PyObject* self, PyObject* value, void*) {
    return guarded([&]() -> PyObject* {
               if (!value) fail(ErrorKind::Type, "requires_grad cannot be deleted");
               require_grad(T(self), PyObject_IsTrue(value) == 1);
               return Py_None;
           }) ? 0 : -1;
}
PyObject* get_grad(PyObject* self, void*) {
    Tensor* t = T(self);
    if (!t->autograd || !t->autograd->grad) Py_RETURN_NONE;
    return guarded([&] { return wrap(t->autograd->grad); });
}
int set_grad(PyObject* self, PyObject* value, void*) {
    return guarded([&]() -> PyObject* {
               Tensor* t = T(self);
               if (!value || value == Py_None) {
                   if (t->autograd) t->autograd->grad = TensorRef();
                   return Py_None;
               }
               Tensor* g = expect_tensor(value, "grad");
               if (!g->same_shape(*t))
                   fail(ErrorKind::Shape, "grad: assigned grad has data of a different size: the gradient is " + shape_text(g) + ", the tensor " + shape_text(t));
               if (g->dtype != t->dtype)
                   fail(ErrorKind::DType, std::string("grad: assigned grad has data of a different type: ") + kDTypeNames[g->dtype] + ", the tensor is " + kDTypeNames[t->dtype]);
               autograd_of(t).grad = TensorRef(g);
               return Py_None;
           }) ? 0 : -1;
}
PyObject* get_grad_fn(PyObject* self, void*) {
    return guarded([&]() -> PyObject* {
        Node* node = grad_fn_of(T(self));
        if (!node) Py_RETURN_NONE;
        return wrap_node(node);
    });
}
PyObject* get_is_leaf(PyObject* self, void*) {
    return guarded([&] { return PyBool_FromLong(!grad_fn_of(T(self))); });
}
PyObject* get_data(PyObject* self, void*) {
    return guarded([&] {
        TensorRef d = detach(T(self));
        return wrap(std::move(d));
    });
}
int set_data(PyObject* self, PyObject* value, void*) {
    return guarded([&]() -> PyObject* {
               Tensor *t = T(self), *s = expect_tensor(value, "data");
               retain(s->storage);
               release(t->storage);
               t->storage = s->storage;
               t->data = s->data;
               t->dtype = s->dtype;
               t->ndim = s->ndim;
               t->numel = s->numel;
               t->contiguous = s->contiguous;
               for (int i = 0; i < s->ndim; ++i) t->sizes[i] = s->sizes[i], t->strides[i] = s->strides[i];
               return Py_None;
           }) ? 0 : -1;
}
PyObject* get_T(PyObject* self, void*) {
    return guarded([&] {
        int order[kMaxDims], n = T(self)->ndim;
        for (int i = 0; i < n; ++i) order[i] = n - 1 - i;
        return wrap(permute(T(self), order));
    });
}
PyObject* get_mT(PyObject* self, void*) {
    return guarded([&] {
        int n = T(self)->ndim;
        if (n < 2) fail(ErrorKind::Shape, "mT: only supported on matrices or batches of matrices, got a tensor of shape " + shape_text(T(self)));
        return wrap(transpose(T(self), n - 2, n - 1));
    });
}
PyObject* get_version(PyObject* self, void*) { return PyLong_FromUnsignedLongLong(T(self)->storage->version); }
PyObject* get_base(PyObject* self, void*) {
    if (!T(self)->base) Py_RETURN_NONE;
    return guarded([&] { return wrap(T(self)->base); });
}
PyObject* get_itemsize(PyObject* self, void*) { return PyLong_FromLong(item_size(T(self)->dtype)); }
PyObject* get_nbytes(PyObject* self, void*) { return PyLong_FromLongLong(T(self)->numel * item_size(T(self)->dtype)); }
PyObject* get_false(PyObject*, void*) { Py_RETURN_FALSE; }
PyObject* get_output_nr(PyObject* self, void*) { return PyLong_FromLong(T(self)->autograd ? T(self)->autograd->output_number : 0); }
PyObject* get_retains(PyObject* self, void*) { return PyBool_FromLong(T(self)->autograd && T(self)->autograd->retains_grad); }

PyGetSetDef getset[] = {
    {"shape", get_shape, nullptr, "The sizes of the dimensions, a Size.", nullptr},
    {"dtype", get_dtype, nullptr, "The dtype of the elements.", nullptr},
    {"device", get_device, nullptr, "The device the elements are on.", nullptr},
    {"ndim", get_ndim, nullptr, "The number of dimensions.", nullptr},
    {"requires_grad", get_requires_grad, set_requires_grad, "Whether operations on this tensor are recorded.", nullptr},
    {"grad", get_grad, set_grad, "The gradient accumulated by backward(), or None.", nullptr},
    {"grad_fn", get_grad_fn, nullptr, "The node of the graph that made this tensor, or None for a leaf.", nullptr},
    {"is_leaf", get_is_leaf, nullptr, "True if no recorded operation made this tensor.", nullptr},
    {"data", get_data, set_data, "The same elements without history.", nullptr},
    {"T", get_T, nullptr, "The view with all dimensions reversed.", nullptr},
    {"mT", get_mT, nullptr, "The view with the last two dimensions exchanged.", nullptr},
    {"_version", get_version, nullptr, "How often the storage was changed in place.", nullptr},
    {"_base", get_base, nullptr, "The tensor this one is a view of, or None.", nullptr},
    {"itemsize", get_itemsize, nullptr, "Bytes of one element.", nullptr},
    {"nbytes", get_nbytes, nullptr, "Bytes of all elements.", nullptr},
    {"is_cuda", get_false, nullptr, "Whether the elements are on a CUDA device.", nullptr},
    {"is_sparse", get_false, nullptr, "Always False: tensors are dense.", nullptr},
    {"is_quantized", get_false, nullptr, "Always False.", nullptr},
    {"is_meta", get_false, nullptr, "Always False.", nullptr},
    {"is_mps", get_false, nullptr, "Always False.", nullptr},
    {"output_nr", get_output_nr, nullptr, "Which output of grad_fn this tensor is.", nullptr},
    {"retains_grad", get_retains, nullptr, "Whether a non-leaf keeps its gradient.", nullptr},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

// --- methods: (self, args, nargs[, names]) ---

PyObject* keyword(PyObject* const* args, Py_ssize_t n, PyObject* names, int position, const char* name,
                  const char* other = nullptr) {
    if (position < n) return args[position];
    if (names)
        for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(names); ++k) {
            PyObject* key = PyTuple_GET_ITEM(names, k);
            if (!PyUnicode_CompareWithASCIIString(key, name) || (other && !PyUnicode_CompareWithASCIIString(key, other)))
                return args[n + k];
        }
    return nullptr;
}
#define METHOD(name) PyObject* name(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* names)
#define UNUSED (void)args, (void)n, (void)names
int64_t need_int(PyObject* o, const char* operation, const char* name) {
    if (!o) fail(ErrorKind::Type, std::string(operation) + "() missing required argument: '" + name + "'");
    return as_int(o, operation);
}
int dim_of(PyObject* o, Tensor* t, const char* operation, const char* name) {
    return normal_dim(need_int(o, operation, name), t->ndim, operation);
}

METHOD(m_size) {
    return guarded([&]() -> PyObject* {
        PyObject* dim = keyword(args, n, names, 0, "dim");
        if (!dim || dim == Py_None) return size_tuple(T(self)->sizes, T(self)->ndim);
        if (T(self)->ndim == 0) fail(ErrorKind::Index, "size: dimension specified as " + std::to_string(as_int(dim, "size")) + " but tensor has no dimensions");
        return PyLong_FromLongLong(T(self)->sizes[dim_of(dim, T(self), "size", "dim")]);
    });
}
METHOD(m_stride) {
    return guarded([&]() -> PyObject* {
        PyObject* dim = keyword(args, n, names, 0, "dim");
        if (dim) return PyLong_FromLongLong(T(self)->strides[dim_of(dim, T(self), "stride", "dim")]);
        PyObject* tuple = checked(PyTuple_New(T(self)->ndim));
        for (int i = 0; i < T(self)->ndim; ++i) PyTuple_SET_ITEM(tuple, i, PyLong_FromLongLong(T(self)->strides[i]));
        return tuple;
    });
}
METHOD(m_dim) { UNUSED; return PyLong_FromLong(T(self)->ndim); }
METHOD(m_numel) { UNUSED; return PyLong_FromLongLong(T(self)->numel); }
METHOD(m_storage_offset) { UNUSED; return PyLong_FromLongLong(T(self)->offset()); }
METHOD(m_is_contiguous) { UNUSED; return PyBool_FromLong(T(self)->contiguous); }
METHOD(m_data_ptr) { UNUSED; return PyLong_FromVoidPtr(T(self)->numel ? T(self)->data : nullptr); }
METHOD(m_element_size) { UNUSED; return PyLong_FromLong(item_size(T(self)->dtype)); }
METHOD(m_is_floating_point) { UNUSED; return PyBool_FromLong(is_float(T(self)->dtype)); }
METHOD(m_is_inference) { UNUSED; return PyBool_FromLong(T(self)->inference); }
METHOD(m_item) {
    UNUSED;
    return guarded([&]() -> PyObject* {
        if (T(self)->numel != 1)
            fail(ErrorKind::Runtime, "item: a Tensor with " + std::to_string(T(self)->numel) + " elements cannot be converted to Scalar (shape " + shape_text(T(self)) + "); index one element, or use tolist()");
        return element(T(self), T(self)->data);
    });
}
METHOD(m_tolist) { UNUSED; return guarded([&] { return to_list(T(self), 0, T(self)->data); }); }
METHOD(m_contiguous) { UNUSED; return guarded([&]() -> PyObject* { if (T(self)->contiguous) return Py_NewRef(self); return wrap(contiguous(T(self))); }); }
METHOD(m_clone) { UNUSED; return guarded([&] { return wrap(clone(T(self))); }); }
METHOD(m_detach) { UNUSED; return guarded([&] { return wrap(detach(T(self))); }); }
METHOD(m_detach_) { UNUSED; return guarded([&] { detach_in_place(T(self)); return Py_NewRef(self); }); }
METHOD(m_alias) { UNUSED; return guarded([&] { return wrap(view_as(T(self))); }); }
METHOD(m_view) {
    return guarded([&]() -> PyObject* {
        if (n == 1 && !names && !PyLong_Check(args[0]) && !PySequence_Check(args[0])) {
            PyObject* f = helper("view_dtype");
            if (f && PyObject_HasAttrString(args[0], "itemsize")) {
                PyObject* pair[2] = {self, args[0]};
                return checked(PyObject_Vectorcall(f, pair, 2, nullptr));
            }
        }
        if (PyObject* size = n ? nullptr : keyword(args, n, names, 0, "size")) return wrap(view(T(self), shape_from(size, "view")));
        return wrap(view(T(self), shape_from_args(args, n, "view")));
    });
}
METHOD(m_reshape) {
    return guarded([&]() -> PyObject* {
        if (PyObject* shape = n ? nullptr : keyword(args, n, names, 0, "shape")) return wrap(reshape(T(self), shape_from(shape, "reshape")));
        return wrap(reshape(T(self), shape_from_args(args, n, "reshape")));
    });
}
METHOD(m_permute) {
    return guarded([&]() -> PyObject* {
        Shape dims = n ? shape_from_args(args, n, "permute") : shape_from(keyword(args, n, names, 0, "dims"), "permute");
        Tensor* t = T(self);
        if (dims.ndim != t->ndim)
            fail(ErrorKind::Runtime, "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of dimensions i.e. input.dim() = " + std::to_string(t->ndim) + " is not equal to len(dims) = " + std::to_string(dims.ndim));
        int order[kMaxDims];
        uint32_t seen = 0;
        for (int i = 0; i < dims.ndim; ++i) {
            order[i] = normal_dim(dims.sizes[i], t->ndim, "permute");
            if (seen >> order[i] & 1) fail(ErrorKind::Runtime, "permute: duplicate dims are not allowed, got " + dims.text());
            seen |= 1u << order[i];
        }
        return wrap(permute(t, order));
    });
}
METHOD(m_transpose) {
    return guarded([&] {
        int a = dim_of(keyword(args, n, names, 0, "dim0"), T(self), "transpose", "dim0");
        int b = dim_of(keyword(args, n, names, 1, "dim1"), T(self), "transpose", "dim1");
        return wrap(transpose(T(self), a, b));
    });
}
METHOD(m_t) {
    UNUSED;
    return guarded([&] {
        if (T(self)->ndim > 2) fail(ErrorKind::Runtime, "t: expects a tensor with <= 2 dimensions, but self is " + std::to_string(T(self)->ndim) + "D; use transpose(dim0, dim1)");
        return wrap(transpose(T(self), 0, T(self)->ndim - 1));
    });
}
METHOD(m_expand) {
    return guarded([&] {
        Shape s = n ? shape_from_args(args, n, "expand") : shape_from(keyword(args, n, names, 0, "size"), "expand");
        return wrap(expand(T(self), s));
    });
}
METHOD(m_squeeze) {
    return guarded([&]() -> PyObject* {
        PyObject* dim = n > 1 ? nullptr : keyword(args, n, names, 0, "dim");
        if (!dim && n == 0) return wrap(squeeze(T(self), ~0u));
        uint32_t mask = 0;
        auto add = [&](PyObject* o) { mask |= 1u << normal_dim(as_int(o, "squeeze"), T(self)->ndim, "squeeze"); };
        if (dim && (PyTuple_Check(dim) || PyList_Check(dim))) {
            Owned fast(checked(PySequence_Fast(dim, "dim")));
            for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fast.p); ++i) add(PySequence_Fast_GET_ITEM(fast.p, i));
        } else if (dim) add(dim);
        else for (Py_ssize_t i = 0; i < n; ++i) add(args[i]);
        return wrap(squeeze(T(self), mask));
    });
}
METHOD(m_unsqueeze) {
    return guarded([&] {
        return wrap(unsqueeze(T(self), normal_dim(need_int(keyword(args, n, names, 0, "dim"), "unsqueeze", "dim"), T(self)->ndim + 1, "unsqueeze")));
    });
}
METHOD(m_select) {
    return guarded([&] {
        int dim = dim_of(keyword(args, n, names, 0, "dim"), T(self), "select", "dim");
        return wrap(select(T(self), dim, need_int(keyword(args, n, names, 1, "index"), "select", "index")));
    });
}
METHOD(m_narrow) {
    return guarded([&] {
        Tensor* t = T(self);
        if (t->ndim == 0) fail(ErrorKind::Runtime, "narrow: cannot be applied to a 0-dim tensor");
        int dim = dim_of(keyword(args, n, names, 0, "dim"), t, "narrow", "dim");
        PyObject* start_object = keyword(args, n, names, 1, "start");
        int64_t start = start_object && is_tensor(start_object) ? read_int(T(start_object), T(start_object)->data) : need_int(start_object, "narrow", "start");
        int64_t length = need_int(keyword(args, n, names, 2, "length"), "narrow", "length");
        int64_t size = t->sizes[dim];
        if (start < -size || start > size) fail(ErrorKind::Index, "narrow: start out of range (expected to be in range of [" + std::to_string(-size) + ", " + std::to_string(size) + "], but got " + std::to_string(start) + ")");
        if (start < 0) start += size;
        if (length < 0 || start + length > size) fail(ErrorKind::Runtime, "narrow: start (" + std::to_string(start) + ") + length (" + std::to_string(length) + ") exceeds dimension size (" + std::to_string(size) + ")");
        return wrap(slice(t, dim, start, start + length, 1));
    });
}
METHOD(m_slice) {
    return guarded([&] {
        Tensor* t = T(self);
        int dim = dim_of(keyword(args, n, names, 0, "dim"), t, "slice", "dim");
        PyObject *start = keyword(args, n, names, 1, "start"), *stop = keyword(args, n, names, 2, "stop", "end"), *step = keyword(args, n, names, 3, "step");
        int64_t size = t->ndim ? t->sizes[dim] : 1;
        return wrap(slice(t, dim, start && start != Py_None ? as_int(start, "slice") : 0, stop && stop != Py_None ? as_int(stop, "slice") : size, step && step != Py_None ? as_int(step, "slice") : 1));
    });
}
METHOD(m_unfold) {
    return guarded([&] {
        int dim = dim_of(keyword(args, n, names, 0, "dimension", "dim"), T(self), "unfold", "dimension");
        return wrap(unfold(T(self), dim, need_int(keyword(args, n, names, 1, "size"), "unfold", "size"), need_int(keyword(args, n, names, 2, "step"), "unfold", "step")));
    });
}
METHOD(m_diagonal) {
    return guarded([&] {
        PyObject *offset = keyword(args, n, names, 0, "offset"), *a = keyword(args, n, names, 1, "dim1"), *b = keyword(args, n, names, 2, "dim2");
        if (T(self)->ndim < 2) fail(ErrorKind::Index, "diagonal: needs at least 2 dimensions, got a tensor of shape " + shape_text(T(self)));
        return wrap(diagonal(T(self), offset ? as_int(offset, "diagonal") : 0, a ? dim_of(a, T(self), "diagonal", "dim1") : 0, b ? dim_of(b, T(self), "diagonal", "dim2") : 1));
    });
}
METHOD(m_as_strided) {
    return guarded([&] {
        Shape size = shape_from(keyword(args, n, names, 0, "size"), "as_strided"), stride = shape_from(keyword(args, n, names, 1, "stride"), "as_strided");
        PyObject* offset = keyword(args, n, names, 2, "storage_offset");
        if (size.ndim != stride.ndim) fail(ErrorKind::Runtime, "as_strided: mismatch in length of strides and shape");
        return wrap(as_strided(T(self), size, stride.sizes, offset && offset != Py_None ? as_int(offset, "as_strided") : T(self)->offset()));
    });
}
METHOD(m_requires_grad_) {
    return guarded([&] {
        PyObject* value = keyword(args, n, names, 0, "requires_grad");
        require_grad(T(self), !value || PyObject_IsTrue(value) == 1);
        return Py_NewRef(self);
    });
}
METHOD(m_retain_grad) { UNUSED; return guarded([&]() -> PyObject* { retain_grad(T(self)); Py_RETURN_NONE; }); }
METHOD(m_copy_) {
    return guarded([&] {
        PyObject* source = keyword(args, n, names, 0, "src", "other");
        if (!source) fail(ErrorKind::Type, "copy_() missing required argument: 'src'");
        check_in_place(T(self), "copy_");
        Arg number;
        if (!is_tensor(source) && number_arg(source, number)) {
            if (number.code == kFloat64) fill_elements(T(self), number.real);
            else fill_elements_int(T(self), number.integer);
        } else {
            copy_into(T(self), expect_tensor(source, "copy_: src"));
        }
        return Py_NewRef(self);
    });
}
// In place with a constant: what was there before no longer matters to the gradient.
void constant_history(Tensor* t) {
    if (!(GradMode::enabled && t->requires_grad)) return;
    auto function = [](auto&, TensorRef*, TensorRef*) {};
    auto* node = new FunctionNode<decltype(function)>("FillBackward0", function);
    Ref<Node> keep(node);
    Tensor* inputs[1] = {t};
    connect(node, inputs, 1);
    rebase_history(t, keep);
}
METHOD(m_fill_) {
    return guarded([&] {
        PyObject* value = keyword(args, n, names, 0, "value");
        if (!value) fail(ErrorKind::Type, "fill_() missing required argument: 'value'");
        Tensor* t = T(self);
        check_in_place(t, "fill_");
        Arg number;
        if (is_tensor(value)) {
            if (T(value)->ndim) fail(ErrorKind::Runtime, "fill_: only supports 0-dimension value tensor but got tensor with " + std::to_string(T(value)->ndim) + " dimensions");
            copy_into(t, T(value));
            return Py_NewRef(self);
        }
        if (!number_arg(value, number)) fail(ErrorKind::Type, std::string("fill_(): value must be a number or a 0-dim tensor, not ") + Py_TYPE(value)->tp_name);
        if (number.code == kFloat64) fill_elements(t, number.real);
        else fill_elements_int(t, number.integer);
        constant_history(t);
        return Py_NewRef(self);
    });
}
METHOD(m_zero_) {
    UNUSED;
    return guarded([&] {
        Tensor* t = T(self);
        check_in_place(t, "zero_");
        if (t->contiguous) {
            std::memset(t->data, 0, size_t(t->numel) * item_size(t->dtype));
            bump_version(t);
        } else {
            fill_elements_int(t, 0);
        }
        constant_history(t);
        return Py_NewRef(self);
    });
}
METHOD(m_cast) {
    UNUSED;
    return guarded([&]() -> PyObject* {
        uint8_t code = dtype_code(args[0]);
        if (code == T(self)->dtype) return Py_NewRef(self);
        return wrap(cast(T(self), code));
    });
}
METHOD(m_resize_) {
    return guarded([&] {
        check_in_place(T(self), "resize_");
        resize(T(self), shape_from_args(args, n, "resize_"));
        (void)names;
        return Py_NewRef(self);
    });
}
METHOD(m_sum_to_size) {
    UNUSED;
    return guarded([&] { return wrap(sum_to(T(self), shape_from_args(args, n, "sum_to_size"))); });
}

#define ENTRY(name, function, doc) {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(function)), METH_FASTCALL | METH_KEYWORDS, doc}
PyMethodDef methods[] = {
    ENTRY("size", m_size, "size(dim=None)\n--\n\nThe sizes as a Size, or the size of one dimension."),
    ENTRY("stride", m_stride, "stride(dim=None)\n--\n\nThe strides in elements."),
    ENTRY("dim", m_dim, "dim()\n--\n\nThe number of dimensions."),
    ENTRY("ndimension", m_dim, "ndimension()\n--\n\nThe number of dimensions."),
    ENTRY("numel", m_numel, "numel()\n--\n\nThe number of elements."),
    ENTRY("nelement", m_numel, "nelement()\n--\n\nThe number of elements."),
    ENTRY("storage_offset", m_storage_offset, "storage_offset()\n--\n\nWhere in the storage the first element is, in elements."),
    ENTRY("is_contiguous", m_is_contiguous, "is_contiguous()\n--\n\nWhether the elements are dense in row-major order."),
    ENTRY("data_ptr", m_data_ptr, "data_ptr()\n--\n\nThe address of the first element."),
    ENTRY("element_size", m_element_size, "element_size()\n--\n\nBytes of one element."),
    ENTRY("is_floating_point", m_is_floating_point, "is_floating_point()\n--\n\nWhether the dtype is a float."),
    ENTRY("is_inference", m_is_inference, "is_inference()\n--\n\nWhether the tensor was made under inference_mode."),
    ENTRY("item", m_item, "item()\n--\n\nThe only element as a Python number."),
    ENTRY("tolist", m_tolist, "tolist()\n--\n\nThe elements as nested lists of Python numbers."),
    ENTRY("contiguous", m_contiguous, "contiguous(memory_format=None)\n--\n\nThis tensor if it is contiguous, else a row-major copy."),
    ENTRY("clone", m_clone, "clone(memory_format=None)\n--\n\nA copy with its own memory; gradients flow through it."),
    ENTRY("detach", m_detach, "detach()\n--\n\nThe same elements without history; shares memory."),
    ENTRY("detach_", m_detach_, "detach_()\n--\n\nForget the history in place."),
    ENTRY("alias", m_alias, "alias()\n--\n\nA view of the whole tensor."),
    ENTRY("view", m_view, "view(*shape)\n--\n\nA view in another shape; an error where the strides do not allow one."),
    ENTRY("reshape", m_reshape, "reshape(*shape)\n--\n\nA view in another shape where possible, else a copy."),
    ENTRY("permute", m_permute, "permute(*dims)\n--\n\nThe view with its dimensions in another order."),
    ENTRY("transpose", m_transpose, "transpose(dim0, dim1)\n--\n\nThe view with two dimensions exchanged."),
    ENTRY("t", m_t, "t()\n--\n\nThe transpose of a matrix, as a view."),
    ENTRY("expand", m_expand, "expand(*sizes)\n--\n\nThe view with dimensions of size 1 repeated; -1 keeps a size."),
    ENTRY("squeeze", m_squeeze, "squeeze(dim=None)\n--\n\nThe view without dimensions of size 1."),
    ENTRY("unsqueeze", m_unsqueeze, "unsqueeze(dim)\n--\n\nThe view with a dimension of size 1 inserted."),
    ENTRY("select", m_select, "select(dim, index)\n--\n\nThe view of one index of a dimension."),
    ENTRY("narrow", m_narrow, "narrow(dim, start, length)\n--\n\nThe view of a range of a dimension."),
    ENTRY("slice", m_slice, "slice(dim, start=None, stop=None, step=1)\n--\n\nThe view of a stepped range of a dimension."),
    ENTRY("unfold", m_unfold, "unfold(dimension, size, step)\n--\n\nThe view of all windows along a dimension."),
    ENTRY("diagonal", m_diagonal, "diagonal(offset=0, dim1=0, dim2=1)\n--\n\nThe view of a diagonal."),
    ENTRY("as_strided", m_as_strided, "as_strided(size, stride, storage_offset=None)\n--\n\nA view with sizes and strides as given."),
    ENTRY("requires_grad_", m_requires_grad_, "requires_grad_(requires_grad=True)\n--\n\nAsk for gradients of this leaf, in place."),
    ENTRY("retain_grad", m_retain_grad, "retain_grad()\n--\n\nKeep the gradient of this non-leaf in .grad."),
    ENTRY("copy_", m_copy_, "copy_(src, non_blocking=False)\n--\n\nCopy the elements of src here, broadcasting and converting."),
    ENTRY("fill_", m_fill_, "fill_(value)\n--\n\nSet every element to value."),
    ENTRY("zero_", m_zero_, "zero_()\n--\n\nSet every element to zero."),
    ENTRY("cast", m_cast, "cast(dtype)\n--\n\nThe tensor in another dtype; itself if it has it."),
    ENTRY("resize_", m_resize_, "resize_(*sizes)\n--\n\nChange the shape in place, with new memory if it does not fit."),
    ENTRY("sum_to_size", m_sum_to_size, "sum_to_size(*size)\n--\n\nSum the dimensions that broadcasting from size would repeat."),
    {nullptr, nullptr, 0, nullptr}};

// --- number protocol ---

enum Slot { kAdd, kSub, kMul, kDiv, kFloorDiv, kMod, kPow, kMatmul, kAnd, kOr, kXor, kShl, kShr, kLt, kLe, kEq, kNe, kGt, kGe, kNeg, kAbs, kNot, kSlots };
const char* slot_names[kSlots] = {"add", "sub", "mul", "div", "floor_divide", "remainder", "pow", "matmul", "and", "or", "xor",
                                  "lshift", "rshift", "lt", "le", "eq", "ne", "gt", "ge", "neg", "abs", "not"};
PyObject* slot_objects[kSlots] = {};
Operation* slot_operations[kSlots] = {};

bool acceptable(PyObject* o) {
    return is_tensor(o) || PyFloat_Check(o) || PyLong_Check(o) || PyObject_HasAttrString(o, "__array__") || (PyIndex_Check(o) && !PySequence_Check(o));
}

template <int slot>
PyObject* binary(PyObject* a, PyObject* b) {
    return guarded([&]() -> PyObject* {
        if (Operation* op = slot_operations[slot]) {
            Arg args[kMaxOperands];
            if (Py_TYPE(a) == tensor_type && Py_TYPE(b) == tensor_type) {
                args[0] = Arg(tensor_of(a));
                args[1] = Arg(tensor_of(b));
            } else {
                if (!acceptable(a) || !acceptable(b)) Py_RETURN_NOTIMPLEMENTED;
                args[0] = operand(a, *op, 0);
                args[1] = operand(b, *op, 1);
            }
            int count = int(op->names.size());
            for (int i = 2; i < count; ++i) args[i] = op->defaults[i];
            TensorRef outputs[4];
            call_map(*op, args, count, outputs);
            return wrap(std::move(outputs[0]));
        }
        if (!slot_objects[slot]) fail(ErrorKind::Runtime, std::string("the operator ") + slot_names[slot] + " is not set");
        if (!acceptable(a) || !acceptable(b)) Py_RETURN_NOTIMPLEMENTED;
        PyObject* pair[2] = {a, b};
        return checked(PyObject_Vectorcall(slot_objects[slot], pair, 2, nullptr));
    });
}
template <int slot>
PyObject* in_place(PyObject* a, PyObject* b) {
    return guarded([&]() -> PyObject* {
        Operation* op = slot_operations[slot];
        if (!op || !acceptable(b)) Py_RETURN_NOTIMPLEMENTED;
        Arg args[kMaxOperands];
        args[0] = Arg(tensor_of(a));
        args[1] = operand(b, *op, 1);
        int count = int(op->names.size());
        for (int i = 2; i < count; ++i) args[i] = op->defaults[i];
        call_map_in_place(*op, args, count);
        return Py_NewRef(a);
    });
}
template <int slot>
PyObject* unary(PyObject* a) {
    return guarded([&]() -> PyObject* {
        Operation* op = slot_operations[slot];
        if (!op) return checked(PyObject_CallOneArg(slot_objects[slot], a));
        Arg args[kMaxOperands];
        args[0] = Arg(tensor_of(a));
        TensorRef outputs[4];
        call_map(*op, args, 1, outputs);
        return wrap(std::move(outputs[0]));
    });
}
PyObject* power(PyObject* a, PyObject* b, PyObject*) { return binary<kPow>(a, b); }
PyObject* in_place_power(PyObject* a, PyObject* b, PyObject*) { return in_place<kPow>(a, b); }
PyObject* positive(PyObject* a) { return Py_NewRef(a); }
PyObject* compare(PyObject* a, PyObject* b, int op) {
    if (!acceptable(b)) {
        if (op == Py_EQ) Py_RETURN_FALSE;
        if (op == Py_NE) Py_RETURN_TRUE;
        Py_RETURN_NOTIMPLEMENTED;
    }
    switch (op) {
        case Py_LT: return binary<kLt>(a, b);
        case Py_LE: return binary<kLe>(a, b);
        case Py_EQ: return binary<kEq>(a, b);
        case Py_NE: return binary<kNe>(a, b);
        case Py_GT: return binary<kGt>(a, b);
        default: return binary<kGe>(a, b);
    }
}
int truth(PyObject* self) {
    Tensor* t = T(self);
    PyObject* o = guarded([&]() -> PyObject* {
        if (t->numel == 0) fail(ErrorKind::Runtime, "bool: Boolean value of Tensor with no values is ambiguous");
        if (t->numel > 1) fail(ErrorKind::Runtime, "bool: Boolean value of Tensor with more than one value is ambiguous (shape " + shape_text(t) + "); use .any() or .all()");
        return is_float(t->dtype) ? PyBool_FromLong(read_double(t, t->data) != 0) : PyBool_FromLong(read_int(t, t->data) != 0);
    });
    if (!o) return -1;
    Py_DECREF(o);
    return o == Py_True;
}
PyObject* as_python_number(PyObject* self, PyObject* (*convert)(PyObject*), const char* name) {
    return guarded([&]() -> PyObject* {
        if (T(self)->numel != 1) fail(ErrorKind::Runtime, std::string(name) + ": a Tensor with " + std::to_string(T(self)->numel) + " elements cannot be converted to Scalar; only one element tensors can be converted to Python scalars");
        Owned value(element(T(self), T(self)->data));
        return checked(convert(value));
    });
}
PyObject* to_int(PyObject* self) { return as_python_number(self, PyNumber_Long, "int"); }
PyObject* to_float(PyObject* self) { return as_python_number(self, PyNumber_Float, "float"); }
PyObject* to_index(PyObject* self) {
    return guarded([&]() -> PyObject* {
        if (is_float(T(self)->dtype) || T(self)->numel != 1)
            fail(ErrorKind::Type, "index: only integer tensors of a single element can be converted to an index");
        return PyLong_FromLongLong(read_int(T(self), T(self)->data));
    });
}
Py_ssize_t length(PyObject* self) {
    if (T(self)->ndim == 0) {
        PyErr_SetString(PyExc_TypeError, "len: len() of a 0-d tensor");
        return -1;
    }
    return T(self)->sizes[0];
}
Py_hash_t hash(PyObject* self) {
    auto p = reinterpret_cast<uintptr_t>(self);
    return Py_hash_t(p >> 4 | p << 60);
}
PyObject* repr(PyObject* self) {
    if (!registry.repr) return PyUnicode_FromString("<tensor>");
    return PyObject_CallOneArg(registry.repr, self);
}
PyObject* iterate(PyObject* self) {
    return guarded([&]() -> PyObject* {
        Tensor* t = T(self);
        if (t->ndim == 0) fail(ErrorKind::Type, "iter: iteration over a 0-d tensor");
        Owned list(checked(PyList_New(t->sizes[0])));
        for (int64_t i = 0; i < t->sizes[0]; ++i) PyList_SET_ITEM(list.p, i, wrap(select(t, 0, i)));
        return checked(PyObject_GetIter(list));
    });
}

// --- buffer protocol: NumPy sees the elements without a copy ---

const char* formats[kDTypes] = {"?", "B", "b", "h", "i", "q", "e", nullptr, "f", "d"};
int get_buffer(PyObject* self, Py_buffer* view, int flags) {
    Tensor* t = T(self);
    if (t->requires_grad || !formats[t->dtype]) {
        PyErr_SetString(PyExc_BufferError, t->requires_grad
            ? "numpy: can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
            : "numpy: bfloat16 has no NumPy dtype; convert with .float() first");
        return -1;
    }
    if ((flags & PyBUF_WRITABLE) && t->storage->read_only) {
        PyErr_SetString(PyExc_BufferError, "the tensor's memory is read-only");
        return -1;
    }
    if (!(flags & PyBUF_STRIDES) && !t->contiguous) {
        PyErr_SetString(PyExc_BufferError, "the tensor is not contiguous; call contiguous() first");
        return -1;
    }
    auto* memory = static_cast<Py_ssize_t*>(PyMem_Malloc(sizeof(Py_ssize_t) * 2 * kMaxDims));
    int size = item_size(t->dtype);
    for (int i = 0; i < t->ndim; ++i) memory[i] = t->sizes[i], memory[kMaxDims + i] = t->strides[i] * size;
    view->buf = t->data;
    view->obj = Py_NewRef(self);
    view->len = t->numel * size;
    view->itemsize = size;
    view->readonly = t->storage->read_only;
    view->ndim = t->ndim;
    view->format = (flags & PyBUF_FORMAT) ? const_cast<char*>(formats[t->dtype]) : nullptr;
    view->shape = (flags & PyBUF_ND) ? memory : nullptr;
    view->strides = (flags & PyBUF_STRIDES) ? memory + kMaxDims : nullptr;
    view->suboffsets = nullptr;
    view->internal = memory;
    return 0;
}
void release_buffer(PyObject*, Py_buffer* view) { PyMem_Free(view->internal); }

PyMemberDef members[] = {{"__dictoffset__", T_PYSSIZET, offsetof(PyTensor, dict), READONLY, nullptr},
                         {"__weaklistoffset__", T_PYSSIZET, offsetof(PyTensor, weakrefs), READONLY, nullptr},
                         {nullptr, 0, 0, 0, nullptr}};
#define SLOT(name, function) {name, reinterpret_cast<void*>(function)}
PyType_Slot slots[] = {
    SLOT(Py_tp_new, new_tensor), SLOT(Py_tp_dealloc, dealloc), SLOT(Py_tp_getset, getset), SLOT(Py_tp_methods, methods),
    SLOT(Py_tp_members, members), SLOT(Py_tp_repr, repr), SLOT(Py_tp_hash, hash), SLOT(Py_tp_richcompare, compare),
    SLOT(Py_tp_iter, iterate), SLOT(Py_nb_add, (binary<kAdd>)), SLOT(Py_nb_subtract, (binary<kSub>)),
    SLOT(Py_nb_multiply, (binary<kMul>)), SLOT(Py_nb_true_divide, (binary<kDiv>)),
    SLOT(Py_nb_floor_divide, (binary<kFloorDiv>)), SLOT(Py_nb_remainder, (binary<kMod>)), SLOT(Py_nb_power, power),
    SLOT(Py_nb_matrix_multiply, (binary<kMatmul>)), SLOT(Py_nb_and, (binary<kAnd>)), SLOT(Py_nb_or, (binary<kOr>)),
    SLOT(Py_nb_xor, (binary<kXor>)), SLOT(Py_nb_lshift, (binary<kShl>)), SLOT(Py_nb_rshift, (binary<kShr>)),
    SLOT(Py_nb_inplace_add, (in_place<kAdd>)), SLOT(Py_nb_inplace_subtract, (in_place<kSub>)),
    SLOT(Py_nb_inplace_multiply, (in_place<kMul>)), SLOT(Py_nb_inplace_true_divide, (in_place<kDiv>)),
    SLOT(Py_nb_inplace_floor_divide, (in_place<kFloorDiv>)), SLOT(Py_nb_inplace_remainder, (in_place<kMod>)),
    SLOT(Py_nb_inplace_power, in_place_power), SLOT(Py_nb_inplace_and, (in_place<kAnd>)),
    SLOT(Py_nb_inplace_or, (in_place<kOr>)), SLOT(Py_nb_inplace_xor, (in_place<kXor>)),
    SLOT(Py_nb_inplace_lshift, (in_place<kShl>)), SLOT(Py_nb_inplace_rshift, (in_place<kShr>)),
    SLOT(Py_nb_negative, (unary<kNeg>)), SLOT(Py_nb_absolute, (unary<kAbs>)), SLOT(Py_nb_invert, (unary<kNot>)),
    SLOT(Py_nb_positive, positive), SLOT(Py_nb_bool, truth), SLOT(Py_nb_int, to_int), SLOT(Py_nb_float, to_float),
    SLOT(Py_nb_index, to_index), SLOT(Py_mp_length, length), SLOT(Py_sq_length, length),
    SLOT(Py_mp_subscript, index_get), SLOT(Py_mp_ass_subscript, index_set),
    SLOT(Py_bf_getbuffer, get_buffer), SLOT(Py_bf_releasebuffer, release_buffer), {0, nullptr}};
PyType_Spec spec = {"flambeau.Tensor", sizeof(PyTensor), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

// --- registration from Python ---

PyObject* register_objects(PyObject*, PyObject* args, PyObject* keywords) {
    if (PyTuple_GET_SIZE(args)) return PyErr_Format(PyExc_TypeError, "register takes keyword arguments only");
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (keywords && PyDict_Next(keywords, &position, &key, &value)) {
        std::string name = PyUnicode_AsUTF8(key);
        Py_INCREF(value);
        if (name == "dtypes") {
            for (int i = 0; i < kDTypes; ++i) registry.dtypes[i] = Py_NewRef(PyTuple_GetItem(value, i));
        } else if (name == "size_type") registry.size_type = value;
        else if (name == "cpu") registry.cpu = value;
        else if (name == "value_type") registry.value_type = value;
        else if (name == "repr") registry.repr = value;
        else if (name == "to_tensor") registry.to_tensor = value;
        else if (name == "package") registry.package = PyUnicode_AsUTF8(value);
        else if (name == "operators") {
            for (int s = 0; s < kSlots; ++s)
                if (PyObject* o = PyDict_GetItemString(value, slot_names[s])) {
                    slot_objects[s] = Py_NewRef(o);
                    slot_operations[s] = operation_of(o);
                    if (slot_operations[s] && slot_operations[s]->row) slot_operations[s] = nullptr;
                }
        } else if (name == "builtins") {
            auto take = [&](const char* n) { PyObject* o = PyDict_GetItemString(value, n); return o ? operation_of(o) : nullptr; };
            builtins.add = take("add");
            builtins.copy = take("copy");
            builtins.sum = take("sum");
        } else {
            helpers.emplace_back(name, value);
        }
    }
    Py_RETURN_NONE;
}

}  // namespace

PyObject* helper(const char* name) {
    for (size_t i = helpers.size(); i-- > 0;)
        if (helpers[i].first == name) return helpers[i].second;
    return nullptr;
}

PyObject* wrap(TensorRef t) {
    if (t->python) return Py_NewRef(static_cast<PyObject*>(t->python));
    PyTensor* o = allocate(tensor_type);
    o->tensor = t.detach();
    o->tensor->python = o;
    return reinterpret_cast<PyObject*>(o);
}

PyObject* wrap_as(PyTypeObject* type, TensorRef t) {
    PyTensor* o = allocate(type);
    o->tensor = t.detach();
    o->tensor->python = o;
    return reinterpret_cast<PyObject*>(o);
}

Tensor* expect_tensor(PyObject* o, const char* what) {
    if (!is_tensor(o)) fail(ErrorKind::Type, std::string(what) + " must be a Tensor, not " + Py_TYPE(o)->tp_name);
    return tensor_of(o);
}

PyObject* set_error() noexcept {
    static const char* names[4] = {"ShapeError", "DTypeError", "DeviceError", "AutogradError"};
    try {
        throw;
    } catch (const PythonError&) {
    } catch (const Error& e) {
        PyObject* type = nullptr;
        switch (e.kind) {
            case ErrorKind::Shape: case ErrorKind::DType: case ErrorKind::Device: case ErrorKind::Autograd: {
                int i = int(e.kind);
                if (!registry.errors[i]) {
                    PyObject* module = PyImport_ImportModule("flambeau.errors");
                    if (!module) return nullptr;
                    registry.errors[i] = PyObject_GetAttrString(module, names[i]);
                    Py_DECREF(module);
                }
                type = registry.errors[i];
                break;
            }
            case ErrorKind::Index: type = PyExc_IndexError; break;
            case ErrorKind::Value: type = PyExc_ValueError; break;
            case ErrorKind::Type: type = PyExc_TypeError; break;
            case ErrorKind::Memory: type = PyExc_MemoryError; break;
            case ErrorKind::ZeroDivision: type = PyExc_ZeroDivisionError; break;
            case ErrorKind::Overflow: type = PyExc_OverflowError; break;
            default: type = PyExc_RuntimeError;
        }
        PyErr_SetString(type, e.what());
    } catch (const OutOfMemory& e) {
        PyErr_SetString(PyExc_MemoryError, e.what());
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::exception& e) {
        PyErr_SetString(PyExc_RuntimeError, e.what());
    }
    return nullptr;
}

uint8_t dtype_code(PyObject* dtype) {
    for (int i = 0; i < kDTypes; ++i)
        if (registry.dtypes[i] == dtype) return uint8_t(i);
    if (PyLong_Check(dtype)) {
        long v = PyLong_AsLong(dtype);
        if (v >= 0 && v < kDTypes) return uint8_t(v);
    }
    Owned text(PyObject_Repr(dtype));
    fail(ErrorKind::Type, std::string("dtype: expected a flambeau dtype, got ") + (text ? PyUnicode_AsUTF8(text) : "?"));
}

int64_t as_int(PyObject* o, const char* operation) {
    if (PyLong_CheckExact(o)) {
        int overflow;
        long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
        if (overflow) fail(ErrorKind::Overflow, std::string(operation) + ": the integer does not fit 64 bits");
        return v;
    }
    Owned index(PyNumber_Index(o));
    if (!index) {
        PyErr_Clear();
        fail(ErrorKind::Type, std::string(operation) + "(): expected an integer, got " + Py_TYPE(o)->tp_name);
    }
    int overflow;
    long long v = PyLong_AsLongLongAndOverflow(index, &overflow);
    if (overflow) fail(ErrorKind::Overflow, std::string(operation) + ": the integer does not fit 64 bits");
    return v;
}

Shape shape_from(PyObject* sequence, const char* operation) {
    if (!sequence) fail(ErrorKind::Type, std::string(operation) + "() is missing its sizes");
    Shape shape;
    if (PyLong_Check(sequence) || (PyIndex_Check(sequence) && !PySequence_Check(sequence)) || is_tensor(sequence)) {
        if (!is_tensor(sequence) || tensor_of(sequence)->ndim == 0) {
            shape.sizes[shape.ndim++] = as_int(sequence, operation);
            return shape;
        }
    }
    Owned fast(PySequence_Fast(sequence, "sizes"));
    if (!fast) {
        PyErr_Clear();
        fail(ErrorKind::Type, std::string(operation) + "(): sizes must be integers or a sequence of integers, not " + Py_TYPE(sequence)->tp_name);
    }
    Py_ssize_t n = PySequence_Fast_GET_SIZE(fast.p);
    if (n > kMaxDims - 1) fail(ErrorKind::Runtime, std::string(operation) + ": a tensor has at most 15 dimensions");
    for (Py_ssize_t i = 0; i < n; ++i) shape.sizes[shape.ndim++] = as_int(PySequence_Fast_GET_ITEM(fast.p, i), operation);
    return shape;
}

Shape shape_from_args(PyObject* const* args, Py_ssize_t n, const char* operation) {
    if (n == 1 && !PyLong_Check(args[0])) return shape_from(args[0], operation);
    if (n > kMaxDims - 1) fail(ErrorKind::Runtime, std::string(operation) + ": a tensor has at most 15 dimensions");
    Shape shape;
    for (Py_ssize_t i = 0; i < n; ++i) shape.sizes[shape.ndim++] = as_int(args[i], operation);
    return shape;
}

PyObject* size_tuple(const int64_t* values, int n) {
    auto* type = registry.size_type ? reinterpret_cast<PyTypeObject*>(registry.size_type) : &PyTuple_Type;
    PyObject* tuple = type->tp_alloc(type, n);
    if (!tuple) return nullptr;
    for (int i = 0; i < n; ++i) PyTuple_SET_ITEM(tuple, i, PyLong_FromLongLong(values[i]));
    return tuple;
}

PyObject* element(const Tensor* t, const char* at) {
    if (t->dtype == kBool) return PyBool_FromLong(*at != 0);
    if (is_float(t->dtype)) return PyFloat_FromDouble(read_double(t, at));
    return PyLong_FromLongLong(read_int(t, at));
}

PyObject* to_list(const Tensor* t, int dim, const char* at) {
    if (dim == t->ndim) return element(t, at);
    Owned list(checked(PyList_New(t->sizes[dim])));
    int64_t step = t->strides[dim] * item_size(t->dtype);
    for (int64_t i = 0; i < t->sizes[dim]; ++i) PyList_SET_ITEM(list.p, i, checked(to_list(t, dim + 1, at + i * step)));
    return list.release();
}

int add_tensor_type(PyObject* module) {
    tensor_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
    if (!tensor_type) return -1;
    static PyMethodDef functions[] = {
        {"register", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(register_objects)), METH_VARARGS | METH_KEYWORDS,
         "Hand the core the Python objects it refers to (called once, at import)."},
        {nullptr, nullptr, 0, nullptr}};
    if (PyModule_AddFunctions(module, functions)) return -1;
    return PyModule_AddObjectRef(module, "Tensor", reinterpret_cast<PyObject*>(tensor_type));
}

}  // namespace flambeau
