// The Python type Tensor: lifetime, attributes, the type object. Methods are in python_methods.cpp, operators in
// python_numbers.cpp; those that are operations or need Python (printing, to()) are attached by flambeau/tensor.py.
#include "python_batching.h"
#include "python_sparse.h"

#include <structmember.h>

#include "record.h"
#include "views.h"

namespace flambeau {

PyTypeObject* tensor_type = nullptr;

namespace {

PyTensor* free_objects = nullptr;  // recycled objects of exactly this type, linked through `dict`
int free_count = 0;

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
int set_requires_grad(PyObject* self, PyObject* value, void*) {
    return guarded([&]() -> PyObject* {
               if (!value) fail(ErrorKind::Type, "requires_grad cannot be deleted");
               require_grad(T(self), is_true(value));
               return Py_None;
           }) ? 0 : -1;
}
PyObject* get_grad(PyObject* self, void*) {
    Tensor* t = T(self);
    if (recorder && !(t->autograd && t->autograd->grad_fn)) [[unlikely]] recorder->leaf(t, true);
    if (!t->autograd || !t->autograd->grad) Py_RETURN_NONE;
    return guarded([&] { return wrap(t->autograd->grad); });
}
int set_grad(PyObject* self, PyObject* value, void*) {
    return guarded([&]() -> PyObject* {
               Tensor* t = T(self);
               if (recorder && !(t->autograd && t->autograd->grad_fn)) [[unlikely]] recorder->leaf(t, false);
               if (!value || value == Py_None) {
                   if (t->autograd) t->autograd->grad = TensorRef();
                   return Py_None;
               }
               TensorRef given = expect_gradient(value, "grad");
               Tensor* g = given.get();
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
    {"is_sparse", get_false, nullptr, "False: this tensor keeps all its elements.", nullptr},
    {"is_quantized", get_false, nullptr, "Always False.", nullptr},
    {"is_meta", get_false, nullptr, "Always False.", nullptr},
    {"is_mps", get_false, nullptr, "Always False.", nullptr},
    {"output_nr", get_output_nr, nullptr, "Which output of grad_fn this tensor is.", nullptr},
    {"retains_grad", get_retains, nullptr, "Whether a non-leaf keeps its gradient.", nullptr},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef members[] = {{"__dictoffset__", T_PYSSIZET, offsetof(PyTensor, dict), READONLY, nullptr},
                         {"__weaklistoffset__", T_PYSSIZET, offsetof(PyTensor, weakrefs), READONLY, nullptr},
                         {nullptr, 0, 0, 0, nullptr}};

std::vector<PyType_Slot> type_slots() {
    std::vector<PyType_Slot> slots = {{Py_tp_new, reinterpret_cast<void*>(new_tensor)},
                                      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
                                      {Py_tp_getset, getset},
                                      {Py_tp_methods, tensor_methods()},
                                      {Py_tp_members, members},
                                      {Py_mp_subscript, reinterpret_cast<void*>(index_get)},
                                      {Py_mp_ass_subscript, reinterpret_cast<void*>(index_set)}};
    add_number_slots(slots);
    slots.push_back({0, nullptr});
    return slots;
}

}  // namespace

PyObject* wrap(TensorRef t) {
    if (t->carrier) [[unlikely]] return Py_NewRef(carried(t.get()));
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
    if (is_batched(o)) refuse_batched(what);
    if (!is_tensor(o)) fail(ErrorKind::Type, std::string(what) + " must be a Tensor, not " + Py_TYPE(o)->tp_name);
    return tensor_of(o);
}

int add_tensor_type(PyObject* module) {
    std::vector<PyType_Slot> slots = type_slots();
    PyType_Spec spec = {"flambeau.Tensor", sizeof(PyTensor), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots.data()};
    tensor_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
    if (!tensor_type) return -1;
    return PyModule_AddObjectRef(module, "Tensor", reinterpret_cast<PyObject*>(tensor_type));
}

}  // namespace flambeau
