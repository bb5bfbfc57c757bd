// Autocast: while a region is entered, products, convolutions and attention take their float operands in a narrower dtype,
// and losses take theirs in float32. The casts are recorded like any other, so gradients come back in the parameters' dtype.
// It is not: the list of losses as Python sees them (flambeau/amp), nor any kernel. Asked by the bindings of those
// operations; outside of regions that costs one load.
#pragma once
#include "tensor.h"

namespace flambeau {

struct Autocast {
    static inline int regions = 0;              // entered and not left, in all threads together
    static constinit thread_local uint8_t dtype;  // of this thread's innermost region; kDTypes where there is none
    static bool on() { return regions && dtype != kDTypes; }
};
// The operand in the region's dtype: floats narrower than float64 are converted.
TensorRef lowered(Tensor* t);
// A scope without autocast: backward passes compute in the dtypes that forward left.
struct AutocastOff {
    const bool entered = Autocast::on();
    const uint8_t before = entered ? Autocast::dtype : uint8_t(kDTypes);
    AutocastOff() { if (entered) Autocast::dtype = kDTypes; }
    ~AutocastOff() { if (entered) Autocast::dtype = before; }
};

}  // namespace flambeau
