// How sparse tensors meet the core: they are Python objects (flambeau/sparse), no tensors of the core. A call of the core
// that failed on one is handed to Python; a gradient that is one travels through the tape in a carrier, a tensor header
// without elements of its own.
// It is not: any rule for sparse tensors. Included by the bindings that meet them.
#pragma once
#include "python.h"

namespace flambeau {

bool is_sparse_object(PyObject* o);
// After a failed call: if an argument (or an item of a list of arguments) is a sparse tensor, what Python makes of the
// call; else null, and the error stands.
PyObject* sparse_call(PyObject* function, PyObject* const* args, Py_ssize_t n, PyObject* keywords);
PyObject* sparse_call(const char* name, PyObject* const* args, Py_ssize_t n);
// The carrier of a sparse gradient, and the Python object in one.
TensorRef carrier_of(PyObject* sparse);
inline PyObject* carried(const Tensor* t) { return static_cast<PyObject*>(t->storage->owner); }
// A tensor given as a gradient: as it is, or the carrier of a sparse one.
TensorRef expect_gradient(PyObject* o, const char* what);
int add_sparse(PyObject* module);

}  // namespace flambeau
