"""Elementwise functions on wengert and on PyTorch: edges, kinks, promotion, in place, bad input.

Each line of a table is an expression on the tensors of `PRELUDE`; see `oracle` for what is
compared. `test_opinfo.py` has PyTorch's own samples; here is what these leave out. (Not here
either: the signs of zeros, which in extremes and remainders the processor chooses.)
"""

from __future__ import annotations

import pytest

from oracle import compare

PRELUDE = """
t, nan, inf = torch.tensor, math.nan, math.inf
f, i, b = t([1.5, -2.5, 3.]), t([1, -2, 3]), t([True, False, True])
c, d = t([1 + 2j, 0j, -3j]), t([1.5, -2.5, 3.], dtype=torch.float64)
u, s = t([1, 200, 255], dtype=torch.uint8), t([-128, 100, 7], dtype=torch.int8)
edges = t([0., -0., 1., -1., nan, inf, -inf])
others = t([[0.], [-0.], [1.], [-2.], [nan], [inf], [-inf]])
def slope(f, *xs):
    xs = [x.clone().requires_grad_() for x in xs]
    return torch.autograd.grad(f(*xs).sum(), xs)
def slope_of(f):
    return lambda x: torch.autograd.grad(f(x).sum(), x, create_graph=True)[0]
def slopes(f, *others):
    return [slope(f, edges, x.expand(7).contiguous()) for x in others]
"""

EDGES = """
torch.logit(t([0., 1., -1., 2., 0.5, nan]))
torch.logit(t([0., 1., 0.1, 0.9, 0.5, nan]), 0.1)
torch.nan_to_num(edges)
torch.nan_to_num(edges.half())
torch.nan_to_num(edges, 1., 2., 3.)
torch.nan_to_num(edges, posinf=5)
torch.nan_to_num(c), torch.nan_to_num(i), torch.nan_to_num(b)
torch.frac(edges), torch.trunc(edges), torch.signbit(edges), torch.sign(edges)
torch.frexp(t([1., 3., 0., inf, 5e-40, nan, -0.]))
torch.sinc(t([0., 1., -0.5, nan]))
torch.angle(edges), torch.angle(c), torch.angle(i), torch.angle(b)
torch.heaviside(edges, t(0.25)), torch.heaviside(i, i), torch.heaviside(b, b)
torch.fmax(edges[2:], others[2:]), torch.fmin(edges[2:], others[2:])
torch.copysign(edges, others), torch.copysign(i, -0.), torch.copysign(i, d)
torch.nextafter(edges, others)
torch.xlogy(edges, others), torch.xlogy(i, i.abs()), torch.xlogy(2, f.abs())
torch.logaddexp2(edges, others), torch.logaddexp(c, 2 * c)
torch.hypot(edges, others), torch.atan2(edges, others)
torch.ldexp(f, i), torch.ldexp(i, i), torch.ldexp(c, i), torch.ldexp(f.half(), i)
torch.remainder(edges[2:], t([[-2.], [0.3], [inf]])), torch.fmod(edges, others)
torch.div(edges, others, rounding_mode="floor"), torch.div(edges, others, rounding_mode="trunc")
torch.floor_divide(edges, others)
torch.maximum(edges[2:], others[2:]), torch.minimum(edges[2:], others[2:])
torch.clamp(edges, -1, 1), torch.clamp(edges, 2, 1), torch.clamp(edges, nan, 1)
torch.clamp(i, 0.5), torch.clamp(i, t(0.5), t([1, 2, 3])), torch.clamp_min(b, 1)
torch.isclose(edges, others, equal_nan=True), torch.isclose(edges, others)
torch.isclose(t([1, 2]), t([1, 3]), rtol=0.5), torch.isclose(u, u + 1), torch.isclose(b, b)
torch.isposinf(edges), torch.isneginf(edges), torch.isreal(c), torch.isreal(edges)
torch.isposinf(i), torch.isneginf(b)
torch.isin(t([[1, 2], [3, 4]]), t([[2], [3]])), torch.isin(2, i), torch.isin(i, 2.5)
torch.isin(i, t([], dtype=torch.int64)), torch.isin(i, t([1, 2]), invert=True)
torch.gcd(t([0, 4, -4]), t([0, 6, 6])), torch.lcm(t([0, 4, -4]), t([3, 6, 6])), torch.gcd(u, i)
torch.round(t([1.25, -1.35, 1234.5]), decimals=1), torch.round(t([1234.5, 2500.]), decimals=-3)
torch.round(t([0.5, 1.5, 2.5, -0.5])), torch.round(i), torch.round(f, decimals=0)
torch.float_power(t([-8.]), 1 / 3), torch.float_power(i, 2), torch.float_power(2, i)
torch.float_power(c, 2), torch.float_power(f, 1j)
torch.complex(t(1.), f), torch.polar(f.abs(), f), torch.view_as_real(c)
torch.view_as_complex(torch.ones(3, 2)), torch.view_as_complex(torch.ones(2, 4)[:, 2:])
torch.real(f) is f, torch.real(c), torch.imag(c), torch.conj(c), torch.conj_physical(c)
torch.sgn(t([inf + 0j, 3 - 4j, 0j])), torch.abs(c), torch.abs(u)
torch.deg2rad(i), torch.rad2deg(f)
torch.dist(f, i), [torch.dist(f, d.float() + 1, p) for p in (0, 1, 3, inf, -inf)]
torch.rsub(i, 2), torch.rsub(f, i, alpha=2), torch.rsub(i, t(1.5))
torch.where(b, 1, 2), torch.where(b, 1., i), torch.where(b, f, d), torch.where(b, True, 2)
torch.is_nonzero(t(1)), torch.is_same_size(f, i), torch.equal(i, i.float()), f.equal(i)
torch.lerp(f, 2 * f, t(0.5)), torch.lerp(c, 2 * c, 2j)
torch.addcmul(f, i, i, value=2), torch.addcdiv(f, i, f)
"""

