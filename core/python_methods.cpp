// Methods of Tensor that look at, move or rename elements, and those that fill them.
// It is not: operations (python_operation.cpp) or the layout rules themselves (views.cpp).
#include <cstring>

#include "python_batching.h"
#include "record.h"
#include "views.h"

namespace flambeau {

void require_grad(Tensor* t, bool value) {
    if (value && !is_inexact(t->dtype))
        fail(ErrorKind::Runtime, std::string("requires_grad: only Tensors of floating point and complex dtype can require gradients, this one is ") + kDTypeNames[t->dtype] + "; convert it with .float()");
    if (!value && t->autograd && t->autograd->grad_fn)
        fail(ErrorKind::Runtime, "requires_grad: you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach().");
    if (value && t->inference && !GradMode::inference)
        fail(ErrorKind::Runtime, "requires_grad: Setting requires_grad=True on inference tensor outside InferenceMode is not allowed; clone() it first");
    t->requires_grad = value;
}
namespace {

Tensor* T(PyObject* self) { return tensor_of(self); }

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
        PyObject* dim = keyword(args, n, names, 0, "dim", "axis");
        if (!dim || dim == Py_None) return size_tuple(T(self)->sizes, T(self)->ndim);
        if (T(self)->ndim == 0) fail(ErrorKind::Index, "size: dimension specified as " + std::to_string(as_int(dim, "size")) + " but tensor has no dimensions");
        return PyLong_FromLongLong(T(self)->sizes[dim_of(dim, T(self), "size", "dim")]);
    });
}
METHOD(m_stride) {
    return guarded([&]() -> PyObject* {
        PyObject* dim = keyword(args, n, names, 0, "dim", "axis");
        if (dim) return PyLong_FromLongLong(T(self)->strides[dim_of(dim, T(self), "stride", "dim")]);
        PyObject* tuple = checked(PyTuple_New(T(self)->ndim));
        for (int i = 0; i < T(self)->ndim; ++i) PyTuple_SET_ITEM(tuple, i, PyLong_FromLongLong(T(self)->strides[i]));
        return tuple;
    });
}
METHOD(m_dim) { UNUSED; return PyLong_FromLong(T(self)->ndim); }
METHOD(m_numel) { UNUSED; return PyLong_FromLongLong(T(self)->numel); }
METHOD(m_storage_offset) { UNUSED; return PyLong_FromLongLong(T(self)->offset()); }

