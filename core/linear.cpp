// See linear.h.
#include "linear.h"

#include <algorithm>

#include "contract.h"
#include "contract_complex.h"
#include "dispatch.h"
#include "plan.h"
#include "rows.h"
#include "views.h"

namespace flambeau {

namespace {

void check_dtypes(const char* operation, const Tensor* a, const char* a_name, const Tensor* b, const char* b_name) {
    if (a->dtype != b->dtype)
        fail(ErrorKind::DType, std::string(operation) + ": expected both operands to have the same dtype, but " + a_name + " is " +
                                   kDTypeNames[a->dtype] + " and " + b_name + " is " + kDTypeNames[b->dtype] + "; convert one, e.g. " +
                                   a_name + ".to(flambeau." + kDTypeNames[b->dtype] + ")" +
                                   (a->dtype == kFloat64 ? " (NumPy arrays are float64: .float() makes them float32)" : ""));
    if (a->dtype == kBool) fail(ErrorKind::DType, std::string(operation) + ": not defined for bool; convert with .float() or .long()");
}

struct Walk {  // the batch dimensions that do not merge into one
    int dims = 0;
    int64_t outer = 1, sizes[kMaxDims], a[kMaxDims], b[kMaxDims], c[kMaxDims];
};

void contract_all(ContractProblem p, const Walk& walk, int size, const char* a, const char* b, char* c, const char* bias) {
    GilRelease unlocked(double(p.m) * double(p.n) * double(p.k) * double(p.batch * walk.outer) > 2e6);
    p.bias = bias;
    for (int64_t o = 0; o < walk.outer; ++o) {
        int64_t rest = o, x = 0, y = 0, z = 0;
        for (int d = walk.dims - 1; d >= 0; --d) {
            int64_t at = rest % walk.sizes[d];
            rest /= walk.sizes[d];
            x += at * walk.a[d], y += at * walk.b[d], z += at * walk.c[d];
        }
        p.a = a + x * size;
        p.b = b + y * size;
        p.c = c + z * size;
        contract(p);
    }
}

// Rows of c, or items of the batch, at a time.
void contract_in_parts(Launch& launch, const ContractProblem& p, int size, bool biased) {
    ContractParts how;
    if (!contract_parts(p, how)) return;
    Parts& parts = launch.parts;
    parts.leading = how.leading;
    bool rows = how.b == 0 && how.leading != p.batch;
    auto operand = [&](int64_t step, int64_t outer, int64_t outer_size, int64_t inner, int64_t inner_size) {
        int64_t strides[3] = {step, outer * size, inner * size}, sizes[3] = {how.leading, outer_size, inner_size};
        if (rows) strides[1] = 0;
        parts.operand(strides, sizes, 3, size);
    };
    operand(how.c, p.c_m, p.m, p.c_n, p.n);
    operand(how.a, p.a_m, p.m, p.a_k, p.k);
    operand(how.b, p.b_k, p.k, p.b_n, p.n);
    if (biased) parts.advance.push_back(0), parts.width.push_back(-1);
    parts.packed = how.packed;
    if (rows) parts.whole = p.k * p.n * size;
    parts.panels = how.panels;
    parts.source = 2;
    if (how.packed)
        parts.pack = [p](const char* b, char* to, int64_t first, int64_t last) { contract_pack(p, b, to, first, last); };
    parts.run = [p, biased, packed = how.packed > 0](char* const* q, int64_t count) {
        contract_part(p, count, q[1], q[2], biased ? q[3] : nullptr, q[0], packed ? q[biased ? 4 : 3] : nullptr);
    };
}

// c[batch..., m, n] = a[batch..., m, k] @ b[batch..., k, n] (+ bias[n]), operands broadcast over the batch; no history.
void contract_into(Tensor* c, const Tensor* a, const Tensor* b, const Tensor* bias) {
    if (is_complex(c->dtype)) [[unlikely]] {
        bool notes = recorder && recorder->records();
        {
            RecordDepth inside;
            contract_complex(c, a, b, bias, contract_into);
        }
        if (!notes) return;
        std::vector<Tensor*> inputs = {const_cast<Tensor*>(a), const_cast<Tensor*>(b)};
        if (bias) inputs.push_back(const_cast<Tensor*>(bias));
        recorder->call("matmul", inputs, {c}, [biased = bias != nullptr](Tensor* const* t) {
            contract_complex(t[biased ? 3 : 2], t[0], t[1], biased ? t[2] : nullptr, contract_into);
        });
        return;
    }
    ContractProblem p;
    int nd = c->ndim;
    // Products of integers wrap around, so those of unsigned ones have the same bits as of signed ones.
    constexpr DType kSigned[] = {kInt16, kInt32, kInt64};
    p.dtype = c->dtype < kUInt16 ? c->dtype : uint8_t(kSigned[c->dtype - kUInt16]);
    p.m = c->sizes[nd - 2];
    p.n = c->sizes[nd - 1];
    p.k = a->sizes[a->ndim - 1];
    p.a_m = a->strides[a->ndim - 2];
    p.a_k = a->strides[a->ndim - 1];
    p.b_k = b->strides[b->ndim - 2];
    p.b_n = b->strides[b->ndim - 1];
    p.c_m = c->strides[nd - 2];
    p.c_n = c->strides[nd - 1];
    if (bias) {
        p.bias_n = bias->ndim ? bias->strides[0] : 0;
    }
    if (c->numel == 0) return;
    // Batch dimensions merge into one where all three walk them evenly; what is left over is looped here.
    Walk walk;
    int64_t *sizes = walk.sizes, *sa = walk.a, *sb = walk.b, *sc = walk.c;
    int& dims = walk.dims;
    auto stride_of = [&](const Tensor* t, int d) {
        int i = d - (nd - t->ndim);
        return i < 0 || t->sizes[i] == 1 ? int64_t(0) : t->strides[i];
    };
    for (int d = 0; d < nd - 2; ++d) {
        if (c->sizes[d] == 1) continue;
        int64_t x = stride_of(a, d), y = stride_of(b, d), z = c->strides[d], n = c->sizes[d];
        if (dims && sa[dims - 1] == x * n && sb[dims - 1] == y * n && sc[dims - 1] == z * n) {
            sizes[dims - 1] *= n;
            sa[dims - 1] = x, sb[dims - 1] = y, sc[dims - 1] = z;
        } else {
            sizes[dims] = n;
            sa[dims] = x, sb[dims] = y, sc[dims] = z;
            ++dims;
        }
    }
    if (dims) {
        --dims;
        p.batch = sizes[dims];
        p.a_batch = sa[dims], p.b_batch = sb[dims], p.c_batch = sc[dims];
    }
    ensure_contraction_kernels(p.dtype);
    for (int d = 0; d < dims; ++d) walk.outer *= sizes[d];
    int size = item_size(c->dtype);
    if (recorder) [[unlikely]] {
        if (recorder->builder) {
            Arg args[3] = {Arg(const_cast<Tensor*>(a)), Arg(const_cast<Tensor*>(b))};
            if (bias) args[2] = Arg(const_cast<Tensor*>(bias));
            TensorRef outputs[1] = {TensorRef(c)};
            char* bases[4] = {c->data, a->data, b->data, bias ? bias->data : nullptr};
            Launch& launch = recorder->builder->add(args, bias ? 3 : 2, outputs, 1, bases);
            launch.run = [p, walk, size, biased = bias != nullptr](char* const* q) {
                contract_all(p, walk, size, q[1], q[2], q[0], biased ? q[3] : nullptr);
            };
            launch.cost = double(p.m) * double(p.n) * double(p.k) * double(p.batch * walk.outer) / (size < 8 ? 64 : 32);
            if (walk.outer == 1) contract_in_parts(launch, p, size, bias != nullptr);
            return;
        }
        if (recorder->records()) recorder->contract(c, a, b, bias);
    }
    contract_all(p, walk, size, a->data, b->data, c->data, bias ? bias->data : nullptr);
}

TensorRef transposed(Tensor* t) { return transpose(t, t->ndim - 2, t->ndim - 1); }

// Both at least matrices.
TensorRef batched(Tensor* a, Tensor* b) {
    Shape shape, other;
    for (int i = 0; i + 2 < a->ndim; ++i) shape.sizes[shape.ndim++] = a->sizes[i];
    for (int i = 0; i + 2 < b->ndim; ++i) other.sizes[other.ndim++] = b->sizes[i];
    if (!broadcast_shapes(shape, other))
        fail(ErrorKind::Shape, "matmul: the batch dimensions cannot be broadcast: input is " + shape_text(a) + ", other is " + shape_text(b));
    shape.sizes[shape.ndim++] = a->sizes[a->ndim - 2];
    shape.sizes[shape.ndim++] = b->sizes[b->ndim - 1];
    TensorRef c = empty(shape, a->dtype);
    contract_into(c.get(), a, b, nullptr);
    if (recording(a, b)) {
        auto function = [a_shape = a->shape(), b_shape = b->shape()](auto& self, TensorRef* gradients, TensorRef* results) {
            if (!gradients[0]) return;
            if (self.released) Saved().unpack(&self);
            if (self.needs(0)) {
                TensorRef right = self.saved[1].unpack(&self);
                TensorRef g = matmul(gradients[0].get(), conj(transposed(right.get()).get()).get());
                results[0] = sum_to(g.get(), a_shape);
            }
            if (self.needs(1)) {
                TensorRef left = self.saved[0].unpack(&self);
                TensorRef g = matmul(conj(transposed(left.get()).get()).get(), gradients[0].get());
                results[1] = sum_to(g.get(), b_shape);
            }
        };
        auto* node = new FunctionNode<decltype(function)>(a->ndim == 2 && b->ndim == 2 ? "MmBackward0" : "MatmulBackward0", function);
        Ref<Node> keep(node);
        Tensor* inputs[2] = {a, b};
        connect(node, inputs, 2);
        node->saved.resize(2);
        if (node->needs(1)) node->saved[0].save(a);
        if (node->needs(0)) node->saved[1].save(b);
        set_history(c.get(), node, 0);
    }
    if (GradMode::inference) c->inference = true;
    return c;
}

}  // namespace

void contract_step(Tensor* c, const Tensor* a, const Tensor* b, const Tensor* bias) { contract_into(c, a, b, bias); }

TensorRef matmul(Tensor* a, Tensor* b) {
    if (a->ndim == 0 || b->ndim == 0)
        fail(ErrorKind::Shape, "matmul: both arguments to matmul need to be at least 1D, but they are " + std::to_string(a->ndim) + "D and " +
                                   std::to_string(b->ndim) + "D; use * to scale by a number");
    check_dtypes("matmul", a, "input", b, "other");
    int64_t inner_a = a->sizes[a->ndim - 1], inner_b = b->sizes[b->ndim == 1 ? 0 : b->ndim - 2];
    if (inner_a != inner_b)
        fail(ErrorKind::Shape, "matmul: inner sizes differ: input is " + shape_text(a) + ", other is " + shape_text(b) +
                                   "; mat1 and mat2 shapes cannot be multiplied: the last size of input must equal the " +
                                   (b->ndim == 1 ? "size" : "second to last size") + " of other");
    TensorRef left(a), right(b);
    if (a->ndim == 1) left = unsqueeze(a, 0);
    if (b->ndim == 1) right = unsqueeze(b, 1);
    TensorRef c;
    if (right->ndim == 2 && left->ndim > 2 && left->contiguous && left->numel > 0) {
        // One matrix for the whole batch: the batch is more rows.
        Shape rows{left->numel / inner_a, inner_a};
        TensorRef folded = batched(reshape(left.get(), rows).get(), right.get());
        Shape shape = left->shape();
        shape.sizes[shape.ndim - 1] = right->sizes[1];
        c = reshape(folded.get(), shape);
    } else {
        c = batched(left.get(), right.get());
    }
    if (a->ndim == 1) c = squeeze(c.get(), 1u << (c->ndim - 2));
    if (b->ndim == 1) c = squeeze(c.get(), 1u << (c->ndim - 1));
    return c;
}

TensorRef linear(Tensor* x, Tensor* weight, Tensor* bias) {
    if (weight->ndim != 2) {
        if (weight->ndim == 1) {
            if (bias && (bias->numel != 1 || bias->ndim > 1))
                fail(ErrorKind::Shape, "linear: bias must have one element beside a weight of shape " + shape_text(weight) +
                                           " (in_features,), it is " + shape_text(bias));
            TensorRef y = matmul(x, weight);
            return bias ? add_tensors(y.get(), bias) : y;
        }
        fail(ErrorKind::Shape, "linear: weight must be a matrix (out_features, in_features), it is " + shape_text(weight));
    }
    if (x->ndim == 0 || x->sizes[x->ndim - 1] != weight->sizes[1])
        fail(ErrorKind::Shape, "linear: inner sizes differ: input is " + shape_text(x) + ", weight is " + shape_text(weight) +
                                   " (out_features, in_features): mat1 and mat2 shapes cannot be multiplied; the last size of input must be " + std::to_string(weight->sizes[1]));
    check_dtypes("linear", x, "input", weight, "weight");
    if (bias) {
        check_dtypes("linear", bias, "bias", weight, "weight");
        if (bias->ndim > 1 || (bias->ndim == 1 && bias->sizes[0] != weight->sizes[0] && bias->sizes[0] != 1))
            fail(ErrorKind::Shape, "linear: bias must have shape (" + std::to_string(weight->sizes[0]) + ",), it is " + shape_text(bias));
    }
    if (x->ndim != 2) {
        Shape shape = x->shape(), rows{x->sizes[x->ndim - 1] ? x->numel / x->sizes[x->ndim - 1] : 0, x->sizes[x->ndim - 1]};
        if (x->sizes[x->ndim - 1] == 0) {
            rows.sizes[0] = 1;
            for (int i = 0; i + 1 < x->ndim; ++i) rows.sizes[0] *= x->sizes[i];
        }
        TensorRef y = linear(reshape(x, rows).get(), weight, bias);
        shape.sizes[shape.ndim - 1] = weight->sizes[0];
        return reshape(y.get(), shape);
    }
    TensorRef y = empty(Shape{x->sizes[0], weight->sizes[0]}, x->dtype);
    TensorRef wt = alias(weight);
    std::swap(wt->sizes[0], wt->sizes[1]);
    std::swap(wt->strides[0], wt->strides[1]);
    TensorRef wide_bias;
    if (bias) {
        GradModeGuard off(false);
        wide_bias = expand(bias, Shape{weight->sizes[0]});
    }
    contract_into(y.get(), x, wt.get(), wide_bias.get());
    if (GradMode::enabled && (x->requires_grad || weight->requires_grad || (bias && bias->requires_grad))) {
        Shape bias_shape = bias ? bias->shape() : Shape();
        auto function = [bias_shape](auto& self, TensorRef* gradients, TensorRef* results) {
            if (!gradients[0]) return;
            if (self.released) Saved().unpack(&self);
            Tensor* g = gradients[0].get();
            if (self.needs(0)) results[0] = matmul(g, conj(self.saved[1].unpack(&self).get()).get());
            if (self.needs(1)) results[1] = matmul(transposed(g).get(), conj(self.saved[0].unpack(&self).get()).get());
            if (self.needs(2)) results[2] = sum_to(g, bias_shape);
        };
        auto* node = new FunctionNode<decltype(function)>("LinearBackward0", function);
        Ref<Node> keep(node);
        Tensor* inputs[3] = {x, weight, bias};
        connect(node, inputs, 3);
        node->saved.resize(2);
        if (node->needs(1)) node->saved[0].save(x);
        if (node->needs(0)) node->saved[1].save(weight);
        set_history(y.get(), node, 0);
    }
    if (GradMode::inference) y->inference = true;
    return y;
}

}  // namespace flambeau