KINKS = """
slopes(torch.fmax, *others), slopes(torch.fmin, *others)
slopes(torch.maximum, *others), slopes(torch.minimum, *others)
slopes(torch.copysign, *others), slope(lambda x: torch.copysign(x, -1), edges)
slopes(torch.xlogy, *others[1:]), slopes(torch.atan2, t(0.), t(-1.))
slope(torch.logit, t([0., 1., -1., 2., 0.5, nan]))
slope(lambda x: torch.logit(x, 0.1), t([0., 1., 0.1, 0.9, 0.5, nan]))
slope(torch.nan_to_num, edges), slope(torch.frac, edges), slope(torch.sgn, edges)
slope(torch.nextafter, f, f + 1), slope(torch.nextafter, f, f)
slope(torch.logaddexp2, t([0., inf, -inf, -inf]), t([0., inf, -inf, 1.]))
slope(torch.float_power, t([0., 2.]), t([0., 3.])), slope(lambda x: torch.float_power(x, 0), f)
slope(lambda x: torch.frexp(x)[0], t([1., 3., 0., inf]))
slope(torch.angle, f), slope(lambda x: torch.angle(torch.complex(x, 2 * x + 1)), f)
slope(lambda x: torch.clamp_min(x, 1), t([1., 3., 0., nan]))
slope(torch.clamp, t([1., 3., 0., nan]), t([1., 1., 1., 1.]), t([1., 0., 3., 3.]))
slope(torch.clamp_max, edges, t([0., 0., 1., 1., 1., 1., 1.]))
slope(lambda x: torch.rsub(x, 3, alpha=2), f), slope(torch.lerp, f, d.float() + 1, f.abs())
slope(lambda x: torch.ldexp(x, i.abs()), f), slope(lambda x: torch.ldexp(f, x), f)
[slope(lambda x: torch.dist(x, f + t([0., 1., 2.]), p), f) for p in (1, 2, 3, inf)]
slope(torch.remainder, t([1., 2.]), t([0., 2.])), slope(torch.fmod, t([3., 2.]), t([0., -2.]))
slope(lambda x: torch.view_as_real(torch.polar(x, x)), f.abs())
slope(lambda x: torch.view_as_complex(x).abs(), t([[1., 1.], [0., 0.]]))
slope(lambda x: (torch.view_as_real(torch.complex(x, x)) ** 2), f)
slope(torch.nn.functional.elu, edges), slope(torch.nn.functional.selu, edges)
slope(lambda x: torch.nn.functional.elu(x, 2.5), edges), slope(torch.nn.functional.hardtanh, edges)
slope(slope_of(torch.nn.functional.elu), edges), slope(slope_of(torch.nn.functional.celu), edges)
slope(slope_of(lambda y: torch.fmod(y + 1, y)), t([0., 2., inf]))
"""

