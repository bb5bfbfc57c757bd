// See tape.h.
#include "tape.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "autocast.h"
#include "dispatch.h"
#include "record.h"
#include "views.h"

namespace flambeau {

thread_local bool GradMode::enabled = true;
thread_local bool GradMode::inference = false;
PythonBridge bridge;

namespace {
uint64_t next_sequence = 1;
uint64_t next_pass = 1;
thread_local std::vector<Node*> dying;
thread_local bool draining = false;
}  // namespace

Node::Node() : sequence(next_sequence++) {
    if (bridge.detect_anomaly) where = bridge.made_here();
}
Node::~Node() {
    for (TensorHook& hook : tensor_hooks) bridge.decrease(hook.hooks);
    if (post_hooks) bridge.decrease(post_hooks);
    if (pre_hooks) bridge.decrease(pre_hooks);
    if (where) bridge.decrease(where);
    if (has_metadata) bridge.forget_metadata(this);
    for (auto& [number, tensor] : retained)
        if (tensor->autograd) tensor->autograd->retains_grad = false;
}

// A chain of a million nodes is released in a loop, never by recursion.
void destroy(Node* node) {
    dying.push_back(node);
    if (draining) return;
    draining = true;
    while (!dying.empty()) {
        Node* next = dying.back();
        dying.pop_back();
        delete next;
    }
    draining = false;
}

namespace {
void forget_retained(Node* node, Tensor* t) {
    auto& kept = node->retained;
    kept.erase(std::remove_if(kept.begin(), kept.end(), [t](auto& p) { return p.second == t; }), kept.end());
}
}  // namespace

void destroy_autograd(Tensor* t) {
    AutogradState* state = std::exchange(t->autograd, nullptr);
    if (state->accumulator) state->accumulator = nullptr;
    if (state->hooks) bridge.decrease(state->hooks);
    if (state->accumulate_hooks) bridge.decrease(state->accumulate_hooks);
    if (state->retains_grad && state->grad_fn) forget_retained(state->grad_fn.get(), t);
    delete state;
}

void Saved::save(Tensor* t) {
    if (t->inference && !GradMode::inference)
        fail(ErrorKind::Autograd, "Inference tensors cannot be saved for backward. To work around you can make a clone to get a "
                                  "normal tensor and use it in autograd.");
    if (bridge.saved_hooks) [[unlikely]]
        if (pack(t)) return;
    tensor = TensorRef(t);
    version = t->storage->version;
    t->storage->watched = true;
}
void Saved::save_output(Tensor* t, int number) {
    output_number = number;
    if (bridge.saved_hooks) [[unlikely]]
        if (pack(t)) return;
    tensor = alias(t);
    version = t->storage->version;
    t->storage->watched = true;
}
bool Saved::pack(Tensor* t) {
    void* unpack = nullptr;
    void* object = bridge.pack_saved(t, unpack);
    if (!object) return false;
    packed = Ref<Packed>(new Packed());
    packed->object = object;
    packed->unpack = unpack;
    if (output_number >= 0 || !t->requires_grad) return true;
    if (grad_fn_of(t)) packed->edge = edge_for(t);
    else packed->leaf = TensorRef(t);
    return true;
}
void destroy(Packed* packed) {
    bridge.decrease(packed->object);
    bridge.decrease(packed->unpack);
    delete packed;
}

TensorRef Saved::unpack(Node* owner) const {
    if (owner->released || !*this)
        fail(ErrorKind::Autograd,
             std::string("backward: the graph was already freed: ") + owner->name +
                 " kept its values for one backward pass only. Trying to backward through the graph a second time: "
                 "call backward(retain_graph=True) the first time, or compute the result again");
    if (packed) [[unlikely]] {
        TensorRef again = alias(bridge.unpack_saved(packed->object, packed->unpack).get());
        if (!GradMode::enabled) return again;
        if (output_number >= 0) set_history(again.get(), owner, uint32_t(output_number));
        else if (packed->edge.node) set_history(again.get(), packed->edge.node.get(), packed->edge.number);
        else if (packed->leaf)
            record("AliasBackward0", {packed->leaf.get()}, again.get(), [](auto&, TensorRef* gradients, TensorRef* results) { results[0] = gradients[0]; });
        return again;
    }
    if (tensor->storage->version != version) {
        std::string line = tensor->storage->changed_at ? bridge.text(tensor->storage->changed_at) : "an unknown line";
        fail(ErrorKind::Autograd,
             std::string("backward: ") + owner->name + " needs the value of a tensor of shape " +
                 shape_text(tensor.get()) +
                 " that has been modified by an inplace operation at " + line + " (it is at version " +
                 std::to_string(tensor->storage->version) + ", expected version " + std::to_string(version) +
                 "). Use the operation without the trailing underscore, or clone() the tensor before changing it" +
                 (owner->where ? "; its forward call was at " + bridge.text(owner->where) : std::string()));
    }
    if (output_number < 0 || !GradMode::enabled) return tensor;
    TensorRef again = alias(tensor.get());
    set_history(again.get(), owner, uint32_t(output_number));
    return again;
}

AccumulateNode::AccumulateNode(Tensor* t) : leaf(t) {
    name = "AccumulateGrad";
    sequence = 0;
}
AccumulateNode::~AccumulateNode() {
    if (leaf->autograd && leaf->autograd->accumulator == this) leaf->autograd->accumulator = nullptr;
}

void AccumulateNode::apply(TensorRef* gradients, TensorRef*) {
    TensorRef& gradient = gradients[0];
    if (!gradient) return;
    AutogradState& state = autograd_of(leaf.get());
    if (recorder) [[unlikely]] recorder->leaf(leaf.get(), true);
    if (gradient->carrier || (state.grad && state.grad->carrier)) [[unlikely]] {
        state.grad = state.grad ? bridge.add_sparse(state.grad.get(), gradient.get()) : gradient;
    } else if (!state.grad) {
        // Keep the gradient itself when nobody else holds it; otherwise a copy, so that later in-place
        // accumulation cannot reach into somebody's tensor.
        bool ours = gradient->references == 1 && sole_owner(gradient->storage) && !gradient->base &&
                    gradient->contiguous == leaf->contiguous && !gradient->requires_grad &&
                    gradient->storage->release == nullptr;
        if (GradMode::enabled && gradient->requires_grad) state.grad = gradient;
        else if (ours) state.grad = gradient;
        else state.grad = clone(detach(gradient.get()).get());
    } else if (GradMode::enabled && gradient->requires_grad) {
        state.grad = add_tensors(state.grad.get(), gradient.get());
    } else {
        GradModeGuard off(false);
        add_in_place(state.grad.get(), gradient.get());
    }
    if (state.accumulate_hooks) bridge.call_accumulate_hooks(state.accumulate_hooks, leaf.get());
}

Node* grad_fn_of(Tensor* t) {
    if (t->base && t->view_generation != t->base->generation && t->base->requires_grad) {
        // The base was changed in place after this view was made: the view is now a strided look at the new base.
        Tensor* base = t->base.get();
        TensorRef keep(base);
        bool before = GradMode::enabled;
        GradMode::enabled = true;
        TensorRef fresh = look_at(base, t->shape(), t->strides, t->data - base->data, t->dtype);
        GradMode::enabled = before;
        AutogradState& state = autograd_of(t);
        state.grad_fn = autograd_of(fresh.get()).grad_fn;
        state.output_number = 0;
        t->view_generation = base->generation;
        t->requires_grad = true;
    }
    return t->autograd ? t->autograd->grad_fn.get() : nullptr;
}

Edge edge_for(Tensor* t) {
    if (!t->requires_grad && !(t->base && t->base->requires_grad && t->view_generation != t->base->generation))
        return Edge();
    if (Node* node = grad_fn_of(t)) return Edge{Ref<Node>(node), t->autograd->output_number};
    if (!t->requires_grad) return Edge();
    AutogradState& state = autograd_of(t);
    if (!state.accumulator) {
        Ref<Node> made(new AccumulateNode(t));
        state.accumulator = made.get();
        return Edge{std::move(made), 0};
    }
    return Edge{Ref<Node>(state.accumulator), 0};
}

void connect(Node* node, Tensor* const* inputs, int count) {
    node->edges.resize(count);
    for (int i = 0; i < count; ++i)
        if (inputs[i]) node->edges[i] = edge_for(inputs[i]);
}

void set_history(Tensor* output, Node* node, uint32_t number) {
    AutogradState& state = autograd_of(output);
    if (state.grad_fn && state.grad_fn.get() != node) {
        // Changed in place: hooks stay with the value they were set on, a kept gradient follows the tensor.
        if (state.hooks) bridge.decrease(std::exchange(state.hooks, nullptr));
        if (state.retains_grad) {
            forget_retained(state.grad_fn.get(), output);
            node->retained.emplace_back(number, output);
        }
    }
    state.grad_fn = Ref<Node>(node);
    state.output_number = number;
    output->requires_grad = true;
    if (number >= node->output_count) node->output_count = number + 1;
}

void check_in_place(Tensor* t, const char* operation) {
    if (t->storage->read_only)
        fail(ErrorKind::Runtime, std::string(operation) +
                                     ": the tensor shares read-only memory and cannot be changed in place; clone() it");
    if (!GradMode::enabled) return;
    if (t->inference)
        fail(ErrorKind::Autograd, std::string(operation) + ": Inplace update to inference tensor outside InferenceMode "
                                                           "is not allowed; clone() it first");
    if (t->requires_grad && !(t->autograd && t->autograd->grad_fn))
        fail(ErrorKind::Autograd,
             std::string(operation) +
                 ": a leaf Variable that requires grad is being used in an in-place operation; wrap the change in "
                 "`with no_grad():`, or work on a clone()");
    if (t->base && t->base->requires_grad && !(t->base->autograd && t->base->autograd->grad_fn))
        fail(ErrorKind::Autograd,
             std::string(operation) +
                 ": a view of a leaf Variable that requires grad is being used in an in-place operation; wrap the "
                 "change in `with no_grad():`, or work on a clone()");
    if (t->numel)
        for (int i = 0; i < t->ndim; ++i)
            if (t->strides[i] == 0 && t->sizes[i] > 1)
                fail(ErrorKind::Runtime,
                     std::string(operation) +
                         ": unsupported operation: more than one element of the written-to tensor refers to a single "
                         "memory location. Please clone() the tensor before performing the operation.");
}

void bump_version(Tensor* t) {
    Storage* storage = t->storage;
    ++storage->version;
    if (storage->watched) {
        if (storage->changed_at) bridge.decrease(storage->changed_at);
        storage->changed_at = bridge.here();
    }
}

// In-place on a view: the base's new history is "the old base outside the view, the operation's result inside".
void rebase_history(Tensor* t, Ref<Node> node) {
    if (!t->base) {
        set_history(t, node.get(), 0);
        ++t->generation;
        return;
    }
    Tensor* base = t->base.get();
    Shape shape = t->shape();
    std::vector<int64_t> strides(t->strides, t->strides + t->ndim);
    std::vector<int64_t> base_strides(base->strides, base->strides + base->ndim);
    Shape base_shape = base->shape();
    int64_t offset = t->data - base->data;
    uint8_t dtype = t->dtype, base_dtype = base->dtype;
    int self_edge = -1;  // the edge of `node` that led to the view's old value: it now leads to the base's
    for (size_t i = 0; i < node->edges.size(); ++i)
        if (node->edges[i].node && t->autograd && node->edges[i].node.get() == t->autograd->grad_fn.get() &&
            node->edges[i].number == t->autograd->output_number) {
            self_edge = int(i);
            break;
        }
    auto function = [=](auto& self, TensorRef* gradients, TensorRef* results) {
        if (!gradients[0]) return;
        TensorRef whole = empty_strided(base_shape, base_strides.data(), dtype == base_dtype ? gradients[0]->dtype : base_dtype);
        copy_into(whole.get(), gradients[0].get());
        uint8_t seen = dtype == base_dtype ? whole->dtype : dtype;
        TensorRef region = look_at(whole.get(), shape, strides.data(), dtype == base_dtype ? offset / item_size(dtype) * item_size(seen) : offset, seen);
        TensorRef inner = clone(region.get());
        std::vector<TensorRef> inner_results(node->edges.size());
        node->apply(&inner, inner_results.data());
        for (size_t i = 0; i < inner_results.size(); ++i)
            if (int(i) != self_edge) results[i + 1] = inner_results[i];
        if (self.needs(0)) {
            if (self_edge >= 0 && inner_results[self_edge]) copy_into(region.get(), inner_results[self_edge].get());
            else {
                TensorRef nothing = zeros(shape, region->dtype);
                copy_into(region.get(), nothing.get());
            }
            results[0] = whole;
        }
    };
    auto* wrapper = new FunctionNode<decltype(function)>("CopySlices", function);
    Ref<Node> keep(wrapper);
    wrapper->edges.resize(node->edges.size() + 1);
    wrapper->edges[0] = edge_for(base);
    for (size_t i = 0; i < node->edges.size(); ++i)
        if (int(i) != self_edge) wrapper->edges[i + 1] = node->edges[i];
    set_history(base, wrapper, 0);
    ++base->generation;
    t->requires_grad = true;  // its grad_fn is remade from the base when asked for
    autograd_of(t);
}

void detach_in_place(Tensor* t) {
    if (t->base && t->base->requires_grad)
        fail(ErrorKind::Autograd,
             "detach_: can't detach views in-place; use detach() instead of detach_() on a view");
    if (t->autograd) {
        t->autograd->grad_fn = Ref<Node>();
        t->autograd->output_number = 0;
    }
    t->requires_grad = false;
}

void retain_grad(Tensor* t) {
    Node* node = grad_fn_of(t);
    if (!t->requires_grad)
        fail(ErrorKind::Autograd, "retain_grad: can't retain_grad on Tensor that has requires_grad=False");
    if (!node || t->autograd->retains_grad) return;
    node->retained.emplace_back(t->autograd->output_number, t);
    t->autograd->retains_grad = true;
}

namespace {

TensorRef sum_of(Tensor* a, Tensor* b) { return a->carrier || b->carrier ? bridge.add_sparse(a, b) : add_tensors(a, b); }

struct Pass {
    uint64_t id;
    std::vector<Node*> heap;  // highest sequence first: every consumer of a node has a higher one
    std::vector<Ref<Node>> keep;
    std::unordered_map<Node*, std::vector<TensorRef>> elsewhere;  // nodes busy in an outer pass

