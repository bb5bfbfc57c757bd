// Tensor as a Python number and sequence: operators, comparisons, truth, conversion, iteration, and the buffer that
// NumPy reads. It is not: the operations behind the operators, which flambeau/tensor.py registers.
#include "python_batching.h"
#include "python_sparse.h"
#include "record.h"
#include "views.h"

namespace flambeau {

namespace {

Tensor* T(PyObject* self) { return tensor_of(self); }

enum Slot { kAdd, kSub, kMul, kDiv, kFloorDiv, kMod, kPow, kMatmul, kAnd, kOr, kXor, kShl, kShr, kLt, kLe, kEq, kNe, kGt, kGe, kNeg, kAbs, kNot, kSlots };
const char* slot_names[kSlots] = {"add", "sub", "mul", "div", "floor_divide", "remainder", "pow", "matmul", "and", "or", "xor",
                                  "lshift", "rshift", "lt", "le", "eq", "ne", "gt", "ge", "neg", "abs", "not"};
PyObject* slot_objects[kSlots] = {};
Operation* slot_operations[kSlots] = {};
Operation* in_place_operations[kSlots] = {};

bool acceptable(PyObject* o) {
    return is_tensor(o) || PyFloat_Check(o) || PyLong_Check(o) || PyComplex_Check(o) || PyObject_HasAttrString(o, "__array__") || (PyIndex_Check(o) && !PySequence_Check(o));
}

// NumPy arrays as tensors; everything else as it is.
PyObject* as_operand(PyObject* o) {
    if (is_tensor(o) || PyFloat_Check(o) || PyLong_Check(o) || PyComplex_Check(o) || !PyObject_HasAttrString(o, "__array__")) return Py_NewRef(o);
    return checked(PyObject_CallOneArg(registry.to_tensor, o));
}

template <int slot>
PyObject* binary(PyObject* a, PyObject* b) {
    return guarded([&]() -> PyObject* {
        if (Operation* op = slot_operations[slot]) {
            Operands args;
            if (Py_TYPE(a) == tensor_type && Py_TYPE(b) == tensor_type) {
                args.add(Arg(tensor_of(a)));
                args.add(Arg(tensor_of(b)));
            } else {
                if (!acceptable(a) || !acceptable(b)) Py_RETURN_NOTIMPLEMENTED;
                args.add(operand(a, *op, 0));
                args.add(operand(b, *op, 1));
            }
            int count = int(op->names.size());
            for (int i = 2; i < count; ++i) args.add(op->defaults[i]);
            TensorRef outputs[4];
            call_map(*op, args, count, outputs);
            return wrap(std::move(outputs[0]));
        }
        if (!slot_objects[slot]) fail(ErrorKind::Runtime, std::string("the operator ") + slot_names[slot] + " is not set");
        if (!acceptable(a) || !acceptable(b)) Py_RETURN_NOTIMPLEMENTED;
        Owned left(as_operand(a)), right(as_operand(b));
        PyObject* pair[2] = {left, right};
        return checked(PyObject_Vectorcall(slot_objects[slot], pair, 2, nullptr));
    });
}
template <int slot>
PyObject* in_place(PyObject* a, PyObject* b) {
    return guarded([&]() -> PyObject* {
        Operation* op = in_place_operations[slot];
        if (is_batched(b)) refuse_batched(slot_names[slot]);
        if (op && is_sparse_object(b)) {  // a += sparse changes a
            PyObject* pair[2] = {a, b};
            Owned name(checked(PyUnicode_FromFormat("%s_", slot_names[slot])));
            return checked(sparse_call(name.p, pair, 2, nullptr));
        }
        if (!op || !acceptable(b)) Py_RETURN_NOTIMPLEMENTED;
        Operands args;
        args.add(Arg(tensor_of(a)));
        args.add(operand(b, *op, 1));
        int count = int(op->names.size());
        for (int i = 2; i < count; ++i) args.add(op->defaults[i]);
        call_map_in_place(*op, args, count);
        return Py_NewRef(a);
    });
}
template <int slot>
PyObject* unary(PyObject* a) {
    return guarded([&]() -> PyObject* {
        Operation* op = slot_operations[slot];
        if (!op) return checked(PyObject_CallOneArg(slot_objects[slot], a));
        Arg args[1] = {Arg(tensor_of(a))};
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
        if (is_batched(b)) Py_RETURN_NOTIMPLEMENTED;  // the proxy's own comparison is asked next
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
        reads_value("bool");
        if (t->numel == 0) fail(ErrorKind::Runtime, "bool: Boolean value of Tensor with no values is ambiguous");
        if (t->numel > 1) fail(ErrorKind::Runtime, "bool: Boolean value of Tensor with more than one value is ambiguous (shape " + shape_text(t) + "); use .any() or .all()");
        return PyBool_FromLong(read_truth(t, t->data));
    });
    if (!o) return -1;
    Py_DECREF(o);
    return o == Py_True;
}
PyObject* as_python_number(PyObject* self, PyObject* (*convert)(PyObject*), const char* name) {
    return guarded([&]() -> PyObject* {
        if (T(self)->numel != 1) fail(ErrorKind::Shape, std::string(name) + ": a Tensor with " + std::to_string(T(self)->numel) + " elements cannot be converted to Scalar; only one element tensors can be converted to Python scalars");
        Owned value(element(T(self), T(self)->data));
        if (PyComplex_Check(value.p)) {
            if (PyComplex_ImagAsDouble(value) != 0)
                fail(ErrorKind::Runtime, std::string(name) + ": value cannot be converted to type double without overflow: it is complex; take .real or .abs()");
            value = Owned(checked(PyFloat_FromDouble(PyComplex_RealAsDouble(value))));
        }
        return checked(convert(value));
    });
}
PyObject* to_int(PyObject* self) { return as_python_number(self, PyNumber_Long, "int"); }
PyObject* to_float(PyObject* self) { return as_python_number(self, PyNumber_Float, "float"); }
PyObject* to_index(PyObject* self) {
    return guarded([&]() -> PyObject* {
        if (is_inexact(T(self)->dtype) || T(self)->numel != 1)
            fail(ErrorKind::Type, "index: only integer tensors of a single element can be converted to an index");
        reads_value("index");
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

const char* formats[kDTypes] = {"?", "B", "b", "h", "i", "q", "e", nullptr, "f", "d", "H", "I", "Q", "Zf", "Zd"};
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
    if (recorder) [[unlikely]] {
        guarded([&]() -> PyObject* { reads_value("numpy"); return nullptr; });
        if (PyErr_Occurred()) return -1;
    }
    auto* memory = static_cast<Py_ssize_t*>(PyMem_Malloc(sizeof(Py_ssize_t) * 2 * kMaxDims));
    int size = item_size(t->dtype);
    for (int i = 0; i < t->ndim; ++i) memory[i] = t->sizes[i], memory[kMaxDims + i] = t->strides[i] * size;
    view->buf = t->data;
    view->obj = Py_NewRef(self);
    view->len = t->numel * size;
    view->itemsize = size;
    view->readonly = t->storage->read_only;
    if (!view->readonly) t->storage->exported = true;
    view->ndim = t->ndim;
    view->format = (flags & PyBUF_FORMAT) ? const_cast<char*>(formats[t->dtype]) : nullptr;
    view->shape = (flags & PyBUF_ND) ? memory : nullptr;
    view->strides = (flags & PyBUF_STRIDES) ? memory + kMaxDims : nullptr;
    view->suboffsets = nullptr;
    view->internal = memory;
    return 0;
}
void release_buffer(PyObject*, Py_buffer* view) { PyMem_Free(view->internal); }

#define SLOT(name, function) {name, reinterpret_cast<void*>(function)}
const PyType_Slot slots[] = {
    SLOT(Py_tp_repr, repr), SLOT(Py_tp_hash, hash), SLOT(Py_tp_richcompare, compare), SLOT(Py_tp_iter, iterate),
    SLOT(Py_nb_add, (binary<kAdd>)), SLOT(Py_nb_subtract, (binary<kSub>)),
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
    SLOT(Py_bf_getbuffer, get_buffer), SLOT(Py_bf_releasebuffer, release_buffer)};

}  // namespace

void add_number_slots(std::vector<PyType_Slot>& into) { into.insert(into.end(), std::begin(slots), std::end(slots)); }

void operators_call_objects(bool on) {
    for (int s = 0; s < kSlots; ++s) {
        Operation* op = slot_objects[s] ? operation_of(slot_objects[s]) : nullptr;
        slot_operations[s] = on || !op || op->row ? nullptr : op;
    }
}

void set_operators(PyObject* operators) {
    for (int s = 0; s < kSlots; ++s)
        if (PyObject* o = PyDict_GetItemString(operators, slot_names[s])) {
            slot_objects[s] = Py_NewRef(o);
            slot_operations[s] = operation_of(o);
            if (slot_operations[s] && slot_operations[s]->row) slot_operations[s] = nullptr;
            PyObject* changing = PyDict_GetItemString(operators, (std::string("i") + slot_names[s]).c_str());
            in_place_operations[s] = changing ? operation_of(changing) : slot_operations[s];
        }
}

}  // namespace flambeau
