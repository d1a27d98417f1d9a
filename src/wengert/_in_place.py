"""Methods that write to their tensor and that PyTorch has as functions, too: `torch.relu_(x)`."""

from ._tensor import Tensor

abs_, acos_, acosh_, addmv_, arccos_, arccosh_ = (
    Tensor.abs_, Tensor.acos_, Tensor.acosh_, Tensor.addmv_, Tensor.arccos_, Tensor.arccosh_)
arcsin_, arcsinh_, arctan_, arctanh_, as_strided_ = (
    Tensor.arcsin_, Tensor.arcsinh_, Tensor.arctan_, Tensor.arctanh_, Tensor.as_strided_)
asin_, asinh_, atan_, atanh_, ceil_, clamp_ = (
    Tensor.asin_, Tensor.asinh_, Tensor.atan_, Tensor.atanh_, Tensor.ceil_, Tensor.clamp_)
clamp_max_, clamp_min_, clip_, conj_physical_, cos_ = (
    Tensor.clamp_max_, Tensor.clamp_min_, Tensor.clip_, Tensor.conj_physical_, Tensor.cos_)
cosh_, deg2rad_, detach_, erf_, erfc_, exp_ = (
    Tensor.cosh_, Tensor.deg2rad_, Tensor.detach_, Tensor.erf_, Tensor.erfc_, Tensor.exp_)
exp2_, expm1_, fill_, fix_, floor_, frac_ = (
    Tensor.exp2_, Tensor.expm1_, Tensor.fill_, Tensor.fix_, Tensor.floor_, Tensor.frac_)
gcd_, i0_, index_put_, lcm_, ldexp_, log_ = (
    Tensor.gcd_, Tensor.i0_, Tensor.index_put_, Tensor.lcm_, Tensor.ldexp_, Tensor.log_)
log10_, log1p_, log2_, logit_, nan_to_num_, neg_ = (
    Tensor.log10_, Tensor.log1p_, Tensor.log2_, Tensor.logit_, Tensor.nan_to_num_, Tensor.neg_)
negative_, rad2deg_, reciprocal_, round_, rsqrt_ = (
    Tensor.negative_, Tensor.rad2deg_, Tensor.reciprocal_, Tensor.round_, Tensor.rsqrt_)
sigmoid_, sin_, sinc_, sinh_, sqrt_, square_ = (
    Tensor.sigmoid_, Tensor.sin_, Tensor.sinc_, Tensor.sinh_, Tensor.sqrt_, Tensor.square_)
tan_, tanh_, trunc_, xlogy_, zero_ = (
    Tensor.tan_, Tensor.tanh_, Tensor.trunc_, Tensor.xlogy_, Tensor.zero_)
