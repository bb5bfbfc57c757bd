// Copies between tensors of any layouts and dtypes, and filling with a number, without history: which of the ways to
// move elements a copy is (bytes, transposed squares, strided lines, else the map that converts).
// It is not: the moving of transposed squares (transpose.cpp) or lines (copy_line.h), or copy_ with its gradient
// (views.cpp), which calls this.
#include <algorithm>
#include <cstring>

#include "copy_line.h"
#include "dispatch.h"
#include "loop.h"
#include "plan.h"
#include "rows.h"
#include "threads.h"
#include "transpose.h"

namespace flambeau {

namespace {

void set_loop(Loop& loop, const Tensor* target, const Tensor* source) {
    loop.ndim = target->ndim;
    loop.operands = 2;
    for (int d = 0; d < loop.ndim; ++d) loop.sizes[d] = target->sizes[d];
    copy_strides(loop.strides[0], target, target->shape());
    copy_strides(loop.strides[1], source, target->shape());
    normalise(loop);
}

// Whether the source of a copy runs along another dimension than its target, and how.
bool find_transposition(Transposition& found, const Tensor* target, const Tensor* source) {
    int64_t item = item_size(target->dtype);
    if (target->dtype != source->dtype || target->numel < 1024 || !target->same_shape(*source)) return false;
    Loop loop;
    set_loop(loop, target, source);
    int last = loop.ndim - 1, along = -1;
    if (loop.ndim < 2 || loop.strides[0][last] != item || loop.strides[1][last] == item) return false;
    for (int d = 0; d < last; ++d)
        if (loop.strides[1][d] == item) along = d;
    int64_t least = std::max<int64_t>(16, 64 / item);  // below it nothing would fill a square
    if (along < 0 || loop.sizes[along] < least || loop.sizes[last] < least) return false;
    found.item = item;
    found.rows = loop.sizes[last];
    found.columns = loop.sizes[along];
    found.from_line = loop.strides[1][last];
    found.to_line = loop.strides[0][along];
    for (int d = 0; d < last; ++d) {
        if (d == along) continue;
        found.sizes[found.outer] = loop.sizes[d];
        found.to_strides[found.outer] = loop.strides[0][d];
        found.from_strides[found.outer++] = loop.strides[1][d];
    }
    found.past = streams(target);
    found.prepare();
    return true;
}

// A copy of lines whose elements lie apart, shorter or simpler than what a kernel of vectors is good for.
struct StridedCopy {
    Loop loop;
    int64_t item = 0, lines = 0, length = 0;

