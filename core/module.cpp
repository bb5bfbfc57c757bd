// The extension module flambeau._core: only puts the parts together.
#include <nanobind/nanobind.h>

#include "python_sparse.h"

NB_MODULE(_core, m) {
    using namespace flambeau;
    if (add_tensor_type(m.ptr()) || add_conversions(m.ptr()) || add_operation_type(m.ptr()) || add_autograd(m.ptr()) || add_functions(m.ptr()) ||
        add_dlpack(m.ptr()) || add_sequences(m.ptr()) || add_plans(m.ptr()) || add_records(m.ptr()) || add_indexing(m.ptr()) || add_convolution(m.ptr()) || add_batching(m.ptr()) ||
        add_pools(m.ptr()) || add_sparse(m.ptr()) || add_autocast(m.ptr()) || add_names(m.ptr()))
        throw nanobind::python_error();
}
