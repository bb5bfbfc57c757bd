// See rows.h. Layout of a call: kept dimensions K, reduced dimensions R. R must merge into one stride for every operand
// (otherwise element operands are copied into (K, R) order); the innermost merged kept dimension is the kernel's row
// loop, the others are walked here. How a reduction is split depends on sizes only, never on the number of threads.
#include "rows.h"

#include <algorithm>
#include <cstring>

#include "plan.h"
#include "threads.h"
#include "views.h"

namespace flambeau {

namespace {

constexpr int64_t kTaskWork = 1 << 15;     // elements one task takes
constexpr int64_t kSplitLength = 1 << 16;  // reductions longer than this, in few rows, are split
constexpr int64_t kSplitBlock = 1 << 15;
constexpr int64_t kReleaseWork = 1 << 18;
constexpr int64_t kLargeWork = 1 << 22;     // elements from which a task takes more, as there are enough of them
constexpr int64_t kLeastPiece = 32;          // elements that pay for copying a row's pieces one by one
constexpr int64_t kMostPieced = 4 << 20;     // bytes of a row that is put together beside the caches' other users
constexpr int64_t kFetchBytes = 16 << 10;    // of a piece that is asked for before it is copied
constexpr int kSlotRow = 5;

struct Operand {
    char* data;
    int64_t unit;                // item size
    bool row;                    // exists once a row
    int64_t strides[kMaxDims];   // bytes, over the full shape; 0 along R for row operands
};

struct Group {                   // dimensions that are walked together
    int count = 0;
    int64_t sizes[kMaxDims];
    int64_t strides[kMaxOperands][kMaxDims];
};

// Merges the given dimensions (outermost first) where every operand walks neighbours as one.
Group merge(const int* dims, int n, const Shape& full, const Operand* operands, int count, bool rows_too) {
    Group g;
    for (int i = 0; i < n; ++i) {
        int d = dims[i];
        if (full.sizes[d] == 1) continue;
        bool together = g.count > 0;
        for (int o = 0; o < count && together; ++o)
            if (rows_too || !operands[o].row)
                together = g.strides[o][g.count - 1] == operands[o].strides[d] * full.sizes[d];
        if (!together) ++g.count;
        g.sizes[g.count - 1] = together ? g.sizes[g.count - 1] * full.sizes[d] : full.sizes[d];
        for (int o = 0; o < count; ++o) g.strides[o][g.count - 1] = operands[o].strides[d];
    }
    return g;
}

KernelEntry& row_kernel(Operation& op, Resolution& r, bool outer, uint64_t classes, const uint8_t* codes,
                        const Operand* operands, int count) {
    for (KernelEntry& k : r.kernels)
        if (k.classes[0] == classes && k.classes[1] == uint64_t(outer)) return k;
    std::string letters(count, 'c');
    for (int i = 0; i < count; ++i) letters[i] = !outer && operands[i].row ? '-' : "czsn"[classes >> (2 * i) & 3];
    int64_t scratch_bytes = 0;
    void* address = compiler.compile_row(op, r, codes, outer ? "outer" : "inner", letters, scratch_bytes);
    r.kernels.push_back(KernelEntry{{classes, uint64_t(outer)}, address, scratch_bytes});
    return r.kernels.back();
}

// The strides of a row-level tensor over the full shape: it comes with the reduced dimensions as 1 or without them.
void row_strides(int64_t* into, const Tensor* t, const Shape& full, uint32_t dims, Operation& op) {
    int size = item_size(t->dtype), kept = 0;
    for (int d = 0; d < full.ndim; ++d) kept += !(dims >> d & 1);
    bool with_ones = t->ndim == full.ndim;
    for (int d = 0; d < full.ndim && with_ones; ++d)
        if ((dims >> d & 1) && t->sizes[d] != 1) with_ones = false;
    int k = 0;
    for (int d = 0; d < full.ndim; ++d) {
        into[d] = 0;
        if (dims >> d & 1) continue;
        int s = with_ones ? d : k - (kept - t->ndim);
        ++k;
        if (s < 0) continue;
        if (s >= t->ndim || (t->sizes[s] != full.sizes[d] && t->sizes[s] != 1))
            fail(ErrorKind::Shape, op.name + ": an operand of shape " + shape_text(t) +
                                       " does not fit the kept dimensions of " + full.text() +
                                       "; it needs one value for each row");
        into[d] = t->sizes[s] == 1 ? 0 : t->strides[s] * size;
    }
    if (t->ndim > full.ndim || (!with_ones && t->ndim > kept))
        fail(ErrorKind::Shape, op.name + ": an operand of shape " + shape_text(t) + " has too many dimensions for " + full.text());
}

struct Job {
    RowKernel kernel;
    int count;
    Group kept;
    int64_t row_strides[kMaxOperands], length_strides[kMaxOperands];
    int64_t rows, outer, length;
    size_t scratch_bytes;