    void copy(char* target, const char* source) const {
        const int last = loop.ndim - 1;
        const int64_t most = std::max<int64_t>(1, kTaskWork / length), tasks = (lines + most - 1) / most;
        const int64_t to_step = loop.strides[0][last] / item, from_step = loop.strides[1][last] / item;
        auto some = [&](int64_t task) {
            int64_t at[kMaxDims] = {}, rest = task * most;
            char* to = target;
            const char* from = source;
            for (int d = last - 1; d >= 0; --d) {
                at[d] = rest % loop.sizes[d];
                rest /= loop.sizes[d];
                to += at[d] * loop.strides[0][d];
                from += at[d] * loop.strides[1][d];
            }
            for (int64_t i = task * most; i < std::min(lines, (task + 1) * most); ++i) {
                copy_line(item, from, from_step, to, length, to_step);
                for (int d = last - 1; d >= 0; --d) {
                    to += loop.strides[0][d];
                    from += loop.strides[1][d];
                    if (++at[d] < loop.sizes[d]) break;
                    to -= loop.sizes[d] * loop.strides[0][d];
                    from -= loop.sizes[d] * loop.strides[1][d];
                    at[d] = 0;
                }
            }
        };
        if (lines * length < kParallelWork) for (int64_t t = 0; t < tasks; ++t) some(t);
        else parallel_for(tasks, some);
    }
};

bool find_strided(StridedCopy& found, const Tensor* target, const Tensor* source) {
    const int64_t item = item_size(target->dtype);
    if (target->dtype != source->dtype || item < 4 || item > 8 || !target->same_shape(*source)) return false;
    Loop& loop = found.loop;
    set_loop(loop, target, source);
    const int last = loop.ndim - 1;
    if (last < 0 || (loop.strides[0][last] == item && loop.strides[1][last] == item)) return false;
    for (int o = 0; o < 2; ++o)  // steps of a few elements, the smallest of their operand: else lines are no good order
        for (int d = 0; d <= last; ++d)
            if (loop.strides[o][last] <= 0 || loop.strides[o][last] > 4 * item || loop.strides[o][d] < loop.strides[o][last]) return false;
    if (loop.strides[0][last] % item || loop.strides[1][last] % item) return false;
    found.item = item;
    found.length = loop.sizes[last];
    found.lines = target->numel / found.length;
    return true;
}

// Runs such a copy, or notes or prepares it.
template <class Copy>
void run_copy(const Copy& found, Tensor* target, Tensor* source) {
    if (recorder) [[unlikely]] {
        Arg args[1] = {Arg(source)};
        TensorRef outputs[1] = {TensorRef(target)};
        char* bases[2] = {target->data, source->data};
        if (recorder->builder) {
            Launch& launch = recorder->builder->add(args, 1, outputs, 1, bases);
            launch.run = [found](char* const* p) { found.copy(p[0], p[1]); };
            return;
        }
        if (recorder->records())
            recorder->call("copy", {source}, {target}, [](Tensor* const* t) { copy_elements(t[1], t[0]); });
    }
    GilRelease unlocked(target->numel >= kReleaseWork);
    found.copy(target->data, source->data);
}

}  // namespace

void copy_elements(Tensor* target, Tensor* source) {
    if (target->numel == 0) return;
    bump_version(target);
    bool same_layout = target->dtype == source->dtype && target->same_shape(*source) && target->contiguous && source->contiguous;
    if (same_layout) {
        int64_t bytes = target->numel * item_size(target->dtype), block = 1 << 18;
        if (recorder) [[unlikely]] {
            Arg args[1] = {Arg(source)};
            TensorRef outputs[1] = {TensorRef(target)};
            char* bases[2] = {target->data, source->data};
            if (recorder->builder) {
                Launch& launch = recorder->builder->add(args, 1, outputs, 1, bases);
                launch.run = [bytes](char* const* p) { std::memcpy(p[0], p[1], size_t(bytes)); };
                return;
            }
            if (recorder->records()) recorder->map(*builtins.copy, resolution_for(*builtins.copy, args, 1), args, 1, outputs);
        }
        if (bytes <= block) std::memcpy(target->data, source->data, size_t(bytes));
        else {
            GilRelease unlocked(bytes > (4 << 20));
            parallel_for((bytes + block - 1) / block, [&](int64_t i) {
                std::memcpy(target->data + i * block, source->data + i * block, size_t(std::min(block, bytes - i * block)));
            });
        }
        return;
    }
    Transposition turned;
    if (find_transposition(turned, target, source)) return run_copy(turned, target, source);
    StridedCopy strided;
    if (find_strided(strided, target, source)) return run_copy(strided, target, source);
    Arg args[1] = {Arg(source)};
    TensorRef outputs[4];
    outputs[0] = TensorRef(target);
    run_map(*builtins.copy, resolution_for(*builtins.copy, args, 1), args, 1, outputs);
}

namespace {
void fill_with(Tensor* target, Arg value) {
    if (target->numel == 0) return;
    bump_version(target);
    Arg args[1] = {value};
    TensorRef outputs[4];
    outputs[0] = TensorRef(target);
    run_map(*builtins.copy, resolution_for(*builtins.copy, args, 1), args, 1, outputs);
}
}  // namespace

void fill_number(Tensor* target, const Arg& number) { fill_with(target, number); }
void fill_elements(Tensor* target, double value) { fill_with(target, Arg::of(value)); }
void fill_elements_int(Tensor* target, int64_t value) { fill_with(target, Arg::of_int(value)); }

}  // namespace flambeau
