// Autocast for Python: entering and leaving regions, and the operations that run in float32 there; see autocast.h.
// It is not: where products ask for it (python_functions.cpp, python_convolve.cpp).
#include <unordered_set>

#include "autocast.h"
#include "dispatch.h"
#include "python.h"
#include "views.h"

namespace flambeau {

constinit thread_local uint8_t Autocast::dtype = kDTypes;

TensorRef lowered(Tensor* t) {
    const bool narrow = t->dtype == kFloat32 || t->dtype == kFloat16 || t->dtype == kBFloat16;
    if (!narrow || t->dtype == Autocast::dtype) return TensorRef(t);
    return cast(t, Autocast::dtype);
}

namespace {

std::unordered_set<std::string> wide_operations;

PyObject* current(uint8_t code) { return Py_NewRef(code == kDTypes ? Py_None : registry.dtypes[code]); }

// set_autocast(dtype or None) -> the one before: what this thread's products compute in from now on
PyObject* py_set_autocast(PyObject*, PyObject* dtype) {
    return guarded([&]() -> PyObject* {
        uint8_t before = Autocast::dtype, now = dtype == Py_None ? uint8_t(kDTypes) : dtype_code(dtype);
        if (now != kDTypes && !is_float(now)) fail(ErrorKind::DType, "autocast: the dtype must be a floating one");
        Autocast::regions += (now != kDTypes) - (before != kDTypes);
        Autocast::dtype = now;
        return current(before);
    });
}
PyObject* py_autocast_dtype(PyObject*, PyObject*) { return current(Autocast::dtype); }
// set_wide_operations(names): those whose operands become float32 in a region
PyObject* py_set_wide(PyObject*, PyObject* names) {
    return guarded([&]() -> PyObject* {
        Owned fast(checked(PySequence_Fast(names, "set_wide_operations takes names")));
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fast.p); ++i) wide_operations.insert(PyUnicode_AsUTF8(PySequence_Fast_GET_ITEM(fast.p, i)));
        Py_RETURN_NONE;
    });
}

PyMethodDef functions[] = {{"set_autocast", py_set_autocast, METH_O, "set_autocast(dtype or None): what products compute in; returns what it was."},
                           {"autocast_dtype", py_autocast_dtype, METH_NOARGS, "What products compute in, None without autocast."},
                           {"set_wide_operations", py_set_wide, METH_O, "set_wide_operations(names): operations whose operands become float32."},
                           {nullptr, nullptr, 0, nullptr}};

}  // namespace

std::vector<Owned> widened(const std::string& operation, PyObject* const* args, Py_ssize_t n) {
    std::vector<Owned> out;
    if (!Autocast::on() || !wide_operations.count(operation)) return out;
    out.reserve(size_t(n));
    for (Py_ssize_t i = 0; i < n; ++i) {
        Tensor* t = is_tensor(args[i]) ? tensor_of(args[i]) : nullptr;
        const bool narrow = t && (t->dtype == kFloat16 || t->dtype == kBFloat16);
        out.emplace_back(narrow ? wrap(cast(t, kFloat32)) : Py_NewRef(args[i]));
    }
    return out;
}

int add_autocast(PyObject* module) { return PyModule_AddFunctions(module, functions); }

}  // namespace flambeau
