// Copies of lines whose elements lie apart: what strided slices and strided convolutions move.
// It is not: a copy of tensors (copy.cpp). Included by copy.cpp and convolve_stage.h.
#pragma once
#include <cstdint>
#include <cstring>

namespace flambeau {

template <class T>
void copy_items(const char* from, int64_t from_step, char* to, int64_t to_step, int64_t count) {
    auto* a = reinterpret_cast<const T*>(from);
    auto* b = reinterpret_cast<T*>(to);
    for (int64_t i = 0; i < count; ++i) b[i * to_step] = a[i * from_step];
}
/// Every second value of four bytes.
inline void copy_every_second(const char* from, char* to, int64_t count) {
    using Four = uint32_t __attribute__((vector_size(16)));
    int64_t i = 0;
    for (; i + 5 <= count; i += 4) {  // a load reaches one value further than it needs
        Four low, high;
        std::memcpy(&low, from + i * 8, 16);
        std::memcpy(&high, from + i * 8 + 16, 16);
        const Four even = __builtin_shufflevector(low, high, 0, 2, 4, 6);
        std::memcpy(to + i * 4, &even, 16);
    }
    for (; i < count; ++i) std::memcpy(to + i * 4, from + i * 8, 4);
}
/// A copy of a few bytes, without a call; at least 16.
inline void copy_few(const char* from, char* to, int64_t bytes) {
    using Sixteen = uint32_t __attribute__((vector_size(16)));
    Sixteen value;
    for (int64_t i = 0; i + 16 < bytes; i += 16) {
        std::memcpy(&value, from + i, 16);
        std::memcpy(to + i, &value, 16);
    }
    std::memcpy(&value, from + bytes - 16, 16);
    std::memcpy(to + bytes - 16, &value, 16);
}
/// Copies `count` items; steps in elements.
inline void copy_line(int64_t item, const char* from, int64_t step, char* to, int64_t count, int64_t to_step = 1) {
    if (step == 1 && to_step == 1) {
        if (count * item >= 16 && count * item <= 128) copy_few(from, to, count * item);
        else std::memcpy(to, from, size_t(count * item));
    }
    else if (item == 4 && step == 2 && to_step == 1) copy_every_second(from, to, count);
    else if (item == 4) copy_items<uint32_t>(from, step, to, to_step, count);
    else copy_items<uint64_t>(from, step, to, to_step, count);
}

}  // namespace flambeau
