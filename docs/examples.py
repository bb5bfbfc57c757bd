"""One example for each name of `flambeau` whose docstring has none; docs/api.md shows them with their results.

A line is an expression that uses the name; `a`, `b`, `m`, `i` and `t` stand for the tensors below. Lines of names that
are not there are passed over.
"""

from __future__ import annotations

SETUP = """
a = fl.tensor([0.25, 0.5, 1.0])
b = fl.tensor([2.0, -1.0, 0.5])
m = fl.tensor([[4.0, 1.0], [2.0, 3.0]])
i = fl.tensor([6, 3, 5])
t = fl.tensor([True, False, True])
"""

#: Functions of one tensor, shown on `a`.
OF_ONE = """
abs absolute acos arccos acosh arccosh angle asin arcsin asinh arcsinh atan arctan atanh arctanh ceil conj conj_physical
cos cosh deg2rad digamma erf erfc erfinv exp exp2 expm1 fix floor frac isfinite isinf isnan isneginf isposinf isreal
lgamma log log10 log1p log2 logit nan_to_num neg negative positive rad2deg real reciprocal relu resolve_conj resolve_neg
rsqrt sgn sigmoid sign signbit sin sinc sinh sqrt square tan tanh trunc clone detach zeros_like ones_like
hardshrink selu celu argmax argmin all any amax amin aminmax nanmean nanmedian nansum prod std std_mean var_mean
atleast_1d atleast_2d atleast_3d diag_embed diagflat flatten ravel is_floating_point is_complex is_tensor numel msort
trapezoid trapz unique_consecutive count_nonzero argwhere typename
"""
#: Functions of two tensors, shown on `a` and `b`.
OF_TWO = """
atan2 arctan2 copysign eq ne not_equal ge greater_equal gt greater le less_equal lt less float_power floor_divide fmax
fmin fmod heaviside hypot isclose ldexp logaddexp logaddexp2 maximum minimum mul multiply pow remainder rsub sub
subtract xlogy logical_and logical_or logical_xor inner outer ger dist
cartesian_prod meshgrid block_diag broadcast_tensors isin
"""
#: The others, each with an expression of its own.
OTHERS = """
addbmm(fl.zeros(2, 2), fl.ones(3, 2, 4), fl.ones(3, 4, 2))
addcdiv(a, b, a, value=0.5)
addcmul(a, b, a, value=0.5)
addmm(fl.ones(2), m, m)
addmv(fl.ones(2), m, fl.ones(2))
addr(fl.zeros(3, 3), a, b)
adjoint(m)
as_strided(a, (2, 2), (1, 1))
asarray([1, 2], dtype=fl.float32)
baddbmm(fl.zeros(1, 2, 2), fl.ones(1, 2, 3), fl.ones(1, 3, 2), beta=0)
bartlett_window(5)
bernoulli(fl.tensor([0.0, 1.0]))
binomial(fl.tensor([3.0]), fl.tensor([1.0]))
bitwise_and(i, fl.tensor([1, 1, 4]))
bitwise_left_shift(i, 1)
bitwise_not(i)
bitwise_or(i, fl.tensor([1, 1, 4]))
bitwise_right_shift(i, 1)
bitwise_xor(i, fl.tensor([1, 1, 4]))
blackman_window(5)
bmm(fl.ones(1, 2, 3), fl.ones(1, 3, 2))
broadcast_shapes((3, 1), (4,))
broadcast_to(a, (2, 3))
bucketize(fl.tensor([0.1, 0.6]), a)
cdist(m, m)
chain_matmul(m, m, m)
cholesky(fl.tensor([[4.0, 2.0], [2.0, 5.0]]))
cholesky_inverse(fl.tensor([[2.0, 0.0], [1.0, 2.0]]))
cholesky_solve(fl.ones(2, 1), fl.tensor([[2.0, 0.0], [1.0, 2.0]]))
chunk(fl.arange(5), 2)
clamp_max(b, 1)
clamp_min(b, 0)
combinations(i, 2)
compilations().keys()
conv2d(fl.ones(1, 1, 3, 3), fl.ones(1, 1, 2, 2))
conv3d(fl.ones(1, 1, 2, 2, 2), fl.ones(1, 1, 2, 2, 2))
conv_transpose2d(fl.ones(1, 1, 1, 1), fl.ones(1, 1, 2, 2))
conv_transpose3d(fl.ones(1, 1, 1, 1, 1), fl.ones(1, 1, 1, 2, 2))
corrcoef(m)
cosine_similarity(a, b, dim=0)
cov(m)
cross(a, b, dim=0)
cummax(i, 0)
cummin(i, 0)
cumprod(i, 0)
cumulative_trapezoid(a)
diag(m)
diagonal(m)
diagonal_scatter(m, fl.zeros(2))
dsplit(fl.ones(1, 1, 4), 2)
embedding(fl.tensor([1, 0]), m)
empty(2, 3).shape
empty_cache()
empty_like(m).shape
empty_permuted((2, 3), (1, 0)).stride()
empty_strided((2, 2), (1, 2)).stride()
enable_grad()
expand_copy(a, (2, 3))
fill(a, 2.0)
column_stack((a, b))
row_stack((a, b))
hstack((a, b))
vstack((a, b))
dstack((a, b))
flip(a, (0,))
fliplr(m)
flipud(m)
fork_rng()
frexp(b)
full_like(a, 7.0)
frobenius_norm(m)
frombuffer(bytearray(4), dtype=fl.int32)
gcd(i, fl.tensor(3))
get_default_device()
get_num_threads() > 0
get_rng_state().dtype
hamming_window(4)
hann_window(4)
histc(a, bins=3, min=0.0, max=1.0)
histogram(a, bins=2)
hsplit(m, 2)
index_add(a, 0, fl.tensor([0]), fl.tensor([1.0]))
index_copy(a, 0, fl.tensor([0]), fl.tensor([9.0]))
index_fill(a, 0, fl.tensor([0, 2]), 7.0)
index_put(a, (fl.tensor([1]),), fl.tensor(8.0))
index_reduce(a, 0, fl.tensor([0, 0]), fl.tensor([2.0, 3.0]), "prod")
inference_mode()
initial_seed() >= 0
is_grad_enabled()
is_inference_mode_enabled()
is_nonzero(fl.tensor(3))
kaiser_window(4)
kron(fl.tensor([1, 2]), fl.tensor([1, 10]))
kthvalue(i, 2)
lcm(i, fl.tensor(4))
legacy_tensor([1.0, 2.0])
lerp(a, b, 0.5)
log_softmax(a, 0)
logcumsumexp(a, 0)
logdet(m)
logical_not(t)
logsumexp(a, 0)
manual_seed(0).initial_seed()
masked_scatter(a, t, fl.tensor([8.0, 9.0]))
masked_select(a, t)
matrix_exp(fl.zeros(2, 2))
matrix_power(m, 2)
memory_statistics()["blocks"] > 0
mm(m, m)
mode(i)
moveaxis(fl.ones(2, 3, 4), 0, 2).shape
movedim(fl.ones(2, 3, 4), 0, 2).shape
multinomial(fl.tensor([0.0, 1.0]), 1)
mv(m, fl.ones(2))
mvlgamma(fl.tensor([2.0, 3.0]), 2)
nanquantile(a, 0.5)
narrow(a, 0, 1, 2)
narrow_copy(a, 0, 1, 2)
normal(0.0, 1.0, (2, 3)).shape
nuclear_norm(m)
pdist(m)
permute(fl.ones(2, 3, 4), (2, 0, 1)).shape
pinverse(m)
poisson(fl.zeros(2))
polygamma(1, a)
prelu(b, fl.tensor([0.1]))
put(a, fl.tensor([0]), fl.tensor([9.0]))
qr(m)
rand(2, 3).shape
rand_like(m).shape
randint(0, 10, (2, 3)).shape
randint_like(m, 10).shape
randn(2, 3).shape
randn_like(m).shape
randperm(4).shape
range(0, 3)
renorm(m, 2, 0, 1.0)
reshape(m, (4,))
rot90(m)
scalar_tensor(3.0)
scatter(fl.zeros(3), 0, fl.tensor([2]), fl.tensor([5.0]))
scatter_reduce(fl.zeros(3), 0, fl.tensor([2, 2]), fl.tensor([5.0, 6.0]), "sum")
seed() >= 0
select(m, 0, 1)
select_scatter(m, fl.zeros(2), 0, 1)
set_default_dtype(fl.float32)
set_grad_enabled(True)
set_num_threads(fl.get_num_threads())
set_printoptions(profile="default")
set_rng_state(fl.get_rng_state())
slice_scatter(a, fl.zeros(1), 0, 1, 2)
slogdet(m)
split_with_sizes(a, [1, 2])
squeeze(fl.ones(1, 2, 1)).shape
svd(fl.eye(2))
swapaxes(m, 0, 1)
swapdims(m, 0, 1)
t(m)
take(m, fl.tensor([0, 3]))
take_along_dim(m, fl.tensor([[1], [0]]), 1)
tensor_split(fl.arange(5), 2)
tensordot(m, m, dims=1)
tile(a, (2,))
trace(m)
transpose(m, 0, 1)
triangular_solve(fl.ones(2, 1), m)
tril_indices(2, 2)
triu_indices(2, 2)
unbind(m)
unflatten(fl.arange(6), 0, (2, 3))
unravel_index(fl.tensor(5), (2, 3))
unsafe_chunk(fl.arange(5), 2)
unsqueeze(a, 1).shape
vander(i)
view_copy(m, (4,))
vsplit(m, 2)
are_deterministic_algorithms_enabled()
ctc_loss(fl.zeros(4, 1, 3).log_softmax(2), fl.tensor([[1, 2]]), fl.tensor([4]), fl.tensor([2]))
get_deterministic_debug_mode()
get_float32_matmul_precision()
grid_sampler_2d(fl.ones(1, 1, 2, 2), fl.zeros(1, 1, 1, 2), 0, 0, False)
grid_sampler_3d(fl.ones(1, 1, 2, 2, 2), fl.zeros(1, 1, 1, 1, 3), 0, 0, False)
i0(a)
imag(fl.tensor([1 + 2j]))
is_anomaly_check_nan_enabled()
is_anomaly_enabled()
is_conj(a)
is_deterministic_algorithms_warn_only_enabled()
is_neg(a)
is_warn_always_enabled()
resize_as_(fl.ones(4), m).shape
set_default_device("cpu")
set_default_tensor_type(fl.FloatTensor)
set_deterministic_debug_mode("default")
set_float32_matmul_precision("highest")
set_warn_always(False)
use_deterministic_algorithms(False)
clear_autocast_cache()
get_autocast_cpu_dtype()
get_autocast_gpu_dtype()
is_autocast_cache_enabled()
is_autocast_cpu_enabled()
is_autocast_enabled("cpu")
set_autocast_dtype("cpu", fl.bfloat16)
set_autocast_enabled("cpu", False)
vdot(a, b)
FloatTensor([1, 2])
DoubleTensor([1, 2])
HalfTensor([1, 2])
BFloat16Tensor([1, 2])
LongTensor([1, 2])
IntTensor([1, 2])
ShortTensor([1, 2])
CharTensor([1, 2])
ByteTensor([1, 2])
BoolTensor([1, 0])
Tensor([1, 2])
ShapeError("shapes differ")
DTypeError("dtypes differ")
DeviceError("no such device")
AutogradError("nothing to differentiate")
"""


def expressions() -> dict[str, str]:
    """The expression of each name."""
    found = {name: f"fl.{name}(a)" for name in OF_ONE.split() if not name.endswith("_")}
    found.update({name: f"fl.{name}(a, b)" for name in OF_TWO.split() if not name.endswith("_")})
    found["acosh"] = found["arccosh"] = "fl.acosh(a + 1)"
    found["numel"] = "fl.numel(m)"
    found["meshgrid"] = 'fl.meshgrid(a, b, indexing="ij")'
    for line in OTHERS.strip().splitlines():
        found[line.partition("(")[0].strip()] = "fl." + line
    return found
