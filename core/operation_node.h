// The node that a call of a map or row operation leaves on the tape, and what its gradient is computed with.
// It is not: the call (dispatch.cpp, which alone includes it) or the walk back (tape.cpp).
#pragma once
#include "dispatch.h"

namespace flambeau {

struct SavedOperand {
    Saved tensor;
    Arg number;
};

// The node of a map or row operation. Its backward is another operation, derived from the same declaration.
struct OperationNode : Node, Recycled<OperationNode> {
    Operation* operation;
    const GradientPlan* plan;
    RowArguments row;
    std::unique_ptr<Shape> full;                     // row kind: the shape the reduction ran over
    std::vector<SavedOperand> saved;                 // aligned with plan->operands (gradients leave a gap)
    std::vector<std::pair<int, Shape>> shapes;       // inputs that were broadcast
    std::vector<std::pair<Shape, uint8_t>> outputs;  // of operations with several outputs
    uint8_t dtypes[kMaxOperands];
    bool keeps = false;

    bool has_saved() const override { return keeps; }
    void release_saved() override { saved.clear(); }

    void apply(TensorRef* gradients, TensorRef* results) override;
    // A gradient that exists once a row, shown at the full shape.
    TensorRef spread(Tensor* g) const;
};

GradientPlan& new_gradient_plan(Operation& op, Resolution& r, uint32_t needs);
/// How the operands in the bit mask `needs` get their gradients; asked of the compiler once.
inline GradientPlan& gradient_plan(Operation& op, Resolution& r, uint32_t needs) {
    for (auto& plan : r.gradients)
        if (plan->needs == needs) return *plan;
    return new_gradient_plan(op, r, needs);
}
/// Before the run: the operands that are kept. `in_place`: the first one is about to be written over.
OperationNode* make_node(Operation& op, const GradientPlan& plan, Arg* args, int count, bool in_place);
/// After the run: the outputs that are kept, and shapes.
void finish_node(OperationNode* node, Resolution& r, const GradientPlan& plan, Arg* args, int count, TensorRef* outputs,
                 const Shape& full);

}  // namespace flambeau
