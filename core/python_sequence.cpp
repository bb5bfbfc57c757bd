// Functions of flambeau._core for sequences: attention and recurrent layers, without history (flambeau/ops records it).
#include "attention.h"
#include "contract.h"
#include "python.h"
#include "record.h"
#include "recurrent.h"
#include "rows.h"

namespace flambeau {

namespace {

Tensor* item_at(PyObject* tuple, Py_ssize_t i, const char* what) { return expect_tensor(checked(PyTuple_GetItem(tuple, i)), what); }
void* address_at(PyObject* tuple, Py_ssize_t i) { return PyLong_AsVoidPtr(checked(PyTuple_GetItem(tuple, i))); }
int64_t integer_at(PyObject* tuple, Py_ssize_t i) { return as_int(checked(PyTuple_GetItem(tuple, i)), "a kernel"); }
AttentionKernel kernel_at(PyObject* tuple, Py_ssize_t i) { return {address_at(tuple, i), integer_at(tuple, i + 1)}; }

AttentionOperand matrix(const Tensor* t) {
    if (t->ndim != 4) fail(ErrorKind::Shape, "attention: an operand must have 4 dimensions, it is " + shape_text(t));
    return {t->data, t->strides[0], t->strides[1], t->strides[2], t->strides[3]};
}

// (operands, mask, summary, causal, dropout, numbers, kernels, more)
Attention attention_from(PyObject* const* args, Py_ssize_t n) {
    if (n != 8) fail(ErrorKind::Type, "attention takes 8 arguments");
    Attention a;
    const Tensor *q = item_at(args[0], 0, "q"), *k = item_at(args[0], 1, "k"), *v = item_at(args[0], 2, "v"),
                 *out = item_at(args[0], 3, "out");
    a.q = matrix(q), a.k = matrix(k), a.v = matrix(v), a.out = matrix(out);
    a.dtype = q->dtype;
    a.batch = q->sizes[0], a.heads = q->sizes[1], a.queries = q->sizes[2], a.inner = q->sizes[3];
    a.keys = k->sizes[2], a.width = v->sizes[3];
    if (k->dtype != a.dtype || v->dtype != a.dtype || out->dtype != a.dtype || !k->sizes[1] || a.heads % k->sizes[1] ||
        k->sizes[0] != a.batch || v->sizes[0] != a.batch || k->sizes[3] != a.inner || v->sizes[2] != a.keys ||
        v->sizes[1] != k->sizes[1] || out->sizes[0] != a.batch || out->sizes[1] != a.heads || out->sizes[2] != a.queries ||
        out->sizes[3] != a.width)
        fail(ErrorKind::Shape, "attention: the operands do not fit each other");
    a.group = a.heads / k->sizes[1];
    if (args[1] != Py_None) {
        const Tensor* mask = expect_tensor(args[1], "mask");
        a.mask = matrix(mask);
        a.mask_item = item_size(mask->dtype);
        if (mask->sizes[0] != a.batch || mask->sizes[1] != a.heads || mask->sizes[2] != a.queries || mask->sizes[3] != a.keys)
            fail(ErrorKind::Shape, "attention: the mask does not fit");
    }
    if (args[2] != Py_None) a.statistics = expect_tensor(args[2], "summary")->data;
    a.causal = args[3] == Py_True;
    a.dropout = args[4] == Py_True;
    a.scale = PyFloat_AsDouble(checked(PyTuple_GetItem(args[5], 0)));
    a.kept = PyFloat_AsDouble(checked(PyTuple_GetItem(args[5], 1)));
    a.threshold = integer_at(args[5], 2), a.seed = integer_at(args[5], 3), a.position = integer_at(args[5], 4);
    a.plain = kernel_at(args[6], 0), a.causal_kernel = kernel_at(args[6], 2);
    ensure_contraction_kernels(a.dtype);
    return a;
}
double work(const Attention& a) { return double(a.batch) * double(a.heads) * double(a.queries) * double(a.keys) * double(a.inner); }

PyObject* py_attention_forward(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        not_recordable("scaled_dot_product_attention");
        Attention a = attention_from(args, n);
        a.rescale.address = address_at(args[6], 4);
        a.finish.address = address_at(args[6], 5);
        a.summary.address = address_at(args[6], 6);
        {
            GilRelease unlocked(work(a) > 1e6);
            attention_forward(a);
        }
        Py_RETURN_NONE;
    });
}
PyObject* py_attention_backward(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        not_recordable("scaled_dot_product_attention");
        Attention a = attention_from(args, n);
        a.delta = kernel_at(args[6], 4);
        a.gradient = matrix(item_at(args[7], 0, "gradient"));
        a.by_q = matrix(item_at(args[7], 1, "by_q")), a.by_k = matrix(item_at(args[7], 2, "by_k"));
        a.by_v = matrix(item_at(args[7], 3, "by_v"));
        {
            GilRelease unlocked(work(a) > 1e6);
            attention_backward(a);
        }
        Py_RETURN_NONE;
    });
}