IN_PLACE = """
f.logit_(0.1), f.nan_to_num_(1), (f * inf).nan_to_num_(), f.sinc_(), f.frac_()
f.deg2rad_(), f.rad2deg_(), i.gcd_(i), i.lcm_(i), f.xlogy_(2), d.float_power_(2)
f.copysign_(-1), f.heaviside_(f), f.nextafter_(d.float()), f.ldexp_(i), f.hypot_(f)
f.clamp_min_(1), f.clamp_max_(i), f.clamp_(f - 1, f + 1), i.clamp_(-1, 2), f.round_(decimals=1)
i.bitwise_left_shift_(1), i.bitwise_right_shift_(1), u.bitwise_left_shift_(9)
i.eq_(1.5), f.eq_(1), b.greater_(1), f.less_equal_(0), f.not_equal_(3), f.logical_not_()
c.conj_physical_(), f.conj_physical_(), i.conj_physical_()._version
i.div_(2, rounding_mode="floor"), f.div_(2, rounding_mode="trunc"), f.true_divide_(2)
u.add_(300), i.pow_(2), f.add_(d), f.double().add_(f), f.add_(2, alpha=3), f.sub_(i, alpha=2)
i.remainder_(2), i.fmod_(2), f.fmod_(d), f.floor_divide_(0), f.fill_(3), i.fill_(1.5)
f.masked_fill_(b, 7), f.lerp_(2 * f, 0.5), f.addcmul_(i, i), f.logical_and_(b)
i.sigmoid_()
i.div_(2)
i.add_(1.5)
i.copysign_(-1)
i.atan2_(i)
i.xlogy_(2)
i.remainder_(1.5)
i.pow_(1.5)
i.pow_(-1)
i.fmod_(0)
i.frac_()
i.float_power_(2)
f.float_power_(2)
d.float_power_(1j)
c.abs_()
f.gcd_(f)
f.bitwise_and_(1)
f.__ilshift__(1)
f.heaviside_(i)
f.add_(torch.ones(2, 3))
u.fill_(300)
f.fill_(t([2.]))
i.div_(2, rounding_mode="up")
i.add_(1), i.add_(i), i.mul_(t([2, 0, -1])), i.sub_(t(1)), i.floor_divide_(2), i.neg_(), i.pow_(2)
f.add_(f), f.mul_(t(2.)), f.sub_(t([1.])), f.pow_(2), f.neg_(), f.zero_(), f.copy_(d), f.copy_(i)
f[1:].add_(1), f[:2].copy_(f[1:]), f[0].mul_(2), f._version
u.fill_(-1), u.clamp(-1), b.fill_(1j), t([1.], dtype=torch.float16).fill_(1e6)
f.half().fill_(1e6)
f.fill_(1e300)
f[1:].add_(f[:2])
b.sub_(b)
i.sub_(b)
i.add_(t(1.5))
i.remainder_(0)
i.floor_divide_(t([1, 0, 1]))
i.masked_fill(b, 1j)
i.masked_fill_(b, t(1j))
"""

OPERATORS = """
u - 201, u + 300, u * 2, -u, u / 2, u // 2, u ** 2, u - 1.5, u + i, u * f, u << 9, ~u
s + 100, s.abs(), -s, s >> 1, s << 1, t([-8]) >> 70, i << 64, i << -1, i >> 64, i >> -1
2 ** i, 2.5 ** f, i ** t([-1, -1, 2]), (-f) ** 0.5, t([0.]) ** -1, b ** 2, b ** i, True ** i
1 // f, 1 % f, 5 % i, 5 & i, 5 | i, 5 ^ i, 5 << i, 5 >> i, 2 / i, 2 - i, 2 * f
t([-7, 7]) % -3, t([-7., 7.]) // 2, t([-7., 7.]) % 0, t([7.]) // 0, t([-7, 7]).fmod(-3)
b + b, b * b, b / b, b % 2, b & 1, b ^ True, b | i, ~b, ~i, abs(i), round(f), +i
int(t(1 + 0j)), float(t(2 + 0j)), complex(t(1.5)), int(t(2.7)), bool(t(1j))
int(t(1 + 2j))
float(t(1 + 2j))
torch.tensor([1, "a"])
torch.tensor([1, [2]])
i.__rpow__(2), i.__rdiv__(2), i.__div__(2), f.__rmod__(d), f.__rpow__(d), i.__and__(1)
f == "a", f != None
i + t(1.5), i + t(1.5, dtype=torch.float64), f + t(1.5, dtype=torch.float64), f + t(1 + 1j)
torch.add(b, b, alpha=2), torch.add(2, i, alpha=3), torch.sub(2, i), torch.div(2, i)
torch.mul(u, t(300)), torch.pow(2, f), torch.remainder(2, i), torch.bitwise_left_shift(2, i)
"""

