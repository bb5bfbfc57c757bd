// Tensor: a storage seen through a layout (dtype, sizes, strides, offset), with its autograd state.
// It is not: an operation (dispatch.h), a graph (tape.h) or a Python object (python.h). Called by all of those.
// Reference counts change only while the GIL is held, so they are plain integers.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "errors.h"
#include "storage.h"

namespace flambeau {

inline void destroy(Storage* storage) { storage_destroy(storage); }

enum DType : uint8_t { kBool, kUInt8, kInt8, kInt16, kInt32, kInt64, kFloat16, kBFloat16, kFloat32, kFloat64,
                       kUInt16, kUInt32, kUInt64, kComplex64, kComplex128, kDTypes };
constexpr int kItemSizes[kDTypes] = {1, 1, 1, 2, 4, 8, 2, 2, 4, 8, 2, 4, 8, 8, 16};
constexpr const char* kDTypeNames[kDTypes] = {"bool",    "uint8",   "int8",   "int16",  "int32",  "int64",     "float16",   "bfloat16",
                                              "float32", "float64", "uint16", "uint32", "uint64", "complex64", "complex128"};
inline int item_size(uint8_t dtype) { return kItemSizes[dtype]; }
inline bool is_float(uint8_t dtype) { return uint8_t(dtype - kFloat16) <= kFloat64 - kFloat16; }
inline bool is_complex(uint8_t dtype) { return dtype >= kComplex64; }
inline bool is_inexact(uint8_t dtype) { return is_float(dtype) || is_complex(dtype); }  // can have a gradient
inline uint8_t part_dtype(uint8_t dtype) { return dtype < kComplex64 ? dtype : uint8_t(dtype == kComplex64 ? kFloat32 : kFloat64); }

constexpr int kMaxDims = 16;

// A pointer that counts. T has an integer `references` and a free function `destroy(T*)`.
template <class T>
struct Ref {
    T* pointer = nullptr;
    Ref() = default;
    Ref(T* p) : pointer(p) { if (p) ++p->references; }
    Ref(const Ref& other) : Ref(other.pointer) {}
    Ref(Ref&& other) noexcept : pointer(other.pointer) { other.pointer = nullptr; }
    Ref& operator=(Ref other) noexcept { std::swap(pointer, other.pointer); return *this; }
    ~Ref() { if (pointer && --pointer->references == 0) destroy(pointer); }
    static Ref adopt(T* p) { Ref r; r.pointer = p; return r; }
    T* detach() { return std::exchange(pointer, nullptr); }
    T* get() const { return pointer; }
    T* operator->() const { return pointer; }
    T& operator*() const { return *pointer; }
    explicit operator bool() const { return pointer != nullptr; }
};

struct Shape {
    int ndim = 0;
    int64_t sizes[kMaxDims];
    Shape() = default;
    Shape(std::initializer_list<int64_t> list) { for (int64_t s : list) sizes[ndim++] = s; }
    int64_t numel() const { int64_t n = 1; for (int i = 0; i < ndim; ++i) n *= sizes[i]; return n; }
    bool operator==(const Shape& o) const {
        if (ndim != o.ndim) return false;
        for (int i = 0; i < ndim; ++i) if (sizes[i] != o.sizes[i]) return false;
        return true;
    }
    std::string text() const;
};

struct Node;
struct Tensor;
void destroy(Tensor*);
void destroy(Node*);

// Memory of the small objects every recorded operation makes, given out again without the general allocator.
template <class T>
struct Recycled {
    static void* operator new(size_t size) {
        if (!list || size != sizeof(T)) return ::operator new(size);
        --kept;
        return std::exchange(list, *static_cast<void**>(list));
    }
    static void operator delete(void* p, size_t size) {
        if (size != sizeof(T) || kept >= 4096) return ::operator delete(p);
        ++kept;
        *static_cast<void**>(p) = std::exchange(list, p);
    }

  private:
    static inline void* list = nullptr;
    static inline int kept = 0;
};

// The part of a tensor that only differentiated tensors have.
struct AutogradState : Recycled<AutogradState> {
    Ref<Node> grad_fn;
    uint32_t output_number = 0;
    Ref<Tensor> grad;
    Node* accumulator = nullptr;   // weak: the graph owns it, and it owns the leaf
    void* hooks = nullptr;         // a Python dict of hooks on this tensor's gradient, owned
    void* accumulate_hooks = nullptr;
    bool retains_grad = false;
    bool internal = false;         // a leaf that only a transform of flambeau.func differentiates by
};

struct Tensor {
    int64_t references = 0;
    Storage* storage = nullptr;
    char* data = nullptr;          // first element
    int64_t numel = 0;
    uint8_t dtype = kFloat32;
    uint8_t ndim = 0;
    uint8_t device = 0;
    bool contiguous = true;        // row-major and dense
    bool requires_grad = false;    // a leaf that was asked to, or a result with a grad_fn
    bool inference = false;        // made under inference_mode: may not take part in a graph
    bool carrier = false;          // no elements of its own: stands in the tape for a sparse gradient, its storage's owner
    AutogradState* autograd = nullptr;
    Ref<Tensor> base;              // the tensor this one is a differentiable view of
    uint64_t view_generation = 0;  // generation of the base's graph this view's grad_fn belongs to
    uint64_t generation = 0;       // counts in-place graph changes of this base
    void* python = nullptr;        // weak: the Python object that stands for this tensor, if any
    int64_t sizes[kMaxDims];
    int64_t strides[kMaxDims];     // in elements

    int64_t size_at(int i) const { return sizes[i]; }
    int64_t offset() const { return (data - storage->data) / item_size(dtype); }
    Shape shape() const {
        Shape s;
        s.ndim = ndim;
        for (int i = 0; i < ndim; ++i) s.sizes[i] = sizes[i];
        return s;
    }
    bool same_shape(const Tensor& o) const {
        if (ndim != o.ndim) return false;
        for (int i = 0; i < ndim; ++i) if (sizes[i] != o.sizes[i]) return false;
        return true;
    }
};
using TensorRef = Ref<Tensor>;

AutogradState& autograd_of(Tensor*);
TensorRef new_tensor_like_header();                                   // an empty header without storage
TensorRef empty(const Shape&, uint8_t dtype);                         // contiguous, uninitialised
TensorRef empty_strided(const Shape&, const int64_t* strides, uint8_t dtype);
TensorRef from_storage(Ref<Storage>, const Shape&, const int64_t* strides, int64_t offset, uint8_t dtype);
TensorRef zeros(const Shape&, uint8_t dtype);
TensorRef alias(const Tensor*);                                       // same storage and layout, no autograd
void refresh(Tensor*);                                                // numel and contiguous from sizes and strides
std::string shape_text(const Tensor*);
int normal_dim(int64_t dim, int ndim, const char* operation);         // negative dims; IndexError text as PyTorch's
int64_t checked_numel(const Shape&, const char* operation);           // refuses negative and overflowing sizes

// The plain element access used by item(), tolist() and indexing; no arithmetic.
double read_double(const Tensor*, const char* at);                    // of a complex number the real part
bool read_truth(const Tensor*, const char* at);                       // whether it is not zero
int64_t read_int(const Tensor*, const char* at);
float half_to_float(uint16_t);
uint16_t float_to_half(float);
float bfloat_to_float(uint16_t);
uint16_t float_to_bfloat(float);

}  // namespace flambeau