// (tensors, sizes, codes, kernels, (hidden, state, gates, reverse, direct, results)); tensors in the order below, or None.
Recurrent recurrent_from(PyObject* const* args, Py_ssize_t n) {
    if (n != 5) fail(ErrorKind::Type, "a recurrent layer takes 5 arguments");
    Recurrent r;
    char* data[15] = {};
    bool first = true;
    if (PyTuple_GET_SIZE(args[0]) != 15) fail(ErrorKind::Type, "a recurrent layer takes 15 tensors or None");
    for (Py_ssize_t i = 0; i < 15; ++i) {
        PyObject* o = checked(PyTuple_GetItem(args[0], i));
        if (o == Py_None) continue;
        const Tensor* t = expect_tensor(o, "a recurrent operand");
        if (first) r.dtype = t->dtype;
        first = false;
        if (t->dtype != r.dtype || !t->contiguous)
            fail(ErrorKind::Runtime, "a recurrent layer needs contiguous operands of one dtype, operand " + std::to_string(i) + " is " + shape_text(t));
        data[i] = t->data;
    }
    r.gate = data[0], r.hidden_gate = data[1], r.weight = data[2], r.bias = data[3], r.projection = data[4];
    r.h = data[5], r.c = data[6], r.previous_h = data[7], r.previous_c = data[8], r.inside = data[9], r.output = data[10];
    r.by_gate = data[11], r.by_hidden_gate = data[12], r.by_inside = data[13], r.by_output = data[14];
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args[1]); ++i) r.sizes.push_back(integer_at(args[1], i));
    for (int64_t size : r.sizes) r.batch = std::max(r.batch, size);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args[2]); ++i) r.operands.push_back(int(integer_at(args[2], i)));
    r.map = address_at(args[3], 0), r.add = address_at(args[3], 1);
    r.hidden = integer_at(args[4], 0), r.state = integer_at(args[4], 1), r.gates = integer_at(args[4], 2);
    r.reverse = integer_at(args[4], 3) != 0, r.direct = integer_at(args[4], 4) != 0, r.results = int(integer_at(args[4], 5));
    ensure_contraction_kernels(r.dtype);
    return r;
}
PyObject* py_recurrent_forward(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        not_recordable("a recurrent layer");
        Recurrent r = recurrent_from(args, n);
        {
            GilRelease unlocked(true);
            recurrent_forward(r);
        }
        Py_RETURN_NONE;
    });
}
PyObject* py_recurrent_backward(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        not_recordable("a recurrent layer");
        Recurrent r = recurrent_from(args, n);
        {
            GilRelease unlocked(true);
            recurrent_backward(r);
        }
        Py_RETURN_NONE;
    });
}

#define FAST(name, function, doc) {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(function)), METH_FASTCALL, doc}
PyMethodDef functions[] = {
    FAST("attention_forward", py_attention_forward, "attention_forward(operands, mask, summary, causal, dropout, numbers, kernels, more)"),
    FAST("attention_backward", py_attention_backward, "attention_backward(operands, mask, summary, causal, dropout, numbers, kernels, more)"),
    FAST("recurrent_forward", py_recurrent_forward, "recurrent_forward(tensors, sizes, codes, kernels, numbers)"),
    FAST("recurrent_backward", py_recurrent_backward, "recurrent_backward(tensors, sizes, codes, kernels, numbers)"),
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

int add_sequences(PyObject* module) { return PyModule_AddFunctions(module, functions); }

}  // namespace flambeau
