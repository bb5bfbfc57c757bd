// The convolutions of flambeau._core. Arguments were checked and normalised in flambeau/ops/convolution.py.
#include "autocast.h"
#include "convolve.h"
#include "convolve_kernels.h"
#include "python_batching.h"
#include "views.h"

namespace flambeau {

namespace {

void request_kernels(uint8_t dtype) {
    if (!registry.bridge) registry.bridge = checked(PyImport_ImportModule("flambeau.compiler.bridge"));
    Owned address(checked(PyObject_CallMethod(registry.bridge, "convolution", "i", int(dtype))));
    register_convolve_kernels(dtype, PyLong_AsVoidPtr(address));
}

TensorRef finished(TensorRef result, const TensorRef& rounded) { return rounded ? lowered(result.get()) : result; }

// convolution(input, weight, bias, stride, padding, dilation, groups, output shape or None): transposed with a shape
PyObject* py_convolution(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&] {
        if (n != 8) fail(ErrorKind::Type, "convolution() takes 8 arguments");
        Tensor *input = expect_tensor(args[0], "convolution: input"), *weight = expect_tensor(args[1], "convolution: weight");
        Tensor* bias = args[2] == Py_None ? nullptr : expect_tensor(args[2], "convolution: bias");
        TensorRef rounded[3];
        if (Autocast::on() && input->dtype == kFloat32 && weight->dtype == kFloat32) [[unlikely]] {
            // Computed in float32 on operands of the narrower dtype, like every convolution of that dtype.
            Tensor** operands[3] = {&input, &weight, &bias};
            for (int i = 0; i < (bias ? 3 : 2); ++i) rounded[i] = cast(lowered(*operands[i]).get(), kFloat32), *operands[i] = rounded[i].get();
        }
        ConvolutionOptions options;
        options.dims = weight->ndim - 2;
        Shape stride = shape_from(args[3], "convolution"), padding = shape_from(args[4], "convolution");
        Shape dilation = shape_from(args[5], "convolution");
        if (options.dims < 1 || options.dims > 3 || input->ndim != weight->ndim || stride.ndim != options.dims ||
            padding.ndim != options.dims || dilation.ndim != options.dims)
            fail(ErrorKind::Shape, "convolution: input is " + shape_text(input) + ", weight is " + shape_text(weight) +
                                       ": both must have 3 to 5 dimensions, with one option for each but two");
        options.groups = as_int(args[6], "convolution");
        const bool transposed = args[7] != Py_None;
        const int64_t inner = transposed ? weight->sizes[0] : weight->sizes[1] * options.groups;
        if (options.groups < 1 || weight->sizes[0] % options.groups || input->sizes[1] != inner)
            fail(ErrorKind::Shape, "convolution: input is " + shape_text(input) + ", weight is " + shape_text(weight) +
                                       ": the channels do not fit " + std::to_string(options.groups) + " groups");
        if (input->dtype != weight->dtype || (bias && bias->dtype != weight->dtype) ||
            (input->dtype != kFloat32 && input->dtype != kFloat64 && input->dtype != kInt64))
            fail(ErrorKind::DType, std::string("convolution: input is ") + kDTypeNames[input->dtype] + ", weight is " + kDTypeNames[weight->dtype]);
        for (int d = 0; d < options.dims; ++d) {
            options.stride[d] = stride.sizes[d], options.padding[d] = padding.sizes[d], options.dilation[d] = dilation.sizes[d];
            if (options.stride[d] < 1 || options.dilation[d] < 1 || options.padding[d] < 0)
                fail(ErrorKind::Runtime, "convolution: stride and dilation must be positive and padding not negative");
        }
        if (!transposed) {
            for (int d = 0; d < options.dims; ++d)
                if (input->sizes[2 + d] + 2 * options.padding[d] < options.dilation[d] * (weight->sizes[2 + d] - 1) + 1)
                    fail(ErrorKind::Shape, "convolution: the kernel is larger than the padded input");
            return wrap(finished(convolve(input, weight, bias, options), rounded[0]));
        }
        Shape shape = shape_from(args[7], "convolution");
        for (int d = 0; d < options.dims && shape.ndim == input->ndim; ++d) {
            const int64_t reach = shape.sizes[2 + d] + 2 * options.padding[d] - options.dilation[d] * (weight->sizes[2 + d] - 1) - 1;
            if (reach < 0 || reach / options.stride[d] + 1 < input->sizes[2 + d]) shape.ndim = -1;
        }
        if (shape.ndim != input->ndim || shape.sizes[0] != input->sizes[0] || shape.sizes[1] != weight->sizes[1] * options.groups)
            fail(ErrorKind::Shape, "convolution: the shape of the result does not fit the input " + shape_text(input));
        return wrap(finished(convolve_transposed(input, weight, bias, shape, options), rounded[0]));
    });
}

PyMethodDef functions[] = {
    Batchable<py_convolution>::entry(
        "convolution", "convolution(input, weight, bias, stride, padding, dilation, groups, shape): transposed when a result's shape is given"),
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

int add_convolution(PyObject* module) {
    request_convolve_kernels = request_kernels;
    return PyModule_AddFunctions(module, functions);
}

}  // namespace flambeau
