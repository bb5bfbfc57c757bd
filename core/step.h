// A whole operation of the core as one step of a recording: what it calls inside is not noted.
// It is not: the recorder (record.h). Called by the operations that move elements (index.cpp, cat.cpp).
#pragma once
#include <vector>

#include "dispatch.h"
#include "record.h"
#include "views.h"

namespace flambeau {

// Runs `now`, which makes a new tensor from `inputs`, and notes it as a step that `again` repeats.
template <class Now, class Again>
TensorRef as_step(const char* name, const std::vector<Tensor*>& inputs, Now now, Again again) {
    if (!recorder || !recorder->records()) [[likely]] return now();
    TensorRef out;
    {
        RecordDepth inside;
        out = now();
    }
    recorder->call(name, inputs, {out.get()}, [again, n = inputs.size()](Tensor* const* t) {
        GradModeGuard off(false);
        TensorRef made = again(t);
        copy_elements(t[n], made.get());
    });
    return out;
}

}  // namespace flambeau