    // Rows [begin, end) of outer position `o`.
    void run(char* const* bases, int64_t o, int64_t begin, int64_t end) const {
        char* pointers[kMaxOperands];
        for (int i = 0; i < count; ++i) pointers[i] = bases[i] + begin * row_strides[i];
        for (int d = kept.count - 2; d >= 0; --d) {
            int64_t at = o % kept.sizes[d];
            o /= kept.sizes[d];
            for (int i = 0; i < count; ++i) pointers[i] += at * kept.strides[i][d];
        }
        char* memory = scratch_bytes ? scratch(scratch_bytes) : nullptr;
        kernel(pointers, row_strides, length_strides, end - begin, length, memory);
    }
};

void execute(const Job& job, char* const* bases, bool outer_schedule) {
    int64_t work = job.rows * job.outer * std::max<int64_t>(job.length, 1);
    if (work < 2 * kTaskWork) {
        for (int64_t o = 0; o < job.outer; ++o) job.run(bases, o, 0, job.rows);
        return;
    }
    // Kernels of large outputs overlap neighbouring rows: their tasks hold more of them.
    int64_t share = work >= kLargeWork && !outer_schedule ? 8 * kTaskWork : kTaskWork;
    int64_t block = std::max<int64_t>(1, share / std::max<int64_t>(job.length, 1));
    if (outer_schedule) block = std::max<int64_t>(128, (block + 127) / 128 * 128);  // whole groups of vectors
    block = std::min(block, job.rows);
    int64_t blocks = (job.rows + block - 1) / block;
    int64_t group = std::max<int64_t>(1, share / std::max<int64_t>(1, block * job.length));  // small jobs share a task
    int64_t tasks = (blocks * job.outer + group - 1) / group;
    GilRelease unlocked(work >= kReleaseWork);
    parallel_for(tasks, [&](int64_t task) {
        for (int64_t i = task * group; i < std::min((task + 1) * group, blocks * job.outer); ++i) {
            int64_t o = i / blocks, b = i % blocks;
            job.run(bases, o, b * block, std::min(job.rows, (b + 1) * block));
        }
    });
}

/// Rows in several pieces of contiguous elements: each is put together near the core that computes it, and taken apart.
struct PiecedJob {
    RowKernel kernel;
    int count, outputs;
    Group kept;
    bool element[kMaxOperands];
    int64_t unit[kMaxOperands], piece_stride[kMaxOperands];
    int64_t rows, pieces, piece, length;
    size_t scratch_bytes;

