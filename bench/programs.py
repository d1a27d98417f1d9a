"""The operations that are timed one by one: a line each, as users write them.

In a line, `x`, `y` and `z` are tensors of floats between 0.1 and 0.9 that require grad; `i` holds
indices and `m` bools, of x's shape; `A`, `B` are matrices (A well conditioned, S = A A^T); `v` is
as long as they are. SMALL tensors have 4 elements, matrices 2 x 2; LARGE ones 4 million, in rows of
1,000 where it says `X`, `Y` (`I`: indices along its rows), matrices 1000 x 1000.
"""

UNARY = """abs acos acosh angle asin asinh atan atanh ceil cos cosh deg2rad digamma erf erfc erfinv
exp exp2 expm1 floor frac i0 lgamma log log10 log1p log2 logit nan_to_num neg positive rad2deg
reciprocal relu round rsqrt sgn sigmoid sign sin sinc sinh sqrt square tan tanh trunc""".split()
SPECIAL = """bessel_j0 bessel_j1 bessel_y0 bessel_y1 entr i0e i1 i1e log_ndtr ndtr ndtri""".split()
BINARY = """add atan2 copysign div fmax fmin fmod hypot logaddexp logaddexp2 maximum minimum mul
pow remainder sub true_divide xlogy""".split()
COMPARISONS = """eq ge gt le logical_and lt ne""".split()
ACTIVATIONS = """celu elu gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu logsigmoid mish
relu6 selu silu softplus softshrink softsign tanhshrink""".split()
REDUCTIONS = """amax amin logcumsumexp logsumexp mean norm prod std sum var""".split()
LOSSES = """binary_cross_entropy huber_loss kl_div l1_loss mse_loss smooth_l1_loss
soft_margin_loss""".split()

SMALL_LINES = """
x + 2.0
x * y
x ** 2
x ** 3.0
2.0 ** x
x / y
torch.clamp(x, 0.2, 0.8)
torch.lerp(x, y, 0.3)
torch.addcmul(x, y, z, value=0.5)
torch.addcdiv(x, y, z, value=0.5)
torch.where(m, x, y)
torch.masked_fill(x, m, 0.5)
torch.complex(x, y)
torch.polar(x, y)
torch.polygamma(1, x)
torch.special.zeta(x.detach() + 2, y)
x.sum()
x.mean()
x.prod()
x.max()
x.min()
x.median()
x.std()
x.norm()
x.max(0)
x.sort()
x.topk(2)
x.kthvalue(2)
x.cumsum(0)
x.cumprod(0)
x.cummax(0)
x.diff()
torch.trapezoid(x)
torch.quantile(x, 0.3)
torch.logsumexp(x, 0)
torch.softmax(x, 0)
torch.log_softmax(x, 0)
torch.std_mean(x)
torch.aminmax(x)
torch.nansum(x)
x.reshape(2, 2)
x.view(2, 2)
x.unsqueeze(0)
x.expand(3, 4)
x.flip(0)
x.roll(1)
x.repeat(2)
x.clone()
x[1:3]
x[i]
x[m]
torch.stack((x, y))
torch.cat((x, y))
torch.split(x, 2)
torch.gather(x, 0, i)
torch.scatter_add(x, 0, i, y)
torch.scatter(x, 0, i, y)
torch.index_select(x, 0, i)
torch.index_add(x, 0, i, y)
torch.take(x, i)
torch.diag(x)
torch.tril(A)
torch.diagonal(A)
A.t()
A.permute(1, 0)
torch.dot(x, y)
torch.outer(x, y)
A @ B
A @ v
torch.addmm(B, A, B)
torch.einsum("ij,jk->ik", A, B)
torch.tensordot(A, B, 1)
torch.kron(A, B)
torch.trace(A)
torch.linalg.det(A)
torch.linalg.slogdet(A)
torch.linalg.inv(A)
torch.linalg.solve(A, B)
torch.linalg.cholesky(A @ A.mT)
torch.linalg.qr(A)
torch.linalg.svdvals(A)
torch.linalg.eigh(A + A.mT)
torch.linalg.matrix_exp(A)
torch.linalg.norm(A)
torch.fft.fft(x)
torch.fft.rfft(x)
torch.fft.irfft(x)
F.linear(A, B, v)
F.layer_norm(A, (2,))
F.cross_entropy(A, torch.arange(2))
F.nll_loss(A, torch.arange(2))
F.normalize(A)
F.cosine_similarity(A, B)
F.pad(x, (1, 1))
F.conv1d(A[None], B[:, :, None])
F.conv2d(A[None, None], B[None, None])
F.max_pool1d(A[None], 2)
F.avg_pool2d(A[None, None], 2)
F.interpolate(A[None], scale_factor=2)
F.scaled_dot_product_attention(A[None], B[None], A[None])
""".strip().splitlines()

LARGE_LINES = """
x + y
x * 2.0
x / y
x ** 2
torch.clamp(x, 0.2, 0.8)
torch.where(m, x, y)
torch.masked_fill(x, m, 0.5)
torch.addcmul(x, y, z)
x.sum()
x.mean()
x.max()
x.std()
x.norm()
x.prod()
X.sum(0)
X.sum(1)
X.mean(1)
X.var(1)
X.amax(0)
X.amax(1)
X.max(1)
X.argmax(1)
X.logsumexp(1)
X.cumsum(1)
X.cumprod(1)
X.softmax(1)
X.softmax(0)
X.log_softmax(1)
X.sort(1)
x.sort()
X.topk(10, 1)
X.median(1)
x.flip(0)
X.t().contiguous()
torch.cat((x, y))
torch.stack((x, y))
X.roll(1, 1)
torch.gather(X, 1, I)
torch.scatter_add(X, 1, I, Y)
torch.index_select(X, 0, rows)
torch.index_add(X, 0, rows, Y)
X[rows]
x[m]
X.tril()
A @ B
torch.linalg.solve(A, B)
torch.linalg.inv(A)
torch.linalg.cholesky(A @ A.mT)
torch.linalg.qr(A)
torch.linalg.eigh(A + A.mT)
torch.linalg.svdvals(A)
torch.linalg.det(A)
torch.fft.rfft(X)
F.conv2d(images, kernels)
F.max_pool2d(images, 2)
F.layer_norm(X, (1000,))
F.cross_entropy(X, labels)
F.mse_loss(x, y)
""".strip().splitlines()

EVERYWHERE = [
    *(f"torch.{name}({'x + 1' if name == 'acosh' else 'x'})" for name in UNARY),
    *(f"torch.special.{name}(x)" for name in SPECIAL),
    *(f"torch.{name}(x, y)" for name in BINARY),
    *(f"torch.{name}(x, y)" for name in COMPARISONS),
    *(f"F.{name}(x)" for name in ACTIVATIONS),
]
"""Of each element; at both sizes."""

SMALL = [
    *EVERYWHERE, *(f"A.{name}(1)" for name in REDUCTIONS),
    *(f"F.{name}(x, y.detach())" for name in LOSSES), *SMALL_LINES,
]
LARGE = [*EVERYWHERE, *LARGE_LINES]
