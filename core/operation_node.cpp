// See operation_node.h.
#include "operation_node.h"

#include <algorithm>

#include "views.h"

namespace flambeau {

namespace {

// High derivatives have many results, which come from several kernels.
void split_gradient(Operation& op, Resolution& r, GradientPlan& plan) {
    std::vector<int> needed;
    for (int i = 0; i < 32; ++i)
        if (plan.needs >> i & 1) needed.push_back(i);
    GradientPlan whole = std::move(plan);
    plan = GradientPlan();
    plan.needs = whole.needs;
    plan.through = whole.through;
    plan.result_of.assign(needed.size(), -1);
    int made = 0;
    for (size_t begin = 0; begin < needed.size();) {
        GradientPlan part;
        std::vector<size_t> chosen;
        for (; begin < needed.size() && chosen.size() < kMaxOutputs; ++begin)
            if (whole.result_of[begin] >= 0) {
                chosen.push_back(begin);
                part.needs |= 1u << needed[begin];
            }
        if (chosen.empty()) break;
        compiler.gradient(op, r, part);
        GradientPlan::Part& into = plan.parts.emplace_back(GradientPlan::Part{part.operation, {}, made});
        for (auto& operand : part.operands) {
            auto found = std::find(plan.operands.begin(), plan.operands.end(), operand);
            into.operands.push_back(int(found - plan.operands.begin()));
            if (found == plan.operands.end()) plan.operands.push_back(operand);
        }
        int most = 0;
        for (size_t k = 0; k < chosen.size(); ++k) {
            plan.result_of[chosen[k]] = made + part.result_of[k];
            most = std::max(most, part.result_of[k] + 1);
        }
        made += most;
    }
    if (made > kMaxOperands) fail(ErrorKind::Autograd, op.name + ": a derivative of this order has too many parts");
}

}  // namespace

GradientPlan& new_gradient_plan(Operation& op, Resolution& r, uint32_t needs) {
    auto plan = std::make_unique<GradientPlan>();
    plan->needs = needs;
    compiler.gradient(op, r, *plan);
    if (std::any_of(plan->result_of.begin(), plan->result_of.end(), [](int k) { return k >= kMaxOutputs; })) split_gradient(op, r, *plan);
    r.gradients.push_back(std::move(plan));
    return *r.gradients.back();
}

void OperationNode::apply(TensorRef* gradients, TensorRef* results) {
    if (keeps && released) Saved().unpack(this);
    Operands args;
    TensorRef made[kMaxOperands];
    for (uint32_t i = 0; i < output_count; ++i)
        if (!gradients[i] && i < outputs.size()) gradients[i] = zeros(outputs[i].first, outputs[i].second);
    if (plan->operation) {
        int n = int(plan->operands.size());
        for (int i = 0; i < n; ++i) {
            auto [kind, index] = plan->operands[i];
            if (kind == Read::Gradient) args.add(Arg(gradients[index].get()));
            else if (saved[i].tensor) args.add(Arg(saved[i].tensor.unpack(this).get()));
            else args.add(saved[i].number);
        }
        if (plan->operation->row) call_row_over(*plan->operation, args, n, row, full.get(), made);
        else call_map(*plan->operation, args, n, made);
    }
    for (const GradientPlan::Part& part : plan->parts) {
        args.clear();
        for (int i : part.operands) {
            auto [kind, index] = plan->operands[size_t(i)];
            if (kind == Read::Gradient) args.add(Arg(gradients[index].get()));
            else if (saved[size_t(i)].tensor) args.add(Arg(saved[size_t(i)].tensor.unpack(this).get()));
            else args.add(saved[size_t(i)].number);
        }
        if (part.operation->row) call_row_over(*part.operation, args, args.count(), row, full.get(), made + part.first);
        else call_map(*part.operation, args, args.count(), made + part.first);
    }
    int k = 0;
    for (size_t i = 0; i < edges.size(); ++i) {
        if (!(plan->needs >> i & 1)) continue;
        int j = k++;
        if (!edges[i].node) continue;
        TensorRef g = plan->through[j] >= 0 ? gradients[plan->through[j]] : plan->result_of[j] >= 0 ? made[plan->result_of[j]] : TensorRef();
        if (plan->through[j] < 0 && plan->result_of[j] < 0) {
            // The gradient is zero everywhere (floor, sign): zeros, so that .grad says so.
            const TensorRef* any = gradients;
            while (!*any) ++any;
            g = zeros(operation->row ? *full : (*any)->shape(), (*any)->dtype);
        }
        if (!g) continue;
        if (operation->row && plan->through[j] >= 0) g = spread(g.get());
        for (auto& [index, shape] : shapes)
            if (index == int(i)) g = sum_to(g.get(), shape);
        if (g->dtype != dtypes[i]) g = cast(g.get(), dtypes[i]);
        results[i] = std::move(g);
    }
}

TensorRef OperationNode::spread(Tensor* g) const {
    if (g->shape() == *full) return TensorRef(g);
    Shape with_ones = *full;
    for (int d = 0; d < full->ndim; ++d)
        if (row.dims >> d & 1) with_ones.sizes[d] = 1;
    TensorRef shaped = g->shape() == with_ones ? TensorRef(g) : reshape(g, with_ones);
    return expand(shaped.get(), *full);
}

OperationNode* make_node(Operation& op, const GradientPlan& plan, Arg* args, int count, bool in_place) {
    auto* node = new OperationNode();
    node->operation = &op;
    node->plan = &plan;
    node->name = op.grad_name.c_str();
    node->edges.resize(count);
    for (int i = 0; i < count; ++i) {
        node->dtypes[i] = args[i].code;
        if (plan.needs >> i & 1) node->edges[i] = edge_for(args[i].tensor.get());
    }
    node->saved.resize(plan.operands.size());
    for (size_t i = 0; i < plan.operands.size(); ++i) {
        auto [kind, index] = plan.operands[i];
        if (kind != Read::Input) continue;
        if (args[index].is_number()) {
            node->saved[i].number = args[index];
            node->keeps = true;
        } else {
            if (in_place && index == 0) {
                // The value before the change, with the history it had.
                GradModeGuard off(false);
                Tensor* t = args[0].tensor.get();
                TensorRef old = clone(t);
                if (t->autograd && t->autograd->grad_fn) set_history(old.get(), t->autograd->grad_fn.get(), t->autograd->output_number);
                node->saved[i].tensor.save(old.get());
            } else {
                node->saved[i].tensor.save(args[index].tensor.get());
            }
            node->keeps = true;
        }
    }
    return node;
}

void finish_node(OperationNode* node, Resolution& r, const GradientPlan& plan, Arg* args, int count, TensorRef* outputs,
                 const Shape& full) {
    for (size_t i = 0; i < plan.operands.size(); ++i) {
        auto [kind, index] = plan.operands[i];
        if (kind == Read::Output) {
            node->saved[i].tensor.save_output(outputs[index].get(), index);
            node->keeps = true;
        }
    }
    for (int i = 0; i < count; ++i)
        if ((plan.needs >> i & 1) && !(args[i].tensor->shape() == full)) node->shapes.emplace_back(i, args[i].tensor->shape());
    node->output_count = uint32_t(r.outputs);
    if (r.outputs > 1)
        for (int i = 0; i < r.outputs; ++i) node->outputs.emplace_back(outputs[i]->shape(), outputs[i]->dtype);
}

}  // namespace flambeau
