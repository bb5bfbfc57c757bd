// Products with sparse matrices; see sparse.h. A row of the result is summed by one thread in one order, so that the
// bits are the same at every number of threads.
// It is not: a contraction of dense matrices (contract.h). Called by the bindings only.
#include "sparse.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "threads.h"
#include "views.h"

// The loops are written over 64-byte vectors. Where the processor is known at run time only, each function is compiled
// for several and the loader picks one; products are rounded before they are added, so all of them give the same bits.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)
#define EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EACH_PROCESSOR
#endif

namespace flambeau {

namespace {

template <class T>
struct Lanes {
    typedef T type __attribute__((vector_size(64), aligned(alignof(T)), may_alias));
    static constexpr int count = 64 / sizeof(T);
};

void check_vector(const Tensor* t, const char* name, const char* operation, int64_t size) {
    if (t->dtype != kInt64 || t->ndim != 1 || !t->contiguous)
        fail(ErrorKind::Type, std::string(operation) + ": " + name + " must be a contiguous vector of int64, it is " + shape_text(t) + " of " + kDTypeNames[t->dtype]);
    if (size >= 0 && t->numel != size)
        fail(ErrorKind::Shape, std::string(operation) + ": " + name + " must hold " + std::to_string(size) + " elements, it is " + shape_text(t));
}
const int64_t* integers(const Tensor* t) { return reinterpret_cast<const int64_t*>(t->data); }

// Rows from .. to, columns c .. c + 4 vectors: the running sums stay in registers.
template <class T, bool ordered>
__attribute__((always_inline)) inline bool product_rows(const int64_t* starts, const int64_t* order, const int64_t* columns, const T* values, const T* dense,
                                                        T* out, int64_t from, int64_t to, int64_t height, int64_t width) {
    using V = typename Lanes<T>::type;
    constexpr int64_t lanes = Lanes<T>::count;
    bool inside = true;
    for (int64_t r = from; r < to; ++r) {
        T* line = out + r * width;
        const int64_t first = starts[r], last = starts[r + 1];
        int64_t c = 0;
        for (; c + 4 * lanes <= width; c += 4 * lanes) {
            V s0 = {}, s1 = {}, s2 = {}, s3 = {};
            for (int64_t j = first; j < last; ++j) {
                const int64_t e = ordered ? order[j] : j, k = columns[e];
                if (uint64_t(k) >= uint64_t(height)) { inside = false; continue; }
                const T v = values[e];
                const V* x = reinterpret_cast<const V*>(dense + k * width + c);
                s0 += v * x[0];
                s1 += v * x[1];
                s2 += v * x[2];
                s3 += v * x[3];
            }
            V* y = reinterpret_cast<V*>(line + c);
            y[0] = s0, y[1] = s1, y[2] = s2, y[3] = s3;
        }
        for (; c + lanes <= width; c += lanes) {
            V s = {};
            for (int64_t j = first; j < last; ++j) {
                const int64_t e = ordered ? order[j] : j, k = columns[e];
                if (uint64_t(k) >= uint64_t(height)) { inside = false; continue; }
                s += values[e] * *reinterpret_cast<const V*>(dense + k * width + c);
            }
            *reinterpret_cast<V*>(line + c) = s;
        }
        if (c < width) {
            T rest[lanes] = {};
            const int64_t n = width - c;
            for (int64_t j = first; j < last; ++j) {
                const int64_t e = ordered ? order[j] : j, k = columns[e];
                if (uint64_t(k) >= uint64_t(height)) { inside = false; continue; }
                const T v = values[e], *x = dense + k * width + c;
                for (int64_t i = 0; i < n; ++i) rest[i] += v * x[i];
            }
            std::memcpy(line + c, rest, size_t(n) * sizeof(T));
        }
    }
    return inside;
}

struct Rows {
    const int64_t *starts, *order, *columns;
    const char *values, *dense;
    char* out;
    int64_t height, width;
};

EACH_PROCESSOR bool product_float(const Rows& a, int64_t from, int64_t to) {
    auto *v = reinterpret_cast<const float*>(a.values), *x = reinterpret_cast<const float*>(a.dense);
    auto* y = reinterpret_cast<float*>(a.out);
    return a.order ? product_rows<float, true>(a.starts, a.order, a.columns, v, x, y, from, to, a.height, a.width)
                   : product_rows<float, false>(a.starts, a.order, a.columns, v, x, y, from, to, a.height, a.width);
}
EACH_PROCESSOR bool product_double(const Rows& a, int64_t from, int64_t to) {
    auto *v = reinterpret_cast<const double*>(a.values), *x = reinterpret_cast<const double*>(a.dense);
    auto* y = reinterpret_cast<double*>(a.out);
    return a.order ? product_rows<double, true>(a.starts, a.order, a.columns, v, x, y, from, to, a.height, a.width)
                   : product_rows<double, false>(a.starts, a.order, a.columns, v, x, y, from, to, a.height, a.width);
}

template <class T>
__attribute__((always_inline)) inline bool dot_places(const int64_t* rows, const int64_t* columns, const T* a, const T* b, T* out, int64_t from, int64_t to,
                                                      int64_t a_height, int64_t b_height, int64_t width) {
    using V = typename Lanes<T>::type;
    constexpr int64_t lanes = Lanes<T>::count;
    bool inside = true;
    for (int64_t j = from; j < to; ++j) {
        if (uint64_t(rows[j]) >= uint64_t(a_height) || uint64_t(columns[j]) >= uint64_t(b_height)) { inside = false; continue; }
        const T *x = a + rows[j] * width, *y = b + columns[j] * width;
        V s0 = {}, s1 = {};
        int64_t c = 0;
        for (; c + 2 * lanes <= width; c += 2 * lanes) {
            s0 += *reinterpret_cast<const V*>(x + c) * *reinterpret_cast<const V*>(y + c);
            s1 += *reinterpret_cast<const V*>(x + c + lanes) * *reinterpret_cast<const V*>(y + c + lanes);
        }
        s0 += s1;
        T parts[lanes];
        std::memcpy(parts, &s0, sizeof parts);
        for (; c < width; ++c) parts[c % lanes] += x[c] * y[c];
        for (int64_t n = lanes / 2; n; n /= 2)
            for (int64_t i = 0; i < n; ++i) parts[i] += parts[i + n];
        out[j] = parts[0];
    }
    return inside;
}

struct Places {
    const int64_t *rows, *columns;
    const char *a, *b;
    char* out;
    int64_t a_height, b_height, width;
};

EACH_PROCESSOR bool dots_float(const Places& p, int64_t from, int64_t to) {
    return dot_places(p.rows, p.columns, reinterpret_cast<const float*>(p.a), reinterpret_cast<const float*>(p.b), reinterpret_cast<float*>(p.out), from, to, p.a_height,
                      p.b_height, p.width);
}
EACH_PROCESSOR bool dots_double(const Places& p, int64_t from, int64_t to) {
    return dot_places(p.rows, p.columns, reinterpret_cast<const double*>(p.a), reinterpret_cast<const double*>(p.b), reinterpret_cast<double*>(p.out), from, to,
                      p.a_height, p.b_height, p.width);
}

void check_matrix(const Tensor* t, const char* name, const char* operation, uint8_t dtype) {
    if (t->ndim != 2) fail(ErrorKind::Shape, std::string(operation) + ": " + name + " must be a matrix, it is " + shape_text(t));
    if (t->dtype != dtype || (dtype != kFloat32 && dtype != kFloat64))
        fail(ErrorKind::DType, std::string(operation) + ": values and matrices must be float32 or float64, all of one dtype; " + name + " is " + kDTypeNames[t->dtype]);
}

TensorRef dense_rows(const Tensor* t) {
    GradModeGuard off(false);
    return contiguous(const_cast<Tensor*>(t));
}

}  // namespace

void segments(const Tensor* index, int64_t rows, TensorRef& starts, TensorRef& order) {
    check_vector(index, "the index", "segments", -1);
    if (rows < 0) fail(ErrorKind::Value, "segments: the number of rows must not be negative, got " + std::to_string(rows));
    const int64_t n = index->numel, *values = integers(index);
    starts = zeros(Shape{rows + 1}, kInt64);
    order = empty(Shape{n}, kInt64);
    auto* first = reinterpret_cast<int64_t*>(starts->data);
    auto* to = reinterpret_cast<int64_t*>(order->data);
    for (int64_t i = 0; i < n; ++i) {
        if (uint64_t(values[i]) >= uint64_t(rows))
            fail(ErrorKind::Index, "segments: index " + std::to_string(values[i]) + " is out of bounds for " + std::to_string(rows) + " rows");
        ++first[values[i] + 1];
    }
    for (int64_t r = 0; r < rows; ++r) first[r + 1] += first[r];
    // first[r] is now where row r starts; it moves on while the row is filled, and ends where the next one starts.
    for (int64_t i = 0; i < n; ++i) to[first[values[i]]++] = i;
    std::memmove(first + 1, first, size_t(rows) * 8);
    first[0] = 0;
}

void segment_product(const Tensor* starts, const Tensor* order, const Tensor* columns, const Tensor* values, const Tensor* dense, Tensor* out) {
    const char* name = "segment_product";
    check_vector(starts, "starts", name, -1);
    check_vector(columns, "columns", name, -1);
    const int64_t n = columns->numel, rows = starts->numel - 1;
    if (order) check_vector(order, "order", name, n);
    if (values->ndim != 1 || values->numel != n) fail(ErrorKind::Shape, std::string(name) + ": values must be a vector of " + std::to_string(n) + " elements, it is " + shape_text(values));
    check_matrix(dense, "dense", name, values->dtype);
    const int64_t* first = integers(starts);
    bool whole = rows >= 0 && first[0] == 0 && first[rows] == n;
    for (int64_t r = 0; whole && r < rows; ++r) whole = first[r] <= first[r + 1];
    if (!whole) fail(ErrorKind::Value, std::string(name) + ": starts must rise from 0 to the number of elements, " + std::to_string(n));
    if (order)
        for (int64_t j = 0; j < n; ++j)
            if (uint64_t(integers(order)[j]) >= uint64_t(n)) fail(ErrorKind::Index, std::string(name) + ": order holds a number that is no element");
    TensorRef v = dense_rows(values), x = dense_rows(dense);
    const Rows call{first, order ? integers(order) : nullptr, integers(columns), v->data, x->data, out->data, x->sizes[0], x->sizes[1]};
    auto run = dense->dtype == kFloat32 ? product_float : product_double;
    // Tasks of rows that hold about equally many elements.
    const int64_t wanted = std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, call.width));
    const int64_t tasks = std::max<int64_t>(1, (n + rows) / wanted);
    auto bound = [&](int64_t task) {  // the first row of a task: by elements and rows before it
        if (task >= tasks) return rows;
        const int64_t target = int64_t((__int128)(n + rows) * task / tasks);
        int64_t low = 0, high = rows;
        while (low < high) {
            const int64_t middle = (low + high) / 2;
            if (first[middle] + middle < target) low = middle + 1;
            else high = middle;
        }
        return low;
    };
    std::atomic<bool> inside{true};
    auto part = [&](int64_t task) { if (!run(call, bound(task), bound(task + 1))) inside = false; };
    if (tasks < 3) for (int64_t i = 0; i < tasks; ++i) part(i);
    else parallel_for(tasks, part);
    if (!inside) fail(ErrorKind::Index, std::string(name) + ": a column is out of bounds for the " + std::to_string(call.height) + " rows of the dense matrix");
}

