// Tensor headers: making them, their layouts, and reading single elements.
// It is not: any arithmetic on tensors. Called by every other core file.
#include "tensor.h"

#include <cmath>
#include <cstring>

#include "record.h"
#include "tape.h"

namespace flambeau {

namespace {
// Headers are recycled: a training step makes and drops dozens.
Tensor* free_headers = nullptr;
int free_count = 0;
}  // namespace

std::string Shape::text() const {
    std::string s = "(";
    for (int i = 0; i < ndim; ++i) s += (i ? ", " : "") + std::to_string(sizes[i]);
    return s + (ndim == 1 ? ",)" : ")");
}
std::string shape_text(const Tensor* t) { return t->shape().text(); }

TensorRef new_tensor_like_header() {
    if (free_headers) {
        Tensor* t = free_headers;
        free_headers = reinterpret_cast<Tensor*>(t->python);
        --free_count;
        new (t) Tensor();
        return TensorRef(t);
    }
    return TensorRef(new Tensor());
}

void destroy(Tensor* t) {
    if (t->autograd) destroy_autograd(t);
    if (t->storage) release(t->storage);
    t->base = TensorRef();
    if (free_count < 4096) {
        t->python = free_headers;
        free_headers = t;
        ++free_count;
    } else {
        delete t;
    }
}

AutogradState& autograd_of(Tensor* t) {
    if (!t->autograd) t->autograd = new AutogradState();
    return *t->autograd;
}

void refresh(Tensor* t) {
    int64_t expected = 1;
    bool contiguous = true;
    for (int i = t->ndim - 1; i >= 0; --i) {
        if (t->sizes[i] != 1) {
            if (t->strides[i] != expected) contiguous = false;
            expected *= t->sizes[i];
        }
    }
    t->numel = expected;
    if (expected == 0) contiguous = true;
    t->contiguous = contiguous;
}

int64_t checked_numel(const Shape& shape, const char* operation) {
    int64_t n = 1;
    bool zero = false;
    for (int i = 0; i < shape.ndim; ++i) {
        if (shape.sizes[i] < 0)
            fail(ErrorKind::Runtime, std::string(operation) + ": sizes must not be negative, got " + shape.text() +
                                         "; give every dimension a size of at least 0");
        if (shape.sizes[i] == 0) zero = true;
    }
    if (zero) return 0;
    for (int i = 0; i < shape.ndim; ++i)
        if (__builtin_mul_overflow(n, shape.sizes[i], &n) || n > (int64_t(1) << 58))
            fail(ErrorKind::Runtime, std::string(operation) + ": a tensor of shape " + shape.text() +
                                         " has more elements than memory can address");
    return n;
}

TensorRef empty(const Shape& shape, uint8_t dtype) {
    int64_t n = checked_numel(shape, "empty");
    TensorRef t = new_tensor_like_header();
    t->storage = storage_allocate(size_t(n) * item_size(dtype));
    t->data = t->storage->data;
    t->dtype = dtype;
    t->ndim = uint8_t(shape.ndim);
    int64_t stride = 1;
    for (int i = shape.ndim - 1; i >= 0; --i) {
        t->sizes[i] = shape.sizes[i];
        t->strides[i] = stride;
        stride *= shape.sizes[i] > 1 ? shape.sizes[i] : 1;
    }
    t->numel = n;
    t->contiguous = true;
    return t;
}

TensorRef empty_strided(const Shape& shape, const int64_t* strides, uint8_t dtype) {
    checked_numel(shape, "empty_strided");
    int64_t extent = shape.numel() == 0 ? 0 : 1;
    if (extent)
        for (int i = 0; i < shape.ndim; ++i) extent += (shape.sizes[i] - 1) * strides[i];
    TensorRef t = new_tensor_like_header();
    t->storage = storage_allocate(size_t(extent) * item_size(dtype));
    t->data = t->storage->data;
    t->dtype = dtype;
    t->ndim = uint8_t(shape.ndim);
    for (int i = 0; i < shape.ndim; ++i) t->sizes[i] = shape.sizes[i], t->strides[i] = strides[i];
    refresh(t.get());
    return t;
}

TensorRef from_storage(Ref<Storage> storage, const Shape& shape, const int64_t* strides, int64_t offset,
                       uint8_t dtype) {
    TensorRef t = new_tensor_like_header();
    t->storage = storage.detach();
    t->dtype = dtype;
    t->data = t->storage->data + offset * item_size(dtype);
    t->ndim = uint8_t(shape.ndim);
    for (int i = 0; i < shape.ndim; ++i) t->sizes[i] = shape.sizes[i], t->strides[i] = strides[i];
    refresh(t.get());
    return t;
}

TensorRef zeros(const Shape& shape, uint8_t dtype) {
    TensorRef t = empty(shape, dtype);
    std::memset(t->data, 0, size_t(t->numel) * item_size(dtype));
    if (recorder && recorder->records() && t->numel) [[unlikely]] recorder->zero(t.get());
    return t;
}

TensorRef alias(const Tensor* source) {
    TensorRef t = new_tensor_like_header();
    t->storage = source->storage;
    retain(t->storage);
    t->data = source->data;
    t->numel = source->numel;
    t->dtype = source->dtype;
    t->ndim = source->ndim;
    t->device = source->device;
    t->contiguous = source->contiguous;
    t->inference = source->inference;
    for (int i = 0; i < source->ndim; ++i) t->sizes[i] = source->sizes[i], t->strides[i] = source->strides[i];
    return t;
}

int normal_dim(int64_t dim, int ndim, const char* operation) {
    int range = ndim == 0 ? 1 : ndim;
    if (dim < -range || dim >= range)
        fail(ErrorKind::Index, std::string(operation) + ": Dimension out of range (expected to be in range of [" +
                                   std::to_string(-range) + ", " + std::to_string(range - 1) + "], but got " +
                                   std::to_string(dim) + ")");
    return int(dim < 0 ? dim + range : dim);
}

float half_to_float(uint16_t h) {
    uint32_t sign = uint32_t(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 1023, bits;
    if (exponent == 31) bits = sign | 0x7f800000 | (fraction << 13);
    else if (exponent) bits = sign | ((exponent + 112) << 23) | (fraction << 13);
    else {
        float value = std::ldexp(float(fraction), -24);
        return sign ? -value : value;
    }
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
}

uint16_t float_to_half(float f) {
    uint32_t x;
    std::memcpy(&x, &f, 4);
    uint16_t sign = uint16_t((x >> 16) & 0x8000);
    x &= 0x7fffffff;
    if (x > 0x7f800000) return sign | 0x7e00;
    if (x >= 0x477ff000) return sign | 0x7c00;  // rounds to infinity
    if (x < 0x38800000) {                        // subnormal: scale exactly, round half to even
        float magnitude;
        std::memcpy(&magnitude, &x, 4);
        return sign | uint16_t(std::nearbyint(std::ldexp(magnitude, 24)));
    }
    uint32_t rounded = x + 0xfff + ((x >> 13) & 1);
    return sign | uint16_t((rounded - 0x38000000) >> 13);
}

float bfloat_to_float(uint16_t h) {
    uint32_t bits = uint32_t(h) << 16;
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
}

uint16_t float_to_bfloat(float f) {
    uint32_t x;
    std::memcpy(&x, &f, 4);
    if ((x & 0x7fffffff) > 0x7f800000) return uint16_t((x >> 16) | 0x40);
    return uint16_t((x + 0x7fff + ((x >> 16) & 1)) >> 16);
}

double read_double(const Tensor* t, const char* at) {
    switch (t->dtype) {
        case kFloat16: { uint16_t h; std::memcpy(&h, at, 2); return half_to_float(h); }
        case kBFloat16: { uint16_t h; std::memcpy(&h, at, 2); return bfloat_to_float(h); }
        case kFloat32: { float f; std::memcpy(&f, at, 4); return f; }
        case kFloat64: case kComplex128: { double d; std::memcpy(&d, at, 8); return d; }
        case kComplex64: { float f; std::memcpy(&f, at, 4); return f; }
        case kUInt64: { uint64_t v; std::memcpy(&v, at, 8); return double(v); }
        default: return double(read_int(t, at));
    }
}

int64_t read_int(const Tensor* t, const char* at) {
    switch (t->dtype) {
        case kBool: return *at != 0;
        case kUInt8: return uint8_t(*at);
        case kInt8: return int8_t(*at);
        case kInt16: { int16_t v; std::memcpy(&v, at, 2); return v; }
        case kInt32: { int32_t v; std::memcpy(&v, at, 4); return v; }
        case kInt64: case kUInt64: { int64_t v; std::memcpy(&v, at, 8); return v; }
        case kUInt16: { uint16_t v; std::memcpy(&v, at, 2); return v; }
        case kUInt32: { uint32_t v; std::memcpy(&v, at, 4); return v; }
        default: return int64_t(read_double(t, at));
    }
}

bool read_truth(const Tensor* t, const char* at) {
    // A part is read by the rule of the whole: both begin with a float of the same size.
    if (is_complex(t->dtype) && read_double(t, at + item_size(t->dtype) / 2) != 0) return true;
    return is_inexact(t->dtype) ? read_double(t, at) != 0 : read_int(t, at) != 0;
}

}  // namespace flambeau
