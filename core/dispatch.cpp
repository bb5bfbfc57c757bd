// See dispatch.h.
#include "dispatch.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "loop.h"
#include "operation_node.h"
#include "plan.h"
#include "rows.h"
#include "threads.h"
#include "views.h"

namespace flambeau {

CompilerBridge compiler;
Builtins builtins;
GilBridge gil;

void write_double(uint8_t dtype, char* at, double value) {
    switch (dtype) {
        case kFloat16: { uint16_t h = float_to_half(float(value)); std::memcpy(at, &h, 2); break; }
        case kBFloat16: { uint16_t h = float_to_bfloat(float(value)); std::memcpy(at, &h, 2); break; }
        case kFloat32: { float f = float(value); std::memcpy(at, &f, 4); break; }
        case kFloat64: std::memcpy(at, &value, 8); break;
        case kComplex64: case kComplex128: {
            int part = item_size(dtype) / 2;
            write_double(part_dtype(dtype), at, value);
            std::memset(at + part, 0, size_t(part));
            break;
        }
        case kBool: *at = value != 0; break;
        default: write_int(dtype, at, std::isfinite(value) && std::fabs(value) < 9.3e18 ? int64_t(value) : INT64_MIN);
    }
}

void write_int(uint8_t dtype, char* at, int64_t value) {
    switch (dtype) {
        case kBool: *at = value != 0; break;
        case kUInt8: case kInt8: *at = char(value); break;
        case kInt16: { int16_t v = int16_t(value); std::memcpy(at, &v, 2); break; }
        case kInt32: { int32_t v = int32_t(value); std::memcpy(at, &v, 4); break; }
        case kInt64: case kUInt64: std::memcpy(at, &value, 8); break;
        case kUInt16: { uint16_t v = uint16_t(value); std::memcpy(at, &v, 2); break; }
        case kUInt32: { uint32_t v = uint32_t(value); std::memcpy(at, &v, 4); break; }
        default: write_double(dtype, at, double(value));
    }
}

void write_number(uint8_t dtype, char* at, const Arg& number) {
    if (number.code == kUInt64 && is_inexact(dtype)) write_double(dtype, at, double(uint64_t(number.integer)));
    else if (number.code != kFloat64 && number.code != kComplex128) write_int(dtype, at, number.integer);
    else write_double(dtype, at, number.real);
    if (number.code == kComplex128 && is_complex(dtype)) write_double(part_dtype(dtype), at + item_size(dtype) / 2, number.parts[1]);
}

Resolution& resolution_for(Operation& op, const Arg* args, int count) {
    uint64_t key[2] = {1, 1};
    for (int i = 0; i < count; ++i) {
        const Arg& a = args[i];
        uint64_t category = a.tensor ? (a.tensor->ndim ? 0 : 1) : 2;
        uint64_t& word = key[i / 10];
        word = word << 6 | uint64_t(a.code) << 2 | category;
    }
    if (op.epoch != compiler.epoch) {
        op.resolutions.clear();
        op.epoch = compiler.epoch;
    }
    for (auto& r : op.resolutions)
        if (r->key[0] == key[0] && r->key[1] == key[1]) return *r;
    uint8_t codes[kMaxOperands], categories[kMaxOperands];
    for (int i = 0; i < count; ++i) {
        codes[i] = args[i].code;
        categories[i] = args[i].tensor ? (args[i].tensor->ndim ? 0 : 1) : 2;
    }
    auto r = std::make_unique<Resolution>();
    r->key[0] = key[0];
    r->key[1] = key[1];
    compiler.resolve(op, codes, categories, count, *r);
    if (r->operands + r->outputs + 1 > kMaxOperands)
        fail(ErrorKind::Runtime, op.name + ": too many operands for one kernel");
    op.resolutions.push_back(std::move(r));
    return *op.resolutions.back();
}

namespace {

KernelEntry& map_kernel(Operation& op, Resolution& r, uint64_t classes, const uint8_t* output_codes, int operands) {
    for (KernelEntry& k : r.kernels)
        if (k.classes[0] == classes) return k;
    std::string letters(operands, 'c');
    for (int i = 0; i < operands; ++i) letters[i] = "czsn"[classes >> (2 * i) & 3];
    void* address = compiler.compile_map(op, r, output_codes, letters);
    r.kernels.push_back(KernelEntry{{classes, 0}, address, 0});
    return r.kernels.back();
}

// While recording: notes the launch. True when it is only prepared for a plan, and not to be run.
[[gnu::noinline]] bool note_map(Operation& op, const Resolution& r, const Arg* args, int count, const TensorRef* outputs,
                                MapKernel kernel, char* const* bases, const Loop& loop) {
    if (!recorder->builder) {
        if (recorder->records()) recorder->map(op, r, args, count, outputs);
        return false;
    }
    Launch& launch = recorder->builder->add(args, count, outputs, r.outputs, bases);
    if (loop.operands > r.outputs + count) launch.places.push_back(Place{-2, 0});
    int64_t elements = 1;
    for (int d = 0; d < loop.ndim; ++d) elements *= loop.sizes[d];
    launch.cost = 0.5 * double(elements);
    auto shared = std::make_shared<Loop>(loop);
    if (loop.ndim <= 1 && (loop.ndim == 0 || loop.sizes[0] < kParallelWork)) {
        launch.kind = LaunchKind::Flat;
        launch.kernel = kernel;
        launch.size = loop.ndim ? loop.sizes[0] : 1;
        for (int o = 0; o < loop.operands; ++o) launch.strides.push_back(loop.ndim ? loop.strides[o][0] : 0);
    } else {
        launch.run = [kernel, shared](char* const* pointers) { run_loop(kernel, pointers, *shared); };
    }
    if (loop.ndim && !reads_across(loop)) {
        Parts& parts = launch.parts;
        parts.leading = loop.sizes[0];
        for (int o = 0; o < loop.operands; ++o) {
            int64_t item = o < r.outputs ? item_size(outputs[o]->dtype) : o < r.outputs + count ? item_size(args[o - r.outputs].code) : 1;
            parts.operand(loop.strides[o], loop.sizes, loop.ndim, item);
        }
        parts.run = [kernel, shared](char* const* pointers, int64_t count) {
            Loop some = *shared;
            some.sizes[0] = count;
            int64_t inner = some.sizes[some.ndim - 1], outer = 1;
            for (int d = 0; d + 1 < some.ndim; ++d) outer *= some.sizes[d];
            run_block(kernel, pointers, some, 0, outer, 0, inner);
        };
    }
    return true;
}

std::string shapes_text(Operation& op, const Arg* args, int count) {
    std::string text;
    for (int i = 0; i < count; ++i)
        if (args[i].tensor)
            text += (text.empty() ? "" : ", ") + (i < int(op.names.size()) ? op.names[i] : std::to_string(i)) + " is " +
                    shape_text(args[i].tensor.get());
    return text;
}

}  // namespace

bool streams(const Tensor* output) { return output->numel * item_size(output->dtype) >= (int64_t(32) << 20); }

Shape broadcast_of(Operation& op, const Arg* args, int count) {
    Shape shape;
    for (int i = 0; i < count; ++i)
        if (args[i].tensor && !broadcast_shapes(shape, args[i].tensor->shape()))
            fail(ErrorKind::Shape, op.name + ": the shapes cannot be broadcast: " + shapes_text(op, args, count) +
                                       " (The size of tensor a must match the size of tensor b). Sizes are compared from "
                                       "the last dimension: each pair must be equal, or one of them 1; reshape() or "
                                       "unsqueeze() the operand that is meant to be repeated");
    return shape;
}

void copy_strides(int64_t* into, const Tensor* t, const Shape& shape) {
    int size = item_size(t->dtype), extra = shape.ndim - t->ndim;
    for (int d = 0; d < shape.ndim; ++d) {
        int s = d - extra;
        into[d] = s < 0 || t->sizes[s] == 1 ? 0 : t->strides[s] * size;
    }
}

void run_map(Operation& op, Resolution& r, Arg* args, int count, TensorRef* outputs) {
    char* bases[kMaxOperands];
    int operands = r.outputs + count;
    const Tensor* first = nullptr;
    bool simple = !op.uses_index;
    for (int i = 0; i < count; ++i) {
        const Tensor* t = args[i].tensor.get();
        if (!t) continue;
        if (!t->contiguous) simple = false;
        if (!first) first = t;
        else if (simple && !t->same_shape(*first)) {
            simple = false;
        }
    }
    for (int i = 0; i < r.outputs && simple; ++i)
        if (outputs[i] && !(outputs[i]->contiguous && first && outputs[i]->same_shape(*first))) simple = false;
    if (!first) simple = false;
    uint8_t codes[4];
    if (simple) {
        uint64_t classes = 0;
        int64_t inner[kMaxOperands], outer[kMaxOperands];
        for (int i = 0; i < r.outputs; ++i) {
            bool fresh = !outputs[i];
            if (fresh) outputs[i] = empty(first->shape(), r.output_codes[i]);
            if (fresh && streams(outputs[i].get())) classes |= uint64_t(3) << (2 * i);
            codes[i] = outputs[i]->dtype;
            bases[i] = outputs[i]->data;
            inner[i] = item_size(codes[i]);
            classes |= uint64_t(codes[i]) << (48 + 4 * i);
        }
        for (int i = 0; i < count; ++i) {
            int o = r.outputs + i;
            if (args[i].tensor) {
                bases[o] = args[i].tensor->data;
                inner[o] = item_size(args[i].code);
            } else {
                bases[o] = reinterpret_cast<char*>(&args[i].integer);
                inner[o] = 0;
                classes |= uint64_t(1) << (2 * o);
            }
        }
        int64_t n = first->numel;
        if (n == 0) return;
        KernelEntry& k = map_kernel(op, r, classes, codes, operands);
        auto kernel = reinterpret_cast<MapKernel>(k.address);
        if (recorder) [[unlikely]] {
            Loop loop;
            loop.ndim = 1;
            loop.operands = operands;
            loop.sizes[0] = n;
            for (int o = 0; o < operands; ++o) loop.strides[o][0] = inner[o];
            if (note_map(op, r, args, count, outputs, kernel, bases, loop)) return;
        }
        if (n < kParallelWork) {
            for (int o = 0; o < operands; ++o) outer[o] = 0;
            kernel(bases, inner, outer, n, 1);
        } else {
            Loop loop;
            loop.ndim = 1;
            loop.operands = operands;
            loop.sizes[0] = n;
            for (int o = 0; o < operands; ++o) loop.strides[o][0] = inner[o];
            run_loop(kernel, bases, loop);
        }
        return;
    }
    Shape shape = broadcast_of(op, args, count);
    for (int i = 0; i < r.outputs; ++i)
        if (outputs[i] && !(outputs[i]->shape() == shape)) {
            Shape target = outputs[i]->shape();
            if (!broadcast_shapes(shape, target) || !(shape == target))
                fail(ErrorKind::Shape, op.name + ": the output of shape " + target.text() + " cannot hold the result: " +
                                           shapes_text(op, args, count));
        }
    Loop loop;
    loop.ndim = shape.ndim;
    loop.operands = operands + (op.uses_index ? 1 : 0);
    for (int d = 0; d < shape.ndim; ++d) loop.sizes[d] = shape.sizes[d];
    // A dense input in another order of dimensions (channels last, a transpose) hands its order to the result.
    const Tensor* model = nullptr;
    for (int i = 0; i < count && !op.uses_index; ++i) {
        const Tensor* t = args[i].tensor.get();
        if (!t || !(t->shape() == shape) || t->numel == 0) continue;
        int64_t extent = 1;
        bool broadcast = false;
        for (int d = 0; d < t->ndim; ++d) {
            extent += (t->sizes[d] - 1) * t->strides[d];
            if (t->strides[d] == 0 && t->sizes[d] > 1) broadcast = true;
        }
        if (!broadcast && extent == t->numel) {
            model = t;
            break;
        }
    }
    for (int i = 0; i < r.outputs; ++i) {
        if (!outputs[i])
            outputs[i] = model && !model->contiguous ? empty_strided(shape, model->strides, r.output_codes[i])
                                                     : empty(shape, r.output_codes[i]);
        codes[i] = outputs[i]->dtype;
        bases[i] = outputs[i]->data;
        copy_strides(loop.strides[i], outputs[i].get(), shape);
    }
    for (int i = 0; i < count; ++i) {
        int o = r.outputs + i;
        if (args[i].tensor) {
            bases[o] = args[i].tensor->data;
            copy_strides(loop.strides[o], args[i].tensor.get(), shape);
        } else {
            bases[o] = reinterpret_cast<char*>(&args[i].integer);
            for (int d = 0; d < shape.ndim; ++d) loop.strides[o][d] = 0;
        }
    }
    if (op.uses_index) {
        bases[operands] = nullptr;
        int64_t stride = 1;
        for (int d = shape.ndim - 1; d >= 0; --d) {
            loop.strides[operands][d] = stride;
            stride *= shape.sizes[d];
        }
    }
    if (shape.numel() == 0) return;
    normalise(loop);
    uint64_t classes = 0;
    for (int i = 0; i < r.outputs; ++i) classes |= uint64_t(codes[i]) << (48 + 4 * i);
    for (int o = 0; o < loop.operands; ++o) {
        bool number = o >= r.outputs && o < operands && !args[o - r.outputs].tensor;
        int64_t stride = loop.ndim ? loop.strides[o][loop.ndim - 1] : 0;
        int64_t unit = o == operands ? 1 : o < r.outputs ? item_size(codes[o]) : item_size(args[o - r.outputs].code);
        uint64_t letter = number ? 1 : loop.ndim == 0 || stride == unit ? 0 : stride == 0 && o >= r.outputs ? 1 : 2;
        classes |= letter << (2 * o);
    }
    KernelEntry& k = map_kernel(op, r, classes, codes, loop.operands);
    if (recorder) [[unlikely]]
        if (note_map(op, r, args, count, outputs, reinterpret_cast<MapKernel>(k.address), bases, loop)) return;
    run_loop(reinterpret_cast<MapKernel>(k.address), bases, loop);
}

namespace {

uint32_t needs_of(const Arg* args, int count) {
    uint32_t needs = 0;
    if (!GradMode::enabled) return 0;
    for (int i = 0; i < count; ++i) {
        Tensor* t = args[i].tensor.get();
        if (!t) continue;
        if (t->base) grad_fn_of(t);
        if (t->requires_grad && is_inexact(t->dtype)) needs |= 1u << i;
    }
    return needs;
}

[[noreturn]] void divided_by_zero(const Operation& op) {
    fail(ErrorKind::ZeroDivision, op.name + ": an integer is divided by zero; convert with .float() to get inf and nan, "
                                            "or mask the zeros");
}

// Kernels never trap: what the processor would refuse is refused here.
void refuse_zero_divisor(Operation& op, const Resolution& r, const Arg* args) {
    if (is_inexact(r.output_codes[0])) return;
    const Arg& divisor = args[op.divisor];
    bool zero = false;
    if (divisor.is_number()) {
        zero = divisor.code == kFloat64 ? divisor.real == 0 : divisor.integer == 0;
    } else {
        Tensor* tensors[1] = {divisor.tensor.get()};
        run_step("refuse_zero_divisor", tensors, 1, 0, [&op](Tensor* const* t) {
            GradModeGuard off(false);
            TensorRef dense = contiguous(t[0]);
            int size = item_size(dense->dtype);
            for (int64_t i = 0; i < dense->numel; ++i)
                if (read_int(dense.get(), dense->data + i * size) == 0) divided_by_zero(op);
        });
    }
    if (zero) divided_by_zero(op);
}

void refuse_gradient(Operation& op) {
    fail(ErrorKind::Autograd, op.name + ": this operation has no gradient, and an operand requires grad; detach() the "
                                        "operand or run under no_grad() if none is wanted");
}

}  // namespace

void prepare_map_step(Operation& op, Arg* args, int count, TensorRef* outputs) {
    run_map(op, resolution_for(op, args, count), args, count, outputs);
}

void call_map(Operation& op, Arg* args, int count, TensorRef* outputs) {
    uint32_t needs = needs_of(args, count);
    bool given = bool(outputs[0]);
    if (needs && given)
        fail(ErrorKind::Autograd, op.name + ": functions with out=... arguments don't support automatic differentiation, "
                                            "but one of the arguments requires grad; leave out= away or use no_grad()");
    Resolution& r = resolution_for(op, args, count);
    if (op.divisor >= 0) refuse_zero_divisor(op, r, args);
    run_map(op, r, args, count, outputs);
    if (given)
        for (int i = 0; i < r.outputs; ++i) bump_version(outputs[i].get());
    if (GradMode::inference)
        for (int i = 0; i < r.outputs; ++i) outputs[i]->inference = true;
    if (!needs || !is_inexact(r.output_codes[0])) return;
    GradientPlan& plan = gradient_plan(op, r, needs);
    if (plan.through.empty()) refuse_gradient(op);
    OperationNode* node = make_node(op, plan, args, count, false);
    Ref<Node> keep(node);
    finish_node(node, r, plan, args, count, outputs, outputs[0]->shape());
    for (int i = 0; i < r.outputs; ++i)
        if (is_inexact(r.output_codes[i])) set_history(outputs[i].get(), node, uint32_t(i));
}

void resize(Tensor* t, const Shape& shape) {
    int64_t n = checked_numel(shape, "resize_");
    size_t bytes = size_t(n) * item_size(t->dtype);
    size_t offset = size_t(t->data - t->storage->data);
    if (offset + bytes > t->storage->bytes) {
        Storage* bigger = storage_allocate(bytes);
        std::memcpy(bigger->data, t->data, std::min(bytes, t->storage->bytes - offset));
        release(t->storage);
        t->storage = bigger;
        t->data = bigger->data;
    }
    t->ndim = uint8_t(shape.ndim);
    int64_t stride = 1;
    for (int i = shape.ndim - 1; i >= 0; --i) {
        t->sizes[i] = shape.sizes[i];
        t->strides[i] = stride;
        stride *= std::max<int64_t>(shape.sizes[i], 1);
    }
    refresh(t);
}

namespace {
// Whether a result may be written into a tensor of another dtype: bool < integer < float < complex.
bool fits_category(uint8_t code, uint8_t into) {
    auto rank = [](uint8_t c) { return is_complex(c) ? 3 : is_float(c) ? 2 : c == kBool ? 0 : 1; };
    return rank(code) <= rank(into);
}
}  // namespace

void call_out(Operation& op, Arg* args, int count, TensorRef* outputs) {
    Resolution& r = resolution_for(op, args, count);
    Shape shape = broadcast_of(op, args, count);
    for (int i = 0; i < r.outputs; ++i) {
        Tensor* t = outputs[i].get();
        if (!t) fail(ErrorKind::Type, op.name + ": out needs " + std::to_string(r.outputs) + " tensors");
        check_in_place(t, op.name.c_str());
        uint8_t code = r.output_codes[i];
        if (!fits_category(code, t->dtype))
            fail(ErrorKind::DType, op.name + ": result type " + kDTypeNames[code] + " can't be cast to the desired output type " +
                                       kDTypeNames[t->dtype] + "; pass an out= of a wider dtype");
        if (!(t->shape() == shape)) resize(t, shape);
        for (int a = 0; a < count; ++a) {
            Tensor* input = args[a].tensor.get();
            bool same = input && input->data == t->data && input->same_shape(*t) && input->dtype == t->dtype &&
                        std::equal(input->strides, input->strides + input->ndim, t->strides);
            if (input && input->storage == t->storage && !same) {
                GradModeGuard off(false);
                args[a] = Arg(clone(input).get());
            }
        }
    }
    call_map(op, args, count, outputs);
}

void call_map_in_place(Operation& op, Arg* args, int count) {
    Tensor* target = args[0].tensor.get();
    check_in_place(target, (op.name + "_").c_str());
    uint32_t needs = needs_of(args, count);
    Resolution& r = resolution_for(op, args, count);
    if (op.divisor >= 0) refuse_zero_divisor(op, r, args);
    if (r.output_codes[0] != kBool && !fits_category(r.output_codes[0], target->dtype))
        fail(ErrorKind::DType, op.name + "_: result type " + kDTypeNames[r.output_codes[0]] + " can't be cast to the desired output type " +
                                   kDTypeNames[target->dtype] + "; use the version without underscore, or convert the tensor first");
    Shape shape = broadcast_of(op, args, count);
    if (!(shape == target->shape()))
        fail(ErrorKind::Shape, op.name + "_: output with shape " + shape_text(target) + " doesn't match the broadcast shape " + shape.text());
    // Operands that overlap the target without being the target itself are read before anything is written.
    for (int i = 1; i < count; ++i) {
        Tensor* t = args[i].tensor.get();
        if (t && t->storage == target->storage && t->numel > 0 && !(t->data == target->data && t->same_shape(*target) &&
            std::equal(t->strides, t->strides + t->ndim, target->strides))) {
            GradModeGuard off(false);
            TensorRef copy = clone(t);
            if (!(needs >> i & 1)) args[i].tensor = copy;
            else {
                GradModeGuard on(true);
                args[i].tensor = clone(t);
            }
        }
    }
    Ref<Node> keep;
    OperationNode* node = nullptr;
    const GradientPlan* plan = nullptr;
    if (needs && is_inexact(r.output_codes[0])) {
        plan = &gradient_plan(op, r, needs);
        if (plan->through.empty()) refuse_gradient(op);
        node = make_node(op, *plan, args, count, true);
        keep = Ref<Node>(node);
    }
    TensorRef outputs[4];
    outputs[0] = TensorRef(target);
    run_map(op, r, args, count, outputs);
    bump_version(target);
    if (node) {
        finish_node(node, r, *plan, args, count, outputs, target->shape());
        rebase_history(target, keep);
    }
}

void call_row(Operation& op, Arg* args, int count, const RowArguments& row, TensorRef* outputs) {
    call_row_over(op, args, count, row, nullptr, outputs);
}

void call_row_over(Operation& op, Arg* args, int count, const RowArguments& row, const Shape* given, TensorRef* outputs) {
    uint32_t needs = needs_of(args, count);
    Resolution& r = resolution_for(op, args, count);
    Shape full;
    if (given) full = *given;
    else
        for (int i = 0; i < count; ++i)
            if (args[i].tensor && !op.row_input[i] && !broadcast_shapes(full, args[i].tensor->shape())) broadcast_of(op, args, count);
    RowArguments exact = row;
    if (row.all) exact.dims = full.ndim ? (full.ndim >= 32 ? ~0u : (1u << full.ndim) - 1) : 0;
    exact.all = false;
    bool out_given = bool(outputs[0]);
    if (needs && out_given) fail(ErrorKind::Autograd, op.name + ": functions with out=... arguments don't support automatic differentiation, but one of the arguments requires grad");
    run_row(op, r, args, count, exact, full, outputs);
    if (out_given)
        for (int i = 0; i < r.outputs; ++i) bump_version(outputs[i].get());
    if (GradMode::inference)
        for (int i = 0; i < r.outputs; ++i) outputs[i]->inference = true;
    bool any_float = false;
    for (int i = 0; i < r.outputs; ++i) any_float = any_float || is_inexact(r.output_codes[i]);
    if (!needs || !any_float) return;
    GradientPlan& plan = gradient_plan(op, r, needs);
    if (plan.through.empty()) refuse_gradient(op);
    OperationNode* node = make_node(op, plan, args, count, false);
    Ref<Node> keep(node);
    finish_node(node, r, plan, args, count, outputs, full);
    node->row = exact;
    node->full = std::make_unique<Shape>(full);
    // Row-level inputs are compared with the row shape, not with the full one.
    node->shapes.erase(std::remove_if(node->shapes.begin(), node->shapes.end(),
                                      [&](auto& p) { return op.row_input[p.first]; }),
                       node->shapes.end());
    for (int i = 0; i < r.outputs; ++i)
        if (is_inexact(r.output_codes[i])) set_history(outputs[i].get(), node, uint32_t(i));
}

int output_count(Operation& op, Arg* args, int count) { return resolution_for(op, args, count).outputs; }

void run_foreach(Operation& op, const std::vector<std::vector<TensorRef>>& lists, const std::vector<Arg>& numbers,
                 const std::vector<int>& written) {
    size_t tensors = lists.empty() ? 0 : lists[0].size();
    int count = int(lists.size() + numbers.size());
    for (const auto& list : lists)
        if (list.size() != tensors) fail(ErrorKind::Value, op.name + ": the lists of tensors have unequal lengths");
    GradModeGuard off(false);
    for (size_t i = 0; i < tensors; ++i)
        for (const auto& list : lists)
            if (!list[i]->same_shape(*lists[0][i]))
                fail(ErrorKind::Shape, op.name + ": tensor " + std::to_string(i) + " of one list is " + shape_text(list[i].get()) +
                                           " and of another " + shape_text(lists[0][i].get()) + "; they must be equal");
    void* here = nullptr;
    Operands args;
    for (size_t i = 0; i < tensors; ++i) {
        args.clear();
        // Updates take the parts of complex numbers as numbers of their own.
        auto parts = [](const TensorRef& t) { return is_complex(t->dtype) ? view_as_real(t.get()) : t; };
        for (size_t l = 0; l < lists.size(); ++l) args.add(Arg(parts(lists[l][i]).get()));
        for (const Arg& number : numbers) args.add(number);
        TensorRef outputs[4];
        for (size_t w = 0; w < written.size(); ++w) outputs[w] = parts(lists[written[w]][i]);
        Resolution& r = resolution_for(op, args, count);
        run_map(op, r, args, count, outputs);
        for (int w : written) {
            Storage* storage = lists[w][i]->storage;
            ++storage->version;
            if (storage->watched) {
                if (!here) here = bridge.here();
                if (storage->changed_at) bridge.decrease(storage->changed_at);
                storage->changed_at = here;
                bridge.increase(here);
            }
        }
    }
    if (here) bridge.decrease(here);
}

TensorRef add_tensors(Tensor* a, Tensor* b) {
    Arg args[3] = {Arg(a), Arg(b), Arg::of_int(1)};
    TensorRef out[4];
    call_map(*builtins.add, args, int(builtins.add->names.size()), out);
    return out[0];
}

void add_in_place(Tensor* a, Tensor* b) {
    Arg args[3] = {Arg(a), Arg(b), Arg::of_int(1)};
    call_map_in_place(*builtins.add, args, int(builtins.add->names.size()));
}

TensorRef add_gradients(TensorRef a, Tensor* b) {
    bool ours = !GradMode::enabled && a->references == 1 && sole_owner(a->storage) && a->contiguous &&
                !a->storage->release && a->dtype == b->dtype && a->same_shape(*b) && !a->requires_grad;
    if (!ours) return add_tensors(a.get(), b);
    add_in_place(a.get(), b);
    return a;
}

TensorRef sum_dims(Tensor* t, uint32_t dims) {
    Arg args[1] = {Arg(t)};
    TensorRef out[4];
    RowArguments row;
    row.all = false;
    row.dims = dims;
    row.keepdim = true;
    call_row(*builtins.sum, args, 1, row, out);
    return out[0];
}

TensorRef conj(Tensor* t) {
    if (!is_complex(t->dtype)) return TensorRef(t);
    Arg args[1] = {Arg(t)};
    TensorRef out[4];
    call_map(*builtins.conj, args, 1, out);
    return out[0];
}

}  // namespace flambeau
