// Finds batched proxies among the arguments of a call and hands such calls to Python; see python_batching.h.
// It is not: the proxies or their rules (flambeau/func).
#include "python_batching.h"

namespace flambeau {

Batching batching;

bool is_batched(PyObject* o) { return batching.type && Py_TYPE(o) == batching.type; }

void refuse_batched(const char* operation) {
    fail(ErrorKind::Runtime, std::string(operation) + ": vmap: inplace arithmetic(self, *extra_args) is not possible: self is a tensor from "
                             "outside of vmap and has no room for one value an example; use the version that is not in place, or clone a batched tensor first");
}

namespace {

// Proxies are arguments, or in tuples and lists of them (indices, operands, lists of lists for foreach).
bool holds_batched(PyObject* o, int depth) {
    if (is_batched(o)) return true;
    if (depth == 0) return false;
    if (PyTuple_Check(o)) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(o); ++i)
            if (holds_batched(PyTuple_GET_ITEM(o, i), depth - 1)) return true;
    } else if (PyList_Check(o)) {
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(o); ++i)
            if (holds_batched(PyList_GET_ITEM(o, i), depth - 1)) return true;
    } else if (PySlice_Check(o)) {
        auto* s = reinterpret_cast<PySliceObject*>(o);
        return is_batched(s->start) || is_batched(s->stop) || is_batched(s->step);
    }
    return false;
}

// add_batching_levels(count): vmaps begin (or end, with a negative count).
PyObject* py_add_levels(PyObject*, PyObject* count) {
    long n = PyLong_AsLong(count);
    if (n == -1 && PyErr_Occurred()) return nullptr;
    batching.levels += int(n);
    Py_RETURN_NONE;
}
thread_local bool watching = false;  // inside of the watcher: what it calls is not watched again

PyObject* watched_call(PyObject* function, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
    return guarded([&]() -> PyObject* {
        Owned positional(checked(PyTuple_New(n))), named(checked(PyDict_New()));
        for (Py_ssize_t i = 0; i < n; ++i) PyTuple_SET_ITEM(positional.p, i, Py_NewRef(args[i]));
        for (Py_ssize_t i = 0; keywords && i < PyTuple_GET_SIZE(keywords); ++i)
            if (PyDict_SetItem(named, PyTuple_GET_ITEM(keywords, i), args[n + i])) python_failed();
        PyObject* three[3] = {function, positional, named};
        watching = true;
        PyObject* result = PyObject_Vectorcall(batching.watcher, three, 3, nullptr);
        watching = false;
        return checked(result);
    });
}
// set_watcher(function or None): a profiler that every call of an operation or a function of the core goes through
PyObject* py_set_watcher(PyObject*, PyObject* o) {
    PyObject* before = batching.watcher;
    batching.watcher = o == Py_None ? nullptr : Py_NewRef(o);
    batching.levels += (batching.watcher != nullptr) - (before != nullptr);
    operators_call_objects(batching.watcher != nullptr);
    Py_XDECREF(before);
    Py_RETURN_NONE;
}

// set_batching(class of the proxies, handler)
PyObject* py_set_batching(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 2 || !PyType_Check(args[0])) return PyErr_Format(PyExc_TypeError, "set_batching takes (class, handler)");
    batching.type = reinterpret_cast<PyTypeObject*>(Py_NewRef(args[0]));
    batching.handler = Py_NewRef(args[1]);
    Py_RETURN_NONE;
}

PyObject* py_is_batched(PyObject*, PyObject* o) { return PyBool_FromLong(is_batched(o)); }

PyMethodDef functions[] = {
    {"is_batched", py_is_batched, METH_O, "Whether a value stands for one example of a batch, so that it cannot be read."},
    {"add_batching_levels", py_add_levels, METH_O, "add_batching_levels(count): vmaps begin, or end with a negative count."},
    {"set_watcher", py_set_watcher, METH_O, "set_watcher(function or None): a profiler that calls go through."},
    {"set_batching", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(py_set_batching)), METH_FASTCALL,
     "set_batching(class, handler): who answers calls with batched proxies."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

PyObject* batched_call(PyObject* function, bool always, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
    if (batching.watcher && !watching) return watched_call(function, args, n, keywords);
    Py_ssize_t all = n + (keywords ? PyTuple_GET_SIZE(keywords) : 0);
    bool found = always;
    for (Py_ssize_t i = 0; i < all && !found; ++i) found = holds_batched(args[i], 3);
    if (!found || !batching.handler) return Py_NotImplemented;
    return guarded([&]() -> PyObject* {
        Owned positional(checked(PyTuple_New(n))), named(checked(PyDict_New()));
        for (Py_ssize_t i = 0; i < n; ++i) PyTuple_SET_ITEM(positional.p, i, Py_NewRef(args[i]));
        for (Py_ssize_t i = n; i < all; ++i)
            if (PyDict_SetItem(named, PyTuple_GET_ITEM(keywords, i - n), args[i])) python_failed();
        PyObject* three[3] = {function, positional, named};
        PyObject* result = checked(PyObject_Vectorcall(batching.handler, three, 3, nullptr));
        if (result == Py_NotImplemented) Py_DECREF(result);  // told apart by identity, and never freed
        return result;
    });
}
PyObject* batched_call(const char* name, bool always, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
    Owned text(PyUnicode_InternFromString(name));
    return text ? batched_call(text.p, always, args, n, keywords) : nullptr;
}

int add_batching(PyObject* module) { return PyModule_AddFunctions(module, functions); }

}  // namespace flambeau