BAD = """
~f
-b
b - b
1 - b
f << 2
b << b
1.5 & i
f & 1
i ** -1
i // 0
i % 0
f < "a"
f + "a"
f * None
torch.rsub(b, 1)
torch.rsub("a", 1)
torch.rsub(i, "a")
torch.rsub(i, 1, alpha=1.5)
torch.add(i, 2, alpha=1.5)
torch.add(i, i, alpha=True)
torch.add(f, f, alpha=1j)
torch.add(f, "a")
torch.mul(f, None)
torch.fmod(2, i)
torch.eq(2, f)
torch.eq(f, "a")
torch.maximum(f, 1)
torch.logical_and(f, 1)
torch.gcd(i, 2)
torch.ldexp(f, 2)
torch.nextafter(f, 1)
torch.nextafter(i, i)
torch.heaviside(f, 1)
torch.heaviside(f, i)
torch.heaviside(c, c)
torch.copysign(1, f)
torch.copysign(c, 1)
torch.xlogy(2, 2)
torch.xlogy(c, c)
torch.float_power(2, 2)
torch.pow(2, 3)
torch.pow(b, b)
torch.logit(c)
torch.frac(i)
torch.fmax(c, c)
torch.sign(c)
torch.signbit(c)
torch.abs(b)
torch.neg(b)
torch.relu(b)
torch.deg2rad(c)
torch.hypot(i, i)
torch.logaddexp(i, i)
torch.logaddexp2(c, c)
torch.gcd(f, f)
torch.lcm(b, b)
torch.frexp(i)
torch.isposinf(c)
torch.imag(f)
torch.complex(f, i)
torch.complex(f, d)
torch.complex(f, 1)
torch.view_as_real(f)
torch.view_as_complex(f)
torch.view_as_complex(t(1.))
torch.view_as_complex(t([[1, 2]]))
torch.view_as_complex(torch.ones(2, 3)[:, :2])
torch.view_as_complex(torch.ones(2, 5)[:, 1:3])
torch.isin(2, 3)
torch.isin(b, i)
torch.isin(c, c)
torch.isclose(f, f, rtol=-1)
torch.isclose(f, f, atol=-1)
torch.isclose(f, i)
torch.isclose(f, 1.)
torch.isclose(f, f[:2])
torch.clamp(f)
torch.clamp(f, f, 1)
torch.clamp(f, 1, f)
torch.clamp(u, -1, 300)
torch.clamp(c, 0, 1)
torch.clamp_min(f)
torch.div(f, 2, rounding_mode="up")
torch.div(i, 0, rounding_mode="floor")
torch.true_divide(f, 2, rounding_mode="floor")
torch.where(b, f)
torch.where(f, 1, 2)
torch.where(True, f, f)
torch.lerp(i, i, 1)
torch.lerp(f, i, 2)
torch.lerp(f, f, 2j)
torch.lerp(f, f, "a")
torch.masked_fill(f, b, t(1 + 2j))
torch.masked_fill(u, b, 300)
torch.masked_fill(f, i, 1)
torch.round(i, decimals=1)
torch.trunc(c)
torch.exp(1)
torch.equal(f, 1)
torch.addcdiv(i, i, i)
torch.fmax(f, f[:2])
torch.dist(f, 1)
"""

KEYWORDS = """
torch.pow(exponent=2, input=f), f.pow(exponent=2), torch.float_power(input=f, exponent=2)
torch.heaviside(input=f, values=f), torch.xlogy(input=f, other=2), torch.rsub(f, other=2)
torch.polar(abs=f, angle=f), torch.complex(real=f, imag=f), torch.copysign(input=f, other=1)
torch.clamp(f, max=2), torch.clamp_min(f, min=2), torch.clamp_max(f, max=2), f.clip(max=1)
torch.isin(elements=i, test_elements=i), torch.isin(element=1, test_elements=i)
torch.isin(elements=i, test_element=1), torch.dist(f, other=f, p=1), torch.logit(f, eps=0.2)
torch.where(condition=b, input=f, other=f), f.where(b, i), torch.masked_fill(f, mask=b, value=2)
f.div(2, rounding_mode=None), f.subtract(f, alpha=0.5), f.add(other=f, alpha=2)
f.greater(1), f.not_equal(1), f.fix(), f.absolute(), f.true_divide(2), f.multiply(2), f.negative()
"""

TABLES = {"edges": EDGES, "kinks": KINKS, "in place": IN_PLACE, "operators": OPERATORS,
          "keywords": KEYWORDS}


def lines(table: str) -> list[str]:
    return [line for line in table.splitlines() if line]


def told(program: str, **how: bool) -> str:
    return compare(f"{PRELUDE}\n{program}", **how)


@pytest.mark.parametrize("program", [line for table in TABLES.values() for line in lines(table)])
def test_as_in_pytorch(program: str) -> None:
    """The same values, dtypes, nodes, versions; the same exceptions, in the same words."""
    assert not told(program)


@pytest.mark.parametrize("program", lines(BAD))
def test_bad_input(program: str) -> None:
    """Exceptions of the same type."""
    assert not told(program, message=False)