// The strides that a memory format asks for. Without one, or with one that keeps what is there: false.
bool format_strides(PyObject* format, const Tensor* t, const char* operation, int64_t* strides) {
    if (!format || format == Py_None) return false;
    Owned name(PyUnicode_Check(format) ? Py_NewRef(format) : nullptr);
    auto is = [&](const char* text) { return name.p && !PyUnicode_CompareWithASCIIString(name.p, text); };
    if (is("preserve_format")) return false;
    const bool wide = is("channels_last_3d"), last = wide || is("channels_last");
    if (!last && !is("contiguous_format"))
        fail(ErrorKind::Type, std::string(operation) + "(): argument 'memory_format' must be flambeau.memory_format, not " + Py_TYPE(format)->tp_name);
    if (last && t->ndim != (wide ? 5 : 4))
        fail(ErrorKind::Shape, std::string(operation) + ": required rank " + (wide ? "5" : "4") + " tensor to use " + (wide ? "channels_last_3d" : "channels_last") + " format, got shape " + shape_text(t));
    int64_t step = 1;
    auto place = [&](int d) { strides[d] = step, step *= std::max<int64_t>(t->sizes[d], 1); };
    if (last) place(1);
    for (int d = t->ndim - 1; d >= 0; --d)
        if (!last || d > 1) place(d);
    if (last) place(0);
    return true;
}
bool laid_out(const Tensor* t, const int64_t* strides) {
    for (int d = 0; d < t->ndim; ++d)
        if (t->sizes[d] > 1 && t->strides[d] != strides[d]) return false;
    return true;
}
METHOD(m_is_contiguous) {
    if (!n && !names) return PyBool_FromLong(T(self)->contiguous);
    return guarded([&]() -> PyObject* {
        int64_t strides[kMaxDims];
        PyObject* format = keyword(args, n, names, 0, "memory_format");
        const bool last = format && PyUnicode_Check(format) && !PyUnicode_CompareWithASCIIString(format, "channels_last") && T(self)->ndim != 4;
        if (last || !format_strides(format, T(self), "is_contiguous", strides)) return PyBool_FromLong(!last && T(self)->contiguous);
        return PyBool_FromLong(laid_out(T(self), strides));
    });
}
METHOD(m_data_ptr) { UNUSED; T(self)->storage->exported = true; return PyLong_FromVoidPtr(T(self)->numel ? T(self)->data : nullptr); }
METHOD(m_element_size) { UNUSED; return PyLong_FromLong(item_size(T(self)->dtype)); }
METHOD(m_is_floating_point) { UNUSED; return PyBool_FromLong(is_float(T(self)->dtype)); }
METHOD(m_is_complex) { UNUSED; return PyBool_FromLong(is_complex(T(self)->dtype)); }
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
METHOD(m_contiguous) {
    return guarded([&]() -> PyObject* {
        int64_t strides[kMaxDims];
        if ((n || names) && format_strides(keyword(args, n, names, 0, "memory_format"), T(self), "contiguous", strides))
            return laid_out(T(self), strides) ? Py_NewRef(self) : wrap(clone_as(T(self), strides));
        if (T(self)->contiguous) return Py_NewRef(self);
        return wrap(contiguous(T(self)));
    });
}
METHOD(m_clone) {
    if (batching.levels) [[unlikely]]  // a copy made inside vmap has room for every example, like all new tensors there
        if (PyObject* result = batched_call("clone", true, &self, 1, nullptr); result != Py_NotImplemented) return result;
    return guarded([&] {
        int64_t strides[kMaxDims];
        if ((n || names) && format_strides(keyword(args, n, names, 0, "memory_format"), T(self), "clone", strides))
            return wrap(clone_as(T(self), strides));
        return wrap(clone(T(self)));
    });
}
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
        PyObject* dim = n > 1 ? nullptr : keyword(args, n, names, 0, "dim", "axis");
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
        return wrap(unsqueeze(T(self), normal_dim(need_int(keyword(args, n, names, 0, "dim", "axis"), "unsqueeze", "dim"), T(self)->ndim + 1, "unsqueeze")));
    });
}
METHOD(m_select) {
    return guarded([&] {
        int dim = dim_of(keyword(args, n, names, 0, "dim", "axis"), T(self), "select", "dim");
        return wrap(select(T(self), dim, need_int(keyword(args, n, names, 1, "index"), "select", "index")));
    });
}
METHOD(m_narrow) {
    return guarded([&] {
        Tensor* t = T(self);
        if (t->ndim == 0) fail(ErrorKind::Runtime, "narrow: cannot be applied to a 0-dim tensor");
        int dim = dim_of(keyword(args, n, names, 0, "dim", "axis"), t, "narrow", "dim");
        PyObject* start_object = keyword(args, n, names, 1, "start");
        if (start_object && is_tensor(start_object)) reads_value("narrow");
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
        int dim = dim_of(keyword(args, n, names, 0, "dim", "axis"), t, "slice", "dim");
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
        require_grad(T(self), !value || is_true(value));
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
            check_fits(number, is_complex(T(self)->dtype) ? T(self)->dtype : uint8_t(kFloat64), "copy_");
            fill_number(T(self), number);
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
        check_fits(number, t->dtype, "fill_");
        fill_number(t, number);
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
            if (recorder && recorder->records() && t->numel) [[unlikely]] recorder->zero(t);
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
    return guarded([&]() -> PyObject* {
        PyObject* dtype = keyword(args, n, names, 0, "dtype");
        if (!dtype) fail(ErrorKind::Type, "cast() missing required argument: 'dtype'");
        uint8_t code = dtype_code(dtype);
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
    return guarded([&] {
        Shape shape = shape_from_args(args, n, "sum_to_size");
        bool total = shape.ndim == 0 && T(self)->ndim == 0 && !is_inexact(T(self)->dtype);  // a sum of integers is int64
        return wrap(total ? cast(T(self), kInt64) : sum_to(T(self), shape));
    });
}

// squeeze_, unsqueeze_, transpose_, t_: the tensor takes the layout, and the history, of a view of itself.
void relayout(Tensor* t, const TensorRef& v, const char* operation) {
    if (GradMode::enabled && t->requires_grad && !(t->autograd && t->autograd->grad_fn))
        fail(ErrorKind::Autograd, std::string(operation) + ": a leaf Variable that requires grad is being used in an in-place operation; use the version without underscore");
    t->ndim = v->ndim;
    t->contiguous = v->contiguous;
    for (int i = 0; i < v->ndim; ++i) t->sizes[i] = v->sizes[i], t->strides[i] = v->strides[i];
    if (v->autograd && v->autograd->grad_fn) set_history(t, v->autograd->grad_fn.get(), v->autograd->output_number);
}
template <PyObject* (*method)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*)>
PyObject* in_place_layout(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* names) {
    Owned viewed(method(self, args, n, names));
    if (!viewed) return nullptr;
    return guarded([&] {
        relayout(T(self), TensorRef(tensor_of(viewed)), "in-place change of layout");
        return Py_NewRef(self);
    });
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
    ENTRY("is_contiguous", m_is_contiguous, "is_contiguous(memory_format=None)\n--\n\nWhether the elements are dense in the order of the format; row-major without one."),
    ENTRY("data_ptr", m_data_ptr, "data_ptr()\n--\n\nThe address of the first element."),
    ENTRY("element_size", m_element_size, "element_size()\n--\n\nBytes of one element."),
    ENTRY("is_floating_point", m_is_floating_point, "is_floating_point()\n--\n\nWhether the dtype is a float."),
    ENTRY("is_complex", m_is_complex, "is_complex()\n--\n\nWhether the dtype is complex."),
    ENTRY("is_inference", m_is_inference, "is_inference()\n--\n\nWhether the tensor was made under inference_mode."),
    ENTRY("item", m_item, "item()\n--\n\nThe only element as a Python number."),
    ENTRY("tolist", m_tolist, "tolist()\n--\n\nThe elements as nested lists of Python numbers."),
    ENTRY("contiguous", m_contiguous, "contiguous(memory_format=None)\n--\n\nThis tensor if it is laid out so, else a copy that is; row-major without a format."),
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
    ENTRY("squeeze_", in_place_layout<m_squeeze>, "squeeze_(dim=None)\n--\n\nDrop dimensions of size 1, in place."),
    ENTRY("unsqueeze_", in_place_layout<m_unsqueeze>, "unsqueeze_(dim)\n--\n\nInsert a dimension of size 1, in place."),
    ENTRY("transpose_", in_place_layout<m_transpose>, "transpose_(dim0, dim1)\n--\n\nExchange two dimensions, in place."),
    ENTRY("swapaxes_", in_place_layout<m_transpose>, "swapaxes_(axis0, axis1)\n--\n\nExchange two dimensions, in place."),
    ENTRY("t_", in_place_layout<m_t>, "t_()\n--\n\nTranspose a matrix, in place."),
    ENTRY("sum_to_size", m_sum_to_size, "sum_to_size(*size)\n--\n\nSum the dimensions that broadcasting from size would repeat."),
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

PyMethodDef* tensor_methods() { return methods; }

}  // namespace flambeau