    void run(char* const* bases, int64_t row) const {
        static const int64_t none[kMaxOperands] = {};
        char *places[kMaxOperands], *pointers[kMaxOperands];
        size_t bytes = 0;
        for (int i = 0; i < count; ++i) {
            places[i] = pointers[i] = bases[i];
            int64_t rest = row;
            for (int d = kept.count - 1; d >= 0; --d) places[i] += rest % kept.sizes[d] * kept.strides[i][d], rest /= kept.sizes[d];
            if (element[i]) bytes += size_t(length * unit[i] + 63) / 64 * 64;
            else pointers[i] = places[i];
        }
        char* at = scratch(bytes, kSlotRow);
        for (int i = 0; i < count; ++i) {
            if (!element[i]) continue;
            pointers[i] = at;
            at += size_t(length * unit[i] + 63) / 64 * 64;
            if (i >= outputs) copy(pointers[i], piece * unit[i], places[i], piece_stride[i], i);
        }
        kernel(pointers, none, unit, 1, length, scratch_bytes ? scratch(scratch_bytes) : nullptr);
        for (int i = 0; i < outputs; ++i)
            if (element[i]) copy(places[i], piece_stride[i], pointers[i], piece * unit[i], i);
    }
    /// Pieces that are apart are asked for one ahead: the CPU sees a new stream in each.
    void copy(char* to, int64_t to_step, const char* from, int64_t from_step, int i) const {
        const int64_t bytes = piece * unit[i];
        const char* far = (i < outputs ? to : from) + (i < outputs ? to_step : from_step);
        for (int64_t p = 0; p < pieces; ++p, far += i < outputs ? to_step : from_step) {
            if (p + 1 < pieces && bytes <= kFetchBytes)
                for (int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(far + at);
            std::memcpy(to + p * to_step, from + p * from_step, size_t(bytes));
        }
    }
    void execute(char* const* bases) const {
        const int64_t group = std::max<int64_t>(1, kTaskWork / length), tasks = (rows + group - 1) / group;
        if (rows * length < 2 * kTaskWork) {
            for (int64_t row = 0; row < rows; ++row) run(bases, row);
            return;
        }
        GilRelease unlocked(rows * length >= kReleaseWork);
        parallel_for(tasks, [&](int64_t task) {
            for (int64_t row = task * group; row < std::min(rows, (task + 1) * group); ++row) run(bases, row);
        });
    }
};

/// Whether rows are in pieces as `PiecedJob` takes them; `along` are the reduced dimensions.
bool in_pieces(const Group& along, const Operand* operands, int total, const bool* number, int64_t length) {
    if (along.count != 2 || along.sizes[1] < kLeastPiece) return false;
    int64_t bytes = 0;
    for (int o = 0; o < total; ++o) {
        if (operands[o].row || number[o]) continue;
        if (along.strides[o][1] != operands[o].unit || along.strides[o][0] == 0) return false;
        bytes += length * operands[o].unit;
    }
    return bytes > 0 && bytes <= kMostPieced;
}

void run_row_now(Operation& op, Resolution& r, Arg* args, int count, const RowArguments& row, const Shape& full,
                 TensorRef* outputs);

}  // namespace

void run_row(Operation& op, Resolution& r, Arg* args, int count, const RowArguments& row, const Shape& full,
             TensorRef* outputs) {
    bool records = recorder && recorder->records();
    {
        RecordDepth inside;
        run_row_now(op, r, args, count, row, full, outputs);
    }
    if (records) [[unlikely]] recorder->row(op, r, args, count, row, full, outputs);
}

namespace {

void run_row_now(Operation& op, Resolution& r, Arg* args, int count, const RowArguments& row, const Shape& full,
             TensorRef* outputs) {
    uint32_t dims = row.dims;
    int total = r.outputs + count;
    Shape kept_shape;
    int order[kMaxDims], reduced[kMaxDims], kept_count = 0, reduced_count = 0;
    for (int d = 0; d < full.ndim; ++d) {
        if (dims >> d & 1) {
            reduced[reduced_count++] = d;
            if (row.keepdim) kept_shape.sizes[kept_shape.ndim++] = 1;
        } else {
            order[kept_count++] = d;
            kept_shape.sizes[kept_shape.ndim++] = full.sizes[d];
        }
    }
    Operand operands[kMaxOperands];
    uint8_t codes[4];
    bool streamed[4] = {};
    for (int i = 0; i < count; ++i) {
        Operand& o = operands[r.outputs + i];
        o.row = op.row_input[i];
        o.unit = item_size(args[i].code);
        if (args[i].is_number()) {
            o.data = reinterpret_cast<char*>(&args[i].integer);
            std::fill(o.strides, o.strides + full.ndim, 0);
            continue;
        }
        o.data = args[i].tensor->data;
        if (o.row) row_strides(o.strides, args[i].tensor.get(), full, dims, op);
        else {
            Shape check = full;
            if (!broadcast_shapes(check, args[i].tensor->shape()) || !(check == full)) broadcast_of(op, args, count);
            copy_strides(o.strides, args[i].tensor.get(), full);
        }
    }
    for (int i = 0; i < r.outputs; ++i) {
        Operand& o = operands[i];
        o.row = r.output_rows[i];
        const Shape& shape = o.row ? kept_shape : full;
        if (!outputs[i]) {
            outputs[i] = empty(shape, r.output_codes[i]);
            streamed[i] = !o.row && streams(outputs[i].get());
        } else if (!(outputs[i]->shape() == shape)) resize(outputs[i].get(), shape);
        codes[i] = outputs[i]->dtype;
        o.unit = item_size(codes[i]);
        o.data = outputs[i]->data;
        if (o.row) row_strides(o.strides, outputs[i].get(), full, dims, op);
        else copy_strides(o.strides, outputs[i].get(), full);
    }
    int64_t length = 1, rows_total = 1;
    for (int i = 0; i < reduced_count; ++i) length *= full.sizes[reduced[i]];
    for (int i = 0; i < kept_count; ++i) rows_total *= full.sizes[order[i]];
    bool row_outputs_only = true;
    for (int i = 0; i < r.outputs; ++i) row_outputs_only = row_outputs_only && r.output_rows[i];
    if (rows_total == 0 || (length == 0 && !row_outputs_only)) return;

    // The operand whose layout the loops follow: the largest element input, else the first element output.
    int model = -1;
    for (int o = total - 1; o >= 0; --o) {
        if (operands[o].row) continue;
        bool whole = true;
        for (int d = 0; d < full.ndim; ++d)
            if (full.sizes[d] > 1 && operands[o].strides[d] == 0) whole = false;
        if (whole || model < 0) model = o;
    }
    Group along;
    along.sizes[0] = along.sizes[1] = 1;
    if (length > 0) along = merge(reduced, reduced_count, full, operands, total, false);  // nothing to walk otherwise
    if (along.count > 1 && model >= 0 && !op.uses_index) {
        // Another order of the reduced dimensions may merge (a reduction over a transposed tensor).
        int sorted[kMaxDims];
        std::copy(reduced, reduced + reduced_count, sorted);
        std::stable_sort(sorted, sorted + reduced_count, [&](int a, int b) { return operands[model].strides[a] > operands[model].strides[b]; });
        Group again = merge(sorted, reduced_count, full, operands, total, false);
        if (again.count < along.count) along = again;
    }
    bool number[kMaxOperands] = {};
    for (int i = 0; i < count; ++i) number[r.outputs + i] = args[i].is_number();
    const bool may_split = row_outputs_only && rows_total < 8 && length >= kSplitLength;
    if (!may_split && in_pieces(along, operands, total, number, length)) {
        PiecedJob job;
        char* bases[kMaxOperands];
        uint64_t classes = 0;
        job.count = total, job.outputs = r.outputs;
        job.kept = merge(order, kept_count, full, operands, total, true);
        job.rows = rows_total, job.pieces = along.sizes[0], job.piece = along.sizes[1], job.length = length;
        for (int o = 0; o < total; ++o) {
            bases[o] = operands[o].data;
            job.element[o] = !operands[o].row && !number[o];
            job.unit[o] = job.element[o] ? operands[o].unit : 0;
            job.piece_stride[o] = along.strides[o][0];
            classes |= uint64_t(!operands[o].row && number[o]) << (2 * o);
        }
        for (int i = 0; i < r.outputs; ++i) classes |= uint64_t(codes[i]) << (48 + 4 * i);
        KernelEntry& k = row_kernel(op, r, false, classes, codes, operands, total);
        job.kernel = reinterpret_cast<RowKernel>(k.address);
        job.scratch_bytes = size_t(k.scratch) * size_t(length);
        if (recorder && recorder->builder) [[unlikely]] {
            Launch& launch = recorder->builder->add(args, count, outputs, r.outputs, bases);
            launch.run = [shared = std::make_shared<PiecedJob>(job)](char* const* pointers) { shared->execute(pointers); };
            return;
        }
        job.execute(bases);
        return;
    }
    if (along.count > 1) {
        int permutation[kMaxDims], back[kMaxDims];
        for (int i = 0; i < kept_count; ++i) permutation[i] = order[i];
        for (int i = 0; i < reduced_count; ++i) permutation[kept_count + i] = reduced[i];
        for (int i = 0; i < full.ndim; ++i) back[permutation[i]] = i;
        Shape shape;
        shape.ndim = full.ndim;
        for (int i = 0; i < full.ndim; ++i) shape.sizes[i] = full.sizes[permutation[i]];
        GradModeGuard off(false);
        Arg moved[kMaxOperands];
        for (int i = 0; i < count; ++i) {
            moved[i] = args[i];
            if (args[i].is_number()) continue;
            if (op.row_input[i]) {
                // One value a row: give it the reduced dimensions as ones at the end.
                Tensor* t = args[i].tensor.get();
                if (t->ndim == full.ndim) {
                    TensorRef p = permute(t, permutation);
                    moved[i] = Arg(p.get());
                }
                continue;
            }
            TensorRef wide = permute(expand(args[i].tensor.get(), full).get(), permutation);
            moved[i] = Arg(contiguous(wide.get()).get());
        }
        RowArguments last;
        last.all = false;
        last.keepdim = false;
        for (int i = 0; i < reduced_count; ++i) last.dims |= 1u << (kept_count + i);
        TensorRef results[4];
        run_row(op, r, moved, count, last, shape, results);
        for (int i = 0; i < r.outputs; ++i) {
            TensorRef shown = r.output_rows[i] ? reshape(results[i].get(), kept_shape) : permute(results[i].get(), back);
            copy_elements(outputs[i].get(), shown.get());
        }
        return;
    }
    if (along.count == 0) {
        along.count = 1;
        along.sizes[0] = 1;
        for (int o = 0; o < total; ++o) along.strides[o][0] = 0;
    }
    if (length == 0) along.sizes[0] = 0;
    if (model >= 0)
        std::stable_sort(order, order + kept_count, [&](int a, int b) {
            return std::abs(operands[model].strides[a]) > std::abs(operands[model].strides[b]);
        });
    Group kept = merge(order, kept_count, full, operands, total, true);

    Job job;
    char* bases[kMaxOperands];
    job.count = total;
    job.kept = kept;
    job.length = length;
    job.rows = kept.count ? kept.sizes[kept.count - 1] : 1;
    job.outer = 1;
    for (int d = 0; d + 1 < kept.count; ++d) job.outer *= kept.sizes[d];
    for (int o = 0; o < total; ++o) {
        bases[o] = operands[o].data;
        job.row_strides[o] = kept.count ? kept.strides[o][kept.count - 1] : 0;
        job.length_strides[o] = operands[o].row ? 0 : along.strides[o][0];
    }
    bool outer = false;
    if (model >= 0 && job.rows >= 4 && job.length_strides[model] != operands[model].unit &&
        job.row_strides[model] == operands[model].unit)
        outer = true;
    uint64_t classes = 0;
    for (int i = 0; i < r.outputs; ++i) classes |= uint64_t(codes[i]) << (48 + 4 * i);
    for (int o = 0; o < total; ++o) {
        bool number = o >= r.outputs && args[o - r.outputs].is_number();
        int64_t stride = outer ? job.row_strides[o] : job.length_strides[o];
        uint64_t letter;
        if (!outer && operands[o].row) letter = 0;
        else if (number) letter = 1;
        else if (!outer && length == 1) letter = 0;
        else letter = stride == operands[o].unit ? 0 : stride == 0 && o >= r.outputs ? 1 : 2;
        if (!outer && length == 1 && !operands[o].row) job.length_strides[o] = operands[o].unit;
        if (letter == 0 && !outer && o < r.outputs && streamed[o]) letter = 3;
        classes |= letter << (2 * o);
    }
    if (!outer && row_outputs_only && job.rows * job.outer < 8 && length >= kSplitLength) {
        if (!r.split_asked) {
            r.split_asked = true;
            compiler.split(op, r);
        }
        if (r.partial && recorder && recorder->builder) {
            // Prepared for a plan: the parts are put together again at every run.
            std::vector<Tensor*> inputs, results;
            std::vector<Arg> numbers(args, args + count);
            for (int i = 0; i < count; ++i)
                if (args[i].tensor) inputs.push_back(args[i].tensor.get()), numbers[size_t(i)].tensor = TensorRef();
            std::vector<bool> is_tensor;
            for (int i = 0; i < count; ++i) is_tensor.push_back(bool(args[i].tensor));
            for (int i = 0; i < r.outputs; ++i) results.push_back(outputs[i].get());
            recorder->builder->again(inputs, results, [&op, numbers, is_tensor, row, full, n = r.outputs](Tensor* const* t) {
                Arg again[kMaxOperands];
                TensorRef into[4];
                int k = 0, count = int(numbers.size());
                for (int i = 0; i < count; ++i) again[i] = is_tensor[size_t(i)] ? Arg(t[k++]) : numbers[size_t(i)];
                for (int i = 0; i < n; ++i) into[i] = TensorRef(t[k++]);
                run_row(op, resolution_for(op, again, count), again, count, row, full, into);
            });
            return;
        }
        if (r.partial) {
            // Partial results over blocks of a fixed size, then one reduction over the blocks.
            int64_t blocks = (length + kSplitBlock - 1) / kSplitBlock;
            Resolution& pr = resolution_for(*r.partial, args, count);
            uint64_t part_classes = classes & ((uint64_t(1) << 48) - 1);
            part_classes = part_classes >> (2 * r.outputs) << (2 * pr.outputs);
            TensorRef partials[4];
            Operand part_operands[kMaxOperands];
            Job part = job;
            part.count = pr.outputs + count;
            for (int i = 0; i < pr.outputs; ++i) {
                partials[i] = empty(Shape{job.outer * job.rows, blocks}, pr.output_codes[i]);
                part_operands[i].row = true;
                part_classes |= uint64_t(pr.output_codes[i]) << (48 + 4 * i);
            }
            for (int i = 0; i < count; ++i) {
                part_operands[pr.outputs + i] = operands[r.outputs + i];
                part.row_strides[pr.outputs + i] = job.row_strides[r.outputs + i];
                part.length_strides[pr.outputs + i] = job.length_strides[r.outputs + i];
            }
            KernelEntry& k = row_kernel(*r.partial, pr, false, part_classes, pr.output_codes, part_operands, part.count);
            part.kernel = reinterpret_cast<RowKernel>(k.address);
            {
                GilRelease unlocked(length * job.rows * job.outer >= kReleaseWork);
                parallel_for(blocks * job.outer * job.rows, [&](int64_t task) {
                    int64_t b = task % blocks, line = task / blocks, o = line / job.rows, w = line % job.rows;
                    char* pointers[kMaxOperands];
                    for (int i = 0; i < pr.outputs; ++i)
                        pointers[i] = partials[i]->data + (line * blocks + b) * item_size(pr.output_codes[i]);
                    int64_t zero_strides[kMaxOperands] = {};
                    for (int i = 0; i < count; ++i) {
                        int s = r.outputs + i;
                        char* p = operands[s].data + w * job.row_strides[s] + b * kSplitBlock * job.length_strides[s];
                        int64_t rest = o;
                        for (int d = kept.count - 2; d >= 0; --d) {
                            p += rest % kept.sizes[d] * kept.strides[s][d];
                            rest /= kept.sizes[d];
                        }
                        pointers[pr.outputs + i] = p;
                    }
                    int64_t n = std::min(kSplitBlock, length - b * kSplitBlock);
                    char* memory = k.scratch ? scratch(size_t(k.scratch) * n) : nullptr;
                    part.kernel(pointers, zero_strides, part.length_strides, 1, n, memory);
                });
            }
            Arg final_args[kMaxOperands];
            int n = 0;
            for (int i = 0; i < pr.outputs; ++i) final_args[n++] = Arg(partials[i].get());
            final_args[n++] = Arg::of_int(length);
            for (int i = op.inputs; i < count; ++i) final_args[n++] = args[i];
            RowArguments last;
            last.all = false;
            last.dims = 2;
            TensorRef results[4];
            Resolution& fr = resolution_for(*r.final, final_args, n);
            run_row(*r.final, fr, final_args, n, last, Shape{job.outer * job.rows, blocks}, results);
            // The rows were walked in layout order; bring them back to the order of the result.
            for (int i = 0; i < r.outputs; ++i) {
                Tensor* t = outputs[i].get();
                for (int64_t line = 0; line < job.outer * job.rows; ++line) {
                    int64_t o = line / job.rows, w = line % job.rows;
                    char* p = operands[i].data + w * job.row_strides[i];
                    for (int d = kept.count - 2; d >= 0; --d) {
                        p += o % kept.sizes[d] * kept.strides[i][d];
                        o /= kept.sizes[d];
                    }
                    const char* from = results[i]->data + line * item_size(results[i]->dtype);
                    if (results[i]->dtype == t->dtype) std::memcpy(p, from, size_t(item_size(t->dtype)));
                    else if (is_float(results[i]->dtype)) write_double(t->dtype, p, read_double(results[i].get(), from));
                    else write_int(t->dtype, p, read_int(results[i].get(), from));
                }
            }
            return;
        }
    }
    KernelEntry& k = row_kernel(op, r, outer, classes, codes, operands, total);
    job.kernel = reinterpret_cast<RowKernel>(k.address);
    job.scratch_bytes = size_t(k.scratch) * size_t(std::max<int64_t>(length, 1));
    if (recorder && recorder->builder) [[unlikely]] {
        Launch& launch = recorder->builder->add(args, count, outputs, r.outputs, bases);
        auto shared = std::make_shared<Job>(job);
        launch.run = [shared, outer](char* const* pointers) { execute(*shared, pointers, outer); };
        launch.cost = 0.5 * double(job.rows * job.outer * length);
        if (!outer && kept.count) {
            Parts& parts = launch.parts;
            parts.leading = kept.sizes[0];
            for (int o = 0; o < total; ++o) {
                int64_t strides[kMaxDims + 1], sizes[kMaxDims + 1];
                for (int d = 0; d < kept.count; ++d) strides[d] = kept.strides[o][d], sizes[d] = kept.sizes[d];
                strides[kept.count] = job.length_strides[o], sizes[kept.count] = std::max<int64_t>(length, 1);
                parts.operand(strides, sizes, kept.count + 1, operands[o].unit);
            }
            parts.run = [shared](char* const* pointers, int64_t count) {
                if (shared->kept.count == 1) return shared->run(pointers, 0, 0, count);
                int64_t outer = shared->outer / shared->kept.sizes[0] * count;
                for (int64_t o = 0; o < outer; ++o) shared->run(pointers, o, 0, shared->rows);
            };
        }
        return;
    }
    execute(job, bases, outer);
}

}  // namespace

}  // namespace flambeau
