// How calls with batched proxies leave the core: inside vmap the arguments may be objects of flambeau/func/batching.py,
// which are no tensors; a function of the core then hands the call to the Python handler registered for them.
// It is not: any rule for a batch (those are Python). Included by the files that define functions of flambeau._core.
#pragma once
#include "python.h"

namespace flambeau {

struct Batching {
    int levels = 0;                    // how many vmaps run, in all threads together: 0 keeps calls on the fast path
    PyTypeObject* type = nullptr;      // the class of the proxies
    PyObject* handler = nullptr;       // handler(function or its name, args, kwargs), or NotImplemented
    PyObject* watcher = nullptr;       // watcher(function or its name, args, kwargs): a profiler, which calls and times it
};
extern Batching batching;

bool is_batched(PyObject* o);
[[noreturn]] void refuse_batched(const char* operation);  // a batched value cannot go into a tensor from outside vmap
// The handler's result, or NotImplemented where there is no proxy among the arguments (`always`: it is asked anyway).
PyObject* batched_call(PyObject* function, bool always, PyObject* const* args, Py_ssize_t n, PyObject* keywords);
PyObject* batched_call(const char* name, bool always, PyObject* const* args, Py_ssize_t n, PyObject* keywords);

// A function of the module that asks for proxies first. `always`: factories, whose results are batched as well.
template <auto function, bool always = false>
struct Batchable;

template <PyObject* (*function)(PyObject*, PyObject* const*, Py_ssize_t), bool always>
struct Batchable<function, always> {
    static inline const char* name = nullptr;
    static PyObject* call(PyObject* module, PyObject* const* args, Py_ssize_t n) {
        if (batching.levels) [[unlikely]]
            if (PyObject* result = batched_call(name, always, args, n, nullptr); result != Py_NotImplemented) return result;
        return function(module, args, n);
    }
    static PyMethodDef entry(const char* label, const char* doc) {
        name = label;
        return {label, reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(call)), METH_FASTCALL, doc};
    }
};
template <PyObject* (*function)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*), bool always>
struct Batchable<function, always> {
    static inline const char* name = nullptr;
    static PyObject* call(PyObject* module, PyObject* const* args, Py_ssize_t n, PyObject* names) {
        if (batching.levels) [[unlikely]]
            if (PyObject* result = batched_call(name, always, args, n, names); result != Py_NotImplemented) return result;
        return function(module, args, n, names);
    }
    static PyMethodDef entry(const char* label, const char* doc) {
        name = label;
        return {label, reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(call)), METH_FASTCALL | METH_KEYWORDS, doc};
    }
};
template <PyObject* (*function)(PyObject*, PyObject*), bool always>
struct Batchable<function, always> {
    static inline const char* name = nullptr;
    static PyObject* call(PyObject* module, PyObject* o) {
        if (batching.levels) [[unlikely]]
            if (PyObject* result = batched_call(name, always, &o, 1, nullptr); result != Py_NotImplemented) return result;
        return function(module, o);
    }
    static PyMethodDef entry(const char* label, const char* doc) {
        name = label;
        return {label, call, METH_O, doc};
    }
};

}  // namespace flambeau
