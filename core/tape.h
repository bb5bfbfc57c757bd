// The tape: the define-by-run graph of nodes and the engine that walks it backward.
// It is not: any derivative (those come from declarations through dispatch.h, or from layout rules in views.cpp).
// Called by dispatch.cpp, views.cpp, index.cpp and the bindings. Walks and destruction are iterative.
#pragma once
#include <memory>
#include <vector>

#include "tensor.h"

namespace flambeau {

struct GradMode {
    static thread_local bool enabled;    // off under no_grad
    static thread_local bool inference;  // on under inference_mode
};
struct GradModeGuard {
    bool previous = GradMode::enabled;
    explicit GradModeGuard(bool on) { GradMode::enabled = on; }
    ~GradModeGuard() { GradMode::enabled = previous; }
};

struct Edge {
    Ref<Node> node;
    uint32_t number = 0;
};

// What saved_tensors_hooks made of a tensor that is kept, and what is needed to connect it to the graph again.
struct Packed {
    int64_t references = 0;
    void *object = nullptr, *unpack = nullptr;  // Python objects, owned
    TensorRef leaf;
    Edge edge;
};
void destroy(Packed*);

// A tensor kept for the backward pass, with the version it had.
struct Saved {
    TensorRef tensor;
    uint64_t version = 0;
    Ref<Packed> packed;      // instead of the tensor, under saved_tensors_hooks
    int output_number = -1;  // >= 0: it is this output of its own node, kept without its grad_fn to avoid a cycle
    void save(Tensor* t);
    void save_output(Tensor* t, int number);
    bool pack(Tensor* t);  // through saved_tensors_hooks; false where there are none
    // The tensor again, connected to the graph. Refuses a value that was changed in place since.
    TensorRef unpack(Node* owner) const;
    explicit operator bool() const { return tensor || packed; }
};

struct TensorHook {
    uint32_t number;
    void* hooks;  // a Python dict, owned
};

struct Node {
    int64_t references = 0;
    uint64_t sequence = 0;
    const char* name = "";
    uint32_t output_count = 1;
    bool released = false;
    bool records_in_place = false;
    bool has_metadata = false;               // a Python dict of the user's own, kept by the bindings
    std::vector<Edge> edges;
    uint64_t pass = 0;                       // the backward pass that `pending` belongs to
    std::vector<TensorRef> pending;          // gradients arriving at each output
    std::vector<TensorHook> tensor_hooks;
    std::vector<std::pair<uint32_t, Tensor*>> retained;  // weak: outputs that asked to keep their gradient
    void* post_hooks = nullptr;              // a Python dict, owned
    void* pre_hooks = nullptr;
    void* python = nullptr;                  // weak: the Python object that stands for this node
    void* where = nullptr;                   // under detect_anomaly: the traceback of the forward call, owned

    Node();
    virtual ~Node();
    virtual void apply(TensorRef* gradients, TensorRef* results) = 0;
    virtual void release_saved() {}
    virtual bool has_saved() const { return false; }
    virtual bool accumulates() const { return false; }
    bool needs(size_t i) const { return i < edges.size() && bool(edges[i].node); }
};

struct AccumulateNode : Node {
    TensorRef leaf;
    explicit AccumulateNode(Tensor* t);
    ~AccumulateNode() override;
    void apply(TensorRef* gradients, TensorRef* results) override;
    bool accumulates() const override { return true; }
};

// A node whose backward is a C++ callable: f(node, gradients, results). `saved` is what it kept.
template <class F>
struct FunctionNode : Node {
    F function;
    std::vector<Saved> saved;
    explicit FunctionNode(const char* label, F f) : function(std::move(f)) { name = label; }
    void apply(TensorRef* gradients, TensorRef* results) override { function(*this, gradients, results); }
    void release_saved() override { for (Saved& s : saved) s = Saved(); }
    bool has_saved() const override { return !saved.empty(); }
};

inline bool recording(const Tensor* t) { return GradMode::enabled && t->requires_grad; }
inline bool recording(const Tensor* a, const Tensor* b) {
    return GradMode::enabled && (a->requires_grad || b->requires_grad);
}

Edge edge_for(Tensor* t);
Node* grad_fn_of(Tensor* t);              // brings a stale view's grad_fn up to date
void connect(Node* node, Tensor* const* inputs, int count);
void set_history(Tensor* output, Node* node, uint32_t number);
template <class F>
FunctionNode<F>* record(const char* name, std::initializer_list<Tensor*> inputs, Tensor* output, F f) {
    auto* node = new FunctionNode<F>(name, std::move(f));
    connect(node, inputs.begin(), int(inputs.size()));
    set_history(output, node, 0);
    return node;
}

// Before an in-place change: refuses leaves that require grad and saved inference tensors. After: bumps the version.
void check_in_place(Tensor* t, const char* operation);
void bump_version(Tensor* t);
// The history of an in-place operation on `t` whose node (already connected to its inputs) is `node`.
void rebase_history(Tensor* t, Ref<Node> node);

void destroy_autograd(Tensor* t);
void detach_in_place(Tensor* t);
void retain_grad(Tensor* t);

struct BackwardRequest {
    std::vector<TensorRef> roots, gradients;
    std::vector<TensorRef> inputs;       // empty: accumulate into every leaf
    bool keep_graph = false, create_graph = false, accumulate = true;
};
std::vector<TensorRef> run_backward(const BackwardRequest&);
uint64_t current_backward();                                    // the number of the pass that runs in this thread, or 0
std::vector<bool> in_current_backward(const std::vector<Node*>&);  // which nodes it comes to

// What the tape asks of Python; set by the bindings.
struct PythonBridge {
    TensorRef (*call_tensor_hooks)(void* hooks, const TensorRef& gradient) = nullptr;
    void (*call_post_hooks)(void* hooks, Node* node, TensorRef* results, TensorRef* gradients) = nullptr;
    void (*call_pre_hooks)(void* hooks, Node* node, TensorRef* gradients) = nullptr;
    void (*call_accumulate_hooks)(void* hooks, Tensor* leaf) = nullptr;
    void (*decrease)(void* object) = nullptr;
    void (*increase)(void* object) = nullptr;
    void* (*here)() = nullptr;                  // the user's current source line, a new reference to a str
    void* (*made_here)() = nullptr;             // the same, with the path of the module that is running
    std::string (*text)(void* object) = nullptr;
    void* (*pack_saved)(Tensor* t, void*& unpack) = nullptr;   // null where this thread has no hooks
    TensorRef (*unpack_saved)(void* packed, void* unpack) = nullptr;
    int saved_hooks = 0;                        // how many saved_tensors_hooks are active, in all threads together
    void (*forget_metadata)(Node* node) = nullptr;
    TensorRef (*add_sparse)(Tensor* a, Tensor* b) = nullptr;  // gradients, one or both of them carriers
    TensorRef (*to_dense)(Tensor* carrier) = nullptr;
    void (*interrupt)() = nullptr;              // throws if Ctrl-C is pending
    bool detect_anomaly = false;
    bool check_nan = true;
};
extern PythonBridge bridge;

}  // namespace flambeau
