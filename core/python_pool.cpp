// Maxima over windows in flambeau._core. Arguments were checked and normalised in flambeau/ops/pooling.py.
#include "pool.h"
#include "python_batching.h"
#include "record.h"
#include "storage.h"
#include "views.h"

namespace flambeau {

namespace {

void request_kernels(uint8_t dtype) {
    if (!registry.bridge) registry.bridge = checked(PyImport_ImportModule("flambeau.compiler.bridge"));
    Owned address(checked(PyObject_CallMethod(registry.bridge, "windows", "i", int(dtype))));
    register_window_kernels(dtype, PyLong_AsVoidPtr(address));
}

// (sizes, out, kernel, stride, padding, dilation), one number of each for every dimension
Windows windows_from(PyObject* const* args, const Tensor* t, bool spread, const char* what) {
    Windows w{};
    for (int d = 0; d < 3; ++d) w.in[d] = w.out[d] = w.kernel[d] = w.stride[d] = w.dilation[d] = 1, w.padding[d] = 0;
    int64_t* into[6] = {w.in, w.out, w.kernel, w.stride, w.padding, w.dilation};
    for (int i = 0; i < 6; ++i) {
        const Shape given = shape_from(args[i], what);
        if (i == 0) w.dims = given.ndim;
        if (given.ndim != w.dims || w.dims < 1 || w.dims > 3 || w.dims > t->ndim)
            fail(ErrorKind::Shape, std::string(what) + ": one number for each of one to three dimensions expected");
        for (int d = 0; d < w.dims; ++d) into[i][3 - w.dims + d] = given.sizes[d];
    }
    bool fits = t->dtype == kFloat32 || t->dtype == kFloat64;
    for (int d = 0; d < 3; ++d) fits = fits && w.in[d] > 0 && w.kernel[d] > 0 && w.stride[d] > 0 && w.dilation[d] > 0 && w.padding[d] >= 0;
    for (int d = 0; d < w.dims; ++d)
        fits = fits && t->sizes[t->ndim - w.dims + d] == (spread ? w.out : w.in)[3 - w.dims + d];
    if (!fits || w.in[0] * w.in[1] * w.in[2] >= int64_t{1} << 31)
        fail(ErrorKind::Shape, std::string(what) + ": the windows do not fit the tensor of shape " + shape_text(t));
    return w;
}

Shape with_plane(const Tensor* t, const Windows& w, const int64_t* plane) {
    Shape shape = t->shape();
    for (int d = 0; d < w.dims; ++d) shape.sizes[shape.ndim - w.dims + d] = plane[3 - w.dims + d];
    return shape;
}

// window_maxima(x, sizes, out, kernel, stride, padding, dilation) -> (best, place)
PyObject* py_maxima(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n != 7) fail(ErrorKind::Type, "window_maxima() takes 7 arguments");
        Tensor* x = expect_tensor(args[0], "window_maxima: x");
        const Windows w = windows_from(args + 1, x, false, "window_maxima");
        GradModeGuard off(false);
        TensorRef source = x->contiguous ? TensorRef(x) : contiguous(x);
        const Shape shape = with_plane(x, w, w.out);
        TensorRef best = empty(shape, x->dtype), place = empty(shape, kInt32);
        Tensor* tensors[3] = {source.get(), best.get(), place.get()};
        run_step("window_maxima", tensors, 1, 2, [w](Tensor* const* t) { window_maxima(w, t[0], t[1], t[2]); });
        Owned a(wrap(best)), b(wrap(place));
        return checked(PyTuple_Pack(2, static_cast<PyObject*>(a), static_cast<PyObject*>(b)));
    });
}

// window_spread(grad, place, sizes, out, kernel, stride, padding, dilation) -> x
PyObject* py_spread(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        if (n != 8) fail(ErrorKind::Type, "window_spread() takes 8 arguments");
        Tensor *grad = expect_tensor(args[0], "window_spread: grad"), *place = expect_tensor(args[1], "window_spread: place");
        const Windows w = windows_from(args + 2, grad, true, "window_spread");
        if (place->dtype != kInt32 || !(place->shape() == grad->shape()))
            fail(ErrorKind::Shape, "window_spread: grad is " + shape_text(grad) + ", place is " + shape_text(place) + ": int32 of the same shape expected");
        GradModeGuard off(false);
        TensorRef values = grad->contiguous ? TensorRef(grad) : contiguous(grad), places = place->contiguous ? TensorRef(place) : contiguous(place);
        TensorRef x = empty(with_plane(grad, w, w.in), grad->dtype);
        Tensor* tensors[3] = {values.get(), places.get(), x.get()};
        run_step("window_spread", tensors, 2, 1, [w](Tensor* const* t) { window_spread(w, t[0], t[1], t[2]); });
        return wrap(x);
    });
}

PyMethodDef functions[] = {
    Batchable<py_maxima>::entry("window_maxima", "window_maxima(x, sizes, out, kernel, stride, padding, dilation): the largest elements of windows and their places"),
    Batchable<py_spread>::entry("window_spread", "window_spread(grad, place, sizes, out, kernel, stride, padding, dilation): each gradient at its window's place"),
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

int add_pools(PyObject* module) {
    request_window_kernels = request_kernels;
    return PyModule_AddFunctions(module, functions);
}

}  // namespace flambeau