    std::vector<TensorRef>* pending(Node* node, bool& fresh) {
        fresh = false;
        if (node->pass == id) return &node->pending;
        if (node->pass == 0) {
            node->pass = id;
            node->pending.assign(node->output_count, TensorRef());
            fresh = true;
            return &node->pending;
        }
        auto [it, inserted] = elsewhere.try_emplace(node, node->output_count);
        fresh = inserted;
        return &it->second;
    }
    static bool less(const Node* a, const Node* b) { return a->sequence < b->sequence; }
    void add(const Edge& edge, TensorRef gradient) {
        Node* node = edge.node.get();
        bool fresh;
        std::vector<TensorRef>* slots = pending(node, fresh);
        if (edge.number >= slots->size()) slots->resize(edge.number + 1);
        TensorRef& slot = (*slots)[edge.number];
        if (!slot) slot = std::move(gradient);
        else if (slot->carrier || gradient->carrier) [[unlikely]] slot = bridge.add_sparse(slot.get(), gradient.get());
        else slot = add_gradients(std::move(slot), gradient.get());
        if (fresh) {
            keep.emplace_back(node);
            heap.push_back(node);
            std::push_heap(heap.begin(), heap.end(), less);
        }
    }
    // Hands the gradients out and frees the node for other passes.
    std::vector<TensorRef> take(Node* node) {
        if (node->pass == id) {
            node->pass = 0;
            return std::move(node->pending);
        }
        auto it = elsewhere.find(node);
        std::vector<TensorRef> out = std::move(it->second);
        elsewhere.erase(it);
        return out;
    }
    ~Pass() {
        for (Node* node : heap)
            if (node->pass == id) {
                node->pass = 0;
                node->pending.clear();
            }
    }
};

// Nodes from which a wanted node can be reached, so that nothing else is computed.
std::unordered_set<Node*> useful_nodes(const std::vector<Edge>& roots, const std::unordered_set<Node*>& wanted) {
    std::unordered_map<Node*, bool> useful;
    std::vector<std::pair<Node*, size_t>> stack;
    for (const Edge& root : roots) {
        if (!root.node || useful.count(root.node.get())) continue;
        stack.emplace_back(root.node.get(), 0);
        useful[root.node.get()] = wanted.count(root.node.get()) > 0;
        while (!stack.empty()) {
            auto& [node, next] = stack.back();
            if (next < node->edges.size()) {
                Node* child = node->edges[next++].node.get();
                if (!child) continue;
                auto it = useful.find(child);
                if (it == useful.end()) {
                    useful[child] = wanted.count(child) > 0;
                    stack.emplace_back(child, 0);
                } else if (it->second) {
                    useful[node] = true;
                }
            } else {
                bool flag = useful[node];
                stack.pop_back();
                if (flag && !stack.empty()) useful[stack.back().first] = true;
            }
        }
    }
    std::unordered_set<Node*> out;
    for (auto& [node, flag] : useful)
        if (flag) out.insert(node);
    return out;
}

// Under detect_anomaly: the first NaN that backward makes is an error that shows the forward line.
void refuse_nan(Node* node, const std::vector<TensorRef>& results) {
    for (size_t i = 0; i < results.size(); ++i) {
        if (!results[i] || results[i]->carrier || !is_inexact(results[i]->dtype)) continue;
        TensorRef dense = contiguous(results[i].get());
        int parts = is_complex(dense->dtype) ? 2 : 1, size = item_size(dense->dtype) / parts;
        for (int64_t j = 0; j < dense->numel * parts; ++j)
            if (double v = read_double(dense.get(), dense->data + j * size); v != v)
                fail(ErrorKind::Autograd, std::string("backward: Function '") + node->name + "' returned nan values in its " +
                                              std::to_string(i) + "th output; its forward call was at " +
                                              (node->where ? bridge.text(node->where) : "a line before detect_anomaly was on"));
    }
}

void run_hooks(Node* node, std::vector<TensorRef>& gradients) {
    if (node->accumulates()) {
        auto* state = static_cast<AccumulateNode*>(node)->leaf->autograd;
        if (state && state->hooks && gradients[0]) gradients[0] = bridge.call_tensor_hooks(state->hooks, gradients[0]);
    }
    for (TensorHook& hook : node->tensor_hooks)
        if (hook.number < gradients.size() && gradients[hook.number])
            gradients[hook.number] = bridge.call_tensor_hooks(hook.hooks, gradients[hook.number]);
    if (node->pre_hooks) bridge.call_pre_hooks(node->pre_hooks, node, gradients.data());
    for (auto& [number, tensor] : node->retained)
        if (gradients[number]) {
            AutogradState& state = autograd_of(tensor);
            state.grad = state.grad ? sum_of(state.grad.get(), gradients[number].get()) : gradients[number];
        }
}

}  // namespace

namespace {
struct Running {  // the innermost backward pass of this thread
    uint64_t id;
    const std::vector<Edge>* roots;
    const std::unordered_set<Node*>* useful;
    Running* outer;
    static thread_local Running* now;
    Running(uint64_t number, const std::vector<Edge>* from, const std::unordered_set<Node*>* only)
        : id(number), roots(from), useful(only), outer(std::exchange(now, this)) {}
    ~Running() { now = outer; }
};
thread_local Running* Running::now = nullptr;
}  // namespace

uint64_t current_backward() { return Running::now ? Running::now->id : 0; }

std::vector<bool> in_current_backward(const std::vector<Node*>& nodes) {
    std::unordered_set<Node*> seen;
    std::vector<Node*> waiting;
    if (Running* now = Running::now) {
        if (!now->useful->empty()) seen = *now->useful;
        else
            for (const Edge& root : *now->roots)
                if (root.node && seen.insert(root.node.get()).second) waiting.push_back(root.node.get());
    }
    while (!waiting.empty()) {
        Node* node = waiting.back();
        waiting.pop_back();
        for (const Edge& edge : node->edges)
            if (edge.node && seen.insert(edge.node.get()).second) waiting.push_back(edge.node.get());
    }
    std::vector<bool> out;
    for (Node* node : nodes) out.push_back(seen.count(node) > 0);
    return out;
}

std::vector<TensorRef> run_backward(const BackwardRequest& request) {
    GradModeGuard mode(request.create_graph);
    AutocastOff off;
    if (recorder) [[unlikely]] recorder->backward = true;
    Pass pass{next_pass++, {}, {}, {}};
    std::vector<TensorRef> captured(request.inputs.size());
    std::vector<Edge> roots, wanted_edges;
    std::unordered_set<Node*> wanted, useful;
    for (const TensorRef& root : request.roots) roots.push_back(edge_for(root.get()));
    for (const TensorRef& input : request.inputs) {
        wanted_edges.push_back(edge_for(input.get()));
        wanted.insert(wanted_edges.back().node.get());
    }
    if (!request.inputs.empty()) useful = useful_nodes(roots, wanted);
    Running running(pass.id, &roots, &useful);
    for (size_t i = 0; i < roots.size(); ++i)
        if (roots[i].node && (request.inputs.empty() || useful.count(roots[i].node.get())))
            pass.add(roots[i], request.gradients[i]);
    std::vector<TensorRef> results;
    size_t steps = 0;
    while (!pass.heap.empty()) {
        std::pop_heap(pass.heap.begin(), pass.heap.end(), Pass::less);
        Ref<Node> node(pass.heap.back());
        pass.heap.pop_back();
        std::vector<TensorRef> gradients = pass.take(node.get());
        if (gradients.size() < node->output_count) gradients.resize(node->output_count);
        if (pass.keep.size() > 4096 && (++steps & 4095) == 0) bridge.interrupt();
        run_hooks(node.get(), gradients);
        bool only_wanted = false;
        if (!request.inputs.empty() && wanted.count(node.get())) {
            for (size_t i = 0; i < wanted_edges.size(); ++i)
                if (wanted_edges[i].node.get() == node.get() && !request.accumulate)
                    captured[i] = gradients[wanted_edges[i].number];
            only_wanted = true;
            for (const Edge& edge : node->edges)
                if (edge.node && useful.count(edge.node.get())) only_wanted = false;
            if (request.accumulate) {
                if (node->accumulates()) only_wanted = false;
                else
                    for (size_t i = 0; i < wanted_edges.size(); ++i)
                        if (wanted_edges[i].node.get() == node.get() && gradients[wanted_edges[i].number]) {
                            AutogradState& state = autograd_of(request.inputs[i].get());
                            if (state.retains_grad) continue;
                            TensorRef g = gradients[wanted_edges[i].number];
                            state.grad = state.grad ? sum_of(state.grad.get(), g.get()) : g;
                        }
            }
        }
        if (only_wanted) continue;
        if (!request.inputs.empty() && !useful.count(node.get())) continue;
        if (node->accumulates() && !request.inputs.empty() && !request.accumulate) continue;
        bool any = false, sparse = false;
        for (const TensorRef& g : gradients)
            if (g) any = true, sparse = sparse || g->carrier;
        if (!any) continue;
        results.assign(node->edges.size(), TensorRef());
        if (sparse && !node->accumulates()) [[unlikely]]  // only leaves keep sparse gradients
            for (TensorRef& g : gradients)
                if (g && g->carrier) g = bridge.to_dense(g.get());
        node->apply(gradients.data(), results.data());
        if (node->post_hooks) bridge.call_post_hooks(node->post_hooks, node.get(), results.data(), gradients.data());
        if (bridge.detect_anomaly && bridge.check_nan) refuse_nan(node.get(), results);
        if (!request.keep_graph && node->has_saved()) {
            node->release_saved();
            node->released = true;
        }
        gradients.clear();
        for (size_t i = 0; i < node->edges.size(); ++i) {
            if (!results[i] || !node->edges[i].node) continue;
            if (!request.inputs.empty() && !useful.count(node->edges[i].node.get())) continue;
            pass.add(node->edges[i], std::move(results[i]));
        }
        results.clear();
    }
    return captured;
}

}  // namespace flambeau
