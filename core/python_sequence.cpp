// Functions of flambeau._core for sequences: attention and recurrent layers, without history (flambeau/ops records it).
#include <bit>

#include "attention.h"
#include "contract.h"
#include "python_batching.h"
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

// Where a number is read anew at every run of a plan: its tensor.
Tensor* live_at(PyObject* numbers, Py_ssize_t i) {
    PyObject* o = checked(PyTuple_GetItem(numbers, i));
    return is_tensor(o) ? tensor_of(o) : nullptr;
}
Tensor* tensor_or_null(PyObject* o, const char* what) { return o == Py_None ? nullptr : expect_tensor(o, what); }
char* data_of(const Tensor* t) { return t ? t->data : nullptr; }
int64_t number_in(const Tensor* t, int64_t otherwise) { return t ? *reinterpret_cast<const int64_t*>(t->data) : otherwise; }

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
    a.threshold = integer_at(args[5], 2);
    if (!live_at(args[5], 3)) a.seed = integer_at(args[5], 3), a.position = integer_at(args[5], 4);
    a.plain = kernel_at(args[6], 0), a.causal_kernel = kernel_at(args[6], 2);
    ensure_contraction_kernels(a.dtype);
    return a;
}
double work(const Attention& a) { return double(a.batch) * double(a.heads) * double(a.queries) * double(a.keys) * double(a.inner); }

PyObject* py_attention_forward(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        Attention a = attention_from(args, n);
        a.rescale.address = address_at(args[6], 4);
        a.finish.address = address_at(args[6], 5);
        a.summary.address = address_at(args[6], 6);
        Tensor* tensors[8] = {item_at(args[0], 0, "q"), item_at(args[0], 1, "k"), item_at(args[0], 2, "v"),
                              tensor_or_null(args[1], "mask"), live_at(args[5], 3), live_at(args[5], 4),
                              item_at(args[0], 3, "out"), tensor_or_null(args[2], "summary")};
        run_step("scaled_dot_product_attention", tensors, 6, 2, [a](Tensor* const* t) {
            Attention now = a;
            now.q.data = t[0]->data, now.k.data = t[1]->data, now.v.data = t[2]->data, now.mask.data = data_of(t[3]);
            now.seed = number_in(t[4], a.seed), now.position = number_in(t[5], a.position);
            now.out.data = t[6]->data, now.statistics = data_of(t[7]);
            GilRelease unlocked(work(now) > 1e6);
            attention_forward(now);
        });
        Py_RETURN_NONE;
    });
}
PyObject* py_attention_backward(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        Attention a = attention_from(args, n);
        a.delta = kernel_at(args[6], 4);
        a.gradient = matrix(item_at(args[7], 0, "gradient"));
        a.by_q = matrix(item_at(args[7], 1, "by_q")), a.by_k = matrix(item_at(args[7], 2, "by_k"));
        a.by_v = matrix(item_at(args[7], 3, "by_v"));
        Tensor* tensors[12] = {item_at(args[0], 0, "q"), item_at(args[0], 1, "k"), item_at(args[0], 2, "v"),
                               tensor_or_null(args[1], "mask"), live_at(args[5], 3), live_at(args[5], 4),
                               item_at(args[0], 3, "out"), expect_tensor(args[2], "summary"), item_at(args[7], 0, "gradient"),
                               item_at(args[7], 1, "by_q"), item_at(args[7], 2, "by_k"), item_at(args[7], 3, "by_v")};
        run_step("scaled_dot_product_attention_backward", tensors, 9, 3, [a](Tensor* const* t) {
            Attention now = a;
            now.q.data = t[0]->data, now.k.data = t[1]->data, now.v.data = t[2]->data, now.mask.data = data_of(t[3]);
            now.seed = number_in(t[4], a.seed), now.position = number_in(t[5], a.position);
            now.out.data = t[6]->data, now.statistics = t[7]->data, now.gradient.data = t[8]->data;
            now.by_q.data = t[9]->data, now.by_k.data = t[10]->data, now.by_v.data = t[11]->data;
            GilRelease unlocked(work(now) > 1e6);
            attention_backward(now);
        });
        Py_RETURN_NONE;
    });
}

