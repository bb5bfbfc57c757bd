// Depthwise convolutions whose vectors hold one pixel of many channels. See convolve_lanes.cpp.
// It is not: the choice of it, which the executors make (convolve_kernels.cpp, convolve_weight.cpp).
#pragma once
#include "convolve_stage.h"

namespace flambeau {

constexpr int64_t kMostLaneSums = 9;

/// Whether a depthwise convolution is done this way: one channel out for each of enough channels, at most two dimensions.
bool in_lanes(const Kit&, const Convolution&);
int64_t lanes_bytes(const Kit&, const Convolution&);
/// `room` has `lanes_bytes` bytes.
void lanes_forward(const Kit&, const Convolution&, const Field& x, const char* weight, const char* bias, const Field& y, char* room, bool parallel);
void lanes_back(const Kit&, const Convolution&, const Field& gradient, const char* weight, const char* bias, const Field& x, char* room, bool parallel);
/// The batch is summed in `parts` parts; `room` has `lanes_bytes` bytes for each.
void lanes_weight(const Kit&, const Convolution&, const Field& gradient, const Field& x, char* weight, char* room, int64_t parts, bool parallel);

}  // namespace flambeau