void sampled_product(const Tensor* rows, const Tensor* columns, const Tensor* a, const Tensor* b, Tensor* out) {
    const char* name = "sampled_product";
    check_vector(rows, "rows", name, -1);
    check_vector(columns, "columns", name, rows->numel);
    check_matrix(a, "a", name, a->dtype);
    check_matrix(b, "b", name, a->dtype);
    if (a->sizes[1] != b->sizes[1]) fail(ErrorKind::Shape, std::string(name) + ": a and b must be equally wide, they are " + shape_text(a) + " and " + shape_text(b));
    TensorRef x = dense_rows(a), y = dense_rows(b);
    const Places call{integers(rows), integers(columns), x->data, y->data, out->data, x->sizes[0], y->sizes[0], x->sizes[1]};
    auto run = a->dtype == kFloat32 ? dots_float : dots_double;
    const int64_t n = rows->numel, block = std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, call.width)), tasks = (n + block - 1) / block;
    std::atomic<bool> inside{true};
    auto part = [&](int64_t task) { if (!run(call, task * block, std::min(n, (task + 1) * block))) inside = false; };
    if (tasks < 3) for (int64_t i = 0; i < tasks; ++i) part(i);
    else parallel_for(tasks, part);
    if (!inside) fail(ErrorKind::Index, std::string(name) + ": an index is out of bounds for " + shape_text(a) + " or " + shape_text(b));
}

}  // namespace flambeau
