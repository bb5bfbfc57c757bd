// Convolutions on plain memory: forward, the gradient of the input (a transposed convolution) and of the weight.
//
// It is not: tensors, checks or history (convolve.h, its only caller). Called with the GIL held; it lets go of it while
// it computes. One and two dimensions arrive as three with leading sizes of 1.
#pragma once
#include <cstdint>

namespace flambeau {

struct Convolution {
    uint8_t dtype;  // int32, int64, float32 or float64
    int64_t n, c, o, groups;
    int64_t in[3], out[3], kernel[3], stride[3], padding[3], dilation[3];
    int64_t plane() const { return out[0] * out[1] * out[2]; }
    int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
};

/// A (batch, channels, depth, height, width) array; strides in elements.
struct Field {
    char* data;
    int64_t n, c, s[3];
};

// Weights are contiguous (o, c / groups, kernel...); `bias` may be null, else one contiguous value for each channel of
// the result. The bits depend on sizes and values, never on the number of threads.
void convolve_forward(const Convolution&, const Field& x, const char* weight, const char* bias, const Field& y);
void convolve_back(const Convolution&, const Field& gradient, const char* weight, const char* bias, const Field& x);
/// `bias` may be null, else it takes the sums of the gradient's pixels, where `sums_pixels`.
void convolve_weight(const Convolution&, const Field& gradient, const Field& x, char* weight, char* bias);
bool sums_pixels(const Convolution&);

// --- the table that flambeau/compiler/convolution.py fills; strides and offsets in bytes ---
struct ConvolveKernels {
    void (*gather)(int64_t rows, const char* source, const int64_t* offsets, char* to, int64_t to_row, int64_t n);
    void (*taps)(int64_t n, int64_t k, const char* weights, const int64_t* offsets, const char* source, const char* init,
                 char* c);
    int64_t step, item;  // `taps` computes multiples of `step` values
    // c[pixel, channel] = init[pixel, channel] + sum over k of (source + offsets[k])[pixel] * columns[k, channel], for
    // pixels of one line or of two that are `pitch` apart: [lines - 1][pixels of a line - 1][vectors of channels - 1].
    // Lines of c and columns are of the width of all vectors.
    void (*pixels[2][16][2])(int64_t k, const char* source, int64_t pitch, const int64_t* offsets, const char* columns,
                             const char* init, int64_t init_row, char* c);
    // c[row, :] = init[row, :] + sum over i < k of a[row, i] * (source + offsets[i])[:], where the lines of source fill
    // vectors: [rows - 1][vectors - 1]. `offsets` holds kSumAhead more.
    void (*sums[16][2])(int64_t k, const char* a, int64_t a_row, const char* source, const int64_t* offsets, const char* init,
                        int64_t init_row, char* c, int64_t c_row);
    // Pixels whose channels fill a vector: c[i] = init + sum over t of weights[t] * (source + offsets[t])[i], and
    // sums[t] += sum over lines and pixels of (source + offsets[t]) * gradient for as many taps as the index + 1.
    void (*lanes)(int64_t n, int64_t k, const char* weights, const int64_t* offsets, const char* source, int64_t step,
                  const char* init, char* c, int64_t c_step);
    void (*add)(int64_t n, const char* x, char* sum);  // sum += x, n a multiple of the lanes
    void (*lane_sums[9])(int64_t lines, int64_t n, const int64_t* offsets, const char* source, int64_t line, int64_t step,
                         const char* gradient, int64_t gradient_line, char* sums);
};
constexpr int64_t kSumAhead = 8;
/// Set by the bindings; must end in `register_convolve_kernels` or throw.
extern void (*request_convolve_kernels)(uint8_t dtype);
void register_convolve_kernels(uint8_t dtype, void* table);

}  // namespace flambeau