// (tensors, sizes, codes, kernels, (hidden, state, gates, reverse, direct, results)); tensors in the order below, or None.
Recurrent recurrent_from(PyObject* const* args, Py_ssize_t n) {
    if (n != 5) fail(ErrorKind::Type, "a recurrent layer takes 5 arguments");
    Recurrent r;
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
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args[1]); ++i) r.sizes.push_back(integer_at(args[1], i));
    for (int64_t size : r.sizes) r.batch = std::max(r.batch, size);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args[2]); ++i) r.operands.push_back(int(integer_at(args[2], i)));
    r.map = address_at(args[3], 0), r.add = address_at(args[3], 1);
    r.hidden = integer_at(args[4], 0), r.state = integer_at(args[4], 1), r.gates = integer_at(args[4], 2);
    r.reverse = integer_at(args[4], 3) != 0, r.direct = integer_at(args[4], 4) != 0, r.results = int(integer_at(args[4], 5));
    ensure_contraction_kernels(r.dtype);
    return r;
}
void set_memory(Recurrent& r, Tensor* const* t) {
    r.gate = data_of(t[0]), r.hidden_gate = data_of(t[1]), r.weight = data_of(t[2]), r.bias = data_of(t[3]);
    r.projection = data_of(t[4]), r.h = data_of(t[5]), r.c = data_of(t[6]), r.previous_h = data_of(t[7]);
    r.previous_c = data_of(t[8]), r.inside = data_of(t[9]), r.output = data_of(t[10]), r.by_gate = data_of(t[11]);
    r.by_hidden_gate = data_of(t[12]), r.by_inside = data_of(t[13]), r.by_output = data_of(t[14]);
}
// One step: the 15 tensors, of which it reads those in `reads`, then those that it writes, in `writes`.
template <class Walk>
void walk_recorded(const char* name, const Recurrent& r, PyObject* tensors, uint32_t reads, uint32_t writes, Walk walk) {
    std::vector<Tensor*> given;
    std::vector<int> places;
    for (uint32_t part : {reads, writes})
        for (int i = 0; i < 15; ++i)
            if (part >> i & 1) given.push_back(tensor_or_null(PyTuple_GetItem(tensors, i), name)), places.push_back(i);
    const int inputs = std::popcount(reads);
    run_step(name, given.data(), inputs, int(given.size()) - inputs, [r, places, walk](Tensor* const* t) {
        Recurrent now = r;
        Tensor* all[15] = {};
        for (size_t i = 0; i < places.size(); ++i) all[places[i]] = t[i];
        set_memory(now, all);
        GilRelease unlocked(true);
        walk(now);
    });
}
PyObject* py_recurrent_forward(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        // Reads gates, weights and the state; the gates and the state are written as well, and all that backward needs.
        walk_recorded("recurrent_forward", recurrent_from(args, n), args[0], 0b000'0000'0111'1101, 0b000'0111'1110'0011, recurrent_forward);
        Py_RETURN_NONE;
    });
}
PyObject* py_recurrent_backward(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return guarded([&]() -> PyObject* {
        // Reads what forward left and the cotangents, of which those of the state are written as well.
        walk_recorded("recurrent_backward", recurrent_from(args, n), args[0], 0b000'0111'1111'1111, 0b111'1000'0110'0000, recurrent_backward);
        Py_RETURN_NONE;
    });
}

#define FAST(name, function, doc) Batchable<function>::entry(name, doc)
PyMethodDef functions[] = {
    FAST("attention_forward", py_attention_forward, "attention_forward(operands, mask, summary, causal, dropout, numbers, kernels, more)"),
    FAST("attention_backward", py_attention_backward, "attention_backward(operands, mask, summary, causal, dropout, numbers, kernels, more)"),
    FAST("recurrent_forward", py_recurrent_forward, "recurrent_forward(tensors, sizes, codes, kernels, numbers)"),
    FAST("recurrent_backward", py_recurrent_backward, "recurrent_backward(tensors, sizes, codes, kernels, numbers)"),
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

int add_sequences(PyObject* module) { return PyModule_AddFunctions(module, functions); }

}  // namespace flambeau
